// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {SafeBase} from "./SafeBase.sol";
import {SafeEmergencyModule, ISafe} from "../src/SafeEmergencyModule.sol";

/// @dev Counts what reaches it, by calldata.
contract Recorder {
    uint256 public listed;
    uint256 public other;

    fallback() external {
        if (keccak256(msg.data) == keccak256(abi.encodeWithSignature("pause()"))) ++listed;
        else ++other;
    }
}

contract ModuleHandler is SafeBase {
    SafeEmergencyModule public module;
    Recorder public target;
    uint256 public executed;
    uint256 public armed;
    uint256 public disabledEffects;
    uint256 public replays;
    uint256 public nonceMoves;
    bool public enabled;
    bytes internal listed = abi.encodeWithSignature("pause()");

    constructor() {
        buildSafe();
        module = new SafeEmergencyModule();
        target = new Recorder();
        toggle();
        arm();
    }

    function exec(uint256 nonce, bytes calldata data, bool asListed, uint8 owner) external {
        bytes memory sent = asListed ? listed : bytes(data);
        uint256 key = ownerKeys[owner % 5];
        bytes[] memory sigs = list(
            sign(key, module.hashCall(address(safe), address(target), sent, nonce % 600, type(uint48).max))
        );
        uint256 before = safe.nonce();
        bool used = module.nonceUsed(address(safe), vm.addr(key), nonce % 600);
        try module.exec(
            ISafe(address(safe)), address(target), sent, nonce % 600, type(uint48).max, list(vm.addr(key)), sigs
        ) {
            ++executed;
            if (!enabled) ++disabledEffects;
            if (used) ++replays;
        } catch {}
        if (safe.nonce() != before) ++nonceMoves;
    }

    function toggle() public {
        bytes memory data = enabled
            ? abi.encodeWithSignature("disableModule(address,address)", address(1), address(module))
            : abi.encodeWithSignature("enableModule(address)", address(module));
        runCall(address(safe), data);
        enabled = !enabled;
    }

    function arm() public {
        (,, uint16 left,) = module.rules(address(safe), module.ruleId(address(target), listed));
        armed += 5 - left;
        SafeEmergencyModule.Rule memory rule = SafeEmergencyModule.Rule(1, true, 5, uint48(START + 30 days));
        runCall(address(module), abi.encodeCall(module.setRule, (address(target), listed, rule)));
    }
}

contract SafeEmergencyModuleInvariants is SafeBase {
    ModuleHandler internal handler;

    function setUp() public {
        vm.warp(START);
        handler = new ModuleHandler();
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    function invariant_M1_onlyListedCalldataReachesTheTarget() public view {
        eq(handler.target().listed(), handler.executed(), "M1");
        le(handler.executed(), handler.armed(), "M1 count");
    }

    function invariant_M2_safeNonceIsUnchanged() public view {
        eq(handler.nonceMoves(), 0, "M2");
    }

    function invariant_M3_noOtherCallIsMade() public view {
        eq(handler.target().other(), 0, "M3");
    }

    function invariant_M4_disabledModuleHasNoEffect() public view {
        eq(handler.disabledEffects(), 0, "M4");
    }

    function invariant_M5_noReplay() public view {
        eq(handler.replays(), 0, "M5");
    }
}
