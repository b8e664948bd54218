//! S10: an entity issued far more of its token than it was paid for. The page beside this file says how and with which limits.

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    AccountId, Class, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{AssetId, BasisPoints, UsdText},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    flows::{self, Flow, Leg},
    ratio::{ONE, percent, ppm},
    reads,
    report::{About, Voice, group},
    suspicion::{initiators, is_service},
    watch::{Ward, Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "unbacked-mint",
        signal: "S10",
        summary: "an entity issued far more of its token than it was paid for",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("unbacked_mint.md"),
    },
    build: |cx| Ok(Box::new(UnbackedMint::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `unbacked-mint`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Least value issued beyond what was paid.
    min_loss: UsdText,
    /// From here on it is critical if those who started the transaction are among the recipients.
    critical_loss: UsdText,
    /// Share of the issued value up to which what was paid is next to nothing.
    paid: BasisPoints,
    /// Least share of the supply before.
    share: BasisPoints,
    /// From this share of the supply on, `min-loss` is enough for a critical finding.
    critical_share: BasisPoints,
    /// Tokens of the entity that are given away in the ordinary course: rewards, emissions.
    emitted: Vec<AccountId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_loss: UsdText(Usd::whole(10_000)),
            critical_loss: UsdText(Usd::whole(50_000)),
            paid: BasisPoints(500_000),
            share: BasisPoints(5_000),
            critical_share: BasisPoints(250_000),
            emitted: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct UnbackedMint {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl UnbackedMint {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let wards = Wards::with_assets(cx)?;
        Ok(Self { voice: Voice::new("unbacked-mint", cx), settings: cx.settings()?, wards })
    }

    /// Judges the token of `ward` that was issued most of, by value.
    fn judge(&self, cx: &Context<'_>, tx: &Tx, ward: &Ward, flow: &Flow) -> Option<Finding> {
        let Issue { asset: at, token, minted, worth } = self.issued(ward, flow)?;
        let asset = ward.assets.get(at)?;
        let paid = others(ward, flow, at, Leg::net_in);
        let loss = worth.minus(paid);
        let most = i128::from(self.settings.paid.0).saturating_mul(worth.0) / i128::from(ONE);
        if loss < self.settings.min_loss.0 || paid.0 > most {
            return None;
        }
        let supply = reads::pair(cx, &reads::view(token, reads::TOTAL_SUPPLY)).before;
        let share = supply.and_then(|it| ppm(minted, it));
        if share.is_some_and(|it| it < self.settings.share.0) {
            return None;
        }
        let cluster = initiators(tx, |it| self.voice.is_ours(it));
        let to_them = flow.payments.iter().any(|it| it.asset == at && cluster.contains(&it.to));
        let large = loss >= self.settings.critical_loss.0
            || share.is_some_and(|it| it >= self.settings.critical_share.0);
        let critical = large && to_them && !is_service(tx);
        let severity = if critical { Severity::Critical } else { Severity::High };
        let about = About { tx: Some(tx), entity: &ward.id, subject: token };
        let share = share
            .map_or_else(|| "supply unknown".into(), |it| format!("{} of the supply", percent(it)));
        Some(Finding {
            loss,
            summary: format!("{worth} of {} issued for {paid}, {share}", asset.symbol),
            evidence: vec![
                Evidence::new("issued, base units", minted),
                Evidence::new("worth", worth),
                Evidence::new("paid", paid),
            ],
            ..self.voice.finding(cx, about, severity, Class::Damage, group::VALUE)
        })
    }

    /// The asset of the entity's own making by which most left it, by value.
    fn issued(&self, ward: &Ward, flow: &Flow) -> Option<Issue> {
        let assets = ward.assets.iter().zip(&flow.legs).enumerate();
        let own = assets.filter_map(|(at, (asset, leg))| {
            let AssetId::Token(token) = asset.token else { return None };
            let emitted = self.settings.emitted.iter().any(|it| it.address == token);
            let mints = flow.payments.iter().filter(|it| it.asset == at && it.from.is_zero());
            let minted = mints.fold(U256::ZERO, |sum, it| sum.saturating_add(it.amount));
            if minted.is_zero() || emitted || !ward.owns(token) {
                return None;
            }
            let left = leg.net_out();
            // What came back has bought something: newly issued, it cannot have paid for it.
            let back = value(asset, minted.saturating_sub(left));
            let bought = others(ward, flow, at, Leg::net_out).min(back);
            let minted = if bought > Usd::ZERO { minted } else { left };
            Some(Issue { asset: at, token, minted, worth: value(asset, left).plus(bought) })
        });
        own.max_by_key(|it| (it.worth, it.asset))
    }
}

/// What a token issued in the transaction took out of the entity.
struct Issue {
    /// Position of the token among the assets.
    asset: usize,
    token: Address,
    /// Base units issued to others; net of what came back if that bought nothing.
    minted: U256,
    /// What is left of it outside, and what was bought with the rest from the entity itself.
    worth: Usd,
}

/// Value of one side of all legs but one.
fn others(ward: &Ward, flow: &Flow, but: usize, side: fn(Leg) -> U256) -> Usd {
    let rest = ward.assets.iter().zip(&flow.legs).enumerate().filter(|it| it.0 != but);
    rest.fold(Usd::ZERO, |sum, (_, (asset, leg))| sum.plus(value(asset, side(*leg))))
}

impl Detector for UnbackedMint {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        self.wards.questions(|token| [reads::view(token, reads::TOTAL_SUPPLY)])
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for (position, flow) in flows::flows(&self.wards, tx) {
            let Some(ward) = self.wards.at(position) else { continue };
            out.extend(self.judge(cx, tx, ward, &flow));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check_plan;

    /// An entity whose contract 0xaa issues CLAIM ($1) against USD (0x70).
    fn plan(settings: &str) -> String {
        format!(
            r#"
            [[entities]]
            id = "issuer"
            accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
            assets = [
                {{ token = "0x00000000000000000000000000000000000000aa", symbol = "CLAIM", decimals = 18, price = "1 usd" }},
                {{ token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 18, price = "1 usd" }},
            ]
            [[rules]]
            id = "r"
            detector = "unbacked-mint"
            [rules.settings]
            {settings}
            "#
        )
    }

    #[test]
    fn a_mint_for_dust_is_critical_and_one_to_a_third_party_high() {
        check_plan(
            &plan(""),
            "
            block 1
              read view 0xaa 0x18160ddd 5000000e18 -> 5060000e18
              tx 0xee -> 0xec
                transfer 0x70 5000e18 from 0xec to 0xaa
                transfer 0xaa 60000e18 from 0 to 0xec
              tx 0xee -> 0xec
                transfer 0xaa 60000e18 from 0 to 0xdd
            block 2
              read view 0xaa 0x18160ddd 40000e18 -> 60000e18
              tx 0xee -> 0xec
                transfer 0xaa 20000e18 from 0 to 0xee
            ",
            expect![[r#"
                1 critical unbacked-mint 0xaa $55,000: $60,000 of CLAIM issued for $5,000, 1.20 % of the supply
                1 high unbacked-mint 0xaa $60,000: $60,000 of CLAIM issued for $0.00, 1.20 % of the supply
                2 critical unbacked-mint 0xaa $20,000: $20,000 of CLAIM issued for $0.00, 50.00 % of the supply
            "#]],
        );
    }

    #[test]
    fn a_mint_sold_back_in_the_same_breath_cost_what_it_bought_and_a_paid_one_nothing() {
        let pool = r#"["eip155:1:0x00000000000000000000000000000000000000aa", "eip155:1:0x00000000000000000000000000000000000000ab"]"#;
        let plan =
            plan("").replace(r#"["eip155:1:0x00000000000000000000000000000000000000aa"]"#, pool);
        check_plan(
            &plan,
            "
            block 1
              read view 0xaa 0x18160ddd 4000000e18 -> 24000000e18
              tx 0xee -> 0xec
                transfer 0xaa 20000000e18 from 0 to 0xec
                transfer 0xaa 20000000e18 from 0xec to 0xab
                transfer 0x70 1800000e18 from 0xab to 0xec
              tx 0xee -> 0xec
                transfer 0x70 100000e18 from 0xec to 0xaa
                transfer 0xaa 100000e18 from 0 to 0xec
                transfer 0xaa 100000e18 from 0xec to 0xab
                transfer 0x70 90000e18 from 0xab to 0xec
            ",
            expect![[r#"
                1 critical unbacked-mint 0xaa $1,800,000: $1,800,000 of CLAIM issued for $0.00, 500.00 % of the supply
            "#]],
        );
    }

    #[test]
    fn paid_mints_small_shares_of_the_supply_and_what_is_burned_again_are_silent() {
        check_plan(
            &plan(""),
            "
            block 1
              read view 0xaa 0x18160ddd 500000000e18 -> 500060000e18
              tx 0xee -> 0xec
                transfer 0xaa 60000e18 from 0 to 0xec
            block 2
              read view 0xaa 0x18160ddd 5000000e18 -> 5060000e18
              tx 0xee -> 0xec
                transfer 0x70 40000e18 from 0xec to 0xaa
                transfer 0xaa 60000e18 from 0 to 0xec
              tx 0xee -> 0xec
                transfer 0xaa 60000e18 from 0 to 0xec
                transfer 0xaa 55000e18 from 0xec to 0
            ",
            expect![[""]],
        );
        let emitted = r#"emitted = ["eip155:1:0x00000000000000000000000000000000000000aa"]"#;
        check_plan(
            &plan(emitted),
            "
            block 1
              tx 0xee -> 0xec
                transfer 0xaa 60000e18 from 0 to 0xec
            ",
            expect![[""]],
        );
    }
}
