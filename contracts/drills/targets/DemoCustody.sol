// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {GuardedPausable} from "../../src/GuardedPausable.sol";

/// @title DemoCustody
/// @notice Drill target (D9). Holds an upgradeable vault's tokens apart from the upgradeable code, so that a pause outlives a stolen
/// upgrade key: the vault may release, and a full pause stops it whatever code the vault runs by then.
contract DemoCustody is GuardedPausable {
    using SafeERC20 for IERC20;

    address public immutable token;
    address private immutable GUARDIAN;
    address private immutable GOVERNANCE;
    uint256 private immutable MAX_PAUSE;
    address public vault;

    event VaultBound(address vault);
    event Released(address indexed to, uint256 amount);

    error NotVault();
    error AlreadyBound();

    constructor(address token_, address guardian, address governance, uint256 maxPause) {
        token = token_;
        GUARDIAN = guardian;
        GOVERNANCE = governance;
        MAX_PAUSE = maxPause;
    }

    /// @notice Governance names the vault, once.
    function bind(address vault_) external {
        if (msg.sender != GOVERNANCE) revert NotPauseGovernance(msg.sender);
        if (vault != address(0)) revert AlreadyBound();
        vault = vault_;
        emit VaultBound(vault_);
    }

    function release(address to, uint256 amount) external whenExitOpen {
        if (msg.sender != vault) revert NotVault();
        IERC20(token).safeTransfer(to, amount);
        emit Released(to, amount);
    }

    function _guardian() internal view override returns (address) {
        return GUARDIAN;
    }

    function _governance() internal view override returns (address) {
        return GOVERNANCE;
    }

    function _maxGuardianPause() internal view override returns (uint256) {
        return MAX_PAUSE;
    }
}
