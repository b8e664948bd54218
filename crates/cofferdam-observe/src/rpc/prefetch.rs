//! State that an execution will need, asked for many at a time instead of one after the other.
//!
//! An execution on a [`Prefetch`] is told that what is not known yet is missing, and goes on with
//! zero: it still finds most of what the true execution will read. [`Prefetch::fetch`] then asks for
//! all of that at once, and the execution is repeated. A few rounds replace thousands of requests in
//! a row.
//!
//! **Invariant:** nothing unknown is ever answered: an execution that wanted nothing ran on true
//! state alone, any other is a guess and must be thrown away.

use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256, U256, map::HashSet};
use cofferdam_core::{
    Tx,
    ports::{AccountState, Ahead, StateError, StateSource},
};

use super::state::{Found, Question, RpcState};

/// Parts of the state that are asked for in one round; what is wanted beyond is left to the next.
const WANTED_MAX: usize = 20_000;

/// State at one block of which the unknown parts are noted.
#[derive(Debug)]
pub struct Prefetch {
    state: RpcState,
    wanted: Mutex<HashSet<Question>>,
}

impl Prefetch {
    pub(super) fn new(state: RpcState) -> Self {
        Self { state, wanted: Mutex::default() }
    }

    fn wanted(&self) -> MutexGuard<'_, HashSet<Question>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, question: Question) -> Result<Found, StateError> {
        self.state.known(question).ok_or_else(|| {
            let mut wanted = self.wanted();
            if wanted.len() < WANTED_MAX {
                wanted.insert(question);
            }
            StateError::Missing
        })
    }
}

impl StateSource for Prefetch {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.find(Question::Account(address))?.account()
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.find(Question::Slot(address, slot))?.word()
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.find(Question::BlockHash(number))?.hash()
    }
}

impl Ahead for Prefetch {
    /// Sender, recipient, access list, delegations.
    fn hint(&self, tx: &Tx) {
        let listed = tx.envelope.access_list.iter();
        let delegated = tx.envelope.authorizations.iter();
        let accounts = std::iter::once(tx.from)
            .chain(tx.to)
            .chain(listed.clone().map(|it| it.0))
            .chain(delegated.flat_map(|it| it.authority.into_iter().chain([it.address])));
        for address in accounts {
            let _ = self.find(Question::Account(address));
        }
        for (address, slots) in listed {
            for slot in slots {
                let _ = self.find(Question::Slot(*address, U256::from_be_bytes(slot.0)));
            }
        }
    }

    /// Blocks the calling thread.
    fn fetch(&self) -> Result<usize, StateError> {
        let wanted = self.wanted().drain().collect::<Vec<_>>();
        self.state.learn(&wanted)?;
        Ok(wanted.len())
    }
}
