//! Streaming models: one row in, one score out, bounded memory.
//!
//! **Invariant:** a model is a function of its settings, its seed and the rows it saw; its state is data
//! that restores it exactly, to the last bit. A row that is not finite or has another width is an error
//! and changes nothing.

mod cusum;
mod dspot;
mod ewma;
mod exact;
mod gpd;
mod half_space;
mod page_hinkley;
mod spot;

use serde::{Deserialize, Serialize};

pub use cusum::{Cusum, CusumSettings};
pub use dspot::{Dspot, DspotSettings};
pub use ewma::{Ewma, EwmaSettings};
pub use gpd::{Tail, grimshaw};
pub use half_space::{HalfSpaceSettings, HalfSpaceTrees};
pub use page_hinkley::{PageHinkley, PageHinkleySettings};
pub use spot::{Spot, SpotSettings};

/// What a model says about one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// How unusual the row is in the model's own unit, higher is stranger; `None` while it warms up.
    pub score: Option<f64>,
    /// Whether the score is beyond the model's threshold.
    pub alarm: bool,
}

/// Why a row was refused or a model cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The row has another width than the model. Give it what it was built for.
    #[error("the row has {got} values where the model takes {want}")]
    Width {
        /// Values given.
        got: usize,
        /// Values needed.
        want: usize,
    },
    /// A value is NaN or infinite. Leave the row out.
    #[error("value {index} of the row is not finite")]
    NotFinite {
        /// Which one, from 0.
        index: usize,
    },
    /// A setting is outside its domain. Correct it.
    #[error("{name} is outside {domain}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// What it must satisfy.
        domain: &'static str,
    },
    /// A stored state does not fit its settings. Learn the model again.
    #[error("the stored state is not one of this model: {what}")]
    State {
        /// What does not fit.
        what: &'static str,
    },
}

/// A streaming model.
pub trait Model {
    /// Values of a row.
    fn width(&self) -> usize;

    /// Judges a row by what came before it, then learns from it.
    ///
    /// # Errors
    /// [`ModelError::Width`] or [`ModelError::NotFinite`]; the model is unchanged.
    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError>;

    /// The state, from which [`restore`] builds an equal model.
    fn state(&self) -> State;
}

/// The whole state of a model: its settings and what it has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum State {
    /// Exponentially weighted mean and variance.
    Ewma(Ewma),
    /// Two-sided cumulative sum.
    Cusum(Cusum),
    /// Page–Hinkley.
    PageHinkley(PageHinkley),
    /// Peaks over threshold.
    Spot(Spot),
    /// Peaks over threshold around a moving mean.
    Dspot(Dspot),
    /// Half-space trees.
    HalfSpaceTrees(half_space::Saved),
}

/// A model from its state.
///
/// # Errors
/// [`ModelError`] if the state is not one that the model could have had.
pub fn restore(state: State) -> Result<Box<dyn Model + Send + Sync>, ModelError> {
    Ok(match state {
        State::Ewma(it) => Box::new(it.checked()?),
        State::Cusum(it) => Box::new(it.checked()?),
        State::PageHinkley(it) => Box::new(it.checked()?),
        State::Spot(it) => Box::new(it.checked()?),
        State::Dspot(it) => Box::new(it.checked()?),
        State::HalfSpaceTrees(it) => Box::new(HalfSpaceTrees::restore(it)?),
    })
}

impl std::fmt::Debug for dyn Model + Send + Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.state())
    }
}

impl State {
    /// The model's name, as in plans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ewma(_) => "ewma",
            Self::Cusum(_) => "cusum",
            Self::PageHinkley(_) => "page-hinkley",
            Self::Spot(_) => "spot",
            Self::Dspot(_) => "dspot",
            Self::HalfSpaceTrees(_) => "half-space-trees",
        }
    }
}

/// The row of a model of one value.
fn single(row: &[f64]) -> Result<f64, ModelError> {
    match row {
        [value] if value.is_finite() => Ok(*value),
        [_] => Err(ModelError::NotFinite { index: 0 }),
        _ => Err(ModelError::Width { got: row.len(), want: 1 }),
    }
}

fn setting(holds: bool, name: &'static str, domain: &'static str) -> Result<(), ModelError> {
    if holds { Ok(()) } else { Err(ModelError::Setting { name, domain }) }
}

fn fits(holds: bool, what: &'static str) -> Result<(), ModelError> {
    if holds { Ok(()) } else { Err(ModelError::State { what }) }
}
