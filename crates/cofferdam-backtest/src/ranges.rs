//! Ranges of blocks: the unit of work, of resumption, and of hand-over.
//!
//! **Invariant:** a function of the number of blocks alone, so that neither threads nor interruptions show.

/// Fewest blocks of a range; a seam between two costs as much as a restart of the engine.
const BLOCKS_MIN: usize = 8;
/// Most ranges of one strand.
const RANGES_MAX: usize = 64;

/// Blocks `from .. to` of a strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: usize,
    /// After the last.
    pub to: usize,
}

/// Cuts `blocks` blocks into ranges; with `size` into ranges of so many.
pub fn ranges(blocks: usize, size: Option<usize>) -> Vec<Range> {
    let usual = blocks.div_ceil(RANGES_MAX).max(BLOCKS_MIN);
    let size = size.unwrap_or(usual).max(1);
    let starts = (0..blocks).step_by(size);
    starts.map(|from| Range { from, to: from.saturating_add(size).min(blocks) }).collect()
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn ranges_cover_every_block_once() {
        for blocks in [0, 1, 7, 8, 9, 513, 10_000] {
            let all = ranges(blocks, None);
            let mut next = 0;
            for it in &all {
                assert_eq!(it.from, next);
                assert!(it.to > it.from);
                next = it.to;
            }
            assert_eq!(next, blocks);
            assert!(all.len() <= super::RANGES_MAX);
        }
        assert_eq!(ranges(10, Some(3)).len(), 4);
    }
}
