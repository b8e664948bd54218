//! How fast an attack drains, fitted from what it took so far (`risk.md` §9.3). Integer door: micro-USD in
//! and out. Invariants: total; no block costs more than is still there, or than a limiter lets out.
//!
//! Two shapes are fitted to the losses between the first and the last block with one, each with half a
//! block of the plan's drain as prior: *linear* (the same amount per block) and *exponential* (the same
//! share of what is left). They are averaged by their likelihood. The interval supposes less: losses
//! that are exponentially distributed. Whether the attack was atomic, hence over, is a question of its stage
//! and answered by [`crate::progress`].

use crate::door::PPB_ONE;

/// Blocks that the plan's drain weighs against the observed ones.
const PRIOR_BLOCKS: f64 = 0.5;
/// How evenly attacks drain: losses per block vary around their mean as a Gamma variable of this shape, by
/// a good fifth.
const EVENNESS: f64 = 20.0;
/// Losses are looked at over this many blocks at most, the latest ones.
const FIT_BLOCKS_MAX: u64 = 512;
/// The 95 % point of the standard normal distribution.
const Z: f64 = 1.645;

/// What is known before the first loss. Micro-USD; negative amounts count as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainModel {
    /// Value that could be reached at the start.
    pub at_risk: i128,
    /// Blocks over which a drain runs that is not atomic.
    pub drain_blocks: u64,
    /// A limiter on the way out.
    pub limiter: Option<Bucket>,
}

/// A token bucket on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Most that leaves at once.
    pub capacity: i128,
    /// What it regains per block.
    pub per_block: i128,
}

/// What was lost in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLoss {
    /// Blocks between this one and the head.
    pub age: u64,
    /// Micro-USD.
    pub loss: i128,
}

/// The drain as far as it can be foreseen. Micro-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainFit {
    /// Still there.
    pub remaining: i128,
    /// Most that can leave in the next block, whatever the attack.
    pub most: i128,
    /// Expected loss per block while the drain goes on.
    pub per_block: i128,
    /// 90 % interval of it.
    pub interval: (i128, i128),
    /// Blocks until nothing is left at that rate, to the nearest, at least 1.
    pub blocks_left: u64,
    /// Weight of the exponential shape, parts per billion.
    pub exponential_ppb: u32,
}

impl DrainFit {
    /// Fits the drain to `losses`, in any order; losses of one block are added.
    #[must_use]
    pub fn of(model: &DrainModel, losses: &[BlockLoss]) -> Self {
        let at_risk = model.at_risk.max(0);
        let lost = losses.iter().fold(0_i128, |sum, it| sum.saturating_add(it.loss.max(0)));
        let remaining = at_risk.saturating_sub(lost).max(0);
        let series = series(losses);
        let prior = PRIOR_BLOCKS * at_risk as f64 / model.drain_blocks.max(1) as f64;
        let (rate, exponential) = shapes(at_risk as f64, remaining as f64, prior, &series);
        let most = match model.limiter {
            Some(it) => {
                let passed = losses.iter().map(|it| it.age).max().unwrap_or(0);
                let refilled = it.per_block.max(0).saturating_mul(i128::from(passed) + 1);
                let bucket = it.capacity.max(0).saturating_sub(lost).saturating_add(refilled);
                bucket
                    .clamp(0, it.capacity.max(0).saturating_add(it.per_block.max(0)))
                    .min(remaining)
            }
            None => remaining,
        };
        let shape = series.len() as f64 + PRIOR_BLOCKS;
        // Rounded up: a loss is never understated.
        let amount = |x: f64| (libm::ceil(x) as i128).clamp(0, most);
        let per_block = amount(rate);
        let interval = (
            amount(rate * shape / gamma_point(shape, Z)),
            amount(rate * shape / gamma_point(shape, -Z)),
        );
        let blocks_left = match per_block {
            0 => 1,
            rate => {
                u64::try_from(remaining.saturating_add(rate / 2) / rate).unwrap_or(u64::MAX).max(1)
            }
        };
        let exponential_ppb = (exponential * f64::from(PPB_ONE)) as u32;
        Self { remaining, most, per_block, interval, blocks_left, exponential_ppb }
    }
}

/// Losses by block, oldest first, from the first to the last with one.
fn series(losses: &[BlockLoss]) -> Vec<f64> {
    let real = || losses.iter().filter(|it| it.loss > 0);
    let (Some(first), Some(last)) = (real().map(|it| it.age).max(), real().map(|it| it.age).min())
    else {
        return Vec::new();
    };
    let first = first.min(last.saturating_add(FIT_BLOCKS_MAX - 1));
    let mut out = vec![0.0; (first - last) as usize + 1];
    for it in real().filter(|it| it.age <= first) {
        out[(first - it.age) as usize] += it.loss as f64;
    }
    out
}

/// Expected loss of the next block and the weight of the exponential shape.
fn shapes(at_risk: f64, remaining: f64, prior: f64, series: &[f64]) -> (f64, f64) {
    let lost: f64 = series.iter().sum();
    let mean = (lost + prior) / (series.len() as f64 + PRIOR_BLOCKS);
    // What was there before each block; never nothing, so that a wrong value at risk divides by one.
    let mut there = at_risk.max(1.0);
    let mut exposure = PRIOR_BLOCKS * there;
    let mut before = Vec::with_capacity(series.len());
    for loss in series {
        before.push(there);
        exposure += there;
        there = (there - loss).max(1.0);
    }
    let share = ((lost + prior) / exposure).min(1.0);
    let unlikely = |of: f64, loss: f64| libm::log(of.max(1.0)) + loss / of.max(1.0);
    let linear: f64 = series.iter().map(|loss| unlikely(mean, *loss)).sum();
    let decaying: f64 =
        series.iter().zip(&before).map(|(loss, was)| unlikely(share * was, *loss)).sum();
    let weight = crate::sigmoid(EVENNESS * (linear - decaying));
    (weight * share * remaining + (1.0 - weight) * mean.min(remaining), weight)
}

/// Quantile of the Gamma distribution with `shape` and scale one at the normal point `z` (Wilson and
/// Hilferty 1931).
fn gamma_point(shape: f64, z: f64) -> f64 {
    let root = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * libm::sqrt(shape));
    let root = root.max(0.1);
    shape * root * root * root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USD: i128 = 1_000_000;
    const MODEL: DrainModel =
        DrainModel { at_risk: 1_000_000 * USD, drain_blocks: 10, limiter: None };

    fn losses(of: &[(u64, i128)]) -> Vec<BlockLoss> {
        of.iter().map(|(age, loss)| BlockLoss { age: *age, loss: loss * USD }).collect()
    }

    #[test]
    fn before_a_loss_the_plan_is_believed() {
        let it = DrainFit::of(&MODEL, &[]);
        assert_eq!((it.per_block, it.blocks_left), (100_000 * USD, 10));
        assert!(it.interval.0 < it.per_block && it.per_block < it.interval.1);
    }

    #[test]
    fn equal_losses_are_linear_and_equal_shares_exponential() {
        let even: Vec<_> = (0..6).map(|age| (age, 100_000)).collect();
        let it = DrainFit::of(&MODEL, &losses(&even));
        assert!((98_000..=102_000).contains(&(it.per_block / USD)), "{it:?}");
        assert_eq!(it.blocks_left, 4);
        let decaying =
            [(5, 400_000), (4, 240_000), (3, 144_000), (2, 86_400), (1, 51_840), (0, 31_104)];
        let it = DrainFit::of(&MODEL, &losses(&decaying));
        assert!(it.exponential_ppb > 800_000_000, "{it:?}");
        assert!(it.per_block / USD < 46_000, "{it:?}");
    }

    #[test]
    fn a_limiter_bounds_the_next_block() {
        let bucket = Bucket { capacity: 50_000 * USD, per_block: 2_000 * USD };
        let model = DrainModel { limiter: Some(bucket), ..MODEL };
        assert_eq!(DrainFit::of(&model, &[]).per_block, 50_000 * USD + 2_000 * USD);
        let it = DrainFit::of(&model, &losses(&[(0, 50_000)]));
        assert_eq!((it.most, it.per_block), (2_000 * USD, 2_000 * USD));
        assert_eq!(it.blocks_left, 475);
    }

    proptest! {
        #[test]
        fn no_block_costs_more_than_is_there(
            at_risk in any::<i128>(), blocks in any::<u64>(),
            seen in prop::collection::vec((any::<u64>(), any::<i128>()), 0..6),
            limit in prop::option::of((any::<i128>(), any::<i128>())),
        ) {
            let limiter = limit.map(|(capacity, per_block)| Bucket { capacity, per_block });
            let model = DrainModel { at_risk, drain_blocks: blocks, limiter };
            let seen: Vec<_> = seen.into_iter().map(|(age, loss)| BlockLoss { age, loss }).collect();
            let it = DrainFit::of(&model, &seen);
            prop_assert!(0 <= it.per_block && it.per_block <= it.most && it.most <= it.remaining);
            prop_assert!(it.interval.0 <= it.per_block && it.per_block <= it.interval.1);
            prop_assert!(it.blocks_left >= 1);
        }
    }
}
