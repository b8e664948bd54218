//! S04: an entity was made to trade at a price that the same transaction had moved. The page beside this file says how and with which limits.

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Class, Fact, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{AssetId, BasisPoints, UsdText},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need,
    pools::{self, Trade},
    ratio::{mul_div, percent, rise},
    report::{About, Voice, group},
    suspicion::initiators,
    watch::{Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "forced-trade",
        signal: "S04",
        summary: "an entity was made to trade at a price that the same transaction had moved",
        needs: &[Need::Logs],
        docs: include_str!("forced_trade.md"),
    },
    build: |cx| Ok(Box::new(ForcedTrade::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `forced-trade`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// A price moved by less is not reported.
    high: BasisPoints,
    /// A price moved by more is critical.
    critical: BasisPoints,
    /// Losses below this are not reported.
    min_loss: UsdText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            high: BasisPoints(20_000),
            critical: BasisPoints(250_000),
            min_loss: UsdText(Usd::whole(1_000)),
        }
    }
}

#[derive(Debug)]
struct ForcedTrade {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

/// A trade and its reverse by the same hands in one pool.
#[derive(Clone, Copy, Debug)]
struct Trip {
    pair: Address,
    /// The token they paid first and took back last.
    token: Address,
    there: Trade,
    back: Trade,
}

impl ForcedTrade {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let wards = Wards::with_assets(cx)?;
        Ok(Self { voice: Voice::new("forced-trade", cx), settings: cx.settings()?, wards })
    }

    /// The round trips of those who started `tx`.
    fn trips(&self, tx: &Tx) -> Vec<Trip> {
        let cluster = initiators(tx, |it| self.voice.is_ours(it));
        let mut trips = Vec::new();
        for (pair, trades) in pools::trades(tx) {
            let mut own = trades.iter().filter(|it| cluster.contains(&it.to));
            let Some(there) = own.next() else { continue };
            let Some(back) = own.rfind(|it| it.side != there.side) else { continue };
            let token = pools::sides(tx, pair).and_then(|it| it.get(there.side).copied());
            let Some(token) = token else { continue };
            trips.push(Trip { pair, token, there: *there, back: *back });
        }
        trips
    }

    /// What entities paid into the pool in between, by position: base units and the last payer.
    fn paid(&self, tx: &Tx, trip: &Trip) -> Vec<(usize, Address, U256)> {
        let between = tx.facts.iter().take(trip.back.at).skip(trip.there.at);
        let mut paid: Vec<(usize, Address, U256)> = Vec::new();
        for fact in between {
            let Fact::Transfer { token, from, to, amount } = fact else { continue };
            let Some(position) = self.wards.position(*from) else { continue };
            if *token != trip.token || *to != trip.pair || *from == trip.pair {
                continue;
            }
            match paid.iter_mut().find(|it| it.0 == position) {
                Some(it) => it.2 = it.2.saturating_add(*amount),
                None => paid.push((position, *from, *amount)),
            }
        }
        paid
    }

    fn judge(&self, cx: &Context<'_>, tx: &Tx, trip: &Trip) -> Vec<Finding> {
        let ([before, before_other], [after, after_other]) = trip.there.reserves();
        let mut out = Vec::new();
        for (position, payer, amount) in self.paid(tx, trip) {
            let Some(ward) = self.wards.at(position) else { continue };
            let asset = ward.asset(AssetId::Token(trip.token)).and_then(|at| ward.assets.get(at));
            // What the same goods cost before the price was moved.
            let fair = mul_div(amount, before, before_other)
                .and_then(|it| mul_div(it, after_other, after));
            let (Some(asset), Some(fair)) = (asset, fair) else { continue };
            let loss = value(asset, amount.saturating_sub(fair));
            let moved = rise(fair, amount);
            if moved < self.settings.high.0 || loss < self.settings.min_loss.0 {
                continue;
            }
            let critical = moved >= self.settings.critical.0;
            let severity = if critical { Severity::Critical } else { Severity::High };
            let about = About { tx: Some(tx), entity: &ward.id, subject: payer };
            out.push(Finding {
                loss,
                summary: format!(
                    "made to pay {} at a price raised by {}",
                    { value(asset, amount) },
                    percent(moved)
                ),
                evidence: vec![
                    Evidence::new("pool", trip.pair),
                    Evidence::new(format!("{} paid, base units", asset.symbol), amount),
                    Evidence::new("at the price before, base units", fair),
                ],
                ..self.voice.finding(cx, about, severity, Class::Damage, group::PRICE)
            });
        }
        out
    }
}

impl Detector for ForcedTrade {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for trip in self.trips(tx) {
            out.extend(self.judge(cx, tx, &trip));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    /// 0xec buys in pool 0x99 what is dear afterwards, `between` happens, and 0xec sells.
    fn trip(there: &str, between: &str, back: &str) -> String {
        format!(
            "
            block 1
              tx 0xee -> 0xec
                transfer 0x70 100000e18 from 0xec to 0x99
                transfer 0x7f 500e18 from 0x99 to 0xec
                sync 0x99 {there}
                swap 0x99 in 100000e18 0 out 0 500e18 to 0xec
                {between}
                transfer 0x7f 500e18 from 0xec to 0x99
                transfer 0x70 104000e18 from 0x99 to 0xec
                {back}
            "
        )
    }

    #[test]
    fn an_entity_that_pays_between_a_trade_and_its_reverse_is_found() {
        let back = "sync 0x99 4000e18 1000e18
                swap 0x99 in 0 500e18 out 104000e18 0 to 0xec";
        let pays = "transfer 0x70 8000e18 from 0xaa to 0x99";
        check(
            "forced-trade",
            "",
            &trip("200000e18 500e18", pays, back),
            expect![[r#"
                1 critical forced-trade 0xaa $6,000: made to pay $8,000 at a price raised by 300.00 %
            "#]],
        );
        let pays = "transfer 0x70 20000e18 from 0xaa to 0x99";
        check(
            "forced-trade",
            "",
            &trip("1100000e18 9500e18", pays, back),
            expect![[r#"
                1 high forced-trade 0xaa $2,727: made to pay $20,000 at a price raised by 15.78 %
            "#]],
        );
    }

    #[test]
    fn one_way_trades_payments_elsewhere_and_small_moves_are_silent() {
        let back = "sync 0x99 4000e18 1000e18
                swap 0x99 in 0 500e18 out 104000e18 0 to 0xec";
        let pays = "transfer 0x70 8000e18 from 0xaa to 0x99";
        for (there, between, back) in [
            ("200000e18 500e18", pays, ""),
            ("200000e18 500e18", "transfer 0x70 8000e18 from 0xaa to 0x98", back),
            ("200000e18 500e18", "transfer 0x70 8000e18 from 0xdd to 0x99", back),
            ("200000e18 500e18", "transfer 0x70 800e18 from 0xaa to 0x99", back),
            ("100000000e18 500000e18", pays, back),
        ] {
            check("forced-trade", "", &trip(there, between, back), expect![[""]]);
        }
    }
}
