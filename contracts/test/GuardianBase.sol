// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Base} from "./Base.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {GuardedPausable} from "../src/GuardedPausable.sol";

/// @dev The plainest host: one entry, one exit.
contract Host is GuardedPausable {
    address internal immutable G;
    address internal immutable GOV;
    uint256 internal immutable MAX;
    uint256 public entries;
    uint256 public exits;

    constructor(address guardian, address governance, uint256 max) {
        (G, GOV, MAX) = (guardian, governance, max);
    }

    function enter() external whenEntryOpen {
        ++entries;
    }

    function exit() external whenExitOpen {
        ++exits;
    }

    function _guardian() internal view override returns (address) {
        return G;
    }

    function _governance() internal view override returns (address) {
        return GOV;
    }

    function _maxGuardianPause() internal view override returns (uint256) {
        return MAX;
    }
}

/// @dev What the guardian tests share: actions of both kinds, signing.
abstract contract GuardianBase is Base {
    bytes4 internal constant PAUSE_FOR = 0xf3f449c7;
    uint48 internal constant SHORT = 6 hours;
    uint48 internal constant LONG = 3 days;
    uint48 internal constant COOLDOWN = 12 hours;
    uint8 internal constant CHARGES = 3;

    function selfExpiring(address target) internal pure returns (EmergencyGuardian.Action memory) {
        return EmergencyGuardian.Action({
            target: target,
            shortDuration: SHORT,
            longDuration: LONG,
            shortQuorum: 1,
            longQuorum: 2,
            charges: CHARGES,
            cooldown: COOLDOWN,
            selfExpiring: true,
            minGas: 60_000,
            pauseCall: abi.encodePacked(PAUSE_FOR),
            unpauseCall: "",
            statusCall: abi.encodeWithSignature("paused()")
        });
    }

    function legacy(address target) internal pure returns (EmergencyGuardian.Action memory a) {
        a = selfExpiring(target);
        a.selfExpiring = false;
        a.pauseCall = abi.encodeWithSignature("pause()");
        a.unpauseCall = abi.encodeWithSignature("unpause()");
    }

    function auth(bytes32 id, uint8 tier, uint256 nonce) internal pure returns (EmergencyGuardian.Auth memory) {
        return EmergencyGuardian.Auth(id, tier, nonce, 0, type(uint48).max, 0);
    }

    /// @dev Signs with every key, ascending.
    function signed(EmergencyGuardian g, EmergencyGuardian.Auth memory a, uint256[] memory keys)
        internal
        view
        returns (address[] memory signers, bytes[] memory sigs)
    {
        keys = sortKeys(keys);
        signers = new address[](keys.length);
        sigs = new bytes[](keys.length);
        bytes32 digest = g.hashAuth(a);
        for (uint256 i; i < keys.length; ++i) {
            (signers[i], sigs[i]) = (vm.addr(keys[i]), sign(keys[i], digest));
        }
    }

    function keysOf(uint256 a) internal pure returns (uint256[] memory keys) {
        keys = new uint256[](1);
        keys[0] = a;
    }

    function keysOf(uint256 a, uint256 b) internal pure returns (uint256[] memory keys) {
        keys = new uint256[](2);
        (keys[0], keys[1]) = (a, b);
    }

    /// @dev Signs and submits from an unrelated relayer.
    function submit(EmergencyGuardian g, EmergencyGuardian.Auth memory a, uint256[] memory keys) internal {
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keys);
        vm.prank(address(0xcafe));
        g.pause(a, signers, sigs, "INC");
    }
}
