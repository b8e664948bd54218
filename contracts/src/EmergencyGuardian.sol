// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {GuardianSigners} from "./GuardianSigners.sol";

/// @title EmergencyGuardian
/// @notice Holds the right to pause registered targets and exercises it on EIP-712 authorisations signed ahead of time.
/// Whoever holds a valid authorisation may submit it from any account; front-running a submission only does the same thing earlier.
///
/// Who may call what, and the worst each caller can do:
/// - anyone: {pause}, {pauseMany} with valid authorisations; {liftExpired} once a pause's time is over. Worst case: a pause its
///   signers authorised happens at a time of the submitter's choosing between notBefore and deadline.
/// - one compromised tier-0 signer: per action, at most `charges` pauses of `shortDuration`, each a `cooldown` apart.
/// - `longQuorum` compromised signers: per action, at most `charges` pauses of `longDuration`.
/// - a signer: {revokeNonce} burns its own nonce only.
/// - governance: registers actions and signers, re-arms charges, bumps the epoch, {lift}, {adopt}. Worst case: it registers a
///   harmful call on a target that trusts this contract; its calls are therefore to be behind a timelock.
/// No caller can choose calldata, send value, delegatecall, or take tokens or ether out: this contract holds none.
///
/// Invariants: G1 pauses done + charges left is constant between re-arms. G2 pausedUntil <= now + the longer duration. G3 a pause
/// owned by this contract can be lifted by anyone from pausedUntil on. G4 forged, expired, early, replayed, wrong-epoch and
/// duplicate-signer authorisations fail. G5 a call that fails consumes neither nonce nor charge. G6 one tier-0 signer causes at
/// most charges x shortDuration of downtime. G7 no token or ether leaves. G8 a pause made by somebody else is never lifted: always
/// true for `selfExpiring` actions; for legacy actions only while nobody lifts the target behind this contract's back (then call
/// {adopt} or {lift}).
contract EmergencyGuardian is EIP712, GuardianSigners, ReentrancyGuardTransient {
    struct Action {
        address target; // contract to pause
        uint48 shortDuration; // seconds granted by shortQuorum (tier 0)
        uint48 longDuration; // seconds granted by longQuorum (tier 1)
        uint8 shortQuorum; // signatures for tier 0, at least 1
        uint8 longQuorum; // signatures for tier 1, more than shortQuorum; 0 turns the tier off
        uint8 charges; // pauses left; re-armed by governance only
        uint48 cooldown; // tier 0: seconds between the end of one pause and the next
        bool selfExpiring; // true: the duration is appended to pauseCall; false: legacy, ended by unpauseCall
        uint32 minGas; // gas that must reach the target
        bytes pauseCall; // calldata, e.g. pauseFor's selector or pause()
        bytes unpauseCall; // legacy only, e.g. unpause()
        bytes statusCall; // static call returning a non-zero word while paused, e.g. paused()
    }

    struct Auth {
        bytes32 actionId;
        uint8 tier;
        uint256 nonce; // unordered, one bit per signer
        uint48 notBefore;
        uint48 deadline;
        uint32 epoch;
    }

    /// @dev An Action as stored: its numbers share a slot with the state of the pause, so that pausing writes one slot.
    struct Record {
        address target;
        uint48 shortDuration;
        uint48 longDuration;
        uint8 shortQuorum;
        uint8 longQuorum;
        uint8 charges;
        uint48 cooldown;
        bool selfExpiring;
        uint32 minGas;
        uint48 pausedUntil; // 0: no pause owned
        uint48 lastEnded;
        bytes pauseCall;
        bytes unpauseCall;
        bytes statusCall;
    }

    bytes32 public constant AUTH_TYPEHASH =
        keccak256("PauseAuth(bytes32 actionId,uint8 tier,uint256 nonce,uint48 notBefore,uint48 deadline,uint32 epoch)");
    /// @notice Longest pause an action may grant, in seconds.
    uint48 public constant MAX_DURATION = 60 days;
    uint256 private constant GAS_AFTER_CALL = 20_000; // status check and event after the target returned

    address public immutable GOVERNANCE;
    mapping(bytes32 actionId => Record) private _records;

    event ActionSet(bytes32 indexed actionId, address indexed target, uint8 charges);
    event PauseExecuted(bytes32 indexed actionId, bytes32 indexed incidentId, address relayer, uint48 until);
    event PauseLifted(bytes32 indexed actionId, address by);
    event PauseAdopted(bytes32 indexed actionId);
    event BatchItemFailed(uint256 indexed index, bytes32 indexed actionId);

    error NotGovernance();
    error BadAction();
    error NoCharges();
    error AlreadyPaused();
    error Cooldown();
    error LowGas();
    error CallFailed();
    error NotPaused();
    error NotExpired();
    error NoUnpause();

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        _;
    }

    constructor(address governance) EIP712("EmergencyGuardian", "1") {
        if (governance == address(0)) revert NotGovernance();
        GOVERNANCE = governance;
    }

    /// @notice Pauses one target. Any relayer may call it.
    /// @param a what the signers signed
    /// @param signersAsc the first quorum-many are used; strictly ascending addresses; contracts answer through ERC-1271
    /// @param sigs one per signer
    /// @param incidentId label for the event, not signed
    function pause(Auth calldata a, address[] calldata signersAsc, bytes[] calldata sigs, bytes32 incidentId)
        external
        nonReentrant
    {
        Record storage x = _records[a.actionId];
        if (x.charges == 0) revert NoCharges();
        bool extending = _checkState(x, a.tier);
        _checkAuth(x, a, signersAsc, sigs);

        uint48 duration = a.tier == 0 ? x.shortDuration : x.longDuration;
        uint48 until = uint48(block.timestamp) + duration;
        if (extending && until < x.pausedUntil) until = x.pausedUntil;
        --x.charges;
        x.pausedUntil = until;
        _callPause(x, duration, extending && !x.selfExpiring);
        emit PauseExecuted(a.actionId, incidentId, msg.sender, until);
    }

    /// @notice Best effort over several targets: a broken one does not hold up the others; reverts only if none succeeded.
    function pauseMany(Auth[] calldata a, address[][] calldata signersAsc, bytes[][] calldata sigs, bytes32 incidentId)
        external
        returns (uint256 ok)
    {
        if (signersAsc.length != a.length || sigs.length != a.length) revert BadAuth();
        for (uint256 i; i < a.length; ++i) {
            try this.pause(a[i], signersAsc[i], sigs[i], incidentId) {
                ++ok;
            } catch {
                emit BatchItemFailed(i, a[i].actionId);
            }
        }
        if (ok == 0) revert BadAuth();
    }

    /// @notice Ends a pause whose time is over. Anyone may call it. For self-expiring targets it only closes the books.
    function liftExpired(bytes32 id) external nonReentrant {
        Record storage x = _records[id];
        uint48 until = x.pausedUntil;
        if (until == 0 || block.timestamp < until) revert NotExpired();
        _close(x, x.selfExpiring ? until : uint48(block.timestamp));
        if (!x.selfExpiring) _callUnpause(x);
        emit PauseLifted(id, msg.sender);
    }

    /// @notice Governance ends a pause early. A self-expiring target is opened by governance at the target itself first; this then
    /// closes the books, and reverts while the target is still paused.
    function lift(bytes32 id) external onlyGovernance nonReentrant {
        Record storage x = _records[id];
        if (x.pausedUntil == 0) revert NotPaused();
        if (x.selfExpiring && _status(x)) revert NoUnpause();
        _close(x, uint48(block.timestamp));
        if (!x.selfExpiring) _callUnpause(x);
        emit PauseLifted(id, msg.sender);
    }

    /// @notice Governance takes a pause over: this contract no longer owns it and can no longer lift it. A self-expiring target
    /// still opens on time, unless governance also pauses it at the target.
    function adopt(bytes32 id) external onlyGovernance {
        Record storage x = _records[id];
        if (x.pausedUntil == 0) revert NotPaused();
        _close(x, uint48(block.timestamp));
        emit PauseAdopted(id);
    }

    /// @notice Registers or re-arms an action. The target cannot be changed while a pause is owned.
    function setAction(bytes32 id, Action calldata x) external onlyGovernance {
        if (x.target == address(0) || x.target == address(this) || x.shortQuorum == 0) revert BadAction();
        if (x.longQuorum != 0 && (x.longQuorum <= x.shortQuorum || x.longDuration < x.shortDuration)) revert BadAction();
        if (x.shortDuration == 0 || x.shortDuration > MAX_DURATION || x.longDuration > MAX_DURATION) revert BadAction();
        if (x.pauseCall.length < 4 || x.statusCall.length < 4) revert BadAction();
        // A legacy pause must be liftable (G3); a self-expiring one needs no power to unpause (G8).
        if (x.selfExpiring ? x.unpauseCall.length != 0 : x.unpauseCall.length < 4) revert BadAction();
        Record storage r = _records[id];
        if (r.pausedUntil != 0 && (r.target != x.target || r.selfExpiring != x.selfExpiring)) revert AlreadyPaused();
        (r.target, r.shortDuration, r.longDuration) = (x.target, x.shortDuration, x.longDuration);
        (r.shortQuorum, r.longQuorum, r.charges) = (x.shortQuorum, x.longQuorum, x.charges);
        (r.cooldown, r.selfExpiring, r.minGas) = (x.cooldown, x.selfExpiring, x.minGas);
        (r.pauseCall, r.unpauseCall, r.statusCall) = (x.pauseCall, x.unpauseCall, x.statusCall);
        emit ActionSet(id, x.target, x.charges);
    }

    /// @notice Admits, renews or (expiry in the past) removes a signer. Renewal is the signer's heartbeat, given after a drill.
    function setSigner(address signer, uint48 expiry) external onlyGovernance {
        _setSigner(signer, expiry);
    }

    /// @notice Voids every outstanding authorisation.
    function bumpEpoch() external onlyGovernance {
        _bumpEpoch();
    }

    function getAction(bytes32 id) external view returns (Action memory a) {
        Record storage r = _records[id];
        (a.target, a.shortDuration, a.longDuration) = (r.target, r.shortDuration, r.longDuration);
        (a.shortQuorum, a.longQuorum, a.charges) = (r.shortQuorum, r.longQuorum, r.charges);
        (a.cooldown, a.selfExpiring, a.minGas) = (r.cooldown, r.selfExpiring, r.minGas);
        (a.pauseCall, a.unpauseCall, a.statusCall) = (r.pauseCall, r.unpauseCall, r.statusCall);
    }

    function chargesLeft(bytes32 id) external view returns (uint8) {
        return _records[id].charges;
    }

    /// @notice End of the pause this contract owns, unix seconds; 0 if it owns none.
    function pausedUntil(bytes32 id) external view returns (uint48) {
        return _records[id].pausedUntil;
    }

    /// @notice When the last owned pause ended, unix seconds.
    function lastEnded(bytes32 id) external view returns (uint48) {
        return _records[id].lastEnded;
    }

    /// @notice What the target itself answers to statusCall; false also if it does not answer.
    function targetPaused(bytes32 id) external view returns (bool) {
        return _status(_records[id]);
    }

    /// @notice The EIP-712 digest signers sign.
    function hashAuth(Auth calldata a) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(abi.encode(AUTH_TYPEHASH, a.actionId, a.tier, a.nonce, a.notBefore, a.deadline, a.epoch))
        );
    }

    /// @dev A pause may only be extended by tier 1, and only if it is ours; tier 0 also waits for the cooldown.
    function _checkState(Record storage x, uint8 tier) private view returns (bool extending) {
        uint48 until = x.pausedUntil;
        extending = _status(x);
        if (extending) {
            bool ours = until != 0 && (!x.selfExpiring || block.timestamp < until);
            if (!ours || tier == 0) revert AlreadyPaused();
        } else if (tier == 0) {
            uint256 ended = x.lastEnded;
            // Not paused though the books say so: it expired, or was opened at the target. It ended at `until` at the latest.
            if (until > ended) ended = until < block.timestamp ? until : block.timestamp;
            if (ended != 0 && block.timestamp < ended + x.cooldown) revert Cooldown();
        }
    }

    function _checkAuth(Record storage x, Auth calldata a, address[] calldata signers, bytes[] calldata sigs) private {
        if (a.tier > 1 || block.timestamp < a.notBefore || block.timestamp > a.deadline || a.epoch != epoch) revert BadAuth();
        _useSignatures(hashAuth(a), a.tier == 0 ? x.shortQuorum : x.longQuorum, a.nonce, signers, sigs);
    }

    function _callPause(Record storage x, uint48 duration, bool skipCall) private {
        bytes memory data = x.pauseCall;
        if (x.selfExpiring) data = abi.encodePacked(data, abi.encode(uint256(duration)));
        // A relayer must not be able to starve the target of gas and have it swallow the failure.
        if (gasleft() < uint256(x.minGas) * 64 / 63 + GAS_AFTER_CALL) revert LowGas();
        if (!skipCall && !LowLevelCall.callNoReturn(x.target, data)) revert CallFailed();
        if (!_status(x)) revert NotPaused();
    }

    function _callUnpause(Record storage x) private {
        if (_status(x) && !LowLevelCall.callNoReturn(x.target, x.unpauseCall)) revert CallFailed();
    }

    function _close(Record storage x, uint48 ended) private {
        (x.pausedUntil, x.lastEnded) = (0, ended);
    }

    function _status(Record storage x) private view returns (bool) {
        (bool ok, bytes32 word,) = LowLevelCall.staticcallReturn64Bytes(x.target, x.statusCall);
        return ok && LowLevelCall.returnDataSize() >= 32 && word != 0;
    }
}
