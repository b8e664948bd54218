//! Anything a book can hold, priced under a shock: options, linear and inverse futures, power perpetuals,
//! concentrated liquidity, coins. Invariant: a leg that passed [`Leg::validate`] either prices or says why not.

use serde::{Deserialize, Serialize};

use super::grid::GridInstrument;
use crate::error::{RiskError, finite, positive};
use crate::pricing::{BlackInput, ClmmLeg, PowerPerp, black_price, price_report};

/// One instrument. Every price in USD per coin; quantities are held by the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Leg {
    /// A European option; the quantity counts coins.
    Option(GridInstrument),
    /// A USD-settled future or perpetual, marked against its entry; the quantity counts coins.
    Linear {
        /// Mark.
        price: f64,
        /// Entry.
        entry: f64,
    },
    /// A coin-settled future or perpetual; the quantity counts USD of notional.
    Inverse {
        /// Mark.
        price: f64,
        /// Entry.
        entry: f64,
    },
    /// A power perpetual.
    Power {
        /// Spot.
        price: f64,
        /// Scale and power.
        perp: PowerPerp,
    },
    /// A liquidity range.
    Range {
        /// Spot.
        price: f64,
        /// Liquidity and ends.
        leg: ClmmLeg,
    },
    /// The coin itself.
    Spot {
        /// Spot.
        price: f64,
    },
}

/// Value and first sensitivities of one unit, in both numeraires.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LegGreeks {
    /// USD.
    pub value: f64,
    /// Coins.
    pub value_coin: f64,
    /// Delta in coins of a book measured in USD.
    pub delta: f64,
    /// Delta in coins of a book measured in coins, `F du/dF`.
    pub delta_coin: f64,
    /// Change of delta in coins per USD of price.
    pub gamma: f64,
    /// USD per unit of volatility.
    pub vega: f64,
    /// USD per calendar day, or over the remaining life if shorter.
    pub theta_day: f64,
    /// d(delta)/d(volatility).
    pub vanna: f64,
    /// d(vega)/d(volatility).
    pub volga: f64,
    /// The forward may settle on either side of the strike within minutes.
    pub pin_risk: bool,
}

impl From<GridInstrument> for Leg {
    fn from(it: GridInstrument) -> Self {
        Self::Option(it)
    }
}

impl Leg {
    /// The price that a spot shock moves.
    #[must_use]
    pub fn price(&self) -> f64 {
        match self {
            Self::Option(i) => i.forward,
            Self::Linear { price, .. }
            | Self::Inverse { price, .. }
            | Self::Power { price, .. }
            | Self::Range { price, .. }
            | Self::Spot { price } => *price,
        }
    }

    /// The option in it, if it is one.
    #[must_use]
    pub fn option(&self) -> Option<&GridInstrument> {
        match self {
            Self::Option(i) => Some(i),
            _ => None,
        }
    }

    /// Years to expiry; absent for what never expires.
    #[must_use]
    pub fn years(&self) -> Option<f64> {
        self.option().map(|i| i.years)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// A field outside its domain.
    pub fn validate(&self) -> Result<(), RiskError> {
        positive("price", self.price())?;
        if let Self::Linear { entry, .. } | Self::Inverse { entry, .. } = self {
            positive("entry price", *entry)?;
        }
        self.value(1.0, self.option().map_or(0.0, |i| i.vol), 0.0).map(|_| ())
    }

    /// USD value of one unit after the price moved by the factor `shock`, at volatility `vol` (options only),
    /// `elapsed` years from now.
    ///
    /// # Errors
    /// A shock that is not positive, or a result out of range.
    pub fn value(&self, shock: f64, vol: f64, elapsed: f64) -> Result<f64, RiskError> {
        let price = positive("shocked price", self.price() * shock)?;
        let value = match self {
            Self::Option(i) => {
                let input = BlackInput {
                    forward: price,
                    strike: i.strike,
                    years: i.years - elapsed,
                    vol,
                    rate: 0.0,
                    kind: i.kind,
                };
                black_price(&input)?.value
            }
            Self::Linear { entry, .. } => price - entry,
            Self::Inverse { entry, .. } => (price - entry) / entry,
            Self::Power { perp, .. } => perp.at(price)?.0,
            Self::Range { leg, .. } => leg.at(price)?.value,
            Self::Spot { .. } => price,
        };
        finite("value", value)
    }

    /// Value and sensitivities of one unit.
    ///
    /// # Errors
    /// A field outside its domain.
    pub fn greeks(&self) -> Result<LegGreeks, RiskError> {
        let p = positive("price", self.price())?;
        let curved = |value: f64, delta: f64, gamma: f64| LegGreeks {
            value,
            value_coin: value / p,
            delta,
            delta_coin: delta - value / p,
            gamma,
            ..LegGreeks::default()
        };
        Ok(match self {
            Self::Option(i) => {
                let input = BlackInput {
                    forward: p,
                    strike: i.strike,
                    years: i.years,
                    vol: i.vol,
                    rate: 0.0,
                    kind: i.kind,
                };
                let r = price_report(&input)?;
                LegGreeks {
                    value: r.price.value,
                    value_coin: r.coin.price,
                    delta: r.usd.delta,
                    delta_coin: r.coin.net_delta,
                    gamma: r.usd.gamma,
                    vega: r.usd.vega,
                    theta_day: r.theta_day,
                    vanna: r.usd.vanna,
                    volga: r.usd.volga,
                    pin_risk: r.price.pin_risk,
                }
            }
            // Closed forms of the coin delta: the difference of the general one cancels.
            Self::Linear { entry, .. } => {
                LegGreeks { delta_coin: entry / p, ..curved(p - entry, 1.0, 0.0) }
            }
            Self::Inverse { entry, .. } => {
                let entry = positive("entry price", *entry)?;
                LegGreeks { delta_coin: 1.0 / p, ..curved((p - entry) / entry, 1.0 / entry, 0.0) }
            }
            Self::Power { perp, .. } => {
                let (value, delta, gamma) = perp.at(p)?;
                LegGreeks {
                    delta_coin: (perp.power - 1.0) * value / p,
                    ..curved(value, delta, gamma)
                }
            }
            Self::Range { leg, .. } => {
                let v = leg.at(p)?;
                LegGreeks { delta_coin: -v.usd / p, ..curved(v.value, v.delta, v.gamma) }
            }
            Self::Spot { .. } => LegGreeks { delta_coin: 0.0, ..curved(p, 1.0, 0.0) },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pricing::OptionKind;

    fn legs(price: f64, other: f64, vol: f64, power: f64) -> Vec<Leg> {
        vec![
            Leg::Option(GridInstrument {
                kind: OptionKind::Put,
                strike: other,
                forward: price,
                vol,
                years: 0.2,
            }),
            Leg::Linear { price, entry: other },
            Leg::Inverse { price, entry: other },
            Leg::Power { price, perp: PowerPerp { scale: 0.01, power } },
            Leg::Range {
                price,
                leg: ClmmLeg { liquidity: 5.0, lower: 0.8 * other, upper: 1.3 * other },
            },
            Leg::Spot { price },
        ]
    }

    proptest! {
        #[test]
        fn every_delta_agrees_with_a_bump_in_both_numeraires(
            price in 100.0..5_000.0_f64, ratio in 0.7..1.4_f64, vol in 0.2..2.0_f64, power in 1.5..3.0_f64,
        ) {
            for leg in legs(price, price * ratio, vol, power) {
                let g = leg.greeks().unwrap();
                let h = 1e-5;
                let (up, down) = (leg.value(1.0 + h, vol, 0.0).unwrap(), leg.value(1.0 - h, vol, 0.0).unwrap());
                // At the edge of a range the value has a kink.
                if let Leg::Range { leg: r, .. } = leg
                    && ((price / r.lower - 1.0).abs() < 1e-4 || (price / r.upper - 1.0).abs() < 1e-4) {
                    continue;
                }
                let scale = g.delta.abs() + g.value.abs() / price + 1e-9;
                let delta = (up - down) / (2.0 * h * price);
                prop_assert!((delta - g.delta).abs() <= 1e-5 * scale, "{leg:?} {delta} {g:?}");
                let coin = (up / (1.0 + h) - down / (1.0 - h)) / (2.0 * h * price);
                prop_assert!((coin - g.delta_coin).abs() <= 1e-5 * scale, "{leg:?} {coin} {g:?}");
                prop_assert!((leg.value(1.0, vol, 0.0).unwrap() - g.value).abs() <= 1e-12 * (1.0 + g.value.abs()));
            }
        }
    }

    #[test]
    fn legs_that_cannot_be_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            for leg in legs(bad, 1_000.0, 0.5, 2.0) {
                assert!(leg.validate().is_err(), "{leg:?}");
            }
            assert!(Leg::Linear { price: 1.0, entry: bad }.validate().is_err());
            assert!(Leg::Inverse { price: 1.0, entry: bad }.validate().is_err());
        }
        assert!(Leg::Spot { price: 1.0 }.value(0.0, 0.0, 0.0).is_err());
        let huge = Leg::Power { price: 1e200, perp: PowerPerp { scale: 1.0, power: 2.0 } };
        assert!(huge.validate().is_err());
    }
}
