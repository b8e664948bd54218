//! Panoptic: options made of Uniswap v3 ranges. A short leg provides a range, a long leg has removed one.

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;

use super::uniswap_v3::{Pair, TICK_MAX, tick};
use crate::abi::{answer, call, must, word};
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, HeldLeg, Holder, Holding, MarginRule,
    Request, Semantics, Snapshot,
};

/// Legs of a position at most.
const LEGS_MAX: u32 = 4;
/// Bits of one leg, after 64 bits for the pool.
const LEG_BITS: usize = 48;

/// The adapter.
pub(super) struct Panoptic;

/// One leg of a token number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LegBits {
    asset: u8,
    ratio: u8,
    long: bool,
    strike: i32,
    width: u16,
}

/// The legs of a token number; legs of ratio zero are absent.
fn decode(id: U256) -> Vec<LegBits> {
    let leg = |i: u32| {
        let bits = (id >> (64 + LEG_BITS * i as usize)).wrapping_to::<u64>();
        // 24 bits, two's complement.
        let strike = ((((bits >> 12) & 0xff_ffff) as u32) << 8) as i32 >> 8;
        LegBits {
            asset: (bits & 1) as u8,
            ratio: ((bits >> 1) & 0x7f) as u8,
            long: (bits >> 8) & 1 == 1,
            strike,
            width: ((bits >> 36) & 0xfff) as u16,
        }
    };
    (0..LEGS_MAX).map(leg).filter(|l| l.ratio > 0).collect()
}

/// Tick spacing, the upper sixteen of the first 64 bits.
fn spacing(id: U256) -> i32 {
    ((id >> 48_usize).wrapping_to::<u64>() & 0xffff) as i32
}

impl Adapter for Panoptic {
    fn id(&self) -> &'static str {
        "panoptic"
    }

    fn summary(&self) -> &'static str {
        "Panoptic positions: options made of liquidity ranges"
    }

    fn page(&self) -> &'static str {
        include_str!("panoptic.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let pool = r.contract;
        let parts = ["univ3pool()", "collateralToken0()", "collateralToken1()"]
            .map(|signature| call(pool, signature, &[]));
        let mut out = parts.to_vec();
        for h in &r.holders {
            out.extend(r.ids.iter().map(|id| balance(pool, *h, *id)));
        }
        if let Some(univ3) = answer(known, &parts[0], "univ3pool()")? {
            let univ3 = univ3.address(0)?;
            out.extend(["token0()", "token1()", "slot0()"].map(|s| call(univ3, s, &[])));
        }
        for tracker in &parts[1..] {
            let Some(tracker) = answer(known, tracker, "collateral token")? else { continue };
            let tracker = tracker.address(0)?;
            for h in &r.holders {
                let shares = call(tracker, "balanceOf(address)", &[word(*h)]);
                if let Some(n) = answer(known, &shares, "balanceOf")? {
                    out.push(call(tracker, "convertToAssets(uint256)", &[n.uint(0)?]));
                }
                out.push(shares);
            }
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let pool = r.contract;
        let part =
            |signature: &str| must(known, &call(pool, signature, &[]), signature)?.address(0);
        let univ3 = part("univ3pool()")?;
        let trackers = [part("collateralToken0()")?, part("collateralToken1()")?];
        let token =
            |signature: &str| must(known, &call(univ3, signature, &[]), signature)?.address(0);
        let tokens = [token("token0()")?, token("token1()")?];
        let pair = Pair::of(r, tokens[0], tokens[1])?;
        let slot0 = must(known, &call(univ3, "slot0()", &[]), "slot0()")?;
        let at = pair.price_at(tick(&slot0, 1)?);
        let mut warnings = Vec::new();
        if (at / pair.coin.1.usd - 1.0).abs() > 0.02 {
            warnings.push(format!(
                "the pool trades at {at:.6e}, the price given is {:.6e}",
                pair.coin.1.usd
            ));
        }
        let mut holders = Vec::with_capacity(r.holders.len());
        for h in &r.holders {
            let mut out = Holder { id: h.to_string(), ..Holder::default() };
            for (tracker, token) in trackers.iter().zip(tokens) {
                let shares = call(*tracker, "balanceOf(address)", &[word(*h)]);
                let shares = must(known, &shares, "balanceOf")?.uint(0)?;
                let worth = call(*tracker, "convertToAssets(uint256)", &[shares]);
                let amount = must(known, &worth, "convertToAssets")?.uint(0)?;
                if amount > U256::ZERO {
                    let factor_bps = crate::snapshot::BPS;
                    out.collateral.push(Holding { token, amount, factor_bps });
                }
            }
            for id in &r.ids {
                let size =
                    must(known, &balance(pool, *h, *id), "optionPositionBalance")?.uint(0)?;
                if size > U256::ZERO {
                    out.legs.extend(legs(&pair, *id, size)?);
                }
            }
            holders.push(out);
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices: r.prices.clone(),
            margin: MarginRule::MaintenanceBps(2_000),
            backstop: Backstop {
                order: "liquidation bonus, haircut of premia, then all depositors of the pool",
                reserves: Vec::new(),
            },
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
            liquidate: Effect::Works,
            settle: Effect::Absent,
            funding: Effect::GoesOn,
            oracle: Effect::GoesOn,
            adl: Effect::Absent,
        }]
    }
}

fn balance(pool: Address, who: Address, id: U256) -> StateRead {
    call(pool, "optionPositionBalance(address,uint256)", &[word(who), id])
}

/// The ranges behind a position of `size` contracts: each leg moves `size x ratio` of its asset.
fn legs(pair: &Pair, id: U256, size: U256) -> Result<Vec<HeldLeg>, AdapterError> {
    let malformed = |why| AdapterError::Malformed { what: format!("position {id:#x}"), why };
    let contracts = crate::snapshot::units(size, 0)?;
    let mut out = Vec::new();
    for (i, l) in decode(id).into_iter().enumerate() {
        let half = i32::from(l.width) * spacing(id) / 2;
        let ticks = (l.strike.saturating_sub(half), l.strike.saturating_add(half));
        if half == 0 || ticks.0 < -TICK_MAX || ticks.1 > TICK_MAX {
            return Err(malformed("a range without width or beyond the largest tick"));
        }
        let root = |t: i32| libm::exp(libm::log(1.0001) * f64::from(t) / 2.0);
        let (low, high) = (root(ticks.0), root(ticks.1));
        let amount = contracts * f64::from(l.ratio);
        let liquidity = match l.asset {
            0 => amount * low * high / (high - low),
            _ => amount / (high - low),
        };
        let leg = pair.range(ticks, liquidity)?;
        out.push(HeldLeg {
            name: format!("{id:#x}/{i}"),
            underlying: pair.coin.0,
            leg,
            // Selling an option provides the range, buying one removes it.
            quantity: if l.long { -1.0 } else { 1.0 },
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::uniswap_v3::signed;
    use super::*;
    use crate::Price;
    use crate::adapters::tests::{Scripted, at, n, w};

    fn token_id(legs: &[LegBits], spacing: u64) -> U256 {
        let mut id = U256::from(spacing) << 48;
        for (i, l) in legs.iter().enumerate() {
            let bits = u64::from(l.asset)
                | u64::from(l.ratio) << 1
                | u64::from(l.long) << 8
                | ((l.strike as u32 as u64) & 0xff_ffff) << 12
                | u64::from(l.width) << 36;
            id |= U256::from(bits) << (64 + LEG_BITS * i);
        }
        id
    }

    #[test]
    fn token_numbers_survive_encoding_with_negative_strikes() {
        let legs = [
            LegBits { asset: 1, ratio: 3, long: false, strike: -200_310, width: 40 },
            LegBits { asset: 0, ratio: 127, long: true, strike: 887_000, width: 4_095 },
        ];
        let id = token_id(&legs, 10);
        assert_eq!((decode(id), spacing(id)), (legs.to_vec(), 10));
    }

    #[test]
    fn a_sold_option_is_short_gamma_and_a_bought_one_long() {
        let (pool, univ3, user, eth, usdc) = (at(1), at(2), at(3), at(5), at(6));
        let leg = |long| LegBits { asset: 0, ratio: 1, long, strike: -200_310, width: 40 };
        let ids = [token_id(&[leg(false)], 10), token_id(&[leg(true)], 10)];
        let mut s = Scripted::default();
        s.on(pool, "univ3pool()", &[], &[w(univ3)])
            .on(pool, "collateralToken0()", &[], &[w(at(7))])
            .on(pool, "collateralToken1()", &[], &[w(at(8))])
            .on(univ3, "token0()", &[], &[w(eth)])
            .on(univ3, "token1()", &[], &[w(usdc)])
            .on(univ3, "slot0()", &[], &[n(1), signed(-200_311), n(0), n(0), n(0), n(0), n(1)]);
        for id in ids {
            let words = [n(2_000_000_000_000_000_000), n(0), n(0)];
            s.on(pool, "optionPositionBalance(address,uint256)", &[w(user), id], &words);
        }
        for tracker in [7, 8] {
            s.on(at(tracker), "balanceOf(address)", &[w(user)], &[n(4)]).on(
                at(tracker),
                "convertToAssets(uint256)",
                &[n(4)],
                &[n(5_000_000)],
            );
        }
        let request = Request {
            contract: pool,
            holders: vec![user],
            ids: ids.to_vec(),
            prices: BTreeMap::from([
                (eth, Price { usd: 2_000.0, decimals: 18 }),
                (usdc, Price { usd: 1.0, decimals: 6 }),
            ]),
            ..Request::default()
        };
        let snapshot = s.run(&Panoptic, &request).unwrap();
        let legs = &snapshot.holders[0].legs;
        let gamma = |i: usize| legs[i].quantity * legs[i].leg.greeks().unwrap().gamma;
        assert!(gamma(0) < 0.0 && gamma(1) > 0.0);
        // Two contracts of one ETH: at most two ETH in the range.
        let coins = legs[0].leg.value(0.5, 0.0, 0.0).unwrap() / 1_000.0;
        assert!((coins - 2.0).abs() < 1e-6, "{coins}");
        assert!((snapshot.book(eth, "panoptic").unwrap().accounts[0].usd - 5.0).abs() < 1e-12);
        s.survives_bad_answers(&Panoptic, &request);
        let widthless = token_id(&[LegBits { width: 0, ..leg(false) }], 10);
        let pair = Pair::of(&request, eth, usdc).unwrap();
        assert!(legs_of(&pair, widthless).is_err());
    }

    fn legs_of(pair: &Pair, id: U256) -> Result<Vec<HeldLeg>, AdapterError> {
        super::legs(pair, id, n(1))
    }
}
