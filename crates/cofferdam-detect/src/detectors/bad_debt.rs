//! S04: a loan was granted that its collateral does not cover at the plan's prices. The page beside this file says how and with which limits.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Class, Fact, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{Asset, AssetId, BasisPoints, UsdText},
    read::{Answer, StateRead},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    ratio::{ONE, mul_div},
    reads,
    report::{About, Voice, group},
    watch::{Ward, Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "bad-debt",
        signal: "S04",
        summary: "a loan was granted that its collateral does not cover at the plan's prices",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("bad_debt.md"),
    },
    build: |cx| Ok(Box::new(BadDebt::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Borrowers of one transaction that are looked at.
const BORROWERS_MAX: usize = 8;

/// Settings of `bad-debt`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// How far debt must exceed the collateral, as plan prices may be off.
    margin: BasisPoints,
    /// Uncovered debt below this is not reported.
    min_loss: UsdText,
    /// From here on it is critical.
    critical_loss: UsdText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            margin: BasisPoints(100_000),
            min_loss: UsdText(Usd::whole(10_000)),
            critical_loss: UsdText(Usd::whole(50_000)),
        }
    }
}

#[derive(Debug)]
struct BadDebt {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

/// What a borrower has and owes over all markets of an entity, at plan prices.
#[derive(Clone, Copy, Debug, Default)]
struct Books {
    collateral: Usd,
    debt: Usd,
}

impl BadDebt {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let wards = Wards::with_assets(cx)?;
        Ok(Self { voice: Voice::new("bad-debt", cx), settings: cx.settings()?, wards })
    }

    /// Who borrowed of which entity in `tx`, and in which market first.
    fn borrowers(&self, tx: &Tx) -> Vec<(usize, Address, Address)> {
        let mut met = BTreeSet::new();
        let mut out = Vec::new();
        for fact in &tx.facts {
            let Fact::MarketBorrow { market, borrower, .. } = fact else { continue };
            let Some(position) = self.wards.position(*market) else { continue };
            if out.len() < BORROWERS_MAX && met.insert((position, *borrower)) {
                out.push((position, *borrower, *market));
            }
        }
        out
    }

    /// The books of `borrower` after the block; `None` if a market of the entity is unknown.
    fn books(&self, cx: &Context<'_>, ward: &Ward, borrower: Address) -> Option<Books> {
        let mut books = Books::default();
        let mantissa = U256::from(10u8).pow(U256::from(18u8));
        for market in &ward.accounts {
            let reading = cx.observation.readings.get(&snapshot(*market, borrower))?;
            let words = match &reading.after {
                Answer::Unavailable => return None,
                Answer::Reverted => continue,
                answer => [1, 2, 3].map(|it| answer.word(it)),
            };
            let [Some(shares), Some(owed), Some(rate)] = words else { continue };
            if shares.is_zero() && owed.is_zero() {
                continue;
            }
            let asset = self.underlying(cx, ward, *market)?;
            let owned = mul_div(shares, rate, mantissa)?;
            books.collateral = books.collateral.plus(value(asset, owned));
            books.debt = books.debt.plus(value(asset, owed));
        }
        Some(books)
    }

    /// The asset that `market` lends, if the entity lists it: native if it names none.
    fn underlying<'a>(
        &self,
        cx: &Context<'_>,
        ward: &'a Ward,
        market: Address,
    ) -> Option<&'a Asset> {
        let reading = cx.observation.readings.get(&reads::view(market, reads::UNDERLYING))?;
        let id = match &reading.after {
            Answer::Unavailable => return None,
            Answer::Reverted => AssetId::Native,
            answer => match answer.word(0) {
                Some(word) if !word.is_zero() => AssetId::Token(Address::from_word(word.into())),
                _ => AssetId::Native,
            },
        };
        ward.asset(id).and_then(|at| ward.assets.get(at))
    }
}

fn snapshot(market: Address, borrower: Address) -> StateRead {
    reads::view_of(market, reads::GET_ACCOUNT_SNAPSHOT, reads::word(borrower))
}

impl Detector for BadDebt {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        self.wards.questions(|market| [reads::view(market, reads::UNDERLYING)])
    }

    fn asks(&self, tx: &Tx) -> Vec<StateRead> {
        let borrowers = self.borrowers(tx).into_iter();
        let of = |(position, borrower, _)| {
            let markets = self.wards.at(position).map(|it| it.accounts.as_slice());
            markets.unwrap_or_default().iter().map(move |it| snapshot(*it, borrower))
        };
        borrowers.flat_map(of).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for (position, borrower, market) in self.borrowers(tx) {
            let Some(ward) = self.wards.at(position) else { continue };
            let Some(Books { collateral, debt }) = self.books(cx, ward, borrower) else { continue };
            let margin = u128::from(ONE.saturating_add(self.settings.margin.0));
            let covered = collateral.0.saturating_mul(margin as i128) / i128::from(ONE);
            let loss = debt.minus(collateral);
            if debt.0 <= covered || loss < self.settings.min_loss.0 {
                continue;
            }
            let critical = loss >= self.settings.critical_loss.0;
            let severity = if critical { Severity::Critical } else { Severity::High };
            let about = About { tx: Some(tx), entity: &ward.id, subject: market };
            out.push(Finding {
                loss,
                summary: format!("a borrower owes {debt} against collateral of {collateral}"),
                evidence: vec![
                    Evidence::new("borrower", borrower),
                    Evidence::new("debt after", debt),
                    Evidence::new("collateral after", collateral),
                ],
                ..self.voice.finding(cx, about, severity, Class::Damage, group::VALUE)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    /// The books of borrower 0xec in the markets 0xaa (USD) and 0xab (ETHX).
    fn books(usd: &str, ethx: &str) -> String {
        let who = "00000000000000000000000000000000000000000000000000000000000000ec";
        format!(
            "
            block 1
              read view 0xaa 0x6f307dc3 0x70 -> 0x70
              read view 0xab 0x6f307dc3 0x71 -> 0x71
              read view 0xaa 0xc37f68e2{who} 0,0,0,1e18 -> {usd}
              read view 0xab 0xc37f68e2{who} 0,0,0,1e18 -> {ethx}
              tx 0xee -> 0xec
                market-borrow 0xaa 0xec 100000e18
            "
        )
    }

    #[test]
    fn a_loan_without_collateral_is_critical_however_it_came_about() {
        check(
            "bad-debt",
            "",
            &books("0,0,100000e18,1e18", "0,5e18,0,1e18"),
            expect![[r#"
                1 critical bad-debt 0xaa $90,000: a borrower owes $100,000 against collateral of $10,000
            "#]],
        );
        check(
            "bad-debt",
            "",
            &books("0,0,100000e18,1e18", "0,35e18,0,1e18"),
            expect![[r#"
                1 high bad-debt 0xaa $30,000: a borrower owes $100,000 against collateral of $70,000
            "#]],
        );
    }

    #[test]
    fn covered_loans_and_unknown_books_are_silent() {
        for ethx in ["0,60e18,0,1e18", "0,5e18,0,12e18", "0,48e18,0,1e18", "?"] {
            let silent = expect![[""]];
            if ethx == "?" {
                let blocks = books("0,0,100000e18,1e18", ethx);
                check(
                    "bad-debt",
                    "",
                    &blocks,
                    expect![[r#"
                        1 medium blind 0xab $0.00: 1 of 4 state reads unavailable
                    "#]],
                );
            } else {
                check("bad-debt", "", &books("0,0,100000e18,1e18", ethx), silent);
            }
        }
    }
}
