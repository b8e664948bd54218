// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @title DemoAccessControl
/// @notice Drill target (D1). The access control that Venus contracts ask: who may call which function. The owner may call everything
/// and gives out single functions, so that the guardian's role in a drill is as narrow as it would be in production.
contract DemoAccessControl {
    address public immutable OWNER;
    mapping(bytes32 => bool) private _allowed;

    error NotOwner();

    constructor() {
        OWNER = msg.sender;
    }

    function giveCallPermission(string calldata signature, address account) external {
        if (msg.sender != OWNER) revert NotOwner();
        _allowed[keccak256(abi.encode(account, signature))] = true;
    }

    function isAllowedToCall(address account, string calldata signature) external view returns (bool) {
        return account == OWNER || _allowed[keccak256(abi.encode(account, signature))];
    }
}
