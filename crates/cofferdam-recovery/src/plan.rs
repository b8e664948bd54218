//! The staged unpause: what opens when, and how far.
//!
//! **Invariant:** exits open first. A limit is never raised before [`LIMIT_HOURS_MIN`] are over, and no stage opens
//! with more than [`LIMIT_BPS_MAX`] of its ordinary capacity.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use cofferdam_core::Timestamp;
use serde::Serialize;

use crate::gate::{LIMIT_BPS_MAX, LIMIT_HOURS_MIN};

const HOUR_MS: u64 = 3_600_000;
/// Ordinary capacity, in basis points.
const FULL_BPS: u32 = 10_000;
/// Longest step between two stages, in hours.
const STEP_HOURS_MAX: u32 = 24 * 30;

/// What opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Users take out what is theirs.
    Withdrawals,
    /// Users pay back what they owe.
    Repayments,
    /// Users bring new money.
    Deposits,
    /// Users take new debt.
    Borrows,
}

impl Stage {
    /// Every stage, in the order of opening.
    pub const ALL: [Self; 4] = [Self::Withdrawals, Self::Repayments, Self::Deposits, Self::Borrows];

    /// As written in commands.
    pub fn word(self) -> &'static str {
        match self {
            Self::Withdrawals => "withdrawals",
            Self::Repayments => "repayments",
            Self::Deposits => "deposits",
            Self::Borrows => "borrows",
        }
    }

    /// What has to be watched while it opens, and closes it again.
    pub fn stop_when(self) -> &'static str {
        match self {
            Self::Withdrawals => "a finding of damage, or claims exceed the assets",
            Self::Repayments => "a repayment changes what others owe, or a price source is stale",
            Self::Deposits => "the share price moves against those who were there before",
            Self::Borrows => "bad debt appears, or a limit is used up within an hour",
        }
    }
}

/// How the stages are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When the first stage opens.
    pub start: Timestamp,
    /// Hours from one stage to the next.
    pub step_hours: u32,
    /// What each stage opens with, of its ordinary capacity, in basis points.
    pub first_bps: u32,
    /// Ordinary capacity a day, in base units, where known.
    pub capacity: BTreeMap<Stage, U256>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The first limit is none or too wide.
    #[error("a first limit of {0} basis points: it has to be 1 to {LIMIT_BPS_MAX}")]
    First(u32),
    /// The step is none or too long.
    #[error("{0} hours between two stages: it has to be 1 to {STEP_HOURS_MAX}")]
    Step(u32),
    /// The first stage would open in the past.
    #[error("the first stage would open at {0}, in the past")]
    Past(Timestamp),
    /// A limit comes out as nothing, or cannot be computed.
    #[error("{} basis points of {capacity} give no limit for {}", .bps, .stage.word())]
    Limit {
        /// Of what.
        stage: Stage,
        /// Its capacity.
        capacity: U256,
        /// The share.
        bps: u32,
    },
}

/// A limit from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// From when on.
    pub at: Timestamp,
    /// What opens or widens.
    pub stage: Stage,
    /// Of ordinary capacity, in basis points.
    pub bps: u32,
    /// The same in base units a day, where the capacity is known.
    pub limit: Option<U256>,
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Its steps, by time.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of `settings`, made at `now`.
    ///
    /// # Errors
    /// It would open in the past, too wide, or with nothing.
    pub fn of(settings: &Settings, now: Timestamp) -> Result<Self, PlanError> {
        let Settings { start, step_hours, first_bps, capacity } = settings;
        if *first_bps == 0 || *first_bps > LIMIT_BPS_MAX {
            return Err(PlanError::First(*first_bps));
        }
        if *step_hours == 0 || *step_hours > STEP_HOURS_MAX {
            return Err(PlanError::Step(*step_hours));
        }
        if *start < now {
            return Err(PlanError::Past(*start));
        }
        let mut steps = Vec::new();
        for (order, stage) in (0_u64..).zip(Stage::ALL) {
            let opens = start.plus_ms(order * u64::from(*step_hours) * HOUR_MS);
            let lowered = u64::from(LIMIT_HOURS_MIN) * HOUR_MS;
            let half = (*first_bps).max(FULL_BPS / 2);
            for (after, bps) in [(0, *first_bps), (lowered, half), (2 * lowered, FULL_BPS)] {
                let limit = match capacity.get(&stage) {
                    Some(it) => Some(share(stage, *it, bps)?),
                    None => None,
                };
                steps.push(Step { at: opens.plus_ms(after), stage, bps, limit });
            }
        }
        steps.sort_by_key(|it| (it.at, it.stage));
        Ok(Self { steps })
    }
}

/// A share of a capacity, rounded down.
fn share(stage: Stage, capacity: U256, bps: u32) -> Result<U256, PlanError> {
    let none = PlanError::Limit { stage, capacity, bps };
    let product = capacity.checked_mul(U256::from(bps)).ok_or(none.clone())?;
    let limit = product / U256::from(FULL_BPS);
    if limit.is_zero() { Err(none) } else { Ok(limit) }
}
