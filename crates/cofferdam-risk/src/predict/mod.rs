//! Predictions: how likely an exploit within a month, an empty fund within a day, a limiter hit within an hour.
//! Invariant: a forecast carries its interval, or it is an abstention with its reason; a model without a valid,
//! unexpired card does not answer at all.

pub mod card;
pub mod carded;
pub mod conformal;
pub mod depletion;
pub mod drift;
pub mod hazard;
pub mod limiter;
pub mod trees;

use serde::{Deserialize, Serialize};

pub use card::{CardError, ModelCard};
pub use carded::{CardedError, CardedModel};
pub use conformal::{Mondrian, PredictionSet};
pub use depletion::fund_depletion;
pub use drift::{DriftMonitor, population_stability};
pub use hazard::{Covariate, HazardModel, Skill, skill};
pub use limiter::limiter_hit;
pub use trees::{GradientBoosted, TreeError};

/// Why a model does not answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum Abstention {
    /// Too little history.
    TooLittleHistory {
        /// Observations there are.
        got: usize,
        /// Observations needed.
        want: usize,
    },
    /// An input lies outside what the model was trained on.
    OutOfDistribution {
        /// Which input.
        input: String,
    },
    /// The inputs carry data-quality flags that no widening repairs.
    DoubtfulData {
        /// The first of them.
        flag: String,
    },
    /// The model card has run out.
    CardExpired {
        /// When, `YYYY-MM-DD`.
        on: String,
    },
    /// The model has drifted and the rules answer instead.
    Drifted,
    /// On the data it was judged by, the model is no better than the base rate.
    NoBetterThanPrior,
}

/// A probability with its interval, or the reason there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Forecast {
    /// An answer.
    Probability {
        /// Best estimate.
        p: f64,
        /// Lower end, 5 %.
        low: f64,
        /// Upper end, 95 %.
        high: f64,
        /// Horizon in seconds.
        horizon_seconds: f64,
        /// Whether it is more than the base rate; a forecast that is not says so.
        informed: bool,
    },
    /// No answer.
    Abstained(Abstention),
}

impl Forecast {
    /// The probability, if there is one.
    #[must_use]
    pub fn p(&self) -> Option<f64> {
        match self {
            Self::Probability { p, .. } => Some(*p),
            Self::Abstained(_) => None,
        }
    }
}
