//! Full mainnet blocks with prestate and code.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use cofferdam_core::{
    ChainId, Observation,
    ports::AccountState,
    snapshot::{Snapshot, SnapshotAccount},
};
use serde::Deserialize;

use super::{RecordedError, block::RpcBlock, file, number::quantity};

/// A recorded block: not executed, with the state of its parent.
#[derive(Clone, Debug)]
pub struct RecordedBlock {
    /// The block; its transactions hold no results yet.
    pub observation: Observation,
    /// Everything it reads, as it was before it. Complete.
    pub state: Snapshot,
}

/// A folder of mainnet blocks that share a table of codes, which is read once.
#[derive(Debug)]
pub struct MainnetBlocks {
    folder: PathBuf,
    codes: BTreeMap<B256, Bytes>,
    hashes: BTreeMap<u64, B256>,
}

#[derive(Deserialize)]
struct Account {
    balance: U256,
    #[serde(deserialize_with = "quantity")]
    nonce: u64,
    #[serde(default)]
    code_hash: Option<B256>,
    #[serde(default)]
    storage: BTreeMap<U256, U256>,
}

/// Loads one block of the folder `dir`. To load several, [`MainnetBlocks::open`] reads the codes once.
///
/// # Errors
/// [`RecordedError`] if a file is unreadable, too large or malformed.
pub fn load_mainnet_block(dir: &Path, number: u64) -> Result<RecordedBlock, RecordedError> {
    MainnetBlocks::open(dir)?.load(number)
}

impl MainnetBlocks {
    /// Opens the folder `dir`, which holds `codes.json.zst`, `block_hashes.json` and `blocks/`.
    ///
    /// # Errors
    /// [`RecordedError`] if a file is unreadable, too large or malformed, or a code has another hash.
    pub fn open(dir: &Path) -> Result<Self, RecordedError> {
        let codes = load_codes(&dir.join("codes.json.zst"))?;
        let hashes = file::json(&dir.join("block_hashes.json"))?;
        Ok(Self { folder: dir.to_owned(), codes, hashes })
    }

    /// Loads block `number`.
    ///
    /// # Errors
    /// [`RecordedError`] if a file is unreadable, too large or malformed.
    pub fn load(&self, number: u64) -> Result<RecordedBlock, RecordedError> {
        self.load_from(&self.folder.join("blocks").join(number.to_string()))
    }

    /// Loads the block in the folder `dir`, whose own `codes.json.zst` is read if there is one.
    ///
    /// # Errors
    /// [`RecordedError`] if a file is unreadable, too large or malformed.
    pub fn load_from(&self, dir: &Path) -> Result<RecordedBlock, RecordedError> {
        let (block, own) = (dir.join("block.json.zst"), dir.join("codes.json.zst"));
        let observation = file::json::<RpcBlock>(&block)?.observation(&block, ChainId(1))?;
        let own = if own.exists() { load_codes(&own)? } else { BTreeMap::new() };
        let path = dir.join("prestate.json.zst");
        let mut state =
            Snapshot { block_hashes: self.hashes.clone(), complete: true, ..Snapshot::default() };
        for (address, account) in file::json::<BTreeMap<Address, Account>>(&path)? {
            let code = match account.code_hash.filter(|it| *it != KECCAK256_EMPTY) {
                None => Bytes::new(),
                Some(hash) => {
                    let code = own.get(&hash).or_else(|| self.codes.get(&hash)).cloned();
                    code.ok_or_else(|| {
                        RecordedError::malformed(&path, format!("no code with hash {hash}"))
                    })?
                }
            };
            let known = AccountState { balance: account.balance, nonce: account.nonce, code };
            let account =
                SnapshotAccount { state: known, storage: account.storage, complete: true };
            state.accounts.insert(address, account);
        }
        Ok(RecordedBlock { observation, state })
    }
}

fn load_codes(path: &Path) -> Result<BTreeMap<B256, Bytes>, RecordedError> {
    let codes: BTreeMap<B256, Bytes> = file::json(path)?;
    match codes.iter().find(|(hash, code)| keccak256(code) != **hash) {
        Some((hash, _)) => {
            Err(RecordedError::malformed(path, format!("code under {hash} has another hash")))
        }
        None => Ok(codes),
    }
}
