//! Two-sided cumulative sum (Page 1954) of values standardised by a reference that is learned first and
//! then held. Average run lengths of `k` and `h` are in [`cofferdam_risk::detection`].

use serde::{Deserialize, Serialize};

use super::{Model, ModelError, State, Step, exact, fits, setting, single};

/// Settings of [`Cusum`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CusumSettings {
    /// Allowance in standard deviations: half the shift to be found.
    #[serde(with = "exact")]
    pub k: f64,
    /// Sum in standard deviations that is an alarm.
    #[serde(with = "exact")]
    pub h: f64,
    /// Values from which the reference mean and deviation are taken.
    pub warm_up: u64,
}

/// The model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    settings: CusumSettings,
    seen: u64,
    #[serde(with = "exact")]
    mean: f64,
    /// Sum of squared deviations of the reference.
    #[serde(with = "exact")]
    squares: f64,
    #[serde(with = "exact")]
    up: f64,
    #[serde(with = "exact")]
    down: f64,
}

impl Cusum {
    /// An empty model.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn new(settings: CusumSettings) -> Result<Self, ModelError> {
        Self { settings, seen: 0, mean: 0.0, squares: 0.0, up: 0.0, down: 0.0 }.checked()
    }

    pub(super) fn checked(self) -> Result<Self, ModelError> {
        let CusumSettings { k, h, warm_up } = self.settings;
        setting(k.is_finite() && k >= 0.0, "k", "[0, inf)")?;
        setting(h.is_finite() && h > 0.0, "h", "(0, inf)")?;
        setting(warm_up >= 2, "warm-up", "[2, inf)")?;
        let sums = self.up.is_finite() && self.down.is_finite() && self.up.min(self.down) >= 0.0;
        fits(sums && self.mean.is_finite() && self.squares >= 0.0, "sums")?;
        Ok(self)
    }

    fn deviation(&self) -> f64 {
        (self.squares / (self.settings.warm_up - 1) as f64).sqrt()
    }
}

impl Model for Cusum {
    fn width(&self) -> usize {
        1
    }

    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError> {
        let value = single(row)?;
        if self.seen < self.settings.warm_up {
            self.seen += 1;
            let distance = value - self.mean;
            let mean = self.mean + distance / self.seen as f64;
            let squares = self.squares + distance * (value - mean);
            if squares.is_finite() {
                (self.mean, self.squares) = (mean, squares);
            }
            return Ok(Step { score: None, alarm: false });
        }
        let CusumSettings { k, h, .. } = self.settings;
        let distance = value - self.mean;
        // A reference that never varied: any other value is beyond every allowance.
        let beyond = if distance == 0.0 { 0.0 } else { distance / self.deviation() };
        let z = beyond.clamp(-1e9, 1e9);
        (self.up, self.down) = ((self.up + z - k).max(0.0), (self.down - z - k).max(0.0));
        let score = self.up.max(self.down);
        let alarm = score > h;
        if alarm {
            // It starts over, so that one shift is one alarm until it has added up again.
            (self.up, self.down) = (0.0, 0.0);
        }
        Ok(Step { score: Some(score), alarm })
    }

    fn state(&self) -> State {
        State::Cusum(*self)
    }
}
