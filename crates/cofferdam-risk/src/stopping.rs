//! Sequential optimal stopping: when to act while an attack, if there is one, drains evenly over the next
//! `n` blocks and each block brings evidence. `V_n(pi) = min{(1-pi) C, pi dL + E V_{n-1}(pi')}`, `V_0 = 0`,
//! evidence per block `LLR ~ N(+-mu^2/2, mu^2)`. Invariant: a lookup never allocates and costs constant time.

use crate::error::{RiskError, non_negative, positive};
use crate::fusion::{logit, sigmoid};
use crate::numeric::quadrature::gauss_hermite;

/// Points of the log-odds grid.
pub const GRID_POINTS: usize = 4_001;
/// The grid spans ± this many nats.
pub const GRID_EDGE: f64 = 25.0;
/// Nodes of the quadrature over next block's evidence.
pub const EVIDENCE_NODES: usize = 81;
/// Longest horizon a table holds, in blocks (32 MB of values).
pub const MAX_BLOCKS: usize = 1_000;

const STEP: f64 = 2.0 * GRID_EDGE / (GRID_POINTS as f64 - 1.0);
/// Quadrature weights below this move no value by a rounding unit.
const NEGLIGIBLE_WEIGHT: f64 = 1e-20;

/// What the table is computed for. Amounts in one currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoppingProblem {
    /// Cost of acting when there is no attack.
    pub cost_false: f64,
    /// Loss per block while an attack runs (total at risk over blocks).
    pub loss_per_block: f64,
    /// Blocks the drain takes.
    pub blocks: usize,
    /// Separation of the evidence per block, in standard deviations.
    pub evidence_per_block: f64,
}

/// Thresholds and continuation values for every remaining horizon up to `blocks`.
#[derive(Debug, Clone, PartialEq)]
pub struct StoppingTable {
    problem: StoppingProblem,
    /// `thresholds[n - 1]`: log-odds at which acting is optimal with `n` blocks left.
    thresholds: Vec<f64>,
    /// `continuation[(n - 1) * GRID_POINTS + i]`.
    continuation: Vec<f64>,
}

impl StoppingTable {
    /// Solves the recursion.
    ///
    /// # Errors
    /// Amounts that are negative or not finite, evidence not above zero, zero blocks or more than [`MAX_BLOCKS`].
    pub fn solve(problem: StoppingProblem) -> Result<Self, RiskError> {
        let cost = non_negative("cost of acting", problem.cost_false)?;
        let loss = non_negative("loss per block", problem.loss_per_block)?;
        let mu = positive("evidence per block", problem.evidence_per_block)?;
        let blocks = problem.blocks;
        if blocks == 0 || blocks > MAX_BLOCKS {
            return Err(RiskError::OutOfDomain {
                name: "blocks",
                value: blocks as f64,
                domain: "1..=1000",
            });
        }
        let pi: Vec<f64> = (0..GRID_POINTS).map(|i| sigmoid(grid(i))).collect();
        let (up, down) = (kernel(mu, mu * mu / 2.0)?, kernel(mu, -mu * mu / 2.0)?);
        let mut value = vec![0.0; GRID_POINTS];
        let mut thresholds = Vec::with_capacity(blocks);
        let mut continuation = Vec::with_capacity(blocks * GRID_POINTS);
        let (mut e1, mut e0) = (vec![0.0; GRID_POINTS], vec![0.0; GRID_POINTS]);
        for _ in 0..blocks {
            expect(&value, &up, &mut e1);
            expect(&value, &down, &mut e0);
            let row = continuation.len();
            for i in 0..GRID_POINTS {
                let go_on = pi[i] * loss + pi[i] * e1[i] + (1.0 - pi[i]) * e0[i];
                continuation.push(go_on);
                value[i] = go_on.min((1.0 - pi[i]) * cost);
            }
            thresholds.push(crossing(&pi, cost, &continuation[row..]));
        }
        Ok(Self { problem, thresholds, continuation })
    }

    /// What the table was computed for.
    #[must_use]
    pub fn problem(&self) -> &StoppingProblem {
        &self.problem
    }

    /// Probability at which acting becomes optimal with `blocks_left` to drain: 1 when nothing is left to
    /// save, and the table's own horizon when more is asked for than it holds.
    #[must_use]
    pub fn threshold(&self, blocks_left: usize) -> f64 {
        match blocks_left.min(self.thresholds.len()) {
            0 => 1.0,
            n => match self.thresholds[n - 1] {
                z if z == f64::NEG_INFINITY => 0.0,
                z if z == f64::INFINITY => 1.0,
                z => sigmoid(z),
            },
        }
    }

    /// Value of waiting one block, `continuation - stopping`: negative when waiting is better by that
    /// much, positive when each further block of waiting costs that much. Zero when nothing is left to save.
    #[must_use]
    pub fn cost_of_waiting(&self, blocks_left: usize, posterior: f64) -> f64 {
        let n = blocks_left.min(self.thresholds.len());
        if n == 0 {
            return 0.0;
        }
        let row = &self.continuation[(n - 1) * GRID_POINTS..n * GRID_POINTS];
        let p = if posterior.is_nan() { 0.0 } else { posterior.clamp(0.0, 1.0) };
        let at = ((logit(p).clamp(-GRID_EDGE, GRID_EDGE) + GRID_EDGE) / STEP).max(0.0);
        let i = (at as usize).min(GRID_POINTS - 2);
        let f = at - i as f64;
        row[i] * (1.0 - f) + row[i + 1] * f - (1.0 - p) * self.problem.cost_false
    }

    /// Whether acting now is optimal.
    #[must_use]
    pub fn acts(&self, blocks_left: usize, posterior: f64) -> bool {
        blocks_left > 0
            && posterior >= self.threshold(blocks_left)
            && self.problem.loss_per_block > 0.0
    }
}

fn grid(i: usize) -> f64 {
    -GRID_EDGE + i as f64 * STEP
}

/// One shift of the grid with linear interpolation: `w * (V[i + shift] (1 - f) + V[i + shift + 1] f)`.
#[derive(Debug, Clone, Copy)]
struct Tap {
    shift: isize,
    low: f64,
    high: f64,
}

/// On a uniform grid every quadrature node is the same shift everywhere, so the expectation is a convolution.
fn kernel(mu: f64, drift: f64) -> Result<Vec<Tap>, RiskError> {
    let edge = GRID_POINTS as f64;
    let taps = gauss_hermite(EVIDENCE_NODES)?
        .into_iter()
        .filter(|q| q.w > NEGLIGIBLE_WEIGHT)
        .map(|q| {
            let steps = ((drift + mu * q.x) / STEP).clamp(-edge, edge);
            let floor = libm::floor(steps);
            let f = steps - floor;
            Tap { shift: floor as isize, low: q.w * (1.0 - f), high: q.w * f }
        })
        .collect();
    Ok(taps)
}

/// `out[i] = E V(z_i + evidence)`, with V constant beyond the edges.
fn expect(value: &[f64], taps: &[Tap], out: &mut [f64]) {
    out.fill(0.0);
    let last = GRID_POINTS as isize - 1;
    for tap in taps {
        // The stretch where both neighbours exist runs without bounds to clamp.
        let start = (-tap.shift).clamp(0, last + 1) as usize;
        let end = (last - tap.shift).clamp(start as isize, last + 1) as usize;
        let from = (start as isize + tap.shift) as usize;
        let total = tap.low + tap.high;
        for o in &mut out[..start] {
            *o += total * value[0];
        }
        for o in &mut out[end..] {
            *o += total * value[GRID_POINTS - 1];
        }
        if end > start {
            let (low, high) = (&value[from..], &value[from + 1..]);
            for ((o, a), b) in out[start..end].iter_mut().zip(low).zip(high) {
                *o += tap.low * a + tap.high * b;
            }
        }
    }
}

/// Log-odds above which stopping is no worse than going on, by linear interpolation between grid points.
fn crossing(pi: &[f64], cost: f64, go_on: &[f64]) -> f64 {
    let gap = |i: usize| (1.0 - pi[i]) * cost - go_on[i];
    let found = (0..GRID_POINTS - 1).rev().find(|i| gap(*i) > 0.0 && gap(*i + 1) <= 0.0);
    match found {
        Some(i) => grid(i) + STEP * gap(i) / (gap(i) - gap(i + 1)),
        None if gap(GRID_POINTS - 1) <= 0.0 => f64::NEG_INFINITY,
        None => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(cost_false: f64, blocks: usize) -> StoppingProblem {
        StoppingProblem {
            cost_false,
            loss_per_block: 1e8 / blocks as f64,
            blocks,
            evidence_per_block: 1.5,
        }
    }

    #[test]
    fn a_dearer_action_needs_more_certainty_and_time_allows_waiting() {
        let cheap = StoppingTable::solve(problem(2e5, 10)).unwrap();
        let dear = StoppingTable::solve(problem(2e6, 10)).unwrap();
        for n in 1..=10 {
            assert!(dear.threshold(n) > cheap.threshold(n));
        }
        assert!(cheap.threshold(10) <= cheap.threshold(1));
        assert_eq!(cheap.threshold(0), 1.0);
        assert!(cheap.cost_of_waiting(10, 0.5) > 0.0 && cheap.cost_of_waiting(10, 1e-6) < 0.0);
        assert!(cheap.acts(10, 0.5) && !cheap.acts(10, 1e-6) && !cheap.acts(0, 0.5));
    }

    #[test]
    fn a_free_action_is_always_taken_and_a_useless_one_never() {
        let free = StoppingTable::solve(problem(0.0, 2)).unwrap();
        assert_eq!(free.threshold(2), 0.0);
        let useless = StoppingProblem { loss_per_block: 0.0, ..problem(1.0, 2) };
        assert!(!StoppingTable::solve(useless).unwrap().acts(2, 0.9));
    }

    #[test]
    fn bad_problems_are_refused() {
        assert!(StoppingTable::solve(StoppingProblem { blocks: 0, ..problem(1.0, 1) }).is_err());
        assert!(StoppingTable::solve(problem(f64::NAN, 1)).is_err());
        assert!(StoppingTable::solve(problem(1.0, MAX_BLOCKS + 1)).is_err());
    }
}
