// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {BreakerBase} from "./BreakerBase.sol";
import {OutflowMeter} from "../src/OutflowMeter.sol";
import {WithdrawalCircuitBreaker} from "../src/WithdrawalCircuitBreaker.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";

/// @dev Takes no ether.
contract Refuser {}

/// @dev Calls back into the breaker when paid.
contract Reenterer {
    WithdrawalCircuitBreaker internal immutable B;
    bool public tried;
    bool public worked;

    constructor(WithdrawalCircuitBreaker b) {
        B = b;
    }

    receive() external payable {
        tried = true;
        try B.claim(0) {
            worked = true;
        } catch {}
    }
}

contract BreakerTest is BreakerBase {
    address internal constant BAD = address(0xbad);

    function setUp() public {
        build();
    }

    function drain(uint256 i, uint256 amount) internal {
        pools[i].operatorWithdraw(address(this), amount, BAD);
    }

    function test_drainIsCutToTheCapacityAndTheRestWaits() public {
        for (uint256 i; i < 3; ++i) {
            drain(i, 100e18);
            uint256 paid = held(i, BAD);
            uint256 rest = pools[i].balanceOf(address(this));
            drain(i, rest);
            eq(held(i, BAD), paid, "nothing more");
            yes(breaker.isRateLimitTriggered(assets[i]), "tripped");
            breaker.voidClaim(i);
            eq(breaker.lockedTotal(assets[i]), 0, "returned");
        }
        // 3 % fee: 97 arrive at the breaker, 94.09 at the recipient.
        eq(held(1, BAD), 94.09e18, "fee token");
        eq(held(2, BAD), 100e18, "ether");
    }

    function test_smallWithdrawalsStillFlowWhileALargeOneWaits() public {
        drain(0, 500e18);
        pools[0].withdraw(20e18, address(0xbeef), false);
        eq(held(0, address(0xbeef)), 20e18, "small one");
        yes(!breaker.isRateLimitTriggered(assets[0]), "fits again");
    }

    function test_revertModeReverts() public {
        vm.expectRevert(WithdrawalCircuitBreaker.RateLimited.selector);
        pools[0].withdraw(101e18, BAD, true);
        pools[0].withdraw(100e18, BAD, true);
    }

    function test_theBucketDrainsOverAWindow() public {
        drain(0, 100e18);
        eq(breaker.available(assets[0]), 0, "full");
        vm.warp(START + WINDOW / 2);
        eq(breaker.available(assets[0]), 50e18, "half");
        fund(0, address(this), 30e18);
        eq(breaker.available(assets[0]), 80e18, "inflow");
    }

    function test_claimWaitsForTheHoldAndAnyonePushesIt() public {
        drain(0, 500e18);
        vm.warp(START + HOLD - 1);
        vm.expectRevert(WithdrawalCircuitBreaker.NotClaimable.selector);
        breaker.claim(0);
        vm.warp(START + HOLD);
        vm.prank(address(0xdead));
        breaker.claim(0);
        eq(held(0, BAD), 500e18, "paid to the recorded recipient");
        vm.expectRevert(WithdrawalCircuitBreaker.NotClaimable.selector);
        breaker.claim(0);
    }

    function test_B3_guardianExtendsToTheHardReleaseOnly() public {
        drain(0, 500e18);
        vm.expectRevert(WithdrawalCircuitBreaker.NotGuardian.selector);
        breaker.extend(0, uint48(START + 2 days));
        vm.startPrank(GUARDIAN);
        vm.expectRevert(OutflowMeter.BadParams.selector);
        breaker.extend(0, uint48(START + MAX_HOLD + 1));
        uint256[] memory ids = new uint256[](1);
        breaker.extendMany(ids);
        vm.expectRevert(OutflowMeter.BadParams.selector);
        breaker.extend(0, uint48(START + 2 days)); // never forward
        vm.stopPrank();
        vm.warp(START + MAX_HOLD);
        vm.expectRevert(WithdrawalCircuitBreaker.NotClaimable.selector);
        breaker.voidClaim(0); // too late
        breaker.claim(0);
        eq(held(0, BAD), 500e18, "paid");
    }

    function test_B5_voidedEtherReturnsToThePool() public {
        uint256 before = address(pools[2]).balance;
        drain(2, 500e18);
        vm.prank(GUARDIAN);
        vm.expectRevert(WithdrawalCircuitBreaker.NotAdmin.selector);
        breaker.voidClaim(0);
        breaker.voidClaim(0);
        eq(address(pools[2]).balance, before, "back");
    }

    function test_B7_oneBreachDoesNotTouchAnotherAsset() public {
        drain(0, 900e18);
        eq(breaker.available(assets[2]), 100e18, "ether untouched");
        drain(2, 100e18);
        eq(BAD.balance, 100e18, "flows");
    }

    function testFuzz_B6_hugeAmountsQueue(uint96 extra) public {
        fund(0, address(this), extra);
        uint256 all = pools[0].balanceOf(address(this));
        drain(0, all);
        eq(breaker.lockedTotal(assets[0]), all, "queued");
    }

    function testFuzz_B8_flashDepositGainsNoHeadroom(uint96 flash, uint96 spent, uint8 asset) public {
        uint256 i = asset % 3;
        uint256 first = bound(spent, 0, 100e18);
        if (first != 0) drain(i, first);
        vm.warp(START + 3 * WINDOW); // a sample is due, the flash deposit may show in it
        uint256 before = breaker.available(assets[i]);
        give(i, BAD, flash);
        vm.startPrank(BAD);
        uint256 balance = pools[i].balanceOf(BAD);
        if (i == 2) {
            pools[i].depositNative{value: flash}();
        } else {
            DemoToken(assets[i]).approve(address(pools[i]), flash);
            pools[i].deposit(flash);
        }
        if (pools[i].balanceOf(BAD) > balance) pools[i].withdraw(pools[i].balanceOf(BAD), BAD, false);
        vm.stopPrank();
        // At best the honest growth of the reference is found: never more than one doubling.
        le(breaker.available(assets[i]), 2 * before, "B8 doubling");
        vm.warp(block.timestamp + 1);
        uint256 now_ = breaker.available(assets[i]);
        give(i, BAD, flash);
        uint256 cap = breaker.capacity(assets[i]);
        fundAndLeave(i, flash);
        eq(breaker.capacity(assets[i]), cap, "B8 sampled once per window");
        le(breaker.available(assets[i]), now_ > cap ? now_ : cap, "B8 headroom");
    }

    function fundAndLeave(uint256 i, uint256 amount) internal {
        if (amount == 0) return;
        fund(i, address(0xf1a5), amount);
        uint256 balance = pools[i].balanceOf(address(0xf1a5));
        vm.prank(address(0xf1a5));
        pools[i].withdraw(balance, address(0xf1a5), false);
    }

    function testFuzz_B8_sameTransactionRoundTripAddsNothing(uint96 amount, uint96 spent) public {
        spent = uint96(bound(spent, 0, 100e18));
        if (spent != 0) drain(0, spent);
        uint256 before = breaker.available(assets[0]);
        fundAndLeave(0, amount);
        le(breaker.available(assets[0]), before > 0 ? before : 0, "B8");
    }

    function testFuzz_B9_unregisteredAssetPassesOneToOne(uint96 amount) public {
        uint256 x = bound(amount, 1, 1000e18);
        pools[3].withdraw(x, BAD, true);
        eq(held(3, BAD), x, "B9");
        eq(held(3, address(breaker)), 0, "B9 nothing stays");
        eq(breaker.available(assets[3]), type(uint256).max, "B9 unlimited");
    }

    function test_referenceFollowsTheTvlButAtMostDoubles() public {
        fund(0, address(this), 9000e18);
        eq(breaker.capacity(assets[0]), 100e18, "not yet");
        vm.warp(START + WINDOW);
        pools[0].withdraw(1e18, BAD, false);
        eq(breaker.capacity(assets[0]), 200e18, "doubled");
        vm.warp(START + 2 * WINDOW);
        pools[0].withdraw(1e18, BAD, false);
        eq(breaker.capacity(assets[0]), 400e18, "doubled again");
        breaker.reseed(assets[0], 9998e18);
        eq(breaker.capacity(assets[0]), 999.8e18, "reseeded by the admin");
    }

    function test_donationsNeitherHelpNorLock() public {
        DemoToken(assets[0]).mint(address(breaker), 50e18);
        drain(0, 100e18);
        eq(held(0, BAD), 100e18, "only what was withdrawn");
        drain(0, 200e18);
        eq(breaker.claims(0).amount, 200e18, "claim");
        breaker.voidClaim(0);
        eq(held(0, address(breaker)), 50e18, "the gift stays where it is");
    }

    function test_recipientThatRefusesEtherCanBeVoided() public {
        address refuser = address(new Refuser());
        pools[2].withdraw(500e18, refuser, false);
        vm.warp(START + HOLD);
        vm.expectRevert(WithdrawalCircuitBreaker.NativeTransferFailed.selector);
        breaker.claim(0);
        breaker.voidClaim(0);
    }

    function test_claimsAreNotReentered() public {
        Reenterer r = new Reenterer(breaker);
        pools[2].withdraw(500e18, address(r), false);
        vm.warp(START + HOLD);
        breaker.claim(0);
        yes(r.tried() && !r.worked(), "blocked");
        eq(address(r).balance, 500e18, "paid once");
    }

    function test_onlyProtectedContractsAndAdmin(address who) public {
        vm.assume(who != address(this) && !breaker.isProtectedContract(who));
        address[] memory none = new address[](0);
        vm.startPrank(who);
        vm.expectRevert(WithdrawalCircuitBreaker.NotProtected.selector);
        breaker.onTokenOutflow(assets[0], 1, who, false);
        vm.expectRevert(WithdrawalCircuitBreaker.NotProtected.selector);
        breaker.onTokenInflow(assets[0], 1);
        vm.expectRevert(WithdrawalCircuitBreaker.NotAdmin.selector);
        breaker.registerAsset(who, 1, 1, 1, 1);
        vm.expectRevert(WithdrawalCircuitBreaker.NotAdmin.selector);
        breaker.addProtectedContracts(none);
        vm.expectRevert(WithdrawalCircuitBreaker.NotAdmin.selector);
        breaker.setGuardian(who);
        vm.expectRevert(WithdrawalCircuitBreaker.NotAdmin.selector);
        breaker.acceptAdmin();
    }

    function test_adminHandsOverInTwoStepsAndMaintainsTheList() public {
        breaker.removeProtectedContracts(list(address(pools[0])));
        eq(breaker.protectedContracts().length, 3, "removed");
        vm.expectRevert(OutflowMeter.BadParams.selector);
        breaker.registerAsset(assets[0], 1000, 0, WINDOW, 1); // already there
        vm.expectRevert(OutflowMeter.BadParams.selector);
        breaker.reseed(assets[0], 0);
        breaker.updateAssetParams(assets[0], 500, 0, WINDOW);
        eq(breaker.capacity(assets[0]), 50e18, "new part");
        breaker.setAdmin(BAD);
        eq(uint160(breaker.admin()), uint160(address(this)), "not yet");
        vm.prank(BAD);
        breaker.acceptAdmin();
        eq(uint160(breaker.admin()), uint160(BAD), "now");
    }
}
