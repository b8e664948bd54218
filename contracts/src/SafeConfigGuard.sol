// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

/// @notice A Safe's transaction guard; `operation` 0 is a call, 1 a delegatecall. Interface id 0xe6d7a83a.
interface ISafeTransactionGuard {
    function checkTransaction(
        address to,
        uint256 value,
        bytes memory data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address payable refundReceiver,
        bytes memory signatures,
        address msgSender
    ) external;
    function checkAfterExecution(bytes32 hash, bool success) external;
}

/// @notice A Safe's module guard (Safe 1.5.0 and later). Interface id 0x58401ed8.
interface ISafeModuleGuard {
    function checkModuleTransaction(address to, uint256 value, bytes memory data, uint8 operation, address module)
        external
        returns (bytes32 moduleTxHash);
    function checkAfterModuleExecution(bytes32 txHash, bool success) external;
}

/// @notice What the guard reads from a Safe.
interface ISafeConfig {
    function masterCopy() external view returns (address);
    function getStorageAt(uint256 offset, uint256 length) external view returns (bytes memory);
    function getOwners() external view returns (address[] memory);
    function getThreshold() external view returns (uint256);
    function getModulesPaginated(address start, uint256 pageSize)
        external
        view
        returns (address[] memory page, address next);
}

/// @title SafeConfigGuard
/// @notice Transaction guard and module guard for any number of Safes. Delegatecalls go only to targets the Safe allowed, whose code
/// is pinned; and a transaction must leave the Safe's configuration as it was: singleton, owners, threshold, both guards, modules,
/// fallback handler. Only a plain call of the Safe to itself may change it, which is how Safes are administered (one change per
/// transaction: not inside a batch). This is what stops a signed delegatecall from replacing the singleton.
///
/// Who may call what, and the worst each caller can do:
/// - a Safe, for itself only: {setDelegateAllowed}, {setModuleMayConfigure}. Worst case: it lets through what its owners sign.
/// - anyone: the check functions, with no effect on anybody else's Safe.
/// There is no owner, nothing to upgrade, nothing held. A Safe can always take the guard off with a plain setGuard(0) to itself.
///
/// Limits: before Safe 1.5.0 there is no module guard, so modules are not seen. A Safe must not allow a delegatecall target that
/// writes storage or runs calldata of its caller's choice as delegatecalls (MultiSendCallOnly is fine, MultiSend is not): a module or
/// owner written into the mapping but not into the list would not show in the fingerprint.
contract SafeConfigGuard is ISafeTransactionGuard, ISafeModuleGuard, IERC165 {
    using SlotDerivation for bytes32;
    using TransientSlot for *;

    uint256 private constant TX_GUARD_SLOT = 0x4a204f620c8c5ccdca3fd54d003badd85ba500436a431f0cbda4f558c93c34c8;
    uint256 private constant MODULE_GUARD_SLOT = 0xb104e0b93118902c651344349b610029d694cfdec91c589c91ebafbcd0289947;
    uint256 private constant FALLBACK_SLOT = 0x6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5;
    address private constant SENTINEL = address(1);
    uint256 private constant PAGE = 32;
    uint8 private constant CALL = 0;
    // Fingerprints taken before a transaction lie on a stack per Safe, since a Safe's transaction may lead to another of its own.
    bytes32 private constant STACK_SLOT = keccak256("cofferdam.transient.SafeConfigGuard");

    /// @notice Code hash a delegatecall target must have; zero: not allowed.
    mapping(address safe => mapping(address target => bytes32)) public delegateCodeHash;
    /// @notice Modules that may have the Safe change its own configuration (e.g. social recovery).
    mapping(address safe => mapping(address module => bool)) public moduleMayConfigure;

    event DelegateAllowed(address indexed safe, address indexed target, bytes32 codeHash);
    event ModuleMayConfigure(address indexed safe, address indexed module, bool allowed);

    error DelegatecallBlocked(address target);
    error ConfigChanged();
    error NoCode(address target);

    /// @notice The calling Safe allows or forbids delegatecalls to `target` with the code it has now.
    function setDelegateAllowed(address target, bool allowed) external {
        if (allowed && (target.code.length == 0 || target == msg.sender)) revert NoCode(target);
        bytes32 codeHash = allowed ? target.codehash : bytes32(0);
        delegateCodeHash[msg.sender][target] = codeHash;
        emit DelegateAllowed(msg.sender, target, codeHash);
    }

    /// @notice The calling Safe lets a module administer it, or stops letting it.
    function setModuleMayConfigure(address module, bool allowed) external {
        moduleMayConfigure[msg.sender][module] = allowed;
        emit ModuleMayConfigure(msg.sender, module, allowed);
    }

    function checkTransaction(
        address to,
        uint256,
        bytes memory,
        uint8 operation,
        uint256,
        uint256,
        uint256,
        address,
        address payable,
        bytes memory,
        address
    ) external override {
        _checkOperation(to, operation);
        bool administers = operation == CALL && to == msg.sender;
        _push(administers ? bytes32(0) : fingerprint(msg.sender));
    }

    function checkAfterExecution(bytes32, bool) external override {
        _compare(_pop());
    }

    /// @dev The fingerprint travels as the hash the Safe hands back.
    function checkModuleTransaction(address to, uint256, bytes memory, uint8 operation, address module)
        external
        view
        override
        returns (bytes32)
    {
        _checkOperation(to, operation);
        bool administers = operation == CALL && to == msg.sender && moduleMayConfigure[msg.sender][module];
        return administers ? bytes32(0) : fingerprint(msg.sender);
    }

    function checkAfterModuleExecution(bytes32 before, bool) external view override {
        _compare(before);
    }

    /// @notice Hash over a Safe's whole configuration. Never zero in practice.
    function fingerprint(address safe) public view returns (bytes32) {
        ISafeConfig s = ISafeConfig(safe);
        return keccak256(
            abi.encode(
                // The proxy answers this one itself, so a replaced singleton cannot lie about it.
                s.masterCopy(),
                s.getStorageAt(0, 1),
                s.getOwners(),
                s.getThreshold(),
                s.getStorageAt(TX_GUARD_SLOT, 1),
                s.getStorageAt(MODULE_GUARD_SLOT, 1),
                s.getStorageAt(FALLBACK_SLOT, 1),
                _modules(s)
            )
        );
    }

    function supportsInterface(bytes4 id) external pure override returns (bool) {
        return id == type(ISafeTransactionGuard).interfaceId || id == type(ISafeModuleGuard).interfaceId
            || id == type(IERC165).interfaceId;
    }

    function _checkOperation(address to, uint8 operation) private view {
        if (operation == CALL) return;
        bytes32 pinned = delegateCodeHash[msg.sender][to];
        if (pinned == 0 || pinned != to.codehash) revert DelegatecallBlocked(to);
    }

    function _compare(bytes32 before) private view {
        if (before != 0 && before != fingerprint(msg.sender)) revert ConfigChanged();
    }

    /// @dev Hash chain over all pages of the module list.
    function _modules(ISafeConfig s) private view returns (bytes32 chain) {
        address start = SENTINEL;
        do {
            address[] memory page;
            (page, start) = s.getModulesPaginated(start, PAGE);
            chain = keccak256(abi.encode(chain, page));
        } while (start != SENTINEL && start != address(0));
    }

    function _push(bytes32 value) private {
        bytes32 stack = STACK_SLOT.deriveMapping(msg.sender);
        uint256 depth = stack.asUint256().tload() + 1;
        stack.asUint256().tstore(depth);
        stack.offset(depth).asBytes32().tstore(value);
    }

    function _pop() private returns (bytes32 value) {
        bytes32 stack = STACK_SLOT.deriveMapping(msg.sender);
        uint256 depth = stack.asUint256().tload();
        value = stack.offset(depth).asBytes32().tload();
        stack.asUint256().tstore(depth - 1);
    }
}
