// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {GuardedPausable} from "../src/GuardedPausable.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";
import {DemoVault} from "../drills/targets/DemoVault.sol";
import {DemoPair} from "../drills/targets/DemoPair.sol";
import {DemoLendingPool} from "../drills/targets/DemoLendingPool.sol";
import {DemoCustody} from "../drills/targets/DemoCustody.sol";
import {DemoVaultUUPS} from "../drills/targets/DemoVaultUUPS.sol";
import {DemoProxy} from "../drills/targets/DemoProxy.sol";
import {SpotOracleAttack} from "../drills/attacks/SpotOracleAttack.sol";
import {InflationAttack} from "../drills/attacks/InflationAttack.sol";
import {EvilVaultImplementation} from "../drills/attacks/EvilVaultImplementation.sol";

/// @notice Each drill attack works on its target, and the guardian's pause stops it.
contract DrillTest is GuardianBase {
    uint256 internal constant KEY = 0xA;
    address internal constant VICTIM = address(0x71c);
    EmergencyGuardian internal g;
    DemoToken internal cash;

    function setUp() public {
        vm.warp(START);
        g = new EmergencyGuardian(address(this));
        g.setSigner(vm.addr(KEY), type(uint48).max);
        cash = new DemoToken("Cash", "CASH", 18);
    }

    function pause(address target) internal {
        g.setAction("x", selfExpiring(target));
        submit(g, auth("x", 0, 1), keysOf(KEY));
    }

    function deposit(DemoVault vault, uint256 amount) internal {
        cash.mint(VICTIM, amount);
        vm.startPrank(VICTIM);
        cash.approve(address(vault), amount);
        vault.deposit(amount, VICTIM);
        vm.stopPrank();
    }

    function inflate() internal returns (DemoVault vault, InflationAttack attack) {
        vault = new DemoVault(address(cash), address(g), address(this), 7 days);
        attack = new InflationAttack();
        cash.mint(address(attack), 10_000e18 + 1);
        attack.open(address(vault), 10_000e18);
    }

    function test_drill_D2_inflationTakesAQuarterOfTheDeposit() public {
        (DemoVault vault, InflationAttack attack) = inflate();
        deposit(vault, 15_000e18);
        eq(vault.balanceOf(VICTIM), 1, "one share");
        eq(attack.close(address(vault)) / 1e18, 12_500, "2,500 gained");
        eq(cash.balanceOf(address(this)) / 1e18, 12_500, "to the attacker");
    }

    function test_drill_D2_pauseBeforeTheVictimSavesIt() public {
        (DemoVault vault,) = inflate();
        pause(address(vault));
        cash.mint(VICTIM, 15_000e18);
        vm.startPrank(VICTIM);
        cash.approve(address(vault), 15_000e18);
        vm.expectRevert(GuardedPausable.EntryPaused.selector);
        vault.deposit(15_000e18, VICTIM);
    }

    function test_vaultBooksAreOrdinaryOtherwise() public {
        DemoVault vault = new DemoVault(address(cash), address(g), address(this), 7 days);
        deposit(vault, 100e18);
        cash.mint(address(vault), 50e18);
        vm.startPrank(VICTIM);
        eq(vault.withdraw(30e18, VICTIM, VICTIM), 20e18, "shares");
        eq(vault.redeem(vault.balanceOf(VICTIM), VICTIM, VICTIM), 120e18, "rest");
    }

    struct Lending {
        DemoToken coll;
        DemoPair oracle;
        DemoPair funding;
        DemoLendingPool pool;
        SpotOracleAttack attack;
    }

    function pair(address a, uint256 x, address b, uint256 y) internal returns (DemoPair p) {
        p = new DemoPair(a, b);
        DemoToken(a).mint(address(p), x);
        DemoToken(b).mint(address(p), y);
        p.mint(address(this));
    }

    function lending() internal returns (Lending memory l) {
        l.coll = new DemoToken("Collateral", "COLL", 18);
        l.oracle = pair(address(l.coll), 1_000e18, address(cash), 1_000e18);
        l.funding = pair(address(cash), 1_000_000e18, address(new DemoToken("X", "X", 18)), 1_000_000e18);
        l.pool = new DemoLendingPool(
            address(l.coll), address(cash), address(l.oracle), address(g), address(this), 7 days
        );
        cash.mint(address(this), 50_000e18);
        cash.approve(address(l.pool), 50_000e18);
        l.pool.fund(50_000e18);
        l.attack = new SpotOracleAttack();
    }

    function test_drill_D5_spotOracleLoanEmptiesThePool() public {
        Lending memory l = lending();
        eq(l.pool.priceWad(), 1e18, "fair");
        l.attack.attack(address(l.funding), address(l.oracle), address(l.pool), 9_000e18);
        le(cash.balanceOf(address(l.pool)), 1, "pool empty");
        le(40_000e18, cash.balanceOf(address(this)), "profit");
        emit log_named_uint("D5 profit", cash.balanceOf(address(this)) / 1e18);
    }

    function test_drill_D5_pauseInFrontSavesThePool() public {
        Lending memory l = lending();
        pause(address(l.pool));
        vm.expectRevert(GuardedPausable.EntryPaused.selector);
        l.attack.attack(address(l.funding), address(l.oracle), address(l.pool), 9_000e18);
        eq(cash.balanceOf(address(l.pool)), 50_000e18, "saved");
    }

    function test_lendingBooksAreOrdinaryOtherwise() public {
        Lending memory l = lending();
        l.coll.mint(VICTIM, 100e18);
        vm.startPrank(VICTIM);
        l.coll.approve(address(l.pool), 100e18);
        l.pool.addCollateral(100e18);
        vm.expectRevert();
        l.pool.borrow(75e18 + 1);
        l.pool.borrow(75e18);
        cash.approve(address(l.pool), 75e18);
        l.pool.repay(75e18);
        l.pool.removeCollateral(100e18);
    }

    function testFuzz_pairProductNeverFalls(uint96 amount, uint96 ask, bool first) public {
        DemoToken other = new DemoToken("O", "O", 18);
        DemoPair p = pair(address(cash), 500e18, address(other), 2_000e18);
        (uint112 a, uint112 b,) = p.getReserves();
        DemoToken(first ? p.token0() : p.token1()).mint(address(p), amount);
        try p.swap(first ? 0 : ask, first ? ask : 0, VICTIM, "") {} catch {}
        (uint112 x, uint112 y,) = p.getReserves();
        le(uint256(a) * b, uint256(x) * y, "product");
    }

    struct Stolen {
        DemoVaultUUPS vault;
        address owner;
        DemoCustody custody;
        EvilVaultImplementation evil;
    }

    function stolen(bool withCustody) internal returns (Stolen memory s) {
        s.owner = address(0x0123);
        if (withCustody) s.custody = new DemoCustody(address(cash), address(g), address(this), 7 days);
        DemoVaultUUPS.Config memory c = DemoVaultUUPS.Config(
            address(cash), s.owner, address(g), address(this), address(s.custody), 7 days
        );
        bytes memory init = abi.encodeCall(DemoVaultUUPS.initialize, (c));
        s.vault = DemoVaultUUPS(address(new DemoProxy(address(new DemoVaultUUPS()), init)));
        if (withCustody) s.custody.bind(address(s.vault));
        cash.mint(VICTIM, 1_000e18);
        vm.startPrank(VICTIM);
        cash.approve(address(s.vault), 1_000e18);
        s.vault.deposit(1_000e18);
        s.vault.withdraw(100e18);
        vm.stopPrank();
        s.evil = new EvilVaultImplementation();
        vm.prank(s.owner);
        s.vault.upgradeToAndCall(address(s.evil), "");
    }

    function test_drill_D9_pauseInTheVaultItselfSavesNothing() public {
        Stolen memory s = stolen(false);
        EvilVaultImplementation(address(s.vault)).drain(address(cash), address(0xbad));
        eq(cash.balanceOf(address(0xbad)), 900e18, "0 % saved");
    }

    function test_drill_D9_pauseInTheCustodySavesEverything() public {
        Stolen memory s = stolen(true);
        pause(address(s.custody));
        vm.expectRevert(GuardedPausable.ExitPaused.selector);
        EvilVaultImplementation(address(s.vault)).drainCustody(address(cash), address(s.custody), address(0xbad));
        eq(cash.balanceOf(address(s.custody)), 900e18, "saved");
    }

    function test_drill_D9_withoutAPauseTheCustodyIsDrained() public {
        Stolen memory s = stolen(true);
        EvilVaultImplementation(address(s.vault)).drainCustody(address(cash), address(s.custody), address(0xbad));
        eq(cash.balanceOf(address(0xbad)), 900e18, "drained");
    }
}
