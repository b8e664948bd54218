//! Rate limiters with the exact integer semantics of their contracts, and the choice of their parameters.
//! They agree in steady state and differ in the one moment that matters, reconfiguration under attack: the
//! models keep those differences. Invariant: a refused request changes nothing.

pub mod bands;
pub mod breaker;
pub mod ccip;
pub mod dydx;
pub mod erc7265;
pub mod hierarchy;
pub mod layerzero;
pub mod openzeppelin;
pub mod optimise;

pub use bands::{BandRule, BandState, PriceBand};
pub use breaker::{Breaker, BreakerParams};
pub use ccip::{CcipBucket, CcipConfig, CcipVersion};
pub use dydx::DydxLimiter;
pub use erc7265::{Erc7265, LimitStatus};
pub use hierarchy::{Bucket, BucketConfig, Hierarchy, Measure, Outflow};
pub use layerzero::LayerZeroLimit;
pub use openzeppelin::{RefillingBucket, SlidingWindow};

/// Why a limiter refused. Amounts in base units of the asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// More than the limiter can ever release at once.
    #[error("request of {request} exceeds the capacity of {capacity}")]
    ExceedsCapacity {
        /// Asked for.
        request: u128,
        /// Most that can be asked for.
        capacity: u128,
    },
    /// Not now.
    #[error("request of {request} exceeds the {available} available")]
    RateLimited {
        /// Asked for.
        request: u128,
        /// Available now.
        available: u128,
        /// Seconds until it would pass if nothing else is sent; absent when it never would.
        wait_seconds: Option<u128>,
    },
    /// The configuration itself is refused.
    #[error("invalid limiter configuration: {reason}")]
    InvalidConfig {
        /// What is wrong.
        reason: &'static str,
    },
    /// Time ran backwards.
    #[error("time went back from {last} to {now}")]
    TimeWentBack {
        /// Last time seen, unix seconds.
        last: u64,
        /// Time given, unix seconds.
        now: u64,
    },
    /// Checked arithmetic of the contract would revert.
    #[error("limiter arithmetic overflows")]
    Overflow,
    /// A withdrawal named a bucket that does not exist.
    #[error("no bucket named {id}")]
    UnknownBucket {
        /// Its name.
        id: String,
    },
}

/// Seconds since `last`, refusing a clock that went back.
pub(crate) fn elapsed(last: u64, now: u64) -> Result<u64, LimitError> {
    now.checked_sub(last).ok_or(LimitError::TimeWentBack { last, now })
}

/// `floor(a * b / c)` without a wider type, exact; `b` and `c` are seconds.
pub(crate) fn mul_div(a: u128, b: u64, c: u64) -> Result<u128, LimitError> {
    let (b, c) = (u128::from(b), u128::from(c));
    let whole = a.checked_div(c).ok_or(LimitError::Overflow)?;
    let head = whole.checked_mul(b).ok_or(LimitError::Overflow)?;
    head.checked_add((a % c) * b / c).ok_or(LimitError::Overflow)
}
