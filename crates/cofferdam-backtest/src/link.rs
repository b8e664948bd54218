//! Recorded blocks as one chain: recordings have holes, the engine takes none.
//!
//! **Invariant:** hash and time of a block stay; number and parent are the recorded ones as long as the blocks
//! follow each other. After a hole the numbers go on without it, and the map back is kept by hash.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use cofferdam_core::BlockRef;
use serde::{Deserialize, Serialize};

/// Real numbers kept for blocks that a finding may still name.
const KEPT: usize = 4_096;

/// The chains so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Linker {
    heads: BTreeMap<u64, (u64, B256)>,
    /// Recorded numbers by hash, in order of arrival.
    real: Vec<(B256, u64)>,
}

impl Linker {
    /// The block as the next one of its chain.
    pub(crate) fn link(&mut self, block: BlockRef) -> BlockRef {
        let head = self.heads.get(&block.chain.0).copied();
        let (number, parent) = match head {
            None => (block.number, block.parent),
            Some((number, hash)) => (number.saturating_add(1), hash),
        };
        // Two recordings of one block are two blocks of the chain that is replayed.
        let seen = self.real.iter().any(|it| it.0 == block.hash) || block.hash.is_zero();
        let hash = match seen {
            true => keccak256(
                [&number.to_be_bytes()[..], parent.as_slice(), block.hash.as_slice()].concat(),
            ),
            false => block.hash,
        };
        self.heads.insert(block.chain.0, (number, hash));
        if self.real.len() >= KEPT {
            self.real.drain(..KEPT / 2);
        }
        self.real.push((hash, block.number));
        BlockRef { number, parent, hash, ..block }
    }

    /// The recorded number of a linked block.
    pub(crate) fn recorded(&self, block: &BlockRef) -> u64 {
        let found = self.real.iter().rev().find(|it| it.0 == block.hash);
        found.map_or(block.number, |it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use cofferdam_core::{BlockRef, ChainId, Timestamp};

    use super::Linker;

    #[test]
    fn blocks_with_a_hole_between_them_become_a_chain_and_keep_their_recorded_numbers() {
        let block = |number, hash| BlockRef {
            chain: ChainId(1),
            number,
            hash: B256::repeat_byte(hash),
            parent: B256::repeat_byte(99),
            time: Timestamp(number),
        };
        let mut linker = Linker::default();
        let (a, b, c) =
            (linker.link(block(10, 1)), linker.link(block(500, 2)), linker.link(block(500, 2)));
        assert_eq!((a.number, b.number, c.number), (10, 11, 12));
        assert_eq!((b.parent, c.parent), (a.hash, b.hash));
        assert_ne!(c.hash, b.hash);
        assert_eq!((linker.recorded(&a), linker.recorded(&b)), (10, 500));
    }
}
