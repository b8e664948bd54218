// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title OutflowMeter
/// @notice The arithmetic of {WithdrawalCircuitBreaker}: one leaky bucket per asset, whose capacity follows a reference TVL. Moves
/// nothing and knows no roles.
///
/// capacity = max(minAmount, bps x refTvl). Outflow fills `used`, which drains by one capacity per window and by what flows in.
/// refTvl is taken at most once per window, before an outflow, and at most doubles: a flash deposit buys no capacity.
///
/// Who may call what: views only; everything else is internal. Bounds: B2 net outflow in any window <= 2 x the highest capacity in it
/// (a full bucket plus one window of draining); B7 assets share no state; B8 inflow credits `used` down to zero, never
/// beyond, and an outflow that does not fit takes such credit back: depositing and withdrawing again gains no headroom.
abstract contract OutflowMeter {
    using SafeCast for uint256;

    struct Limit {
        uint128 used; // of the capacity, as of `last`
        uint48 last;
        uint48 trippedAt; // first breach since an outflow last fitted; 0 if none
        uint128 refTvl;
        uint48 sampledAt;
        uint32 window; // seconds; 0: not registered
        uint16 bps;
        uint128 minAmount;
        uint128 locked; // sum of open claims, kept by the breaker
        uint128 credited; // what inflow took off `used`, as of `creditedAt`
        uint48 creditedAt;
    }

    /// @notice Longest window, in seconds.
    uint32 public constant MAX_WINDOW = 30 days;

    mapping(address asset => Limit) internal _limits;

    event AssetRegistered(address indexed asset, uint256 metricThreshold, uint256 minAmountToLimit);
    event AssetInflow(address indexed token, uint256 indexed amount);
    event AssetRateLimitBreached(address indexed asset, uint256 timestamp);
    event TvlSampled(address indexed asset, uint256 refTvl);

    error BadParams();

    /// @notice What may leave in one window starting from an empty bucket, in units of the asset.
    function capacity(address asset) public view returns (uint256) {
        Limit storage l = _limits[asset];
        uint256 part = uint256(l.refTvl) * l.bps / 10_000;
        return part > l.minAmount ? part : l.minAmount;
    }

    /// @notice What may leave now; unlimited for an unregistered asset.
    function available(address asset) external view returns (uint256) {
        Limit storage l = _limits[asset];
        if (l.window == 0) return type(uint256).max;
        uint256 cap = capacity(asset);
        uint256 used = _usedNow(l, cap);
        return cap > used ? cap - used : 0;
    }

    /// @notice True from a breach until an outflow fits again.
    function isRateLimitTriggered(address asset) external view returns (bool) {
        return _limits[asset].trippedAt != 0;
    }

    /// @notice Sum of the open claims.
    function lockedTotal(address asset) external view returns (uint256) {
        return _limits[asset].locked;
    }

    function limits(address asset) external view returns (Limit memory) {
        return _limits[asset];
    }

    /// @dev Balance of `asset` over everything protected.
    function _tvl(address asset) internal view virtual returns (uint256);

    /// @dev Counts the outflow and returns true if it fits; otherwise leaves `used` alone and marks the breach.
    function _consume(address asset, uint256 amount) internal returns (bool) {
        Limit storage l = _limits[asset];
        if (l.window == 0) return true;
        _sample(asset, l, amount);
        uint256 cap = capacity(asset);
        uint256 used = _usedNow(l, cap);
        if (amount > cap || used > cap - amount) {
            _uncredit(l, amount, used, cap);
            if (l.trippedAt == 0) {
                l.trippedAt = uint48(block.timestamp);
                emit AssetRateLimitBreached(asset, block.timestamp);
            }
            return false;
        }
        l.used = uint128(used + amount);
        l.last = uint48(block.timestamp);
        l.trippedAt = 0;
        return true;
    }

    function _credit(address asset, uint256 amount) internal {
        Limit storage l = _limits[asset];
        if (l.window != 0) {
            uint256 cap = capacity(asset);
            uint256 used = _usedNow(l, cap);
            uint256 credit = amount < used ? amount : used;
            if (credit != 0) {
                uint256 sum = _less(l.credited, l.creditedAt, cap, l.window) + credit;
                l.credited = uint128(sum < cap ? sum : cap); // more than one bucket is never taken back
                l.creditedAt = uint48(block.timestamp);
            }
            l.used = uint128(used - credit);
            l.last = uint48(block.timestamp);
        }
        emit AssetInflow(asset, amount);
    }

    function _setParams(address asset, uint256 bps, uint256 minAmount, uint48 window) internal {
        if (asset == address(0) || bps == 0 || bps > 10_000 || window == 0 || window > MAX_WINDOW) revert BadParams();
        Limit storage l = _limits[asset];
        if (l.window != 0) _drain(asset, l);
        (l.bps, l.minAmount, l.window) = (uint16(bps), minAmount.toUint128(), uint32(window));
        emit AssetRegistered(asset, bps, minAmount);
    }

    function _seed(address asset, uint256 tvl) internal {
        if (tvl == 0) revert BadParams(); // from zero, doubling would never get anywhere
        Limit storage l = _limits[asset];
        _drain(asset, l);
        l.refTvl = tvl.toUint128();
        l.sampledAt = uint48(block.timestamp);
        emit TvlSampled(asset, tvl);
    }

    function _sample(address asset, Limit storage l, uint256 amount) private {
        if (block.timestamp < uint256(l.sampledAt) + l.window || amount == 0) return;
        uint256 held = _tvl(asset);
        uint256 tvl = held > type(uint256).max - amount ? type(uint256).max : held + amount;
        uint256 most = uint256(l.refTvl) * 2;
        if (most > type(uint128).max) most = type(uint128).max;
        if (tvl > most) tvl = most;
        _drain(asset, l);
        l.refTvl = uint128(tvl);
        l.sampledAt = uint48(block.timestamp);
        emit TvlSampled(asset, tvl);
    }

    /// @dev Settles the draining of the past at the capacity of the past, before that changes.
    function _drain(address asset, Limit storage l) private {
        l.used = uint128(_usedNow(l, capacity(asset)));
        l.last = uint48(block.timestamp);
    }

    /// @dev Without this, a deposit would free the bucket and its withdrawal, too large to fit, would not fill it again.
    function _uncredit(Limit storage l, uint256 amount, uint256 used, uint256 cap) private {
        uint256 credit = _less(l.credited, l.creditedAt, cap, l.window);
        if (credit == 0) return;
        uint256 taken = amount < credit ? amount : credit;
        l.credited = uint128(credit - taken);
        l.creditedAt = uint48(block.timestamp);
        if (used >= cap) return;
        l.used = uint128(used + taken < cap ? used + taken : cap);
        l.last = uint48(block.timestamp);
    }

    function _usedNow(Limit storage l, uint256 cap) private view returns (uint256) {
        return _less(l.used, l.last, cap, l.window);
    }

    /// @dev `amount` as of `since`, drained at one capacity per window.
    function _less(uint256 amount, uint256 since, uint256 cap, uint256 window) private view returns (uint256) {
        uint256 drained = (block.timestamp - since) * cap / window;
        return drained >= amount ? 0 : amount - drained;
    }
}
