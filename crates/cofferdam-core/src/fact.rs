//! Facts: things that happened on chain, decoded once.
//!
//! **Invariant:** a fact says what a contract *claims* (its log) or what the machine *did* (a native
//! transfer, a creation, a storage change). Detectors decide whom to believe: a log counts only if
//! its emitter is a contract the plan names or one whose claim is checked against state.

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use crate::tx::CallKind;

/// Something that happened in one transaction. Ordered as in the transaction: logs by index, then
/// what only the call tree and the state diff show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields carry the names of the event parameters that each variant cites"
)]
pub enum Fact {
    /// ERC-20 `Transfer(address,address,uint256)`. Mints come from, burns go to the zero address.
    Transfer { token: Address, from: Address, to: Address, amount: U256 },
    /// ERC-721 `Transfer` (four topics).
    NftTransfer { token: Address, from: Address, to: Address, id: U256 },
    /// ERC-1155 `TransferSingle`; a batch gives one fact per id.
    MultiTransfer { token: Address, from: Address, to: Address, id: U256, amount: U256 },
    /// Native value moved by a call, creation or self-destruct that was not undone.
    NativeTransfer { from: Address, to: Address, amount: U256 },
    /// ERC-20 `Approval`.
    Approval { token: Address, owner: Address, spender: Address, amount: U256 },
    /// WETH-style `Deposit(address,uint256)`: `to` was credited with wrapped native value.
    Wrapped { token: Address, to: Address, amount: U256 },
    /// WETH-style `Withdrawal(address,uint256)`.
    Unwrapped { token: Address, from: Address, amount: U256 },
    /// A flash loan by any of the providers of `onchain.md` S05.
    FlashLoan { provider: Address, receiver: Address, asset: Address, amount: U256 },
    /// Uniswap-v2 style `Swap(address,uint256,uint256,uint256,uint256,address)`.
    PairSwap {
        pair: Address,
        sender: Address,
        to: Address,
        in0: U256,
        in1: U256,
        out0: U256,
        out1: U256,
    },
    /// Uniswap-v2 style `Sync(uint112,uint112)`.
    PairSync { pair: Address, reserve0: U256, reserve1: U256 },
    /// ERC-4626 `Deposit(address,address,uint256,uint256)`.
    VaultDeposit { vault: Address, owner: Address, assets: U256, shares: U256 },
    /// ERC-4626 `Withdraw(address,address,address,uint256,uint256)`.
    VaultWithdraw { vault: Address, receiver: Address, owner: Address, assets: U256, shares: U256 },
    /// Compound-style `Mint(address,uint256,uint256)`.
    MarketMint { market: Address, minter: Address, amount: U256, tokens: U256 },
    /// Compound-style `Redeem(address,uint256,uint256)`.
    MarketRedeem { market: Address, redeemer: Address, amount: U256, tokens: U256 },
    /// Compound-style `Borrow(address,uint256,uint256,uint256)`.
    MarketBorrow { market: Address, borrower: Address, amount: U256, borrows: U256 },
    /// ERC-1967 `Upgraded(address)`.
    Upgraded { proxy: Address, implementation: Address },
    /// ERC-1967 `AdminChanged(address,address)`.
    AdminChanged { proxy: Address, old: Address, new: Address },
    /// ERC-1967 `BeaconUpgraded(address)`.
    BeaconUpgraded { proxy: Address, beacon: Address },
    /// `OwnershipTransferred(address,address)`.
    OwnershipTransferred { contract: Address, old: Address, new: Address },
    /// OpenZeppelin `RoleGranted(bytes32,address,address)`; AccessManager roles as their number.
    RoleGranted { contract: Address, role: B256, account: Address },
    /// OpenZeppelin `RoleRevoked(bytes32,address,address)`.
    RoleRevoked { contract: Address, role: B256, account: Address },
    /// Gnosis Safe owner, threshold, module, guard and fallback-handler events.
    SafeChanged { safe: Address, change: SafeChange },
    /// `Paused(address)`, `GuardianPaused(uint256)`, `GovernancePaused(bool = true)`.
    Paused { contract: Address },
    /// `Unpaused(address)`, `GovernancePaused(bool = false)`.
    Unpaused { contract: Address },
    /// A contract was created. From the call tree (or the receipt, for a top-level creation).
    Created { contract: Address, creator: Address },
    /// A call by `safe` in the context of foreign code: DELEGATECALL from an account the plan calls a
    /// Safe is judged by S13. Recorded for every delegate call whose `from` differs from its `to`.
    Delegated { context: Address, code: Address, selector: Option<[u8; 4]>, caller_kind: CallKind },
    /// A storage slot changed, net over the transaction.
    StorageChanged { address: Address, slot: U256, before: U256, after: U256 },
    /// An account's code changed without a creation frame we saw (EIP-7702, self-destruct, or no trace).
    CodeChanged { address: Address, before: Option<B256>, after: Option<B256> },
}

/// What changed in a Safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields carry the names of the event parameters that each variant cites"
)]
pub enum SafeChange {
    /// `AddedOwner(address)`.
    OwnerAdded { owner: Address },
    /// `RemovedOwner(address)`.
    OwnerRemoved { owner: Address },
    /// `ChangedThreshold(uint256)`.
    Threshold { threshold: U256 },
    /// `EnabledModule(address)`.
    ModuleEnabled { module: Address },
    /// `DisabledModule(address)`.
    ModuleDisabled { module: Address },
    /// `ChangedGuard(address)`.
    Guard { guard: Address },
    /// `ChangedModuleGuard(address)`.
    ModuleGuard { guard: Address },
    /// `ChangedFallbackHandler(address)`.
    FallbackHandler { handler: Address },
    /// `ChangedMasterCopy(address)` of old Safes.
    MasterCopy { singleton: Address },
}

impl SafeChange {
    /// A phrase for people, e.g. `owner added`.
    pub fn phrase(&self) -> &'static str {
        match self {
            Self::OwnerAdded { .. } => "owner added",
            Self::OwnerRemoved { .. } => "owner removed",
            Self::Threshold { .. } => "threshold changed",
            Self::ModuleEnabled { .. } => "module enabled",
            Self::ModuleDisabled { .. } => "module disabled",
            Self::Guard { .. } => "guard changed",
            Self::ModuleGuard { .. } => "module guard changed",
            Self::FallbackHandler { .. } => "fallback handler changed",
            Self::MasterCopy { .. } => "singleton changed",
        }
    }
}
