//! Probability that the insurance fund is empty within a horizon, from the pause engine on the live book.

use super::{Abstention, Forecast};
use crate::book::{CompiledBook, Gate};
use crate::error::RiskError;
use crate::numeric::random::Philox;
use crate::numeric::special::clopper_pearson;
use crate::scenario::{Leg, PauseInput, PauseReport, pause_report};
use crate::vol::MertonJumps;

/// Simulated paths.
pub const PATHS: usize = 20_000;

/// Forecasts depletion within `hours`. Doubtful data widens it: the lower end is simulated at the marks, the upper
/// end with the book's widening. Where the index itself is stale beyond a tenth of its own value, it abstains.
///
/// # Errors
/// Inputs of the pause engine outside their domain.
pub fn fund_depletion(
    book: &CompiledBook,
    market: MertonJumps,
    hours: f64,
    rng: Philox,
) -> Result<Forecast, RiskError> {
    /// A spot doubt beyond this says nothing about the fund.
    const SPOT_DOUBT_MAX: f64 = 0.1;
    let w = book.quality.widening;
    if w.spot > SPOT_DOUBT_MAX {
        let spoilt = |g: Gate| matches!(g, Gate::Stale | Gate::IndexDiverges);
        let flag = book.quality.flags.iter().find(|f| spoilt(f.gate));
        let flag = flag.map_or_else(String::new, |f| format!("{} {}", f.gate.code(), f.what));
        return Ok(Forecast::Abstained(Abstention::DoubtfulData { flag }));
    }
    let run = |market: MertonJumps, fund: f64, accounts: &[crate::scenario::BookAccount]| {
        let input = PauseInput {
            instruments: &book.legs,
            accounts,
            spot: book.spot,
            market,
            hours,
            fund,
            no_pause_loss: 0.0,
            paths: PATHS,
        };
        pause_report(&input, rng)
    };
    let hits = |r: &PauseReport| libm::round(r.p_fund_exhausted * PATHS as f64) as u64;
    let at_marks = run(market, book.fund, &book.accounts)?;
    // Both directions are unknown, so a spot doubt is one more volatility over the horizon.
    let years = hours / 8_760.0;
    let extra = w.spot * w.spot / years + w.vol * w.vol;
    let wide = MertonJumps { sigma: libm::sqrt(market.sigma * market.sigma + extra), ..market };
    let mut accounts = book.accounts.clone();
    for (_, q) in accounts.iter_mut().flat_map(|a| &mut a.positions) {
        *q *= 1.0 + w.quantity;
    }
    let at_worst = if book.quality.flags.is_empty() {
        at_marks.clone()
    } else {
        run(wide, book.fund, &accounts)?
    };
    let p = at_marks.p_fund_exhausted;
    let (low, _) = clopper_pearson(hits(&at_marks), PATHS as u64);
    let (_, high) = clopper_pearson(hits(&at_worst).max(hits(&at_marks)), PATHS as u64);
    let informed = book.legs.iter().any(|l| !matches!(l, Leg::Spot { .. }));
    Ok(Forecast::Probability { p, low, high, horizon_seconds: hours * 3_600.0, informed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::QualityRules;
    use crate::book::tests::sample;

    const MARKET: MertonJumps =
        MertonJumps { sigma: 1.0, intensity: 12.0, jump_mean: -0.03, jump_sd: 0.06 };

    #[test]
    fn a_smaller_fund_is_likelier_to_run_dry_and_doubt_widens_upwards() {
        let rng = Philox::new(5);
        let ask = |change: &dyn Fn(&mut crate::book::PoolBook)| {
            let mut b = sample();
            // A thin account, so that twenty thousand paths see it fail.
            b.accounts[0].coins = 8.0;
            change(&mut b);
            let book = b.compile(&QualityRules::default()).unwrap();
            fund_depletion(&book, MARKET, 24.0, rng).unwrap()
        };
        let of = |f: &Forecast| match f {
            Forecast::Probability { p, low, high, .. } => (*p, *low, *high),
            other => panic!("{other:?}"),
        };
        let rich = of(&ask(&|b| b.fund_usd = 4_000.0));
        let poor = of(&ask(&|b| b.fund_usd = 500.0));
        assert!(poor.0 > rich.0 && poor.1 <= poor.0 && poor.0 <= poor.2);
        let doubtful = of(&ask(&|b| {
            b.fund_usd = 4_000.0;
            b.market.venues = vec![3_090.0, 3_090.0];
        }));
        assert!(doubtful.2 > rich.2, "{doubtful:?} {rich:?}");
        let blind = ask(&|b| b.market.index_age_ms = 40_000_000);
        assert!(matches!(blind, Forecast::Abstained(Abstention::DoubtfulData { .. })), "{blind:?}");
    }
}
