// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @title GuardedPausable
/// @notice Mixin for a contract that must be stoppable in seconds by a guardian and only be kept stopped by governance.
/// The two sources of a pause are stored apart, so undoing one never undoes the other, and the guardian's expires by itself.
/// A pause closes entries only (deposits, borrows) or entries and exits; the host picks per function with
/// {whenEntryOpen} and {whenExitOpen}.
///
/// Who may call what, and the worst each caller can do:
/// - guardian: {pauseFor}, {pauseEntryFor}. Worst case: the host is shut for at most {maxGuardianPause} seconds after the
///   guardian's last call. It can never open what governance closed, shorten a pause, or move anything.
/// - governance: {setPaused}, {setPauseLevel}. Worst case: the host is shut until governance opens it.
/// - anyone: views.
///
/// Invariants: P1 the guardian can never make {paused} false. P2 guardianPausedUntil <= now + maxGuardianPause at the time of the
/// call. P3 with governance and guardian silent, {paused} is false after maxGuardianPause. P4 governance un-pausing always works
/// (no loop, no external call).
///
/// Storage is ERC-7201 namespaced and there is no constructor, so the mixin may be added to an upgradeable host.
abstract contract GuardedPausable {
    enum PauseLevel {
        None,
        EntryOnly,
        Full
    }

    /// @custom:storage-location erc7201:cofferdam.storage.GuardedPausable
    struct GuardedPausableStorage {
        uint48 entryUntil; // guardian: entries closed before this second
        uint48 exitUntil; // guardian: exits closed before this second; never later than entryUntil
        PauseLevel governanceLevel;
    }

    /// @notice No host may give its guardian a longer pause than this, in seconds.
    uint256 public constant GUARDIAN_PAUSE_CEILING = 60 days;

    // keccak256(abi.encode(uint256(keccak256("cofferdam.storage.GuardedPausable")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant GUARDED_PAUSABLE_SLOT =
        keccak256(abi.encode(uint256(keccak256("cofferdam.storage.GuardedPausable")) - 1)) & ~bytes32(uint256(0xff));

    /// @notice The guardian closed the host (entries at least) until `until` (unix seconds).
    event GuardianPaused(uint256 until);
    /// @notice Governance closed (true) or opened (false) the host.
    event GovernancePaused(bool paused);
    /// @notice The level that goes with the last {GovernancePaused}.
    event PauseLevelSet(PauseLevel level);

    error NotPauseGuardian(address caller);
    error NotPauseGovernance(address caller);
    error PauseTooLong(uint256 seconds_, uint256 max);
    error EntryPaused();
    error ExitPaused();

    /// @dev Deposits, mints, borrows: shut by any pause.
    modifier whenEntryOpen() {
        if (paused()) revert EntryPaused();
        _;
    }

    /// @dev Withdrawals, redemptions, repayments: shut by a full pause only.
    modifier whenExitOpen() {
        if (exitsPaused()) revert ExitPaused();
        _;
    }

    /// @notice Closes entries and exits for `seconds_` from now. Only ever extends; repeating it is harmless.
    function pauseFor(uint256 seconds_) external {
        _guardianPause(seconds_, true);
    }

    /// @notice Closes entries only for `seconds_` from now. Only ever extends.
    function pauseEntryFor(uint256 seconds_) external {
        _guardianPause(seconds_, false);
    }

    /// @notice Governance: true is a full pause without an end, false opens everything, the guardian's pause included.
    function setPaused(bool paused_) external {
        _governancePause(paused_ ? PauseLevel.Full : PauseLevel.None);
    }

    /// @notice Governance: as {setPaused}, with the entry-only step between (staged re-opening). EntryOnly opens the exits,
    /// also those the guardian had closed.
    function setPauseLevel(PauseLevel level) external {
        _governancePause(level);
    }

    /// @notice True while anything is paused.
    function paused() public view returns (bool) {
        GuardedPausableStorage storage s = _guardedPausable();
        return s.governanceLevel != PauseLevel.None || block.timestamp < s.entryUntil;
    }

    /// @notice True while exits are paused too.
    function exitsPaused() public view returns (bool) {
        GuardedPausableStorage storage s = _guardedPausable();
        return s.governanceLevel == PauseLevel.Full || block.timestamp < s.exitUntil;
    }

    /// @notice What is shut now, whoever shut it.
    function pauseLevel() external view returns (PauseLevel) {
        if (exitsPaused()) return PauseLevel.Full;
        return paused() ? PauseLevel.EntryOnly : PauseLevel.None;
    }

    /// @notice True while governance itself keeps the host paused (at either level).
    function governancePaused() external view returns (bool) {
        return _guardedPausable().governanceLevel != PauseLevel.None;
    }

    /// @notice End of the guardian's pause of entries, unix seconds.
    function guardianPausedUntil() external view returns (uint48) {
        return _guardedPausable().entryUntil;
    }

    /// @notice End of the guardian's pause of exits, unix seconds.
    function guardianExitsPausedUntil() external view returns (uint48) {
        return _guardedPausable().exitUntil;
    }

    function pauseGuardian() external view returns (address) {
        return _guardian();
    }

    function pauseGovernance() external view returns (address) {
        return _governance();
    }

    /// @notice Longest pause one guardian call can give, in seconds.
    function maxGuardianPause() public view returns (uint256) {
        uint256 max = _maxGuardianPause();
        return max < GUARDIAN_PAUSE_CEILING ? max : GUARDIAN_PAUSE_CEILING;
    }

    /// @dev Usually an EmergencyGuardian.
    function _guardian() internal view virtual returns (address);

    /// @dev Usually a timelock.
    function _governance() internal view virtual returns (address);

    /// @dev In seconds; cut to {GUARDIAN_PAUSE_CEILING}.
    function _maxGuardianPause() internal view virtual returns (uint256);

    function _guardianPause(uint256 seconds_, bool exitsToo) private {
        if (msg.sender != _guardian()) revert NotPauseGuardian(msg.sender);
        uint256 max = maxGuardianPause();
        if (seconds_ > max) revert PauseTooLong(seconds_, max);
        uint48 until = uint48(block.timestamp + seconds_); // the ceiling keeps this far below 2^48
        GuardedPausableStorage storage s = _guardedPausable();
        if (until > s.entryUntil) s.entryUntil = until;
        if (exitsToo && until > s.exitUntil) s.exitUntil = until;
        emit GuardianPaused(s.entryUntil);
    }

    function _governancePause(PauseLevel level) private {
        if (msg.sender != _governance()) revert NotPauseGovernance(msg.sender);
        GuardedPausableStorage storage s = _guardedPausable();
        s.governanceLevel = level;
        if (level != PauseLevel.Full) s.exitUntil = 0;
        if (level == PauseLevel.None) s.entryUntil = 0;
        emit GovernancePaused(level != PauseLevel.None);
        emit PauseLevelSet(level);
    }

    function _guardedPausable() private pure returns (GuardedPausableStorage storage s) {
        bytes32 slot = GUARDED_PAUSABLE_SLOT;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
