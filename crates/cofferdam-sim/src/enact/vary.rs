//! Variations of a recorded attack, so that nothing can know the recordings by heart.

use alloy_primitives::{Bytes, U256};
use cofferdam_core::{trace::AttackTrace, tx::CallKind};

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
