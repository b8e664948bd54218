//! What a consumer may rely on: parents before children, nothing twice, nothing left out.

use alloy_primitives::B256;
use cofferdam_core::BlockRef;

/// The chain as it was delivered.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    chain: Vec<(u64, B256)>,
    pub(crate) replaced: usize,
}

impl Follower {
    /// Takes a delivered block.
    ///
    /// # Panics
    /// If its parent was not delivered, or it was and still counts.
    pub(crate) fn take(&mut self, block: &BlockRef) {
        let place = (block.number, block.hash);
        assert!(!self.chain.contains(&place), "block {} came twice", block.number);
        if let Some((first, _)) = self.chain.first().copied() {
            let parent = self.chain.iter().position(|it| it.1 == block.parent);
            let keep = match parent {
                Some(at) => at + 1,
                None => {
                    assert_eq!(block.number, first, "the parent of block {place:?} never came");
                    0
                }
            };
            self.replaced += self.chain.len() - keep;
            self.chain.truncate(keep);
        }
        if let Some((number, _)) = self.chain.last() {
            assert_eq!(number + 1, block.number);
        }
        self.chain.push(place);
    }

    pub(crate) fn tip(&self) -> Option<(u64, B256)> {
        self.chain.last().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.chain.len()
    }
}
