//! GMX v2: positions in the data store, the pool of each market as counterparty, deleveraging by profit factors.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;
use cofferdam_risk::scenario::Leg;

use crate::abi::{Reader, answer, call, must, text_key, word, words_key};
use crate::snapshot::units;
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, HeldLeg, Holder, Holding, LIST_MAX,
    MarginRule, Request, Semantics, Snapshot,
};

/// Decimals of USD amounts.
const USD_DECIMALS: u8 = 30;

/// The adapter.
pub(super) struct GmxV2;

/// Questions to one data store.
struct Store(Address);

/// One market.
struct Market {
    address: Address,
    index: Address,
    long: Address,
    short: Address,
}

impl Store {
    fn uint(&self, key: U256) -> StateRead {
        call(self.0, "getUint(bytes32)", &[key])
    }

    fn address(&self, key: U256) -> StateRead {
        call(self.0, "getAddress(bytes32)", &[key])
    }

    fn flag(&self, key: U256) -> StateRead {
        call(self.0, "getBool(bytes32)", &[key])
    }

    fn position_list(account: Address) -> U256 {
        words_key(&[text_key("ACCOUNT_POSITION_LIST"), word(account)])
    }

    fn count(&self, account: Address) -> StateRead {
        call(self.0, "getBytes32Count(bytes32)", &[Self::position_list(account)])
    }

    fn keys(&self, account: Address, count: u64) -> StateRead {
        let arguments = [Self::position_list(account), U256::ZERO, U256::from(count)];
        call(self.0, "getBytes32ValuesAt(bytes32,uint256,uint256)", &arguments)
    }

    /// Reads of one position: market, collateral token, sizes, collateral, side.
    fn position(&self, key: U256) -> [StateRead; 6] {
        let field = |name: &str| words_key(&[key, text_key(name)]);
        [
            self.address(field("MARKET")),
            self.address(field("COLLATERAL_TOKEN")),
            self.uint(field("SIZE_IN_USD")),
            self.uint(field("SIZE_IN_TOKENS")),
            self.uint(field("COLLATERAL_AMOUNT")),
            self.flag(field("IS_LONG")),
        ]
    }

    fn market(&self, market: Address) -> [StateRead; 3] {
        ["INDEX_TOKEN", "LONG_TOKEN", "SHORT_TOKEN"]
            .map(|name| self.address(words_key(&[word(market), text_key(name)])))
    }

    fn pool(&self, market: Address, token: Address) -> StateRead {
        self.uint(words_key(&[text_key("POOL_AMOUNT"), word(market), word(token)]))
    }

    fn factor(&self, kind: &str, market: Address, long: bool) -> StateRead {
        let side = U256::from(u8::from(long));
        self.uint(words_key(&[text_key("MAX_PNL_FACTOR"), text_key(kind), word(market), side]))
    }
}

impl Adapter for GmxV2 {
    fn id(&self) -> &'static str {
        "gmx-v2"
    }

    fn summary(&self) -> &'static str {
        "GMX v2 positions and the pools behind them"
    }

    fn page(&self) -> &'static str {
        include_str!("gmx_v2.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let store = Store(r.contract);
        let mut out = Vec::new();
        let mut markets = BTreeSet::new();
        for h in &r.holders {
            out.push(store.count(*h));
            let Some(n) = answer(known, &store.count(*h), "getBytes32Count")? else { continue };
            let list = store.keys(*h, n.small(0, LIST_MAX as u64)?);
            out.push(list.clone());
            let Some(list) = answer(known, &list, "getBytes32ValuesAt")? else { continue };
            for key in words(&list)? {
                let reads = store.position(key);
                if let Some(market) = answer(known, &reads[0], "MARKET")? {
                    markets.insert(market.address(0)?);
                }
                out.extend(reads);
            }
        }
        for m in markets {
            let reads = store.market(m);
            for token in &reads[1..] {
                if let Some(token) = answer(known, token, "pool token")? {
                    out.push(store.pool(m, token.address(0)?));
                }
            }
            out.extend(reads);
            for kind in ["MAX_PNL_FACTOR_FOR_ADL", "MAX_PNL_FACTOR_FOR_WITHDRAWALS"] {
                out.extend([true, false].map(|long| store.factor(kind, m, long)));
            }
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let store = Store(r.contract);
        let mut holders = Vec::new();
        let mut pools: BTreeMap<Address, Vec<HeldLeg>> = BTreeMap::new();
        let mut markets = BTreeMap::new();
        for h in &r.holders {
            let mut out = Holder { id: h.to_string(), ..Holder::default() };
            let n = must(known, &store.count(*h), "getBytes32Count")?.small(0, LIST_MAX as u64)?;
            for key in words(&must(known, &store.keys(*h, n), "getBytes32ValuesAt")?)? {
                let (market, collateral, leg) = position(r, known, &store, key, &mut markets)?;
                // What the trader wins, the pool of the market loses.
                let other = HeldLeg { quantity: -leg.quantity, ..leg.clone() };
                pools.entry(market).or_default().push(other);
                out.collateral.push(collateral);
                out.legs.push(leg);
            }
            holders.push(out);
        }
        let mut warnings = Vec::new();
        let mut liquidity = Vec::new();
        for (address, legs) in pools {
            let Some(m) = markets.get(&address) else { continue };
            let collateral = pool(known, &store, m)?;
            liquidity.extend(collateral.iter().cloned());
            warnings.extend(unsafe_factors(known, &store, address)?);
            holders.push(Holder {
                id: format!("pool {address}"),
                collateral,
                legs,
                ..Holder::default()
            });
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices: r.prices.clone(),
            margin: MarginRule::MaintenanceBps(100),
            backstop: Backstop {
                order: "the pool of the market, then deleveraging of winners",
                reserves: Vec::new(),
            },
            liquidity,
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        &[Semantics {
            action: "features disabled or keepers off",
            call: "setBool(featureDisabledKey,true)",
            trade: Effect::Frozen,
            reduce: Effect::Frozen,
            deposit: Effect::Frozen,
            withdraw: Effect::Frozen,
            liquidate: Effect::Frozen,
            settle: Effect::Absent,
            funding: Effect::GoesOn,
            oracle: Effect::GoesOn,
            adl: Effect::Frozen,
        }]
    }
}

fn words(list: &Reader<'_>) -> Result<Vec<U256>, AdapterError> {
    let (n, first) = list.array(list.offset(0, 0)?, 1)?;
    (first..first + n).map(|i| list.uint(i)).collect()
}

fn position(
    r: &Request,
    known: &Answers,
    store: &Store,
    key: U256,
    markets: &mut BTreeMap<Address, Market>,
) -> Result<(Address, Holding, HeldLeg), AdapterError> {
    let [market, token, usd, tokens, amount, long] = store.position(key);
    let address = must(known, &market, "MARKET")?.address(0)?;
    if let Entry::Vacant(slot) = markets.entry(address) {
        let [index, long, short] = store.market(address);
        let of = |read: &StateRead, what: &str| must(known, read, what)?.address(0);
        slot.insert(Market {
            address,
            index: of(&index, "INDEX_TOKEN")?,
            long: of(&long, "LONG_TOKEN")?,
            short: of(&short, "SHORT_TOKEN")?,
        });
    }
    let underlying = markets.get(&address).map_or(address, |m| m.index);
    let price = r.prices.get(&underlying).ok_or(AdapterError::NoPrice { token: underlying })?;
    let coins = units(must(known, &tokens, "SIZE_IN_TOKENS")?.uint(0)?, price.decimals)?;
    // 30 decimals leave no room in 128 bits for large positions: drop twelve first.
    let size = must(known, &usd, "SIZE_IN_USD")?.uint(0)? / U256::from(10).pow(U256::from(12));
    let size = units(size, USD_DECIMALS - 12)?;
    if coins <= 0.0 || size <= 0.0 {
        return Err(AdapterError::Malformed { what: format!("position {key:#x}"), why: "no size" });
    }
    let leg = Leg::Linear { price: price.usd, entry: size / coins };
    leg.validate()?;
    let quantity = if must(known, &long, "IS_LONG")?.flag(0)? { coins } else { -coins };
    let collateral = Holding {
        token: must(known, &token, "COLLATERAL_TOKEN")?.address(0)?,
        amount: must(known, &amount, "COLLATERAL_AMOUNT")?.uint(0)?,
        factor_bps: crate::snapshot::BPS,
    };
    Ok((address, collateral, HeldLeg { name: format!("{key:#x}"), underlying, leg, quantity }))
}

fn pool(known: &Answers, store: &Store, m: &Market) -> Result<Vec<Holding>, AdapterError> {
    let mut tokens = vec![m.long, m.short];
    tokens.dedup();
    let holding = |token: Address| -> Result<Holding, AdapterError> {
        let amount = must(known, &store.pool(m.address, token), "POOL_AMOUNT")?.uint(0)?;
        Ok(Holding { token, amount, factor_bps: crate::snapshot::BPS })
    };
    tokens.into_iter().map(holding).collect()
}

/// The contract's own comment: above the withdrawal factor, an ADL factor can lead to a state in which neither
/// withdrawals nor deleveraging are allowed.
fn unsafe_factors(
    known: &Answers,
    store: &Store,
    market: Address,
) -> Result<Vec<String>, AdapterError> {
    let mut out = Vec::new();
    for long in [true, false] {
        let of = |kind: &str| must(known, &store.factor(kind, market, long), kind)?.uint(0);
        if of("MAX_PNL_FACTOR_FOR_ADL")? > of("MAX_PNL_FACTOR_FOR_WITHDRAWALS")? {
            let side = if long { "longs" } else { "shorts" };
            out.push(format!(
                "market {market}, {side}: the ADL factor is above the withdrawal factor, so both can be blocked at once"
            ));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Price;
    use crate::adapters::tests::{Scripted, at, n, w};

    #[test]
    fn the_pool_is_on_the_other_side_and_unsafe_factors_are_told() {
        let (store, trader, market, eth, usdc) = (at(1), at(2), at(3), at(4), at(5));
        let key = n(77);
        let mut s = Scripted::default();
        let get = |s: &mut Scripted, signature: &str, key: U256, value: U256| {
            s.on(store, signature, &[key], &[value]);
        };
        let list = Store::position_list(trader);
        get(&mut s, "getBytes32Count(bytes32)", list, n(1));
        s.on(
            store,
            "getBytes32ValuesAt(bytes32,uint256,uint256)",
            &[list, n(0), n(1)],
            &[n(32), n(1), key],
        );
        let field = |name: &str| words_key(&[key, text_key(name)]);
        get(&mut s, "getAddress(bytes32)", field("MARKET"), w(market));
        get(&mut s, "getAddress(bytes32)", field("COLLATERAL_TOKEN"), w(usdc));
        let usd = U256::from(30_000) * U256::from(10).pow(U256::from(30));
        get(&mut s, "getUint(bytes32)", field("SIZE_IN_USD"), usd);
        get(&mut s, "getUint(bytes32)", field("SIZE_IN_TOKENS"), n(10_000_000_000_000_000_000));
        get(&mut s, "getUint(bytes32)", field("COLLATERAL_AMOUNT"), n(2_000_000_000));
        get(&mut s, "getBool(bytes32)", field("IS_LONG"), n(1));
        for (name, token) in [("INDEX_TOKEN", eth), ("LONG_TOKEN", eth), ("SHORT_TOKEN", usdc)] {
            get(&mut s, "getAddress(bytes32)", words_key(&[w(market), text_key(name)]), w(token));
        }
        for (token, amount) in [(eth, 5_000_000_000_000_000_000), (usdc, 9_000_000_000)] {
            let key = words_key(&[text_key("POOL_AMOUNT"), w(market), w(token)]);
            get(&mut s, "getUint(bytes32)", key, n(amount));
        }
        for (kind, value) in [("MAX_PNL_FACTOR_FOR_ADL", 9), ("MAX_PNL_FACTOR_FOR_WITHDRAWALS", 7)]
        {
            for side in [0, 1] {
                let key =
                    words_key(&[text_key("MAX_PNL_FACTOR"), text_key(kind), w(market), n(side)]);
                get(&mut s, "getUint(bytes32)", key, n(value));
            }
        }
        let request = Request {
            contract: store,
            holders: vec![trader],
            prices: BTreeMap::from([
                (eth, Price { usd: 3_300.0, decimals: 18 }),
                (usdc, Price { usd: 1.0, decimals: 6 }),
            ]),
            ..Request::default()
        };
        let snapshot = s.run(&GmxV2, &request).unwrap();
        assert_eq!(snapshot.warnings.len(), 2);
        let book = snapshot.book(eth, "gmx").unwrap();
        assert_eq!(book.accounts[0].usd, 2_000.0);
        let sum: f64 = book.accounts.iter().flat_map(|a| &a.positions).map(|p| p.quantity).sum();
        assert_eq!(sum, 0.0);
        let Leg::Linear { entry, .. } = book.instruments[0].leg else { panic!() };
        assert_eq!(entry, 3_000.0);
        assert_eq!(book.accounts[1].coins, 5.0);
        s.survives_bad_answers(&GmxV2, &request);
    }
}
