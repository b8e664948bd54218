//! SPOT: streaming peaks over threshold (Siffer et al. 2017). The first values give a high threshold; the
//! tail of excesses over it gives the level that is exceeded with probability `q`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Model, ModelError, State, Step, Tail, exact, fits, grimshaw, setting, single};

/// Fewest excesses from which a tail is fitted; with less it does not judge.
pub(crate) const EXCESSES_MIN: usize = 10;
/// Most values kept for the first threshold.
pub(crate) const WARM_UP_MAX: usize = 100_000;
/// Most excesses kept.
pub(crate) const EXCESSES_MAX: usize = 10_000;

/// Settings of [`Spot`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpotSettings {
    /// Probability per value of an alarm without cause, e.g. 1e-4.
    #[serde(with = "exact")]
    pub q: f64,
    /// Quantile of the first values that is the threshold, e.g. 0.98.
    #[serde(with = "exact")]
    pub level: f64,
    /// How many first values.
    pub warm_up: usize,
    /// Excesses kept, the newest.
    pub excesses: usize,
}

/// The model. Values beyond its alarm level are not learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    settings: SpotSettings,
    /// The first values, until there are enough; then empty.
    #[serde(with = "exact::list")]
    first: Vec<f64>,
    #[serde(with = "exact")]
    threshold: f64,
    #[serde(with = "exact::list")]
    excesses: VecDeque<f64>,
    /// Values since the start, without alarms.
    seen: u64,
    /// Excesses since the start.
    peaks: u64,
    tail: Option<Tail>,
}

impl Spot {
    /// An empty model.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn new(settings: SpotSettings) -> Result<Self, ModelError> {
        let (first, excesses) = (Vec::new(), VecDeque::new());
        Self { settings, first, threshold: 0.0, excesses, seen: 0, peaks: 0, tail: None }.checked()
    }

    pub(super) fn checked(self) -> Result<Self, ModelError> {
        let SpotSettings { q, level, warm_up, excesses } = self.settings;
        setting(level > 0.0 && level < 1.0, "level", "(0, 1)")?;
        setting(q > 0.0 && q < 1.0 - level, "q", "(0, 1 - level)")?;
        setting((EXCESSES_MIN..=WARM_UP_MAX).contains(&warm_up), "warm-up", "[10, 100000]")?;
        let kept = (EXCESSES_MIN..=EXCESSES_MAX).contains(&excesses);
        setting(kept, "excesses", "[10, 10000]")?;
        let finite = self.first.iter().all(|it| it.is_finite()) && self.threshold.is_finite();
        let few = self.first.len() <= warm_up && self.excesses.len() <= excesses;
        let above = self.excesses.iter().all(|it| it.is_finite() && *it > 0.0);
        let counted = self.peaks >= self.excesses.len() as u64 && self.seen >= self.peaks;
        fits(finite && few && above && counted, "values")?;
        let tail = self.tail.is_none_or(|it| it.gamma.is_finite() && it.sigma > 0.0);
        fits(tail, "tail")?;
        Ok(self)
    }

    /// The tail, once there is one.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// The value above which it alarms, once it judges.
    pub fn limit(&self) -> Option<f64> {
        let tail = self.tail?;
        let share = self.settings.q * self.seen as f64 / self.peaks as f64;
        Some(self.threshold + tail.excess(share.min(1.0)))
    }

    pub(super) fn warm(&self) -> bool {
        self.seen > 0
    }

    /// Judges one finite value and learns from it.
    pub(super) fn push(&mut self, value: f64) -> Step {
        let silent = Step { score: None, alarm: false };
        if !self.warm() {
            self.first.push(value);
            if self.first.len() >= self.settings.warm_up {
                self.begin();
            }
            return silent;
        }
        let excess = value - self.threshold;
        let step = match self.limit().zip(self.tail) {
            None => silent,
            Some(_) if excess <= 0.0 => Step { score: Some(0.0), alarm: false },
            Some((limit, tail)) => {
                let p = tail.survival(excess) * self.peaks as f64 / self.seen as f64;
                // A bounded tail calls what is beyond its end impossible; no float is that sure.
                let score = -libm::log10(p.max(f64::MIN_POSITIVE));
                Step { score: Some(score), alarm: value > limit }
            }
        };
        if !step.alarm {
            self.seen = self.seen.saturating_add(1);
            if excess > 0.0 && excess.is_finite() {
                self.learn(excess);
                self.fit();
            }
        }
        step
    }

    fn begin(&mut self) {
        let mut sorted = std::mem::take(&mut self.first);
        let first = sorted.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (self.settings.level * sorted.len() as f64) as usize;
        self.threshold = sorted.get(at).or(sorted.last()).copied().unwrap_or_default();
        self.seen = first.len() as u64;
        for value in first {
            let excess = value - self.threshold;
            if excess > 0.0 && excess.is_finite() {
                self.learn(excess);
            }
        }
        self.fit();
    }

    fn learn(&mut self, excess: f64) {
        self.peaks = self.peaks.saturating_add(1);
        self.excesses.push_back(excess);
        if self.excesses.len() > self.settings.excesses {
            self.excesses.pop_front();
        }
    }

    fn fit(&mut self) {
        if self.excesses.len() >= EXCESSES_MIN {
            let tail = grimshaw(self.excesses.make_contiguous());
            self.tail = tail.or(self.tail);
        }
    }
}

impl Model for Spot {
    fn width(&self) -> usize {
        1
    }

    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError> {
        Ok(self.push(single(row)?))
    }

    fn state(&self) -> State {
        State::Spot(self.clone())
    }
}
