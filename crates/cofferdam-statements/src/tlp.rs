//! The Traffic Light Protocol 2.0 of FIRST (August 2022): who may see a text.
//!
//! **Invariant:** the order is that of restriction; what is above [`Tlp::Clear`] is for nobody in public.

use serde::{Deserialize, Serialize};

/// A mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tlp {
    /// Anybody.
    #[serde(rename = "TLP:CLEAR")]
    Clear,
    /// The community, not by public channels.
    #[serde(rename = "TLP:GREEN")]
    Green,
    /// The recipient's organisation and its clients, as far as they need to know.
    #[serde(rename = "TLP:AMBER")]
    Amber,
    /// The recipient's organisation.
    #[serde(rename = "TLP:AMBER+STRICT")]
    AmberStrict,
    /// The persons addressed.
    #[serde(rename = "TLP:RED")]
    Red,
}

impl Tlp {
    /// The mark as the standard writes it: capitals, no space.
    pub fn label(self) -> &'static str {
        match self {
            Self::Clear => "TLP:CLEAR",
            Self::Green => "TLP:GREEN",
            Self::Amber => "TLP:AMBER",
            Self::AmberStrict => "TLP:AMBER+STRICT",
            Self::Red => "TLP:RED",
        }
    }
}

impl std::fmt::Display for Tlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a text is no mark.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlpError {
    /// It is one of TLP 1, whose `WHITE` had other rules.
    #[error("TLP:WHITE belongs to TLP 1; version 2.0 says TLP:CLEAR")]
    White,
    /// It is none.
    #[error("`{0}` is no mark: TLP:CLEAR, GREEN, AMBER, AMBER+STRICT or RED")]
    Unknown(String),
}

impl std::str::FromStr for Tlp {
    type Err = TlpError;

    /// With or without `TLP:`, in any case.
    fn from_str(text: &str) -> Result<Self, TlpError> {
        let upper = text.trim().to_ascii_uppercase();
        match upper.strip_prefix("TLP:").unwrap_or(&upper) {
            "CLEAR" => Ok(Self::Clear),
            "GREEN" => Ok(Self::Green),
            "AMBER" => Ok(Self::Amber),
            "AMBER+STRICT" => Ok(Self::AmberStrict),
            "RED" => Ok(Self::Red),
            "WHITE" => Err(TlpError::White),
            _ => Err(TlpError::Unknown(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Tlp, TlpError};

    #[test]
    fn marks_are_ordered_by_restriction_and_read_back() {
        let all = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red];
        assert!(all.is_sorted());
        for it in all {
            assert_eq!(it.label().to_lowercase().parse(), Ok(it));
            let json = serde_json::to_string(&it).unwrap_or_default();
            assert_eq!(json, format!("\"{it}\""));
        }
        assert_eq!("white".parse::<Tlp>(), Err(TlpError::White));
        assert!(matches!("TLP:PINK".parse::<Tlp>(), Err(TlpError::Unknown(_))));
    }
}
