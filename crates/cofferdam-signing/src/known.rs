//! What the program knows by itself: functions whose meaning matters to a signer, and the Safe project's own contracts.
//!
//! **Invariant:** knowing is not allowing. A function in this table is shown and classified; only a policy allows it.
//!
//! Source of the addresses: the Safe project's deployments (`safe-eth-py` 7.27.0 lists the same; `cargo xtask
//! crosscheck safe` compares).

use alloy_primitives::{Address, address};
use serde::{Deserialize, Serialize};

use crate::{SafeVersion, abi::Function};

/// What kind of power a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Stops or limits something.
    Containment,
    /// Lets something run again.
    Reopening,
    /// Owners or threshold of a Safe.
    SafeOwners,
    /// Modules of a Safe: they act without signatures.
    SafeModule,
    /// A Safe's guard.
    SafeGuard,
    /// A Safe's fallback handler: it answers for the Safe's signature.
    SafeFallback,
    /// A Safe's code.
    SafeSingleton,
    /// Agrees to a hash whose content cannot be seen.
    BlindApproval,
    /// Lets somebody else take tokens.
    Approval,
    /// Moves tokens.
    Transfer,
    /// Replaces code.
    Upgrade,
    /// Changes who may do what.
    Role,
    /// Changes how long something must wait.
    Delay,
    /// Runs other calls that are shown below it.
    Batch,
    /// Nothing of the above.
    Other,
}

/// A function with its class.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Signature with names.
    pub signature: &'static str,
    /// What it does.
    pub class: Class,
}

macro_rules! table {
    ($($class:ident: [$($signature:literal),* $(,)?]),* $(,)?) => {
        &[$($(Known { signature: $signature, class: Class::$class }),*),*]
    };
}

/// Every function known without a policy.
pub const FUNCTIONS: &[Known] = table! {
    Containment: [
        "pause()", "pauseFor(uint256 duration)", "pauseAll()", "setPaused(bool paused)", "setPoolPause(bool paused)",
        "setReservePause(address asset, bool paused)", "setReserveFreeze(address asset, bool freeze)",
        "pause(string reason)", "pause(address target)", "seal(address[] sealables)", "freeze()", "shutdown()",
        "_setTransferPaused(bool state)", "_setSeizePaused(bool state)", "_setProtocolPaused(bool state)",
        "_setActionsPaused(address[] markets, uint8[] actions, bool paused)",
        "_setMintPaused(address cToken, bool state)", "_setBorrowPaused(address cToken, bool state)",
        "pause(bool supplyPaused, bool transferPaused, bool withdrawPaused, bool absorbPaused, bool buyPaused)",
        "setTargetClosed(address target, bool closed)", "cancel(bytes32 id)",
    ],
    Reopening: ["unpause()", "unpause(address target)", "resume()", "unfreeze()"],
    SafeOwners: [
        "addOwnerWithThreshold(address owner, uint256 _threshold)",
        "removeOwner(address prevOwner, address owner, uint256 _threshold)",
        "swapOwner(address prevOwner, address oldOwner, address newOwner)",
        "changeThreshold(uint256 _threshold)",
        "setup(address[] _owners, uint256 _threshold, address to, bytes data, address fallbackHandler, address paymentToken, uint256 payment, address paymentReceiver)",
    ],
    SafeModule: ["enableModule(address module)", "disableModule(address prevModule, address module)"],
    SafeGuard: ["setGuard(address guard)", "setModuleGuard(address moduleGuard)"],
    SafeFallback: ["setFallbackHandler(address handler)"],
    SafeSingleton: [
        "changeMasterCopy(address _masterCopy)", "migrateSingleton()", "migrateWithFallbackHandler()",
        "migrateL2Singleton()", "migrateL2WithFallbackHandler()", "migrateToL2(address l2Singleton)",
        "setupToL2(address l2Singleton)",
    ],
    BlindApproval: ["approveHash(bytes32 hashToApprove)", "signMessage(bytes _data)"],
    Approval: [
        "approve(address spender, uint256 amount)", "increaseAllowance(address spender, uint256 addedValue)",
        "increaseApproval(address spender, uint256 addedValue)",
        "setApprovalForAll(address operator, bool approved)",
        "permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
        "approve(address token, address spender, uint160 amount, uint48 expiration)",
        "approveDelegation(address delegatee, uint256 amount)", "setAuthorization(address authorized, bool newIsAuthorized)",
        "allow(address manager, bool isAllowed)", "authorizeOperator(address operator)",
    ],
    Transfer: [
        "transfer(address to, uint256 amount)", "transferFrom(address from, address to, uint256 amount)",
        "safeTransferFrom(address from, address to, uint256 tokenId)",
        "safeTransferFrom(address from, address to, uint256 tokenId, bytes data)",
        "safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data)",
        "safeBatchTransferFrom(address from, address to, uint256[] ids, uint256[] values, bytes data)",
        "withdraw(uint256 amount)", "withdraw(address asset, uint256 amount, address to)",
        "redeem(uint256 shares, address receiver, address owner)", "withdraw(uint256 assets, address receiver, address owner)",
        "mint(address to, uint256 amount)", "burn(uint256 amount)",
    ],
    Upgrade: [
        "upgradeTo(address newImplementation)", "upgradeToAndCall(address newImplementation, bytes data)",
        "upgrade(address proxy, address implementation)",
        "upgradeAndCall(address proxy, address implementation, bytes data)",
        "setImplementation(address newImplementation)", "_setImplementation(address implementation_)",
        "_setImplementation(address implementation_, bool allowResign, bytes becomeImplementationData)",
        "diamondCut((address facetAddress, uint8 action, bytes4[] functionSelectors)[] cut, address init, bytes data)",
        "changeAdmin(address newAdmin)", "changeProxyAdmin(address proxy, address newAdmin)",
    ],
    Role: [
        "grantRole(bytes32 role, address account)", "revokeRole(bytes32 role, address account)",
        "renounceRole(bytes32 role, address account)", "transferOwnership(address newOwner)", "renounceOwnership()",
        "acceptOwnership()", "setOwner(address owner)", "setAdmin(address admin)", "_setPendingAdmin(address newPendingAdmin)",
        "setPendingAdmin(address pendingAdmin)", "acceptAdmin()", "rely(address usr)", "deny(address usr)",
        "setAuthority(address authority)", "grantRole(uint64 roleId, address account, uint32 executionDelay)",
        "setSigner(address signer, uint48 expiry)", "setMinter(address minter)",
    ],
    Delay: [
        "updateDelay(uint256 newDelay)", "setDelay(uint256 delay)", "setTxCooldown(uint256 cooldown)",
        "setTargetAdminDelay(address target, uint32 newDelay)", "setGrantDelay(uint64 roleId, uint32 newDelay)",
        "setVotingDelay(uint48 newVotingDelay)", "setVotingPeriod(uint32 newVotingPeriod)",
    ],
    Batch: [
        "multiSend(bytes transactions)",
        "execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures)",
        "execTransactionFromModule(address to, uint256 value, bytes data, uint8 operation)",
        "execTransactionFromModuleReturnData(address to, uint256 value, bytes data, uint8 operation)",
    ],
};

/// The known function of a selector. Two functions of one selector would be an ambiguity; a test holds that there are
/// none.
pub fn function(selector: [u8; 4]) -> Option<(Function, Class)> {
    FUNCTIONS.iter().find_map(|it| {
        let function = Function::parse(it.signature).ok()?;
        (function.selector() == selector).then_some((function, it.class))
    })
}

/// The class of a function that a policy names: that of the table if it knows the selector.
pub fn class(selector: [u8; 4]) -> Class {
    function(selector).map_or(Class::Other, |it| it.1)
}

/// Contracts of the Safe project that may be run by delegatecall without a policy: batches that can hold calls only.
pub const CALL_ONLY: &[(Address, SafeVersion)] = &[
    (address!("40A2aCCbd92BCA938b02010E17A5b8929b49130D"), SafeVersion::V1_3_0),
    (address!("A1dabEF33b3B82c7814B6D82A79e50F4AC44102B"), SafeVersion::V1_3_0),
    (address!("9641d764fc13c8B624c04430C7356C1C7C8102e2"), SafeVersion::V1_4_1),
    (address!("A83c336B20401Af773B6219BA5027174338D1836"), SafeVersion::V1_5_0),
];

/// Singletons of the Safe project with their releases.
pub const SINGLETONS: &[(Address, SafeVersion)] = &[
    (address!("34CfAC646f301356fAa8B21e94227e3583Fe3F5F"), SafeVersion::V1_1_1),
    (address!("6851D6fDFAfD08c0295C392436245E5bc78B0185"), SafeVersion::V1_2_0),
    (address!("d9Db270c1B5E3Bd161E8c8503c55cEABeE709552"), SafeVersion::V1_3_0),
    (address!("69f4D1788e39c87893C980c06EdF4b7f686e2938"), SafeVersion::V1_3_0),
    (address!("3E5c63644E683549055b9Be8653de26E0B4CD36E"), SafeVersion::V1_3_0),
    (address!("fb1bffC9d739B8D520DaF37dF666da4C687191EA"), SafeVersion::V1_3_0),
    (address!("41675C099F32341bf84BFc5382aF534df5C7461a"), SafeVersion::V1_4_1),
    (address!("29fcB43b46531BcA003ddC8FCB67FFE91900C762"), SafeVersion::V1_4_1),
    (address!("Ff51A5898e281Db6DfC7855790607438dF2ca44b"), SafeVersion::V1_5_0),
    (address!("Edd160fEBBD92E350D4D398fb636302fccd67C7e"), SafeVersion::V1_5_0),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy_primitives::hex;

    use super::{Class, FUNCTIONS, function};
    use crate::abi::Function;

    #[test]
    fn every_known_function_is_readable_and_no_two_share_a_selector() {
        let selectors: BTreeSet<[u8; 4]> =
            FUNCTIONS.iter().map(|it| Function::parse(it.signature).unwrap().selector()).collect();
        assert_eq!(selectors.len(), FUNCTIONS.len());
    }

    #[test]
    fn well_known_selectors_are_classified() {
        for (selector, class) in [
            (hex!("8456cb59"), Class::Containment),
            (hex!("0d582f13"), Class::SafeOwners),
            (hex!("610b5925"), Class::SafeModule),
            (hex!("e19a9dd9"), Class::SafeGuard),
            (hex!("095ea7b3"), Class::Approval),
            (hex!("3659cfe6"), Class::Upgrade),
            (hex!("d4d9bdcd"), Class::BlindApproval),
            (hex!("8d80ff0a"), Class::Batch),
            (hex!("64d62353"), Class::Delay),
        ] {
            assert_eq!(function(selector).map(|it| it.1), Some(class), "{}", hex::encode(selector));
        }
        assert!(function(hex!("deadbeef")).is_none());
    }
}
