//! Messages over keyed bridges: what one chain sent, another paid, and whether the two agree.
//!
//! The rule `bridge` reads [`Crossing`]s from the logs of each chain; the engine keeps them as notes of
//! the chain they happened on, so that a reorganisation of either side takes its own back, and judges
//! what waits whenever a block of either side comes ([`Route::judge`]).
//!
//! **Architecture invariant:** a payment whose origin chain has not been seen far enough is *unknown*,
//! never unmatched: a lagging or blind origin raises nothing.

pub mod backing;
mod judge;
mod settings;
mod side;

use alloy_primitives::{B256, U256};
use cofferdam_core::{ChainId, Finding, Timestamp, Usd, plan::Plan};
use serde::{Deserialize, Serialize};

use crate::{BuildCx, BuildError};
pub use backing::{Backing, Level, backings};
pub(crate) use settings::Settings;
pub(crate) use side::Side;

/// Name of the detector whose rules are routes.
pub const BRIDGE: &str = "bridge";

/// One direction of a bridge between two chains.
#[derive(Debug)]
pub struct Route {
    /// Unique in the plan: rule and position.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where messages begin.
    pub origin: ChainId,
    /// Where they are paid.
    pub destination: ChainId,
    /// Longest time from origin to payment, in milliseconds: so long an origin is remembered.
    pub delay_max: u64,
    pub(crate) sends: Side,
    pub(crate) pays: Side,
    terms: Terms,
}

/// What a payment must fulfil.
#[derive(Debug)]
struct Terms {
    assets: Vec<settings::Pair>,
    /// In parts per million of the amount sent.
    fee_max: u64,
    /// In milliseconds.
    delay_min: u64,
    /// In milliseconds.
    skew: u64,
    history_from: Option<Timestamp>,
    critical: Usd,
    /// Assets paid at the destination: word, decimals, price.
    prices: Vec<(U256, u8, Usd)>,
}

/// One end of a message, seen on one chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// [`Route::id`].
    pub route: String,
    /// Identity of the message within the route.
    pub key: B256,
    /// Which end.
    pub end: End,
}

/// Which end of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It began here.
    Sent(Sent),
    /// It was paid here.
    Paid(Box<Paid>),
}

/// The beginning of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What moved, if the event says so.
    pub what: Moved,
    /// Block time.
    pub at: Timestamp,
    /// Transaction.
    pub tx: B256,
}

/// The payment of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paid {
    /// What moved, if the event says so.
    pub what: Moved,
    /// Block time.
    pub at: Timestamp,
    /// Position among the logs of the transaction.
    pub log: u32,
    /// The finding it becomes if it is not as it should be: all but severity, loss and texts.
    pub finding: Finding,
}

/// What an event says that moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Token address or identifier as a word.
    pub asset: Option<U256>,
    /// Base units.
    pub amount: Option<U256>,
    /// Recipient as a word.
    pub recipient: Option<U256>,
}

/// How much of the origin chain is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every message that began from here …
    pub since: Option<Timestamp>,
    /// … to here is known.
    pub until: Option<Timestamp>,
}

/// What is to be said of a payment.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "made one at a time")]
pub enum Verdict {
    /// It is as it should be.
    Fine,
    /// Nothing can be said yet.
    Unknown,
    /// It is not as it should be.
    Wrong(Finding),
}

/// Every route of the plan, sorted by id.
///
/// # Errors
/// The first rule whose routes cannot be built.
pub fn routes(plan: &Plan) -> Result<Vec<Route>, BuildError> {
    let mut routes = Vec::new();
    for rule in plan.rules.iter().filter(|it| it.detector == BRIDGE) {
        let chain = plan.chains.first().map_or(ChainId(0), |it| it.id);
        routes.extend(of_rule(&BuildCx { rule, plan, chain })?);
    }
    routes.sort_by(|a: &Route, b| a.id.cmp(&b.id));
    Ok(routes)
}

/// The routes of one rule.
pub(crate) fn of_rule(cx: &BuildCx<'_>) -> Result<Vec<Route>, BuildError> {
    let settings: Settings = cx.settings()?;
    let critical = settings.critical_loss.0;
    let routes = settings.routes.iter().enumerate();
    routes.map(|(at, it)| it.build(cx, at, critical)).collect()
}
