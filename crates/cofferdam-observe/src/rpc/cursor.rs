//! Where the walk stands: the delivered blocks and, after a reorganisation, the branch it changes to.
//!
//! **Invariant:** nothing is forgotten of the delivered chain before a block of the other branch is
//! delivered; hence a change of branch that comes to nothing leaves no trace, and no block is
//! delivered twice because of it. Pure.

use alloy_primitives::B256;

use super::ring::{Kinship, Ring};

#[derive(Debug)]
pub(crate) struct Cursor {
    ring: Ring,
    /// The next block number on the delivered chain; `None` before the first block of a source that
    /// starts at the head.
    next: Option<u64>,
    /// Blocks of the other branch, still to be delivered; the next one last.
    branch: Vec<(u64, B256)>,
}

/// Which block is to be had next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its height; `None` means the newest.
    pub(crate) number: Option<u64>,
    /// Its hash, where that is settled.
    pub(crate) hash: Option<B256>,
}

impl Cursor {
    /// At block `next`, or at the head.
    pub(crate) fn at(next: Option<u64>, reorg_blocks_max: u64) -> Self {
        Self { ring: Ring::new(reorg_blocks_max), next, branch: Vec::new() }
    }

    /// After `blocks`, oldest first, of which older ones were delivered too.
    pub(crate) fn after(blocks: &[(u64, B256)], reorg_blocks_max: u64) -> Self {
        let next = blocks.last().map(|it| it.0.saturating_add(1));
        Self { ring: Ring::after(reorg_blocks_max, blocks), next, branch: Vec::new() }
    }

    pub(crate) fn wanted(&self) -> Wanted {
        match self.branch.last() {
            Some((number, hash)) => Wanted { number: Some(*number), hash: Some(*hash) },
            None => Wanted { number: self.next, hash: None },
        }
    }

    /// The newest delivered block.
    pub(crate) fn tip(&self) -> Option<(u64, B256)> {
        self.ring.tip()
    }

    /// The delivered block at `number`, as far back as is known.
    pub(crate) fn delivered_at(&self, number: u64) -> Option<B256> {
        self.ring.at(number)
    }

    pub(crate) fn kinship(&self, number: u64, hash: B256) -> Kinship {
        self.ring.kinship(number, hash)
    }

    /// Whether the block that is wanted, as it was got, can be delivered now.
    pub(crate) fn continues(&self, hash: B256, parent: B256) -> bool {
        match (self.branch.last(), self.ring.tip()) {
            (Some((_, expected)), _) => *expected == hash,
            (None, Some((_, tip))) => tip == parent,
            (None, None) => true,
        }
    }

    /// Changes to another branch: its blocks after the common ancestor, newest first.
    pub(crate) fn turn_to(&mut self, branch: Vec<(u64, B256)>) {
        self.branch = branch;
    }

    /// Gives up changing to another branch, if that was under way.
    pub(crate) fn turn_back(&mut self) {
        self.branch.clear();
    }

    /// Notes a delivered block.
    pub(crate) fn delivered(&mut self, number: u64, hash: B256, parent: B256) {
        let below = number.checked_sub(1);
        match below.filter(|it| self.ring.at(*it) == Some(parent)) {
            Some(ancestor) => self.ring.truncate_after(ancestor),
            None => self.ring.clear(),
        }
        self.ring.push(number, hash);
        self.branch.pop();
        self.next = Some(number.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_primitives::B256;
    use proptest::prelude::*;

    use super::{Cursor, Wanted};
    use crate::rpc::ring::Kinship;

    fn hash(branch: u8, number: u64) -> B256 {
        let mut hash = B256::repeat_byte(branch);
        hash[31] = number as u8;
        hash
    }

    fn cursor(up_to: u64) -> Cursor {
        let mut cursor = Cursor::at(Some(1), 64);
        for number in 1..=up_to {
            cursor.delivered(number, hash(1, number), hash(1, number - 1));
        }
        cursor
    }

    #[test]
    fn a_change_of_branch_that_comes_to_nothing_leaves_no_trace() {
        let mut cursor = cursor(5);
        cursor.turn_to(vec![(5, hash(2, 5)), (4, hash(2, 4))]);
        assert_eq!(cursor.wanted(), Wanted { number: Some(4), hash: Some(hash(2, 4)) });
        assert!(!cursor.continues(hash(1, 4), hash(1, 3)));
        cursor.turn_back();
        assert_eq!(cursor.wanted(), Wanted { number: Some(6), hash: None });
        assert_eq!(cursor.tip(), Some((5, hash(1, 5))));
    }

    #[test]
    fn the_old_branch_is_forgotten_with_the_first_block_of_the_new_one() {
        let mut cursor = cursor(5);
        cursor.turn_to(vec![(5, hash(2, 5)), (4, hash(2, 4))]);
        cursor.delivered(4, hash(2, 4), hash(1, 3));
        assert_eq!(cursor.tip(), Some((4, hash(2, 4))));
        assert_eq!(cursor.kinship(5, hash(1, 5)), Kinship::Stranger);
        assert_eq!(cursor.wanted().hash, Some(hash(2, 5)));
        cursor.delivered(5, hash(2, 5), hash(2, 4));
        assert_eq!(cursor.wanted(), Wanted { number: Some(6), hash: None });
    }

    proptest! {
        /// Whatever turns are taken and given up, each delivered block's parent was delivered before
        /// it and not replaced since.
        #[test]
        fn every_delivered_block_follows_a_delivered_parent(
            moves in prop::collection::vec((0_u64..6, 0_u64..4, any::<bool>()), 1..40),
        ) {
            let mut cursor = cursor(8);
            let mut chain: BTreeMap<u64, B256> = (0..=8).map(|it| (it, hash(1, it))).collect();
            for (step, (depth, longer, gives_up)) in moves.into_iter().enumerate() {
                let (tip, _) = cursor.tip().unwrap_or_default();
                let fork = tip.saturating_sub(depth).max(1);
                let branch = 2 + step as u8;
                let new: Vec<_> =
                    (fork + 1..=tip + longer).rev().map(|it| (it, hash(branch, it))).collect();
                let count = new.len();
                cursor.turn_to(new);
                for index in 0..count {
                    if gives_up && index == count / 2 {
                        cursor.turn_back();
                        break;
                    }
                    let wanted = cursor.wanted();
                    let (Some(number), Some(hash)) = (wanted.number, wanted.hash) else {
                        return Err(TestCaseError::fail("the branch is known"));
                    };
                    let parent = chain.get(&(number - 1)).copied().unwrap_or_default();
                    prop_assert!(cursor.continues(hash, parent));
                    cursor.delivered(number, hash, parent);
                    chain.retain(|it, _| *it < number);
                    chain.insert(number, hash);
                }
                prop_assert_eq!(cursor.tip().map(|it| it.1), chain.values().last().copied());
                let next = cursor.tip().map(|it| it.0 + 1);
                prop_assert_eq!(cursor.wanted(), Wanted { number: next, hash: None });
            }
        }
    }
}
