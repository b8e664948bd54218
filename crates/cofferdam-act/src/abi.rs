//! The interfaces of the contracts orders go through, as in `contracts/src`. Nothing else is callable.

use alloy::sol;

sol! {
    /// EIP-712 type of the guardian, and the first argument of `pause`.
    #[derive(Debug)]
    struct PauseAuth {
        bytes32 actionId;
        uint8 tier;
        uint256 nonce;
        uint48 notBefore;
        uint48 deadline;
        uint32 epoch;
    }

    /// EIP-712 type of the Safe module.
    #[derive(Debug)]
    struct EmergencyCall {
        address safe;
        address to;
        bytes data;
        uint256 nonce;
        uint48 deadline;
        uint32 epoch;
    }

    struct GuardianAction {
        address target;
        uint48 shortDuration;
        uint48 longDuration;
        uint8 shortQuorum;
        uint8 longQuorum;
        uint8 charges;
        uint48 cooldown;
        bool selfExpiring;
        uint32 minGas;
        bytes pauseCall;
        bytes unpauseCall;
        bytes statusCall;
    }

    interface Guardian {
        function pause(PauseAuth a, address[] signersAsc, bytes[] sigs, bytes32 incidentId) external;
        function getAction(bytes32 id) external view returns (GuardianAction action);
        function epoch() external view returns (uint32);
        function nonceUsed(address signer, uint256 nonce) external view returns (bool);
        function signerExpiry(address signer) external view returns (uint48);
    }

    interface SafeModule {
        function exec(
            address safe,
            address to,
            bytes data,
            uint256 nonce,
            uint48 deadline,
            address[] signersAsc,
            bytes[] sigs
        ) external;
        function epoch(address safe) external view returns (uint32);
        function nonceUsed(address safe, address signer, uint256 nonce) external view returns (bool);
        function rules(address safe, bytes32 ruleId)
            external
            view
            returns (uint8 quorum, bool ownersOnly, uint16 charges, uint48 expiresAt);
    }
}
