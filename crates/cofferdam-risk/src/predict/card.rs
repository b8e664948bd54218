//! Model cards: what a model is for, what it was trained on, how well it does and when it stops being trusted. A card
//! that lacks a part is an error, not a warning.

use serde::{Deserialize, Serialize};

/// Fewest positives behind a headline figure.
pub const POSITIVES_MIN: u32 = 20;

/// The card of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelCard {
    /// The model it belongs to.
    pub model: String,
    /// Its version.
    pub version: String,
    /// What it may be used for, and what not.
    pub purpose: String,
    /// Data with as-of date and licence.
    pub data: Vec<DataSource>,
    /// How rows were labelled, and from when labels were frozen.
    pub label_policy: String,
    /// How training, calibration and test were separated.
    pub splits: String,
    /// Features in the order the model takes them.
    pub features: Vec<FeatureRange>,
    /// Headline figures.
    pub metrics: Vec<Metric>,
    /// One row per cut-off year.
    pub walk_forward: Vec<WalkForward>,
    /// Expected cost by operating weight.
    pub cost_curve: Vec<(f64, f64)>,
    /// The worst misses, described.
    pub failures: Vec<String>,
    /// Figures by chain, class and size.
    pub subgroups: Vec<Metric>,
    /// Time per answer, microseconds.
    pub latency_us: f64,
    /// How an attacker could stay below it.
    pub known_evasions: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Day it is no longer used, `YYYY-MM-DD`.
    pub expires: String,
}

/// One source of data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataSource {
    /// Its name.
    pub name: String,
    /// Day of the copy, `YYYY-MM-DD`.
    pub as_of: String,
    /// Licence.
    pub licence: String,
}

/// Range a feature was trained on; beyond it the model abstains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FeatureRange {
    /// Its name.
    pub name: String,
    /// Least value seen.
    pub least: f64,
    /// Greatest value seen.
    pub most: f64,
}

/// A figure with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// What it is, with its subgroup.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Lower end, 5 %.
    pub low: f64,
    /// Upper end, 95 %.
    pub high: f64,
    /// Positives behind it.
    pub positives: u32,
}

/// Result of training before a year and testing after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WalkForward {
    /// First year of the test.
    pub from_year: u16,
    /// Average precision.
    pub average_precision: f64,
    /// The base rate, which a useless model scores.
    pub base_rate: f64,
}

/// What is wrong with a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// A part is empty.
    #[error("model card of {model} lacks {part}")]
    Lacks {
        /// The model.
        model: String,
        /// The part.
        part: &'static str,
    },
    /// A part cannot be.
    #[error("model card of {model} has an invalid {part}")]
    Invalid {
        /// The model.
        model: String,
        /// The part.
        part: &'static str,
    },
    /// The model may no longer be used.
    #[error("model card of {model} expired on {on}")]
    Expired {
        /// The model.
        model: String,
        /// The day.
        on: String,
    },
    /// The card describes other features than the model takes.
    #[error("model card of {model} lists other features than the model takes")]
    OtherFeatures {
        /// The model.
        model: String,
    },
}

impl ModelCard {
    /// Checks completeness and that the model may be used on `today`, `YYYY-MM-DD`.
    ///
    /// # Errors
    /// The first part that is missing, invalid or expired.
    pub fn check(&self, today: &str) -> Result<(), CardError> {
        let model = || self.model.clone();
        for (part, empty) in [
            ("model", self.model.is_empty()),
            ("version", self.version.is_empty()),
            ("purpose", self.purpose.is_empty()),
            ("data", self.data.is_empty()),
            ("licence", self.data.iter().any(|d| d.licence.is_empty() || d.name.is_empty())),
            ("label policy", self.label_policy.is_empty()),
            ("splits", self.splits.is_empty()),
            ("features", self.features.is_empty()),
            ("metrics", self.metrics.is_empty()),
            ("walk-forward table", self.walk_forward.is_empty()),
            ("cost curve", self.cost_curve.is_empty()),
            ("failure gallery", self.failures.is_empty()),
            ("subgroups", self.subgroups.is_empty()),
            ("known evasions", self.known_evasions.is_empty()),
            ("owner", self.owner.is_empty()),
        ] {
            if empty {
                return Err(CardError::Lacks { model: model(), part });
            }
        }
        let invalid = |part| Err(CardError::Invalid { model: model(), part });
        let ordered = |m: &Metric| m.low <= m.value && m.value <= m.high;
        if !self.metrics.iter().chain(&self.subgroups).all(ordered) {
            return invalid("metric interval");
        }
        if self.metrics.iter().any(|m| m.positives < POSITIVES_MIN) {
            return invalid("headline metric on fewer than 20 positives");
        }
        if !self.features.iter().all(|f| f.least <= f.most) {
            return invalid("feature range");
        }
        if !(self.latency_us.is_finite() && self.latency_us > 0.0) {
            return invalid("latency");
        }
        if !is_day(&self.expires) || self.data.iter().any(|d| !is_day(&d.as_of)) {
            return invalid("date");
        }
        if !is_day(today) || self.expires.as_str() < today {
            return Err(CardError::Expired { model: model(), on: self.expires.clone() });
        }
        Ok(())
    }

    /// Whether the card lists exactly these features in this order.
    ///
    /// # Errors
    /// [`CardError::OtherFeatures`].
    pub fn describes(&self, features: &[String]) -> Result<(), CardError> {
        if self.features.iter().map(|f| &f.name).eq(features) {
            return Ok(());
        }
        Err(CardError::OtherFeatures { model: self.model.clone() })
    }

    /// The first feature of a row outside the range it was trained on.
    #[must_use]
    pub fn outside(&self, row: &[Option<f64>]) -> Option<&str> {
        let beyond = |(f, x): (&FeatureRange, &Option<f64>)| {
            x.is_some_and(|x| !(f.least..=f.most).contains(&x))
        };
        let at = self.features.iter().zip(row).position(beyond)?;
        self.features.get(at).map(|f| f.name.as_str())
    }
}

/// Whether a text is `YYYY-MM-DD`; such days compare as texts.
fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes[i].is_ascii_digit();
    bytes.len() == 10
        && (0..10).all(|i| if i == 4 || i == 7 { bytes[i] == b'-' } else { digit(i) })
        && ("01".."13").contains(&&text[5..7])
        && ("01".."32").contains(&&text[8..10])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> ModelCard {
        let metric = |name: &str, positives| Metric {
            name: name.into(),
            value: 0.4,
            low: 0.3,
            high: 0.5,
            positives,
        };
        ModelCard {
            model: "synthetic-gbm".into(),
            version: "1".into(),
            purpose: "parity of the evaluator; never for decisions".into(),
            data: vec![DataSource {
                name: "synthetic rows".into(),
                as_of: "2026-11-23".into(),
                licence: "ours".into(),
            }],
            label_policy: "drawn from the stated law".into(),
            splits: "none: parity only".into(),
            features: ["contract_age_days", "flash_loan_over_tvl"]
                .map(|name| FeatureRange { name: name.into(), least: 0.0, most: 1_000.0 })
                .to_vec(),
            metrics: vec![metric("average precision", 200)],
            walk_forward: vec![WalkForward {
                from_year: 2025,
                average_precision: 0.4,
                base_rate: 0.1,
            }],
            cost_curve: vec![(0.5, 0.1)],
            failures: vec!["rows with every value missing".into()],
            subgroups: vec![metric("average precision, bridges", 3)],
            latency_us: 5.0,
            known_evasions: vec!["age the contract".into()],
            owner: "risk".into(),
            expires: "2027-11-23".into(),
        }
    }

    #[test]
    fn a_card_that_lacks_a_part_or_has_run_out_is_refused() {
        let today = "2026-11-25";
        sample().check(today).unwrap();
        let with = |change: &dyn Fn(&mut ModelCard)| {
            let mut c = sample();
            change(&mut c);
            c.check(today).unwrap_err().to_string()
        };
        assert!(with(&|c| c.failures.clear()).contains("failure gallery"));
        assert!(with(&|c| c.owner.clear()).contains("owner"));
        assert!(with(&|c| c.metrics[0].positives = 19).contains("20 positives"));
        assert!(with(&|c| c.metrics[0].low = 0.45).contains("interval"));
        assert!(with(&|c| c.expires = "2026-11-24".into()).contains("expired"));
        assert!(with(&|c| c.expires = "next year".into()).contains("date"));
        assert!(with(&|c| c.latency_us = f64::NAN).contains("latency"));
        let c = sample();
        assert!(c.describes(&["contract_age_days".into()]).is_err());
        assert_eq!(c.outside(&[Some(5.0), Some(2_000.0)]), Some("flash_loan_over_tvl"));
        assert_eq!(c.outside(&[None, Some(0.0)]), None);
    }
}
