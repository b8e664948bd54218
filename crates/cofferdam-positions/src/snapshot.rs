//! What an adapter found, in integers, and the book the risk engines read.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_risk::RiskError;
use cofferdam_risk::book::{
    AccountState, Instrument, MarketState, PoolBook, PositionState, scaled,
};
use cofferdam_risk::scenario::Leg;
use serde::{Deserialize, Serialize};

use crate::AdapterError;

/// One in basis points.
pub(crate) const BPS: u32 = 10_000;

/// Price of a token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Price {
    /// USD per whole token.
    pub usd: f64,
    /// Decimals of the token.
    pub decimals: u8,
}

/// An amount of a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Holding {
    /// The token.
    pub token: Address,
    /// Base units.
    pub amount: U256,
    /// Share of its value that counts as collateral, basis points; [`BPS`] where the protocol has no such rule.
    pub factor_bps: u32,
}

/// An instrument held.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldLeg {
    /// Its name.
    pub name: String,
    /// The underlying token.
    pub underlying: Address,
    /// What it is, valued at the prices of the snapshot.
    pub leg: Leg,
    /// Quantity in the unit of the leg, long above zero.
    pub quantity: f64,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Holder {
    /// Its name: an address, or a number of the protocol.
    pub id: String,
    /// What it owns there.
    pub collateral: Vec<Holding>,
    /// What it owes there.
    pub debt: Vec<Holding>,
    /// Derivatives and ranges it holds.
    pub legs: Vec<HeldLeg>,
}

/// When an account may be liquidated.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarginRule {
    /// Never: nothing is borrowed.
    FullyCollateralised,
    /// When the collateral, each token times its factor, is worth less than the debt.
    CollateralFactors,
    /// When equity falls below a share of the position, basis points.
    MaintenanceBps(u32),
    /// By the protocol's own scenario grid.
    PortfolioGrid,
}

/// Who pays first when an account is under water.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Backstop {
    /// In words, in order.
    pub order: &'static str,
    /// What is set aside, base units by token.
    pub reserves: Vec<Holding>,
}

/// What an adapter found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// The adapter.
    pub adapter: &'static str,
    /// Accounts.
    pub holders: Vec<Holder>,
    /// Prices used, the protocol's own before those of the request.
    pub prices: BTreeMap<Address, Price>,
    /// When accounts are liquidated.
    pub margin: MarginRule,
    /// Who pays.
    pub backstop: Backstop,
    /// Tokens at once available to be withdrawn, where the protocol can run dry.
    pub liquidity: Vec<Holding>,
    /// What a person should know: paused already, an unsafe setting.
    pub warnings: Vec<String>,
}

impl Snapshot {
    /// USD of a holding.
    ///
    /// # Errors
    /// No price, decimals out of range, or an amount beyond 128 bits.
    pub fn usd(&self, it: &Holding) -> Result<f64, AdapterError> {
        let price = self.price(it.token)?;
        Ok(units(it.amount, price.decimals)? * price.usd)
    }

    fn price(&self, token: Address) -> Result<Price, AdapterError> {
        self.prices.get(&token).copied().ok_or(AdapterError::NoPrice { token })
    }

    /// Collateral at its factors over debt; `None` without debt. Below one the account may be liquidated.
    ///
    /// # Errors
    /// As [`Snapshot::usd`].
    pub fn health(&self, holder: &Holder) -> Result<Option<f64>, AdapterError> {
        let mut debt = 0.0;
        for it in &holder.debt {
            debt += self.usd(it)?;
        }
        let mut counted = 0.0;
        for it in &holder.collateral {
            counted += self.usd(it)? * f64::from(it.factor_bps) / f64::from(BPS);
        }
        Ok((debt > 0.0).then(|| counted / debt))
    }

    /// The book on one underlying: its tokens are coins, everything else is USD at today's price.
    ///
    /// # Errors
    /// No price of a token, or amounts out of range.
    pub fn book(&self, underlying: Address, name: &str) -> Result<PoolBook, AdapterError> {
        let spot = self.price(underlying)?;
        let mut instruments: BTreeMap<String, Leg> = BTreeMap::new();
        let mut accounts = Vec::with_capacity(self.holders.len());
        for h in &self.holders {
            let mut out = AccountState { id: h.id.clone(), ..AccountState::default() };
            for (sign, list) in [(1.0, &h.collateral), (-1.0, &h.debt)] {
                for it in list {
                    if it.token == underlying {
                        out.coins += sign * units(it.amount, spot.decimals)?;
                    } else {
                        out.usd += sign * self.usd(it)?;
                    }
                }
            }
            for l in h.legs.iter().filter(|l| l.underlying == underlying) {
                let present = instruments.entry(l.name.clone()).or_insert(l.leg);
                if *present != l.leg {
                    let id = l.name.clone();
                    return Err(RiskError::Duplicate { name: "instrument", id }.into());
                }
                match out.positions.iter_mut().find(|p| p.instrument == l.name) {
                    Some(p) => p.quantity += l.quantity,
                    None => out
                        .positions
                        .push(PositionState { instrument: l.name.clone(), quantity: l.quantity }),
                }
            }
            accounts.push(out);
        }
        let mut fund_usd = 0.0;
        for it in &self.backstop.reserves {
            fund_usd += self.usd(it)?;
        }
        let instrument = |(id, leg)| Instrument { id, leg, quote: None, open_interest: None };
        Ok(PoolBook {
            pool: name.to_owned(),
            asset: underlying.to_string(),
            market: MarketState {
                index: spot.usd,
                index_age_ms: 0,
                chain_age_ms: 0,
                venues: Vec::new(),
                block: None,
            },
            instruments: instruments.into_iter().map(instrument).collect(),
            accounts,
            fund_usd,
        })
    }
}

/// Whole tokens.
pub(crate) fn units(amount: U256, decimals: u8) -> Result<f64, AdapterError> {
    let raw = u128::try_from(amount).map_err(|_| RiskError::Overflow { name: "token amount" })?;
    Ok(scaled(raw, decimals)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_tokens_value_is_cash_and_a_debt_in_the_underlying_is_negative_coins() {
        let (eth, usd) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let holding =
            |token, amount: u64| Holding { token, amount: U256::from(amount), factor_bps: 8_000 };
        let holder = Holder {
            id: "a".into(),
            collateral: vec![holding(usd, 5_000_000)],
            debt: vec![holding(eth, 2_000)],
            ..Holder::default()
        };
        let mut s = Snapshot {
            adapter: "test",
            holders: vec![holder.clone()],
            prices: BTreeMap::from([
                (eth, Price { usd: 1_000.0, decimals: 3 }),
                (usd, Price { usd: 1.0, decimals: 3 }),
            ]),
            margin: MarginRule::CollateralFactors,
            backstop: Backstop { order: "nobody", reserves: Vec::new() },
            liquidity: Vec::new(),
            warnings: Vec::new(),
        };
        let book = s.book(eth, "pool").unwrap();
        assert_eq!((book.accounts[0].usd, book.accounts[0].coins), (5_000.0, -2.0));
        assert_eq!(s.health(&holder).unwrap(), Some(2.0));
        s.prices.remove(&eth);
        assert!(matches!(s.book(eth, "pool"), Err(AdapterError::NoPrice { .. })));
        let huge = Holding { amount: U256::MAX, ..holding(usd, 0) };
        assert!(matches!(s.usd(&huge), Err(AdapterError::Numbers(_))));
    }
}
