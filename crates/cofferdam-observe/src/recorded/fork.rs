//! Foundry fork caches: the state that one reproduction of an exploit read.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use cofferdam_core::{
    BlockEnv, Timestamp,
    ports::AccountState,
    snapshot::{Snapshot, SnapshotAccount},
};
use serde::Deserialize;

use super::{
    RecordedError, file,
    number::{maybe, quantity},
};

/// A fork cache.
#[derive(Clone, Debug)]
pub struct RecordedFork {
    /// The block whose end the state is of.
    pub number: u64,
    /// That block's time.
    pub time: Timestamp,
    /// That block's header fields; nothing to check against.
    pub env: BlockEnv,
    /// The state. Partial: what the reproduction did not read is unknown, not zero.
    pub state: Snapshot,
}

#[derive(Deserialize)]
struct Cache {
    meta: Meta,
    accounts: BTreeMap<Address, Account>,
    storage: BTreeMap<Address, BTreeMap<U256, U256>>,
    #[serde(default)]
    block_hashes: BTreeMap<U256, B256>,
}

#[derive(Deserialize)]
struct Meta {
    block_env: Env,
}

#[derive(Deserialize)]
struct Env {
    #[serde(deserialize_with = "quantity")]
    number: u64,
    beneficiary: Address,
    #[serde(deserialize_with = "quantity")]
    timestamp: u64,
    #[serde(deserialize_with = "quantity")]
    gas_limit: u64,
    #[serde(default, deserialize_with = "maybe")]
    basefee: Option<u64>,
    difficulty: U256,
    #[serde(default)]
    prevrandao: Option<B256>,
}

#[derive(Deserialize)]
struct Account {
    balance: U256,
    #[serde(deserialize_with = "quantity")]
    nonce: u64,
    code_hash: B256,
    #[serde(default)]
    code: Option<Code>,
}

#[derive(Deserialize)]
enum Code {
    LegacyAnalyzed { bytecode: Bytes, original_len: usize },
    LegacyRaw(Bytes),
}

/// Loads the fork cache at `path`.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed, or a code has another hash.
pub fn load_fork_cache(path: &Path) -> Result<RecordedFork, RecordedError> {
    let cache: Cache = file::json(path)?;
    let mut state = Snapshot::default();
    for (address, account) in cache.accounts {
        let code = account.code(path, address)?;
        let known = AccountState { balance: account.balance, nonce: account.nonce, code };
        state.accounts.insert(address, SnapshotAccount { state: known, ..Default::default() });
    }
    for (address, storage) in cache.storage {
        state.account_mut(address).storage = storage;
    }
    for (number, hash) in cache.block_hashes {
        if let Ok(number) = u64::try_from(number) {
            state.block_hashes.insert(number, hash);
        }
    }
    let env = cache.meta.block_env;
    Ok(RecordedFork {
        number: env.number,
        time: Timestamp::from_secs(env.timestamp),
        env: BlockEnv {
            beneficiary: env.beneficiary,
            gas_limit: env.gas_limit,
            base_fee: env.basefee.unwrap_or_default(),
            difficulty: env.difficulty,
            prev_randao: env.prevrandao,
            ..BlockEnv::default()
        },
        state,
    })
}

impl Account {
    /// The code without the padding that the cache keeps it with.
    fn code(&self, path: &Path, address: Address) -> Result<Bytes, RecordedError> {
        let none = self.code_hash == KECCAK256_EMPTY || self.code_hash.is_zero();
        let code = match &self.code {
            _ if none => return Ok(Bytes::new()),
            None => None,
            Some(Code::LegacyRaw(code)) => Some(code.clone()),
            Some(Code::LegacyAnalyzed { bytecode, original_len }) => {
                (*original_len <= bytecode.len()).then(|| bytecode.slice(..*original_len))
            }
        };
        code.filter(|it| keccak256(it) == self.code_hash).ok_or_else(|| {
            RecordedError::malformed(path, format!("code of {address} does not have its hash"))
        })
    }
}
