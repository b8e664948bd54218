//! What happens to a book when the market moves: the spot-by-volatility grid with account-level repricing, and
//! the pause engine that prices freezing a venue. Every figure in both numeraires.

pub mod delta_gamma;
pub mod expiry;
mod fast;
pub mod grid;
pub mod leg;
pub mod pause;
pub mod shortfall;
pub mod sticky;
mod sweep;
pub mod unpause;

pub use delta_gamma::DeltaGamma;
pub use grid::{
    BookAccount, Cell, GridConfig, GridInstrument, ScenarioGrid, Shock, VolShift, Widening,
};
pub use leg::{Leg, LegGreeks};
pub use pause::{PauseInput, PauseReport, pause_report};
