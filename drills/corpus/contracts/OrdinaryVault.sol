// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./FirstDepositor.sol";

/// A stranger's contract that puts its users' money into the vault: a new integrator.
contract Zap {
    function zap(Zaps home, ShareVault vault, IERC20 asset, uint256 amount) external {
        home.pull(amount);
        asset.approve(address(vault), amount);
        vault.deposit(amount, msg.sender);
    }
}

/// Makes such contracts, and gives them what the user who calls wants to put in.
contract Zaps {
    IERC20 private immutable asset;

    constructor(IERC20 asset_) {
        asset = asset_;
    }

    function make(uint256 salt) external {
        new Zap{salt: bytes32(salt)}();
    }

    function at(uint256 salt) public view returns (address) {
        bytes32 code = keccak256(type(Zap).creationCode);
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), bytes32(salt), code)))));
    }

    function pull(uint256 amount) external {
        asset.transferFrom(tx.origin, msg.sender, amount);
    }
}

/// A vault with whales, yield and integrators.
contract OrdinaryVaultScene is Scene {
    Token public usd;
    ShareVault public vault;
    Zaps public zaps;
    address[] public whales;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new ShareVault(IERC20(address(usd)));
        zaps = new Zaps(IERC20(address(usd)));
        usd.mint(address(this), 3_000_000e18);
        usd.approve(address(vault), type(uint256).max);
        vault.deposit(3_000_000e18, address(this));
        _protect(address(vault));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 300_000e18, address(vault));
        _arm(usd, users, 0, address(zaps));
        for (uint256 i; i < 6; i++) {
            usd.mint(users[i], 3_000_000e18);
            whales.push(users[i]);
        }
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 6;
        uint256 held = vault.balanceOf(who);
        uint256 amount = _amount(dice, 100e18, 20_000e18);
        if (kind == 0) {
            uint256 salt = dice % 64;
            address zap = zaps.at(salt);
            if (zap.code.length == 0) return (address(zaps), 0, abi.encodeCall(Zaps.make, (salt)));
            return (zap, 0, abi.encodeCall(Zap.zap, (zaps, vault, IERC20(address(usd)), amount)));
        }
        if (kind < 3 && held > 0) return (address(vault), 0, abi.encodeCall(ShareVault.redeem, (held, who, who)));
        return (address(vault), 0, abi.encodeCall(ShareVault.deposit, (amount, who)));
    }

    /// Whales come and go with millions; the yield drips.
    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        if (dice % 3 == 0) {
            return (address(this), address(usd), 0, abi.encodeCall(Token.mint, (address(vault), _amount(dice >> 9, 10e18, 90e18))));
        }
        address whale = whales[(dice >> 32) % 6];
        uint256 held = vault.balanceOf(whale);
        if (held > 500_000e18) return (whale, address(vault), 0, abi.encodeCall(ShareVault.redeem, (held, whale, whale)));
        uint256 has = usd.balanceOf(whale);
        if (has < 1_000_000e18) return (whale, address(0), 0, "");
        return (whale, address(vault), 0, abi.encodeCall(ShareVault.deposit, (has / 2, whale)));
    }
}
