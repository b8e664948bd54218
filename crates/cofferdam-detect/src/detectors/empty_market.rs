//! S15: a market with almost no shares was inflated, or its shares were borrowed against. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Class, Fact, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{BasisPoints, DurationText},
    record::Memo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    flows,
    index::sole,
    loss,
    ratio::rise,
    reads,
    report::{About, Voice, group},
    suspicion::initiators,
    watch::{Ward, Wards},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "empty-market",
        signal: "S15",
        summary: "a market with almost no shares was inflated, or its shares were borrowed against",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("empty_market.md"),
    },
    build: |cx| Ok(Box::new(EmptyMarket::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `empty-market`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Fewer shares than this, in base units, make a market easy to inflate.
    #[schemars(with = "String")]
    tiny_supply: U256,
    /// A rise of the exchange rate within a block above this is an inflation: `"900 %"` is tenfold.
    jump: BasisPoints,
    /// How long after an inflation a loan of the entity is taken for its second half.
    memory: DurationText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tiny_supply: U256::from(10_000u64),
            jump: BasisPoints(9_000_000),
            memory: DurationText(86_400_000),
        }
    }
}

#[derive(Debug)]
struct EmptyMarket {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    /// By entity: when one of its markets was last inflated.
    inflated: BTreeMap<String, Inflation>,
}

/// An inflated market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inflation {
    market: Address,
    /// Milliseconds.
    at: u64,
    /// Who touched the market in that block.
    by: Vec<Address>,
}

/// The most accounts remembered for an inflation: those who share a block with one are few.
const ACTORS_MAX: usize = 64;

impl EmptyMarket {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self {
            voice: Voice::new("empty-market", cx),
            settings: cx.settings()?,
            wards: Wards::new(cx),
            inflated: BTreeMap::new(),
        })
    }

    fn actors(&self, tx: &Tx) -> Vec<Address> {
        initiators(tx, |it| self.voice.is_ours(it))
    }

    /// A market whose rate jumped, or that came to have almost no shares.
    fn look(&self, cx: &Context<'_>, ward: &Ward, market: Address) -> Option<Finding> {
        let pair = |selector| reads::pair(cx, &reads::view(market, selector)).both();
        let tx = sole(&cx.observation.txs, market);
        let about = About { tx, entity: &ward.id, subject: market };
        let (rate0, rate1) = pair(reads::EXCHANGE_RATE_STORED)?;
        let (supply0, supply1) = pair(reads::TOTAL_SUPPLY)?;
        let supply = || {
            vec![
                Evidence::new("rate before", rate0),
                Evidence::new("rate after", rate1),
                Evidence::new("shares before", supply0),
                Evidence::new("shares after", supply1),
            ]
        };
        if !rate0.is_zero() && rise(rate0, rate1) > self.settings.jump.0 {
            return Some(Finding {
                summary: format!("the exchange rate rose {}-fold in a block", rate1 / rate0),
                evidence: supply(),
                ..self.voice.finding(cx, about, Severity::Critical, Class::Damage, group::PRICE)
            });
        }
        let tiny = |it: U256| !it.is_zero() && it < self.settings.tiny_supply;
        if !tiny(supply1) || tiny(supply0) {
            return None;
        }
        Some(Finding {
            summary: format!("only {supply1} base units of shares exist"),
            evidence: supply(),
            ..self.voice.finding(cx, about, Severity::Medium, Class::Suspicion, group::SUSPICION)
        })
    }

    /// A loan of the entity by those who inflated one of its markets.
    fn borrowed(&self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for fact in &tx.facts {
            let Fact::MarketBorrow { market, borrower, amount, .. } = fact else { continue };
            let Some(ward) = self.wards.of(*market) else { continue };
            let Some(inflation) = self.inflated.get(&ward.id) else { continue };
            let now = cx.observation.block.time.0;
            let recent = now.saturating_sub(inflation.at) <= self.settings.memory.0;
            let actors = self.actors(tx);
            let same = actors.iter().chain([borrower]).any(|it| inflation.by.contains(it));
            let told = out.iter().any(|it| self.voice.spoke(it) && it.tx == Some(tx.hash));
            if !recent || !same || told {
                continue;
            }
            let about = About { tx: Some(tx), entity: &ward.id, subject: *market };
            out.push(Finding {
                loss: self.lost(ward, tx),
                summary: "borrowed by those who inflated a market of the same entity".into(),
                evidence: vec![
                    Evidence::new("inflated market", inflation.market),
                    Evidence::new("borrower", borrower),
                    Evidence::new("borrowed, base units", amount),
                ],
                ..self.voice.finding(cx, about, Severity::Critical, Class::Damage, group::VALUE)
            });
        }
    }

    /// What the entity paid out net in `tx`, at plan prices.
    fn lost(&self, ward: &Ward, tx: &Tx) -> Usd {
        let flows = flows::flows(&self.wards, tx);
        let position = ward.accounts.first().and_then(|it| self.wards.position(*it));
        match position.is_some_and(|it| flows.contains_key(&it)) {
            true => Usd(loss::gain(ward, tx, &ward.accounts).0.min(0).saturating_neg()),
            false => Usd::ZERO,
        }
    }
}

impl Detector for EmptyMarket {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        let ask = |market| {
            [reads::EXCHANGE_RATE_STORED, reads::TOTAL_SUPPLY]
                .map(|it| reads::when_touched(reads::view(market, it), market))
        };
        self.wards.accounts().flat_map(|(_, market)| ask(market)).collect()
    }

    fn on_tx(&mut self, _: &Context<'_>, _: &Tx, _: &mut Vec<Finding>) {}

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let mut jumps = Vec::new();
        for (ward, market) in self.wards.accounts() {
            let Some(finding) = self.look(cx, ward, market) else { continue };
            if finding.severity == Severity::Critical {
                jumps.push((ward.id.clone(), market));
            }
            out.push(finding);
        }
        let (now, memory) = (cx.observation.block.time.0, self.settings.memory.0);
        if !jumps.is_empty() {
            self.inflated.retain(|_, it| now.saturating_sub(it.at) <= memory);
        }
        for (entity, market) in jumps {
            let txs = cx.observation.txs.iter();
            let near = txs.filter(|it| crate::index::touches(it, market));
            let mut by: Vec<Address> = near.flat_map(|it| self.actors(it)).collect();
            by.sort_unstable();
            by.dedup();
            by.truncate(ACTORS_MAX);
            self.inflated.insert(entity, Inflation { market, at: now, by });
        }
        if !self.inflated.is_empty() {
            for tx in &cx.observation.txs {
                self.borrowed(cx, tx, out);
            }
        }
    }

    fn memo(&self) -> Option<Memo> {
        if self.inflated.is_empty() { None } else { serde_json::to_value(&self.inflated).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.inflated.clear();
        if let Some(memo) = memo {
            self.inflated = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn an_inflation_is_critical_and_so_is_the_loan_that_follows_blocks_later() {
        check(
            "empty-market",
            "",
            "
            block 1
              read view 0xaa 0x182df0f5 200e24 -> 200e24
              read view 0xaa 0x18160ddd 0 -> 2
              tx 0xee -> 0xec
                market-mint 0xaa 0xec 1 2
            block 2
              read view 0xaa 0x182df0f5 200e24 -> 200e40
              read view 0xaa 0x18160ddd 2 -> 2
              tx 0xee -> 0xec
                transfer 0x70 2700000e18 from 0xec to 0xaa
            block 3 time 7000
              tx 0xed -> 0xab
                market-borrow 0xab 0xed 5
              tx 0xee -> 0xec
                market-borrow 0xab 0xec 1000000e18
                transfer 0x70 1000000e18 from 0xab to 0xec
            block 4 time 99999999
              tx 0xee -> 0xec
                market-borrow 0xab 0xec 5
            ",
            expect![[r#"
                1 medium empty-market 0xaa $0.00: only 2 base units of shares exist
                2 critical empty-market 0xaa $0.00: the exchange rate rose 10000000000000000-fold in a block
                3 critical empty-market 0xab $1,000,000: borrowed by those who inflated a market of the same entity
            "#]],
        );
    }

    #[test]
    fn interest_redemptions_and_loans_without_an_inflation_are_silent() {
        check(
            "empty-market",
            "",
            "
            block 1
              read view 0xaa 0x182df0f5 200e24 -> 201e24
              read view 0xaa 0x18160ddd 90000 -> 80000
              tx 0xee -> 0xec
                market-borrow 0xab 0xec 5
            block 2
              read view 0xaa 0x182df0f5 200e24 -> 200e24
              read view 0xaa 0x18160ddd 80000 -> 0
              tx 0xee -> 0xec
                market-redeem 0xaa 0xec 5 80000
            ",
            expect![[""]],
        );
    }
}
