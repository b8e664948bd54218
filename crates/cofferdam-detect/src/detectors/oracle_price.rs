//! S04: the price that an entity uses left its references, jumped alone, or is stale. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::{Bytes, U256};
use cofferdam_core::{
    AccountId, ChainId, Class, Finding, Severity,
    finding::Evidence,
    plan::{BasisPoints, DurationText},
    read::{Answer, StateRead},
    record::Memo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    index::sole,
    ratio::{mul_div, percent, ppm},
    report::{About, Voice, group},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "oracle-price",
        signal: "S04",
        summary: "the price that an entity uses left its references, jumped alone, or is stale",
        needs: &[Need::Reads],
        docs: include_str!("oracle_price.md"),
    },
    build: |cx| Ok(Box::new(OraclePrice::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `oracle-price`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// The prices that are watched.
    feeds: Vec<Feed>,
}

/// One price and what it is held against.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Feed {
    /// For people, e.g. `ETH/USD`.
    name: String,
    /// The price that the entity uses.
    used: View,
    /// Other prices of the same: feeds, time-weighted averages. The middle one counts.
    #[serde(default)]
    references: Vec<View>,
    /// How far the two may be apart: twice the deviation at which the feed is updated.
    #[serde(default = "default_deviation")]
    deviation: BasisPoints,
    /// From here on it is critical.
    #[serde(default = "default_critical")]
    critical: BasisPoints,
    /// How far the price may move in one block, less what its references moved.
    #[serde(default = "default_jump")]
    jump: BasisPoints,
    /// Where the time of the last update stands, in seconds.
    #[serde(default)]
    updated: Option<View>,
    /// How often it is updated at least.
    #[serde(default)]
    heartbeat: Option<DurationText>,
}

/// A view call and the word of its answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct View {
    /// The contract.
    account: AccountId,
    /// Calldata, e.g. `0xfeaf968c` for `latestRoundData()`.
    #[schemars(with = "String")]
    data: Bytes,
    /// Which word of the answer.
    #[serde(default)]
    word: usize,
    /// Decimals of the price.
    #[serde(default)]
    decimals: u8,
}

/// Prices are compared with so many decimals.
const DECIMALS: u8 = 36;

/// What can be wrong with a price, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    Stale,
    Jumped,
    Apart,
    FarApart,
}

#[derive(Debug)]
struct OraclePrice {
    voice: Voice,
    wards: Wards,
    feeds: Vec<Feed>,
    /// What was told of each feed and is not over.
    told: BTreeMap<String, Fault>,
}

fn default_deviation() -> BasisPoints {
    BasisPoints(20_000)
}

fn default_critical() -> BasisPoints {
    BasisPoints(100_000)
}

fn default_jump() -> BasisPoints {
    BasisPoints(10_000)
}

impl OraclePrice {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let Settings { mut feeds } = cx.settings()?;
        let elsewhere = |it: &View, chain: ChainId| it.account.chain != chain;
        feeds.retain(|it| !elsewhere(&it.used, cx.chain));
        for feed in &feeds {
            let views = feed.references.iter().chain(&feed.updated);
            if views.chain([&feed.used]).any(|it| it.decimals > DECIMALS || elsewhere(it, cx.chain))
            {
                return Err(BuildError::Unusable {
                    rule: cx.rule.id.clone(),
                    what: format!("`{}` has too many decimals or is on two chains", feed.name),
                    hint: format!("at most {DECIMALS} decimals, all views on one chain"),
                });
            }
        }
        let told = BTreeMap::new();
        Ok(Self { voice: Voice::new("oracle-price", cx), wards: Wards::new(cx), feeds, told })
    }

    /// What is wrong with the price, with its parts: summary and evidence.
    fn judge(&self, cx: &Context<'_>, feed: &Feed) -> Option<(Fault, String, Vec<Evidence>)> {
        let now = |it: &View| it.price(cx, true);
        let used = now(&feed.used)?;
        let reference = median(feed.references.iter().filter_map(now).collect());
        let mut evidence = vec![Evidence::new("price used", shown(used))];
        if let Some(reference) = reference {
            evidence.push(Evidence::new("middle of the references", shown(reference)));
            let apart = ppm(used.abs_diff(reference), reference).unwrap_or(u64::MAX);
            if apart > feed.deviation.0 {
                let far = apart > feed.critical.0;
                let fault = if far { Fault::FarApart } else { Fault::Apart };
                let text = format!("{}: {} apart from its references", feed.name, percent(apart));
                return Some((fault, text, evidence));
            }
        }
        if let Some((moved, before)) = self.jump(cx, feed, used) {
            evidence.push(Evidence::new("price before", shown(before)));
            let text = format!("{}: moved {} in one block by itself", feed.name, percent(moved));
            return Some((Fault::Jumped, text, evidence));
        }
        let age = self.age(cx, feed)?;
        let text = format!("{}: not updated for {age} s", feed.name);
        Some((Fault::Stale, text, evidence))
    }

    /// How far the price moved beyond its references, if that is too far, and where it was.
    fn jump(&self, cx: &Context<'_>, feed: &Feed, used: U256) -> Option<(u64, U256)> {
        let was = feed.used.price(cx, false)?;
        let moved = |before: U256, after: U256| ppm(before.abs_diff(after), before);
        let followed = feed
            .references
            .iter()
            .filter_map(|it| moved(it.price(cx, false)?, it.price(cx, true)?));
        let alone = moved(was, used)?.saturating_sub(followed.max().unwrap_or(0));
        (alone > feed.jump.0).then_some((alone, was))
    }

    /// Seconds since the last update, if they are too many.
    fn age(&self, cx: &Context<'_>, feed: &Feed) -> Option<u64> {
        let (updated, heartbeat) = (feed.updated.as_ref()?, feed.heartbeat?);
        let at = u64::try_from(updated.word(cx, true)?).ok()?;
        let age = (cx.observation.block.time.0 / 1_000).saturating_sub(at);
        // A fifth more than agreed: the update itself may wait for a block.
        (age.saturating_mul(1_000) > heartbeat.0.saturating_mul(6) / 5).then_some(age)
    }
}

impl View {
    fn read(&self) -> StateRead {
        StateRead::Call { to: self.account.address, data: self.data.clone() }
    }

    fn word(&self, cx: &Context<'_>, after: bool) -> Option<U256> {
        let reading = cx.observation.readings.get(&self.read())?;
        let answer: &Answer = if after { &reading.after } else { &reading.before };
        answer.word(self.word)
    }

    /// With [`DECIMALS`]; nothing if it is not positive: feeds answer with signed numbers.
    fn price(&self, cx: &Context<'_>, after: bool) -> Option<U256> {
        let word = self.word(cx, after).filter(|it| !it.is_zero() && !it.bit(255))?;
        let scale = U256::from(10).pow(U256::from(DECIMALS - self.decimals));
        mul_div(word, scale, U256::ONE)
    }
}

fn median(mut prices: Vec<U256>) -> Option<U256> {
    prices.sort_unstable();
    // Of an even number the lower middle one: a price that somebody gave, not one between two.
    prices.get(prices.len().checked_sub(1)? / 2).copied()
}

/// With six places.
fn shown(price: U256) -> String {
    let unit = U256::from(10).pow(U256::from(DECIMALS));
    let places = (price % unit) / U256::from(10).pow(U256::from(DECIMALS - 6));
    format!("{}.{:06}", price / unit, places.saturating_to::<u64>())
}

impl Detector for OraclePrice {
    fn interests(&self) -> Vec<Interest> {
        vec![Interest::EveryBlock]
    }

    fn questions(&self) -> Vec<Question> {
        let views = self
            .feeds
            .iter()
            .flat_map(|it| it.references.iter().chain([&it.used]).chain(&it.updated));
        views.map(|it| Question { read: it.read(), touched: Vec::new() }).collect()
    }

    fn on_tx(&mut self, _: &Context<'_>, _: &cofferdam_core::Tx, _: &mut Vec<Finding>) {}

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for feed in &self.feeds {
            let Some((fault, summary, evidence)) = self.judge(cx, feed) else {
                // An unknown price is told as blindness and is no all-clear.
                if feed.used.price(cx, true).is_some() {
                    self.told.remove(&feed.name);
                }
                continue;
            };
            if self.told.get(&feed.name).is_some_and(|it| *it >= fault) {
                continue;
            }
            self.told.insert(feed.name.clone(), fault);
            let (severity, class) = match fault {
                Fault::Stale => (Severity::Medium, Class::Suspicion),
                Fault::Jumped | Fault::Apart => (Severity::High, Class::Suspicion),
                Fault::FarApart => (Severity::Critical, Class::Suspicion),
            };
            let subject = feed.used.account.address;
            let tx = sole(&cx.observation.txs, subject);
            let ward = self.wards.of(subject).or_else(|| self.wards.iter().next());
            let about = About { tx, entity: ward.map_or("", |it| it.id.as_str()), subject };
            let finding = self.voice.finding(cx, about, severity, class, group::PRICE);
            out.push(Finding { summary, evidence, ..finding });
        }
    }

    fn memo(&self) -> Option<Memo> {
        if self.told.is_empty() { None } else { serde_json::to_value(&self.told).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.told.clear();
        if let Some(memo) = memo {
            self.told = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    const FEED: &str = r#"
        [[rules.settings.feeds]]
        name = "ETH/USD"
        used = { account = "eip155:1:0x00000000000000000000000000000000000000f1", data = "0x50d25bcd", decimals = 8 }
        references = [
            { account = "eip155:1:0x00000000000000000000000000000000000000f2", data = "0x50d25bcd", decimals = 18 },
            { account = "eip155:1:0x00000000000000000000000000000000000000f3", data = "0x50d25bcd", decimals = 8 },
            { account = "eip155:1:0x00000000000000000000000000000000000000f4", data = "0x50d25bcd", decimals = 8 },
        ]
        updated = { account = "eip155:1:0x00000000000000000000000000000000000000f1", data = "0xfeaf968c", word = 3 }
        heartbeat = "1h"
    "#;

    fn prices(block: u64, used: [&str; 2], reference: [&str; 2], updated: u64) -> String {
        let [[a, b], [c, d]] = [used, reference];
        let fine = |it: &str| it.replace("e8", "e18");
        format!(
            "
            block {block}
              read view 0xf1 0x50d25bcd {a} -> {b}
              read view 0xf2 0x50d25bcd {} -> {}
              read view 0xf3 0x50d25bcd {c} -> {d}
              read view 0xf4 0x50d25bcd 1e8 -> !
              read view 0xf1 0xfeaf968c 0,0,0,{updated} -> 0,0,0,{updated}
            ",
            fine(c),
            fine(d),
        )
    }

    #[test]
    fn a_price_that_leaves_its_references_is_told_once_and_again_when_it_is_worse() {
        let text = [
            prices(1, ["2000e8", "2100e8"], ["2000e8", "2000e8"], 0),
            prices(2, ["2100e8", "2100e8"], ["2000e8", "2000e8"], 0),
            prices(3, ["2100e8", "3000e8"], ["2000e8", "2000e8"], 0),
            prices(4, ["3000e8", "2000e8"], ["2000e8", "2000e8"], 0),
        ];
        check(
            "oracle-price",
            FEED,
            &text.concat(),
            expect![[r#"
                1 high oracle-price 0xf1 $0.00: ETH/USD: 5.00 % apart from its references
                3 critical oracle-price 0xf1 $0.00: ETH/USD: 50.00 % apart from its references
            "#]],
        );
    }

    #[test]
    fn stale_prices_are_told_once() {
        let text = [
            prices(1_000, ["2000e8", "2000e8"], ["2000e8", "2000e8"], 7_000),
            prices(1_001, ["2000e8", "2000e8"], ["2000e8", "2000e8"], 7_000),
        ];
        check(
            "oracle-price",
            FEED,
            &text.concat(),
            expect![[r#"
                1000 medium oracle-price 0xf1 $0.00: ETH/USD: not updated for 5000 s
            "#]],
        );
    }

    #[test]
    fn small_differences_crashes_that_all_see_and_unknown_prices_are_silent() {
        let text = [
            prices(1, ["2000e8", "2030e8"], ["2000e8", "2020e8"], 0),
            prices(2, ["2030e8", "1500e8"], ["2030e8", "1505e8"], 0),
        ];
        check("oracle-price", FEED, &text.concat(), expect![[""]]);
        check("oracle-price", FEED, "block 1\n tx 0xee -> 0xec", expect![[""]]);
    }
}
