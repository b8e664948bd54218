//! The 23 invariants in the order of the Trace2Inv artifact (`onchain.md` §2.3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bound;

/// One of the 23. What each measures off chain stands with it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// Whoever enters signed the transaction (accounts with delegated code count as signers).
    OnlyEoa,
    /// One account alone enters here.
    SenderOwner,
    /// Transactions of one account alone enter here.
    OriginOwner,
    /// Few accounts enter here.
    SenderManager,
    /// Transactions of few accounts enter here.
    OriginManager,
    /// Which doors one account goes through one after the other in a block.
    SameSenderBlock,
    /// The same by who signed.
    SameOriginBlock,
    /// Blocks since the door was last used.
    LastUpdate,
    /// Gas limit of the transaction.
    GasStart,
    /// Gas used by the transaction.
    GasUsed,
    /// Which doors are entered while another is open.
    NonReentrant,
    /// A price that the entity is told, 20 % around what it was.
    OracleRange,
    /// How far a price is from the one before, in parts per million.
    OracleDeviation,
    /// `totalSupply()` after the block.
    TotalSupply,
    /// `totalBorrows()` after the block.
    TotalBorrow,
    /// The greatest amount written to a mapping.
    MappingBound,
    /// Native value sent along.
    CallValue,
    /// A word of the arguments, from above.
    DataFlowUpper,
    /// A word of the arguments, from below.
    DataFlowLower,
    /// Received in one transaction.
    TokenIn,
    /// Sent in one transaction.
    TokenOut,
    /// Received in one transaction, in parts per million of what was held before.
    TokenInRatio,
    /// Sent in one transaction, in parts per million of what was held before.
    TokenOutRatio,
}

/// The classes of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Who.
    Access,
    /// When.
    Time,
    /// Gas.
    Gas,
    /// One within the other.
    Reentrancy,
    /// Prices.
    Oracle,
    /// Totals.
    Storage,
    /// Arguments and values.
    Data,
    /// Money.
    Money,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Base units of an asset, or raw words.
    Raw,
    /// Parts per million.
    Ppm,
    /// Blocks.
    Blocks,
    /// Gas.
    Gas,
}

/// The kind of bound that is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Always,
    Most,
    Least,
    Around,
    Owner,
    Managers,
    Pairs,
}

/// Every invariant with its name, class, kind and unit.
const TABLE: [(Invariant, &str, Category, Kind, Unit); 23] = {
    use self::{Category as C, Invariant as I, Kind as K, Unit as U};
    [
        (I::OnlyEoa, "only-eoa", C::Access, K::Always, U::Raw),
        (I::SenderOwner, "sender-owner", C::Access, K::Owner, U::Raw),
        (I::OriginOwner, "origin-owner", C::Access, K::Owner, U::Raw),
        (I::SenderManager, "sender-manager", C::Access, K::Managers, U::Raw),
        (I::OriginManager, "origin-manager", C::Access, K::Managers, U::Raw),
        (I::SameSenderBlock, "same-sender-block", C::Time, K::Pairs, U::Raw),
        (I::SameOriginBlock, "same-origin-block", C::Time, K::Pairs, U::Raw),
        (I::LastUpdate, "last-update", C::Time, K::Least, U::Blocks),
        (I::GasStart, "gas-start", C::Gas, K::Most, U::Gas),
        (I::GasUsed, "gas-used", C::Gas, K::Most, U::Gas),
        (I::NonReentrant, "non-reentrant", C::Reentrancy, K::Pairs, U::Raw),
        (I::OracleRange, "oracle-range", C::Oracle, K::Around, U::Raw),
        (I::OracleDeviation, "oracle-deviation", C::Oracle, K::Most, U::Ppm),
        (I::TotalSupply, "total-supply", C::Storage, K::Most, U::Raw),
        (I::TotalBorrow, "total-borrow", C::Storage, K::Most, U::Raw),
        (I::MappingBound, "mapping-bound", C::Data, K::Most, U::Raw),
        (I::CallValue, "call-value", C::Data, K::Most, U::Raw),
        (I::DataFlowUpper, "data-flow-upper", C::Data, K::Most, U::Raw),
        (I::DataFlowLower, "data-flow-lower", C::Data, K::Least, U::Raw),
        (I::TokenIn, "token-in", C::Money, K::Most, U::Raw),
        (I::TokenOut, "token-out", C::Money, K::Most, U::Raw),
        (I::TokenInRatio, "token-in-ratio", C::Money, K::Most, U::Ppm),
        (I::TokenOutRatio, "token-out-ratio", C::Money, K::Most, U::Ppm),
    ]
};

impl Invariant {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|it| it.0)
    }

    /// Its number in the artifact, from 1.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Its class.
    pub fn category(self) -> Category {
        TABLE[self as usize].2
    }

    /// What its numbers mean.
    pub fn unit(self) -> Unit {
        TABLE[self as usize].4
    }

    pub(crate) fn kind(self) -> Kind {
        TABLE[self as usize].3
    }

    /// Whether a bound is of its kind.
    pub fn takes(self, bound: &Bound) -> bool {
        match (self.kind(), bound) {
            (Kind::Always, Bound::Always)
            | (Kind::Most, Bound::AtMost(_))
            | (Kind::Least, Bound::AtLeast(_))
            | (Kind::Pairs, Bound::Pairs(_)) => true,
            (Kind::Around, Bound::Between(low, high)) => low <= high,
            (Kind::Owner | Kind::Managers, Bound::OneOf(list)) => !list.is_empty(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Invariant, TABLE};

    #[test]
    fn the_table_is_in_the_order_of_the_artifact() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(usize::from(row.0.number()), at + 1);
            let written = serde_json::to_value(row.0).unwrap();
            assert_eq!(written, row.1, "the plan and the report use one name");
        }
        assert_eq!(Invariant::all().count(), 23);
    }
}
