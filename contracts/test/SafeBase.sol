// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Safe} from "@safe/Safe.sol";
import {SafeProxyFactory} from "@safe/proxies/SafeProxyFactory.sol";
import {Enum} from "@safe/libraries/Enum.sol";
import {Base} from "./Base.sol";

/// @dev A real Safe 1.5.0, 3 of 5 owners, holding 400,000 ether.
abstract contract SafeBase is Base {
    Safe internal safe;
    uint256[] internal ownerKeys;

    function buildSafe() internal {
        vm.warp(START);
        uint256[] memory keys = new uint256[](5);
        address[] memory owners = new address[](5);
        for (uint256 i; i < 5; ++i) {
            keys[i] = 0x1001 + i;
        }
        ownerKeys = sortKeys(keys);
        for (uint256 i; i < 5; ++i) {
            owners[i] = vm.addr(ownerKeys[i]);
        }
        bytes memory setup =
            abi.encodeCall(Safe.setup, (owners, 3, address(0), "", address(0), address(0), 0, payable(0)));
        safe = Safe(payable(address(new SafeProxyFactory().createProxyWithNonce(address(new Safe()), setup, 1))));
        vm.deal(address(safe), 400_000 ether);
    }

    function signatures(address to, bytes memory data, Enum.Operation op) internal view returns (bytes memory all) {
        bytes32 hash = safe.getTransactionHash(to, 0, data, op, 0, 0, 0, address(0), address(0), safe.nonce());
        for (uint256 i; i < 3; ++i) {
            all = abi.encodePacked(all, sign(ownerKeys[i], hash));
        }
    }

    function run(address to, bytes memory data, Enum.Operation op) internal {
        bytes memory sigs = signatures(to, data, op);
        safe.execTransaction(to, 0, data, op, 0, 0, 0, address(0), payable(0), sigs);
    }

    function runCall(address to, bytes memory data) internal {
        run(to, data, Enum.Operation.Call);
    }

    function runFails(address to, bytes memory data, Enum.Operation op, bytes memory why) internal {
        bytes memory sigs = signatures(to, data, op);
        if (why.length == 0) vm.expectRevert();
        else vm.expectRevert(why);
        safe.execTransaction(to, 0, data, op, 0, 0, 0, address(0), payable(0), sigs);
    }
}
