//! The sequential rule as one table for every cost and every loss.
//!
//! With `W_n = V_n / ((1 - pi) C)` and `y = logit(pi) + ln(loss per block / C)` the recursion of
//! `risk.md` §9.5 reads `W_n(y) = min{1, e^y + E0 W_{n-1}(y + xi)}`, `xi ~ N(-mu^2/2, mu^2)`: cost, loss and
//! posterior only shift `y`. Stored is `U = W e^-y`, the blocks an attack still costs if it is real:
//! `U_n(y) = min{e^-y, 1 + E1 U_{n-1}(y + xi)}`. Hence a table solved once at load serves what is only known
//! in the incident. Invariants: a lookup allocates nothing and takes constant time; more at stake, a
//! cheaper action or a likelier attack never turns *act* into *wait*.

use crate::door::PPB_ONE;
use crate::error::{RiskError, positive};
use crate::fusion::{logit, sigmoid};
use crate::numeric::quadrature::gauss_hermite;

/// Longest drain a table holds, in blocks.
pub const WAITING_BLOCKS_MAX: usize = 256;

const LOW: f64 = -14.0;
const HIGH: f64 = 6.0;
const STEP: f64 = 0.05;
const POINTS: usize = 401;
const NODES: usize = 31;
/// Quadrature weights below this move no threshold.
const NEGLIGIBLE: f64 = 1e-12;

/// Blocks an attack is expected to cost while one waits and then decides as well as possible.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingTable {
    /// `go_on[n * POINTS + i]`: `E1 U_n(y_i + xi)`, what waiting costs from the block after the next on
    /// when `n` blocks of drain are left then. The first row is zero.
    go_on: Vec<f64>,
    blocks: usize,
}

/// One decision between acting now and waiting for the next block. Micro-USD; negative amounts count as
/// zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Cost of acting if there is nothing to stop.
    pub cost: i128,
    /// What acting now saves of the next block's loss, if the attack is real.
    pub next: i128,
    /// What it saves of each block after that, while the drain goes on.
    pub later: i128,
    /// How many such blocks there are.
    pub later_blocks: u64,
}

impl WaitingTable {
    /// Solves the recursion for drains of up to `blocks` and evidence that separates by
    /// `millisigma / 1000` standard deviations per block.
    ///
    /// # Errors
    /// No evidence, or no blocks or more than [`WAITING_BLOCKS_MAX`].
    pub fn solve(blocks: usize, millisigma: u32) -> Result<Self, RiskError> {
        let mu = positive("evidence per block", f64::from(millisigma) / 1_000.0)?;
        if blocks == 0 || blocks > WAITING_BLOCKS_MAX {
            return Err(RiskError::OutOfDomain {
                name: "blocks",
                value: blocks as f64,
                domain: "1..=256",
            });
        }
        let taps = taps(mu)?;
        let reach = taps.iter().map(|it| it.shift.unsigned_abs() + 1).max().unwrap_or(1);
        let mut go_on = vec![0.0; POINTS];
        let mut u = vec![0.0; POINTS + 2 * reach];
        for n in 1..=blocks {
            let before = &go_on[(n - 1) * POINTS..];
            for (i, u) in u.iter_mut().enumerate() {
                // Below the grid nobody acts before the drain is over, above it everybody acts at once.
                let y = LOW + (i as f64 - reach as f64) * STEP;
                let wait = match i.checked_sub(reach) {
                    None => n as f64,
                    Some(i) => 1.0 + before.get(i).copied().unwrap_or(0.0),
                };
                *u = libm::exp(-y).min(wait);
            }
            let mut row = vec![0.0; POINTS];
            for tap in &taps {
                let from = reach.saturating_add_signed(tap.shift);
                let pairs = u[from..].iter().zip(&u[from + 1..]);
                for (out, (a, b)) in row.iter_mut().zip(pairs) {
                    *out += tap.low * a + tap.high * b;
                }
            }
            go_on.extend(row);
        }
        Ok(Self { go_on, blocks })
    }

    /// The posterior from which acting now is no worse than waiting, in parts per billion, rounded up; at
    /// least 1, and [`PPB_ONE`] if nothing would be saved.
    #[must_use]
    pub fn threshold_ppb(&self, stand: &Stand) -> u32 {
        let (cost, next, later) = floats(stand);
        if next <= 0.0 && (later <= 0.0 || stand.later_blocks == 0) {
            return PPB_ONE;
        }
        if cost <= 0.0 {
            return 1;
        }
        // With y = z + ln(later / C): act once e^y (next / later + go_on(y)) reaches one.
        let z = match self.row(stand) {
            Some(row) if later > 0.0 => crossing(row, next / later) - libm::log(later / cost),
            _ => -libm::log(next / cost),
        };
        let ppb = libm::ceil(sigmoid(z) * f64::from(PPB_ONE) * (1.0 - 1e-12));
        (ppb as u32).clamp(1, PPB_ONE)
    }

    /// What waiting one block costs over acting now, in micro-USD: negative if waiting is better by so much.
    #[must_use]
    pub fn waiting_micro_usd(&self, stand: &Stand, posterior_ppb: u32) -> i128 {
        let (cost, next, later) = floats(stand);
        let p = f64::from(posterior_ppb.min(PPB_ONE)) / f64::from(PPB_ONE);
        let rest = match self.row(stand) {
            Some(row) if later > 0.0 && cost > 0.0 => {
                let y = logit(p) + libm::log(later / cost);
                later * at(row, y, stand.later_blocks.min(self.blocks as u64) as f64)
            }
            // A free action is taken at the next block at the latest.
            _ => 0.0,
        };
        // Saturates: floats beyond the range become its end.
        libm::round(p * (next + rest) - (1.0 - p) * cost) as i128
    }

    /// The row for the blocks left; the longest one if more are left than the table holds.
    fn row(&self, stand: &Stand) -> Option<&[f64]> {
        let n = usize::try_from(stand.later_blocks).unwrap_or(self.blocks).min(self.blocks);
        (n > 0).then(|| &self.go_on[n * POINTS..(n + 1) * POINTS])
    }
}

/// `amount` times the ratio of two odds: how far a loss or a cost is from the one at which the decision
/// turns. Saturates.
#[must_use]
pub fn by_odds_micro_usd(amount: i128, up_ppb: u32, down_ppb: u32) -> i128 {
    let odds = |ppb: u32| logit(f64::from(ppb.min(PPB_ONE)) / f64::from(PPB_ONE));
    libm::round(amount.max(0) as f64 * libm::exp(odds(up_ppb) - odds(down_ppb))) as i128
}

fn floats(stand: &Stand) -> (f64, f64, f64) {
    (stand.cost.max(0) as f64, stand.next.max(0) as f64, stand.later.max(0) as f64)
}

/// One shift of the grid: on a uniform grid a quadrature node is the same shift everywhere.
#[derive(Debug, Clone, Copy)]
struct Tap {
    shift: isize,
    low: f64,
    high: f64,
}

/// The next block's evidence under the attack, where it drifts upwards.
fn taps(mu: f64) -> Result<Vec<Tap>, RiskError> {
    let taps = gauss_hermite(NODES)?.into_iter().map(|q| {
        // Further than this the grid is left on either side anyway.
        let steps = ((mu * mu / 2.0 + mu * q.x) / STEP).clamp(-2e3, 2e3);
        let floor = libm::floor(steps);
        let f = steps - floor;
        Tap { shift: floor as isize, low: q.w * (1.0 - f), high: q.w * f }
    });
    Ok(taps.filter(|it| it.low + it.high > NEGLIGIBLE).collect())
}

fn grid(i: usize) -> f64 {
    LOW + i as f64 * STEP
}

/// `u` at `y`, beyond the grid as when it was solved.
fn at(u: &[f64], y: f64, blocks: f64) -> f64 {
    if y <= LOW {
        return blocks;
    }
    if y >= HIGH {
        return u[POINTS - 1] * libm::exp(HIGH - y);
    }
    let place = (y - LOW) / STEP;
    let i = (place as usize).min(POINTS - 2);
    let f = place - i as f64;
    u[i] * (1.0 - f) + u[i + 1] * f
}

/// The `y` at which `e^y (ratio + row(y))` reaches one: it rises with `y`.
fn crossing(row: &[f64], ratio: f64) -> f64 {
    let level = |i: usize| grid(i) + libm::log(ratio + row[i]);
    let (mut low, mut high) = (0, POINTS - 1);
    if level(low) >= 0.0 {
        // So much at once that the rest does not matter.
        return grid(low) - level(low);
    }
    if level(high) < 0.0 {
        return grid(high) - level(high);
    }
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if level(middle) < 0.0 { low = middle } else { high = middle }
    }
    let (a, b) = (level(low), level(high));
    grid(low) - STEP * a / (b - a)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stopping::{StoppingProblem, StoppingTable};

    const USD: i128 = 1_000_000;

    fn stand(cost: i128, per_block: i128, blocks: u64) -> Stand {
        Stand {
            cost: cost * USD,
            next: per_block * USD,
            later: per_block * USD,
            later_blocks: blocks - 1,
        }
    }

    #[test]
    fn one_table_answers_what_the_exact_recursion_answers_for_each_cost_and_loss() {
        for (cost, total, blocks, mu) in [
            (200_000, 100_000_000, 10, 500),
            (200_000, 100_000_000, 10, 1_500),
            (2_000_000, 100_000_000, 10, 1_500),
            (50_000, 20_000_000, 100, 1_000),
        ] {
            let table = WaitingTable::solve(blocks, mu).unwrap();
            let exact = StoppingTable::solve(StoppingProblem {
                cost_false: cost as f64,
                loss_per_block: total as f64 / blocks as f64,
                blocks,
                evidence_per_block: f64::from(mu) / 1e3,
            })
            .unwrap();
            let here = stand(cost, total / blocks as i128, blocks as u64);
            let (got, want) =
                (f64::from(table.threshold_ppb(&here)) / 1e9, exact.threshold(blocks));
            assert!((logit(got) - logit(want)).abs() < 0.03, "{cost} {mu}: {got} for {want}");
            for p in [1e-4, 0.01, 0.3] {
                let got = table.waiting_micro_usd(&here, (p * 1e9) as u32) as f64 / 1e6;
                let want = exact.cost_of_waiting(blocks, p);
                assert!(
                    (got - want).abs() < 0.03 * want.abs() + 0.01 * cost as f64,
                    "{p}: {got} for {want}"
                );
            }
        }
    }

    #[test]
    fn one_block_left_is_the_one_shot_rule() {
        let table = WaitingTable::solve(4, 1_500).unwrap();
        let here = stand(4_000, 168_000, 1);
        assert_eq!(table.threshold_ppb(&here), crate::threshold_ppb(here.cost, here.next));
        let nothing = Stand { next: 0, later: 0, ..here };
        assert_eq!(table.threshold_ppb(&nothing), PPB_ONE);
        assert_eq!(table.threshold_ppb(&Stand { cost: 0, ..here }), 1);
        assert!(WaitingTable::solve(0, 1_500).is_err() && WaitingTable::solve(4, 0).is_err());
    }

    #[test]
    fn odds_scale_money() {
        assert_eq!(by_odds_micro_usd(100, 500_000_000, 500_000_000), 100);
        assert_eq!(by_odds_micro_usd(100, 750_000_000, 500_000_000), 300);
        assert!(by_odds_micro_usd(i128::MAX, PPB_ONE, 0) == i128::MAX);
    }

    proptest! {
        #[test]
        fn waiting_never_beats_the_one_shot_threshold_and_moves_the_right_way(
            cost in 1..10_000_000_i128, next in 1..100_000_000_i128, later in 0..100_000_000_i128,
            more in 0..100_000_000_i128, blocks in 0..40_u64,
        ) {
            let table = WaitingTable::solve(24, 1_500).unwrap();
            let here = Stand { cost: cost * USD, next: next * USD, later: later * USD, later_blocks: blocks };
            let t = table.threshold_ppb(&here);
            prop_assert!(t <= crate::threshold_ppb(here.cost, here.next) + 1);
            let dearer = Stand { cost: here.cost + more * USD, ..here };
            prop_assert!(table.threshold_ppb(&dearer) >= t);
            let richer = Stand { next: here.next + more * USD, ..here };
            prop_assert!(table.threshold_ppb(&richer) <= t);
            // Waiting costs something just above the threshold, and saves something well below it.
            if t > 1_000 && t < 900_000_000 {
                prop_assert!(table.waiting_micro_usd(&here, t + t / 20) > 0);
                prop_assert!(table.waiting_micro_usd(&here, t - t / 10) < 0);
            }
        }
    }
}
