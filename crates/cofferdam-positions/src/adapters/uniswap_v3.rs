//! Uniswap v3 liquidity positions, by token number of the position manager.

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;
use cofferdam_risk::pricing::ClmmLeg;
use cofferdam_risk::scenario::Leg;

use crate::abi::{Reader, answer, call, must, word};
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, HeldLeg, Holder, Holding, MarginRule, Price,
    Request, Semantics, Snapshot,
};

/// Largest tick of a pool.
pub(super) const TICK_MAX: i32 = 887_272;
/// A token within this of one USD is the cash of a pool.
const CASH: f64 = 0.05;

/// The adapter.
pub(super) struct UniswapV3;

/// A pair of tokens seen as coin against cash.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    /// The coin.
    pub(super) coin: (Address, Price),
    /// The other token.
    pub(super) cash: (Address, Price),
    /// The coin is token0.
    pub(super) coin_is_zero: bool,
}

impl Pair {
    /// Token1 is cash unless token0 is worth a dollar and token1 is not.
    pub(super) fn of(r: &Request, zero: Address, one: Address) -> Result<Self, AdapterError> {
        let price = |token| r.prices.get(&token).copied().ok_or(AdapterError::NoPrice { token });
        let (a, b) = ((zero, price(zero)?), (one, price(one)?));
        let dollar = |p: &Price| (p.usd - 1.0).abs() < CASH;
        let coin_is_zero = !dollar(&a.1) || dollar(&b.1);
        let (coin, cash) = if coin_is_zero { (a, b) } else { (b, a) };
        Ok(Self { coin, cash, coin_is_zero })
    }

    /// USD per coin at a tick.
    pub(super) fn price_at(&self, tick: i32) -> f64 {
        // Token1 per token0 in base units is 1.0001^tick.
        let signed = if self.coin_is_zero { tick } else { -tick };
        let shift = i32::from(self.coin.1.decimals) - i32::from(self.cash.1.decimals);
        libm::exp(libm::log(1.0001) * f64::from(signed))
            * libm::pow(10.0, f64::from(shift))
            * self.cash.1.usd
    }

    /// A range between two ticks; `liquidity` in base units, negative for a removed one.
    pub(super) fn range(&self, ticks: (i32, i32), liquidity: f64) -> Result<Leg, AdapterError> {
        let (a, b) = (self.price_at(ticks.0), self.price_at(ticks.1));
        let decimals = i32::from(self.coin.1.decimals) + i32::from(self.cash.1.decimals);
        // In sqrt(coin * cash), then in sqrt(coin * USD).
        let scaled =
            liquidity / libm::pow(10.0, f64::from(decimals) / 2.0) * libm::sqrt(self.cash.1.usd);
        let leg = ClmmLeg { liquidity: scaled, lower: a.min(b), upper: a.max(b) };
        let leg = Leg::Range { price: self.coin.1.usd, leg };
        leg.validate()?;
        Ok(leg)
    }
}

impl Adapter for UniswapV3 {
    fn id(&self) -> &'static str {
        "uniswap-v3"
    }

    fn summary(&self) -> &'static str {
        "Uniswap v3 liquidity positions"
    }

    fn page(&self) -> &'static str {
        include_str!("uniswap_v3.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let mut out = vec![call(r.contract, "factory()", &[])];
        for id in &r.ids {
            out.push(position(r.contract, *id));
            out.push(call(r.contract, "ownerOf(uint256)", &[*id]));
        }
        let Some(factory) = answer(known, &out[0], "factory()")? else { return Ok(out) };
        for id in &r.ids {
            let Some(p) = answer(known, &position(r.contract, *id), "positions")? else { continue };
            let pool = pool_of(factory.address(0)?, &p)?;
            if let Some(pool) = answer(known, &pool, "getPool")? {
                out.push(call(pool.address(0)?, "slot0()", &[]));
            }
            out.push(pool);
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let factory = must(known, &call(r.contract, "factory()", &[]), "factory()")?.address(0)?;
        let mut holders: Vec<Holder> = Vec::new();
        let mut warnings = Vec::new();
        for id in &r.ids {
            let p = must(known, &position(r.contract, *id), "positions")?;
            let owner = must(known, &call(r.contract, "ownerOf(uint256)", &[*id]), "ownerOf")?;
            let owner = owner.address(0)?.to_string();
            let pair = Pair::of(r, p.address(2)?, p.address(3)?)?;
            let pool = must(known, &pool_of(factory, &p)?, "getPool")?.address(0)?;
            let slot0 = must(known, &call(pool, "slot0()", &[]), "slot0()")?;
            let at = pair.price_at(tick(&slot0, 1)?);
            if (at / pair.coin.1.usd - 1.0).abs() > 0.02 {
                warnings.push(format!(
                    "pool {pool} trades at {at:.6e}, the price given is {:.6e}",
                    pair.coin.1.usd
                ));
            }
            let liquidity = crate::snapshot::units(p.uint(7)?, 0)?;
            let legs = if liquidity > 0.0 {
                let leg = pair.range((tick(&p, 5)?, tick(&p, 6)?), liquidity)?;
                let underlying = pair.coin.0;
                vec![HeldLeg { name: format!("range {id}"), underlying, leg, quantity: 1.0 }]
            } else {
                Vec::new()
            };
            let mut collateral = Vec::new();
            for (token, at) in [(p.address(2)?, 10), (p.address(3)?, 11)] {
                let amount = p.uint(at)?;
                if amount > U256::ZERO {
                    let factor_bps = crate::snapshot::BPS;
                    collateral.push(Holding { token, amount, factor_bps });
                }
            }
            match holders.iter_mut().find(|h| h.id == owner) {
                Some(h) => {
                    h.legs.extend(legs);
                    h.collateral.extend(collateral);
                }
                None => holders.push(Holder { id: owner, collateral, legs, ..Holder::default() }),
            }
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices: r.prices.clone(),
            margin: MarginRule::FullyCollateralised,
            backstop: Backstop { order: "nobody: nothing is borrowed", reserves: Vec::new() },
            liquidity: Vec::new(),
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        &[Semantics {
            action: "none: pools cannot be paused",
            call: "–",
            trade: Effect::GoesOn,
            reduce: Effect::Works,
            deposit: Effect::Works,
            withdraw: Effect::Works,
            liquidate: Effect::Absent,
            settle: Effect::Absent,
            funding: Effect::GoesOn,
            oracle: Effect::GoesOn,
            adl: Effect::Absent,
        }]
    }
}

/// Word `index` as a tick.
pub(super) fn tick(r: &Reader<'_>, index: usize) -> Result<i32, AdapterError> {
    let t = i32::try_from(r.int(index)?).ok().filter(|t| t.abs() <= TICK_MAX);
    t.ok_or_else(|| AdapterError::Malformed { what: "tick".into(), why: "beyond the largest tick" })
}

fn position(manager: Address, id: U256) -> StateRead {
    call(manager, "positions(uint256)", &[id])
}

/// Tokens and fee of a position name its pool.
fn pool_of(factory: Address, p: &Reader<'_>) -> Result<StateRead, AdapterError> {
    let fee = U256::from(p.small(4, 1_000_000)?);
    let arguments = [word(p.address(2)?), word(p.address(3)?), fee];
    Ok(call(factory, "getPool(address,address,uint24)", &arguments))
}

/// A number as a word.
#[cfg(test)]
pub(super) fn signed(value: i32) -> U256 {
    alloy_primitives::I256::try_from(value).map_or(U256::ZERO, alloy_primitives::I256::into_raw)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::adapters::tests::{Scripted, at, n, w};

    fn scripted(usdc_is_zero: bool, ticks: (i32, i32), now: i32) -> (Scripted, Request) {
        let (manager, factory, pool, owner, eth, usdc) = (at(1), at(2), at(3), at(4), at(5), at(6));
        let (zero, one) = if usdc_is_zero { (usdc, eth) } else { (eth, usdc) };
        let mut s = Scripted::default();
        let words = [
            n(0),
            n(0),
            w(zero),
            w(one),
            n(500),
            signed(ticks.0),
            signed(ticks.1),
            n(1_000_000_000_000_000),
            n(0),
            n(0),
            n(7),
            n(0),
        ];
        s.on(manager, "factory()", &[], &[w(factory)])
            .on(manager, "positions(uint256)", &[n(9)], &words)
            .on(manager, "ownerOf(uint256)", &[n(9)], &[w(owner)])
            .on(factory, "getPool(address,address,uint24)", &[w(zero), w(one), n(500)], &[w(pool)])
            .on(pool, "slot0()", &[], &[n(1), signed(now), n(0), n(0), n(0), n(0), n(1)]);
        let prices = BTreeMap::from([
            (eth, Price { usd: 2_000.0, decimals: 18 }),
            (usdc, Price { usd: 1.0, decimals: 6 }),
        ]);
        (s, Request { contract: manager, ids: vec![n(9)], prices, ..Request::default() })
    }

    #[test]
    fn a_range_is_worth_the_same_whichever_token_comes_first() {
        // 1.0001^-200311 * 10^12 = 2,000 to a hundredth of a percent.
        let (s, request) = scripted(false, (-202_000, -198_000), -200_311);
        let a = s.run(&UniswapV3, &request).unwrap();
        assert!(a.warnings.is_empty(), "{:?}", a.warnings);
        let book = a.book(at(5), "pool").unwrap();
        let value = book.instruments[0].leg.greeks().unwrap();
        // L = 1e15 base units over sqrt(10^24) = 1,000 sqrt(ETH USDC).
        let sqrt = |tick: i32| (1.0001_f64.powi(tick) * 1e12).sqrt();
        let spot = 2_000_f64.sqrt();
        let want = 1_000.0 * (2.0 * spot - 2_000.0 / sqrt(-198_000) - sqrt(-202_000));
        assert!((value.value / want - 1.0).abs() < 1e-9, "{} {want}", value.value);
        assert!(value.gamma < 0.0 && value.delta > 0.0);
        let (t, other) = scripted(true, (198_000, 202_000), 200_311);
        let b = t.run(&UniswapV3, &other).unwrap().book(at(5), "pool").unwrap();
        let mirrored = b.instruments[0].leg.greeks().unwrap();
        assert!((mirrored.value / value.value - 1.0).abs() < 1e-9);
        s.survives_bad_answers(&UniswapV3, &request);
    }

    #[test]
    fn a_pool_away_from_the_price_given_is_told() {
        let (s, request) = scripted(false, (-202_000, -198_000), -190_000);
        assert_eq!(s.run(&UniswapV3, &request).unwrap().warnings.len(), 1);
        let (bad, request) = scripted(false, (-990_000, -198_000), -200_311);
        assert!(bad.run(&UniswapV3, &request).is_err());
    }
}
