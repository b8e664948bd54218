//! Options that expire while a venue is paused: settle them, postpone them, or settle on an attested average. The
//! three pay different sides, and a responder must see if a pause hands money to one of them.

use serde::{Deserialize, Serialize};

use super::grid::GridInstrument;
use crate::error::{RiskError, finite, non_negative, positive};
use crate::pricing::settlement::THIRTY_MINUTES;

/// Samples of a settlement average, one a minute.
pub const SAMPLES: u32 = 30;

/// An option expiring inside the pause with who holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpiringOption {
    /// Its name.
    pub id: String,
    /// The option.
    pub option: GridInstrument,
    /// Holders and quantities, long above zero.
    pub holders: Vec<(String, f64)>,
}

/// What is done with an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpiryChoice {
    /// Settlement stays open, trading does not: the average as published.
    Settle,
    /// The option lives until the pause ends.
    Postpone,
    /// Settlement on an average attested off chain.
    Attest,
}

/// One expiry under the three choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExpiryComparison {
    /// The option.
    pub id: String,
    /// Hours from now.
    pub hours: f64,
    /// Seconds until the averaging begins; zero if it has begun.
    pub seconds_to_average: f64,
    /// Samples of the average that a pause of the oracle would lose.
    pub samples_missing: u32,
    /// Long quantity: the open interest.
    pub open_interest: f64,
    /// What the longs are paid at today's forward, USD.
    pub in_the_money: f64,
    /// The forward is within half a percent of the strike.
    pub pin_risk: bool,
    /// USD the shorts pay the longs under settle, postpone, attest.
    pub paid: [f64; 3],
    /// What each holder gains by postponing instead of settling, USD, largest first.
    pub postponing_gains: Vec<(String, f64)>,
    /// What each holder gains by the attested average instead of settling, USD, largest first.
    pub attesting_gains: Vec<(String, f64)>,
}

/// Prices of the three choices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SettlementPrices {
    /// Published average, or the forward when it is not known yet.
    pub published: f64,
    /// Attested average.
    pub attested: f64,
    /// Hours the oracle is down from now; samples inside are missing.
    pub oracle_down_hours: f64,
}

/// Compares the choices for every expiry inside a pause of `hours`.
///
/// # Errors
/// Prices or quantities outside their domain.
pub fn compare_expiries(
    options: &[ExpiringOption],
    prices: &SettlementPrices,
    hours: f64,
) -> Result<Vec<ExpiryComparison>, RiskError> {
    let hours = positive("hours", hours)?;
    positive("published average", prices.published)?;
    positive("attested average", prices.attested)?;
    non_negative("oracle down", prices.oracle_down_hours)?;
    let mut out = Vec::new();
    for it in options {
        let life = it.option.years * 8_760.0;
        if life > 0.0 && life <= hours {
            out.push(compare(it, prices, hours)?);
        }
    }
    out.sort_by(|a, b| a.hours.total_cmp(&b.hours).then_with(|| a.id.cmp(&b.id)));
    Ok(out)
}

fn compare(
    it: &ExpiringOption,
    prices: &SettlementPrices,
    hours: f64,
) -> Result<ExpiryComparison, RiskError> {
    let o = &it.option;
    let payoff = |s: f64| (o.kind.sign() * (s - o.strike)).max(0.0);
    // Postponed, the option is worth its price over the rest of the pause.
    let longer = GridInstrument { years: hours / 8_760.0, ..*o };
    let postponed = super::Leg::Option(longer).value(1.0, o.vol, 0.0)?;
    let unit = [payoff(prices.published), postponed, payoff(prices.attested)];
    let mut long = 0.0;
    for (_, q) in &it.holders {
        long += finite("quantity", *q)?.max(0.0);
    }
    let gains = |alternative: f64| {
        let mut rows: Vec<(String, f64)> =
            it.holders.iter().map(|(id, q)| (id.clone(), q * (alternative - unit[0]))).collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    };
    let to_expiry = o.years * 31_536_000.0;
    let window = THIRTY_MINUTES * 31_536_000.0;
    let start = (to_expiry - window).max(0.0);
    let down = (prices.oracle_down_hours * 3_600.0).min(to_expiry) - start;
    let lost = (down / window * f64::from(SAMPLES)).clamp(0.0, f64::from(SAMPLES));
    Ok(ExpiryComparison {
        id: it.id.clone(),
        hours: o.years * 8_760.0,
        seconds_to_average: start,
        samples_missing: libm::ceil(lost) as u32,
        open_interest: long,
        in_the_money: long * payoff(o.forward),
        pin_risk: (o.forward / o.strike - 1.0).abs() < 0.005,
        paid: unit.map(|u| long * u),
        postponing_gains: gains(unit[1]),
        attesting_gains: gains(unit[2]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::OptionKind;

    #[test]
    fn postponing_hands_time_value_to_the_longs_and_takes_it_from_the_shorts() {
        let option = GridInstrument {
            kind: OptionKind::Put,
            strike: 3_000.0,
            forward: 3_005.0,
            vol: 0.8,
            years: 2.0 / 8_760.0,
        };
        let holders = vec![("writer".to_owned(), -10.0), ("buyer".to_owned(), 10.0)];
        let it = ExpiringOption { id: "P3000".into(), option, holders };
        let prices =
            SettlementPrices { published: 3_005.0, attested: 2_990.0, oracle_down_hours: 1.75 };
        let rows = compare_expiries(std::slice::from_ref(&it), &prices, 6.0).unwrap();
        let r = &rows[0];
        assert!(r.pin_risk && r.samples_missing == 15 && r.seconds_to_average == 5_400.0, "{r:?}");
        assert_eq!(r.paid[0], 0.0);
        assert_eq!(r.paid[2], 100.0);
        assert!(r.paid[1] > 100.0);
        assert_eq!(r.postponing_gains[0].0, "buyer");
        let zero_sum: f64 = r.postponing_gains.iter().map(|g| g.1).sum();
        assert!(zero_sum.abs() < 1e-9);
        assert!(compare_expiries(&[it], &prices, 1.0).unwrap().is_empty());
    }
}
