//! What adapters hand over and the engines read: a pool with its market, instruments, accounts and backstop.
//! Invariant: a [`CompiledBook`] holds no duplicate, unknown, expired or non-finite entry; what is merely
//! doubtful is in its [`QualityReport`] and widens every result.

pub mod amount;
pub mod exposure;
pub mod quality;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use amount::{Decimals, scaled};
pub use exposure::{ExposureReport, Totals, exposure_report};
pub use quality::{Flag, Gate, QualityReport, QualityRules};

use crate::error::{RiskError, finite, non_negative, positive};
use crate::scenario::{BookAccount, Leg};

/// Most instruments of a book.
pub const INSTRUMENTS_MAX: usize = 100_000;
/// Most accounts of a book.
pub const ACCOUNTS_MAX: usize = 1_000_000;

/// One pool or venue on one underlying.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PoolBook {
    /// Its name.
    pub pool: String,
    /// The underlying.
    pub asset: String,
    /// The market it is valued in.
    pub market: MarketState,
    /// What is traded.
    #[serde(default)]
    pub instruments: Vec<Instrument>,
    /// Who holds it.
    #[serde(default)]
    pub accounts: Vec<AccountState>,
    /// Insurance fund or security module, in USD.
    #[serde(default)]
    pub fund_usd: f64,
}

/// Prices of the underlying and how old they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MarketState {
    /// Index, USD per coin.
    pub index: f64,
    /// Age of the index in milliseconds.
    #[serde(default)]
    pub index_age_ms: u64,
    /// Age of the chain state in milliseconds.
    #[serde(default)]
    pub chain_age_ms: u64,
    /// The same index at other venues.
    #[serde(default)]
    pub venues: Vec<f64>,
    /// Block of the chain state.
    #[serde(default)]
    pub block: Option<u64>,
}

/// One instrument with its quote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Instrument {
    /// Its name, unique in the book.
    pub id: String,
    /// What it is.
    pub leg: Leg,
    /// What it trades at, if it does.
    #[serde(default)]
    pub quote: Option<Quote>,
    /// Open interest in its own unit, if the venue tells.
    #[serde(default)]
    pub open_interest: Option<f64>,
}

/// A quote. All prices in the same unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Quote {
    /// Best bid.
    #[serde(default)]
    pub bid: Option<f64>,
    /// Best ask.
    #[serde(default)]
    pub ask: Option<f64>,
    /// Mark.
    #[serde(default)]
    pub mark: Option<f64>,
    /// Smallest price step; zero if unknown.
    #[serde(default)]
    pub tick: f64,
    /// Whether the prices are in coins.
    #[serde(default)]
    pub coin: bool,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AccountState {
    /// Its name, unique in the book.
    pub id: String,
    /// Collateral in USD; negative for a debt.
    #[serde(default)]
    pub usd: f64,
    /// Collateral in coins; negative for a debt.
    #[serde(default)]
    pub coins: f64,
    /// What it holds.
    #[serde(default)]
    pub positions: Vec<PositionState>,
}

/// A quantity of an instrument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PositionState {
    /// Name of the instrument.
    pub instrument: String,
    /// Long above zero.
    pub quantity: f64,
}

/// A checked book, ready for the engines.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledBook {
    /// Instruments, in the order of the source.
    pub legs: Vec<Leg>,
    /// Their names.
    pub names: Vec<String>,
    /// Accounts, in the order of the source.
    pub accounts: Vec<BookAccount>,
    /// Their names.
    pub holders: Vec<String>,
    /// Index price.
    pub spot: f64,
    /// Fund in USD.
    pub fund: f64,
    /// What is doubtful.
    pub quality: QualityReport,
}

impl PoolBook {
    /// Checks the book and judges its data.
    ///
    /// # Errors
    /// Duplicate or expired instruments, duplicate accounts, unknown instruments, numbers that are not finite or
    /// outside their domain, a book too large, or amounts a million times out of scale (gate DQ8).
    pub fn compile(&self, rules: &QualityRules) -> Result<CompiledBook, RiskError> {
        let spot = positive("index", self.market.index)?;
        let fund = non_negative("insurance fund", self.fund_usd)?;
        at_most("instruments", self.instruments.len(), INSTRUMENTS_MAX)?;
        at_most("accounts", self.accounts.len(), ACCOUNTS_MAX)?;
        let mut by_name = BTreeMap::new();
        for (at, it) in self.instruments.iter().enumerate() {
            if by_name.insert(it.id.as_str(), at).is_some() {
                return Err(RiskError::Duplicate { name: "instrument", id: it.id.clone() });
            }
            it.leg.validate()?;
            if let Some(years) = it.leg.years().filter(|t| *t <= 0.0) {
                return Err(RiskError::Expired { seconds_ago: -years * 31_536_000.0 });
            }
        }
        let mut holders: Vec<&str> = self.accounts.iter().map(|a| a.id.as_str()).collect();
        holders.sort_unstable();
        if let Some(pair) = holders.windows(2).find(|w| w[0] == w[1]) {
            return Err(RiskError::Duplicate { name: "account", id: pair[0].to_owned() });
        }
        let accounts: Vec<BookAccount> =
            self.accounts.iter().map(|a| account(a, &by_name)).collect::<Result<_, _>>()?;
        let quality = quality::judge(self, &accounts, rules)?;
        Ok(CompiledBook {
            legs: self.instruments.iter().map(|i| i.leg).collect(),
            names: self.instruments.iter().map(|i| i.id.clone()).collect(),
            accounts,
            holders: self.accounts.iter().map(|a| a.id.clone()).collect(),
            spot,
            fund,
            quality,
        })
    }
}

fn at_most(name: &'static str, got: usize, most: usize) -> Result<(), RiskError> {
    if got <= most {
        return Ok(());
    }
    Err(RiskError::OutOfDomain { name, value: got as f64, domain: "within the limit of a book" })
}

fn account(a: &AccountState, names: &BTreeMap<&str, usize>) -> Result<BookAccount, RiskError> {
    let mut positions: Vec<(usize, f64)> = Vec::with_capacity(a.positions.len());
    for p in &a.positions {
        let Some(at) = names.get(p.instrument.as_str()) else {
            return Err(RiskError::Unknown { name: "instrument", id: p.instrument.clone() });
        };
        let quantity = finite("quantity", p.quantity)?;
        if positions.iter().any(|(i, _)| i == at) {
            let id = format!("{} of {}", p.instrument, a.id);
            return Err(RiskError::Duplicate { name: "position", id });
        }
        positions.push((*at, quantity));
    }
    let (usd, coins) = (finite("collateral", a.usd)?, finite("collateral", a.coins)?);
    Ok(BookAccount { usd, coins, positions })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pricing::OptionKind;
    use crate::scenario::GridInstrument;

    pub(crate) fn sample() -> PoolBook {
        let option = |id: &str, kind, strike| Instrument {
            id: id.to_owned(),
            leg: Leg::Option(GridInstrument {
                kind,
                strike,
                forward: 3_000.0,
                vol: 0.7,
                years: 0.05,
            }),
            quote: None,
            open_interest: None,
        };
        let holds = |instrument: &str, quantity| PositionState {
            instrument: instrument.to_owned(),
            quantity,
        };
        PoolBook {
            pool: "ETH-OPT".into(),
            asset: "ETH".into(),
            market: MarketState {
                index: 3_000.0,
                index_age_ms: 500,
                chain_age_ms: 12_000,
                venues: vec![3_000.5, 2_999.0],
                block: Some(7),
            },
            instruments: vec![
                option("P2800", OptionKind::Put, 2_800.0),
                option("C3300", OptionKind::Call, 3_300.0),
            ],
            accounts: vec![
                AccountState {
                    id: "writer".into(),
                    usd: 0.0,
                    coins: 20.0,
                    positions: vec![holds("P2800", -100.0), holds("C3300", -50.0)],
                },
                AccountState {
                    id: "buyer".into(),
                    usd: 1_000.0,
                    coins: 0.0,
                    positions: vec![holds("P2800", 100.0), holds("C3300", 50.0)],
                },
            ],
            fund_usd: 50_000.0,
        }
    }

    #[test]
    fn a_book_that_contradicts_itself_is_refused_by_kind() {
        let rules = QualityRules::default();
        assert!(sample().compile(&rules).unwrap().quality.flags.is_empty());
        let with = |change: &dyn Fn(&mut PoolBook)| {
            let mut b = sample();
            change(&mut b);
            b.compile(&rules).unwrap_err()
        };
        let twice = with(&|b| b.instruments[1].id = "P2800".into());
        assert!(matches!(twice, RiskError::Duplicate { name: "instrument", .. }));
        let twin = with(&|b| b.accounts[1].id = "writer".into());
        assert!(matches!(twin, RiskError::Duplicate { name: "account", .. }));
        let again = with(&|b| b.accounts[0].positions[1].instrument = "P2800".into());
        assert!(matches!(again, RiskError::Duplicate { name: "position", .. }));
        let gone = with(&|b| b.accounts[0].positions[1].instrument = "C9".into());
        assert!(matches!(gone, RiskError::Unknown { .. }));
        let old = with(&|b| {
            if let Leg::Option(o) = &mut b.instruments[0].leg {
                o.years = -0.01;
            }
        });
        assert!(matches!(old, RiskError::Expired { .. }));
        for bad in [f64::NAN, f64::INFINITY, -5.0, 0.0] {
            with(&|b| b.market.index = bad);
        }
        for bad in [f64::NAN, f64::NEG_INFINITY] {
            with(&|b| b.accounts[0].positions[0].quantity = bad);
            with(&|b| b.accounts[0].coins = bad);
            with(&|b| b.fund_usd = bad);
        }
    }

    #[test]
    fn a_book_survives_json_and_unknown_fields_are_refused() {
        let json = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<PoolBook>(&json).unwrap(), sample());
        let odd = json.replacen("\"pool\"", "\"pol\"", 1);
        assert!(serde_json::from_str::<PoolBook>(&odd).is_err());
    }
}
