// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Safe} from "@safe/Safe.sol";
import {Enum} from "@safe/libraries/Enum.sol";
import {MultiSendCallOnly} from "@safe/libraries/MultiSendCallOnly.sol";
import {ITransactionGuard} from "@safe/base/GuardManager.sol";
import {IModuleGuard} from "@safe/base/ModuleManager.sol";
import {SafeBase} from "./SafeBase.sol";
import {SafeConfigGuard, ISafeTransactionGuard, ISafeModuleGuard} from "../src/SafeConfigGuard.sol";
import {SlotZeroOverwriter} from "../drills/attacks/SlotZeroOverwriter.sol";
import {SafeSweeper} from "../drills/attacks/SafeSweeper.sol";

/// @dev Writes any slot of whoever delegatecalls it.
contract Poker {
    function poke(uint256 slot, uint256 value) external {
        assembly ("memory-safe") {
            sstore(slot, value)
        }
    }
}

/// @dev A singleton that lies about itself to every view but cannot answer masterCopy(), which the proxy answers.
contract Liar {
    address internal slotZero;
    address internal immutable TRUTH;

    constructor(address truth) {
        TRUTH = truth;
    }

    function getStorageAt(uint256 slot, uint256) external view returns (bytes memory) {
        uint256 value;
        assembly ("memory-safe") {
            value := sload(slot)
        }
        return abi.encode(slot == 0 ? uint256(uint160(TRUTH)) : value);
    }

    receive() external payable {}

    fallback() external payable {
        address truth = TRUTH;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), truth, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }
}

contract SafeConfigGuardTest is SafeBase {
    SafeConfigGuard internal guard;
    SlotZeroOverwriter internal overwriter;
    SafeSweeper internal sweeper;
    Enum.Operation internal constant DELEGATE = Enum.Operation.DelegateCall;

    function setUp() public {
        buildSafe();
        guard = new SafeConfigGuard();
        overwriter = new SlotZeroOverwriter();
        sweeper = new SafeSweeper();
    }

    function install() internal {
        runCall(address(safe), abi.encodeWithSignature("setModuleGuard(address)", address(guard)));
        runCall(address(safe), abi.encodeWithSignature("setGuard(address)", address(guard)));
    }

    function blocked(address target) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(SafeConfigGuard.DelegatecallBlocked.selector, target);
    }

    function changed() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(SafeConfigGuard.ConfigChanged.selector);
    }

    function test_drill_singletonSwapDrainsAnUnguardedSafe() public {
        run(address(overwriter), abi.encodeCall(SlotZeroOverwriter.transfer, (address(sweeper), 0)), DELEGATE);
        SafeSweeper(payable(address(safe))).sweepETH(payable(address(0xbad)));
        eq(address(0xbad).balance, 400_000 ether, "drained");
    }

    function test_drill_guardStopsTheSingletonSwap() public {
        install();
        bytes memory data = abi.encodeCall(SlotZeroOverwriter.transfer, (address(sweeper), 0));
        runFails(address(overwriter), data, DELEGATE, blocked(address(overwriter)));
        eq(address(safe).balance, 400_000 ether, "saved");
        runCall(address(0xbeef), ""); // and the Safe still works
    }

    function test_interfaceIdsAreTheSafes() public view {
        yes(type(ISafeTransactionGuard).interfaceId == type(ITransactionGuard).interfaceId, "tx");
        yes(type(ISafeTransactionGuard).interfaceId == 0xe6d7a83a, "tx id");
        yes(type(ISafeModuleGuard).interfaceId == 0x58401ed8, "module id");
        yes(type(IModuleGuard).interfaceId == 0x58401ed8, "the Safe's");
        yes(guard.supportsInterface(0x01ffc9a7) && !guard.supportsInterface(0xffffffff), "ERC-165");
    }

    function test_fingerprintCoversEveryPartEvenFromAnAllowedTarget() public {
        Poker poker = new Poker();
        runCall(address(guard), abi.encodeCall(SafeConfigGuard.setDelegateAllowed, (address(poker), true)));
        install();
        // singleton, owner count's neighbour (threshold), transaction guard, module guard, fallback handler
        uint256[5] memory slots = [
            0,
            4,
            0x4a204f620c8c5ccdca3fd54d003badd85ba500436a431f0cbda4f558c93c34c8,
            0xb104e0b93118902c651344349b610029d694cfdec91c589c91ebafbcd0289947,
            0x6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5
        ];
        Liar liar = new Liar(address(uint160(uint256(vm.load(address(safe), 0)))));
        for (uint256 i; i < 5; ++i) {
            uint256 value = i == 0 ? uint160(address(liar)) : 1;
            runFails(address(poker), abi.encodeCall(Poker.poke, (slots[i], value)), DELEGATE, changed());
        }
        // an owner replaced and a module slipped in, by writing the lists
        address first = safe.getOwners()[0];
        bytes32 sentinelOfOwners = keccak256(abi.encode(address(1), uint256(2)));
        bytes32 next = vm.load(address(safe), keccak256(abi.encode(first, uint256(2))));
        runFails(address(poker), abi.encodeCall(Poker.poke, (uint256(sentinelOfOwners), uint256(next))), DELEGATE, "");
        bytes32 sentinelOfModules = keccak256(abi.encode(address(1), uint256(1)));
        runFails(address(poker), abi.encodeCall(Poker.poke, (uint256(sentinelOfModules), 0)), DELEGATE, "");
        run(address(poker), abi.encodeCall(Poker.poke, (0xfeed, 1)), DELEGATE); // an unrelated slot
    }

    function test_allowedTargetIsPinnedToItsCode() public {
        Poker poker = new Poker();
        runCall(address(guard), abi.encodeCall(SafeConfigGuard.setDelegateAllowed, (address(poker), true)));
        install();
        vm.etch(address(poker), hex"00");
        runFails(address(poker), abi.encodeCall(Poker.poke, (0xfeed, 1)), DELEGATE, blocked(address(poker)));
        runCall(address(guard), abi.encodeCall(SafeConfigGuard.setDelegateAllowed, (address(poker), false)));
    }

    function test_batchesThroughMultiSendCallOnlyWorkButCannotReconfigure() public {
        MultiSendCallOnly multi = new MultiSendCallOnly();
        runCall(address(guard), abi.encodeCall(SafeConfigGuard.setDelegateAllowed, (address(multi), true)));
        install();
        bytes memory pay = abi.encodePacked(uint8(0), address(0xbeef), uint256(1 ether), uint256(0));
        run(address(multi), abi.encodeCall(MultiSendCallOnly.multiSend, (abi.encodePacked(pay, pay))), DELEGATE);
        eq(address(0xbeef).balance, 2 ether, "batch");
        bytes memory threshold = abi.encodeWithSignature("changeThreshold(uint256)", 1);
        bytes memory inner = abi.encodePacked(uint8(0), address(safe), uint256(0), threshold.length, threshold);
        runFails(address(multi), abi.encodeCall(MultiSendCallOnly.multiSend, (inner)), DELEGATE, changed());
    }

    function test_plainSelfCallsAdministerAndRemoveTheGuard() public {
        install();
        runCall(address(safe), abi.encodeWithSignature("changeThreshold(uint256)", 2));
        eq(safe.getThreshold(), 2, "threshold");
        runCall(address(safe), abi.encodeWithSignature("setGuard(address)", address(0)));
        runCall(address(safe), abi.encodeWithSignature("setModuleGuard(address)", address(0)));
        run(address(overwriter), abi.encodeCall(SlotZeroOverwriter.transfer, (address(sweeper), 0)), DELEGATE);
    }

    function test_modulesAreHeldToTheSame() public {
        address module = address(0x30d);
        runCall(address(safe), abi.encodeWithSignature("enableModule(address)", module));
        install();
        vm.startPrank(module);
        bytes memory swap = abi.encodeCall(SlotZeroOverwriter.transfer, (address(sweeper), 0));
        vm.expectRevert(blocked(address(overwriter)));
        safe.execTransactionFromModule(address(overwriter), 0, swap, DELEGATE);
        bytes memory threshold = abi.encodeWithSignature("changeThreshold(uint256)", 1);
        vm.expectRevert(changed());
        safe.execTransactionFromModule(address(safe), 0, threshold, Enum.Operation.Call);
        yes(safe.execTransactionFromModule(address(0xbeef), 1 ether, "", Enum.Operation.Call), "plain call");
        vm.stopPrank();
        runCall(address(guard), abi.encodeCall(SafeConfigGuard.setModuleMayConfigure, (module, true)));
        vm.prank(module);
        yes(safe.execTransactionFromModule(address(safe), 0, threshold, Enum.Operation.Call), "may configure");
        eq(safe.getThreshold(), 1, "threshold");
    }

    function test_manyModulesAreAllInTheFingerprint() public {
        for (uint160 i = 1; i <= 40; ++i) {
            runCall(address(safe), abi.encodeWithSignature("enableModule(address)", address(0x1000 + i)));
        }
        bytes32 before = guard.fingerprint(address(safe));
        // 0x1001 was enabled first, so it is last in the list, on the second page.
        runCall(
            address(safe), abi.encodeWithSignature("disableModule(address,address)", address(0x1002), address(0x1001))
        );
        yes(guard.fingerprint(address(safe)) != before, "second page counts");
    }

    function test_nestedSafeTransactionsKeepTheirOwnFingerprints() public {
        install();
        // A Safe transaction that triggers another signed one on the way.
        bytes memory innerData = "";
        bytes32 hash = safe.getTransactionHash(
            address(0xbeef), 0, innerData, Enum.Operation.Call, 0, 0, 0, address(0), address(0), safe.nonce() + 1
        );
        bytes memory sigs;
        for (uint256 i; i < 3; ++i) {
            sigs = abi.encodePacked(sigs, sign(ownerKeys[i], hash));
        }
        Nested nested = new Nested(safe, sigs);
        runCall(address(nested), abi.encodeCall(Nested.go, ()));
        eq(safe.nonce(), 4, "both ran");
    }
}

contract Nested {
    Safe internal immutable SAFE;
    bytes internal sigs;

    constructor(Safe s, bytes memory sigs_) {
        (SAFE, sigs) = (s, sigs_);
    }

    function go() external {
        SAFE.execTransaction(
            address(0xbeef), 0, "", Enum.Operation.Call, 0, 0, 0, address(0), payable(0), sigs
        );
    }
}
