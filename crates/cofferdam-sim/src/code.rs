//! Analysed code, shared by all simulations of the process.
//!
//! Hashing and analysing the code of a large contract costs more than calling it. A source that hands
//! out clones of the same [`Bytes`] pays once.
//!
//! **Invariant:** a pure memo. An entry keeps its bytes alive, so that the address of an allocation
//! cannot come to mean other bytes while it is a key.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, keccak256};
use revm::bytecode::Bytecode;

/// How many codes are kept; with the largest codes about 150 MiB. When full, all are dropped.
const CODES_MAX: usize = 2_048;

type Codes = HashMap<(usize, usize), (Bytes, B256, Bytecode)>;

static CODES: LazyLock<Mutex<Codes>> = LazyLock::new(Mutex::default);

/// The hash and the analysed form of `code`.
pub(crate) fn analysed(code: &Bytes) -> (B256, Bytecode) {
    if code.is_empty() {
        return (KECCAK256_EMPTY, Bytecode::default());
    }
    let key = (code.as_ptr().addr(), code.len());
    let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, hash, bytecode)) = codes.get(&key) {
        return (*hash, bytecode.clone());
    }
    drop(codes);
    let (hash, bytecode) = (keccak256(code), analyse(code.clone()));
    codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    if codes.len() >= CODES_MAX {
        codes.clear();
    }
    codes.insert(key, (code.clone(), hash, bytecode.clone()));
    (hash, bytecode)
}

/// Code that only looks like an EIP-7702 delegation is legacy code.
pub(crate) fn analyse(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}
