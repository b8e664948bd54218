//! S01: an entity paid out a large share of its holdings for nothing. The page beside this file says how and with which limits.

use std::collections::BTreeSet;

use cofferdam_core::{
    AccountId, Class, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{BasisPoints, DurationText, UsdText},
    record::Memo,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    balances::Explained,
    limit::{DAYS_MIN, Limits},
    loss::Loss,
    losses::Losses,
    ratio::{percent, usd_ppm},
    report::{About, group},
    suspicion::Sign,
    watch::Ward,
    window::{Sum, Windows},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "outflow",
        signal: "S01",
        summary: "an entity paid out a large share of its holdings for nothing",
        needs: &[Need::Logs, Need::Frames, Need::Diff, Need::Reads],
        docs: include_str!("outflow.md"),
    },
    build: |cx| Ok(Box::new(Outflow::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// The most days over which a limit is learned.
const LEARN_DAYS_MAX: u64 = 90;

/// Settings of `outflow`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Share of the holdings above which a loss is high. With a strong sign of an attack (flash loan,
    /// code created in the same block) it is critical.
    high: BasisPoints,
    /// Share of the holdings above which a loss within the window is critical if there is any sign of
    /// an attack.
    critical: BasisPoints,
    /// The sliding window over which losses add up, by block time.
    window: DurationText,
    /// Losses below this are not reported.
    min_loss: UsdText,
    /// Losses below this are never critical.
    critical_loss: UsdText,
    /// A loss of at least this that is above the critical share is critical without any sign.
    alone_loss: UsdText,
    /// If the holdings are unknown (and the entity has no `value-at-risk`): the loss that counts as
    /// a critical share.
    unknown_loss: UsdText,
    /// How far plan prices may be off when one asset came in for another.
    price_tolerance: BasisPoints,
    /// Accounts that are paid in the ordinary course (treasury, strategies, hot wallets): payments to
    /// them are no loss, and if the list is not empty, any other recipient is a sign of an attack.
    recipients: Vec<AccountId>,
    /// Days over which it is learned how much leaves within a day; more than a fifth above the most of them is
    /// high. 0: not learned. What is learned is kept in the journal with every block that moves assets.
    learn_days: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            high: BasisPoints(100_000),
            critical: BasisPoints(250_000),
            window: DurationText(300_000),
            min_loss: UsdText(Usd::whole(10_000)),
            critical_loss: UsdText(Usd::whole(50_000)),
            alone_loss: UsdText(Usd::whole(10_000_000)),
            unknown_loss: UsdText(Usd::whole(1_000_000)),
            price_tolerance: BasisPoints(300_000),
            recipients: Vec::new(),
            learn_days: 0,
        }
    }
}

#[derive(Debug)]
struct Outflow {
    losses: Losses,
    settings: Settings,
    /// By entity name: the losses of the window.
    windows: Windows,
    /// What logs and calls explain. Empty between observations.
    explained: Explained,
    /// Entities reported in this observation. Empty between observations.
    told: BTreeSet<usize>,
    /// What is usual, if it is learned.
    limits: Limits,
}

impl Outflow {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let here = settings.recipients.iter().filter(|it| it.chain == cx.chain);
        let recipients = here.map(|it| it.address).collect();
        let days = settings.learn_days;
        if days != 0 && !(DAYS_MIN..=LEARN_DAYS_MAX).contains(&days) {
            return Err(BuildError::Unusable {
                rule: cx.rule.id.clone(),
                what: format!("`learn-days` is {days}"),
                hint: format!("{DAYS_MIN} to {LEARN_DAYS_MAX}, e.g. 30, or 0 to learn nothing"),
            });
        }
        let losses = Losses::new("outflow", cx, settings.price_tolerance, recipients)?;
        Ok(Self {
            losses,
            windows: Windows::new(settings.window.0),
            settings,
            explained: Explained::default(),
            told: BTreeSet::new(),
            limits: Limits::default(),
        })
    }

    /// How bad the loss is, together with what the window holds.
    fn judge(&self, ward: &Ward, window: &Sum, loss: &Loss) -> Option<Severity> {
        let settings = &self.settings;
        let untold = window.all.minus(window.told);
        let suspect = !loss.signs.is_empty();
        let known = Some(window.held).filter(|it| *it > Usd::ZERO);
        let Some(held) = known.or(ward.value_at_risk) else {
            // A share of what is unknown cannot be judged: without a sign it may be any large payment.
            let critical = suspect && window.suspect >= settings.unknown_loss.0;
            let high = (untold >= settings.critical_loss.0).then_some(Severity::High);
            return if critical { Some(Severity::Critical) } else { high };
        };
        let above = |loss: Usd, least: Usd, share: BasisPoints| {
            loss >= least && usd_ppm(loss, held).is_some_and(|it| it >= share.0)
        };
        let least = settings.critical_loss.0;
        let strong = loss.signs.iter().any(|it| it.is_strong());
        let critical = above(window.all, settings.alone_loss.0, settings.critical)
            || (suspect && above(window.suspect, least, settings.critical))
            || (strong && above(window.strong, least, settings.high));
        // A small loss after a large one is the same news.
        if critical && untold >= settings.min_loss.0 {
            return Some(Severity::Critical);
        }
        above(untold, settings.min_loss.0, settings.high).then_some(Severity::High)
    }

    fn report(
        &mut self,
        cx: &Context<'_>,
        tx: Option<&Tx>,
        position: usize,
        loss: Loss,
        out: &mut Vec<Finding>,
    ) {
        let Some(ward) = self.losses.wards.at(position).cloned() else { return };
        let window = self.windows.remember(&ward.id, cx.observation.block.time, &loss);
        let Some(severity) = self.judge(&ward, &window, &loss) else { return };
        let untold = self.windows.tell(&ward.id);
        self.told.insert(position);
        let share =
            usd_ppm(window.all, window.held).map(|it| format!("{} of holdings", percent(it)));
        let share = share.unwrap_or_else(|| "holdings unknown".into());
        let about = About { tx, entity: &ward.id, subject: loss.subject };
        let mut evidence = vec![
            Evidence::new("loss in this transaction", loss.value),
            Evidence::new(format!("loss within {}", self.settings.window), window.all),
            Evidence::new("held before (zero: unknown)", window.held),
        ];
        evidence.extend(loss.evidence);
        evidence.extend(loss.signs.iter().map(|it: &Sign| Evidence::new("sign", it.phrase())));
        out.push(Finding {
            loss: untold,
            summary: format!("{} left for nothing, {share}", window.all),
            evidence,
            ..self.losses.voice.finding(cx, about, severity, Class::Damage, group::VALUE)
        });
    }
}

impl Detector for Outflow {
    fn interests(&self) -> Vec<Interest> {
        self.losses.interests()
    }

    fn questions(&self) -> Vec<Question> {
        self.losses.questions()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let mut lost = Vec::new();
        for (position, ward, loss) in self.losses.of(cx, tx) {
            self.explained.note(position, ward, tx);
            lost.extend(loss.map(|it| (position, it)));
        }
        for (position, loss) in lost {
            self.report(cx, Some(tx), position, loss, out);
        }
        if self.settings.learn_days > 0 {
            let terms = (self.settings.learn_days, self.settings.critical_loss.0);
            out.extend(self.limits.unusual(cx, tx, &self.losses, terms));
        }
    }

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for position in 0..self.losses.wards.iter().count() {
            if self.told.contains(&position) {
                continue;
            }
            let ward = self.losses.wards.at(position);
            if let Some(loss) = ward.and_then(|it| self.explained.unexplained(cx, position, it)) {
                self.report(cx, None, position, loss, out);
            }
        }
        self.explained = Explained::default();
        self.told.clear();
    }

    fn memo(&self) -> Option<Memo> {
        self.limits.memo(self.windows.memo())
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        let windows = self.limits.recall(memo, self.settings.learn_days > 0);
        self.windows.recall(windows.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::{check, check_plan};

    #[test]
    fn a_drain_to_its_sender_is_critical_and_the_rest_follows() {
        check(
            "outflow",
            "",
            "
            block 1
              read token 0x70 of 0xaa 1000000e18 -> 600000e18
              tx 0xee -> 0xec
                transfer 0x70 400000e18 from 0xaa to 0xec
            block 2
              read token 0x70 of 0xaa 600000e18 -> 595000e18
              tx 0xee -> 0xec
                transfer 0x70 5000e18 from 0xaa to 0xec
            block 3
              read token 0x70 of 0xaa 595000e18 -> 575000e18
              tx 0xee -> 0xec
                transfer 0x70 20000e18 from 0xaa to 0xec
            ",
            expect![[r#"
                1 critical outflow 0xaa $400,000: $400,000 left for nothing, 40.00 % of holdings
                3 critical outflow 0xaa $25,000: $425,000 left for nothing, 42.50 % of holdings
            "#]],
        );
    }

    #[test]
    fn a_slow_drain_adds_up_within_the_window_and_not_beyond_it() {
        check(
            "outflow",
            "high = \"50 %\"",
            "
            block 1 time 0
              read token 0x70 of 0xaa 1000000e18 -> 850000e18
              tx 0xee -> 0xec
                transfer 0x70 150000e18 from 0xaa to 0xee
            block 2 time 400
              read token 0x70 of 0xaa 850000e18 -> 700000e18
              tx 0xee -> 0xec
                transfer 0x70 150000e18 from 0xaa to 0xee
            block 3 time 500
              read token 0x70 of 0xaa 700000e18 -> 550000e18
              tx 0xee -> 0xec
                transfer 0x70 150000e18 from 0xaa to 0xee
            ",
            expect![[r#"
                3 critical outflow 0xaa $300,000: $300,000 left for nothing, 35.29 % of holdings
            "#]],
        );
    }

    #[test]
    fn a_strong_sign_makes_a_high_loss_critical_and_no_sign_only_a_huge_one() {
        check(
            "outflow",
            "",
            "
            block 1
              read native 0xaa 1000e18 -> 850e18
              tx 0xee -> 0xec
                native 150e18 from 0xaa to 0xdd
            block 2 time 4000
              read native 0xaa 1000e18 -> 850e18
              tx 0xee -> 0xec
                native 150e18 from 0xaa to 0xdd
                call 0x99 0xec 0x10d1e85c
            block 3 time 8000
              read native 0xaa 1000e18 -> 100e18
              tx 0xee -> 0xec
                native 900e18 from 0xaa to 0xdd
            block 4 time 12000
              read native 0xaa 10000e18 -> 4000e18
              tx 0xee -> 0xaa
                native 6000e18 from 0xaa to 0xdd
            block 5 time 16000
              read native 0xaa 1000e18 -> 100e18
              tx 0xee -> 0xec nonce 60000
                native 900e18 from 0xaa to 0xee
            ",
            expect![[r#"
                1 high outflow 0xaa $300,000: $300,000 left for nothing, 15.00 % of holdings
                2 critical outflow 0xaa $300,000: $300,000 left for nothing, 15.00 % of holdings
                3 high outflow 0xaa $1,800,000: $1,800,000 left for nothing, 90.00 % of holdings
                4 critical outflow 0xaa $12,000,000: $12,000,000 left for nothing, 60.00 % of holdings
                5 high outflow 0xaa $1,800,000: $1,800,000 left for nothing, 90.00 % of holdings
            "#]],
        );
    }

    #[test]
    fn trades_withdrawals_and_moves_between_own_contracts_are_silent() {
        check(
            "outflow",
            "",
            "
            block 1
              read token 0x70 of 0xaa 1000000e18 -> 600000e18
              read token 0x71 of 0xaa 10e18 -> 210e18
              tx 0xee -> 0xec
                transfer 0x70 400000e18 from 0xaa to 0xee
                transfer 0x71 160e18 from 0xee to 0xaa
              tx 0xee -> 0xec
                transfer 0x70 400000e18 from 0xaa to 0xab
            block 2 time 4000
              read token 0x70 of 0xaa 1000000e18 -> 600000e18
              read view 0xaa 0x18160ddd 500e18 -> 300e18
              tx 0xee -> 0xaa
                transfer 0xaa 200e18 from 0xee to 0
                transfer 0x70 400000e18 from 0xaa to 0xee
            block 3 time 8000
              read token 0x70 of 0xaa 1000000e18 -> 600000e18
              tx 0xee -> 0xaa
                transfer 0x70 400000e18 from 0xaa to 0xee
                store 0xaa 0x77 500000e18 -> 100000e18
            block 4 time 12000
              read token 0x70 of 0xaa 1000000e18 -> 991000e18
              tx 0xee -> 0xec
                transfer 0x70 9000e18 from 0xaa to 0xee
                transfer 0x7f 900000e18 from 0xaa to 0xee
            ",
            expect![[""]],
        );
    }

    #[test]
    fn corrupted_books_and_shares_minted_in_passing_do_not_excuse() {
        check(
            "outflow",
            "",
            "
            block 1
              read token 0x70 of 0xaa 1000000e18 -> 600000e18
              tx 0xee -> 0xec
                flash 0x99 0xec 0x70 9e18
                transfer 0x70 400000e18 from 0xaa to 0xec
                store 0xaa 0x77 500000e18 -> 100000e18
            block 2 time 4000
              read token 0x70 of 0xaa 1000000e18 -> 600000e18
              read view 0xaa 0x18160ddd 500e18 -> 500e18
              tx 0xee -> 0xec
                transfer 0xaa 200e18 from 0 to 0xec
                transfer 0xaa 200e18 from 0xec to 0
                transfer 0x70 400000e18 from 0xaa to 0xec
            ",
            expect![[r#"
                1 critical outflow 0xaa $400,000: $400,000 left for nothing, 40.00 % of holdings
                2 critical outflow 0xaa $400,000: $400,000 left for nothing, 40.00 % of holdings
            "#]],
        );
    }

    #[test]
    fn a_pair_swaps_by_its_product_whatever_the_plan_thinks_of_prices() {
        let swap = |reserve1: &str| {
            format!(
                "
                block 1
                  read token 0x70 of 0xaa 1000000e18 -> 500000e18
                  read token 0x71 of 0xaa 5e18 -> 11e18
                  tx 0xee -> 0xec
                    flash 0x99 0xec 0x70 9e18
                    transfer 0x71 6e18 from 0xee to 0xaa
                    transfer 0x70 500000e18 from 0xaa to 0xee
                    sync 0xaa 500000e18 {reserve1}
                    swap 0xaa in 0 6e18 out 500000e18 0 to 0xee
                "
            )
        };
        check("outflow", "", &swap("11e18"), expect![[""]]);
        check(
            "outflow",
            "",
            &swap("100e18"),
            expect![[r#"
                1 critical outflow 0xaa $484,400: $484,400 left for nothing, 48.44 % of holdings
            "#]],
        );
    }

    #[test]
    fn issuing_an_own_token_for_nothing_is_a_loss() {
        let plan = r#"
            [[entities]]
            id = "token"
            accounts = ["eip155:1:0x0000000000000000000000000000000000000070"]
            assets = [{ token = "0x0000000000000000000000000000000000000070", symbol = "T", decimals = 18, price = "1 usd" }]
            [[rules]]
            id = "r"
            detector = "outflow"
        "#;
        check_plan(
            plan,
            "
            block 1
              read view 0x70 0x18160ddd 1000000e18 -> 1500000e18
              tx 0xee -> 0xec
                transfer 0x70 500000e18 from 0 to 0xec
            block 2 time 4000
              read view 0x70 0x18160ddd 1000000e18 -> 1010000e18
              tx 0xee -> 0xec
                transfer 0x70 10000e18 from 0 to 0xec
            ",
            expect![[r#"
                1 critical outflow 0x70 $500,000: $500,000 left for nothing, 50.00 % of holdings
            "#]],
        );
    }

    #[test]
    fn a_balance_that_falls_without_a_trace_is_high() {
        let block = "
            block 1
              read native 0xaa 1000e18 -> 500e18
              tx 0xee -> 0xaa untraced
        ";
        check(
            "outflow",
            "",
            block,
            expect![[r#"
                1 high outflow 0xaa $1,000,000: $1,000,000 left for nothing, 50.00 % of holdings
            "#]],
        );
    }

    #[test]
    fn unknown_holdings_need_a_larger_loss_and_listed_recipients_are_ordinary() {
        check(
            "outflow",
            r#"recipients = ["eip155:1:0x00000000000000000000000000000000000000dd"]"#,
            "
            block 1
              tx 0xee -> 0xec
                transfer 0x70 900000e18 from 0xaa to 0xee
                transfer 0x70 900000e18 from 0xaa to 0xdd
            block 2
              tx 0xee -> 0xec
                transfer 0x70 900000e18 from 0xaa to 0xee
            ",
            expect![[r#"
                1 high outflow 0xaa $900,000: $900,000 left for nothing, holdings unknown
                2 critical outflow 0xaa $900,000: $1,800,000 left for nothing, holdings unknown
            "#]],
        );
    }
}
