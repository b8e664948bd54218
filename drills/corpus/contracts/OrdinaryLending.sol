// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./SpotOracle.sol";

/// A lender with a keeper's price and liquidations at a discount of five per cent.
contract SoundLender is SpotLender {
    address public immutable keeper;
    uint256 private fed = 1e18;

    event Liquidated(address indexed who, address indexed by, uint256 repaid, uint256 seized);

    constructor(IERC20 coin_, IERC20 cash_) SpotLender(coin_, cash_, Pair(address(0))) {
        keeper = msg.sender;
    }

    function price() public view override returns (uint256) {
        return fed;
    }

    function feed(uint256 price_) external {
        require(msg.sender == keeper, "keeper");
        fed = price_;
    }

    function liquidate(address who) external {
        require(room(who) < 0, "healthy");
        uint256 repaid = debt[who];
        uint256 seized = repaid * 1e18 / fed * 105 / 100;
        if (seized > collateral[who]) seized = collateral[who];
        debt[who] = 0;
        collateral[who] -= seized;
        cash.transferFrom(msg.sender, address(this), repaid);
        coin.transfer(msg.sender, seized);
        emit Liquidated(who, msg.sender, repaid, seized);
    }
}

/// Liquidates with borrowed money and sells what it gets in a pool.
contract FlashLiquidator {
    SoundLender private immutable lender;
    Pair private immutable pair;
    Bank private immutable bank;

    constructor(SoundLender lender_, Pair pair_, Bank bank_) {
        (lender, pair, bank) = (lender_, pair_, bank_);
    }

    function go(address who) external {
        uint256 owed = lender.debt(who);
        bank.flashLoanSimple(lender.cash(), owed, abi.encode(who));
        lender.cash().transfer(tx.origin, lender.cash().balanceOf(address(this)));
    }

    function executeOperation(address, uint256 amount, uint256, address, bytes calldata data) external returns (bool) {
        lender.cash().approve(address(lender), amount);
        lender.liquidate(abi.decode(data, (address)));
        uint256 got = lender.coin().balanceOf(address(this));
        lender.coin().approve(address(pair), got);
        pair.trade(true, got, address(this));
        lender.cash().transfer(address(bank), amount);
        return true;
    }
}

contract OrdinaryLendingScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    Pair public pair;
    SoundLender public lender;
    FlashLiquidator public liquidator;
    address[] public clients;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        pair = Pairs.open(coin, usd, 30_000_000e18, 30_000_000e18);
        lender = new SoundLender(IERC20(address(coin)), IERC20(address(usd)));
        liquidator = new FlashLiquidator(lender, pair, b);
        usd.mint(address(lender), 6_000_000e18);
        usd.mint(address(b), 10_000_000e18);
        usd.mint(address(this), 1e9 * 1e18);
        usd.approve(address(pair), type(uint256).max);
        _protect(address(lender));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 300_000e18, address(lender));
        _arm(coin, users, 300_000e18, address(lender));
        for (uint256 i; i < 48; i++) clients.push(users[i]);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        int256 room = lender.room(who);
        uint256 owed = lender.debt(who);
        if (kind < 2 && room > 100e18) {
            return (address(lender), 0, abi.encodeCall(SpotLender.borrow, (uint256(room) * (60 + dice % 40) / 100)));
        }
        if (kind == 2 && owed > 0) return (address(lender), 0, abi.encodeCall(SpotLender.repay, (owed)));
        if (kind == 3 && owed == 0 && lender.collateral(who) > 0) {
            return (address(lender), 0, abi.encodeCall(SpotLender.withdraw, (lender.collateral(who))));
        }
        return (address(lender), 0, abi.encodeCall(SpotLender.deposit, (_amount(dice, 500e18, 40_000e18))));
    }

    /// The price wanders between 0.94 and 1.06; whoever is under water is liquidated.
    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        (uint112 r0, uint112 r1,) = pair.getReserves();
        if (uint256(r0) * 100 > uint256(r1) * 101) {
            // The market takes the coins up again.
            return (address(this), address(pair), 0, abi.encodeCall(Pair.trade, (false, uint256(r0 - r1) / 2, address(this))));
        }
        uint256 from = (dice >> 40) % 48;
        for (uint256 i; i < 48; i++) {
            address who = clients[(from + i) % 48];
            if (lender.room(who) < 0) return (address(0x11d), address(liquidator), 0, abi.encodeCall(FlashLiquidator.go, (who)));
        }
        uint256 next = lender.price() * (9_975 + dice % 51) / 10_000;
        if (next < 0.94e18) next = 0.941e18;
        if (next > 1.06e18) next = 1.059e18;
        return (address(this), address(lender), 0, abi.encodeCall(SoundLender.feed, (next)));
    }
}
