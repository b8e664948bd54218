//! Reopening: oracle first, then repaying, reducing, throttled liquidations, and trading last. The queue is forecast
//! before the button is pressed.

use serde::{Deserialize, Serialize};

use crate::contagion::cascade::{Cascade, CpmmPool, Position, cascade};
use crate::error::{RiskError, positive, probability};

/// Longest liquidation grace Aave v3 accepts, in seconds (`MAX_GRACE_PERIOD`).
pub const AAVE_GRACE_SECONDS: u64 = 4 * 3_600;

/// A step of reopening, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReopenStep {
    /// Prices are fresh again.
    RefreshOracle,
    /// Deposits and repayments.
    DepositAndRepay,
    /// Positions may only shrink.
    ReduceOnly,
    /// Liquidations, at the throttled rate.
    Liquidate,
    /// Everything.
    Trade,
}

/// What reopening will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReopenPlan {
    /// Steps and the earliest second of each, from the start of reopening.
    pub steps: Vec<(ReopenStep, u64)>,
    /// Value of the collateral to be sold if nobody repays, USD.
    pub queue_usd: f64,
    /// Most that may be sold per block, USD.
    pub per_block_usd: f64,
    /// Blocks until the queue is empty at that rate.
    pub blocks: u64,
    /// What would happen if all of it were sold at once.
    pub at_once: Cascade,
    /// Bad debt if sold at the throttled rate into a pool that refills between blocks, USD.
    pub throttled_bad_debt: f64,
}

/// Forecasts the queue after a price moved by `-shock` during the pause, and spaces the steps.
///
/// # Errors
/// Pool, loans, threshold, shock or shares outside their domain; a block time of zero.
pub fn reopen_plan(
    pool: CpmmPool,
    loans: &[Position],
    threshold: f64,
    shock: f64,
    depth_share_per_block: f64,
    (grace_seconds, block_seconds): (u64, f64),
) -> Result<ReopenPlan, RiskError> {
    let share = positive("depth share", probability("depth share", depth_share_per_block)?)?;
    let block_seconds = positive("block time", block_seconds)?;
    let moved = pool.shocked(shock)?;
    let at_once = cascade(pool, loans, threshold, shock)?;
    let price = moved.price();
    let sick = |l: &&Position| l.collateral * price * threshold < l.debt;
    let (mut queue, mut bad) = (0.0, 0.0);
    for l in loans.iter().filter(sick) {
        queue += l.collateral * price;
        // Sold slowly, the collateral brings its price less the fee and half the allowed slip.
        let proceeds = l.collateral * price * (1.0 - pool.fee) * (1.0 - 0.01 * share);
        bad += (l.debt - proceeds).max(0.0);
    }
    let depth = CpmmPool::depth(0.02)? * moved.x * price;
    let per_block = share * depth;
    let blocks = libm::ceil(queue / per_block) as u64;
    let grace = grace_seconds.min(AAVE_GRACE_SECONDS);
    let minute = 60;
    let after = 2 * minute + grace;
    let sold = libm::ceil(blocks as f64 * block_seconds) as u64;
    Ok(ReopenPlan {
        steps: vec![
            (ReopenStep::RefreshOracle, 0),
            (ReopenStep::DepositAndRepay, minute),
            (ReopenStep::ReduceOnly, 2 * minute),
            (ReopenStep::Liquidate, after),
            (ReopenStep::Trade, after.saturating_add(sold)),
        ],
        queue_usd: queue,
        per_block_usd: per_block,
        blocks,
        at_once,
        throttled_bad_debt: bad,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_spread_over_blocks_and_trading_comes_last() {
        let pool = CpmmPool { x: 10_000.0, y: 2e7, fee: 0.003 };
        let loans = [
            Position { collateral: 500.0, debt: 700_000.0 },
            Position { collateral: 400.0, debt: 100_000.0 },
        ];
        let plan = reopen_plan(pool, &loans, 0.8, 0.2, 0.25, (36_000, 12.0)).unwrap();
        assert!((plan.queue_usd - 500.0 * 1_600.0).abs() < 1e-6);
        assert!(plan.blocks as f64 * plan.per_block_usd >= plan.queue_usd);
        assert!(plan.steps.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1));
        assert_eq!(plan.steps[3].1, 120 + AAVE_GRACE_SECONDS);
        assert!(plan.throttled_bad_debt <= plan.at_once.bad_debt);
        let calm = reopen_plan(pool, &loans, 0.8, 0.0, 0.25, (0, 12.0)).unwrap();
        assert_eq!((calm.queue_usd, calm.blocks), (0.0, 0));
        assert!(reopen_plan(pool, &loans, 0.8, 0.0, 0.0, (0, 12.0)).is_err());
    }
}
