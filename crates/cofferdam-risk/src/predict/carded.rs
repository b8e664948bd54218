//! A model with its card: the only way to ask one. It answers calibrated probabilities with a Venn-Abers interval, and
//! abstains where the card says it has nothing to say.

use super::{Abstention, CardError, Forecast, GradientBoosted, ModelCard};
use crate::calibration::{Isotonic, Platt, venn_abers};
use crate::error::RiskError;

/// Positives from which isotonic calibration replaces Platt's.
const ISOTONIC_FROM: usize = 200;

/// How raw scores become probabilities.
#[derive(Debug, Clone, PartialEq)]
enum Calibrator {
    Platt(Platt),
    Isotonic(Isotonic),
}

/// A model that may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CardedModel {
    model: GradientBoosted,
    card: ModelCard,
    calibrator: Calibrator,
    scores: Vec<f64>,
    labels: Vec<bool>,
}

/// Why a model cannot be put to use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CardedError {
    /// Its card is incomplete, expired or of another model.
    #[error("the model may not be used")]
    Card(#[from] CardError),
    /// Its calibration data cannot be used.
    #[error("the model cannot be calibrated")]
    Calibration(#[from] RiskError),
}

impl CardedModel {
    /// Joins a model, its card and held-out rows with labels for calibration, for use on `today`, `YYYY-MM-DD`.
    ///
    /// # Errors
    /// A card that is incomplete, expired or lists other features; rows that the model refuses, or of one class only.
    pub fn new(
        model: GradientBoosted,
        card: ModelCard,
        rows: &[Vec<Option<f64>>],
        labels: &[bool],
        today: &str,
    ) -> Result<Self, CardedError> {
        card.check(today)?;
        card.describes(model.features())?;
        let scores: Vec<f64> =
            rows.iter().map(|r| model.raw(r)).collect::<Result<_, RiskError>>()?;
        let positives = labels.iter().filter(|y| **y).count();
        let calibrator = if positives < ISOTONIC_FROM {
            Calibrator::Platt(Platt::fit(&scores, labels)?)
        } else {
            Calibrator::Isotonic(Isotonic::fit(&scores, labels)?)
        };
        Ok(Self { model, card, calibrator, scores, labels: labels.to_vec() })
    }

    /// The card.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Answers a row on `today`, or says why not.
    ///
    /// # Errors
    /// A row of the wrong length or with values that are not finite.
    pub fn answer(
        &self,
        row: &[Option<f64>],
        horizon_seconds: f64,
        today: &str,
    ) -> Result<Forecast, RiskError> {
        let raw = self.model.raw(row)?;
        if self.card.expires.as_str() < today {
            let on = self.card.expires.clone();
            return Ok(Forecast::Abstained(Abstention::CardExpired { on }));
        }
        if let Some(input) = self.card.outside(row) {
            let input = input.to_owned();
            return Ok(Forecast::Abstained(Abstention::OutOfDistribution { input }));
        }
        let p = match &self.calibrator {
            Calibrator::Platt(c) => c.probability(raw),
            Calibrator::Isotonic(c) => c.probability(raw),
        };
        let (low, high) = venn_abers(&self.scores, &self.labels, raw)?;
        let informed = row.iter().any(Option::is_some);
        Ok(Forecast::Probability {
            p,
            low: low.min(p),
            high: high.max(p),
            horizon_seconds,
            informed,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        row: Vec<Option<f64>>,
        raw: f64,
    }

    fn parts() -> (GradientBoosted, ModelCard, Vec<Vec<Option<f64>>>, Vec<bool>) {
        let model = serde_json::from_str(include_str!("../../tests/gbm/model.json")).unwrap();
        let card = serde_json::from_str(include_str!("../../tests/gbm/card.json")).unwrap();
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/gbm/cases.json")).unwrap();
        let rng = crate::numeric::random::Philox::new(31);
        let labels =
            cases.iter().zip(0..).map(|(c, i)| rng.uniform(0, i) < crate::sigmoid(c.raw)).collect();
        (model, card, cases.into_iter().map(|c| c.row).collect(), labels)
    }

    #[test]
    fn a_model_without_a_valid_card_is_not_asked() {
        let (model, card, rows, labels) = parts();
        let today = "2026-11-25";
        assert!(CardedModel::new(model.clone(), card.clone(), &rows, &labels, today).is_ok());
        let mut thin = card.clone();
        thin.known_evasions.clear();
        let refused = CardedModel::new(model.clone(), thin, &rows, &labels, today);
        assert!(matches!(refused, Err(CardedError::Card(CardError::Lacks { .. }))));
        let mut other = card.clone();
        other.features.pop();
        let refused = CardedModel::new(model.clone(), other, &rows, &labels, today);
        assert!(matches!(refused, Err(CardedError::Card(CardError::OtherFeatures { .. }))));
        let late = CardedModel::new(model.clone(), card.clone(), &rows, &labels, "2030-01-01");
        assert!(matches!(late, Err(CardedError::Card(CardError::Expired { .. }))));
        let one_class = vec![false; labels.len()];
        assert!(CardedModel::new(model, card, &rows, &one_class, today).is_err());
    }

    #[test]
    fn it_answers_with_an_interval_and_abstains_outside_its_data() {
        let (model, card, rows, labels) = parts();
        let it = CardedModel::new(model, card, &rows, &labels, "2026-11-25").unwrap();
        let calm = [Some(400.0), Some(0.0), Some(3.0), Some(1.0), Some(0.0), Some(0.0)];
        let loud = [Some(1.0), Some(0.6), Some(8.0), Some(0.0), Some(0.05), Some(2.0)];
        let ask = |row: &[Option<f64>]| it.answer(row, 3_600.0, "2026-11-25").unwrap();
        let (Forecast::Probability { p, low, high, .. }, Some(more)) = (ask(&calm), ask(&loud).p())
        else {
            panic!("no answer")
        };
        assert!(low <= p && p <= high && more > 5.0 * p, "{p} {more}");
        let mut odd = calm;
        odd[1] = Some(500.0);
        assert!(matches!(ask(&odd), Forecast::Abstained(Abstention::OutOfDistribution { .. })));
        let late = it.answer(&calm, 3_600.0, "2030-01-01").unwrap();
        assert!(matches!(late, Forecast::Abstained(Abstention::CardExpired { .. })));
        assert!(it.answer(&calm[..3], 3_600.0, "2026-11-25").is_err());
    }
}
