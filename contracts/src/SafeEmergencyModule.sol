// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @notice The part of a Safe this module uses.
interface ISafe {
    /// @param operation 0 is a call
    function execTransactionFromModule(address to, uint256 value, bytes calldata data, uint8 operation)
        external
        returns (bool success);
    function isOwner(address owner) external view returns (bool);
}

/// @title SafeEmergencyModule
/// @notice One module for any number of Safes. A Safe lists exact calls (target and calldata) that a few responders or owners, fewer
/// than its threshold, may have it make in an emergency. Authorisations are EIP-712 signatures anyone may submit.
///
/// Who may call what, and the worst each caller can do:
/// - anyone: {exec} with valid signatures: the listed call happens at a time of the submitter's choosing before the deadline.
/// - `quorum` compromised responders or owners of a Safe: the listed call happens `charges` times before the rule expires.
/// - a signer: {revokeNonce} burns its own nonce for one Safe.
/// - a Safe, for itself only: {setRule}, {setResponder}, {bumpEpoch}. Worst case: it lists a harmful call, which it could as well make.
/// Plain calls with value 0 only; never to the Safe (its configuration) or to this module (its rules). The module holds nothing.
///
/// Invariants: M1 only listed calldata reaches a target. M2 the Safe's own nonce stays, so queued transactions remain valid. M3 no
/// other selector or argument, such as unpause(), can be reached. M4 with the module disabled nothing happens. M5 no replay, also not
/// on another chain, for another Safe, or after the epoch was raised.
contract SafeEmergencyModule is EIP712, ReentrancyGuardTransient {
    struct Rule {
        uint8 quorum; // signatures needed; 0: no rule
        bool ownersOnly; // responders who are not owners do not count
        uint16 charges; // calls left
        uint48 expiresAt; // last second of validity
    }

    bytes32 public constant EMERGENCY_CALL_TYPEHASH =
        keccak256("EmergencyCall(address safe,address to,bytes data,uint256 nonce,uint48 deadline,uint32 epoch)");
    /// @notice Longest life of a rule or responder without renewal, in seconds; later times are cut to it.
    uint48 public constant MAX_TERM = 366 days;

    mapping(address safe => mapping(bytes32 ruleId => Rule)) public rules;
    mapping(address safe => mapping(address responder => uint48 expiry)) public responderExpiry;
    mapping(address safe => uint32) public epoch;
    mapping(address safe => mapping(address signer => mapping(uint256 word => uint256))) private _nonces;

    event RuleSet(
        address indexed safe, bytes32 indexed ruleId, address indexed to, uint8 quorum, uint48 expiresAt, uint16 charges
    );
    event ResponderSet(address indexed safe, address indexed responder, uint48 expiry);
    event EpochBumped(address indexed safe, uint32 epoch);
    event NonceRevoked(address indexed safe, address indexed signer, uint256 nonce);
    event EmergencyExecuted(address indexed safe, bytes32 indexed ruleId, address relayer, uint16 chargesLeft);

    error BadRule();
    error BadAuth();
    error NoRule();
    error ExecFailed();

    constructor() EIP712("SafeEmergencyModule", "1") {}

    /// @notice Has `safe` make the listed call.
    /// @param signersAsc the first quorum-many are used; strictly ascending addresses; contracts answer through ERC-1271
    function exec(
        ISafe safe,
        address to,
        bytes calldata data,
        uint256 nonce,
        uint48 deadline,
        address[] calldata signersAsc,
        bytes[] calldata sigs
    ) external nonReentrant {
        bytes32 id = ruleId(to, data);
        Rule storage rule = rules[address(safe)][id];
        if (rule.quorum == 0 || rule.charges == 0 || block.timestamp > rule.expiresAt) revert NoRule();
        if (block.timestamp > deadline || signersAsc.length < rule.quorum || sigs.length != signersAsc.length) revert BadAuth();
        _checkSigners(safe, hashCall(address(safe), to, data, nonce, deadline), nonce, rule, signersAsc, sigs);
        uint16 left = --rule.charges;
        if (!safe.execTransactionFromModule(to, 0, data, 0)) revert ExecFailed();
        emit EmergencyExecuted(address(safe), id, msg.sender, left);
    }

    /// @notice The calling Safe lists, re-arms or (quorum 0) removes one exact call.
    function setRule(address to, bytes calldata data, Rule calldata rule) external {
        if (to == msg.sender || to == address(this) || to == address(0)) revert BadRule();
        uint48 last = uint48(block.timestamp) + MAX_TERM;
        uint48 expiresAt = rule.expiresAt < last ? rule.expiresAt : last;
        bytes32 id = ruleId(to, data);
        rules[msg.sender][id] = Rule(rule.quorum, rule.ownersOnly, rule.charges, expiresAt);
        emit RuleSet(msg.sender, id, to, rule.quorum, expiresAt, rule.charges);
    }

    /// @notice The calling Safe admits, renews or (expiry in the past) removes a responder.
    function setResponder(address responder, uint48 expiry) external {
        uint48 last = uint48(block.timestamp) + MAX_TERM;
        if (expiry > last) expiry = last;
        responderExpiry[msg.sender][responder] = expiry;
        emit ResponderSet(msg.sender, responder, expiry);
    }

    /// @notice The calling Safe voids every outstanding authorisation.
    function bumpEpoch() external {
        emit EpochBumped(msg.sender, ++epoch[msg.sender]);
    }

    /// @notice A signer voids its own nonce for one Safe.
    function revokeNonce(address safe, uint256 nonce) external {
        _useNonce(safe, msg.sender, nonce);
        emit NonceRevoked(safe, msg.sender, nonce);
    }

    function nonceUsed(address safe, address signer, uint256 nonce) external view returns (bool) {
        return _nonces[safe][signer][nonce >> 8] & (1 << (nonce & 0xff)) != 0;
    }

    function ruleId(address to, bytes calldata data) public pure returns (bytes32) {
        return keccak256(abi.encode(to, keccak256(data)));
    }

    /// @notice The EIP-712 digest signers sign, in the Safe's present epoch.
    function hashCall(address safe, address to, bytes calldata data, uint256 nonce, uint48 deadline)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(abi.encode(EMERGENCY_CALL_TYPEHASH, safe, to, keccak256(data), nonce, deadline, epoch[safe]))
        );
    }

    function _checkSigners(
        ISafe safe,
        bytes32 digest,
        uint256 nonce,
        Rule storage rule,
        address[] calldata signers,
        bytes[] calldata sigs
    ) private {
        (uint256 quorum, bool ownersOnly) = (rule.quorum, rule.ownersOnly);
        address previous;
        for (uint256 i; i < quorum; ++i) {
            address signer = signers[i];
            if (signer <= previous) revert BadAuth();
            bool responder = !ownersOnly && block.timestamp <= responderExpiry[address(safe)][signer];
            if (!responder && !safe.isOwner(signer)) revert BadAuth();
            if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, sigs[i])) revert BadAuth();
            _useNonce(address(safe), signer, nonce);
            previous = signer;
        }
    }

    function _useNonce(address safe, address signer, uint256 nonce) private {
        uint256 bit = 1 << (nonce & 0xff);
        uint256 word = _nonces[safe][signer][nonce >> 8];
        if (word & bit != 0) revert BadAuth();
        _nonces[safe][signer][nonce >> 8] = word | bit;
    }
}
