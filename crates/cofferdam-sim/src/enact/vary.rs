//! Variations of a recorded attack, so that nothing can know the recordings by heart.

use alloy_primitives::{Bytes, U256};
use cofferdam_core::{
    trace::{AttackTrace, link_frames},
    tx::CallKind,
};

/// Below this a word is an offset, a length, an index or a flag rather than an amount.
const AMOUNT_MIN: u64 = 1_000_000;
/// Words this close to the block's time, in seconds, are deadlines (400 days).
const DEADLINE_SECONDS: u64 = 400 * 86_400;

/// Replaces the word `old` by `new` in whatever the attacker's contracts call: aligned arguments and
/// native values.
pub fn substitute(trace: &AttackTrace, old: U256, new: U256) -> AttackTrace {
    vary(trace, |word| (word == old).then_some(new))
}

/// Multiplies the amounts in the attacker's calls by `numerator / denominator`. Which words are amounts is
/// guessed from their size: between a million and 2^128, and no deadline.
pub fn scale(trace: &AttackTrace, numerator: u64, denominator: u64) -> AttackTrace {
    let secs = trace.time.0 / 1_000;
    let deadline =
        |word: U256| u64::try_from(word).is_ok_and(|it| it.abs_diff(secs) < DEADLINE_SECONDS);
    vary(trace, |word| {
        let amount = word >= U256::from(AMOUNT_MIN) && word.bit_len() <= 128 && !deadline(word);
        let scaled =
            word.checked_mul(U256::from(numerator))?.checked_div(U256::from(denominator))?;
        amount.then_some(scaled)
    })
}

fn vary(trace: &AttackTrace, change: impl Fn(U256) -> Option<U256>) -> AttackTrace {
    let mut varied = trace.clone();
    for frame in &mut varied.frames {
        let by_attacker = trace.contracts.contains(&frame.from) && frame.parent.is_some();
        if !by_attacker || frame.kind == CallKind::Create {
            continue;
        }
        if let Some(value) = change(frame.value) {
            frame.value = value;
        }
        let mut input = frame.input.to_vec();
        for word in input.get_mut(4..).unwrap_or_default().chunks_exact_mut(32) {
            if let Some(new) = change(U256::from_be_slice(word)) {
                word.copy_from_slice(&new.to_be_bytes::<32>());
            }
        }
        frame.input = Bytes::from(input);
    }
    varied
}

/// Swaps the call number `at` of the root with the one that follows it; `None` if there are not two.
pub fn swap(trace: &AttackTrace, at: usize) -> Option<AttackTrace> {
    let calls: Vec<usize> = trace.children(0).skip(at).take(3).collect();
    let (first, second) = (*calls.first()?, *calls.get(1)?);
    let end = calls.get(2).copied().unwrap_or(trace.frames.len());
    let mut varied = trace.clone();
    varied.frames.get_mut(first..end)?.rotate_left(second - first);
    // The depths are those of a well-formed list: it can be linked again.
    link_frames(&mut varied.frames).ok()?;
    Some(varied)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};
    use cofferdam_core::{
        ChainId, Timestamp,
        trace::{AttackTrace, link_frames},
        tx::{CallKind, Frame},
    };

    use super::swap;

    fn trace(depths: &[u16]) -> AttackTrace {
        let frame = |(at, depth): (u64, &u16)| Frame {
            parent: None,
            depth: *depth,
            kind: CallKind::Call,
            from: Address::ZERO,
            to: Address::ZERO,
            value: U256::from(at),
            input: Bytes::new(),
            output: Bytes::new(),
            succeeded: true,
            undone: false,
        };
        let mut frames: Vec<Frame> = (0..).zip(depths).map(frame).collect();
        assert_eq!(link_frames(&mut frames), Ok(()));
        AttackTrace {
            case: "made".into(),
            chain: ChainId(1),
            fork_block: 1,
            evm_block: 2,
            time: Timestamp(0),
            rules: "LONDON".into(),
            missing_reads: 0,
            eoa: Address::ZERO,
            contracts: Vec::new(),
            frames,
            logs: Vec::new(),
        }
    }

    fn order(trace: &AttackTrace) -> Vec<u64> {
        trace.frames.iter().map(|it| it.value.to()).collect()
    }

    #[test]
    fn a_swap_moves_calls_with_all_that_they_called() {
        let it = trace(&[0, 1, 2, 2, 1, 1, 2]);
        let swapped = |at| swap(&it, at).map(|it| order(&it));
        assert_eq!(swapped(0), Some(vec![0, 4, 1, 2, 3, 5, 6]));
        assert_eq!(swapped(1), Some(vec![0, 1, 2, 3, 5, 6, 4]));
        let parent = swap(&it, 0).and_then(|it| it.frames.get(3)?.parent);
        assert_eq!(parent, Some(2));
        assert!(swap(&it, 2).is_none() && swap(&trace(&[0]), 0).is_none());
    }
}
