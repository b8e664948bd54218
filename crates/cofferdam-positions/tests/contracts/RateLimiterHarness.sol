// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

import {RateLimiter} from "@openzeppelin/contracts/utils/RateLimiter.sol";

/// @notice Opens the internal functions of OpenZeppelin's RateLimiter, for comparison with our models.
contract RateLimiterHarness {
    using RateLimiter for RateLimiter.RefillingBucket;
    using RateLimiter for RateLimiter.SlidingWindow;

    RateLimiter.RefillingBucket private _bucket;
    RateLimiter.SlidingWindow private _window;

    function bucketSettings(uint48 window, uint208 capacity) external {
        _bucket.updateSettings(window, capacity);
    }

    function bucketConsume(bytes32 key, uint256 quantity) external returns (bool fits, uint256 used, uint256 available) {
        fits = _bucket.tryConsume(key, quantity);
        (used, available) = _bucket.state(key);
    }

    function bucketSync(bytes32 key) external {
        _bucket.sync(key);
    }

    function bucketReset(bytes32 key) external {
        _bucket.reset(key);
    }

    function windowSettings(uint48 window, uint208 limit) external {
        _window.updateSettings(window, limit);
    }

    function windowConsume(bytes32 key, uint256 quantity) external returns (bool fits, uint256 used, uint256 available) {
        fits = _window.tryConsume(key, quantity);
        (used, available) = _window.state(key);
    }

    function windowReset(bytes32 key) external {
        _window.reset(key);
    }
}
