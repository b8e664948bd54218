// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {Base} from "./Base.sol";
import {Host} from "./GuardianBase.sol";
import {GuardedPausable} from "../src/GuardedPausable.sol";
import {DemoVaultUUPS} from "../drills/targets/DemoVaultUUPS.sol";
import {DemoProxy} from "../drills/targets/DemoProxy.sol";

address constant GUARDIAN = address(0x6A);
address constant GOVERNANCE = address(0x60);
uint256 constant MAX = 7 days;

contract PausableHandler is Base {
    Host internal host;
    bool public guardianOpened;

    constructor(Host h) {
        host = h;
    }

    function guardianPause(uint256 seconds_, bool entryOnly) external {
        (bool before, bool exitsBefore) = (host.paused(), host.exitsPaused());
        vm.prank(GUARDIAN);
        if (entryOnly) try host.pauseEntryFor(seconds_ % (2 * MAX)) {} catch {}
        else try host.pauseFor(seconds_ % (2 * MAX)) {} catch {}
        if ((before && !host.paused()) || (exitsBefore && !host.exitsPaused())) guardianOpened = true;
    }

    /// @dev Everything else a guardian could try.
    function guardianMeddles(bool p, uint8 level) external {
        vm.startPrank(GUARDIAN);
        try host.setPaused(p) {
            guardianOpened = true;
        } catch {}
        try host.setPauseLevel(GuardedPausable.PauseLevel(level % 3)) {
            guardianOpened = true;
        } catch {}
        vm.stopPrank();
    }

    function govern(uint8 level) external {
        vm.prank(GOVERNANCE);
        host.setPauseLevel(GuardedPausable.PauseLevel(level % 3));
    }

    function skip(uint256 d) external {
        vm.warp(block.timestamp + d % 5 days);
    }
}

contract GuardedPausableTest is Base {
    Host internal host;
    PausableHandler internal handler;

    function setUp() public {
        vm.warp(START);
        host = new Host(GUARDIAN, GOVERNANCE, MAX);
        handler = new PausableHandler(host);
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    function invariant_P1_guardianNeverOpensWhatIsClosed() public view {
        yes(!handler.guardianOpened(), "P1");
    }

    function invariant_P2_guardianDeadlineIsBounded() public view {
        le(host.guardianPausedUntil(), block.timestamp + MAX, "P2");
        le(host.guardianExitsPausedUntil(), host.guardianPausedUntil(), "P2 exits");
    }

    function invariant_P3_pauseEndsWhenGovernanceIsSilent() public {
        if (host.governancePaused()) return;
        vm.warp(block.timestamp + MAX);
        yes(!host.paused() && !host.exitsPaused(), "P3");
    }

    function invariant_P4_governanceCanAlwaysOpen() public {
        vm.prank(GOVERNANCE);
        host.setPaused(false);
        yes(!host.paused() && !host.exitsPaused(), "P4");
        host.enter();
        host.exit();
    }

    function test_selectorIsTheSealableOne() public pure {
        yes(GuardedPausable.pauseFor.selector == 0xf3f449c7, "pauseFor");
    }

    function test_fullPauseShutsBothAndExpires() public {
        vm.prank(GUARDIAN);
        host.pauseFor(1 hours);
        vm.expectRevert(GuardedPausable.EntryPaused.selector);
        host.enter();
        vm.expectRevert(GuardedPausable.ExitPaused.selector);
        host.exit();
        vm.warp(block.timestamp + 1 hours);
        host.enter();
        host.exit();
    }

    function test_entryOnlyPauseLeavesExitsOpen() public {
        vm.prank(GUARDIAN);
        host.pauseEntryFor(1 hours);
        yes(host.paused() && !host.exitsPaused(), "level");
        yes(host.pauseLevel() == GuardedPausable.PauseLevel.EntryOnly, "pauseLevel");
        vm.expectRevert(GuardedPausable.EntryPaused.selector);
        host.enter();
        host.exit();
    }

    function test_governanceReopensInSteps() public {
        vm.prank(GUARDIAN);
        host.pauseFor(1 hours);
        vm.prank(GOVERNANCE);
        host.setPauseLevel(GuardedPausable.PauseLevel.EntryOnly);
        host.exit();
        vm.warp(block.timestamp + 30 days);
        vm.expectRevert(GuardedPausable.EntryPaused.selector);
        host.enter();
        vm.prank(GOVERNANCE);
        host.setPaused(false);
        host.enter();
    }

    function testFuzz_guardianOnlyExtends(uint256 a, uint256 b) public {
        (a, b) = (bound(a, 0, MAX), bound(b, 0, MAX));
        vm.startPrank(GUARDIAN);
        host.pauseFor(a);
        host.pauseFor(b);
        eq(host.guardianPausedUntil(), block.timestamp + (a > b ? a : b), "until");
    }

    function testFuzz_tooLongAndStrangersFail(uint256 seconds_, address who) public {
        vm.prank(GUARDIAN);
        vm.expectRevert();
        host.pauseFor(MAX + 1 + seconds_ % (type(uint256).max - MAX));
        vm.assume(who != GUARDIAN && who != GOVERNANCE);
        vm.startPrank(who);
        vm.expectRevert();
        host.pauseFor(1);
        vm.expectRevert();
        host.setPaused(true);
    }

    function test_ceilingCapsAGenerousHost() public {
        eq(new Host(GUARDIAN, GOVERNANCE, type(uint256).max).maxGuardianPause(), 60 days, "ceiling");
    }

    function test_storageIsErc7201AndSurvivesAnUpgrade() public {
        bytes32 slot = SlotDerivation.erc7201Slot("cofferdam.storage.GuardedPausable");
        DemoVaultUUPS.Config memory c =
            DemoVaultUUPS.Config(address(1), address(this), GUARDIAN, GOVERNANCE, address(0), MAX);
        DemoVaultUUPS vault = DemoVaultUUPS(
            address(new DemoProxy(address(new DemoVaultUUPS()), abi.encodeCall(DemoVaultUUPS.initialize, (c))))
        );
        vm.prank(GUARDIAN);
        vault.pauseFor(2 days);
        uint256 until = block.timestamp + 2 days;
        eq(uint256(vm.load(address(vault), slot)), until | until << 48, "slot");
        eq(uint256(vm.load(address(vault), 0)), 0, "slot 0 is left to the host");
        vault.upgradeToAndCall(address(new DemoVaultUUPS()), "");
        eq(vault.guardianPausedUntil(), until, "after upgrade");
    }
}
