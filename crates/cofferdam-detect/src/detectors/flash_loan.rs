//! S05: borrowed money, a profit for the borrower and a loss for an entity in one transaction. The page beside this file says how and with which limits.

use cofferdam_core::{
    Class, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{BasisPoints, UsdText},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    loss::{self, Loss},
    losses::Losses,
    ratio::{percent, usd_ppm},
    report::{About, group},
    suspicion::{Sign, initiators},
    watch::Ward,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "flash-loan",
        signal: "S05",
        summary: "borrowed money, a profit for the borrower and a loss for an entity in one transaction",
        needs: &[Need::Logs, Need::Frames, Need::Reads],
        docs: include_str!("flash_loan.md"),
    },
    build: |cx| Ok(Box::new(FlashLoan::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `flash-loan`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Least profit of those who started the transaction, in the entity's assets.
    min_profit: UsdText,
    /// Least share of its holdings that the entity loses.
    share: BasisPoints,
    /// A loss above this share is critical.
    critical: BasisPoints,
    /// A profit above this is critical.
    critical_profit: UsdText,
    /// A loss above this share is critical from `most-profit` on, however small the entity.
    most: BasisPoints,
    /// Least profit if most of the holdings are lost.
    most_profit: UsdText,
    /// How far plan prices may be off when one asset came in for another.
    price_tolerance: BasisPoints,
    /// Whether a profit at the entity's cost is reported only if a flash loan is in the transaction.
    require_loan: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_profit: UsdText(Usd::whole(10_000)),
            share: BasisPoints(5_000),
            critical: BasisPoints(100_000),
            critical_profit: UsdText(Usd::whole(100_000)),
            most: BasisPoints(500_000),
            most_profit: UsdText(Usd::whole(1_000)),
            price_tolerance: BasisPoints(300_000),
            require_loan: true,
        }
    }
}

#[derive(Debug)]
struct FlashLoan {
    losses: Losses,
    settings: Settings,
}

impl FlashLoan {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let losses = Losses::new("flash-loan", cx, settings.price_tolerance, Vec::new())?;
        Ok(Self { losses, settings })
    }

    fn judge(&self, cx: &Context<'_>, tx: &Tx, ward: &Ward, loss: Loss) -> Option<Finding> {
        let settings = &self.settings;
        let borrowed = loss.signs.contains(&Sign::FlashLoan);
        if settings.require_loan && !borrowed {
            return None;
        }
        let profit = loss::gain(ward, tx, &initiators(tx, |it| self.losses.voice.is_ours(it)));
        let share = usd_ppm(loss.value, loss.held.or(ward.value_at_risk)?)?;
        let most = share >= settings.most.0;
        let least = if most { settings.most_profit.0 } else { settings.min_profit.0 };
        if profit < least || share < settings.share.0 {
            return None;
        }
        let critical = share >= settings.critical.0 || profit >= settings.critical_profit.0;
        let severity = if critical { Severity::Critical } else { Severity::High };
        let about = About { tx: Some(tx), entity: &ward.id, subject: loss.subject };
        let with = if borrowed { "a flash loan" } else { "its own means" };
        let mut evidence = vec![
            Evidence::new("loss", loss.value),
            Evidence::new("share of holdings", percent(share)),
            Evidence::new("profit of the initiators", profit),
        ];
        evidence.extend(loss.evidence);
        Some(Finding {
            loss: loss.value,
            summary: format!("{profit} of profit with {with} against a loss of {}", loss.value),
            evidence,
            ..self.losses.voice.finding(cx, about, severity, Class::Damage, group::VALUE)
        })
    }
}

impl Detector for FlashLoan {
    fn interests(&self) -> Vec<Interest> {
        self.losses.interests()
    }

    fn questions(&self) -> Vec<Question> {
        self.losses.questions()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for (_, ward, loss) in self.losses.of(cx, tx) {
            out.extend(loss.and_then(|it| self.judge(cx, tx, ward, it)));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn a_profit_with_a_flash_loan_at_the_entitys_cost_is_found() {
        check(
            "flash-loan",
            "",
            "
            block 1
              read token 0x70 of 0xaa 1000000e18 -> 970000e18
              tx 0xee -> 0xec
                flash 0x99 0xec 0x70 5000000e18
                transfer 0x70 5000000e18 from 0x99 to 0xec
                transfer 0x70 100000e18 from 0xec to 0xaa
                transfer 0x70 130000e18 from 0xaa to 0xec
                transfer 0x70 5000000e18 from 0xec to 0x99
            block 2
              read token 0x70 of 0xaa 1000000e18 -> 500000e18
              tx 0xee -> 0xec
                call 0x99 0xec 0x10d1e85c
                transfer 0x70 500000e18 from 0xaa to 0xee
            block 3
              read token 0x70 of 0xaa 10000000e18 -> 9900000e18
              tx 0xee -> 0xec
                call 0x99 0xec 0x10d1e85c
                transfer 0x70 100000e18 from 0xaa to 0xee
            block 4
              read token 0x70 of 0xaa 6000e18 -> 1000e18
              tx 0xee -> 0xec
                call 0x99 0xec 0x7ed1f1dd
                transfer 0x70 5000e18 from 0xaa to 0xee
            ",
            expect![[r#"
                1 high flash-loan 0xaa $30,000: $30,000 of profit with a flash loan against a loss of $30,000
                2 critical flash-loan 0xaa $500,000: $500,000 of profit with a flash loan against a loss of $500,000
                3 critical flash-loan 0xaa $100,000: $100,000 of profit with a flash loan against a loss of $100,000
                4 critical flash-loan 0xaa $5,000: $5,000 of profit with a flash loan against a loss of $5,000
            "#]],
        );
    }

    #[test]
    fn arbitrage_small_profits_and_losses_without_a_loan_are_silent() {
        check(
            "flash-loan",
            "",
            "
            block 1
              read token 0x70 of 0xaa 1000000e18 -> 900000e18
              tx 0xee -> 0xec
                flash 0x99 0xec 0x70 5000000e18
                transfer 0x71 49e18 from 0xec to 0xaa
                transfer 0x70 100000e18 from 0xaa to 0xec
              tx 0xee -> 0xec
                flash 0x99 0xec 0x70 5000000e18
                transfer 0x70 9000e18 from 0xaa to 0xec
              tx 0xee -> 0xec
                transfer 0x70 100000e18 from 0xaa to 0xec
            ",
            expect![[""]],
        );
    }
}
