//! Volatility: smiles without static arbitrage, realised estimators, GARCH and HAR forecasts, jump and
//! stochastic-volatility prices, and the gap engine that asks how far a price can run while nobody may act.

pub mod cubic;
pub mod curve;
pub mod estimators;
pub mod gap;
pub mod garch;
pub mod heston;
pub mod jumps;
pub mod ssvi;
pub mod svi;
pub mod svi_fit;

pub use cubic::MonotoneCubic;
pub use curve::SmileCurve;
pub use estimators::Ohlc;
pub use garch::{Garch, GarchFit, Innovation, fit_garch};
pub use jumps::MertonJumps;
pub use svi::{Butterfly, SviSlice};
pub use svi_fit::{SmileFit, SmilePoint, fit_smile};
