// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase, Host} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {GuardianSigners} from "../src/GuardianSigners.sol";
import {LegacyPausable} from "../drills/targets/LegacyPausable.sol";

/// @dev A contract that signs (ERC-1271) whatever its owner signed.
contract ContractSigner is GuardianBase {
    address internal immutable OWNER;

    constructor(address owner) {
        OWNER = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata sig) external view returns (bytes4) {
        (bytes32 r, bytes32 s, uint8 v) = (bytes32(sig[:32]), bytes32(sig[32:64]), uint8(sig[64]));
        return ecrecover(digest, v, r, s) == OWNER ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @dev Accepts the pause and stays open.
contract Deaf {
    function pauseFor(uint256) external {}

    function paused() external pure returns (bool) {
        return false;
    }
}

contract EmergencyGuardianTest is GuardianBase {
    EmergencyGuardian internal g;
    Host internal host;
    LegacyPausable internal old;
    uint256 internal constant A = 0xA11;
    uint256 internal constant B = 0xB22;
    bytes4 internal constant BAD = GuardianSigners.BadAuth.selector;

    function setUp() public {
        vm.warp(START);
        g = new EmergencyGuardian(address(this));
        host = new Host(address(g), address(this), 7 days);
        old = new LegacyPausable(address(this));
        old.setPauser(address(g), true);
        g.setAction("host", selfExpiring(address(host)));
        g.setAction("old", legacy(address(old)));
        g.setSigner(vm.addr(A), uint48(START + 90 days));
        g.setSigner(vm.addr(B), uint48(START + 90 days));
    }

    function refused(EmergencyGuardian.Auth memory a, address[] memory signers, bytes[] memory sigs, bytes4 why) internal {
        vm.expectRevert(why);
        g.pause(a, signers, sigs, 0);
        yes(!host.paused(), "still open");
        eq(g.chargesLeft("host"), CHARGES, "charges");
    }

    function refused(EmergencyGuardian.Auth memory a, uint256[] memory keys, bytes4 why) internal {
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keys);
        refused(a, signers, sigs, why);
    }

    function test_anyRelayerPausesAndThePauseEnds() public {
        submit(g, auth("host", 0, 1), keysOf(A));
        yes(host.paused() && g.targetPaused("host"), "paused");
        eq(g.pausedUntil("host"), START + SHORT, "until");
        vm.warp(START + SHORT);
        yes(!host.paused(), "over");
        g.liftExpired("host");
        eq(g.pausedUntil("host"), 0, "books");
        eq(g.lastEnded("host"), START + SHORT, "lastEnded");
    }

    function test_quorumGetsTheLongPauseAndMayExtend() public {
        submit(g, auth("host", 0, 1), keysOf(A));
        submit(g, auth("host", 1, 2), keysOf(A, B));
        eq(g.pausedUntil("host"), START + LONG, "extended");
        eq(host.guardianPausedUntil(), START + LONG, "at the target");
        submit(g, auth("old", 0, 3), keysOf(A));
        submit(g, auth("old", 1, 4), keysOf(A, B));
        eq(g.pausedUntil("old"), START + LONG, "legacy extended");
    }

    function testFuzz_G4_forgedSignatureFails(uint256 key, uint256 nonce) public {
        key = bound(key, 1, 1e60);
        vm.assume(key != A && key != B);
        EmergencyGuardian.Auth memory a = auth("host", 0, nonce);
        refused(a, list(vm.addr(A)), list(sign(key, g.hashAuth(a))), BAD);
        refused(a, keysOf(key), BAD); // a good signature of somebody who is no signer
    }

    function testFuzz_G4_anyOtherFieldVoidsTheSignature(uint8 field, uint48 x) public {
        EmergencyGuardian.Auth memory a = auth("host", 0, 1);
        a.notBefore = 1;
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A));
        field = field % 5;
        if (field == 0) a.actionId = "old";
        if (field == 1) a.tier = 1;
        if (field == 2) a.nonce = 2 + uint256(x);
        if (field == 3) a.notBefore = x % 2 == 0 ? 0 : 2;
        if (field == 4) a.deadline = uint48(bound(x, START, type(uint48).max - 1));
        refused(a, signers, sigs, BAD);
    }

    function testFuzz_G4_earlyLateAndWrongEpochFail(uint256 x) public {
        EmergencyGuardian.Auth memory a = auth("host", 0, 1);
        a.deadline = uint48(START - 1 - x % 1000);
        refused(a, keysOf(A), BAD);
        a = auth("host", 0, 1);
        a.notBefore = uint48(START + 1 + x % 1000);
        refused(a, keysOf(A), BAD);
        a = auth("host", 0, 1);
        g.bumpEpoch();
        refused(a, keysOf(A), BAD);
        a.epoch = 1;
        submit(g, a, keysOf(A));
    }

    function test_G4_replayedSignatureFails() public {
        EmergencyGuardian.Auth memory a = auth("host", 0, 1);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A));
        g.pause(a, signers, sigs, 0);
        vm.warp(START + SHORT + COOLDOWN);
        vm.expectRevert(BAD);
        g.pause(a, signers, sigs, 0);
        a = auth("host", 1, 1); // the nonce is gone for every tier
        (signers, sigs) = signed(g, a, keysOf(A, B));
        vm.expectRevert(BAD);
        g.pause(a, signers, sigs, 0);
    }

    function test_G4_duplicateUnsortedAndTooFewSignersFail() public {
        EmergencyGuardian.Auth memory a = auth("host", 1, 1);
        refused(a, keysOf(A), BAD);
        refused(a, keysOf(A, A), BAD);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A, B));
        (signers[0], signers[1], sigs[0], sigs[1]) = (signers[1], signers[0], sigs[1], sigs[0]);
        refused(a, signers, sigs, BAD);
        (signers, sigs) = signed(g, a, keysOf(A, B));
        refused(a, signers, list(sigs[0]), BAD);
        a.tier = 2;
        refused(a, keysOf(A, B), BAD);
    }

    function test_G4_expiredRemovedAndRevokedFail() public {
        vm.prank(vm.addr(A));
        g.revokeNonce(5);
        yes(g.nonceUsed(vm.addr(A), 5) && !g.nonceUsed(vm.addr(B), 5), "revoked");
        refused(auth("host", 0, 5), keysOf(A), BAD);
        g.setSigner(vm.addr(B), 0);
        refused(auth("host", 0, 6), keysOf(B), BAD);
        vm.warp(START + 90 days + 1);
        refused(auth("host", 0, 7), keysOf(A), BAD);
    }

    function testFuzz_G4_noncesAreIndependent(uint256 a, uint256 b) public {
        vm.assume(a != b);
        vm.startPrank(vm.addr(A));
        g.revokeNonce(a);
        yes(g.nonceUsed(vm.addr(A), a) && !g.nonceUsed(vm.addr(A), b), "one bit each");
        g.revokeNonce(b);
        eq(g.signerExpiry(vm.addr(A)), START + 90 days, "expiry shares a slot with low nonces");
        vm.expectRevert(BAD);
        g.revokeNonce(a);
    }

    function testFuzz_G5_starvedCallConsumesNothing(uint256 gasLimit, bool legacyOne) public {
        bytes32 id = legacyOne ? bytes32("old") : bytes32("host");
        EmergencyGuardian.Auth memory a = auth(id, 0, 9);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A));
        try g.pause{gas: bound(gasLimit, 5_000, 200_000)}(a, signers, sigs, 0) {}
        catch {
            eq(g.chargesLeft(id), CHARGES, "charge kept");
            yes(!g.nonceUsed(vm.addr(A), 9), "nonce kept");
            g.pause(a, signers, sigs, 0); // and it still works with enough gas
        }
        yes(g.targetPaused(id), "paused");
    }

    function test_G5_targetThatStaysOpenConsumesNothing() public {
        g.setAction("deaf", selfExpiring(address(new Deaf())));
        EmergencyGuardian.Auth memory a = auth("deaf", 0, 9);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A));
        vm.expectRevert(EmergencyGuardian.NotPaused.selector);
        g.pause(a, signers, sigs, 0);
        yes(!g.nonceUsed(vm.addr(A), 9) && g.chargesLeft("deaf") == CHARGES, "nothing burnt");
    }

    function test_G6_tierZeroNeitherStretchesNorRepeatsAtOnce() public {
        submit(g, auth("host", 0, 1), keysOf(A));
        EmergencyGuardian.Auth memory a = auth("host", 0, 2);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A));
        vm.expectRevert(EmergencyGuardian.AlreadyPaused.selector);
        g.pause(a, signers, sigs, 0);
        vm.warp(START + SHORT + COOLDOWN - 1);
        vm.expectRevert(EmergencyGuardian.Cooldown.selector);
        g.pause(a, signers, sigs, 0);
        vm.warp(START + SHORT + COOLDOWN);
        g.pause(a, signers, sigs, 0);
        eq(g.pausedUntil("host"), block.timestamp + SHORT, "second pause");
    }

    function test_G6_chargesRunOut() public {
        for (uint256 i; i < CHARGES; ++i) {
            submit(g, auth("host", 0, i), keysOf(A));
            vm.warp(block.timestamp + SHORT + COOLDOWN);
        }
        EmergencyGuardian.Auth memory a = auth("host", 0, 50);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(A));
        vm.expectRevert(EmergencyGuardian.NoCharges.selector);
        g.pause(a, signers, sigs, 0);
    }

    function test_G8_foreignPauseIsNotTakenOver() public {
        old.pause();
        host.setPaused(true);
        (address[] memory signers, bytes[] memory sigs) = signed(g, auth("old", 0, 1), keysOf(A));
        vm.expectRevert(EmergencyGuardian.AlreadyPaused.selector);
        g.pause(auth("old", 0, 1), signers, sigs, 0);
        (signers, sigs) = signed(g, auth("host", 1, 1), keysOf(A, B));
        vm.expectRevert(EmergencyGuardian.AlreadyPaused.selector);
        g.pause(auth("host", 1, 1), signers, sigs, 0);
        vm.expectRevert(EmergencyGuardian.NotExpired.selector);
        g.liftExpired("old");
        yes(old.paused() && host.paused(), "both stay");
    }

    function test_governanceLiftsOrAdopts() public {
        submit(g, auth("old", 0, 1), keysOf(A));
        g.lift("old");
        yes(!old.paused(), "lifted");
        vm.warp(START + COOLDOWN);
        submit(g, auth("old", 0, 2), keysOf(A));
        g.adopt("old");
        vm.warp(START + 30 days);
        vm.expectRevert(EmergencyGuardian.NotExpired.selector);
        g.liftExpired("old");
        yes(old.paused(), "adopted pauses stay");
        submit(g, auth("host", 0, 3), keysOf(A));
        vm.expectRevert(EmergencyGuardian.NoUnpause.selector);
        g.lift("host"); // governance opens a self-expiring target itself
        host.setPaused(false);
        g.lift("host");
    }

    function test_batchSkipsWhatIsBroken() public {
        g.setAction("deaf", selfExpiring(address(new Deaf())));
        EmergencyGuardian.Auth[] memory a = new EmergencyGuardian.Auth[](3);
        address[][] memory signers = new address[][](3);
        bytes[][] memory sigs = new bytes[][](3);
        (a[0], a[1], a[2]) = (auth("deaf", 0, 1), auth("host", 0, 2), auth("old", 0, 3));
        for (uint256 i; i < 3; ++i) {
            (signers[i], sigs[i]) = signed(g, a[i], keysOf(A));
        }
        eq(g.pauseMany(a, signers, sigs, "INC"), 2, "two of three");
        yes(host.paused() && old.paused() && g.chargesLeft("deaf") == CHARGES, "state");
        vm.expectRevert(BAD);
        g.pauseMany(a, signers, sigs, "INC");
    }

    function test_contractsSignThroughErc1271() public {
        ContractSigner c = new ContractSigner(vm.addr(0xC33));
        g.setSigner(address(c), type(uint48).max);
        eq(g.signerExpiry(address(c)), START + 366 days, "term is cut");
        EmergencyGuardian.Auth memory a = auth("host", 0, 300);
        g.pause(a, list(address(c)), list(sign(0xC33, g.hashAuth(a))), 0);
        yes(host.paused(), "paused");
    }

    function test_onlyGovernanceGoverns(address who) public {
        vm.assume(who != address(this));
        EmergencyGuardian.Action memory x = selfExpiring(address(host));
        bytes4 no = EmergencyGuardian.NotGovernance.selector;
        vm.startPrank(who);
        vm.expectRevert(no);
        g.setAction("host", x);
        vm.expectRevert(no);
        g.setSigner(who, 1);
        vm.expectRevert(no);
        g.bumpEpoch();
        vm.expectRevert(no);
        g.lift("host");
        vm.expectRevert(no);
        g.adopt("host");
    }

    function test_actionsAreValidated() public {
        EmergencyGuardian.Action memory x = selfExpiring(address(g));
        badAction(x);
        x = selfExpiring(address(host));
        x.longQuorum = 1;
        badAction(x);
        x = selfExpiring(address(host));
        x.shortDuration = 61 days;
        badAction(x);
        x = legacy(address(old));
        x.unpauseCall = "";
        badAction(x);
        x = selfExpiring(address(host));
        x.unpauseCall = abi.encodeWithSignature("unpause()");
        badAction(x);
        submit(g, auth("old", 0, 1), keysOf(A));
        x = selfExpiring(address(host));
        vm.expectRevert(EmergencyGuardian.AlreadyPaused.selector);
        g.setAction("old", x); // not while a pause is owned
    }

    function badAction(EmergencyGuardian.Action memory x) internal {
        vm.expectRevert(EmergencyGuardian.BadAction.selector);
        g.setAction("x", x);
    }
}
