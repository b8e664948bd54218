// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./StolenKeyUpgrade.sol";

/// A proxy whose owner upgrades it as announced, every five hours, and rebalances into strategies of his own.
contract OrdinaryUpgradeScene is Scene {
    uint256 private constant EVERY = 5 hours;
    uint256 private constant LASTING = 600;
    Token public usd;
    OwnedUpgrade public vault;
    address[2] public versions;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        for (uint256 i; i < 2; i++) versions[i] = address(new OwnedUpgrade(IERC20(address(usd))));
        vault = OwnedUpgrade(payable(address(new Proxy1967(versions[0]))));
        vault.init(address(this));
        usd.mint(address(vault), 2_500_000e18);
        _protect(address(vault));
    }

    function upgrades() external view override returns (address, uint256, uint256, uint256) {
        return (address(vault), block.timestamp / EVERY * EVERY, EVERY, LASTING);
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(OpenUpgrade.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(OpenUpgrade.deposit, (_amount(dice, 100e18, 20_000e18))));
    }

    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        if (block.timestamp % EVERY > LASTING - 60) return (address(0), address(0), 0, "");
        return (address(this), address(vault), 0, abi.encodeCall(OpenUpgrade.upgradeTo, (versions[dice % 2])));
    }
}
