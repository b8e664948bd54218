// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase, Host} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {WithdrawalCircuitBreaker} from "../src/WithdrawalCircuitBreaker.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";
import {GuardedPool} from "../drills/targets/GuardedPool.sol";
import {LegacyPausable} from "../drills/targets/LegacyPausable.sol";

/// @notice Execution gas from cold storage, without the 21,000 a transaction costs and its calldata. Signing happens in setUp, so
/// that the measured call finds everything cold.
contract GasTest is GuardianBase {
    uint256 internal constant LIMIT = 95_000;
    EmergencyGuardian internal g;
    WithdrawalCircuitBreaker internal breaker;
    DemoToken internal token;
    GuardedPool internal pool;
    mapping(uint256 => bytes) internal call; // prepared calldata

    function setUp() public {
        vm.warp(START);
        g = new EmergencyGuardian(address(this));
        LegacyPausable old = new LegacyPausable(address(this));
        old.setPauser(address(g), true);
        g.setAction("host", selfExpiring(address(new Host(address(g), address(this), 7 days))));
        g.setAction("old", legacy(address(old)));
        g.setSigner(vm.addr(0xA), type(uint48).max);
        g.setSigner(vm.addr(0xB), type(uint48).max);
        call[0] = prepared("host", 0, keysOf(0xA));
        call[1] = prepared("host", 1, keysOf(0xA, 0xB));
        call[2] = prepared("old", 0, keysOf(0xA));

        token = new DemoToken("T", "T", 18);
        breaker = new WithdrawalCircuitBreaker(address(this), address(6), 1 days, 7 days);
        pool = new GuardedPool(address(token), address(breaker), address(0), address(g), address(this), 7 days);
        breaker.addProtectedContracts(list(address(pool)));
        breaker.registerAsset(address(token), 1000, 0, 1 days, 1000e18);
        token.mint(address(this), 1000e18);
        token.approve(address(pool), type(uint256).max);
        pool.deposit(1000e18);
    }

    function prepared(bytes32 id, uint8 tier, uint256[] memory keys) internal view returns (bytes memory) {
        EmergencyGuardian.Auth memory a = auth(id, tier, 7);
        (address[] memory signers, bytes[] memory sigs) = signed(g, a, keys);
        return abi.encodeCall(EmergencyGuardian.pause, (a, signers, sigs, "INC"));
    }

    function measure(string memory what, address target, bytes memory data) internal returns (uint256 used) {
        uint256 before = gasleft();
        (bool ok,) = target.call(data);
        used = before - gasleft();
        yes(ok, what);
        emit log_named_uint(what, used);
    }

    function test_gas_pauseOneSignerSelfExpiring() public {
        le(measure("pause, 1 signer, self-expiring target", address(g), call[0]), LIMIT, "gas");
    }

    function test_gas_pauseOneSignerLegacy() public {
        le(measure("pause, 1 signer, legacy target", address(g), call[2]), LIMIT, "gas");
    }

    function test_gas_pauseTwoSigners() public {
        // Each further signer adds its nonce word and its recovery.
        le(measure("pause, 2 signers, self-expiring target", address(g), call[1]), LIMIT + 35_000, "gas");
    }

    function test_gas_breakerPassThrough() public {
        bytes memory data = abi.encodeCall(GuardedPool.withdraw, (50e18, address(0xbeef), false));
        uint256 whole = measure("withdraw through the breaker (whole call)", address(pool), data);
        whole;
    }
}
