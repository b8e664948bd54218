//! Outcomes of the NIST Cybersecurity Framework 2.0 that SP 800-61r3 (April 2025) tags a response with.
//!
//! **Invariant:** a tag says what a moment is evidence of; nothing is decided by it.

use serde::{Deserialize, Serialize};

/// A category of CSF 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Csf {
    /// Continuous monitoring.
    #[serde(rename = "DE.CM")]
    DeCm,
    /// Adverse event analysis.
    #[serde(rename = "DE.AE")]
    DeAe,
    /// Incident management.
    #[serde(rename = "RS.MA")]
    RsMa,
    /// Incident analysis.
    #[serde(rename = "RS.AN")]
    RsAn,
    /// Incident response reporting and communication.
    #[serde(rename = "RS.CO")]
    RsCo,
    /// Incident mitigation.
    #[serde(rename = "RS.MI")]
    RsMi,
    /// Incident recovery plan execution.
    #[serde(rename = "RC.RP")]
    RcRp,
    /// Incident recovery communication.
    #[serde(rename = "RC.CO")]
    RcCo,
    /// Improvement.
    #[serde(rename = "ID.IM")]
    IdIm,
}

impl Csf {
    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::DeCm => "DE.CM",
            Self::DeAe => "DE.AE",
            Self::RsMa => "RS.MA",
            Self::RsAn => "RS.AN",
            Self::RsCo => "RS.CO",
            Self::RsMi => "RS.MI",
            Self::RcRp => "RC.RP",
            Self::RcCo => "RC.CO",
            Self::IdIm => "ID.IM",
        }
    }
}
