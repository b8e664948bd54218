//! Liquidation cascade against a constant-product pool: all unhealthy loans of a round are sold together, the
//! price moves, the next round looks again. Least fixed point; order within a round does not matter.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, positive, probability};

/// A constant-product pool of collateral coins and USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpmmPool {
    /// Coins.
    pub x: f64,
    /// USD.
    pub y: f64,
    /// Fee on the input, as a fraction; it stays in the pool.
    pub fee: f64,
}

/// Coins pledged and USD owed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Collateral in coins.
    pub collateral: f64,
    /// Debt in USD.
    pub debt: f64,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Price before the sale.
    pub price_before: f64,
    /// Loans liquidated, by index.
    pub liquidated: Vec<usize>,
    /// Coins sold.
    pub sold: f64,
    /// USD received.
    pub proceeds: f64,
    /// Price after the sale.
    pub price_after: f64,
}

/// The whole cascade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cascade {
    /// Rounds in order.
    pub rounds: Vec<Round>,
    /// Price when it stops.
    pub final_price: f64,
    /// Coins sold in all.
    pub total_sold: f64,
    /// Debt not covered by the proceeds of its round.
    pub bad_debt: f64,
    /// Loans still open, by index.
    pub remaining: Vec<usize>,
}

impl CpmmPool {
    /// Checks reserves and fee.
    ///
    /// # Errors
    /// Reserves that are not positive, or a fee outside `[0, 1]`.
    pub fn validate(&self) -> Result<(), RiskError> {
        positive("pool coins", self.x)?;
        positive("pool usd", self.y)?;
        probability("pool fee", self.fee).map(|_| ())
    }

    /// USD per coin.
    #[must_use]
    pub fn price(&self) -> f64 {
        self.y / self.x
    }

    /// Sells coins, `y dx' / (x + dx')` with the fee off the input; returns the USD received.
    ///
    /// # Errors
    /// An invalid pool, or an amount that is negative or not finite.
    pub fn sell(&mut self, dx: f64) -> Result<f64, RiskError> {
        self.validate()?;
        let dx = non_negative("sale", dx)?;
        let kept = dx * (1.0 - self.fee);
        let out = self.y * kept / (self.x + kept);
        self.y = self.y * self.x / (self.x + kept);
        self.x = finite("pool coins", self.x + dx)?;
        Ok(out)
    }

    /// Moves the price by `-shock` along the curve, as arbitrage against another venue does.
    ///
    /// # Errors
    /// An invalid pool, or a shock of 100 % or more.
    pub fn shocked(&self, shock: f64) -> Result<Self, RiskError> {
        self.validate()?;
        let keep = positive("price after the shock", 1.0 - finite("shock", shock)?)?;
        let root = libm::sqrt(keep);
        Ok(Self { x: self.x / root, y: self.y * root, fee: self.fee })
    }

    /// Sale, as a share of the coins in the pool, that moves the price by `-delta`: `1/sqrt(1 - delta) - 1`.
    ///
    /// # Errors
    /// A move of 100 % or more.
    pub fn depth(delta: f64) -> Result<f64, RiskError> {
        let keep = positive("price after the sale", 1.0 - finite("delta", delta)?)?;
        Ok(1.0 / libm::sqrt(keep) - 1.0)
    }
}

/// Impact of selling `quantity` on a book market, `c sqrt(Q / ADV)`.
///
/// # Errors
/// A volume that is not positive, or a negative quantity.
pub fn power_law_impact(c: f64, quantity: f64, daily_volume: f64) -> Result<f64, RiskError> {
    let ratio = non_negative("quantity", quantity)? / positive("daily volume", daily_volume)?;
    Ok(non_negative("impact constant", c)? * libm::sqrt(ratio))
}

/// Runs a cascade after a price shock. A loan is sold when `collateral x price x threshold < debt`.
///
/// # Errors
/// Pool, loans, threshold or shock outside their domain.
pub fn cascade(
    pool: CpmmPool,
    loans: &[Position],
    threshold: f64,
    shock: f64,
) -> Result<Cascade, RiskError> {
    let threshold = probability("liquidation threshold", threshold)?;
    for l in loans {
        non_negative("loan collateral", l.collateral)?;
        non_negative("loan debt", l.debt)?;
    }
    let mut pool = pool.shocked(shock)?;
    let mut remaining: Vec<usize> = (0..loans.len()).collect();
    let (mut rounds, mut total_sold, mut bad_debt) = (Vec::new(), 0.0, 0.0);
    loop {
        let price = pool.price();
        let sick = |i: &usize| loans[*i].collateral * price * threshold < loans[*i].debt;
        let (liquidated, healthy): (Vec<usize>, Vec<usize>) =
            remaining.iter().copied().partition(sick);
        if liquidated.is_empty() {
            let final_price = price;
            return Ok(Cascade { rounds, final_price, total_sold, bad_debt, remaining });
        }
        let sold: f64 = liquidated.iter().map(|i| loans[*i].collateral).sum();
        let debt: f64 = liquidated.iter().map(|i| loans[*i].debt).sum();
        let proceeds = pool.sell(sold)?;
        bad_debt += (debt - proceeds).max(0.0);
        total_sold += sold;
        remaining = healthy;
        rounds.push(Round {
            price_before: price,
            liquidated,
            sold,
            proceeds,
            price_after: pool.price(),
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_larger_shock_or_more_debt_never_ends_at_a_higher_price(
            loans in prop::collection::vec((1.0..300.0_f64, 0.3..0.9_f64), 1..12),
            shock in 0.0..0.5_f64, more in 0.0..0.4_f64,
        ) {
            let pool = CpmmPool { x: 5_000.0, y: 1e7, fee: 0.0 };
            let loans: Vec<_> = loans
                .into_iter()
                .map(|(c, ltv)| Position { collateral: c, debt: c * 2_000.0 * ltv })
                .collect();
            let a = cascade(pool, &loans, 0.9, shock).unwrap();
            let b = cascade(pool, &loans, 0.9, shock + more).unwrap();
            prop_assert!(b.final_price <= a.final_price * (1.0 + 1e-12));
            let heavier: Vec<_> = loans.iter().map(|l| Position { debt: l.debt * 1.05, ..*l }).collect();
            let c = cascade(pool, &heavier, 0.9, shock).unwrap();
            prop_assert!(c.final_price <= a.final_price * (1.0 + 1e-12));
        }
    }

    #[test]
    fn impossible_pools_and_shocks_are_refused() {
        let pool = CpmmPool { x: 1.0, y: 1.0, fee: 0.0 };
        assert!(pool.shocked(1.0).is_err());
        assert!(CpmmPool { x: 0.0, ..pool }.sell(1.0).is_err());
        assert!(CpmmPool::depth(1.5).is_err());
    }
}
