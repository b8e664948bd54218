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
        nonce = nonce % 600; // some repeat
        uint256 key = ownerKeys[owner % 5];
        bool used = module.nonceUsed(address(safe), vm.addr(key), nonce);
        uint256 before = safe.nonce();
        if (_tryExec(key, asListed ? bytes("") : data, asListed, nonce)) {
            ++executed;
            if (!enabled) ++disabledEffects;
            if (used) ++replays;
        }
        if (safe.nonce() != before) ++nonceMoves;
    }

    function _tryExec(uint256 key, bytes memory sent, bool asListed, uint256 nonce) private returns (bool) {
        if (asListed) sent = listed;
        bytes32 digest = module.hashCall(address(safe), address(target), sent, nonce, type(uint48).max);
        (address[] memory signers, bytes[] memory sigs) = (list(vm.addr(key)), list(sign(key, digest)));
        try module.exec(ISafe(address(safe)), address(target), sent, nonce, type(uint48).max, signers, sigs) {
            return true;
        } catch {
            return false;
        }
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
