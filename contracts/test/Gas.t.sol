// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {GuardianBase, Host} from "./GuardianBase.sol";
import {EmergencyGuardian} from "../src/EmergencyGuardian.sol";
import {WithdrawalCircuitBreaker} from "../src/WithdrawalCircuitBreaker.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";
import {LegacyPausable} from "../drills/targets/LegacyPausable.sol";

/// @dev A protected contract that keeps no books, so that only the breaker's own cost and the two transfers are seen.
contract BareHost {
    DemoToken internal immutable T;
    WithdrawalCircuitBreaker internal immutable B;

    constructor(DemoToken t, WithdrawalCircuitBreaker b) {
        (T, B) = (t, b);
    }

    function withdraw(address to, uint256 amount) external {
        T.transfer(address(B), amount);
        B.onTokenOutflow(address(T), amount, to, false);
    }

    function withdrawEther(address to) external {
        B.onNativeAssetOutflow{value: address(this).balance}(to, false);
    }
}

/// @notice Execution gas from cold storage, without the 21,000 a transaction costs and its calldata. Signing happens in setUp, so
/// that the measured call finds everything cold.
contract GasTest is GuardianBase {
    uint256 internal constant LIMIT = 95_000;
    EmergencyGuardian internal g;
    WithdrawalCircuitBreaker internal breaker;
    DemoToken internal token;
    BareHost internal bare;
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
        bare = new BareHost(token, breaker);
        breaker.addProtectedContracts(list(address(bare)));
        breaker.registerAsset(address(token), 1000, 0, 1 days, 1000e18);
        token.mint(address(bare), 1000e18);
        vm.deal(address(this), 1000 ether);
        breaker.registerAsset(address(1), 1000, 0, 1 days, 1000 ether);
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

    /// @dev What a relayer pays in the end: execution (a transaction finds its own target warm), base and calldata.
    function test_gas_wholePauseTransaction() public {
        uint256 data;
        for (uint256 i; i < call[0].length; ++i) {
            data += call[0][i] == 0 ? 4 : 16;
        }
        uint256 used = measure("pause, 1 signer, execution", address(g), call[0]) - 2_500;
        emit log_named_uint("pause, 1 signer, whole transaction", used + 21_000 + data);
        le(used + 21_000 + data, LIMIT, "gas");
    }

    function test_gas_breakerPassThrough() public {
        bytes memory data = abi.encodeCall(BareHost.withdraw, (address(0xbeef), 50e18));
        le(measure("breaker pass-through with both transfers", address(bare), data), LIMIT, "gas");
    }

    function test_gas_breakerPassThroughEther() public {
        bytes memory data = abi.encodeCall(BareHost.withdrawEther, (address(0xbeef)));
        vm.deal(address(bare), 50 ether);
        le(measure("breaker pass-through, ether", address(bare), data), LIMIT, "gas");
    }

    function test_gas_breakerQueued() public {
        bytes memory data = abi.encodeCall(BareHost.withdraw, (address(0xbeef), 500e18));
        le(measure("breaker, queued", address(bare), data), 200_000, "gas");
    }

    function test_gas_breakerSampling() public {
        vm.warp(START + 1 days);
        bytes memory data = abi.encodeCall(BareHost.withdraw, (address(0xbeef), 50e18));
        le(measure("breaker pass-through that samples the TVL", address(bare), data), LIMIT + 20_000, "gas");
    }
}
