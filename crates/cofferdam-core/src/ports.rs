//! Ports: what the rim implements. A port exists only where two real implementations exist, with one
//! conformance suite over both.
//!
//! Every port is object-safe; futures are boxed so that no async runtime is named here.

use std::{future::Future, pin::Pin, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256};

use serde::{Deserialize, Serialize};

use crate::{
    Alert, BlockRef, ChainId, Observation, Record, Timestamp,
    read::{Answer, StateRead},
    record::Entry,
};

/// A boxed future, as object-safe async functions return it.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source error with its cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Where blocks come from: JSON-RPC nodes, recorded data, the in-process local chain.
///
/// A source delivers each canonical block once, parents before children. After a reorganisation it
/// delivers again from the first block of the new branch; the consumer notices by the parent hash.
/// It never skips: what cannot be fetched is [`SourceEvent::Blind`] until it can.
pub trait BlockSource: Send {
    /// The chain it serves.
    fn chain(&self) -> ChainId;
    /// Waits for the next event. Cancel-safe: a dropped future loses no event.
    fn next(&mut self) -> Boxed<'_, Result<SourceEvent, SourceError>>;
}

/// What a [`BlockSource`] tells.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// A canonical block, facts not decoded yet. Frames and diffs are filled if the source has them.
    Block(Observation),
    /// A pending transaction, not simulated yet: `txs` holds it without logs, frames or diff.
    Pending(Observation),
    /// More endpoints than before agree on the hash and the receipts root of a delivered block. It
    /// comes after the block, possibly not at all, and possibly after the block was reorganised out.
    Witnessed {
        /// The block.
        block: BlockRef,
        /// How many independent endpoints agree on it now, see [`Observation::witnesses`].
        witnesses: u16,
    },
    /// Block `from` and later cannot be had now.
    Blind {
        /// First block that cannot be had.
        from: u64,
        /// Why, for people.
        because: String,
    },
    /// A recorded source has no more.
    End,
}

/// Why a source stopped.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Trying again may succeed.
    #[error("block source is unavailable: {what}")]
    Unavailable {
        /// What was asked.
        what: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// What was served cannot be what it claims to be. Trying again elsewhere may help.
    #[error("block source served malformed data: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The operator must change something.
    #[error("block source is misconfigured: {what}")]
    Misconfigured {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
}

/// Raw state at one block, for the EVM: RPC-backed or a snapshot. Synchronous, because the EVM is.
pub trait StateSource: Send + Sync {
    /// An account, `None` if it does not exist.
    ///
    /// # Errors
    /// [`StateError::Missing`] if the source does not hold the answer.
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError>;
    /// A storage slot; zero if the account exists without it.
    ///
    /// # Errors
    /// [`StateError::Missing`] if the source does not hold the answer.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError>;
    /// The hash of an earlier block.
    ///
    /// # Errors
    /// [`StateError::Missing`] if the source does not hold the answer.
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
    /// The same state, for learning what an execution reads before it is asked for. `None` where
    /// everything is at hand.
    fn ahead(&self) -> Option<Arc<dyn Ahead>> {
        None
    }
}

/// State of which the unknown parts are noted, answered as [`StateError::Missing`], and then asked for
/// many at a time. What was executed on it is a guess unless nothing was wanted.
pub trait Ahead: StateSource {
    /// Notes what executing `tx` surely reads.
    fn hint(&self, tx: &crate::Tx);
    /// Asks for everything that was wanted and is unknown, and says how much that was.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] if no node answered.
    fn fetch(&self) -> Result<usize, StateError>;
}

/// Balance, nonce and code of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Native balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Code; empty for an account without.
    pub code: Bytes,
}

/// Why a state read failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The snapshot does not hold it; asking again will not help.
    #[error("state is not in the snapshot")]
    Missing,
    /// The node did not answer; trying again may help.
    #[error("state is unavailable")]
    Unavailable(#[source] Cause),
}

/// Answers [`StateRead`]s at a block: by `eth_call` batches, or by our own EVM.
pub trait StateReader: Send + Sync {
    /// Answers in the order of `reads`. A read that fails by itself is `Answer::Unavailable`.
    fn read<'a>(
        &'a self,
        block: &'a BlockRef,
        reads: &'a [StateRead],
    ) -> Boxed<'a, Result<Vec<Answer>, SourceError>>;
}

/// Hands signed transactions to a network: public nodes, private builders, the local chain.
pub trait Broadcaster: Send + Sync {
    /// The chain it serves.
    fn chain(&self) -> ChainId;
    /// Sends a signed EIP-2718 transaction. `Ok` means accepted into a pool, not included.
    fn send(&self, raw: Bytes) -> Boxed<'_, Result<B256, BroadcastError>>;
    /// Simulates a call on the latest state: gas used and return data.
    fn simulate<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Simulated, BroadcastError>>;
    /// The account's next nonce, counting only included transactions, and its balance in wei.
    fn account(&self, address: Address) -> Boxed<'_, Result<(u64, U256), BroadcastError>>;
    /// The head with its base fee in wei.
    fn head(&self) -> Boxed<'_, Result<(BlockRef, u64), BroadcastError>>;
    /// The inclusion of a transaction, `None` while it is not in a block.
    fn inclusion(&self, tx: B256) -> Boxed<'_, Result<Option<Inclusion>, BroadcastError>>;
}

/// Hands signed transactions to block builders, without showing them to the public.
///
/// Implementations: `eth_sendBundle` and `eth_sendPrivateTransaction`.
pub trait PrivateRelay: Send + Sync {
    /// The chain it serves.
    fn chain(&self) -> ChainId;
    /// Short name for people; holds no secret.
    fn name(&self) -> &str;
    /// Offers a transaction for some blocks. `Ok` means heard, not included.
    fn offer<'a>(&'a self, offer: &'a Offer) -> Boxed<'a, Result<(), BroadcastError>>;
}

/// A signed transaction for the next blocks. Printing it shows no bytes: nobody else has seen them.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The signed EIP-2718 transaction.
    pub raw: Bytes,
    /// First block it may be in.
    pub first_block: u64,
    /// Last block it may be in.
    pub last_block: u64,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Offer({} bytes, {} to {})", self.raw.len(), self.first_block, self.last_block)
    }
}

/// A call to simulate. Printing it shows no calldata: that may hold signatures nobody has seen yet.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Sender.
    pub from: Address,
    /// Callee.
    pub to: Address,
    /// Calldata.
    pub data: Bytes,
    /// State reads to answer after the call, on top of its effects.
    pub then: Vec<StateRead>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .field("then", &self.then)
            .finish()
    }
}

/// What a simulated call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Return or revert data.
    pub output: Bytes,
    /// Gas used.
    pub gas_used: u64,
    /// The head it was simulated on.
    pub on: BlockRef,
    /// Answers to [`Call::then`], in order; `Unavailable` where the node cannot tell.
    pub then: Vec<Answer>,
}

/// Where and how a transaction was included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The block.
    pub block: BlockRef,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Gas used.
    pub gas_used: u64,
}

/// Why the network did not take or answer something.
#[derive(Debug, thiserror::Error)]
pub enum BroadcastError {
    /// Trying again, or another endpoint, may succeed.
    #[error("network is unavailable")]
    Unavailable(#[source] Cause),
    /// The very same transaction is known already: as good as accepted.
    #[error("transaction is already known")]
    AlreadyKnown,
    /// The nonce is used; the lane must re-read it.
    #[error("nonce is too low")]
    NonceTooLow,
    /// A replacement must pay more.
    #[error("replacement transaction is underpriced")]
    Underpriced,
    /// The sender cannot pay.
    #[error("relayer has insufficient funds")]
    InsufficientFunds,
    /// The network says no for another reason; the same transaction will be refused again.
    #[error("network refused the transaction: {reason}")]
    Refused {
        /// The network's words, cut to 300 characters.
        reason: String,
    },
}

/// Carries messages to people: pagers, chats, webhooks. A delivery has a deadline of its own and is tried
/// once; who calls keeps the message until it is delivered.
pub trait Notifier: Send + Sync {
    /// Its id in the plan.
    fn id(&self) -> &str;
    /// Delivers `alert` once. Delivering it again, with the same id, is harmless to a receiver that
    /// de-duplicates.
    fn deliver<'a>(&'a self, alert: &'a Alert) -> Boxed<'a, Result<Receipt, DeliveryError>>;
}

/// What a receiver said when it took a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its reference to the message, if it gave one, cut to 200 characters.
    pub reference: Option<String>,
}

/// Why a message was not delivered. No variant holds a URL, key or token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Trying again may succeed: no answer, too many messages, the receiver's fault.
    #[error("message is not delivered yet: {because}")]
    Later {
        /// Why, for people.
        because: String,
        /// The least wait the receiver asked for, in milliseconds.
        after_ms: Option<u64>,
    },
    /// The same message will be refused again: somebody must correct the message or the settings.
    #[error("receiver refused the message: {because}")]
    Never {
        /// The receiver's words, cut to 300 characters.
        because: String,
    },
}

/// The append-only, hash-chained journal: in files of its own, SQLite or PostgreSQL.
pub trait Journal: Send + Sync {
    /// Appends `records` in order and returns once they are durable. Concurrent appends may share one
    /// commit. Returns the entries as stored.
    fn append<'a>(
        &'a self,
        now: Timestamp,
        records: &'a [Record],
    ) -> Boxed<'a, Result<Vec<Entry>, JournalError>>;
    /// Reads up to `limit` entries from `from_seq` on, in order.
    fn read(&self, from_seq: u64, limit: usize) -> Boxed<'_, Result<Vec<Entry>, JournalError>>;
    /// Sequence number and hash of the last entry, `None` if empty.
    fn head(&self) -> Boxed<'_, Result<Option<(u64, B256)>, JournalError>>;
    /// The sequence number of the last snapshot, `None` if there is none.
    fn last_snapshot(&self) -> Boxed<'_, Result<Option<u64>, JournalError>>;
    /// Checks the whole chain: hashes, order, gaps. Returns how many entries were checked.
    fn verify(&self) -> Boxed<'_, Result<u64, JournalError>>;
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Trying again may succeed (disk full, lock held, server away).
    #[error("journal is unavailable")]
    Unavailable(#[source] Cause),
    /// A stored entry is not what was written. Trying again will not help.
    #[error("journal entry {seq} is corrupt: {what}")]
    Corrupt {
        /// Where.
        seq: u64,
        /// How, for people.
        what: String,
    },
    /// Another process writes to this journal; ours must stop.
    #[error("another process owns the journal")]
    Fenced,
}

/// Fan-out between roles of the program: in-process or NATS JetStream. Best effort; the journal is
/// the truth and a subscriber that lags must catch up from it.
pub trait Bus: Send + Sync {
    /// Publishes `message` on `subject`.
    fn publish<'a>(&'a self, subject: &'a str, message: Bytes) -> Boxed<'a, Result<(), BusError>>;
    /// Subscribes to `subject`; messages published after this returns are delivered in order.
    fn subscribe<'a>(
        &'a self,
        subject: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Subscription>, BusError>>;
}

/// A running subscription. Dropping it ends it.
pub trait Subscription: Send {
    /// Waits for the next message.
    ///
    /// # Errors
    /// [`BusError::Lagged`] if messages were lost; the next call continues with later ones.
    fn next(&mut self) -> Boxed<'_, Result<Bytes, BusError>>;
}

/// Why the bus failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Trying again may succeed.
    #[error("bus is unavailable")]
    Unavailable(#[source] Cause),
    /// Messages were lost because the subscriber was slow.
    #[error("{count} messages were lost")]
    Lagged {
        /// How many.
        count: u64,
    },
    /// The bus was shut down.
    #[error("bus is closed")]
    Closed,
}
