// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {BreakerBase} from "./BreakerBase.sol";
import {WithdrawalCircuitBreaker} from "../src/WithdrawalCircuitBreaker.sol";

contract BreakerHandler is BreakerBase {
    struct Flow {
        uint256 time;
        uint256 out;
        uint256 back;
        uint256 capacity;
    }

    Flow[][3] internal flows;
    bool public reverted; // a queueing withdrawal failed
    bool public crossTalk; // a flow of one asset changed the limit of another
    bool public astray; // a voided amount went elsewhere than to its source
    mapping(uint256 => bool) public voided;

    constructor() {
        build();
    }

    function deposit(uint8 asset, uint256 amount) external {
        uint256 i = asset % 4;
        bytes32 others = _others(i);
        fund(i, address(this), amount = bound(amount, 1, amount % 3 == 0 ? 300e18 : 10e18));
        if (i < 3) {
            uint256 arrived = i == 1 ? amount - amount * 300 / 10_000 : amount;
            flows[i].push(Flow(block.timestamp, 0, arrived, breaker.capacity(assets[i])));
        }
        if (others != _others(i)) crossTalk = true;
    }

    function withdraw(uint8 asset, uint256 amount, bool rev) external {
        uint256 i = asset % 4;
        uint256 balance = pools[i].balanceOf(address(this));
        if (balance != 0) _withdraw(i, bound(amount, 1, balance), rev);
    }

    /// @dev Many that fit singly: what a limit is for.
    function spree(uint8 asset, uint256 amount, uint8 times) external {
        uint256 i = asset % 3;
        for (uint256 n = times % 10; n != 0; --n) {
            uint256 part = bound(amount, 1, breaker.capacity(assets[i]) / 2 + 1);
            if (part <= pools[i].balanceOf(address(this))) _withdraw(i, part, n % 2 == 0);
        }
    }

    function _withdraw(uint256 i, uint256 amount, bool rev) private {
        bytes32 others = _others(i);
        uint256 claimsBefore = breaker.claimCount();
        try pools[i].withdraw(amount, address(0xbeef), rev) {
            if (breaker.claimCount() == claimsBefore && i < 3) {
                uint256 arrived = i == 1 ? amount - amount * 300 / 10_000 : amount;
                flows[i].push(Flow(block.timestamp, arrived, 0, breaker.capacity(assets[i])));
            }
        } catch {
            if (!rev) reverted = true;
        }
        if (others != _others(i)) crossTalk = true;
    }

    function claim(uint256 id) external {
        if (breaker.claimCount() != 0) try breaker.claim(id % breaker.claimCount()) {} catch {}
    }

    function extend(uint256 id, uint48 to) external {
        if (breaker.claimCount() == 0) return;
        id = id % breaker.claimCount();
        vm.prank(GUARDIAN);
        try breaker.extend(id, uint48(block.timestamp + to % (2 * MAX_HOLD))) {} catch {}
    }

    function voidClaim(uint256 id) external {
        if (breaker.claimCount() == 0) return;
        id = id % breaker.claimCount();
        WithdrawalCircuitBreaker.Claim memory c = breaker.claims(id);
        for (uint256 i; i < 3; ++i) {
            if (assets[i] != c.asset) continue;
            uint256 before = held(i, address(pools[i]));
            try breaker.voidClaim(id) {
                voided[id] = true;
                uint256 arrived = i == 1 ? c.amount - c.amount * 300 / 10_000 : c.amount;
                if (c.source != address(pools[i]) || held(i, c.source) != before + arrived) astray = true;
            } catch {}
        }
    }

    function skip(uint256 d) external {
        vm.warp(block.timestamp + d % 3 hours);
    }

    function core() external view returns (WithdrawalCircuitBreaker) {
        return breaker;
    }

    function assetAt(uint256 i) external view returns (address asset, uint256 atBreaker) {
        return (assets[i], held(i, address(breaker)));
    }

    function flowsOf(uint256 i) external view returns (Flow[] memory) {
        return flows[i];
    }

    function _others(uint256 i) private view returns (bytes32 all) {
        for (uint256 j; j < 3; ++j) {
            if (j != i) all = keccak256(abi.encode(all, breaker.limits(assets[j])));
        }
    }
}

contract BreakerInvariants is BreakerBase {
    BreakerHandler internal handler;
    WithdrawalCircuitBreaker internal core;

    function setUp() public {
        handler = new BreakerHandler();
        core = handler.core();
        vm.warp(START);
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    function invariant_B1_balanceEqualsOpenClaims() public view {
        uint256[4] memory open;
        for (uint256 id; id < core.claimCount(); ++id) {
            WithdrawalCircuitBreaker.Claim memory c = core.claims(id);
            for (uint256 i; i < 4; ++i) {
                (address asset,) = handler.assetAt(i);
                if (c.open && c.asset == asset) open[i] += c.amount;
            }
        }
        for (uint256 i; i < 4; ++i) {
            (address asset, uint256 atBreaker) = handler.assetAt(i);
            eq(atBreaker, open[i], "B1 balance");
            eq(core.lockedTotal(asset), open[i], "B1 books");
        }
    }

    function invariant_B2_netOutflowPerWindowIsBounded() public view {
        for (uint256 i; i < 3; ++i) {
            BreakerHandler.Flow[] memory f = handler.flowsOf(i);
            for (uint256 from; from < f.length; ++from) {
                int256 net;
                uint256 most;
                for (uint256 j = from; j < f.length && f[j].time < f[from].time + WINDOW; ++j) {
                    net += int256(f[j].out) - int256(f[j].back);
                    if (f[j].capacity > most) most = f[j].capacity;
                    yes(net <= int256(2 * most), "B2");
                }
            }
        }
    }

    function invariant_B3_openClaimsArePaidByTheHardRelease() public {
        vm.warp(block.timestamp + MAX_HOLD);
        for (uint256 id; id < core.claimCount(); ++id) {
            if (!core.claims(id).open) continue;
            core.claim(id);
            yes(!core.claims(id).open, "B3");
        }
    }

    function invariant_B4_releaseIsNeverAfterTheHardRelease() public view {
        for (uint256 id; id < core.claimCount(); ++id) {
            WithdrawalCircuitBreaker.Claim memory c = core.claims(id);
            le(c.releaseAt, c.hardReleaseAt, "B4");
            le(c.hardReleaseAt, block.timestamp + MAX_HOLD, "B4 hard");
        }
    }

    function invariant_B5_voidedClaimsReturnToTheirSource() public view {
        yes(!handler.astray(), "B5");
    }

    function invariant_B6_queueingNeverReverts() public view {
        yes(!handler.reverted(), "B6");
    }

    function invariant_B7_assetsShareNoLimit() public view {
        yes(!handler.crossTalk(), "B7");
    }
}
