// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Base} from "./Base.sol";
import {WithdrawalCircuitBreaker} from "../src/WithdrawalCircuitBreaker.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";
import {FeeToken} from "../drills/targets/FeeToken.sol";
import {GuardedPool} from "../drills/targets/GuardedPool.sol";

/// @dev One breaker over four pools: a token, a token with a 3 % transfer fee, ether, and a token that is not registered.
abstract contract BreakerBase is Base {
    address internal constant NATIVE = address(1);
    address internal constant GUARDIAN = address(0x6A);
    uint48 internal constant HOLD = 1 days;
    uint48 internal constant MAX_HOLD = 7 days;
    uint48 internal constant WINDOW = 1 days;

    WithdrawalCircuitBreaker internal breaker;
    address[4] internal assets;
    GuardedPool[4] internal pools;

    function build() internal {
        vm.warp(START);
        breaker = new WithdrawalCircuitBreaker(address(this), GUARDIAN, HOLD, MAX_HOLD);
        assets = [
            address(new DemoToken("T", "T", 18)),
            address(new FeeToken("F", "F", 300)),
            NATIVE,
            address(new DemoToken("U", "U", 18))
        ];
        address[] memory sources = new address[](4);
        for (uint256 i; i < 4; ++i) {
            pools[i] = new GuardedPool(assets[i], address(breaker), address(this), GUARDIAN, address(this), 7 days);
            sources[i] = address(pools[i]);
        }
        breaker.addProtectedContracts(sources);
        for (uint256 i; i < 3; ++i) {
            breaker.registerAsset(assets[i], 1000, 10e18, WINDOW, 1000e18);
        }
        for (uint256 i; i < 4; ++i) {
            fund(i, address(this), 1000e18);
        }
    }

    /// @dev Gives `who` the asset and deposits it.
    function fund(uint256 i, address who, uint256 amount) internal {
        give(i, who, amount);
        vm.startPrank(who);
        if (assets[i] == NATIVE) {
            pools[i].depositNative{value: amount}();
        } else {
            DemoToken(assets[i]).approve(address(pools[i]), amount);
            pools[i].deposit(amount);
        }
        vm.stopPrank();
    }

    function give(uint256 i, address who, uint256 amount) internal {
        if (assets[i] == NATIVE) vm.deal(who, who.balance + amount);
        else DemoToken(assets[i]).mint(who, amount);
    }

    function held(uint256 i, address who) internal view returns (uint256) {
        return assets[i] == NATIVE ? who.balance : DemoToken(assets[i]).balanceOf(who);
    }

    receive() external payable {}
}
