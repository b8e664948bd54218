//! Routes as a plan writes them.

use std::collections::BTreeMap;

use alloy_primitives::{U256, hex};
use cofferdam_core::{
    AccountId, Timestamp, Usd,
    plan::{AssetId, BasisPoints, DurationText, UsdText},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Route, Side, Terms, backing::BackingSettings};
use crate::{BuildCx, BuildError};

/// Settings of `bridge`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// The directions in which messages go.
    #[serde(default)]
    pub(crate) routes: Vec<RouteSettings>,
    /// What is issued on one chain against what is locked on another: the sums, whatever single messages say.
    #[serde(default)]
    pub(crate) backing: Vec<BackingSettings>,
    /// From this value on, a payment without its origin is critical.
    #[serde(default = "default_critical")]
    pub(crate) critical_loss: UsdText,
}

/// One direction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RouteSettings {
    /// For people, e.g. `moonbeam to ethereum`.
    name: String,
    /// The event by which a message begins.
    origin: SideSettings,
    /// The event by which it is paid.
    destination: SideSettings,
    /// Which asset of the origin is which of the destination; empty: they have the same word.
    #[serde(default)]
    assets: Vec<PairSettings>,
    /// The most that may be kept of an amount.
    #[serde(default)]
    fee_max: BasisPoints,
    /// Least time from origin to payment: challenge period, finality.
    #[serde(default)]
    delay_min: DurationText,
    /// Longest time from origin to payment.
    delay_max: DurationText,
    /// By how much the clocks of the chains may differ.
    #[serde(default = "default_skew")]
    skew: DurationText,
    /// No message is older than this, in seconds since the Unix epoch. Left out, a payment is judged when
    /// the origin has been watched for `delay-max`.
    #[serde(default)]
    history_from: Option<u64>,
}

/// One end of a direction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SideSettings {
    /// The contract that emits the event.
    pub(crate) account: AccountId,
    /// The event, e.g. `event Sent(uint64 indexed nonce, address token, uint256 amount)`.
    pub(crate) event: String,
    /// An event of the same message in the same transaction, for parameters that the first lacks: the
    /// first of one kind belongs to the first of the other, and so on.
    #[serde(default)]
    pub(crate) with: Option<CompanionSettings>,
    /// Parameters that make the message unique; `nonce >> 32` and `nonce & 0xffffffff` take parts.
    pub(crate) key: Vec<String>,
    /// The parameter that names the asset, or the asset itself in hex.
    #[serde(default)]
    pub(crate) asset: Option<String>,
    /// The parameter that holds the amount.
    #[serde(default)]
    pub(crate) amount: Option<String>,
    /// The parameter that names the recipient.
    #[serde(default)]
    pub(crate) recipient: Option<String>,
    /// Values that parameters must have, e.g. the number of the other chain.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) only: BTreeMap<String, U256>,
}

/// The other event of a message.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CompanionSettings {
    /// The contract that emits it.
    pub(crate) account: AccountId,
    /// The event.
    pub(crate) event: String,
}

/// An asset on both sides.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PairSettings {
    /// At the origin, in hex.
    origin: String,
    /// At the destination, in hex.
    destination: String,
    /// Decimals at the origin.
    #[serde(default)]
    origin_decimals: u8,
    /// Decimals at the destination.
    #[serde(default)]
    destination_decimals: u8,
}

/// As [`PairSettings`], read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) origin: U256,
    pub(super) destination: U256,
    /// Decimals of the destination less those of the origin.
    pub(super) shift: i16,
}

impl RouteSettings {
    /// Builds the route at position `at` of the rule.
    pub(super) fn build(
        &self,
        cx: &BuildCx<'_>,
        at: usize,
        critical: Usd,
    ) -> Result<Route, BuildError> {
        let fail = |what: String, hint: &str| BuildError::Unusable {
            rule: cx.rule.id.clone(),
            what: format!("route `{}`: {what}", self.name),
            hint: hint.to_owned(),
        };
        let (from, to) = (self.origin.account.chain, self.destination.account.chain);
        for chain in [from, to] {
            if !cx.plan.chains.iter().any(|it| it.id == chain) {
                let hint = "add the chain to [[chains]]: both sides must be watched";
                return Err(fail(format!("{chain} is not watched"), hint));
            }
        }
        if self.delay_max.0 == 0 {
            return Err(fail("`delay-max` is nothing".into(), "e.g. delay-max = \"2d\""));
        }
        let side = |it: &SideSettings| {
            Side::build(it).map_err(|it| fail(it, "a side names parameters of its events"))
        };
        let (sends, pays) = (side(&self.origin)?, side(&self.destination)?);
        if self.origin.key.len() != self.destination.key.len() {
            let hint = "the keys of both sides have the same parts in the same order";
            return Err(fail("the keys differ in length".into(), hint));
        }
        let pairs = self.assets.iter().map(PairSettings::read).collect::<Option<Vec<Pair>>>();
        let assets = pairs.ok_or_else(|| {
            fail("an asset is not in hex".into(), "write 0x and 40 or 64 hex digits")
        })?;
        let terms = Terms {
            assets,
            fee_max: self.fee_max.0,
            delay_min: self.delay_min.0,
            skew: self.skew.0,
            history_from: self.history_from.map(Timestamp::from_secs),
            critical,
            prices: prices(cx, to),
        };
        Ok(Route {
            id: format!("{}/{at}", cx.rule.id),
            name: self.name.clone(),
            origin: from,
            destination: to,
            delay_max: self.delay_max.0,
            sends,
            pays,
            terms,
        })
    }
}

impl PairSettings {
    fn read(&self) -> Option<Pair> {
        let shift = i16::from(self.destination_decimals) - i16::from(self.origin_decimals);
        Some(Pair { origin: word(&self.origin)?, destination: word(&self.destination)?, shift })
    }
}

/// A word of 20 or 32 bytes in hex.
pub(super) fn word(text: &str) -> Option<U256> {
    let bytes = hex::decode(text.strip_prefix("0x")?).ok()?;
    matches!(bytes.len(), 20 | 32).then(|| U256::from_be_slice(&bytes))
}

/// The listed assets of the rule's entities on the destination chain; native value is the word 0.
fn prices(cx: &BuildCx<'_>, chain: cofferdam_core::ChainId) -> Vec<(U256, u8, Usd)> {
    let listed = cx.plan.watched(cx.rule, chain).flat_map(|it| &it.assets);
    let price = |it: &cofferdam_core::plan::Asset| {
        let word = match it.token {
            AssetId::Native => U256::ZERO,
            AssetId::Token(token) => crate::reads::word(token),
        };
        (word, it.decimals, it.price.0)
    };
    listed.map(price).collect()
}

fn default_critical() -> UsdText {
    UsdText(Usd::whole(50_000))
}

fn default_skew() -> DurationText {
    DurationText(60_000)
}
