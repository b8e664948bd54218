//! Books of venues off the chain: one position a line as CSV, or a whole book as JSON. Deribit's column names and
//! instrument names are understood.
//!
//! **Invariant:** a cell that cannot be used is an error with its line and column; nothing is skipped in silence.

mod csv;
mod deribit;

use std::collections::BTreeMap;

use cofferdam_risk::book::{AccountState, Instrument, MarketState, PoolBook, PositionState, Quote};
use cofferdam_risk::pricing::OptionKind;
use cofferdam_risk::scenario::{GridInstrument, Leg};

/// Longest text read, in bytes.
pub const BYTES_MAX: usize = 64 << 20;
/// Seconds of a 365-day year.
const YEAR_SECONDS: f64 = 31_536_000.0;
/// A fraction of volatility above this is a percentage by mistake.
const VOL_MAX: f64 = 20.0;

/// Why a book cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BookError {
    /// The text itself is broken.
    #[error("line {line}: {why}")]
    Text {
        /// Line, from one.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// One cell cannot be used.
    #[error("line {line}, column {column}: {why}")]
    Cell {
        /// Line, from one.
        line: usize,
        /// Column name.
        column: String,
        /// What is wrong.
        why: String,
    },
    /// The JSON is not a book.
    #[error("not a book: {0}")]
    Json(String),
    /// More than [`BYTES_MAX`].
    #[error("more than {} MiB", BYTES_MAX >> 20)]
    TooLarge,
}

impl BookError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Text { .. } => "fields are separated by commas; quote a field that holds one",
            Self::Cell { .. } => {
                "docs/reference/adapters/book.md lists the columns and their units"
            }
            Self::Json(_) => "docs/reference/adapters/book.md shows a book as JSON",
            Self::TooLarge => "split the book by underlying",
        }
    }
}

/// Its page.
pub const PAGE: &str = include_str!("book.md");

/// Reads a JSON book (it begins with `{`) or a CSV one. `now` is unix seconds; a `timestamp` column (milliseconds)
/// takes its place where there is one.
///
/// # Errors
/// [`BookError`] at the first cell that cannot be used.
pub fn read_book(text: &str, now: u64) -> Result<PoolBook, BookError> {
    if text.len() > BYTES_MAX {
        return Err(BookError::TooLarge);
    }
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|e| BookError::Json(e.to_string()));
    }
    let table = csv::parse(text)?;
    let mut out = Reading::default();
    for row in table.rows() {
        out.take(&row, now)?;
    }
    out.finish()
}

/// A book under construction.
#[derive(Default)]
struct Reading {
    asset: Option<String>,
    index: Option<f64>,
    timestamp: Option<u64>,
    instruments: BTreeMap<String, Instrument>,
    accounts: BTreeMap<String, AccountState>,
}

impl Reading {
    fn take(&mut self, row: &csv::Row<'_>, now: u64) -> Result<(), BookError> {
        let account = row.text(&["account", "account_id", "subaccount"]).unwrap_or("book");
        let quantity = row.number(&["quantity", "qty", "size", "amount", "position"])?;
        if let Some(index) = row.positive(&["index", "index_price", "spot"])? {
            // Venues poll for minutes: the first index stands, the gates judge the rest.
            self.index.get_or_insert(index);
        }
        let stamp = row.number(&["timestamp", "timestamp_ms"])?;
        let now = stamp.map_or(now, |ms| (ms / 1_000.0) as u64);
        self.timestamp = self.timestamp.max(stamp.map(|_| now));
        let kind = row.text(&["kind", "type", "option_type", "instrument_type"]);
        if let Some(asset) = row.text(&["asset", "base_currency", "currency", "coin"]) {
            self.set_asset(row, asset)?;
        }
        if let Some(kind @ ("cash" | "usd" | "collateral-usd" | "collateral-coin")) = kind {
            let amount = quantity.ok_or_else(|| row.missing("quantity"))?;
            let a = self.account(account);
            if kind == "collateral-coin" {
                a.coins += amount
            } else {
                a.usd += amount
            }
            return Ok(());
        }
        let name = row.text(&["instrument", "instrument_name", "symbol"]);
        let name = name.ok_or_else(|| row.missing("instrument"))?.to_owned();
        let named = deribit::parse(&name);
        if let Some(n) = &named {
            self.set_asset(row, &n.asset)?;
        }
        let leg = leg(row, kind, named.as_ref(), now)?;
        let instrument = Instrument {
            id: name.clone(),
            leg,
            quote: quote(row)?,
            open_interest: row.non_negative(&["open_interest", "oi"])?,
        };
        match self.instruments.get(&name) {
            Some(present) if present.leg != instrument.leg => {
                return Err(
                    row.wrong("instrument", "differs from an earlier line of the same name")
                );
            }
            _ => {
                self.instruments.insert(name.clone(), instrument);
            }
        }
        if let Some(quantity) = quantity {
            let a = self.account(account);
            match a.positions.iter_mut().find(|p| p.instrument == name) {
                Some(p) => p.quantity += quantity,
                None => a.positions.push(PositionState { instrument: name, quantity }),
            }
        }
        Ok(())
    }

    fn set_asset(&mut self, row: &csv::Row<'_>, asset: &str) -> Result<(), BookError> {
        match &self.asset {
            Some(present) if present != asset => {
                let why = format!("{asset} in a book on {present}: one book has one underlying");
                Err(row.wrong("asset", &why))
            }
            _ => {
                self.asset = Some(asset.to_owned());
                Ok(())
            }
        }
    }

    fn account(&mut self, id: &str) -> &mut AccountState {
        let fresh = || AccountState { id: id.to_owned(), ..AccountState::default() };
        self.accounts.entry(id.to_owned()).or_insert_with(fresh)
    }

    fn finish(self) -> Result<PoolBook, BookError> {
        let asset = self.asset.unwrap_or_else(|| "coin".to_owned());
        let first = self.instruments.values().next().map(|i| i.leg.price());
        let index = self.index.or(first).ok_or_else(|| BookError::Text {
            line: 1,
            why: "there is neither an index nor an instrument".to_owned(),
        })?;
        Ok(PoolBook {
            pool: format!("{asset} book"),
            asset,
            market: MarketState {
                index,
                index_age_ms: 0,
                chain_age_ms: 0,
                venues: Vec::new(),
                block: None,
            },
            instruments: self.instruments.into_values().collect(),
            accounts: self.accounts.into_values().collect(),
            fund_usd: 0.0,
        })
    }
}

const FORWARD: [&str; 6] =
    ["forward", "underlying_price", "futures_price", "underlying", "mark_futures", "index_price"];

fn leg(
    row: &csv::Row<'_>,
    kind: Option<&str>,
    named: Option<&deribit::Name>,
    now: u64,
) -> Result<Leg, BookError> {
    let kind = kind.map(str::to_ascii_lowercase);
    let what = match (kind.as_deref(), named.map(|n| n.what)) {
        (Some("call" | "c"), _) | (_, Some(deribit::What::Option(_, OptionKind::Call))) => "call",
        (Some("put" | "p"), _) | (_, Some(deribit::What::Option(_, OptionKind::Put))) => "put",
        (Some("future" | "perpetual" | "linear"), None) => "linear",
        (Some("inverse" | "inverse-future" | "inverse-perpetual"), _)
        | (_, Some(deribit::What::Future | deribit::What::Perpetual)) => "inverse",
        (Some("spot"), _) => "spot",
        _ => return Err(row.wrong("kind", "names no instrument this reads")),
    };
    let forward = row.positive(&FORWARD)?.ok_or_else(|| row.missing("forward"))?;
    if matches!(what, "call" | "put") {
        let kind = if what == "call" { OptionKind::Call } else { OptionKind::Put };
        let strike = row.positive(&["strike", "strike_price"])?;
        let from_name = named.and_then(|n| match n.what {
            deribit::What::Option(strike, _) => Some(strike),
            _ => None,
        });
        let strike = strike.or(from_name).ok_or_else(|| row.missing("strike"))?;
        return Ok(Leg::Option(GridInstrument {
            kind,
            strike,
            forward,
            vol: volatility(row)?,
            years: years(row, named, now)?,
        }));
    }
    let entry = row.positive(&["entry", "entry_price", "average_price"])?.unwrap_or(forward);
    Ok(match what {
        "spot" => Leg::Spot { price: forward },
        "linear" => Leg::Linear { price: forward, entry },
        _ => Leg::Inverse { price: forward, entry },
    })
}

/// Fractions, or percentages where the column's venue has them so.
fn volatility(row: &csv::Row<'_>) -> Result<f64, BookError> {
    if let Some(percent) = row.non_negative(&["mark_iv"])? {
        return Ok(percent / 100.0);
    }
    let columns = ["vol", "iv", "implied_volatility", "volatility"];
    let vol = row.non_negative(&columns)?.ok_or_else(|| row.missing("vol"))?;
    if vol > VOL_MAX {
        return Err(
            row.wrong("vol", "is a fraction, 0.65 for 65 %; a percentage goes into mark_iv")
        );
    }
    Ok(vol)
}

fn years(row: &csv::Row<'_>, named: Option<&deribit::Name>, now: u64) -> Result<f64, BookError> {
    if let Some(years) = row.number(&["years"])? {
        return Ok(years);
    }
    let stamp = row.number(&["expiry", "expiration_timestamp"])?;
    // Beyond the year 2200 in seconds it is milliseconds.
    let seconds = stamp.map(|t| if t > 7.3e9 { t / 1_000.0 } else { t });
    let expiry = seconds.or(named.and_then(|n| n.expiry).map(|t| t as f64));
    let expiry = expiry.ok_or_else(|| row.missing("expiry"))?;
    Ok((expiry - now as f64) / YEAR_SECONDS)
}

fn quote(row: &csv::Row<'_>) -> Result<Option<Quote>, BookError> {
    let bid = row.non_negative(&["bid", "bid_price", "best_bid_price"])?;
    let ask = row.non_negative(&["ask", "ask_price", "best_ask_price"])?;
    let mark = row.non_negative(&["mark", "mark_price"])?;
    let tick = row.non_negative(&["tick", "tick_size"])?.unwrap_or(0.0);
    let coin = !matches!(row.text(&["quote_unit", "quote_currency"]), Some("usd" | "USD" | "USDC"));
    let any = bid.or(ask).or(mark).is_some();
    Ok(any.then_some(Quote { bid, ask, mark, tick, coin }))
}

#[cfg(test)]
mod tests {
    use cofferdam_risk::book::QualityRules;
    use proptest::prelude::*;

    use super::*;

    /// 2026-03-01 00:00 UTC.
    const NOW: u64 = 1_772_323_200;

    #[test]
    fn deribit_rows_become_a_book() {
        let text = "account,instrument_name,qty,underlying_price,mark_iv,mark_price,best_bid_price,best_ask_price,index_price\n\
             desk,BTC-27MAR26-60000-P,-100,63858,55.0,0.0280,0.0275,0.0285,63800\n\
             \"desk\",BTC-PERPETUAL,250000,63810,,,,,63800\n";
        let mut text = text.to_owned();
        text.push_str("desk,,12.5,,,,,,\n");
        let error = read_book(&text, NOW).unwrap_err();
        assert!(
            matches!(&error, BookError::Cell { line: 4, column, .. } if column == "instrument"),
            "{error}"
        );
        let text = text.replace("desk,,12.5,,,,,,\n", "");
        let book = read_book(&text, NOW).unwrap();
        assert_eq!(
            (book.asset.as_str(), book.instruments.len(), book.accounts.len()),
            ("BTC", 2, 1)
        );
        let option = book.instruments[0].leg.option().unwrap();
        assert_eq!((option.strike, option.vol, option.kind), (60_000.0, 0.55, OptionKind::Put));
        // 26 days and 8 hours.
        assert!((option.years * 365.0 - 26.0 - 1.0 / 3.0).abs() < 1e-9, "{}", option.years * 365.0);
        assert!(matches!(book.instruments[1].leg, Leg::Inverse { .. }));
        assert!(book.compile(&QualityRules::default()).is_ok());
    }

    #[test]
    fn collateral_lines_and_plain_names_are_understood() {
        let text = "account,kind,instrument,quantity,strike,forward,vol,years,asset\n\
            a,collateral-coin,,5,,,,,ETH\na,cash,,1000,,,,,\n\
            a,put,P1,-2,2800,3000,0.7,0.1,ETH\nb,put,P1,2,2800,3000,0.7,0.1,ETH\n";
        let book = read_book(text, NOW).unwrap();
        assert_eq!((book.accounts[0].coins, book.accounts[0].usd), (5.0, 1_000.0));
        assert_eq!(book.instruments.len(), 1);
    }

    #[test]
    fn cells_that_cannot_be_used_are_named() {
        let header = "account,kind,instrument,quantity,strike,forward,vol,years\n";
        let fails = |line: &str, column: &str| {
            let e = read_book(&format!("{header}{line}\n"), NOW).unwrap_err();
            assert!(
                matches!(&e, BookError::Cell { line: 2, column: c, .. } if c == column),
                "{line}: {e}"
            );
        };
        fails("a,put,P,-2,2800,3000,NaN,0.1", "vol");
        fails("a,put,P,-2,2800,3000,65,0.1", "vol");
        fails("a,put,P,-2,2800,-3000,0.6,0.1", "forward");
        fails("a,put,P,-2,2800,0,0.6,0.1", "forward");
        fails("a,put,P,inf,2800,3000,0.6,0.1", "quantity");
        fails("a,put,P,two,2800,3000,0.6,0.1", "quantity");
        fails("a,swaption,P,1,2800,3000,0.6,0.1", "kind");
        fails("a,put,P,1,,3000,0.6,0.1", "strike");
        fails("a,put,P,1,2800,3000,0.6,", "expiry");
        let twice = format!("{header}a,put,P,1,2800,3000,0.6,0.1\na,put,P,1,2900,3000,0.6,0.1\n");
        assert!(read_book(&twice, NOW).is_err());
        let mixed = "instrument,quantity,forward,vol\nBTC-27MAR26-60000-P,1,6e4,0.5\nETH-27MAR26-3000-P,1,3e3,0.5\n";
        assert!(read_book(mixed, NOW).is_err());
        let old = "instrument,quantity,forward,vol\nBTC-27MAR20-60000-P,1,6e4,0.5\n";
        let expired = read_book(old, NOW).unwrap().compile(&QualityRules::default());
        assert!(matches!(expired, Err(cofferdam_risk::RiskError::Expired { .. })));
        assert!(read_book("{\"pool\":1}", NOW).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-zA-Z0-9,\"\n.\\-{}: ]{0,300}") {
            let _ = read_book(&text, NOW);
            let _ = read_book(&format!("account,instrument,quantity,forward,vol,kind\n{text}"), NOW);
        }
    }
}
