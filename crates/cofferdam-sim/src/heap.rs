//! Keeps the memory of one simulation for the next.
//!
//! The EVM allocates some 300 KiB for its stacks and frees them when it is done. glibc gives free memory at
//! the end of a heap back to the kernel beyond 128 KiB, so every simulation would fetch it page by page
//! anew, which takes as long as an ERC-20 transfer. The limit follows the largest allocation that was ever
//! freed (`mallopt(3)`, `M_MMAP_THRESHOLD`), so one is made and freed, once and without touching it. With
//! another allocator this does nothing.

use std::{hint::black_box, sync::Once};

/// Free memory is kept up to twice as much.
const KEPT_BYTES: usize = 16 << 20;

static KEEP: Once = Once::new();

/// Raises the limit, the first time it is called.
pub(crate) fn keep() {
    KEEP.call_once(|| drop(black_box(Vec::<u8>::with_capacity(KEPT_BYTES))));
}
