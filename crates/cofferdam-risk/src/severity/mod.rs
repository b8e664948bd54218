//! How often and how badly: base rates of exploits, severity with an infinite-mean tail that is always capped by
//! the value at risk, and reconciliation of loss lists that contradict each other.

pub mod gpd;
pub mod hazard;
pub mod loss;

pub use gpd::{Gpd, GpdFit};
pub use hazard::Hazard;
pub use loss::{Drain, SeverityModel};
