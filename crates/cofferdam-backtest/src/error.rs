//! Why a back-test cannot be run or judged.

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The plan's rules cannot be built; the plan must be corrected.
    #[error("the plan's rules cannot be built")]
    Plan(#[source] cofferdam_detect::BuildError),
    /// The state at a seam cannot be written or read; the run must begin anew.
    #[error("the state between two ranges cannot be kept")]
    Seam(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The labels are no labels; the file must be corrected.
    #[error("labels: {what}")]
    Labels {
        /// What is wrong, for people.
        what: String,
    },
    /// A figure is outside of what the statistics accept.
    #[error("the scores cannot be judged")]
    Judge(#[from] cofferdam_risk::RiskError),
}
