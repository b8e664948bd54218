//! The pricing kernel: Black-76 in both numeraires, implied volatility, perpetuals, power perpetuals and
//! concentrated-liquidity legs. Invariant: finite inputs give finite outputs or a typed error, and every
//! function is bit-identical across platforms (no standard-library transcendental function is used).

pub mod batch;
pub mod black;
pub mod block;
pub mod greeks;
pub mod implied;
pub(crate) mod lanes;
pub mod linear;
mod mills_table;
pub mod normal;
pub mod settlement;

pub use batch::{BatchBook, BatchExpiry, BatchOption};
pub use black::{BlackInput, OptionKind, Price, black_price};
pub use block::{BatchGreeks, Block, HigherBlock};
pub use greeks::{CoinGreeks, Greeks, PriceReport, greeks, price_report};
pub use implied::{Iv, IvQuote, IvStatus, implied_vol};
pub use linear::{ClmmLeg, ClmmValue, InversePerp, InversePnl, PowerPerp};
pub use settlement::{SettlementWindow, WindowedForward};
