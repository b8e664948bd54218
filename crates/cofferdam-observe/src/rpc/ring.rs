//! The chain of blocks delivered so far, as far back as reorganisations are followed. Pure.

use std::collections::VecDeque;

use alloy_primitives::B256;

/// Consecutive delivered blocks, newest last.
#[derive(Debug)]
pub(crate) struct Ring {
    blocks: VecDeque<(u64, B256)>,
    limit: usize,
    /// Whether the oldest block is the first one ever delivered.
    rooted: bool,
}

/// What a block, found while walking back along a new branch, is to the delivered chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// It is in it: the common ancestor.
    Ancestor,
    /// It is not, but one of its ancestors may be.
    Stranger,
    /// Every delivered block was replaced; the first of them was this number.
    AllReplaced(u64),
    /// The common ancestor is older than what is known.
    Unknown,
}

impl Ring {
    /// An empty ring that holds one block more than `reorg_blocks_max`.
    pub(crate) fn new(reorg_blocks_max: u64) -> Self {
        let limit = usize::try_from(reorg_blocks_max).unwrap_or(usize::MAX).saturating_add(1);
        Self { blocks: VecDeque::new(), limit, rooted: true }
    }

    /// A ring that continues after `blocks`, oldest first, of which older ones were delivered too.
    pub(crate) fn after(reorg_blocks_max: u64, blocks: &[(u64, B256)]) -> Self {
        let mut ring = Self::new(reorg_blocks_max);
        ring.rooted = false;
        for (number, hash) in blocks {
            ring.push(*number, *hash);
        }
        ring
    }

    pub(crate) fn tip(&self) -> Option<(u64, B256)> {
        self.blocks.back().copied()
    }

    pub(crate) fn push(&mut self, number: u64, hash: B256) {
        if self.blocks.len() >= self.limit {
            self.blocks.pop_front();
            self.rooted = false;
        }
        self.blocks.push_back((number, hash));
    }

    pub(crate) fn at(&self, number: u64) -> Option<B256> {
        let first = self.blocks.front()?.0;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.blocks.get(index).map(|it| it.1)
    }

    pub(crate) fn kinship(&self, number: u64, hash: B256) -> Kinship {
        let Some((first, _)) = self.blocks.front() else { return Kinship::Unknown };
        match self.at(number) {
            Some(it) if it == hash => Kinship::Ancestor,
            _ if number >= *first => Kinship::Stranger,
            _ if self.rooted => Kinship::AllReplaced(*first),
            _ => Kinship::Unknown,
        }
    }

    /// Forgets every block after `number`.
    pub(crate) fn truncate_after(&mut self, number: u64) {
        self.blocks.retain(|it| it.0 <= number);
    }

    /// Forgets every block.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::{Kinship, Ring};

    fn hash(it: u8) -> B256 {
        B256::repeat_byte(it)
    }

    #[test]
    fn a_ring_finds_ancestors_within_its_reach_only() {
        let mut ring = Ring::new(2);
        for number in 10..15 {
            ring.push(number, hash(number as u8));
        }
        assert_eq!(ring.tip(), Some((14, hash(14))));
        assert_eq!(ring.kinship(13, hash(13)), Kinship::Ancestor);
        assert_eq!(ring.kinship(13, hash(99)), Kinship::Stranger);
        assert_eq!(ring.kinship(11, hash(11)), Kinship::Unknown);
        ring.truncate_after(12);
        assert_eq!(ring.tip(), Some((12, hash(12))));
    }

    #[test]
    fn a_young_source_may_lose_every_block_it_delivered() {
        let mut ring = Ring::new(5);
        ring.push(10, hash(10));
        assert_eq!(ring.kinship(10, hash(99)), Kinship::Stranger);
        assert_eq!(ring.kinship(9, hash(98)), Kinship::AllReplaced(10));
        let resumed = Ring::after(5, &[(10, hash(10))]);
        assert_eq!(resumed.kinship(9, hash(98)), Kinship::Unknown);
    }
}
