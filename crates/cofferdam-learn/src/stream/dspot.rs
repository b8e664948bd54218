//! DSPOT: SPOT of the distance from a moving mean, for metrics that drift (Siffer et al. 2017).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Model, ModelError, Spot, SpotSettings, State, Step, exact, fits, setting, single};

/// Longest moving mean, in values.
pub(crate) const DEPTH_MAX: usize = 10_000;

/// Settings of [`Dspot`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DspotSettings {
    /// Values of the moving mean.
    pub depth: usize,
    /// Of the distances.
    pub spot: SpotSettings,
}

/// The model. A value that alarms does not move the mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dspot {
    depth: usize,
    #[serde(with = "exact::list")]
    recent: VecDeque<f64>,
    spot: Spot,
}

impl Dspot {
    /// An empty model.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn new(settings: DspotSettings) -> Result<Self, ModelError> {
        let spot = Spot::new(settings.spot)?;
        Self { depth: settings.depth, recent: VecDeque::new(), spot }.checked()
    }

    pub(super) fn checked(mut self) -> Result<Self, ModelError> {
        setting((1..=DEPTH_MAX).contains(&self.depth), "depth", "[1, 10000]")?;
        let finite = self.recent.iter().all(|it| it.is_finite());
        fits(finite && self.recent.len() <= self.depth, "recent values")?;
        self.spot = self.spot.checked()?;
        Ok(self)
    }

    fn mean(&self) -> f64 {
        // Divided first: a sum of huge values must not overflow.
        self.recent.iter().map(|it| it / self.depth as f64).sum()
    }
}

impl Model for Dspot {
    fn width(&self) -> usize {
        1
    }

    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError> {
        let value = single(row)?;
        let step = if self.recent.len() < self.depth {
            Step { score: None, alarm: false }
        } else {
            match value - self.mean() {
                distance if distance.is_finite() => self.spot.push(distance),
                _ => Step { score: None, alarm: false },
            }
        };
        if !step.alarm {
            self.recent.push_back(value);
            if self.recent.len() > self.depth {
                self.recent.pop_front();
            }
        }
        Ok(step)
    }

    fn state(&self) -> State {
        State::Dspot(self.clone())
    }
}
