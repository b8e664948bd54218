//! Original exploit transactions with full prestate.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp,
    ports::AccountState,
    read::Readings,
    snapshot::{Snapshot, SnapshotAccount},
};
use serde::Deserialize;

use super::{
    RecordedError,
    block::RpcTx,
    file,
    number::{maybe, quantity},
    rename::Rename,
    trace::FileLog,
};

/// A recorded transaction case.
#[derive(Clone, Debug)]
pub struct RecordedCase {
    /// Its name.
    pub name: String,
    /// Hash of the original transaction.
    pub original: B256,
    /// The block with the case's transactions, not executed. Its hashes are made up.
    pub observation: Observation,
    /// The state they read. Partial: what it does not hold is unknown.
    pub state: Snapshot,
    /// What each transaction is expected to do.
    pub expected: Vec<Expected>,
}

/// What a transaction of a case is expected to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Gas used.
    pub gas_used: u64,
    /// Whether it succeeds.
    pub succeeded: bool,
    /// Its logs in order.
    pub logs: Vec<Log>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    name: String,
    tx_hash: B256,
    #[serde(deserialize_with = "quantity")]
    chain_id: u64,
    block: FileBlock,
    alloc: BTreeMap<Address, FileAccount>,
    txs: Vec<RpcTx>,
    expect: Vec<FileExpected>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileBlock {
    #[serde(deserialize_with = "quantity")]
    number: u64,
    #[serde(deserialize_with = "quantity")]
    timestamp: u64,
    miner: Address,
    #[serde(deserialize_with = "quantity")]
    gas_limit: u64,
    #[serde(default, deserialize_with = "maybe")]
    base_fee_per_gas: Option<u64>,
    difficulty: U256,
    #[serde(default)]
    mix_hash: Option<B256>,
}

#[derive(Deserialize)]
struct FileAccount {
    balance: U256,
    #[serde(deserialize_with = "quantity")]
    nonce: u64,
    #[serde(default)]
    code: Option<Bytes>,
    #[serde(default)]
    storage: BTreeMap<U256, U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileExpected {
    #[serde(deserialize_with = "quantity")]
    gas_used: u64,
    status: bool,
    logs: Vec<FileLog>,
}

#[derive(Deserialize)]
struct Senders {
    txs: Vec<Sender>,
}

#[derive(Deserialize)]
struct Sender {
    from: Address,
}

/// Loads the case at `path`. With a `seed` the senders get fresh addresses; calldata stays as it is,
/// because signatures and proofs cover it.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_tx_case(path: &Path, seed: Option<u64>) -> Result<RecordedCase, RecordedError> {
    let text = file::text(path)?;
    let senders: Senders = file::parse(path, &text)?;
    let renamed = seed.map(|seed| Rename::of(senders.txs.iter().map(|it| it.from), seed));
    let rename = |it: Address| renamed.as_ref().map_or(it, |rename| rename.address(it));
    let it: File = file::parse(path, &text)?;
    let mut txs = Vec::with_capacity(it.txs.len());
    for (tx, index) in it.txs.into_iter().zip(0..) {
        let mut tx = tx.tx(path, index)?;
        tx.from = rename(tx.from);
        let seed = [it.tx_hash.as_slice(), tx.from.as_slice(), &index.to_be_bytes()].concat();
        tx.hash = keccak256(seed);
        txs.push(tx);
    }
    let mut state = Snapshot::default();
    for (address, account) in it.alloc {
        let code = account.code.unwrap_or_default();
        let known = AccountState { balance: account.balance, nonce: account.nonce, code };
        let storage = account.storage;
        let account = SnapshotAccount { state: known, storage, complete: false };
        // The calldata may still name the original sender, as a recipient say.
        state.accounts.insert(rename(address), account.clone());
        state.accounts.insert(address, account);
    }
    let expected = it.expect.into_iter().map(|it| it.expected(path));
    Ok(RecordedCase {
        name: it.name,
        original: it.tx_hash,
        expected: expected.collect::<Result<_, _>>()?,
        observation: it.block.observation(ChainId(it.chain_id), it.tx_hash, txs),
        state,
    })
}

impl FileBlock {
    fn observation(&self, chain: ChainId, seed: B256, txs: Vec<cofferdam_core::Tx>) -> Observation {
        let hash = |part: &str| keccak256([part.as_bytes(), seed.as_slice()].concat());
        Observation {
            block: BlockRef {
                chain,
                number: self.number,
                hash: hash("block"),
                parent: hash("parent"),
                time: Timestamp::from_secs(self.timestamp),
            },
            env: BlockEnv {
                beneficiary: self.miner,
                gas_limit: self.gas_limit,
                base_fee: self.base_fee_per_gas.unwrap_or_default(),
                difficulty: self.difficulty,
                prev_randao: self.mix_hash,
                ..BlockEnv::default()
            },
            stage: Stage::Provisional,
            witnesses: 1,
            txs,
            readings: Readings::default(),
        }
    }
}

impl FileExpected {
    fn expected(self, path: &Path) -> Result<Expected, RecordedError> {
        let logs = self.logs.into_iter().map(|it| it.log(path)).collect::<Result<_, _>>()?;
        Ok(Expected { gas_used: self.gas_used, succeeded: self.status, logs })
    }
}
