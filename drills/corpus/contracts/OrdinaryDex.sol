// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Evens two pools out with borrowed money, for its owner's profit.
contract Arbitrageur {
    Pair private immutable one;
    Pair private immutable two;
    IERC20 private immutable coin;
    IERC20 private immutable usd;
    Bank private immutable bank;

    constructor(Pair one_, Pair two_, Bank bank_) {
        (one, two, bank) = (one_, two_, bank_);
        (coin, usd) = (one_.token0(), one_.token1());
    }

    function go(uint256 amount, uint256 dialect) external {
        bytes memory data = "";
        if (dialect == 0) bank.flashLoanSimple(usd, amount, data);
        else if (dialect == 1) bank.swap(usd, amount, data);
        else bank.flashLoan(usd, amount, data);
        usd.transfer(tx.origin, usd.balanceOf(address(this)));
    }

    function _even(uint256 amount) private {
        (uint112 a0, uint112 a1,) = one.getReserves();
        (uint112 b0, uint112 b1,) = two.getReserves();
        (Pair cheap, Pair dear) = uint256(a1) * b0 < uint256(b1) * a0 ? (one, two) : (two, one);
        usd.approve(address(cheap), amount);
        uint256 got = cheap.trade(false, amount, address(this));
        coin.approve(address(dear), got);
        dear.trade(true, got, address(this));
        usd.transfer(address(bank), amount);
    }

    function executeOperation(address, uint256 amount, uint256, address, bytes calldata) external returns (bool) {
        _even(amount);
        return true;
    }

    function uniswapV2Call(address, uint256 amount, uint256, bytes calldata) external {
        _even(amount);
    }

    function onFlashLoan(address, address, uint256 amount, uint256, bytes calldata) external returns (bytes32) {
        _even(amount);
        return keccak256("ERC3156FlashBorrower.onFlashLoan");
    }
}

/// Two pools of the same tokens, traders on both, an arbitrageur between them, and providers who come and go.
contract OrdinaryDexScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    Pair public one;
    Pair public two;
    Arbitrageur public arbitrageur;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        one = Pairs.open(coin, usd, 2_000_000e18, 2_000_000e18);
        two = Pairs.open(coin, usd, 1_000_000e18, 1_000_000e18);
        arbitrageur = new Arbitrageur(one, two, b);
        usd.mint(address(b), 10_000_000e18);
        _protect(address(one));
        _protect(address(two));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(one));
        _arm(coin, users, 1_000_000e18, address(one));
        _arm(usd, users, 0, address(two));
        _arm(coin, users, 0, address(two));
        for (uint256 i; i < users.length; i++) one.transfer(users[i], 2_000e18);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 16;
        Pair pair = dice >> 180 & 1 == 0 ? one : two;
        if (kind == 0) {
            uint256 held = pair.balanceOf(who);
            if (held > 0) return (address(pair), 0, abi.encodeCall(Pair.transfer, (address(pair), held / 3)));
        }
        if (kind == 1 && pair.balanceOf(address(pair)) > 0) return (address(pair), 0, abi.encodeCall(Pair.burn, (who)));
        return (address(pair), 0, _trade(pair, who, dice));
    }

    function _trade(Pair pair, address who, uint256 dice) private view returns (bytes memory) {
        (uint112 r0, uint112 r1,) = pair.getReserves();
        bool sell = dice % 100 < 75 ? r0 < r1 : r0 >= r1;
        return abi.encodeCall(Pair.trade, (sell, _amount(dice, 50e18, 30_000e18), who));
    }

    /// How far the pools are apart, in hundredths of a per cent, and how much money evens them out.
    function _gap() private view returns (uint256 gap, uint256 amount) {
        (uint112 a0, uint112 a1,) = one.getReserves();
        (uint112 b0, uint112 b1,) = two.getReserves();
        uint256 p = uint256(a1) * 1e18 / a0;
        uint256 q = uint256(b1) * 1e18 / b0;
        gap = p > q ? (p - q) * 1e4 / q : (q - p) * 1e4 / p;
        amount = gap > 60 ? uint256(b1) * (gap - 60) / 8e4 : 0;
    }

    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        (uint256 gap, uint256 amount) = _gap();
        if (gap < 120) return (address(0), address(0), 0, "");
        return (address(0xa4b), address(arbitrageur), 0, abi.encodeCall(Arbitrageur.go, (amount, dice % 3)));
    }
}
