//! Compound v2 and its forks (Venus): a comptroller, one market token per asset, accounts that entered markets.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;

use crate::abi::{answer, call, must, word};
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, Holder, Holding, MarginRule, Price, Request,
    Semantics, Snapshot,
};

/// 1e18, the unit of factors and exchange rates.
const ONE: u64 = 1_000_000_000_000_000_000;
/// Decimals of prices times decimals of the token.
const PRICE_DECIMALS: u8 = 36;

/// The adapter.
pub(super) struct Compound;

/// What is known of a market.
struct Market {
    token: Address,
    underlying: Address,
    factor_bps: u32,
}

impl Adapter for Compound {
    fn id(&self) -> &'static str {
        "compound"
    }

    fn summary(&self) -> &'static str {
        "Compound v2 and Venus lending markets"
    }

    fn page(&self) -> &'static str {
        include_str!("compound.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let comptroller = r.contract;
        let markets = call(comptroller, "getAllMarkets()", &[]);
        let oracle = call(comptroller, "oracle()", &[]);
        let mut out = vec![markets.clone(), oracle.clone()];
        out.extend(r.holders.iter().map(|h| entered(comptroller, *h)));
        let oracle = answer(known, &oracle, "oracle()")?.map(|a| a.address(0)).transpose()?;
        let Some(markets) = answer(known, &markets, "getAllMarkets()")? else { return Ok(out) };
        for m in markets.addresses()? {
            let underlying = call(m, "underlying()", &[]);
            out.push(call(comptroller, "markets(address)", &[word(m)]));
            out.push(call(m, "getCash()", &[]));
            out.push(call(m, "totalReserves()", &[]));
            out.push(underlying.clone());
            if let Some(oracle) = oracle {
                out.push(price_of(oracle, m));
            }
            if let Some(token) = answer(known, &underlying, "underlying()")? {
                out.push(call(token.address(0)?, "decimals()", &[]));
            }
            out.extend(r.holders.iter().map(|h| account(m, *h)));
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let comptroller = r.contract;
        let oracle = must(known, &call(comptroller, "oracle()", &[]), "oracle()")?.address(0)?;
        let list = must(known, &call(comptroller, "getAllMarkets()", &[]), "getAllMarkets()")?;
        let mut prices = BTreeMap::new();
        let (mut markets, mut liquidity, mut reserves, mut warnings) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for token in list.addresses()? {
            let m = market(comptroller, token, known)?;
            let decimals = must(known, &call(m.underlying, "decimals()", &[]), "decimals()")?;
            let decimals = decimals.small(0, u64::from(PRICE_DECIMALS))? as u8;
            let raw = must(known, &price_of(oracle, token), "getUnderlyingPrice")?.uint(0)?;
            if raw == U256::ZERO {
                warnings.push(format!("the oracle has no price of {}", m.underlying));
            }
            let usd = crate::snapshot::units(raw, PRICE_DECIMALS - decimals)?;
            prices.insert(m.underlying, Price { usd, decimals });
            let amount = |signature: &str| -> Result<Holding, AdapterError> {
                let amount = must(known, &call(token, signature, &[]), signature)?.uint(0)?;
                Ok(Holding { token: m.underlying, amount, factor_bps: crate::snapshot::BPS })
            };
            liquidity.push(amount("getCash()")?);
            reserves.push(amount("totalReserves()")?);
            markets.push(m);
        }
        let mut holders = Vec::with_capacity(r.holders.len());
        for h in &r.holders {
            holders.push(holder(comptroller, *h, &markets, known)?);
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices,
            margin: MarginRule::CollateralFactors,
            backstop: Backstop { order: "market reserves, then suppliers of the market", reserves },
            liquidity,
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        &[
            Semantics {
                action: "protocol pause (Venus)",
                call: "_setProtocolPaused(bool)",
                trade: Effect::Frozen,
                reduce: Effect::Frozen,
                deposit: Effect::Frozen,
                withdraw: Effect::Frozen,
                liquidate: Effect::Frozen,
                settle: Effect::Absent,
                funding: Effect::GoesOn,
                oracle: Effect::GoesOn,
                adl: Effect::Absent,
            },
            Semantics {
                action: "borrow pause of one market (Compound)",
                call: "_setBorrowPaused(address,bool)",
                trade: Effect::Frozen,
                reduce: Effect::Works,
                deposit: Effect::Works,
                withdraw: Effect::Works,
                liquidate: Effect::Works,
                settle: Effect::Absent,
                funding: Effect::GoesOn,
                oracle: Effect::GoesOn,
                adl: Effect::Absent,
            },
        ]
    }
}

fn market(comptroller: Address, token: Address, known: &Answers) -> Result<Market, AdapterError> {
    let underlying = must(known, &call(token, "underlying()", &[]), "underlying()")?.address(0)?;
    let listed = must(known, &call(comptroller, "markets(address)", &[word(token)]), "markets")?;
    let factor = listed.small(1, ONE)?;
    // Rounded down: a factor is never overstated.
    let factor_bps = u32::try_from(factor / (ONE / 10_000)).unwrap_or(crate::snapshot::BPS);
    Ok(Market { token, underlying, factor_bps })
}

fn holder(
    comptroller: Address,
    who: Address,
    markets: &[Market],
    known: &Answers,
) -> Result<Holder, AdapterError> {
    let entered = must(known, &entered(comptroller, who), "getAssetsIn")?.addresses()?;
    let mut out = Holder { id: who.to_string(), ..Holder::default() };
    for m in markets {
        // (error, market tokens, borrow balance, exchange rate)
        let a = must(known, &account(m.token, who), "getAccountSnapshot")?;
        if a.uint(0)? != U256::ZERO {
            return Err(AdapterError::Malformed {
                what: format!("getAccountSnapshot of {}", m.token),
                why: "it reports an error",
            });
        }
        let (tokens, debt, rate) = (a.uint(1)?, a.uint(2)?, a.uint(3)?);
        let value = tokens.checked_mul(rate).map(|x| x / U256::from(ONE));
        let amount = value.ok_or(cofferdam_risk::RiskError::Overflow { name: "market tokens" })?;
        // Supply that was not entered as collateral is not counted against debt.
        let factor_bps = if entered.contains(&m.token) { m.factor_bps } else { 0 };
        let token = m.underlying;
        if amount > U256::ZERO {
            out.collateral.push(Holding { token, amount, factor_bps });
        }
        if debt > U256::ZERO {
            let factor_bps = crate::snapshot::BPS;
            out.debt.push(Holding { token, amount: debt, factor_bps });
        }
    }
    Ok(out)
}

fn entered(comptroller: Address, who: Address) -> StateRead {
    call(comptroller, "getAssetsIn(address)", &[word(who)])
}

fn account(market: Address, who: Address) -> StateRead {
    call(market, "getAccountSnapshot(address)", &[word(who)])
}

fn price_of(oracle: Address, market: Address) -> StateRead {
    call(oracle, "getUnderlyingPrice(address)", &[word(market)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::tests::{Scripted, at, n, w};

    fn scripted() -> (Scripted, Request) {
        let (comptroller, oracle, user) = (at(1), at(2), at(3));
        let one = u128::from(ONE);
        let mut s = Scripted::default();
        s.on(comptroller, "getAllMarkets()", &[], &[n(32), n(2), w(at(10)), w(at(11))])
            .on(comptroller, "oracle()", &[], &[w(oracle)])
            .on(comptroller, "getAssetsIn(address)", &[w(user)], &[n(32), n(1), w(at(10))]);
        for (i, (decimals, price, tokens, debt)) in
            [(18_u8, 2_000 * one, 50_u128, 0), (6, one * 1_000_000_000_000, 0, 40_000_000_000)]
                .into_iter()
                .enumerate()
        {
            let (m, u) = (at(10 + i as u8), at(20 + i as u8));
            s.on(comptroller, "markets(address)", &[w(m)], &[n(1), n(8 * one / 10), n(0)])
                .on(m, "getCash()", &[], &[n(7)])
                .on(m, "totalReserves()", &[], &[n(3)])
                .on(m, "underlying()", &[], &[w(u)])
                .on(oracle, "getUnderlyingPrice(address)", &[w(m)], &[n(price)])
                .on(u, "decimals()", &[], &[n(u128::from(decimals))])
                .on(
                    m,
                    "getAccountSnapshot(address)",
                    &[w(user)],
                    &[n(0), n(tokens * one), n(debt), n(one)],
                );
        }
        (s, Request { contract: comptroller, holders: vec![user], ..Request::default() })
    }

    #[test]
    fn collateral_counts_at_its_factor_and_debt_in_full() {
        let (s, request) = scripted();
        let snapshot = s.run(&Compound, &request).unwrap();
        let holder = &snapshot.holders[0];
        assert_eq!(snapshot.health(holder).unwrap(), Some(2.0));
        let book = snapshot.book(at(20), "venus").unwrap();
        assert_eq!((book.accounts[0].coins, book.accounts[0].usd), (50.0, -40_000.0));
        assert_eq!(book.market.index, 2_000.0);
        s.survives_bad_answers(&Compound, &request);
        assert!(Compound.semantics()[0].losses_grow() && !Compound.semantics()[1].losses_grow());
    }

    #[test]
    fn supply_that_was_not_entered_does_not_count() {
        let (mut s, request) = scripted();
        s.on(at(1), "getAssetsIn(address)", &[w(at(3))], &[n(32), n(0)]);
        let snapshot = s.run(&Compound, &request).unwrap();
        assert_eq!(snapshot.health(&snapshot.holders[0]).unwrap(), Some(0.0));
    }
}
