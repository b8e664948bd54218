// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Safe} from "@safe/Safe.sol";
import {Enum} from "@safe/libraries/Enum.sol";
import {SafeBase} from "./SafeBase.sol";
import {SafeEmergencyModule, ISafe} from "../src/SafeEmergencyModule.sol";
import {SafeConfigGuard} from "../src/SafeConfigGuard.sol";
import {LegacyPausable} from "../drills/targets/LegacyPausable.sol";

contract SafeEmergencyModuleTest is SafeBase {
    SafeEmergencyModule internal module;
    LegacyPausable internal target;
    bytes internal pauseCall = abi.encodeWithSignature("pause()");
    bytes internal unpauseCall = abi.encodeWithSignature("unpause()");
    uint256 internal constant RESPONDER = 0xEE;
    uint48 internal constant FOREVER = type(uint48).max;

    function setUp() public {
        buildSafe();
        module = new SafeEmergencyModule();
        target = new LegacyPausable(address(safe));
        runCall(address(safe), abi.encodeWithSignature("enableModule(address)", address(module)));
        setRule(SafeEmergencyModule.Rule(1, false, 2, uint48(START + 90 days)));
        runCall(address(module), abi.encodeCall(module.setResponder, (vm.addr(RESPONDER), FOREVER)));
    }

    function setRule(SafeEmergencyModule.Rule memory rule) internal {
        runCall(address(module), abi.encodeCall(module.setRule, (address(target), pauseCall, rule)));
    }

    function sigBy(uint256 key, bytes memory data, uint256 nonce) internal view returns (bytes[] memory) {
        return list(sign(key, module.hashCall(address(safe), address(target), data, nonce, FOREVER)));
    }

    function exec(uint256 key, bytes memory data, uint256 nonce) internal {
        bytes[] memory sigs = sigBy(key, data, nonce);
        vm.prank(address(0xcafe));
        module.exec(ISafe(address(safe)), address(target), data, nonce, FOREVER, list(vm.addr(key)), sigs);
    }

    function fails(uint256 key, bytes memory data, uint256 nonce, bytes4 why) internal {
        bytes[] memory sigs = sigBy(key, data, nonce);
        vm.expectRevert(why);
        module.exec(ISafe(address(safe)), address(target), data, nonce, FOREVER, list(vm.addr(key)), sigs);
    }

    function test_oneResponderPausesBelowTheThreshold() public {
        exec(RESPONDER, pauseCall, 1);
        yes(target.paused(), "paused");
    }

    function test_ownersCountAsResponders() public {
        exec(ownerKeys[2], pauseCall, 1);
        yes(target.paused(), "paused");
    }

    function testFuzz_M1_onlyListedCalldataExecutes(bytes calldata data, address to) public {
        vm.assume(keccak256(data) != keccak256(pauseCall));
        fails(RESPONDER, data, 1, SafeEmergencyModule.NoRule.selector);
        vm.assume(to != address(target));
        bytes32 digest = module.hashCall(address(safe), to, pauseCall, 1, FOREVER);
        vm.expectRevert(SafeEmergencyModule.NoRule.selector);
        module.exec(
            ISafe(address(safe)), to, pauseCall, 1, FOREVER, list(vm.addr(RESPONDER)), list(sign(RESPONDER, digest))
        );
    }

    function test_M1_neverToTheSafeOrTheModule() public {
        SafeEmergencyModule.Rule memory rule = SafeEmergencyModule.Rule(1, false, 1, FOREVER);
        vm.startPrank(address(safe));
        vm.expectRevert(SafeEmergencyModule.BadRule.selector);
        module.setRule(address(safe), pauseCall, rule);
        vm.expectRevert(SafeEmergencyModule.BadRule.selector);
        module.setRule(address(module), pauseCall, rule);
    }

    function testFuzz_M1_forgedSignersFail(uint256 key, uint256 nonce) public {
        key = bound(key, 1, 1e60);
        vm.assume(!safe.isOwner(vm.addr(key)) && key != RESPONDER);
        fails(key, pauseCall, nonce, SafeEmergencyModule.BadAuth.selector);
        bytes[] memory sigs = sigBy(key, pauseCall, nonce);
        vm.expectRevert(SafeEmergencyModule.BadAuth.selector);
        module.exec(ISafe(address(safe)), address(target), pauseCall, nonce, FOREVER, list(vm.addr(RESPONDER)), sigs);
    }

    function testFuzz_M2_safeNonceIsUnchanged(uint256 nonce) public {
        bytes memory queued = signatures(address(0xbeef), "", op());
        uint256 before = safe.nonce();
        exec(RESPONDER, pauseCall, nonce);
        eq(safe.nonce(), before, "M2");
        safe.execTransaction(address(0xbeef), 0, "", op(), 0, 0, 0, address(0), payable(0), queued); // still valid
    }

    function test_M3_unpauseIsImpossible() public {
        exec(RESPONDER, pauseCall, 1);
        fails(RESPONDER, unpauseCall, 2, SafeEmergencyModule.NoRule.selector);
        fails(RESPONDER, abi.encodePacked(pauseCall, uint8(0)), 3, SafeEmergencyModule.NoRule.selector);
        yes(target.paused(), "M3");
    }

    function test_M4_disabledModuleHasNoEffect() public {
        bytes memory off = abi.encodeWithSignature("disableModule(address,address)", address(1), address(module));
        runCall(address(safe), off);
        bytes[] memory sigs = sigBy(RESPONDER, pauseCall, 1);
        vm.expectRevert();
        module.exec(
            ISafe(address(safe)), address(target), pauseCall, 1, FOREVER, list(vm.addr(RESPONDER)), sigs
        );
        yes(!target.paused() && !module.nonceUsed(address(safe), vm.addr(RESPONDER), 1), "M4");
    }

    function test_M5_replayIsImpossible() public {
        exec(RESPONDER, pauseCall, 1);
        runCall(address(target), unpauseCall);
        fails(RESPONDER, pauseCall, 1, SafeEmergencyModule.BadAuth.selector);
        bytes[] memory sigs = sigBy(RESPONDER, pauseCall, 2);
        runCall(address(module), abi.encodeCall(module.bumpEpoch, ()));
        vm.expectRevert(SafeEmergencyModule.BadAuth.selector);
        module.exec(ISafe(address(safe)), address(target), pauseCall, 2, FOREVER, list(vm.addr(RESPONDER)), sigs);
        vm.prank(vm.addr(RESPONDER));
        module.revokeNonce(address(safe), 3);
        fails(RESPONDER, pauseCall, 3, SafeEmergencyModule.BadAuth.selector);
    }

    function test_M5_anotherSafeIsAnotherScope() public {
        bytes[] memory sigs = sigBy(RESPONDER, pauseCall, 1);
        Safe first = safe;
        buildSafe(); // the same owners, another address
        yes(address(first) != address(safe), "two Safes");
        runCall(address(safe), abi.encodeWithSignature("enableModule(address)", address(module)));
        setRule(SafeEmergencyModule.Rule(1, false, 2, FOREVER));
        runCall(address(module), abi.encodeCall(module.setResponder, (vm.addr(RESPONDER), FOREVER)));
        vm.expectRevert(SafeEmergencyModule.BadAuth.selector);
        module.exec(ISafe(address(safe)), address(target), pauseCall, 1, FOREVER, list(vm.addr(RESPONDER)), sigs);
    }

    function test_chargesExpiryAndOwnersOnlyHold() public {
        exec(RESPONDER, pauseCall, 1);
        runCall(address(target), unpauseCall);
        exec(RESPONDER, pauseCall, 2);
        fails(RESPONDER, pauseCall, 3, SafeEmergencyModule.NoRule.selector); // charges
        setRule(SafeEmergencyModule.Rule(1, true, 1, FOREVER));
        fails(RESPONDER, pauseCall, 4, SafeEmergencyModule.BadAuth.selector); // owners only
        setRule(SafeEmergencyModule.Rule(2, false, 1, FOREVER));
        fails(RESPONDER, pauseCall, 5, SafeEmergencyModule.BadAuth.selector); // quorum
        vm.warp(START + 367 days);
        fails(ownerKeys[0], pauseCall, 6, SafeEmergencyModule.NoRule.selector); // term was cut
    }

    function test_failedTargetConsumesNothing() public {
        runCall(address(target), pauseCall); // a second pause reverts
        fails(RESPONDER, pauseCall, 1, SafeEmergencyModule.ExecFailed.selector);
        yes(!module.nonceUsed(address(safe), vm.addr(RESPONDER), 1), "nonce kept");
    }

    function test_worksUnderTheConfigGuard() public {
        SafeConfigGuard guard = new SafeConfigGuard();
        runCall(address(safe), abi.encodeWithSignature("setModuleGuard(address)", address(guard)));
        runCall(address(safe), abi.encodeWithSignature("setGuard(address)", address(guard)));
        exec(RESPONDER, pauseCall, 1);
        yes(target.paused(), "paused");
    }

    function op() internal pure returns (Enum.Operation) {
        return Enum.Operation.Call;
    }
}
