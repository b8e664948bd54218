//! Derive (Lyra v2) sub-accounts: cash, options and a perpetual per account number, portfolio margin on a grid.

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;
use cofferdam_risk::pricing::OptionKind;
use cofferdam_risk::scenario::{GridInstrument, Leg};

use crate::abi::{answer, call, must};
use crate::snapshot::units;
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, HeldLeg, Holder, Holding, MarginRule,
    Request, Semantics, Snapshot,
};

/// Every balance has 18 decimals.
const BALANCE_DECIMALS: u8 = 18;
/// Decimals of a strike inside an option number.
const STRIKE_DECIMALS: u8 = 8;
/// Seconds of a 365-day year.
const YEAR_SECONDS: f64 = 31_536_000.0;

/// The adapter.
pub(super) struct Derive;

/// An option number: one bit call, 63 bits strike, 32 bits expiry.
fn decode(sub_id: U256) -> Option<(OptionKind, u128, u64)> {
    if sub_id >> 96 != U256::ZERO {
        return None;
    }
    let raw = sub_id.to::<u128>();
    let kind = if raw >> 95 == 1 { OptionKind::Call } else { OptionKind::Put };
    Some((kind, (raw >> 32) & ((1 << 63) - 1), (raw & u128::from(u32::MAX)) as u64))
}

impl Adapter for Derive {
    fn id(&self) -> &'static str {
        "derive"
    }

    fn summary(&self) -> &'static str {
        "Derive (Lyra v2) sub-accounts of one market"
    }

    fn page(&self) -> &'static str {
        include_str!("derive.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let out: Vec<StateRead> = r.ids.iter().map(|id| balances(r.contract, *id)).collect();
        for q in &out {
            answer(known, q, "getAccountBalances")?;
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let mut holders = Vec::with_capacity(r.ids.len());
        let mut warnings = Vec::new();
        for id in &r.ids {
            let b = must(known, &balances(r.contract, *id), "getAccountBalances")?;
            let (n, first) = b.array(b.offset(0, 0)?, 3)?;
            let mut out = Holder { id: id.to_string(), ..Holder::default() };
            for i in 0..n {
                let at = first + 3 * i;
                let (asset, sub_id, balance) = (b.address(at)?, b.uint(at + 1)?, b.int(at + 2)?);
                let size = units(balance.unsigned_abs(), BALANCE_DECIMALS)?;
                let quantity = if balance.is_negative() { -size } else { size };
                if sub_id > U256::ZERO && !r.holders.contains(&asset) {
                    warnings
                        .push(format!("{sub_id} of {asset} in account {id} is of another market"));
                } else if sub_id > U256::ZERO {
                    match option(r, sub_id)? {
                        Some(leg) => out.legs.push(HeldLeg {
                            name: format!("{asset}#{sub_id}"),
                            underlying: r.helper,
                            leg,
                            quantity,
                        }),
                        None => {
                            warnings.push(format!("option {sub_id} of account {id} has expired"))
                        }
                    }
                } else if asset == r.helper {
                    out.legs.push(perpetual(r, quantity)?);
                } else {
                    cash(r, &mut out, asset, balance.unsigned_abs(), balance.is_negative())?;
                }
            }
            holders.push(out);
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices: r.prices.clone(),
            margin: MarginRule::PortfolioGrid,
            backstop: Backstop {
                order: "Dutch auction, then the security module, then every cash holder",
                reserves: Vec::new(),
            },
            liquidity: Vec::new(),
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        &[Semantics {
            action: "auctions and matching blocked",
            call: "setBlacklist / keeper off",
            trade: Effect::Frozen,
            reduce: Effect::Frozen,
            deposit: Effect::Works,
            withdraw: Effect::Frozen,
            liquidate: Effect::Frozen,
            settle: Effect::Works,
            funding: Effect::GoesOn,
            oracle: Effect::GoesOn,
            adl: Effect::Absent,
        }]
    }
}

fn balances(accounts: Address, id: U256) -> StateRead {
    call(accounts, "getAccountBalances(uint256)", &[id])
}

/// The index of the market, given as the price of its perpetual.
fn spot(r: &Request) -> Result<f64, AdapterError> {
    r.prices.get(&r.helper).map(|p| p.usd).ok_or(AdapterError::NoPrice { token: r.helper })
}

fn option(r: &Request, sub_id: U256) -> Result<Option<Leg>, AdapterError> {
    let Some((kind, strike, expiry)) = decode(sub_id) else {
        return Err(AdapterError::Malformed {
            what: "getAccountBalances".into(),
            why: "an option number of more than 96 bits",
        });
    };
    if expiry <= r.now {
        return Ok(None);
    }
    let strike = units(U256::from(strike), STRIKE_DECIMALS)?;
    let years = (expiry - r.now) as f64 / YEAR_SECONDS;
    let forward = spot(r)?;
    let leg = Leg::Option(GridInstrument { kind, strike, forward, vol: r.vol, years });
    leg.validate()?;
    Ok(Some(leg))
}

/// The perpetual settles its profit into cash all the time, so it is marked where it stands.
fn perpetual(r: &Request, quantity: f64) -> Result<HeldLeg, AdapterError> {
    let price = spot(r)?;
    let leg = Leg::Linear { price, entry: price };
    Ok(HeldLeg { name: format!("{}#perpetual", r.helper), underlying: r.helper, leg, quantity })
}

fn cash(
    r: &Request,
    out: &mut Holder,
    token: Address,
    balance: U256,
    negative: bool,
) -> Result<(), AdapterError> {
    let decimals = r.prices.get(&token).ok_or(AdapterError::NoPrice { token })?.decimals;
    // Balances have 18 decimals whatever the token has; a debt is rounded up.
    let drop = U256::from(10).pow(U256::from(BALANCE_DECIMALS.saturating_sub(decimals)));
    let lift = U256::from(10).pow(U256::from(decimals.saturating_sub(BALANCE_DECIMALS).min(18)));
    let scaled = if negative { balance.div_ceil(drop) } else { balance / drop };
    let amount = scaled
        .checked_mul(lift)
        .ok_or(cofferdam_risk::RiskError::Overflow { name: "cash balance" })?;
    let list = if negative { &mut out.debt } else { &mut out.collateral };
    list.push(Holding { token, amount, factor_bps: crate::snapshot::BPS });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_primitives::I256;

    use super::*;
    use crate::Price;
    use crate::adapters::tests::{Scripted, at, n, w};

    #[test]
    fn an_account_holds_cash_options_and_a_perpetual() {
        let (accounts, option, perp, usdc) = (at(1), at(2), at(3), at(4));
        let one = 1_000_000_000_000_000_000_i128;
        let sub_id = (1_u128 << 95) | (300_000_000_000 << 32) | 2_000_000;
        let signed = |x: i128| I256::try_from(x).unwrap().into_raw();
        let mut s = Scripted::default();
        s.on(
            accounts,
            "getAccountBalances(uint256)",
            &[n(7)],
            &[
                n(32),
                n(3),
                w(usdc),
                n(0),
                signed(-500 * one),
                w(option),
                n(sub_id),
                signed(-3 * one),
                w(perp),
                n(0),
                signed(2 * one),
            ],
        );
        let request = Request {
            contract: accounts,
            helper: perp,
            holders: vec![option],
            ids: vec![n(7)],
            prices: BTreeMap::from([
                (perp, Price { usd: 2_900.0, decimals: 18 }),
                (usdc, Price { usd: 1.0, decimals: 6 }),
            ]),
            vol: 0.7,
            now: 1_000_000,
        };
        let snapshot = s.run(&Derive, &request).unwrap();
        assert_eq!(snapshot.holders[0].debt[0].amount, n(500_000_000));
        let book = snapshot.book(perp, "derive").unwrap();
        assert_eq!(book.accounts[0].usd, -500.0);
        assert_eq!(book.instruments.len(), 2);
        let call = book.instruments.iter().find_map(|i| i.leg.option()).unwrap();
        assert_eq!((call.kind, call.strike), (OptionKind::Call, 3_000.0));
        s.survives_bad_answers(&Derive, &request);
        let other = Request { holders: Vec::new(), ..request };
        let snapshot = s.run(&Derive, &other).unwrap();
        assert!(snapshot.warnings[0].contains("another market"));
        assert_eq!(decode(U256::from(1) << 97), None);
    }
}
