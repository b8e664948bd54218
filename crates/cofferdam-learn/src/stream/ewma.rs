//! Exponentially weighted mean and variance, with the z-score of the next value (Finch 2009).

use serde::{Deserialize, Serialize};

use super::{Model, ModelError, State, Step, exact, fits, setting, single};

/// Settings of [`Ewma`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EwmaSettings {
    /// Weight of the newest value, in (0, 1].
    #[serde(with = "exact")]
    pub alpha: f64,
    /// Standard deviations from the mean that are an alarm.
    #[serde(with = "exact")]
    pub limit: f64,
    /// Values seen before it judges.
    pub warm_up: u64,
}

/// The model. `mean` and `variance` are those of all values with weights that fade by `1 - alpha`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ewma {
    settings: EwmaSettings,
    seen: u64,
    #[serde(with = "exact")]
    mean: f64,
    #[serde(with = "exact")]
    variance: f64,
}

impl Ewma {
    /// An empty model.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn new(settings: EwmaSettings) -> Result<Self, ModelError> {
        Self { settings, seen: 0, mean: 0.0, variance: 0.0 }.checked()
    }

    pub(super) fn checked(self) -> Result<Self, ModelError> {
        let EwmaSettings { alpha, limit, .. } = self.settings;
        setting(alpha > 0.0 && alpha <= 1.0, "alpha", "(0, 1]")?;
        setting(limit.is_finite() && limit > 0.0, "limit", "(0, inf)")?;
        fits(
            self.mean.is_finite() && self.variance.is_finite() && self.variance >= 0.0,
            "moments",
        )?;
        Ok(self)
    }

    /// Mean and variance so far.
    pub fn moments(&self) -> (f64, f64) {
        (self.mean, self.variance)
    }

    /// How many standard deviations `value` is from the mean; 0 for the mean itself, infinite for any
    /// other value if nothing ever varied.
    fn z(&self, value: f64) -> f64 {
        let distance = (value - self.mean).abs();
        if distance == 0.0 { 0.0 } else { distance / self.variance.sqrt() }
    }
}

impl Model for Ewma {
    fn width(&self) -> usize {
        1
    }

    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError> {
        let value = single(row)?;
        let score = (self.seen >= self.settings.warm_up.max(1)).then(|| self.z(value));
        if self.seen == 0 {
            self.mean = value;
        } else {
            let EwmaSettings { alpha, .. } = self.settings;
            let step = alpha * (value - self.mean);
            let variance = (1.0 - alpha) * (self.variance + step * (value - self.mean));
            // Squares of huge values overflow; the model then keeps what it knew.
            if variance.is_finite() {
                (self.mean, self.variance) = (self.mean + step, variance);
            }
        }
        self.seen = self.seen.saturating_add(1);
        Ok(Step { score, alarm: score.is_some_and(|it| it > self.settings.limit) })
    }

    fn state(&self) -> State {
        State::Ewma(*self)
    }
}
