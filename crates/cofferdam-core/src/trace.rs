//! A recorded attack: the call frames and logs of one transaction that drained somebody, without the
//! attacker's code. The rim loads it from recorded data and re-enacts it on recorded state.
//!
//! **Invariant:** pure data. Frames are in call order and a parent stands before its children.

use alloy_primitives::{Address, Log, U256};

use crate::{
    ChainId, Timestamp,
    tx::{CallKind, Frame},
};

/// A recorded attack transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttackTrace {
    /// Name of the case.
    pub case: String,
    /// The chain.
    pub chain: ChainId,
    /// State is that of the end of this block.
    pub fork_block: u64,
    /// What the NUMBER opcode told the transaction.
    pub evm_block: u64,
    /// What the TIMESTAMP opcode told it.
    pub time: Timestamp,
    /// Name of the fork rules it ran under, e.g. `LONDON`.
    pub rules: String,
    /// How many state reads the recording lacked (answered with zero): above 0, it is incomplete.
    pub missing_reads: u64,
    /// Sender of the transaction.
    pub eoa: Address,
    /// Every contract of the attacker.
    pub contracts: Vec<Address>,
    /// The call tree. Input and output of creations are empty.
    pub frames: Vec<Frame>,
    /// The logs of the whole transaction.
    pub logs: Vec<Log>,
}

impl AttackTrace {
    /// Whether `frame` runs the attacker's code.
    pub fn is_attackers(&self, frame: &Frame) -> bool {
        frame.kind != CallKind::Create && self.contracts.contains(&frame.to)
    }

    /// The indices of the frames that frame `index` opened itself, in order.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        let depth = self.frames.get(index).map_or(u16::MAX, |it| it.depth);
        let below = self.frames.iter().enumerate().skip(index.saturating_add(1));
        let below = below.take_while(move |(_, it)| it.depth > depth);
        below.filter(move |(_, it)| it.depth == depth.saturating_add(1)).map(|(at, _)| at)
    }

    /// The native value that the root call carries, in wei.
    pub fn root_value(&self) -> U256 {
        self.frames.first().map(|it| it.value).unwrap_or_default()
    }
}

/// Fills [`Frame::parent`] and [`Frame::undone`] of a list in call order whose `depth` and
/// `succeeded` are set.
///
/// # Errors
/// The index of the first frame that has no parent although it is not the root: the list is malformed.
pub fn link_frames(frames: &mut [Frame]) -> Result<(), usize> {
    let mut open: Vec<(u32, bool)> = Vec::new();
    for (index, frame) in frames.iter_mut().enumerate() {
        let depth = usize::from(frame.depth);
        if depth > open.len() || (depth == 0 && index > 0) {
            return Err(index);
        }
        open.truncate(depth);
        let above = open.last().copied();
        frame.parent = above.map(|it| it.0);
        frame.undone = !frame.succeeded || above.is_some_and(|it| it.1);
        let Ok(number) = u32::try_from(index) else { return Err(index) };
        open.push((number, frame.undone));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};

    use super::link_frames;
    use crate::tx::{CallKind, Frame};

    fn frame(depth: u16, succeeded: bool) -> Frame {
        Frame {
            parent: None,
            depth,
            kind: CallKind::Call,
            from: Address::ZERO,
            to: Address::ZERO,
            value: U256::ZERO,
            input: Bytes::new(),
            output: Bytes::new(),
            succeeded,
            undone: false,
        }
    }

    #[test]
    fn a_frame_below_a_reverted_one_is_undone() {
        let mut frames = [frame(0, true), frame(1, false), frame(2, true), frame(1, true)];
        assert_eq!(link_frames(&mut frames), Ok(()));
        assert_eq!(frames.each_ref().map(|it| it.parent), [None, Some(0), Some(1), Some(0)]);
        assert_eq!(frames.each_ref().map(|it| it.undone), [false, true, true, false]);
    }

    #[test]
    fn a_list_with_a_gap_in_depth_or_two_roots_is_malformed() {
        assert_eq!(link_frames(&mut [frame(0, true), frame(2, true)]), Err(1));
        assert_eq!(link_frames(&mut [frame(0, true), frame(0, true)]), Err(1));
        assert_eq!(link_frames(&mut [frame(1, true)]), Err(0));
    }
}
