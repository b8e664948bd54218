//! Back-tests: where history comes from, and how it is gone through on every core, interrupted and taken up again.
//!
//! **Invariant:** blocks are prepared in parallel and folded in order. Results depend on data, plan and seed alone: not
//! on the number of threads, not on interruptions, not on the clock.

mod csv;
mod data;
mod exploits;
mod export;
mod html;
mod keep;
mod mainnet;
mod ndjson;
mod nomad;
mod order;
mod parity;
mod parquet;
mod run;
mod scan;
mod source;
mod table;

pub(crate) use data::strands;
pub(crate) use export::export;
pub(crate) use html::page;
pub(crate) use keep::{Keep, fingerprint, rows as kept_rows};
pub(crate) use run::{Job, Progress, run};
pub use scan::{Scanned, scan};
pub(crate) use source::Strand;
pub(crate) use table::{calibration, outcome, scanned};

use crate::replay::ReplayError;

/// Why a back-test cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The data cannot be read.
    #[error("the data cannot be read")]
    Data(#[from] ReplayError),
    /// The plan or the state between two ranges.
    #[error("the history cannot be gone through")]
    Pass(#[from] cofferdam_backtest::BacktestError),
    /// The folder of the results.
    #[error("{what}")]
    Keep {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder holds another back-test.
    #[error("{} holds the beginning of another back-test", folder.display())]
    Other {
        /// Which.
        folder: std::path::PathBuf,
    },
    /// A thread died.
    #[error("a part of the work was lost; run it again")]
    Lost,
}
