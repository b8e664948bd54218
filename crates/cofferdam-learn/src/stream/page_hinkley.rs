//! The Page–Hinkley test (Page 1954, Hinkley 1971), both directions, against the running mean.

use serde::{Deserialize, Serialize};

use super::{Model, ModelError, State, Step, exact, fits, setting, single};

/// Settings of [`PageHinkley`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkleySettings {
    /// Change that is tolerated, in units of the value.
    #[serde(with = "exact")]
    pub delta: f64,
    /// Distance from the extreme sum that is an alarm, in units of the value.
    #[serde(with = "exact")]
    pub threshold: f64,
    /// Values seen before it judges.
    pub warm_up: u64,
}

/// The model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkley {
    settings: PageHinkleySettings,
    seen: u64,
    #[serde(with = "exact")]
    mean: f64,
    #[serde(with = "exact")]
    rise: f64,
    #[serde(with = "exact")]
    least: f64,
    #[serde(with = "exact")]
    fall: f64,
    #[serde(with = "exact")]
    most: f64,
}

impl PageHinkley {
    /// An empty model.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn new(settings: PageHinkleySettings) -> Result<Self, ModelError> {
        Self::empty(settings).checked()
    }

    fn empty(settings: PageHinkleySettings) -> Self {
        Self { settings, seen: 0, mean: 0.0, rise: 0.0, least: 0.0, fall: 0.0, most: 0.0 }
    }

    pub(super) fn checked(self) -> Result<Self, ModelError> {
        let PageHinkleySettings { delta, threshold, .. } = self.settings;
        setting(delta.is_finite() && delta >= 0.0, "delta", "[0, inf)")?;
        setting(threshold.is_finite() && threshold > 0.0, "threshold", "(0, inf)")?;
        let sums = [self.mean, self.rise, self.least, self.fall, self.most];
        fits(sums.iter().all(|it| it.is_finite()), "sums")?;
        Ok(self)
    }
}

impl Model for PageHinkley {
    fn width(&self) -> usize {
        1
    }

    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError> {
        let value = single(row)?;
        let mut next = *self;
        next.seen = next.seen.saturating_add(1);
        next.mean += (value - next.mean) / next.seen as f64;
        let distance = value - next.mean;
        next.rise += distance - next.settings.delta;
        next.fall += distance + next.settings.delta;
        next.least = next.least.min(next.rise);
        next.most = next.most.max(next.fall);
        // Sums of values near the largest float overflow; the model then keeps what it knew.
        if next.checked().is_ok() {
            *self = next;
        }
        if self.seen < self.settings.warm_up {
            return Ok(Step { score: None, alarm: false });
        }
        let score = (self.rise - self.least).max(self.most - self.fall);
        let alarm = score > self.settings.threshold;
        if alarm {
            *self = Self::empty(self.settings);
        }
        Ok(Step { score: Some(score), alarm })
    }

    fn state(&self) -> State {
        State::PageHinkley(*self)
    }
}
