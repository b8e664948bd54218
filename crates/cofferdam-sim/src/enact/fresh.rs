//! Tells storage slots that are rightly zero from slots that are missing.
//!
//! The attacker's addresses were drawn at random at load, so nothing on chain can be stored under them. A slot
//! whose key was hashed from one of them (a balance, an allowance) is zero although no snapshot says so.
//!
//! **Invariant:** only what a hash over an attacker's address led to is forgiven; every other missing
//! read stays a missing read.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use cofferdam_core::evidence::MissingRead;
use revm::{
    bytecode::opcode,
    interpreter::{
        Interpreter,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, MemoryTr},
    },
};

/// Longest preimage that is looked at, in bytes: mapping keys are 64 or less, packed keys a little more.
const PREIMAGE_BYTES_MAX: usize = 256;
/// How far from a hash a slot may lie: fields of a struct, elements of an array.
const SPAN: u64 = 1 << 16;

/// Hashes that were made from an attacker's address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fresh {
    hashes: BTreeSet<U256>,
    pending: bool,
}

impl Fresh {
    /// To be called before each instruction.
    pub(crate) fn step(&mut self, interp: &Interpreter<EthInterpreter>, attackers: &[Address]) {
        if interp.bytecode.opcode() != opcode::KECCAK256 {
            return;
        }
        let [.., length, offset] = interp.stack.data().as_slice() else { return };
        let (Ok(offset), Ok(length)) = (usize::try_from(*offset), usize::try_from(*length)) else {
            return;
        };
        // Memory that is not there yet is zero and holds no address.
        let end = offset.saturating_add(length);
        if length > PREIMAGE_BYTES_MAX || end > interp.memory.size() {
            return;
        }
        let preimage = interp.memory.slice_len(offset, length);
        self.pending = attackers.iter().any(|it| contains(&preimage, it))
            || preimage.chunks_exact(32).any(|it| self.covers(U256::from_be_slice(it)));
    }

    /// To be called after each instruction.
    pub(crate) fn step_end(&mut self, interp: &Interpreter<EthInterpreter>) {
        if std::mem::take(&mut self.pending)
            && let Some(hash) = interp.stack.data().last()
        {
            self.hashes.insert(*hash);
        }
    }

    /// Whether a missing read is rightly zero.
    pub(crate) fn forgives(&self, read: &MissingRead) -> bool {
        matches!(read, MissingRead::Slot(_, slot) if self.covers(*slot))
    }

    fn covers(&self, slot: U256) -> bool {
        let nearest = self.hashes.range(..=slot).next_back();
        nearest.is_some_and(|hash| slot - hash < U256::from(SPAN))
    }
}

fn contains(preimage: &[u8], address: &Address) -> bool {
    preimage.windows(Address::len_bytes()).any(|it| it == address.as_slice())
}
