//! What a pause freezes: the same nine questions for every protocol.

use std::fmt;

use serde::Serialize;

/// Whether something still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It works.
    Works,
    /// It is frozen.
    Frozen,
    /// The protocol has no such thing.
    Absent,
    /// It goes on by itself, whether anybody calls it or not.
    GoesOn,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Works => "works",
            Self::Frozen => "frozen",
            Self::Absent => "–",
            Self::GoesOn => "goes on",
        })
    }
}

/// What one way of pausing freezes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Semantics {
    /// Its name.
    pub action: &'static str,
    /// The function that does it.
    pub call: &'static str,
    /// Opening and trading.
    pub trade: Effect,
    /// Shrinking a position, repaying.
    pub reduce: Effect,
    /// Adding collateral or supplying.
    pub deposit: Effect,
    /// Taking collateral or supply out.
    pub withdraw: Effect,
    /// Liquidation.
    pub liquidate: Effect,
    /// Settlement or redemption at expiry.
    pub settle: Effect,
    /// Interest or funding.
    pub funding: Effect,
    /// Prices.
    pub oracle: Effect,
    /// Automatic deleveraging.
    pub adl: Effect,
}

impl Semantics {
    /// Nine effects with their names, in the order of a table.
    #[must_use]
    pub fn effects(&self) -> [(&'static str, Effect); 9] {
        [
            ("trade", self.trade),
            ("reduce", self.reduce),
            ("deposit", self.deposit),
            ("withdraw", self.withdraw),
            ("liquidate", self.liquidate),
            ("settle", self.settle),
            ("funding", self.funding),
            ("oracle", self.oracle),
            ("adl", self.adl),
        ]
    }

    /// Whether the pause lets losses grow: prices or interest move while liquidation is frozen.
    #[must_use]
    pub fn losses_grow(&self) -> bool {
        let frozen = self.liquidate == Effect::Frozen || self.adl == Effect::Frozen;
        frozen && (self.funding == Effect::GoesOn || self.oracle == Effect::GoesOn)
    }
}
