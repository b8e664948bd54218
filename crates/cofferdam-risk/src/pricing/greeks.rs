//! All Greeks of Black-76 in USD and of its coin-settled (inverse) twin, in closed forms that do not cancel.
//! Raw derivatives per unit, per year and per unit of volatility; [`PriceReport`] adds the display units.

use serde::{Deserialize, Serialize};

use super::black::{BlackInput, OptionKind, Price, black_price, log_ratio};
use super::normal::{cdf, mills, pdf};
use crate::error::RiskError;

/// Derivatives of the discounted USD value.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Greeks {
    /// dV/dF.
    pub delta: f64,
    /// d²V/dF².
    pub gamma: f64,
    /// dV/dσ.
    pub vega: f64,
    /// dV/dt per year (negative for a long option at zero rate).
    pub theta: f64,
    /// d²V/dF dσ.
    pub vanna: f64,
    /// d²V/dσ².
    pub volga: f64,
    /// d(delta)/dt per year.
    pub charm: f64,
    /// d³V/dF³.
    pub speed: f64,
    /// d(gamma)/dσ.
    pub zomma: f64,
    /// dV/dK.
    pub dual_delta: f64,
}

/// Derivatives of the coin value `u = V0 / F`, `V0` undiscounted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CoinGreeks {
    /// `u`, in coins.
    pub price: f64,
    /// `F du/dF`: Deribit's net transaction delta.
    pub net_delta: f64,
    /// du/dF.
    pub slope: f64,
    /// d²u/dF².
    pub gamma: f64,
    /// du/dσ.
    pub vega: f64,
    /// du/dt per year.
    pub theta: f64,
    /// d²u/dF dσ.
    pub vanna: f64,
    /// d²u/dσ².
    pub volga: f64,
}

/// Price and all Greeks of one option.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PriceReport {
    /// The price and its flags.
    pub price: Price,
    /// USD Greeks.
    pub usd: Greeks,
    /// Coin Greeks.
    pub coin: CoinGreeks,
    /// Theta over the next calendar day, or over the remaining life if that is shorter, in USD.
    pub theta_day: f64,
    /// Vega per volatility point, in USD.
    pub vega_point: f64,
}

/// USD and coin Greeks.
///
/// # Errors
/// See [`BlackInput::validate`].
pub fn greeks(input: &BlackInput) -> Result<(Greeks, CoinGreeks), RiskError> {
    price_report(input).map(|r| (r.usd, r.coin))
}

/// Price and all Greeks.
///
/// # Errors
/// See [`BlackInput::validate`]; [`RiskError::Overflow`] when a Greek leaves the range of floats.
pub fn price_report(input: &BlackInput) -> Result<PriceReport, RiskError> {
    let price = black_price(input)?;
    let (usd, coin) =
        if input.is_degenerate() { degenerate(input, &price) } else { regular(input, &price) };
    let all =
        [usd.delta, usd.gamma, usd.vega, usd.theta, usd.vanna, usd.volga, usd.charm, usd.speed];
    let rest =
        [usd.zomma, coin.net_delta, coin.slope, coin.gamma, coin.vanna, coin.volga, coin.price];
    if all.iter().chain(&rest).any(|g| !g.is_finite()) {
        return Err(RiskError::Overflow { name: "greek" });
    }
    let horizon = (1.0 / 365.0_f64).min(input.years.max(0.0));
    Ok(PriceReport {
        price,
        usd,
        coin,
        theta_day: usd.theta * horizon,
        vega_point: usd.vega * 0.01,
    })
}

/// Expired, without volatility or at strike zero: a step at the strike.
fn degenerate(input: &BlackInput, price: &Price) -> (Greeks, CoinGreeks) {
    let sign = input.kind.sign();
    let moneyness = sign * (input.forward - input.strike);
    let in_the_money = if moneyness > 0.0 {
        1.0
    } else if moneyness == 0.0 {
        0.5
    } else {
        0.0
    };
    let discount = input.discount();
    let delta = discount * sign * in_the_money;
    let net_delta = sign * in_the_money * (input.strike / input.forward);
    let usd = Greeks {
        delta,
        dual_delta: -delta,
        theta: input.rate * price.value,
        charm: input.rate * delta,
        ..Greeks::default()
    };
    let f = input.forward;
    let coin = CoinGreeks {
        price: input.intrinsic() / f,
        net_delta,
        slope: net_delta / f,
        gamma: -2.0 * net_delta / f / f,
        ..CoinGreeks::default()
    };
    (usd, coin)
}

fn regular(input: &BlackInput, price: &Price) -> (Greeks, CoinGreeks) {
    let BlackInput { forward: f, strike: k, years, vol, rate, kind } = *input;
    let sign = kind.sign();
    let root = libm::sqrt(years);
    let sd = vol * root;
    let x = log_ratio(f, k);
    let (d1, d2) = (x / sd + 0.5 * sd, x / sd - 0.5 * sd);
    let (phi, discount) = (pdf(d1), input.discount());
    let (n1, n2) = (cdf(sign * d1), cdf(sign * d2));
    let gamma = discount * phi / (f * sd);
    let vega = discount * f * phi * root;
    let delta = discount * sign * n1;
    let usd = Greeks {
        delta,
        gamma,
        vega,
        theta: -discount * f * phi * vol / (2.0 * root) + rate * price.value,
        vanna: -discount * phi * d2 / vol,
        volga: vega * d1 * d2 / vol,
        charm: discount * phi * d2 / (2.0 * years) + rate * delta,
        speed: -gamma / f * (x / (sd * sd) + 1.5),
        zomma: gamma * (d1 * d2 - 1.0) / vol,
        dual_delta: -discount * sign * n2,
    };
    let net_delta = sign * (k / f) * n2;
    let coin_vega = phi * root;
    let coin = CoinGreeks {
        price: (input.intrinsic() + price.time_value).min(cap(kind, f, k)) / f,
        net_delta,
        slope: net_delta / f,
        gamma: coin_gamma(f, k, sd, sign, (d2, n2, phi)),
        vega: coin_vega,
        theta: -phi * vol / (2.0 * root),
        vanna: -phi * d1 / (vol * f),
        volga: coin_vega * d1 * d2 / vol,
    };
    (usd, coin)
}

fn cap(kind: OptionKind, f: f64, k: f64) -> f64 {
    match kind {
        OptionKind::Call => f,
        OptionKind::Put => k,
    }
}

/// `gamma / F - 2 net_delta / F²`. Out of the money both terms carry the factor `phi(d1)`, which is taken out so
/// that only their small difference is rounded.
fn coin_gamma(f: f64, k: f64, sd: f64, sign: f64, (d2, n2, phi): (f64, f64, f64)) -> f64 {
    if sign * d2 < 0.0 {
        phi / (f * f) * (1.0 / sd - 2.0 * sign * mills(-sign * d2))
    } else {
        phi / (f * f * sd) - 2.0 * sign * (k / f) * n2 / (f * f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn option(f: f64, k: f64, years: f64, vol: f64, kind: OptionKind) -> BlackInput {
        BlackInput { forward: f, strike: k, years, vol, rate: 0.0, kind }
    }

    #[test]
    fn edge_cases_follow_the_specification() {
        let zero_strike = price_report(&option(50.0, 0.0, 1.0, 0.5, OptionKind::Call)).unwrap();
        assert_eq!((zero_strike.price.value, zero_strike.usd.delta), (50.0, 1.0));
        assert_eq!(zero_strike.coin.net_delta, 0.0);
        let expired = price_report(&option(110.0, 100.0, -1.0, 0.5, OptionKind::Call)).unwrap();
        assert_eq!((expired.price.value, expired.usd.delta, expired.usd.gamma), (10.0, 1.0, 0.0));
        let pinned = price_report(&option(100.0, 100.0, 0.0, 0.5, OptionKind::Put)).unwrap();
        assert_eq!((pinned.usd.delta, pinned.price.pin_risk), (-0.5, true));
        let deep = price_report(&option(100.0, 1e9, 1e-3, 0.1, OptionKind::Call)).unwrap();
        assert_eq!((deep.price.value, deep.price.underflow), (0.0, true));
        let coin_put = price_report(&option(1e-3, 60_000.0, 0.1, 0.9, OptionKind::Put)).unwrap();
        assert!(coin_put.coin.price > 5.9e7);
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            assert!(price_report(&option(bad, 100.0, 1.0, 0.5, OptionKind::Call)).is_err());
        }
        assert!(price_report(&option(100.0, -1.0, 1.0, 0.5, OptionKind::Call)).is_err());
        assert!(price_report(&option(100.0, 100.0, 1.0, f64::NAN, OptionKind::Call)).is_err());
    }

    proptest! {
        #[test]
        fn parity_homogeneity_bounds_and_the_pricing_equation_hold(
            f in 1.0..1e5_f64, m in -2.0..2.0_f64, years in 1e-4..3.0_f64, vol in 0.05..3.0_f64, c in 0.1..10.0_f64,
        ) {
            let k = f * libm::exp(m);
            let call = price_report(&option(f, k, years, vol, OptionKind::Call)).unwrap();
            let put = price_report(&option(f, k, years, vol, OptionKind::Put)).unwrap();
            prop_assert!((call.price.value - put.price.value - (f - k)).abs() <= 1e-14 * f.max(k));
            prop_assert!((call.coin.price - put.coin.price - (1.0 - k / f)).abs() <= 1e-14 * (1.0 + k / f));
            let scaled = price_report(&option(c * f, c * k, years, vol, OptionKind::Call)).unwrap();
            prop_assert!((scaled.price.value - c * call.price.value).abs() <= 1e-12 * c * f);
            prop_assert!((0.0..=1.0).contains(&call.usd.delta) && call.usd.gamma >= 0.0 && call.usd.vega >= 0.0);
            let residual = call.usd.theta + vol * vol * f * f * call.usd.gamma / 2.0;
            prop_assert!(residual.abs() <= 1e-12 * call.usd.theta.abs() + 1e-300);
            let dearer = price_report(&option(f, k, years, vol * 1.1, OptionKind::Call)).unwrap();
            prop_assert!(dearer.price.value >= call.price.value);
        }

        #[test]
        fn nothing_finite_makes_a_nan(
            f in prop::num::f64::ANY, k in prop::num::f64::ANY, years in prop::num::f64::ANY,
            vol in prop::num::f64::ANY, rate in prop::num::f64::ANY, call in prop::bool::ANY,
        ) {
            let kind = if call { OptionKind::Call } else { OptionKind::Put };
            if let Ok(r) = price_report(&BlackInput { forward: f, strike: k, years, vol, rate, kind }) {
                prop_assert!(r.price.value.is_finite() && r.price.value >= 0.0);
                prop_assert!(!r.usd.theta.is_nan() && !r.coin.gamma.is_nan());
            }
        }
    }
}
