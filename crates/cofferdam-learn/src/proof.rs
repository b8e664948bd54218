//! What is known about a guard: how often its measure was seen, how often it would have cried wolf on a
//! later hold-out, and whether the world has moved in between.

use cofferdam_risk::{numeric::special::clopper_pearson, predict::population_stability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fewest numbers on either side of a drift check.
const DRIFT_MIN: usize = 10;
/// Stability index above which a population is called different, given enough cases (`risk.md` §13).
const PSI_DIFFERENT: f64 = cofferdam_risk::predict::drift::PSI_DIFFERENT;
/// 99.9 % point of χ² with nine degrees of freedom: over n and m cases that share a distribution, the index
/// of ten bins is about (1/n + 1/m) χ² (Yurdakul 2018), so that small samples are not called drifted.
const CHI_SQUARE: f64 = 27.877;

/// What is known about a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proof {
    /// Observations it was learned from.
    pub support: u64,
    /// Later observations it was tried on.
    pub held_out: u64,
    /// How many of them broke it.
    pub breaches: u64,
    /// Upper limit of its false alarms per million observations: one-sided 95 % Clopper–Pearson, which is
    /// three by the number of trials (the rule of three) if none broke it.
    pub false_alarms_ppm: u32,
    /// Whether the hold-out looks like what it was learned from.
    pub drift: Drift,
}

/// Whether two samples look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// They do.
    None,
    /// They do not.
    Drifted,
    /// Too few numbers, or nothing to compare.
    Unknown,
}

impl Proof {
    /// The proof of `breaches` in `held_out` trials.
    pub fn new(support: u64, held_out: u64, breaches: u64, drift: Drift) -> Self {
        let (_, upper) = clopper_pearson(breaches, held_out);
        // Rounded up: a limit may not be understated.
        let false_alarms_ppm = libm::ceil(upper * 1e6).clamp(0.0, 1e6) as u32;
        Self { support, held_out, breaches, false_alarms_ppm, drift }
    }
}

impl Drift {
    /// Compares later numbers with earlier ones.
    pub fn between(earlier: &[f64], later: &[f64]) -> Self {
        if earlier.len().min(later.len()) < DRIFT_MIN {
            return Self::Unknown;
        }
        let (n, m) = (earlier.len() as f64, later.len() as f64);
        let chance = CHI_SQUARE * (1.0 / n + 1.0 / m);
        match population_stability(earlier, later) {
            Ok(index) if index > PSI_DIFFERENT.max(chance) => Self::Drifted,
            Ok(_) => Self::None,
            Err(_) => Self::Unknown,
        }
    }

    /// A word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Drifted => "drifted",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Drift, Proof};

    #[test]
    fn no_breach_is_the_rule_of_three_and_no_trial_proves_nothing() {
        let proof = Proof::new(100, 10_000, 0, Drift::Unknown);
        assert!((299..=300).contains(&proof.false_alarms_ppm), "{proof:?}");
        assert_eq!(Proof::new(100, 0, 0, Drift::Unknown).false_alarms_ppm, 1_000_000);
        assert!(Proof::new(1, 100, 3, Drift::Unknown).false_alarms_ppm > 70_000);
    }

    #[test]
    fn a_moved_population_is_called_drifted_and_a_small_one_is_not_guessed_at() {
        let ramp = |from: u32, n: u32| -> Vec<f64> { (from..from + n).map(f64::from).collect() };
        assert_eq!(Drift::between(&ramp(0, 1_000), &ramp(900, 500)), Drift::Drifted);
        let even = |it: &f64| (*it as u32).is_multiple_of(2);
        let half: Vec<f64> = ramp(0, 1_000).into_iter().filter(even).collect();
        assert_eq!(Drift::between(&ramp(0, 1_000), &half), Drift::None);
        assert_eq!(Drift::between(&ramp(0, 9), &ramp(0, 9)), Drift::Unknown);
        // Twelve numbers leave most bins empty by chance.
        assert_eq!(Drift::between(&ramp(0, 30), &ramp(3, 12)), Drift::None);
    }
}
