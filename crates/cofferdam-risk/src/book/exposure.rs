//! The exposure report: Greeks of a book in both numeraires, by expiry and strike, with the largest accounts.
//! Invariant: totals are sums of their parts, and doubtful data shows as an interval.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CompiledBook;
use crate::error::{RiskError, finite};
use crate::scenario::{BookAccount, Leg, LegGreeks};

/// Accounts listed.
const TOP_ACCOUNTS: usize = 10;
/// Accounts whose share is the concentration figure.
const TOP_SHARE: usize = 5;

/// Sums over a part of the book.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// Value in USD, collateral included.
    pub value_usd: f64,
    /// Value in coins at the index, collateral included.
    pub value_coin: f64,
    /// Delta in coins of a book measured in USD.
    pub delta: f64,
    /// Delta in coins of a book measured in coins.
    pub delta_coin: f64,
    /// Change of delta in coins when the price moves 1 %.
    pub gamma_percent: f64,
    /// USD per volatility point.
    pub vega_point: f64,
    /// USD per day.
    pub theta_day: f64,
    /// Change of delta per volatility point.
    pub vanna_point: f64,
    /// Change of vega per point, per point.
    pub volga_point: f64,
}

impl Totals {
    fn add(&mut self, leg: &Leg, g: &LegGreeks, q: f64) {
        self.value_usd += q * g.value;
        self.value_coin += q * g.value_coin;
        self.delta += q * g.delta;
        self.delta_coin += q * g.delta_coin;
        self.gamma_percent += q * g.gamma * leg.price() * 0.01;
        self.vega_point += q * g.vega * 0.01;
        self.theta_day += q * g.theta_day;
        self.vanna_point += q * g.vanna * 0.01;
        self.volga_point += q * g.volga * 1e-4;
    }

    fn collateral(&mut self, a: &BookAccount, spot: f64) {
        self.value_usd += a.usd + a.coins * spot;
        self.value_coin += a.coins + a.usd / spot;
        self.delta += a.coins;
        self.delta_coin -= a.usd / spot;
    }

    fn fields(&mut self) -> [&mut f64; 9] {
        [
            &mut self.value_usd,
            &mut self.value_coin,
            &mut self.delta,
            &mut self.delta_coin,
            &mut self.gamma_percent,
            &mut self.vega_point,
            &mut self.theta_day,
            &mut self.vanna_point,
            &mut self.volga_point,
        ]
    }
}

/// One account's share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccountExposure {
    /// Its name.
    pub id: String,
    /// Equity in USD, collateral and positions.
    pub equity_usd: f64,
    /// Its delta in coins, measured in USD.
    pub delta: f64,
    /// Share of the gross value of positions.
    pub share: f64,
}

/// Greeks of one strike or one expiry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bucket {
    /// Strike in USD, or days to expiry.
    pub at: f64,
    /// Sums.
    pub totals: Totals,
}

/// The report. Positions are those of all accounts together; a closed venue nets to zero, so a pool's report is
/// made over the accounts it owns or guarantees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExposureReport {
    /// Sums at the marks.
    pub total: Totals,
    /// Least of each sum within the widening.
    pub low: Totals,
    /// Most of each sum within the widening.
    pub high: Totals,
    /// By days to expiry, perpetuals left out, ascending.
    pub by_expiry: Vec<Bucket>,
    /// By strike, ascending.
    pub by_strike: Vec<Bucket>,
    /// Largest accounts by gross value of positions.
    pub top_accounts: Vec<AccountExposure>,
    /// Herfindahl index of those shares, 0 to 1.
    pub concentration: f64,
    /// Share of the five largest.
    pub top_five_share: f64,
    /// Instruments whose forward sits on the strike at the end.
    pub pin_risks: Vec<String>,
}

/// Makes the report.
///
/// # Errors
/// A leg that does not price at the ends of the widening, or sums out of range.
pub fn exposure_report(book: &CompiledBook) -> Result<ExposureReport, RiskError> {
    let greeks: Vec<LegGreeks> = book.legs.iter().map(Leg::greeks).collect::<Result<_, _>>()?;
    let mut net = vec![0.0; book.legs.len()];
    for (i, q) in book.accounts.iter().flat_map(|a| &a.positions) {
        net[*i] += q;
    }
    let total = sums(book, &book.legs, &greeks, &net, 1.0)?;
    let (low, high) = interval(book, &net, total)?;
    let (mut by_expiry, mut by_strike) = (BTreeMap::new(), BTreeMap::new());
    for ((leg, g), q) in book.legs.iter().zip(&greeks).zip(&net) {
        if let Some(o) = leg.option() {
            // Strikes and times are positive here, so their bits sort as they do.
            for (map, at) in [(&mut by_expiry, o.years * 365.0), (&mut by_strike, o.strike)] {
                map.entry(at.to_bits()).or_insert_with(Totals::default).add(leg, g, *q);
            }
        }
    }
    let buckets = |map: BTreeMap<u64, Totals>| {
        map.into_iter().map(|(at, totals)| Bucket { at: f64::from_bits(at), totals }).collect()
    };
    let (top_accounts, concentration, top_five_share) = accounts(book, &greeks);
    let pin_risks = book.names.iter().zip(&greeks).filter(|(_, g)| g.pin_risk);
    Ok(ExposureReport {
        total,
        low,
        high,
        by_expiry: buckets(by_expiry),
        by_strike: buckets(by_strike),
        top_accounts,
        concentration,
        top_five_share,
        pin_risks: pin_risks.map(|(n, _)| n.clone()).collect(),
    })
}

fn sums(
    book: &CompiledBook,
    legs: &[Leg],
    greeks: &[LegGreeks],
    net: &[f64],
    shock: f64,
) -> Result<Totals, RiskError> {
    let mut out = Totals::default();
    for ((leg, g), q) in legs.iter().zip(greeks).zip(net) {
        out.add(leg, g, *q);
    }
    book.accounts.iter().for_each(|a| out.collateral(a, book.spot * shock));
    for x in out.fields() {
        finite("exposure", *x)?;
    }
    Ok(out)
}

/// Re-evaluates at the corners of the widening; quantities stretch both ends.
fn interval(
    book: &CompiledBook,
    net: &[f64],
    total: Totals,
) -> Result<(Totals, Totals), RiskError> {
    let w = book.quality.widening;
    let (mut low, mut high) = (total, total);
    for spot in [-w.spot, w.spot] {
        for vol in [-w.vol, w.vol] {
            let shock = (1.0 + spot).max(0.01);
            let legs: Vec<Leg> = book.legs.iter().map(|l| moved(l, shock, vol)).collect();
            let greeks: Vec<LegGreeks> = legs.iter().map(Leg::greeks).collect::<Result<_, _>>()?;
            let mut at = sums(book, &legs, &greeks, net, shock)?;
            for ((lo, hi), x) in low.fields().into_iter().zip(high.fields()).zip(at.fields()) {
                let reach = x.abs() * w.quantity;
                *lo = lo.min(*x - reach);
                *hi = hi.max(*x + reach);
            }
        }
    }
    Ok((low, high))
}

fn moved(leg: &Leg, shock: f64, vol: f64) -> Leg {
    let mut out = *leg;
    match &mut out {
        Leg::Option(o) => {
            o.forward *= shock;
            o.vol = (o.vol + vol).max(0.0);
        }
        Leg::Linear { price, .. }
        | Leg::Inverse { price, .. }
        | Leg::Power { price, .. }
        | Leg::Range { price, .. }
        | Leg::Spot { price } => *price *= shock,
    }
    out
}

fn accounts(book: &CompiledBook, greeks: &[LegGreeks]) -> (Vec<AccountExposure>, f64, f64) {
    let gross = |a: &BookAccount| -> f64 {
        a.positions.iter().map(|(i, q)| (q * greeks[*i].value).abs()).sum()
    };
    let whole: f64 = book.accounts.iter().map(gross).sum();
    let mut rows: Vec<AccountExposure> = book
        .accounts
        .iter()
        .zip(&book.holders)
        .map(|(a, id)| {
            let held = |f: &dyn Fn(&LegGreeks) -> f64| -> f64 {
                a.positions.iter().map(|(i, q)| q * f(&greeks[*i])).sum()
            };
            AccountExposure {
                id: id.clone(),
                equity_usd: a.usd + a.coins * book.spot + held(&|g| g.value),
                delta: a.coins + held(&|g| g.delta),
                share: if whole > 0.0 { gross(a) / whole } else { 0.0 },
            }
        })
        .collect();
    rows.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.id.cmp(&b.id)));
    let concentration = rows.iter().map(|r| r.share * r.share).sum();
    let top_five = rows.iter().take(TOP_SHARE).map(|r| r.share).sum();
    rows.truncate(TOP_ACCOUNTS);
    (rows, concentration, top_five)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::QualityRules;
    use crate::book::tests::sample;

    #[test]
    fn buckets_sum_to_the_whole_and_the_usd_delta_identity_holds() {
        let mut source = sample();
        source.accounts.truncate(1);
        let book = source.compile(&QualityRules::default()).unwrap();
        let r = exposure_report(&book).unwrap();
        let vega: f64 = r.by_strike.iter().map(|b| b.totals.vega_point).sum();
        assert!((vega - r.total.vega_point).abs() < 1e-9 * vega.abs());
        assert_eq!(r.by_expiry.len(), 1);
        // d/dF [F (B + sum q u)] = B + sum q delta, by a bump of the whole book.
        let value = |shock: f64| {
            let held: f64 = book.accounts[0]
                .positions
                .iter()
                .map(|(i, q)| q * book.legs[*i].value(shock, 0.7, 0.0).unwrap())
                .sum();
            held + book.accounts[0].coins * book.spot * shock
        };
        let h = 1e-5;
        let bump = (value(1.0 + h) - value(1.0 - h)) / (2.0 * h * book.spot);
        assert!((bump - r.total.delta).abs() < 1e-5 * r.total.delta.abs(), "{bump} {:?}", r.total);
        assert!((r.concentration - 1.0).abs() < 1e-12 && r.top_accounts[0].id == "writer");
    }
}
