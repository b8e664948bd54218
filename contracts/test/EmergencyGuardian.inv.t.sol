// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase, Host} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";
import {LegacyPausable} from "../drills/targets/LegacyPausable.sol";

uint256 constant KEY_A = 0xA11;
uint256 constant KEY_B = 0xB22;
bytes32 constant HOST = "host"; // self-expiring
bytes32 constant OLD = "old"; // legacy

/// @dev Signers, thieves, relayers and governance acting in any order.
contract GuardianHandler is GuardianBase {
    EmergencyGuardian internal g;
    Host internal host;
    LegacyPausable internal old;
    address internal governance;
    uint256 internal nonce;
    mapping(bytes32 => uint256) public executed;
    mapping(bytes32 => uint256) public armed;
    bool public accepted; // a forged, replayed, early, late or misdirected authorisation
    bool public burnt; // a failed call consumed a nonce or charge
    bool public lifted; // a pause of governance's own was lifted

    constructor(EmergencyGuardian g_, Host host_, LegacyPausable old_, address governance_) {
        (g, host, old, governance) = (g_, host_, old_, governance_);
        (armed[HOST], armed[OLD]) = (CHARGES, CHARGES);
    }

    function pause(bool legacyOne, uint8 tier, bool second, uint24 gasLimit) external {
        bytes32 id = legacyOne ? OLD : HOST;
        tier = tier % 2;
        EmergencyGuardian.Auth memory a = auth(id, tier, nonce++);
        a.epoch = g.epoch();
        uint256[] memory keys = tier == 1 ? keysOf(KEY_A, KEY_B) : keysOf(second ? KEY_A : KEY_B);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keys);
        uint256 before = g.chargesLeft(id);
        bool foreign = host.governancePaused();
        try g.pause{gas: bound(gasLimit, 30_000, 400_000)}(a, signers, sigs, 0) {
            ++executed[id];
            _replay(a, signers, sigs);
        } catch {
            if (g.chargesLeft(id) != before || g.nonceUsed(signers[0], a.nonce)) burnt = true;
        }
        if (foreign && !host.governancePaused()) lifted = true;
    }

    function _replay(EmergencyGuardian.Auth memory a, address[] memory signers, bytes[] memory sigs) private {
        try g.pause(a, signers, sigs, 0) {
            accepted = true;
        } catch {}
    }

    /// @dev One thing is wrong with each of these.
    function forge(uint8 kind, uint256 x) external {
        EmergencyGuardian.Auth memory a = auth(HOST, 0, nonce++);
        a.epoch = g.epoch();
        uint256[] memory keys = keysOf(KEY_A);
        kind = kind % 6;
        if (kind == 0) a.epoch = a.epoch + 1 + uint32(x % 1000);
        if (kind == 1) a.deadline = uint48(block.timestamp - 1 - x % 1 days);
        if (kind == 2) a.notBefore = uint48(block.timestamp + 1 + x % 1 days);
        if (kind == 3) a.tier = uint8(bound(x, 1, 255)); // tier 1 short of a signature, or a tier that is none
        if (kind == 4) keys = keysOf(bound(x, 1, 1e30) == KEY_A ? 7 : bound(x, 1, 1e30));
        if (kind == 4 && (keys[0] == KEY_B)) return;
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keys);
        if (kind == 4) signers[0] = vm.addr(KEY_A);
        if (kind == 5) a.nonce += 1e18;
        try g.pause(a, signers, sigs, 0) {
            accepted = true;
        } catch {}
    }

    function liftExpired(bool legacyOne) external {
        bool foreign = host.governancePaused();
        vm.prank(address(0xdead));
        try g.liftExpired(legacyOne ? OLD : HOST) {} catch {}
        if (foreign && !host.governancePaused()) lifted = true;
    }

    function governancePauses(bool p) external {
        vm.prank(governance);
        host.setPaused(p);
    }

    function governanceActs(uint8 what, bool legacyOne) external {
        bytes32 id = legacyOne ? OLD : HOST;
        bool foreign = host.governancePaused();
        vm.startPrank(governance);
        if (what % 8 == 0) {
            g.bumpEpoch();
        } else if (what % 8 < 4) {
            try g.lift(id) {} catch {}
        } else if (what % 8 < 6) {
            try g.adopt(id) {} catch {}
        } else {
            EmergencyGuardian.Action memory a = g.getAction(id);
            armed[id] += CHARGES - a.charges;
            a.charges = CHARGES;
            g.setAction(id, a);
        }
        vm.stopPrank();
        if (foreign && !host.governancePaused()) lifted = true;
    }

    function skip(uint256 d) external {
        vm.warp(block.timestamp + d % 1 days);
    }
}

contract EmergencyGuardianInvariants is GuardianBase {
    EmergencyGuardian internal g;
    Host internal host;
    LegacyPausable internal old;
    DemoToken internal token;
    GuardianHandler internal handler;

    function setUp() public {
        vm.warp(START);
        g = new EmergencyGuardian(address(this));
        host = new Host(address(g), address(this), 7 days);
        old = new LegacyPausable(address(this));
        old.setPauser(address(g), true);
        g.setAction(HOST, selfExpiring(address(host)));
        g.setAction(OLD, legacy(address(old)));
        g.setSigner(vm.addr(KEY_A), type(uint48).max);
        g.setSigner(vm.addr(KEY_B), type(uint48).max);
        token = new DemoToken("T", "T", 18);
        token.mint(address(g), 5e18);
        vm.deal(address(g), 7 ether);
        handler = new GuardianHandler(g, host, old, address(this));
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    function invariant_G1_executedPlusChargesIsConstant() public view {
        eq(handler.executed(HOST) + g.chargesLeft(HOST), handler.armed(HOST), "G1 host");
        eq(handler.executed(OLD) + g.chargesLeft(OLD), handler.armed(OLD), "G1 old");
    }

    function invariant_G2_pausedUntilIsBounded() public view {
        le(g.pausedUntil(HOST), block.timestamp + LONG, "G2 host");
        le(g.pausedUntil(OLD), block.timestamp + LONG, "G2 old");
    }

    function invariant_G3_expiredPauseIsLiftableByAnyone() public {
        // An adopted self-expiring pause is no longer owned but still ends on time.
        if (g.pausedUntil(OLD) > block.timestamp) vm.warp(g.pausedUntil(OLD));
        if (g.pausedUntil(HOST) > block.timestamp) vm.warp(g.pausedUntil(HOST));
        if (host.guardianPausedUntil() > block.timestamp) vm.warp(host.guardianPausedUntil());
        vm.startPrank(address(0xdead));
        if (g.pausedUntil(OLD) != 0) {
            g.liftExpired(OLD);
            yes(!old.paused(), "G3 old still paused");
        }
        if (g.pausedUntil(HOST) != 0) g.liftExpired(HOST);
        yes(host.governancePaused() || !host.paused(), "G3 host still paused");
        eq(g.pausedUntil(OLD) + g.pausedUntil(HOST), 0, "G3 books");
    }

    function invariant_G4_nothingForgedIsAccepted() public view {
        yes(!handler.accepted(), "G4");
    }

    function invariant_G5_failingCallConsumesNothing() public view {
        yes(!handler.burnt(), "G5");
    }

    function invariant_G7_noFundsLeave() public view {
        eq(token.balanceOf(address(g)), 5e18, "G7 token");
        eq(address(g).balance, 7 ether, "G7 ether");
    }

    function invariant_G8_foreignPauseIsNeverLifted() public view {
        yes(!handler.lifted(), "G8");
    }
}

/// @dev One stolen tier-0 key against a self-expiring and a legacy target; the legacy one is lifted as soon as it may be.
contract ThiefHandler is GuardianBase {
    EmergencyGuardian internal g;
    Host internal host;
    LegacyPausable internal old;
    uint256 internal nonce;
    uint256 public hostDown;
    uint256 public oldDown;

    constructor(EmergencyGuardian g_, Host host_, LegacyPausable old_) {
        (g, host, old) = (g_, host_, old_);
    }

    function pause(bool legacyOne) external {
        EmergencyGuardian.Auth memory a = auth(legacyOne ? OLD : HOST, 0, nonce++);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keysOf(KEY_A));
        try g.pause(a, signers, sigs, 0) {} catch {}
    }

    /// @dev Time in steps of at most one pause, so that what is paused at the start of a step is measured exactly.
    function skip(uint256 d) external {
        d = bound(d, 1, SHORT);
        uint256 until = host.guardianPausedUntil();
        if (host.paused()) hostDown += until - block.timestamp < d ? until - block.timestamp : d;
        until = g.pausedUntil(OLD);
        bool down = old.paused();
        if (down) oldDown += until - block.timestamp < d ? until - block.timestamp : d;
        vm.warp(block.timestamp + d);
        if (down && block.timestamp >= until) g.liftExpired(OLD);
    }
}

contract EmergencyGuardianThief is GuardianBase {
    EmergencyGuardian internal g;
    ThiefHandler internal handler;

    function setUp() public {
        vm.warp(START);
        g = new EmergencyGuardian(address(this));
        Host host = new Host(address(g), address(this), 7 days);
        LegacyPausable old = new LegacyPausable(address(this));
        old.setPauser(address(g), true);
        g.setAction(HOST, selfExpiring(address(host)));
        g.setAction(OLD, legacy(address(old)));
        g.setSigner(vm.addr(KEY_A), type(uint48).max);
        handler = new ThiefHandler(g, host, old);
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    function invariant_G6_downtimeOfOneSignerIsBounded() public view {
        le(handler.hostDown(), uint256(CHARGES) * SHORT, "G6 host");
        le(handler.oldDown(), uint256(CHARGES) * SHORT, "G6 old");
    }
}
