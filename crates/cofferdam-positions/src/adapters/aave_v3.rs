//! Aave v3: reserves, users' supply and variable debt, liquidation thresholds, the pool's own oracle.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;

use crate::abi::{answer, call, must, word};
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, Holder, Holding, MarginRule, Price, Request,
    Semantics, Snapshot,
};

/// Decimals of the oracle's base currency on every v3 market.
const BASE_DECIMALS: u8 = 8;

/// The adapter.
pub(super) struct AaveV3;

/// Addresses behind the pool.
struct Parts {
    data: Address,
    oracle: Address,
}

impl Adapter for AaveV3 {
    fn id(&self) -> &'static str {
        "aave-v3"
    }

    fn summary(&self) -> &'static str {
        "Aave v3 pools"
    }

    fn page(&self) -> &'static str {
        include_str!("aave_v3.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let pool = r.contract;
        let provider = call(pool, "ADDRESSES_PROVIDER()", &[]);
        let reserves = call(pool, "getReservesList()", &[]);
        let mut out = vec![provider.clone(), reserves.clone()];
        let Some(provider) = answer(known, &provider, "ADDRESSES_PROVIDER()")? else {
            return Ok(out);
        };
        let provider = provider.address(0)?;
        out.push(call(provider, "getPoolDataProvider()", &[]));
        out.push(call(provider, "getPriceOracle()", &[]));
        let (Some(parts), Some(list)) =
            (parts(known, provider)?, answer(known, &reserves, "getReservesList()")?)
        else {
            return Ok(out);
        };
        for asset in list.addresses()? {
            let tokens = tokens_of(parts.data, asset);
            out.push(config(parts.data, asset));
            out.push(tokens.clone());
            out.push(price_of(parts.oracle, asset));
            if let Some(tokens) = answer(known, &tokens, "getReserveTokensAddresses")? {
                out.push(call(asset, "balanceOf(address)", &[word(tokens.address(0)?)]));
            }
            out.extend(r.holders.iter().map(|h| user(parts.data, asset, *h)));
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let pool = r.contract;
        let provider =
            must(known, &call(pool, "ADDRESSES_PROVIDER()", &[]), "ADDRESSES_PROVIDER()")?;
        let provider = provider.address(0)?;
        let parts = parts(known, provider)?
            .ok_or_else(|| AdapterError::Unavailable { what: "addresses of the pool".into() })?;
        let list = must(known, &call(pool, "getReservesList()", &[]), "getReservesList()")?;
        let mut holders: Vec<Holder> =
            r.holders.iter().map(|h| Holder { id: h.to_string(), ..Holder::default() }).collect();
        let (mut prices, mut liquidity, mut warnings) = (BTreeMap::new(), Vec::new(), Vec::new());
        for token in list.addresses()? {
            // (decimals, ltv, liquidation threshold, bonus, reserve factor, collateral, borrowing, stable, active, frozen)
            let c = must(known, &config(parts.data, token), "getReserveConfigurationData")?;
            let decimals = c.small(0, 36)? as u8;
            let threshold = c.small(2, 10_000)? as u32;
            if c.flag(9)? {
                warnings.push(format!("the reserve {token} is frozen"));
            }
            let raw = must(known, &price_of(parts.oracle, token), "getAssetPrice")?.uint(0)?;
            let usd = crate::snapshot::units(raw, BASE_DECIMALS)?;
            prices.insert(token, Price { usd, decimals });
            let a_token = must(known, &tokens_of(parts.data, token), "getReserveTokensAddresses")?;
            let held = call(token, "balanceOf(address)", &[word(a_token.address(0)?)]);
            let amount = must(known, &held, "balanceOf(aToken)")?.uint(0)?;
            liquidity.push(Holding { token, amount, factor_bps: crate::snapshot::BPS });
            for (h, out) in r.holders.iter().zip(&mut holders) {
                let u = must(known, &user(parts.data, token, *h), "getUserReserveData")?;
                let (supplied, stable, variable) = (u.uint(0)?, u.uint(1)?, u.uint(2)?);
                let debt = stable.checked_add(variable);
                let debt = debt.ok_or(cofferdam_risk::RiskError::Overflow { name: "debt" })?;
                let factor_bps = if u.flag(8)? { threshold } else { 0 };
                if supplied > U256::ZERO {
                    out.collateral.push(Holding { token, amount: supplied, factor_bps });
                }
                if debt > U256::ZERO {
                    let factor_bps = crate::snapshot::BPS;
                    out.debt.push(Holding { token, amount: debt, factor_bps });
                }
            }
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices,
            margin: MarginRule::CollateralFactors,
            backstop: Backstop {
                order: "Umbrella staking of the reserve, then the treasury, then suppliers",
                reserves: Vec::new(),
            },
            liquidity,
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        const FREEZE: Semantics = Semantics {
            action: "freeze a reserve",
            call: "setReserveFreeze(address,bool)",
            trade: Effect::Frozen,
            reduce: Effect::Works,
            deposit: Effect::Frozen,
            withdraw: Effect::Works,
            liquidate: Effect::Works,
            settle: Effect::Absent,
            funding: Effect::GoesOn,
            oracle: Effect::GoesOn,
            adl: Effect::Absent,
        };
        const PAUSE: Semantics = Semantics {
            action: "pause a reserve",
            call: "setReservePause(address,bool)",
            reduce: Effect::Frozen,
            withdraw: Effect::Frozen,
            liquidate: Effect::Frozen,
            ..FREEZE
        };
        &[
            FREEZE,
            PAUSE,
            Semantics { action: "pause the pool", call: "setPoolPause(bool)", ..PAUSE },
        ]
    }
}

fn parts(known: &Answers, provider: Address) -> Result<Option<Parts>, AdapterError> {
    let ask = |signature: &str| answer(known, &call(provider, signature, &[]), signature);
    let (data, oracle) = (ask("getPoolDataProvider()")?, ask("getPriceOracle()")?);
    let (Some(data), Some(oracle)) = (data, oracle) else { return Ok(None) };
    Ok(Some(Parts { data: data.address(0)?, oracle: oracle.address(0)? }))
}

fn config(data: Address, asset: Address) -> StateRead {
    call(data, "getReserveConfigurationData(address)", &[word(asset)])
}

fn tokens_of(data: Address, asset: Address) -> StateRead {
    call(data, "getReserveTokensAddresses(address)", &[word(asset)])
}

fn user(data: Address, asset: Address, who: Address) -> StateRead {
    call(data, "getUserReserveData(address,address)", &[word(asset), word(who)])
}

fn price_of(oracle: Address, asset: Address) -> StateRead {
    call(oracle, "getAssetPrice(address)", &[word(asset)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::tests::{Scripted, at, n, w};

    #[test]
    fn supply_counts_at_its_liquidation_threshold_if_it_is_collateral() {
        let (pool, provider, data, oracle, user) = (at(1), at(2), at(3), at(4), at(5));
        let mut s = Scripted::default();
        s.on(pool, "ADDRESSES_PROVIDER()", &[], &[w(provider)])
            .on(pool, "getReservesList()", &[], &[n(32), n(2), w(at(20)), w(at(21))])
            .on(provider, "getPoolDataProvider()", &[], &[w(data)])
            .on(provider, "getPriceOracle()", &[], &[w(oracle)]);
        for (i, (price, supplied, debt)) in
            [(200_000_000_000_u128, 3_000_000_u128, 0), (100_000_000, 0, 2_000_000_000)]
                .into_iter()
                .enumerate()
        {
            let asset = at(20 + i as u8);
            let config = [6, 8_000, 8_500, 10_500, 1_000, 1, 1, 0, 1, 0].map(n);
            s.on(data, "getReserveConfigurationData(address)", &[w(asset)], &config)
                .on(
                    data,
                    "getReserveTokensAddresses(address)",
                    &[w(asset)],
                    &[w(at(30)), n(0), w(at(31))],
                )
                .on(oracle, "getAssetPrice(address)", &[w(asset)], &[n(price)])
                .on(asset, "balanceOf(address)", &[w(at(30))], &[n(9)])
                .on(
                    data,
                    "getUserReserveData(address,address)",
                    &[w(asset), w(user)],
                    &[n(supplied), n(0), n(debt), n(0), n(0), n(0), n(0), n(0), n(1)],
                );
        }
        let request = Request { contract: pool, holders: vec![user], ..Request::default() };
        let snapshot = s.run(&AaveV3, &request).unwrap();
        let health = snapshot.health(&snapshot.holders[0]).unwrap().unwrap();
        assert!((health - 3.0 * 2_000.0 * 0.85 / 2_000.0).abs() < 1e-12, "{health}");
        s.survives_bad_answers(&AaveV3, &request);
        assert!(!AaveV3.semantics()[0].losses_grow() && AaveV3.semantics()[1].losses_grow());
    }
}
