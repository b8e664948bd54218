// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

/// @title DemoProxy
/// @notice Drill target (D9). OpenZeppelin's ERC-1967 proxy under a name of ours, so that its bytecode is among the checked-in
/// artifacts and the drill runs without npm.
contract DemoProxy is ERC1967Proxy {
    constructor(address implementation, bytes memory data) payable ERC1967Proxy(implementation, data) {}
}
