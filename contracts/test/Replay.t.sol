// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase, Host} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {GuardianSigners} from "../src/GuardianSigners.sol";
import {SafeEmergencyModule, ISafe} from "../src/SafeEmergencyModule.sol";

/// @dev As much of a Safe as the module needs.
contract MiniSafe {
    function isOwner(address) external pure returns (bool) {
        return false;
    }

    function execTransactionFromModule(address to, uint256, bytes calldata data, uint8) external returns (bool ok) {
        (ok,) = to.call(data);
    }
}

/// @notice The same contracts at the same addresses on another chain: a signature for one is nothing on the other.
contract ReplayTest is GuardianBase {
    uint256 internal constant KEY = 0xA11;
    EmergencyGuardian internal g;
    Host internal host;

    function setUp() public {
        vm.warp(START);
        vm.chainId(1);
        g = new EmergencyGuardian(address(this));
        host = new Host(address(g), address(this), 7 days);
        g.setAction("host", selfExpiring(address(host)));
        g.setSigner(vm.addr(KEY), type(uint48).max);
    }

    function testFuzz_replay_guardianSignatureOfAnotherChainFails(uint64 otherChain) public {
        vm.assume(otherChain > 1);
        EmergencyGuardian.Auth memory a = auth("host", 0, 1);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(KEY));
        bytes32 here = g.hashAuth(a);
        vm.chainId(otherChain);
        yes(g.hashAuth(a) != here, "digest");
        vm.expectRevert(GuardianSigners.BadAuth.selector);
        g.pause(a, signers, sigs, 0);
        vm.chainId(1);
        g.pause(a, signers, sigs, 0);
        yes(host.paused(), "at home it works");
    }

    function test_replay_guardianSignatureForAnotherDeploymentFails() public {
        EmergencyGuardian other = new EmergencyGuardian(address(this));
        other.setAction("host", selfExpiring(address(host)));
        other.setSigner(vm.addr(KEY), type(uint48).max);
        EmergencyGuardian.Auth memory a = auth("host", 0, 1);
        (address[] memory signers, bytes[] memory sigs) = signed(other, a, keysOf(KEY));
        vm.expectRevert(GuardianSigners.BadAuth.selector);
        g.pause(a, signers, sigs, 0);
    }

    function testFuzz_replay_moduleSignatureOfAnotherChainFails(uint64 otherChain) public {
        vm.assume(otherChain > 1);
        SafeEmergencyModule module = new SafeEmergencyModule();
        address safe = address(new MiniSafe());
        bytes memory data = abi.encodeCall(Host.enter, ());
        vm.startPrank(safe);
        module.setRule(address(host), data, SafeEmergencyModule.Rule(1, false, 9, type(uint48).max));
        module.setResponder(vm.addr(KEY), type(uint48).max);
        vm.stopPrank();
        bytes[] memory sigs = list(sign(KEY, module.hashCall(safe, address(host), data, 1, type(uint48).max)));
        address[] memory signers = list(vm.addr(KEY));
        vm.chainId(otherChain);
        vm.expectRevert(SafeEmergencyModule.BadAuth.selector);
        module.exec(ISafe(safe), address(host), data, 1, type(uint48).max, signers, sigs);
        vm.chainId(1);
        module.exec(ISafe(safe), address(host), data, 1, type(uint48).max, signers, sigs);
        eq(host.entries(), 1, "at home it works");
    }

    /// @dev The type strings are part of the interface: signers outside rebuild them.
    function test_typedDataIsAsDocumented() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("EmergencyGuardian"),
                keccak256("1"),
                block.chainid,
                address(g)
            )
        );
        EmergencyGuardian.Auth memory a = EmergencyGuardian.Auth("host", 1, 2, 3, 4, 5);
        bytes32 body = keccak256(
            abi.encode(
                keccak256(
                    "PauseAuth(bytes32 actionId,uint8 tier,uint256 nonce,uint48 notBefore,uint48 deadline,uint32 epoch)"
                ),
                a.actionId,
                a.tier,
                a.nonce,
                a.notBefore,
                a.deadline,
                a.epoch
            )
        );
        yes(g.hashAuth(a) == keccak256(abi.encodePacked(hex"1901", domain, body)), "digest");
    }
}
