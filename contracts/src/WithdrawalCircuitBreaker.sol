// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {OutflowMeter} from "./OutflowMeter.sol";

/// @title WithdrawalCircuitBreaker
/// @notice Limits what may leave protected contracts per asset and window; what exceeds the limit waits in a queue of claims that can
/// be looked at one by one ({OutflowMeter} has the limit's arithmetic). Function and event names follow the ERC-7265 draft; its
/// global lock, unseeded baseline, release to everybody and seize-all rescue are left out.
///
/// A protected contract transfers tokens here (or sends ether along) and calls onTokenOutflow / onNativeAssetOutflow. What really
/// arrived is measured, so tokens with a transfer fee work. Balances that shrink by themselves (negative rebases) are not supported.
///
/// Who may call what, and the worst each caller can do:
/// - anyone: {claim} pays a due claim to its recorded recipient. No other effect.
/// - protected contract: on*Inflow, on*Outflow. Worst case: sends its own funds out as fast as the limit allows and misreports
///   inflow, which gives back at most the capacity of that one asset.
/// - guardian: {extend}, {extendMany}. Worst case: claims are paid maxHold after they were made instead of hold.
/// - admin (a timelock): parameters, protected contracts, roles; {voidClaim} before a claim's hard release. Worst case: the limit is
///   switched off, or withdrawals above it go back to the protected contract they came from. It cannot send funds anywhere else.
///
/// Invariants: B1 token balance == sum of open claims (plus what strangers donated, which nobody can take out). B2 net outflow in any
/// window <= 2 x the highest capacity in it. B3 an open claim is claimable from hardReleaseAt on. B4 releaseAt <= hardReleaseAt.
/// B5 a voided amount goes to its source only. B6 with revertOnRateLimit false the limit never reverts. B7 one asset's breach does not
/// touch another. B8 deposit and withdrawal in one transaction gain no headroom. B9 unregistered assets pass one to one.
contract WithdrawalCircuitBreaker is OutflowMeter, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    struct Claim {
        address asset;
        uint48 releaseAt;
        uint48 hardReleaseAt;
        address recipient;
        bool open;
        address source;
        uint256 amount;
    }

    /// @notice Stands for the native asset.
    address public constant NATIVE = address(1);
    uint48 public constant MAX_HOLD_CEILING = 30 days;
    /// @notice Protected contracts at most; their balances are added up once per window.
    uint256 public constant MAX_PROTECTED = 8;

    /// @notice Seconds from queueing to release, and the latest to which a guardian may extend it.
    uint48 public immutable HOLD;
    uint48 public immutable MAX_HOLD;

    address public admin;
    address public pendingAdmin;
    address public guardian;
    uint256 public claimCount;
    mapping(address source => bool) public isProtectedContract;
    address[] private _protected;
    mapping(uint256 id => Claim) private _claims;

    event AssetWithdraw(address indexed asset, address indexed recipient, uint256 amount);
    event LockedFundsClaimed(address indexed asset, address indexed recipient);
    event AdminSet(address indexed newAdmin);
    event GuardianSet(address indexed guardian);
    event ProtectedContractSet(address indexed source, bool isProtected);
    event ClaimQueued(
        uint256 indexed id, address indexed asset, address indexed recipient, uint256 amount, uint256 releaseAt
    );
    event ClaimExtended(uint256 indexed id, uint256 releaseAt);
    event ClaimVoided(uint256 indexed id, address indexed returnedTo);

    error NotAdmin();
    error NotGuardian();
    error NotProtected();
    error RateLimited();
    error NotClaimable();
    error NativeTransferFailed();

    modifier onlyAdmin() {
        if (msg.sender != admin) revert NotAdmin();
        _;
    }

    modifier onlyProtected() {
        if (!isProtectedContract[msg.sender]) revert NotProtected();
        _;
    }

    constructor(address admin_, address guardian_, uint48 hold, uint48 maxHold) {
        if (admin_ == address(0) || hold == 0 || hold > maxHold || maxHold > MAX_HOLD_CEILING) revert BadParams();
        admin = admin_;
        guardian = guardian_;
        HOLD = hold;
        MAX_HOLD = maxHold;
        emit AdminSet(admin_);
        emit GuardianSet(guardian_);
    }

    /// @notice Credits the limit with what came in; `amount` must be what really arrived at the caller.
    function onTokenInflow(address token, uint256 amount) external onlyProtected {
        _credit(token, amount);
    }

    function onNativeAssetInflow(uint256 amount) external onlyProtected {
        _credit(NATIVE, amount);
    }

    /// @notice Passes on the tokens the caller transferred here beforehand, `amount` at most, or queues them for `recipient`.
    /// @param revertOnRateLimit revert instead of queueing
    function onTokenOutflow(address token, uint256 amount, address recipient, bool revertOnRateLimit)
        external
        onlyProtected
        nonReentrant
    {
        if (token == NATIVE) revert BadParams();
        uint256 arrived = IERC20(token).balanceOf(address(this)) - _limits[token].locked;
        _outflow(token, amount < arrived ? amount : arrived, recipient, revertOnRateLimit);
    }

    function onNativeAssetOutflow(address recipient, bool revertOnRateLimit) external payable onlyProtected nonReentrant {
        _outflow(NATIVE, msg.value, recipient, revertOnRateLimit);
    }

    /// @notice Pays a due claim to its recipient. Anyone may push it.
    function claim(uint256 id) external nonReentrant {
        Claim storage c = _claims[id];
        if (!c.open || block.timestamp < c.releaseAt) revert NotClaimable();
        _close(c);
        emit LockedFundsClaimed(c.asset, c.recipient);
        _send(c.asset, c.recipient, c.amount);
    }

    /// @notice Guardian puts a release off, at most to the claim's hardReleaseAt.
    function extend(uint256 id, uint48 to) external {
        if (msg.sender != guardian) revert NotGuardian();
        _extend(id, to);
    }

    /// @notice Guardian puts several releases off to the latest time each allows.
    function extendMany(uint256[] calldata ids) external {
        if (msg.sender != guardian) revert NotGuardian();
        for (uint256 i; i < ids.length; ++i) {
            if (_claims[ids[i]].open) _extend(ids[i], _claims[ids[i]].hardReleaseAt);
        }
    }

    /// @notice Admin returns a malicious claim to the protected contract it came from, before its hard release.
    function voidClaim(uint256 id) external onlyAdmin nonReentrant {
        Claim storage c = _claims[id];
        if (!c.open || block.timestamp >= c.hardReleaseAt) revert NotClaimable();
        _close(c);
        emit ClaimVoided(id, c.source);
        _send(c.asset, c.source, c.amount);
    }

    /// @param bps part of the reference TVL that may leave per window, in 1/10,000
    /// @param minAmount what may always leave per window, in units of the asset
    /// @param window seconds
    /// @param seedTvl reference TVL to start from
    function registerAsset(address asset, uint256 bps, uint256 minAmount, uint48 window, uint256 seedTvl) external onlyAdmin {
        if (_limits[asset].window != 0) revert BadParams();
        _setParams(asset, bps, minAmount, window);
        _seed(asset, seedTvl);
    }

    function updateAssetParams(address asset, uint256 bps, uint256 minAmount, uint48 window) external onlyAdmin {
        if (_limits[asset].window == 0) revert BadParams();
        _setParams(asset, bps, minAmount, window);
    }

    /// @notice Sets the reference TVL anew, e.g. after a refill faster than one doubling per window.
    function reseed(address asset, uint256 tvl) external onlyAdmin {
        if (_limits[asset].window == 0) revert BadParams();
        _seed(asset, tvl);
    }

    function addProtectedContracts(address[] calldata sources) external onlyAdmin {
        for (uint256 i; i < sources.length; ++i) {
            if (sources[i] == address(0) || isProtectedContract[sources[i]]) revert BadParams();
            isProtectedContract[sources[i]] = true;
            _protected.push(sources[i]);
            emit ProtectedContractSet(sources[i], true);
        }
        if (_protected.length > MAX_PROTECTED) revert BadParams();
    }

    function removeProtectedContracts(address[] calldata sources) external onlyAdmin {
        for (uint256 i; i < sources.length; ++i) {
            if (!isProtectedContract[sources[i]]) revert BadParams();
            isProtectedContract[sources[i]] = false;
            uint256 index;
            while (_protected[index] != sources[i]) ++index;
            _protected[index] = _protected[_protected.length - 1];
            _protected.pop();
            emit ProtectedContractSet(sources[i], false);
        }
    }

    function setGuardian(address newGuardian) external onlyAdmin {
        guardian = newGuardian;
        emit GuardianSet(newGuardian);
    }

    /// @notice First of two steps; the new admin confirms with {acceptAdmin}.
    function setAdmin(address newAdmin) external onlyAdmin {
        pendingAdmin = newAdmin;
    }

    function acceptAdmin() external {
        if (msg.sender != pendingAdmin) revert NotAdmin();
        admin = msg.sender;
        pendingAdmin = address(0);
        emit AdminSet(msg.sender);
    }

    function claims(uint256 id) external view returns (Claim memory) {
        return _claims[id];
    }

    function protectedContracts() external view returns (address[] memory) {
        return _protected;
    }

    function _outflow(address token, uint256 amount, address recipient, bool revertOnRateLimit) private {
        if (_consume(token, amount)) {
            emit AssetWithdraw(token, recipient, amount);
            _send(token, recipient, amount);
        } else {
            if (revertOnRateLimit) revert RateLimited();
            _queue(token, amount, recipient);
        }
    }

    function _queue(address token, uint256 amount, address recipient) private {
        uint48 releaseAt = uint48(block.timestamp) + HOLD;
        uint256 id = claimCount++;
        _claims[id] = Claim(token, releaseAt, uint48(block.timestamp) + MAX_HOLD, recipient, true, msg.sender, amount);
        _limits[token].locked += amount.toUint128();
        emit ClaimQueued(id, token, recipient, amount, releaseAt);
    }

    function _tvl(address asset) internal view override returns (uint256 sum) {
        for (uint256 i; i < _protected.length; ++i) {
            uint256 held = asset == NATIVE ? _protected[i].balance : IERC20(asset).balanceOf(_protected[i]);
            sum = held > type(uint256).max - sum ? type(uint256).max : sum + held;
        }
    }

    function _extend(uint256 id, uint48 to) private {
        Claim storage c = _claims[id];
        if (!c.open || to < c.releaseAt || to > c.hardReleaseAt) revert BadParams();
        c.releaseAt = to;
        emit ClaimExtended(id, to);
    }

    function _close(Claim storage c) private {
        c.open = false;
        _limits[c.asset].locked -= uint128(c.amount);
    }

    function _send(address token, address to, uint256 amount) private {
        if (token != NATIVE) return IERC20(token).safeTransfer(to, amount);
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert NativeTransferFailed();
    }
}
