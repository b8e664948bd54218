//! The Uniswap v3 adapter on the bytecode of npm: factory, pool and position manager.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod chain;

use std::collections::BTreeMap;

use alloy_primitives::{Address, I256, U256};
use chain::{World, artifact, creation, token, word};
use cofferdam_positions::{Price, Request, adapter, take_snapshot};

const CORE: &str = "node_modules/@uniswap/v3-core/artifacts/contracts/";
const PERIPHERY: &str = "node_modules/@uniswap/v3-periphery/artifacts/contracts/";
const USER: Address = Address::repeat_byte(0xdd);
/// `sqrt(2,000)` in units of 2^-96.
const SQRT_2000: u128 = 3_543_191_142_285_914_205_922_034_323_214;

fn tick(value: i32) -> U256 {
    I256::try_from(value).unwrap().into_raw()
}

/// Two tokens of 18 decimals, a pool at 2,000 of the second per first, and its position manager.
fn uniswap(world: &World) -> Option<(Address, Address, [Address; 2])> {
    let factory = artifact(&format!("{CORE}UniswapV3Factory.sol/UniswapV3Factory.json"))?;
    let name = "NonfungiblePositionManager";
    let manager = artifact(&format!("{PERIPHERY}{name}.sol/{name}.json"))?;
    let mut tokens = [token(world, "One", 18)?, token(world, "Two", 18)?];
    tokens.sort();
    let factory = world.deploy(&creation(&factory), &[]);
    let words = [word(factory), U256::ZERO, U256::ZERO];
    let manager = world.deploy(&creation(&manager), &words);
    let signature = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)";
    let words = [word(tokens[0]), word(tokens[1]), U256::from(500), U256::from(SQRT_2000)];
    let pool = world.call(manager, signature, &words)[0];
    for it in tokens {
        world.call(it, "mint(address,uint256)", &[word(USER), U256::from(10_u128.pow(24))]);
        let words = [word(manager), U256::MAX];
        world.send(USER, it, 0, "approve(address,uint256)", &words).unwrap();
    }
    Some((manager, Address::from_word(pool.into()), tokens))
}

/// Adds liquidity between two ticks; its number, and what was paid of either token.
fn add(world: &World, manager: Address, tokens: [Address; 2], ticks: (i32, i32)) -> Vec<U256> {
    let signature = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))";
    let words = [
        word(tokens[0]),
        word(tokens[1]),
        U256::from(500),
        tick(ticks.0),
        tick(ticks.1),
        U256::from(10_u128.pow(18)),
        U256::from(2_000 * 10_u128.pow(18)),
        U256::ZERO,
        U256::ZERO,
        word(USER),
        U256::from(u64::MAX),
    ];
    world.send(USER, manager, 0, signature, &words).unwrap()
}

fn coins(amount: U256) -> f64 {
    u128::try_from(amount).unwrap() as f64 / 1e18
}

#[test]
fn a_position_is_worth_what_the_pool_took_for_it() {
    let world = World::new();
    let Some((manager, _, tokens)) = uniswap(&world) else { return };
    // 1.0001^76010 is 2,000 to a thousandth.
    let inside = add(&world, manager, tokens, (74_000, 78_000));
    let above = add(&world, manager, tokens, (80_000, 81_000));
    world.wait(12);
    let head = world.chain.head();
    let request = Request {
        contract: manager,
        ids: vec![inside[0], above[0]],
        prices: BTreeMap::from([
            (tokens[0], Price { usd: 2_000.0, decimals: 18 }),
            (tokens[1], Price { usd: 1.0, decimals: 18 }),
        ]),
        ..Request::default()
    };
    let uniswap = adapter("uniswap-v3").unwrap();
    let s = take_snapshot(uniswap, &request, |reads| world.chain.read_at(&head, reads).unwrap())
        .unwrap();
    assert!(s.warnings.is_empty(), "{:?}", s.warnings);
    assert_eq!((s.holders.len(), s.holders[0].legs.len()), (1, 2));
    assert_eq!(s.holders[0].id, USER.to_string());
    for (held, paid) in s.holders[0].legs.iter().zip([&inside, &above]) {
        let paid_usd = coins(paid[2]) * 2_000.0 + coins(paid[3]);
        let value = held.leg.greeks().unwrap().value;
        assert!((value / paid_usd - 1.0).abs() < 1e-6, "{} {value} {paid_usd}", held.name);
    }
    // Above the price a range holds nothing but coins.
    assert_eq!(above[3], U256::ZERO);
    assert!((s.holders[0].legs[1].leg.greeks().unwrap().delta - coins(above[2])).abs() < 1e-9);
}

#[test]
fn what_was_removed_is_owed_and_the_range_gone() {
    let world = World::new();
    let Some((manager, _, tokens)) = uniswap(&world) else { return };
    let made = add(&world, manager, tokens, (74_000, 78_000));
    let signature = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))";
    let words = [made[0], made[1], U256::ZERO, U256::ZERO, U256::from(u64::MAX)];
    let back = world.send(USER, manager, 0, signature, &words).unwrap();
    world.wait(12);
    let head = world.chain.head();
    let prices = BTreeMap::from(tokens.map(|t| (t, Price { usd: 1.0, decimals: 18 })));
    let request = Request { contract: manager, ids: vec![made[0]], prices, ..Request::default() };
    let s = take_snapshot(adapter("uniswap-v3").unwrap(), &request, |reads| {
        world.chain.read_at(&head, reads).unwrap()
    })
    .unwrap();
    assert!(s.holders[0].legs.is_empty());
    let owed: Vec<U256> = s.holders[0].collateral.iter().map(|h| h.amount).collect();
    assert_eq!(owed, back);
    // The pool trades at 2,000, the prices given say one.
    assert_eq!(s.warnings.len(), 1);
}
