//! What transactions see: the state source below, the effects of earlier transactions above, and a
//! record of every read that neither could answer.
//!
//! **Invariant:** a missing read answers zero so that execution can finish, and is always counted; a
//! value that a transaction wrote after a missing read is itself counted as missing when it is read.

use alloy_primitives::{Address, B256, U256, map::HashSet};
use cofferdam_core::{
    evidence::{MISSING_READS_MAX, MissingRead, Tracing},
    ports::{AccountState, Cause, StateError, StateSource},
};
use revm::{
    Database,
    bytecode::Bytecode,
    database_interface::DBErrorMarker,
    primitives::{AddressMap, HashMap, StorageKeyMap},
    state::{Account, AccountInfo, EvmState},
};

use crate::code;

/// The source did not answer.
#[derive(Debug, thiserror::Error)]
#[error("state is unavailable")]
pub(crate) struct Unavailable(#[source] pub(crate) Cause);

impl DBErrorMarker for Unavailable {}

/// The highest address that is a precompile on any chain we know, plus the P-256 precompile below.
const PRECOMPILE_LAST: u64 = 0x11;
/// The P-256 precompile (RIP-7212, EIP-7951).
const PRECOMPILE_P256: u64 = 0x100;

/// State source plus effects.
#[derive(Clone)]
pub(crate) struct Overlay<'a> {
    base: &'a dyn StateSource,
    accounts: AddressMap<Cached>,
    hashes: HashMap<u64, Option<B256>>,
    missing: Missing,
}

#[derive(Clone, Debug, Default)]
struct Cached {
    info: Option<AccountInfo>,
    known: bool,
    /// Created or destroyed here: the source's storage no longer counts.
    wiped: bool,
    written: bool,
    storage: StorageKeyMap<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    value: U256,
    known: bool,
    written: bool,
}

/// Reads that could not be answered, each once, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing {
    pub(crate) reads: Vec<MissingRead>,
    accounts: HashSet<Address>,
    slots: HashSet<(Address, U256)>,
    hashes: HashSet<u64>,
}

impl Missing {
    fn account(&mut self, address: Address) {
        if self.accounts.insert(address) {
            self.reads.push(MissingRead::Account(address));
        }
    }

    fn slot(&mut self, address: Address, slot: U256) {
        if self.slots.insert((address, slot)) {
            self.reads.push(MissingRead::Slot(address, slot));
        }
    }

    fn hash(&mut self, number: u64) {
        if self.hashes.insert(number) {
            self.reads.push(MissingRead::BlockHash(number));
        }
    }

    /// Forgets the reads for which `zero` holds: absent and rightly zero.
    pub(crate) fn forget(&mut self, zero: impl Fn(&MissingRead) -> bool) {
        self.reads.retain(|it| !zero(it));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// The reads as [`Tracing::Incomplete`].
    pub(crate) fn tracing(&self) -> Tracing {
        let missing = self.reads.iter().take(MISSING_READS_MAX).cloned().collect();
        Tracing::Incomplete { missing, count: u64::try_from(self.reads.len()).unwrap_or(u64::MAX) }
    }
}

/// What one run of transactions changed in one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountChange {
    /// As it is now; `None` if it does not exist.
    pub(crate) info: Option<AccountInfo>,
    /// Whether `info` rests on known state.
    pub(crate) known: bool,
    /// Storage from before no longer counts.
    pub(crate) wiped: bool,
    /// Changed slots; `None` if the value rests on state that was missing.
    pub(crate) storage: StorageKeyMap<Option<U256>>,
}

/// What transactions left behind, without the state below: kept to be asked later.
#[derive(Clone, Default)]
pub struct After(AddressMap<Cached>);

impl std::fmt::Debug for After {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("After").field(&self.0.len()).finish()
    }
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn StateSource) -> Self {
        Self::on_top(base, After::default())
    }

    /// `after` on top of `base`, the state that its transactions ran on.
    pub(crate) fn on_top(base: &'a dyn StateSource, after: After) -> Self {
        Self { base, accounts: after.0, hashes: HashMap::default(), missing: Missing::default() }
    }

    /// What was written, and what was read and known: the latter is not asked for again.
    pub(crate) fn into_after(self) -> After {
        let mut accounts = self.accounts;
        accounts.retain(|_, it| {
            it.storage.retain(|_, slot| slot.known || slot.written);
            it.known || it.written
        });
        After(accounts)
    }

    /// The missing reads since the last call.
    pub(crate) fn take_missing(&mut self) -> Missing {
        std::mem::take(&mut self.missing)
    }

    /// The account as the last committed transaction left it, if it was ever read.
    pub(crate) fn peek(&self, address: &Address) -> Option<&AccountInfo> {
        self.accounts.get(address).and_then(|it| it.info.as_ref())
    }

    /// Puts `code` in place of that of `address` and returns what was there. No change of the account.
    pub(crate) fn replace_code(
        &mut self,
        address: Address,
        code: Bytecode,
    ) -> Result<Bytecode, Unavailable> {
        let info = self.load(address)?.info.get_or_insert_default();
        info.code_hash = code.hash_slow();
        Ok(info.code.replace(code).unwrap_or_default())
    }

    /// Takes over the effects of a transaction. `trusted` is false if it lacked state; then what it
    /// wrote is unknown, except at `exempt` (the fee recipient, whom every transaction reads).
    pub(crate) fn commit(&mut self, state: EvmState, trusted: bool, exempt: Address) {
        for (address, account) in state {
            if account.is_touched() {
                let known = trusted || address == exempt;
                self.commit_account(address, account, known);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: Account, known: bool) {
        let cached = self.accounts.entry(address).or_default();
        if account.is_selfdestructed() {
            cached.storage.clear();
            *cached = Cached { wiped: true, written: true, known, ..Cached::default() };
            return;
        }
        if account.is_created() {
            cached.storage.clear();
            cached.wiped = true;
        }
        if account.is_created() || cached.info.as_ref() != Some(&account.info) {
            cached.info = Some(account.info);
            cached.written = true;
            cached.known &= known;
        }
        for (slot, value) in account.storage {
            if value.is_changed() {
                let value = Slot { value: value.present_value, known, written: true };
                cached.storage.insert(slot, value);
                cached.written = true;
            }
        }
    }

    /// Everything that was written.
    pub(crate) fn into_changes(self) -> AddressMap<AccountChange> {
        let written = self.accounts.into_iter().filter(|it| it.1.written);
        written
            .map(|(address, it)| {
                let storage = it.storage.into_iter().filter(|slot| slot.1.written);
                let storage = storage.map(|(slot, it)| (slot, it.known.then_some(it.value)));
                let (info, known, wiped) = (it.info, it.known, it.wiped);
                (address, AccountChange { info, known, wiped, storage: storage.collect() })
            })
            .collect()
    }

    fn load(&mut self, address: Address) -> Result<&mut Cached, Unavailable> {
        if !self.accounts.contains_key(&address) {
            let (info, known) = match self.base.account(address) {
                Ok(state) => (state.map(info), true),
                Err(StateError::Missing) => (None, is_precompile(address)),
                Err(StateError::Unavailable(cause)) => return Err(Unavailable(cause)),
            };
            let cached = Cached { info, known, ..Cached::default() };
            self.accounts.insert(address, cached);
        }
        Ok(self.accounts.entry(address).or_default())
    }
}

impl std::fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}

impl Database for Overlay<'_> {
    type Error = Unavailable;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Unavailable> {
        let cached = self.load(address)?;
        let (info, known) = (cached.info.clone(), cached.known);
        if !known {
            self.missing.account(address);
        }
        Ok(info)
    }

    fn code_by_hash(&mut self, _: B256) -> Result<Bytecode, Unavailable> {
        // Accounts carry their code, so this is only asked for the empty hash.
        Ok(Bytecode::default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Unavailable> {
        let base = self.base;
        let cached = self.load(address)?;
        let absent = cached.wiped || (cached.known && cached.info.is_none());
        let found = match cached.storage.get(&slot) {
            Some(found) => *found,
            None if absent => return Ok(U256::ZERO),
            None => {
                let (value, known) = match base.storage(address, slot) {
                    Ok(value) => (value, true),
                    Err(StateError::Missing) => (U256::ZERO, false),
                    Err(StateError::Unavailable(cause)) => return Err(Unavailable(cause)),
                };
                let found = Slot { value, known, written: false };
                cached.storage.insert(slot, found);
                found
            }
        };
        if !found.known {
            self.missing.slot(address, slot);
        }
        Ok(found.value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Unavailable> {
        let hash = match self.hashes.get(&number) {
            Some(hash) => *hash,
            None => match self.base.block_hash(number) {
                Ok(hash) => Some(hash),
                Err(StateError::Missing) => None,
                Err(StateError::Unavailable(cause)) => return Err(Unavailable(cause)),
            },
        };
        self.hashes.insert(number, hash);
        if hash.is_none() {
            self.missing.hash(number);
        }
        Ok(hash.unwrap_or_default())
    }
}

fn info(state: AccountState) -> AccountInfo {
    let (code_hash, code) = code::analysed(&state.code);
    AccountInfo::new(state.balance, state.nonce, code_hash, code)
}

/// Precompiles have no state worth recording; snapshots often leave them out.
fn is_precompile(address: Address) -> bool {
    let number = U256::from_be_slice(address.as_slice());
    (!number.is_zero() && number <= U256::from(PRECOMPILE_LAST))
        || number == U256::from(PRECOMPILE_P256)
}
