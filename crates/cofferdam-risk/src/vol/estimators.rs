//! Realised volatility from bars and returns: close-to-close, Parkinson, Garman-Klass, Rogers-Satchell,
//! Yang-Zhang, EWMA, bipower variation. Annualised with 365 days: these markets never close.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, positive, probability};

/// Days in a year of a market that never closes.
pub const DAYS_PER_YEAR: f64 = 365.0;

/// One bar, prices in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ohlc {
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
}

/// Logs of one bar.
#[derive(Debug, Clone, Copy)]
struct LogBar {
    o: f64,
    h: f64,
    l: f64,
    c: f64,
}

/// All range estimators over one window, annualised standard deviations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RangeVols {
    /// Close-to-close, sample variance.
    pub close_to_close: f64,
    /// Parkinson 1980.
    pub parkinson: f64,
    /// Garman and Klass 1980.
    pub garman_klass: f64,
    /// Rogers and Satchell 1991.
    pub rogers_satchell: f64,
    /// Yang and Zhang 2000.
    pub yang_zhang: f64,
}

/// Estimates over the last `window` bars; one more bar is needed before them for the first overnight return.
///
/// # Errors
/// A window below two, too few bars, prices that are not positive, or a high below a low.
pub fn range_vols(bars: &[Ohlc], window: usize) -> Result<RangeVols, RiskError> {
    if window < 2 || bars.len() < window + 1 {
        return Err(RiskError::TooFew {
            name: "range estimators",
            got: bars.len(),
            want: window.max(2) + 1,
        });
    }
    let logs: Vec<LogBar> =
        bars[bars.len() - window - 1..].iter().map(log_bar).collect::<Result<_, _>>()?;
    let n = window as f64;
    let day = &logs[1..];
    let mean = |f: &dyn Fn(&LogBar) -> f64| day.iter().map(f).sum::<f64>() / n;
    let range2 = mean(&|b| (b.h - b.l) * (b.h - b.l));
    let ln2 = core::f64::consts::LN_2;
    let gk = 0.5 * range2 - (2.0 * ln2 - 1.0) * mean(&|b| (b.c - b.o) * (b.c - b.o));
    let rs = mean(&|b| (b.h - b.c) * (b.h - b.o) + (b.l - b.c) * (b.l - b.o));
    let overnight: Vec<f64> = logs.windows(2).map(|p| p[1].o - p[0].c).collect();
    let intraday: Vec<f64> = day.iter().map(|b| b.c - b.o).collect();
    let closes: Vec<f64> = logs.windows(2).map(|p| p[1].c - p[0].c).collect();
    let k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0));
    let yz = variance(&overnight) + k * variance(&intraday) + (1.0 - k) * rs;
    let annual = |v: f64| libm::sqrt(v.max(0.0) * DAYS_PER_YEAR);
    Ok(RangeVols {
        close_to_close: annual(variance(&closes)),
        parkinson: annual(range2 / (4.0 * ln2)),
        garman_klass: annual(gk),
        rogers_satchell: annual(rs),
        yang_zhang: annual(yz),
    })
}

fn log_bar(bar: &Ohlc) -> Result<LogBar, RiskError> {
    let ln = |name, x| positive(name, x).map(libm::log);
    let b = LogBar {
        o: ln("open", bar.open)?,
        h: ln("high", bar.high)?,
        l: ln("low", bar.low)?,
        c: ln("close", bar.close)?,
    };
    if b.h < b.l || b.o > b.h || b.o < b.l || b.c > b.h || b.c < b.l {
        return Err(RiskError::OutOfDomain {
            name: "bar high",
            value: bar.high,
            domain: "low <= open, close <= high",
        });
    }
    Ok(b)
}

/// Log returns of a price series.
///
/// # Errors
/// A price that is not finite and positive.
pub fn log_returns(prices: &[f64]) -> Result<Vec<f64>, RiskError> {
    let logs: Vec<f64> =
        prices.iter().map(|p| positive("price", *p).map(libm::log)).collect::<Result<_, _>>()?;
    Ok(logs.windows(2).map(|w| w[1] - w[0]).collect())
}

/// Sample variance (denominator `n - 1`), zero for fewer than two values.
#[must_use]
pub fn variance(xs: &[f64]) -> f64 {
    if xs.len() < 2 {
        return 0.0;
    }
    let n = xs.len() as f64;
    let mean = xs.iter().sum::<f64>() / n;
    xs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0)
}

/// Path of the EWMA variance, `v_t = lambda v_{t-1} + (1 - lambda) r_t^2`, started at the population variance of
/// the first `warm_up` returns; one entry per return after them, none if there are no more.
///
/// # Errors
/// Fewer returns than the warm-up, a lambda outside `[0, 1]`, a return that is not finite.
pub fn ewma_path(returns: &[f64], lambda: f64, warm_up: usize) -> Result<Vec<f64>, RiskError> {
    let lambda = probability("ewma lambda", lambda)?;
    if warm_up < 2 || returns.len() < warm_up {
        return Err(RiskError::TooFew { name: "ewma", got: returns.len(), want: warm_up.max(2) });
    }
    returns.iter().try_for_each(|r| finite("return", *r).map(|_| ()))?;
    let n = warm_up as f64;
    let mut v = variance(&returns[..warm_up]) * (n - 1.0) / n;
    let step = |r: &f64| {
        v = lambda * v + (1.0 - lambda) * r * r;
        v
    };
    Ok(returns[warm_up..].iter().map(step).collect())
}

/// Realised variance and the part of it that came from jumps (Barndorff-Nielsen and Shephard 2004).
///
/// # Errors
/// Fewer than three returns, or one that is not finite.
pub fn jump_share(returns: &[f64]) -> Result<(f64, f64), RiskError> {
    if returns.len() < 3 {
        return Err(RiskError::TooFew { name: "bipower variation", got: returns.len(), want: 3 });
    }
    returns.iter().try_for_each(|r| finite("return", *r).map(|_| ()))?;
    let n = returns.len() as f64;
    let realised: f64 = returns.iter().map(|r| r * r).sum();
    let pairs: f64 = returns.windows(2).map(|w| (w[0] * w[1]).abs()).sum();
    let bipower = core::f64::consts::FRAC_PI_2 * pairs * n / (n - 1.0);
    let share = if realised > 0.0 { (1.0 - bipower / realised).max(0.0) } else { 0.0 };
    Ok((realised, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_that_contradict_themselves_are_refused() {
        let good = Ohlc { open: 10.0, high: 12.0, low: 9.0, close: 11.0 };
        let bad = Ohlc { high: 8.0, ..good };
        assert!(range_vols(&[good, good, good], 2).is_ok());
        assert!(range_vols(&[good, bad, good], 2).is_err());
        assert!(range_vols(&[good, Ohlc { close: 0.0, ..good }, good], 2).is_err());
        assert!(range_vols(&[good, good], 2).is_err());
    }

    #[test]
    fn parkinson_of_a_constant_range_is_its_closed_form() {
        let bar = Ohlc { open: 100.0, high: 110.0, low: 100.0, close: 100.0 };
        let v = range_vols(&[bar; 4], 3).unwrap();
        let want = libm::log(1.1) / libm::sqrt(4.0 * core::f64::consts::LN_2) * libm::sqrt(365.0);
        assert!((v.parkinson - want).abs() < 1e-12);
        assert_eq!(v.close_to_close, 0.0);
    }

    #[test]
    fn one_big_move_among_small_ones_is_mostly_jump() {
        let mut r = vec![0.001; 50];
        r[25] = 0.1;
        assert!(jump_share(&r).unwrap().1 > 0.9);
        assert!(jump_share(&[0.01; 50]).unwrap().1 < 0.01);
    }
}
