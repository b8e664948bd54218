// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// @title LegacyPausable
/// @notice Drill target. An existing protocol's pause as most have it: one flag, pause() and unpause() by anyone with the role. With a
/// guardian in that role, one flag cannot tell whose pause it is (the hazard documented in test/Hazard.t.sol).
contract LegacyPausable is Pausable {
    address public immutable GOVERNANCE;
    mapping(address => bool) public isPauser;
    uint256 public actions;

    error NotGovernance();
    error NotPauser();

    modifier onlyPauser() {
        if (!isPauser[msg.sender] && msg.sender != GOVERNANCE) revert NotPauser();
        _;
    }

    constructor(address governance) {
        GOVERNANCE = governance;
    }

    function setPauser(address account, bool allowed) external {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        isPauser[account] = allowed;
    }

    function pause() external onlyPauser {
        _pause();
    }

    function unpause() external onlyPauser {
        _unpause();
    }

    /// @notice Stands for whatever the protocol does.
    function act() external whenNotPaused {
        ++actions;
    }
}
