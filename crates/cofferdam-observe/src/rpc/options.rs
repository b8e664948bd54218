//! What can be set about a JSON-RPC source.

use std::time::Duration;

use cofferdam_core::BlockRef;

use super::{
    check::Checks,
    witness::{ASK_MAX, ASK_MIN},
};

/// Who provides call trees and state diffs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TracePolicy {
    /// Nobody.
    #[default]
    None,
    /// The node, if it can (`debug_traceBlockByHash`).
    Node,
    /// Our own re-execution, downstream of the source; the source asks for nothing.
    Reexecute,
}

/// Where a source starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this block number.
    At(u64),
    /// After these blocks, which were delivered before a restart: consecutive, oldest first, at
    /// least one. A reorganisation since then is followed as far as they reach back.
    After(Vec<BlockRef>),
}

/// Settings of an [`RpcSource`](super::RpcSource).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcOptions {
    /// Expected time between blocks.
    pub block_time: Duration,
    /// The deepest reorganisation that is followed, in blocks.
    pub reorg_blocks_max: u64,
    /// How many independent endpoints should agree on a block's hash and receipts root. Nothing waits
    /// for them: fewer are asked about while this is not reached, and what they say is told later.
    pub quorum: u16,
    /// Whether pending transactions are watched.
    pub pending: bool,
    /// How often the block in the making is asked for (the `pending` tag), for chains that tell of it
    /// several times per block; `None` for chains that do not.
    pub sub_blocks: Option<Duration>,
    /// Who provides call trees and state diffs.
    pub traces: TracePolicy,
    /// Whether state diffs are wanted beside call trees.
    pub state_diffs: bool,
    /// Which commitments of a block are recomputed.
    pub checks: Checks,
    /// Time limit of one request; doubled with each failed round, at most three times.
    pub request_timeout: Duration,
    /// Time limit of one trace request.
    pub trace_timeout: Duration,
    /// No new block for this long is reported as *blind*; `None` for chains that make blocks on
    /// demand only.
    pub stall_after: Option<Duration>,
}

impl RpcOptions {
    /// Defaults for a chain with a block every `block_time`: reorganisations of 64 blocks are
    /// followed, no pending transactions, no traces, every check, a stall after ten block times
    /// (at least 30 s).
    pub fn new(block_time: Duration) -> Self {
        const STALL_BLOCKS: u32 = 10;
        const STALL_MIN: Duration = Duration::from_secs(30);
        Self {
            block_time,
            reorg_blocks_max: 64,
            quorum: 1,
            pending: false,
            sub_blocks: None,
            traces: TracePolicy::None,
            state_diffs: false,
            checks: Checks::default(),
            request_timeout: Duration::from_millis(2_500),
            trace_timeout: Duration::from_secs(15),
            stall_after: Some(block_time.saturating_mul(STALL_BLOCKS).max(STALL_MIN)),
        }
    }

    /// How long to wait for an endpoint to tell of a block by itself before it is asked.
    pub(crate) fn ask_every(&self) -> Duration {
        (self.block_time / POLLS_PER_BLOCK).clamp(ASK_MIN, ASK_MAX)
    }

    /// How often a node that cannot push is asked for its head.
    pub(crate) fn poll_every(&self) -> Duration {
        (self.block_time / POLLS_PER_BLOCK).clamp(POLL_MIN, POLL_MAX)
    }

    /// How long to trust a silent subscription before looking: with the look itself, less than two
    /// block times.
    pub(crate) fn look_every(&self) -> Duration {
        (self.block_time + self.block_time / 2).clamp(LOOK_MIN, LOOK_MAX)
    }
}

const POLLS_PER_BLOCK: u32 = 4;
/// Shortest poll interval.
const POLL_MIN: Duration = Duration::from_millis(50);
/// Longest poll interval.
const POLL_MAX: Duration = Duration::from_secs(3);
/// Shortest wait for an announcement before looking anyway.
const LOOK_MIN: Duration = Duration::from_millis(100);
/// Longest wait for an announcement before looking anyway.
const LOOK_MAX: Duration = Duration::from_secs(20);
