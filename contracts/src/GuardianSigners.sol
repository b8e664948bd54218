// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title GuardianSigners
/// @notice The signers of {EmergencyGuardian}: until when each counts, which nonces it has used, the epoch. Knows nothing of pauses.
///
/// Who may call what, and the worst each caller can do: anyone may call {revokeNonce}, which burns a nonce of the caller's own. The
/// rest is internal or a view.
abstract contract GuardianSigners {
    /// @dev Nonces below LOW_NONCES share a slot with the expiry: using one costs 17,000 gas less than another's first.
    struct Signer {
        uint48 expiry;
        uint208 lowNonces;
    }

    /// @notice Longest time a signer stays valid without renewal, in seconds; a later expiry is cut to it.
    uint48 public constant MAX_SIGNER_TERM = 366 days;
    /// @notice Nonces below this are the cheap ones.
    uint256 public constant LOW_NONCES = 208;

    /// @notice Authorisations carry the epoch they were signed for; raising it voids all of them at once.
    uint32 public epoch;
    mapping(address signer => Signer) private _signers;
    mapping(address signer => mapping(uint256 word => uint256)) private _highNonces;

    event SignerSet(address indexed signer, uint48 expiry);
    event EpochBumped(uint32 epoch);
    event NonceRevoked(address indexed signer, uint256 nonce);

    error BadAuth();

    /// @notice A signer voids its own nonce.
    function revokeNonce(uint256 nonce) external {
        _useNonce(msg.sender, nonce);
        emit NonceRevoked(msg.sender, nonce);
    }

    /// @notice Last second at which a signer's signature counts.
    function signerExpiry(address signer) external view returns (uint48) {
        return _signers[signer].expiry;
    }

    function nonceUsed(address signer, uint256 nonce) external view returns (bool) {
        if (nonce < LOW_NONCES) return _signers[signer].lowNonces & (uint208(1) << uint8(nonce)) != 0;
        return _highNonces[signer][nonce >> 8] & (1 << (nonce & 0xff)) != 0;
    }

    function _setSigner(address signer, uint48 expiry) internal {
        uint48 last = uint48(block.timestamp) + MAX_SIGNER_TERM;
        if (expiry > last) expiry = last;
        _signers[signer].expiry = expiry;
        emit SignerSet(signer, expiry);
    }

    function _bumpEpoch() internal {
        emit EpochBumped(++epoch);
    }

    /// @dev Reverts unless the first `quorum` signers, strictly ascending, are valid now, signed the digest and have the nonce left.
    function _useSignatures(
        bytes32 digest,
        uint256 quorum,
        uint256 nonce,
        address[] calldata signersAsc,
        bytes[] calldata sigs
    ) internal {
        if (quorum == 0 || signersAsc.length < quorum || sigs.length != signersAsc.length) revert BadAuth();
        address previous;
        for (uint256 i; i < quorum; ++i) {
            address signer = signersAsc[i];
            if (signer <= previous || block.timestamp > _signers[signer].expiry) revert BadAuth();
            if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, sigs[i])) revert BadAuth();
            _useNonce(signer, nonce);
            previous = signer;
        }
    }

    function _useNonce(address signer, uint256 nonce) private {
        if (nonce < LOW_NONCES) {
            uint208 low = uint208(1) << uint8(nonce);
            Signer storage s = _signers[signer];
            if (s.lowNonces & low != 0) revert BadAuth();
            s.lowNonces |= low;
        } else {
            uint256 bit = 1 << (nonce & 0xff);
            uint256 word = _highNonces[signer][nonce >> 8];
            if (word & bit != 0) revert BadAuth();
            _highNonces[signer][nonce >> 8] = word | bit;
        }
    }
}
