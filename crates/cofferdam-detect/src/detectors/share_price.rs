//! S02: what a share of a vault is worth fell, or jumped, within a block. The page beside this file says how and with which limits.

use alloy_primitives::{Address, U256, hex};
use cofferdam_core::{Class, Finding, Severity, Tx, Usd, finding::Evidence, plan::BasisPoints};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    index::{sole, touches},
    ratio::{fall, mul_div, percent, rise},
    reads,
    report::{About, Voice, group},
    watch::{Ward, Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "share-price",
        signal: "S02",
        summary: "what a share of a vault is worth fell, or jumped, within a block",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("share_price.md"),
    },
    build: |cx| Ok(Box::new(SharePrice::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `share-price`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// How the price is read.
    method: Method,
    /// Decimals of the shares, for `convertToAssets`.
    share_decimals: u8,
    /// A larger fall within a block is high.
    fall: BasisPoints,
    /// A larger fall within a block is critical.
    critical_fall: BasisPoints,
    /// A larger rise within a block is high.
    rise: BasisPoints,
    /// A larger rise within a block is critical.
    critical_rise: BasisPoints,
    /// Fewer shares than this in existence are easily inflated: a medium finding when it comes to that.
    #[schemars(with = "String")]
    tiny_supply: U256,
    /// Function selectors (hex) that report a loss on purpose; falls are expected with them.
    loss_selectors: Vec<String>,
}

/// How the price of a share is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Method {
    /// The first of the others that the contract answers.
    #[default]
    Auto,
    /// ERC-4626 `convertToAssets(10^share-decimals)`.
    ConvertToAssets,
    /// Compound-like `exchangeRateStored()`.
    ExchangeRate,
    /// `totalAssets()` / `totalSupply()`, scaled by 10¹⁸.
    TotalAssets,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::Auto,
            share_decimals: 18,
            fall: BasisPoints(100),
            critical_fall: BasisPoints(50_000),
            rise: BasisPoints(5_000),
            critical_rise: BasisPoints(1_000_000),
            tiny_supply: U256::from(1_000u64),
            loss_selectors: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct SharePrice {
    voice: Voice,
    settings: Settings,
    loss_selectors: Vec<[u8; 4]>,
    wards: Wards,
}

impl SharePrice {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let mut loss_selectors = Vec::new();
        for text in &settings.loss_selectors {
            let selector = hex::decode(text).ok().and_then(|it| <[u8; 4]>::try_from(it).ok());
            loss_selectors.push(selector.ok_or_else(|| BuildError::Unusable {
                rule: cx.rule.id.clone(),
                what: format!("`{text}` is no function selector"),
                hint: "write four bytes in hex, e.g. \"0x8456cb59\"".into(),
            })?);
        }
        let wards = Wards::new(cx);
        Ok(Self { voice: Voice::new("share-price", cx), settings, loss_selectors, wards })
    }

    fn is_read(&self, method: Method) -> bool {
        self.settings.method == method || self.settings.method == Method::Auto
    }

    fn convert(&self, vault: Address) -> cofferdam_core::read::StateRead {
        let one = U256::from(10u8).saturating_pow(U256::from(self.settings.share_decimals));
        reads::view_of(vault, reads::CONVERT_TO_ASSETS, one)
    }

    /// The price before and after, by the first method that answers both times.
    fn price(&self, cx: &Context<'_>, vault: Address) -> Option<(U256, U256)> {
        let pair = |read| reads::pair(cx, &read).both();
        let converted = self.is_read(Method::ConvertToAssets).then(|| pair(self.convert(vault)));
        let rate = self
            .is_read(Method::ExchangeRate)
            .then(|| pair(reads::view(vault, reads::EXCHANGE_RATE_STORED)));
        let ratio = || {
            let (assets0, assets1) = pair(reads::view(vault, reads::TOTAL_ASSETS))?;
            let (supply0, supply1) = pair(reads::view(vault, reads::TOTAL_SUPPLY))?;
            let scale = U256::from(10u8).pow(U256::from(18u8));
            Some((mul_div(assets0, scale, supply0)?, mul_div(assets1, scale, supply1)?))
        };
        let ratio = self.is_read(Method::TotalAssets).then(ratio);
        converted.flatten().or(rate.flatten()).or(ratio.flatten())
    }

    /// Severity, class and summary, if the price moved too far.
    fn judge(&self, before: U256, after: U256) -> Option<(Severity, Class, String)> {
        let settings = &self.settings;
        // One unit is rounding, whatever share of the price it is.
        if before.abs_diff(after) <= U256::from(1) || before.is_zero() {
            return None;
        }
        let (fell, rose) = (fall(before, after), rise(before, after));
        if fell > settings.fall.0 {
            let critical = fell > settings.critical_fall.0;
            let severity = if critical { Severity::Critical } else { Severity::High };
            let text = format!("a share lost {} of its worth in a block", percent(fell));
            return Some((severity, Class::Damage, text));
        }
        if rose > settings.rise.0 {
            let text = format!("a share gained {} of its worth in a block", percent(rose));
            return Some(match rose > settings.critical_rise.0 {
                true => (Severity::Critical, Class::Damage, text),
                false => (Severity::High, Class::Suspicion, text),
            });
        }
        None
    }

    fn loss_reported(&self, txs: &[Tx], vault: Address) -> bool {
        let listed = |it: Option<[u8; 4]>| it.is_some_and(|it| self.loss_selectors.contains(&it));
        let reports = |tx: &Tx| listed(tx.selector()) || tx.calls().any(|it| listed(it.selector()));
        txs.iter().any(|it| touches(it, vault) && reports(it))
    }

    /// What all shares together lost, if the vault's only asset tells the unit.
    fn loss(&self, cx: &Context<'_>, ward: &Ward, vault: Address, fell: u64) -> Usd {
        let total = reads::pair(cx, &reads::view(vault, reads::TOTAL_ASSETS)).before;
        match (ward.assets.as_slice(), total) {
            ([asset], Some(total)) => value(asset, BasisPoints(fell).of(total)),
            _ => Usd::ZERO,
        }
    }

    fn look(&self, cx: &Context<'_>, ward: &Ward, vault: Address) -> Option<Finding> {
        let txs = &cx.observation.txs;
        let about = About { tx: sole(txs, vault), entity: &ward.id, subject: vault };
        if let Some((before, after)) = self.price(cx, vault)
            && let Some((severity, class, summary)) = self.judge(before, after)
            && !(after < before && self.loss_reported(txs, vault))
        {
            let group = if class == Class::Suspicion { group::SUSPICION } else { group::PRICE };
            return Some(Finding {
                loss: self.loss(cx, ward, vault, fall(before, after)),
                summary,
                evidence: vec![
                    Evidence::new("price before", before),
                    Evidence::new("price after", after),
                ],
                ..self.voice.finding(cx, about, severity, class, group)
            });
        }
        let supply = reads::pair(cx, &reads::view(vault, reads::TOTAL_SUPPLY));
        let (before, after) = supply.both()?;
        let tiny = |it: U256| !it.is_zero() && it < self.settings.tiny_supply;
        if !tiny(after) || tiny(before) || self.price(cx, vault).is_none() {
            return None;
        }
        Some(Finding {
            summary: format!("only {after} base units of shares exist"),
            evidence: vec![Evidence::new("shares before", before)],
            ..self.voice.finding(cx, about, Severity::Medium, Class::Suspicion, group::SUSPICION)
        })
    }
}

impl Detector for SharePrice {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        self.wards.questions(|vault| {
            let convert = self.is_read(Method::ConvertToAssets).then(|| self.convert(vault));
            let rate = self.is_read(Method::ExchangeRate).then_some(reads::EXCHANGE_RATE_STORED);
            let views = [reads::TOTAL_ASSETS, reads::TOTAL_SUPPLY].into_iter().chain(rate);
            convert.into_iter().chain(views.map(move |it| reads::view(vault, it)))
        })
    }

    fn on_tx(&mut self, _: &Context<'_>, _: &Tx, _: &mut Vec<Finding>) {}

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for (ward, vault) in self.wards.accounts() {
            out.extend(self.look(cx, ward, vault));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn a_fall_is_high_and_a_deep_one_or_a_great_jump_critical() {
        check(
            "share-price",
            "",
            "
            block 1
              read view 0xaa 0x07a2d13a0000000000000000000000000000000000000000000000000de0b6b3a7640000 1000e15 -> 999e15
              tx 0xee -> 0xaa
            block 2
              read view 0xaa 0x182df0f5 1000e15 -> 900e15
              tx 0xee -> 0xaa
            block 3
              read view 0xaa 0x01e1d114 100 -> 900
              read view 0xaa 0x18160ddd 100 -> 100
              tx 0xee -> 0xaa
            block 4
              read view 0xaa 0x182df0f5 1000e15 -> 1010e15
              tx 0xee -> 0xaa
              tx 0xef -> 0xaa
            ",
            expect![[r#"
                1 high share-price 0xaa $0.00: a share lost 0.10 % of its worth in a block
                2 critical share-price 0xaa $0.00: a share lost 10.00 % of its worth in a block
                3 critical share-price 0xaa $0.00: a share gained 800.00 % of its worth in a block
                4 high share-price 0xaa $0.00: a share gained 1.00 % of its worth in a block
            "#]],
        );
    }

    #[test]
    fn interest_rounding_reported_losses_and_unknown_prices_are_silent() {
        check(
            "share-price",
            r#"loss-selectors = ["0xdeadbeef"]"#,
            "
            block 1
              read view 0xaa 0x182df0f5 1000e15 -> 1001e15
              tx 0xee -> 0xaa
            block 2
              read view 0xaa 0x182df0f5 1000 -> 999
              tx 0xee -> 0xaa
            block 3
              read view 0xaa 0x182df0f5 1000e15 -> 900e15
              tx 0xee -> 0xaa input 0xdeadbeef
            block 4
              read view 0xaa 0x182df0f5 ! -> 900e15
              tx 0xee -> 0xaa
            block 5
              read view 0xaa 0x182df0f5 1000e15 -> 1000e15
              read view 0xaa 0x18160ddd 5000 -> 4000
              tx 0xee -> 0xaa
            ",
            expect![[""]],
        );
    }

    #[test]
    fn a_supply_that_became_tiny_is_told_once() {
        check(
            "share-price",
            "",
            "
            block 1
              read view 0xaa 0x182df0f5 1000e15 -> 1000e15
              read view 0xaa 0x18160ddd 0 -> 2
              tx 0xee -> 0xaa
            block 2
              read view 0xaa 0x182df0f5 1000e15 -> 1000e15
              read view 0xaa 0x18160ddd 2 -> 3
              tx 0xee -> 0xaa
            ",
            expect![[r#"
                1 medium share-price 0xaa $0.00: only 2 base units of shares exist
            "#]],
        );
    }
}
