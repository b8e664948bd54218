// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase, Host} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {LegacyPausable} from "../drills/targets/LegacyPausable.sol";

/// @notice What goes wrong with one shared pause flag, why {GuardedPausable} keeps two, and what governance must do in legacy mode.
contract HazardTest is GuardianBase {
    EmergencyGuardian internal g;
    LegacyPausable internal old;
    Host internal host;

    function setUp() public {
        vm.warp(START);
        g = new EmergencyGuardian(address(this));
        old = new LegacyPausable(address(this));
        old.setPauser(address(g), true);
        host = new Host(address(g), address(this), 7 days);
        g.setAction("old", legacy(address(old)));
        g.setAction("host", selfExpiring(address(host)));
        g.setSigner(vm.addr(0xA), type(uint48).max);
    }

    /// @dev Negative test: it asserts that the hazard EXISTS, so that nobody believes legacy mode is safe.
    function test_hazard_legacyStaleOwnershipUndoesGovernancePause() public {
        submit(g, auth("old", 0, 1), keysOf(0xA));
        old.unpause(); // governance opens at the target, behind the guardian's back
        vm.warp(START + 1 hours);
        old.pause(); // and closes again for a reason of its own
        vm.warp(START + SHORT);
        vm.prank(address(0xdead));
        g.liftExpired("old"); // the guardian still believes the pause is its own
        yes(!old.paused(), "the hazard is gone: update the documentation");
    }

    /// @dev The stale end of a long pause must not lengthen a later short one.
    function test_hazard_staleLongPauseGivesNoLongTierZeroPause() public {
        EmergencyGuardian.Action memory a = legacy(address(old));
        a.cooldown = 0;
        g.setAction("old", a);
        g.setSigner(vm.addr(0xB), type(uint48).max);
        submit(g, auth("old", 1, 1), keysOf(0xA, 0xB));
        old.unpause();
        vm.warp(START + 1 hours);
        submit(g, auth("old", 0, 2), keysOf(0xA));
        eq(g.pausedUntil("old"), START + 1 hours + SHORT, "short");
    }

    function test_hazard_liftOrAdoptRemovesIt() public {
        submit(g, auth("old", 0, 1), keysOf(0xA));
        g.lift("old"); // through the guardian instead
        vm.warp(START + 1 hours);
        old.pause();
        vm.warp(START + SHORT);
        vm.expectRevert(EmergencyGuardian.NotExpired.selector);
        g.liftExpired("old");
        yes(old.paused(), "stays");
    }

    function test_hazard_guardedPausableHasNone() public {
        submit(g, auth("host", 0, 1), keysOf(0xA));
        host.setPaused(false);
        vm.warp(START + 1 hours);
        host.setPaused(true);
        vm.warp(START + SHORT);
        g.liftExpired("host");
        yes(host.paused(), "stays");
    }
}
