//! Writes after a re-entry: a contract writes a slot that code below it, entered again through somebody else, has
//! read or written since (`onchain.md` S06). What it writes may rest on what it read before.
//!
//! **Invariant:** bounded, whatever the code does: so many accesses, so many writes, so many frames looked back.

use std::collections::HashMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::tx::StaleWrite;

/// SLOAD.
const SLOAD: u8 = 0x54;
/// SSTORE.
const SSTORE: u8 = 0x55;
/// Accesses remembered at a time.
const ACCESSES_MAX: usize = 4_096;
/// Writes told of one transaction.
const WRITES_MAX: usize = 64;
/// Open frames looked back for an earlier entry.
const FRAMES_BACK_MAX: usize = 64;

/// The watch over storage, kept along with the open frames.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    open: Vec<Open>,
    /// What re-entries used: the earlier entry, and the frame that came back.
    used: HashMap<(Address, U256), (usize, usize)>,
    /// The innermost of these earlier entries.
    innermost: Option<usize>,
    writes: Vec<StaleWrite>,
}

/// An open frame.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Whose storage it uses.
    storage: Address,
    /// Place among all frames; `None` if it was dropped.
    frame: Option<usize>,
    /// The re-entry that it is in: place in `open` of the earlier entry, and the frame that came back.
    inside: Option<(usize, usize)>,
}

impl Stale {
    /// A frame was opened that uses the storage of `storage`.
    pub(crate) fn push(&mut self, storage: Address, frame: Option<usize>) {
        let inside = self.open.last().and_then(|it| it.inside.filter(|_| it.storage == storage));
        let inside = inside.or_else(|| Some((self.entered(storage)?, frame?)));
        self.open.push(Open { storage, frame, inside });
    }

    /// The earlier entry to `storage` with another's frame in between, by place in `open`.
    fn entered(&self, storage: Address) -> Option<usize> {
        let least = self.open.len().saturating_sub(FRAMES_BACK_MAX);
        let back = || self.open.iter().enumerate().skip(least).rev();
        let other = back().find(|it| it.1.storage != storage)?.0;
        let before = back().find(|it| it.0 < other && it.1.storage == storage)?;
        // A proxy and its code are one entry.
        let first = back().skip_while(|it| it.0 > before.0);
        first.take_while(|it| it.1.storage == storage).last().map(|it| it.0)
    }

    /// The innermost frame was closed.
    pub(crate) fn pop(&mut self) {
        self.open.pop();
        let open = self.open.len();
        if self.innermost.is_some_and(|it| it >= open) {
            self.used.retain(|_, it| it.0 < open);
            self.innermost = self.used.values().map(|it| it.0).max();
        }
    }

    /// `opcode` is about to run with `slot` on top of the stack. On the path of every instruction.
    #[inline]
    pub(crate) fn note(&mut self, opcode: u8, slot: impl FnOnce() -> Option<U256>) {
        if opcode == SLOAD || opcode == SSTORE {
            self.access(opcode == SSTORE, slot);
        }
    }

    fn access(&mut self, writes: bool, slot: impl FnOnce() -> Option<U256>) {
        let Some(now) = self.open.last().copied() else { return };
        match now.inside {
            Some(inside) => {
                if self.used.len() < ACCESSES_MAX
                    && let Some(slot) = slot()
                {
                    let kept = self.used.entry((now.storage, slot)).or_insert(inside);
                    self.innermost = self.innermost.max(Some(kept.0));
                }
            }
            None if writes && !self.used.is_empty() && self.writes.len() < WRITES_MAX => {
                let Some(slot) = slot() else { return };
                let Some((entry, inner)) = self.used.get(&(now.storage, slot)).copied() else {
                    return;
                };
                let entry = self.open.get(entry).and_then(|it| it.frame);
                let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
                if let Some(entry) = entry {
                    let (outer, inner) = (number(entry), number(inner));
                    self.writes.push(StaleWrite { address: now.storage, slot, outer, inner });
                }
            }
            None => {}
        }
    }

    /// What was found; ready for the next transaction.
    pub(crate) fn take(&mut self) -> Vec<StaleWrite> {
        std::mem::take(self).writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Address = Address::repeat_byte(0xaa);
    const THEIRS: Address = Address::repeat_byte(0xec);

    fn at(slot: u64) -> impl FnOnce() -> Option<U256> {
        move || Some(U256::from(slot))
    }

    /// We call them, they come back and use slot 1; then we write `slot`.
    fn writes_after(slot: u64, back: bool) -> Vec<StaleWrite> {
        let mut it = Stale::default();
        it.push(OURS, Some(0));
        // A proxy's code uses the proxy's storage.
        it.push(OURS, Some(1));
        it.note(SLOAD, at(1));
        it.push(THEIRS, Some(2));
        if back {
            it.push(OURS, Some(3));
            it.push(OURS, Some(4));
            it.note(SLOAD, at(1));
            it.pop();
            it.pop();
        }
        it.pop();
        it.note(SSTORE, at(slot));
        it.pop();
        it.pop();
        it.take()
    }

    #[test]
    fn a_write_of_what_was_used_in_between_is_told_and_others_are_not() {
        let told = StaleWrite { address: OURS, slot: U256::ONE, outer: 0, inner: 3 };
        assert_eq!(writes_after(1, true), [told]);
        assert_eq!(writes_after(2, true), []);
        assert_eq!(writes_after(1, false), []);
    }

    #[test]
    fn two_entries_one_after_the_other_are_no_re_entry() {
        let mut it = Stale::default();
        it.push(THEIRS, Some(0));
        for frame in [1, 2] {
            it.push(OURS, Some(frame));
            it.note(SSTORE, at(1));
            it.pop();
        }
        it.pop();
        assert_eq!(it.take(), []);
    }

    #[test]
    fn what_a_closed_entry_left_is_forgotten() {
        let mut it = Stale::default();
        it.push(THEIRS, Some(0));
        it.push(OURS, Some(1));
        it.push(THEIRS, Some(2));
        it.push(OURS, Some(3));
        it.note(SLOAD, at(1));
        for _ in 0..3 {
            it.pop();
        }
        it.push(OURS, Some(4));
        it.note(SSTORE, at(1));
        assert_eq!(it.take(), []);
    }
}
