//! Probability of an exploit within a horizon, per protocol: a Gamma base rate and multiplicative covariates with
//! their uncertainty. A model that does not beat its own base rate says so.

use serde::{Deserialize, Serialize};

use super::{Abstention, Forecast};
use crate::calibration::report::group_bootstrap;
use crate::error::{RiskError, finite, non_negative, positive, probability, same_length};
use crate::numeric::random::Philox;
use crate::numeric::special::bisect;
use crate::severity::Hazard;
use crate::severity::hazard::{SECONDS_PER_YEAR, gamma_cdf};

/// Draws behind an interval.
const DRAWS: u64 = 2_000;
/// Longest horizon, one year.
pub const HORIZON_MAX_SECONDS: f64 = SECONDS_PER_YEAR;

/// How one property of a protocol moves its log-rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Covariate {
    /// Its name.
    pub name: String,
    /// Change of the log-rate per unit.
    pub effect: f64,
    /// Standard error of it.
    pub error: f64,
    /// Value at which the effect is zero.
    pub centre: f64,
    /// Least value the effect was learned on.
    pub least: f64,
    /// Greatest value the effect was learned on.
    pub most: f64,
}

/// A hazard model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HazardModel {
    /// Base rate of the class.
    pub base: Hazard,
    /// Covariates.
    pub covariates: Vec<Covariate>,
}

impl HazardModel {
    /// Forecasts for one protocol from its values, in the order of the covariates; `None` is unknown and widens.
    ///
    /// # Errors
    /// Values that are not finite, of the wrong number, or a model outside its domain.
    pub fn forecast(
        &self,
        values: &[Option<f64>],
        horizon_seconds: f64,
        rng: Philox,
    ) -> Result<Forecast, RiskError> {
        same_length("covariates", values.len(), self.covariates.len())?;
        let horizon = positive("horizon", horizon_seconds)?.min(HORIZON_MAX_SECONDS);
        positive("hazard shape", self.base.shape)?;
        positive("hazard exposure", self.base.exposure)?;
        let (mut mean, mut variance, mut known) = (0.0, 0.0, 0_usize);
        for (c, v) in self.covariates.iter().zip(values) {
            let effect = finite("covariate effect", c.effect)?;
            let error = non_negative("covariate error", c.error)?;
            match v {
                Some(v) => {
                    let v = finite("covariate", *v)?;
                    if !(c.least..=c.most).contains(&v) {
                        let input = c.name.clone();
                        return Ok(Forecast::Abstained(Abstention::OutOfDistribution { input }));
                    }
                    mean += effect * (v - c.centre);
                    variance += (error * (v - c.centre)) * (error * (v - c.centre));
                    known += usize::from(effect != 0.0);
                }
                // Unknown: anywhere in the range, uniformly.
                None => {
                    let half = 0.5 * effect * (c.most - c.least);
                    variance += half * half / 3.0;
                }
            }
        }
        let years = horizon / SECONDS_PER_YEAR;
        let chance = |rate: f64| -libm::expm1(-rate * years);
        let sd = libm::sqrt(variance);
        let mut draws: Vec<f64> = (0..DRAWS)
            .map(|i| {
                let rate = gamma_quantile(&self.base, rng.uniform(0, i));
                chance(rate * libm::exp((mean + sd * rng.normal(1, i)).clamp(-50.0, 50.0)))
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        let at = |p: f64| draws[(p * DRAWS as f64) as usize];
        let p = chance(self.base.rate() * libm::exp(mean.clamp(-50.0, 50.0)));
        Ok(Forecast::Probability {
            p,
            low: at(0.05).min(p),
            high: at(0.95).max(p),
            horizon_seconds: horizon,
            informed: known > 0,
        })
    }
}

fn gamma_quantile(h: &Hazard, u: f64) -> f64 {
    let high = (h.shape + 40.0 * libm::sqrt(h.shape) + 60.0) / h.exposure;
    bisect(0.0, high, |r| gamma_cdf(h.shape, r * h.exposure) < u)
}

/// What a model gains over always answering the base rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Skill {
    /// Log-loss of the base rate minus that of the model, nats per case; above zero is better.
    pub gain: f64,
    /// 5 % and 95 % of it over resampled protocols.
    pub range: (f64, f64),
    /// Mean forecast over observed frequency; one is calibrated in the large.
    pub calibration_in_the_large: f64,
    /// Area under the ROC curve of the event within the horizon.
    pub auc: f64,
    /// The whole range is above zero: only then is the model worth showing as more than the prior.
    pub better_than_prior: bool,
}

/// Judges forecasts of an event within the horizon, cases grouped by protocol so that one protocol is never split.
///
/// # Errors
/// Fewer than two groups, one class only, or forecasts outside `[0, 1]`.
pub fn skill(groups: &[Vec<(f64, bool)>], prior: f64, rng: Philox) -> Result<Skill, RiskError> {
    let prior = probability("prior", prior)?;
    let all: Vec<(f64, bool)> = groups.iter().flatten().copied().collect();
    let (p, y): (Vec<f64>, Vec<bool>) = all.iter().copied().unzip();
    for x in &p {
        probability("forecast", *x)?;
    }
    let auc = crate::calibration::roc_auc(&p, &y)?;
    let loss = |p: f64, y: bool| {
        let p = p.clamp(1e-12, 1.0 - 1e-12);
        if y { -libm::log(p) } else { -libm::log1p(-p) }
    };
    let gain = |cases: &[&Vec<(f64, bool)>]| {
        let (mut sum, mut n) = (0.0, 0.0);
        for (p, y) in cases.iter().flat_map(|g| g.iter()) {
            sum += loss(prior, *y) - loss(*p, *y);
            n += 1.0;
        }
        if n > 0.0 { sum / n } else { 0.0 }
    };
    let every: Vec<&Vec<(f64, bool)>> = groups.iter().collect();
    let range = group_bootstrap(groups, 2_000, rng, gain)?;
    let events = y.iter().filter(|y| **y).count() as f64;
    Ok(Skill {
        gain: gain(&every),
        range,
        calibration_in_the_large: p.iter().sum::<f64>() / events,
        auc,
        better_than_prior: range.0 > 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> HazardModel {
        let covariate = |name: &str, effect, least, most| Covariate {
            name: name.into(),
            effect,
            error: 0.3,
            centre: 0.0,
            least,
            most,
        };
        HazardModel {
            base: Hazard::update(1.0, 24.0, 317.0, 7_500.0).unwrap(),
            covariates: vec![
                covariate("log10 tvl", 0.11, -3.0, 3.0),
                covariate("fork", 0.8, 0.0, 1.0),
            ],
        }
    }

    #[test]
    fn a_riskier_protocol_gets_more_and_an_unknown_one_a_wider_answer() {
        let at =
            |v: &[Option<f64>]| match model().forecast(v, 30.0 * 86_400.0, Philox::new(1)).unwrap()
            {
                Forecast::Probability { p, low, high, informed, .. } => (p, low, high, informed),
                other => panic!("{other:?}"),
            };
        let (calm, low, high, informed) = at(&[Some(0.0), Some(0.0)]);
        assert!(informed && low < calm && calm < high);
        assert!((calm - 0.0035).abs() < 3e-4, "{calm}");
        assert!(at(&[Some(1.0), Some(1.0)]).0 > 2.0 * calm);
        let unknown = at(&[None, None]);
        assert!(!unknown.3 && unknown.2 / unknown.1 > high / low);
    }

    #[test]
    fn out_of_range_is_an_abstention_and_nonsense_an_error() {
        let far = model().forecast(&[Some(9.0), Some(0.0)], 1e6, Philox::new(1)).unwrap();
        assert!(matches!(far, Forecast::Abstained(Abstention::OutOfDistribution { .. })));
        assert!(model().forecast(&[Some(f64::NAN), None], 1e6, Philox::new(1)).is_err());
        assert!(model().forecast(&[None], 1e6, Philox::new(1)).is_err());
    }

    #[test]
    fn a_model_that_repeats_the_prior_is_not_called_better() {
        let rng = Philox::new(4);
        let groups = |informed: bool| -> Vec<Vec<(f64, bool)>> {
            (0..400)
                .map(|g| {
                    let risky = g % 2 == 0;
                    let truth = if risky { 0.3 } else { 0.02 };
                    let said = if informed { truth } else { 0.16 };
                    (0..5).map(|i| (said, rng.uniform(g, i) < truth)).collect()
                })
                .collect()
        };
        let good = skill(&groups(true), 0.16, Philox::new(1)).unwrap();
        assert!(good.better_than_prior && good.auc > 0.7);
        assert!((good.calibration_in_the_large - 1.0).abs() < 0.2);
        assert!(!skill(&groups(false), 0.16, Philox::new(1)).unwrap().better_than_prior);
    }
}
