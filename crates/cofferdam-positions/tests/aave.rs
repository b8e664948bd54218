//! The Aave v3 adapter on the bytecode of npm: pool, configurator, tokens, oracle and data provider.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod chain;

use alloy_primitives::{Address, U256};
use chain::{OWNER, World, linked, token, with_strings, word};
use cofferdam_positions::{Price, Request, adapter, take_snapshot};

const ROOT: &str = "node_modules/@aave/core-v3/artifacts/contracts/";
const USER: Address = Address::repeat_byte(0xdd);
/// Aave's mode of debt.
const VARIABLE: u64 = 2;

/// A pool of two reserves.
struct Aave {
    pool: Address,
    configurator: Address,
    /// 18 decimals at 2,000 USD, collateral at 85 %; 6 decimals at 1 USD.
    coin: Address,
    cash: Address,
}

fn ether(n: u64) -> U256 {
    U256::from(n) * U256::from(10).pow(U256::from(18))
}

fn ray(bps: u64) -> U256 {
    U256::from(bps) * U256::from(10).pow(U256::from(23))
}

fn address(words: &[U256]) -> Address {
    Address::from_word(words[0].into())
}

/// Aave with two reserves; `None` where the npm packages are missing.
fn aave(world: &World) -> Option<Aave> {
    let load = |path: &str| linked(world, ROOT, path);
    let tokens = [(token(world, "Coin", 18)?, 18_u64), (token(world, "Cash", 6)?, 6)];
    let market = with_strings(&[U256::ZERO, word(OWNER)], 0, &["Test"]);
    let configuration = "protocol/configuration";
    let provider = world.deploy(
        &load(&format!("{configuration}/PoolAddressesProvider.sol/PoolAddressesProvider.json"))?,
        &market,
    );
    let set = |signature: &str, to: Address| world.call(provider, signature, &[word(to)]);
    let made = |path: &str| Some(world.deploy(&load(path)?, &[word(provider)]));
    set("setACLAdmin(address)", OWNER);
    let roles = made(&format!("{configuration}/ACLManager.sol/ACLManager.json"))?;
    set("setACLManager(address)", roles);
    world.call(roles, "addPoolAdmin(address)", &[word(OWNER)]);
    world.call(roles, "addEmergencyAdmin(address)", &[word(OWNER)]);
    set("setPoolImpl(address)", made("protocol/pool/Pool.sol/Pool.json")?);
    let path = "protocol/pool/PoolConfigurator.sol/PoolConfigurator.json";
    set("setPoolConfiguratorImpl(address)", world.deploy(&load(path)?, &[]));
    let path = "misc/AaveProtocolDataProvider.sol/AaveProtocolDataProvider.json";
    set("setPoolDataProvider(address)", made(path)?);
    set("setPriceOracle(address)", oracle(world, provider, tokens.map(|t| t.0))?);
    let pool = address(&world.call(provider, "getPool()", &[]));
    let configurator = address(&world.call(provider, "getPoolConfigurator()", &[]));
    for it in tokens {
        reserve(world, provider, pool, configurator, it)?;
    }
    let [(coin, _), (cash, _)] = tokens;
    let words = [word(coin), U256::from(8_000), U256::from(8_500), U256::from(10_500)];
    let signature = "configureReserveAsCollateral(address,uint256,uint256,uint256)";
    world.call(configurator, signature, &words);
    Some(Aave { pool, configurator, coin, cash })
}

/// The protocol's own oracle on one aggregator per token.
fn oracle(world: &World, provider: Address, tokens: [Address; 2]) -> Option<Address> {
    let feed =
        linked(world, ROOT, "mocks/oracle/CLAggregators/MockAggregator.sol/MockAggregator.json")?;
    let [coin, cash] =
        [200_000_000_000_u64, 100_000_000].map(|usd| world.deploy(&feed, &[U256::from(usd)]));
    let two = U256::from(2);
    let words = [
        word(provider),
        U256::from(6 * 32),
        U256::from(9 * 32),
        U256::ZERO,
        U256::ZERO,
        U256::from(100_000_000),
        two,
        word(tokens[0]),
        word(tokens[1]),
        two,
        word(coin),
        word(cash),
    ];
    Some(world.deploy(&linked(world, ROOT, "misc/AaveOracle.sol/AaveOracle.json")?, &words))
}

/// Lists one token with debt tokens and an interest rate of its own.
fn reserve(
    world: &World,
    provider: Address,
    pool: Address,
    configurator: Address,
    (asset, decimals): (Address, u64),
) -> Option<()> {
    let load = |name: &str| linked(world, ROOT, &format!("protocol/{name}.json"));
    let tokens = ["AToken", "StableDebtToken", "VariableDebtToken"];
    let mut made = Vec::new();
    for it in tokens {
        let code = load(&format!("tokenization/{it}.sol/{it}"))?;
        made.push(word(world.deploy(&code, &[word(pool)])));
    }
    let name = "DefaultReserveInterestRateStrategy";
    let rates = [8_000, 0, 400, 7_500, 50, 7_500, 100, 800, 2_000].map(ray);
    let words: Vec<U256> = [word(provider)].into_iter().chain(rates).collect();
    let strategy = world.deploy(&load(&format!("pool/{name}.sol/{name}"))?, &words);
    let mut words = vec![U256::ZERO; 15];
    words[..3].copy_from_slice(&made);
    words[3] = U256::from(decimals);
    words[4] = word(strategy);
    words[5] = word(asset);
    words[6] = word(OWNER);
    let tuple = with_strings(&words, 8, &["a", "a", "v", "v", "s", "s", ""]);
    let array = [U256::from(32), U256::from(1), U256::from(32)];
    let all: Vec<U256> = array.into_iter().chain(tuple).collect();
    let signature = "initReserves((address,address,address,uint8,address,address,address,address,string,string,string,string,string,string,bytes)[])";
    world.call(configurator, signature, &all);
    let words = [word(asset), U256::from(1)];
    world.call(configurator, "setReserveBorrowing(address,bool)", &words);
    Some(())
}

fn supply(world: &World, it: &Aave, who: Address, asset: Address, amount: U256) {
    world.call(asset, "mint(address,uint256)", &[word(who), amount]);
    world.send(who, asset, 0, "approve(address,uint256)", &[word(it.pool), amount]).unwrap();
    let words = [word(asset), amount, word(who), U256::ZERO];
    world.send(who, it.pool, 0, "supply(address,uint256,address,uint16)", &words).unwrap();
}

fn borrow(world: &World, it: &Aave, amount: u64) -> Result<Vec<U256>, cofferdam_sim::LocalError> {
    let words = [word(it.cash), U256::from(amount), U256::from(VARIABLE), U256::ZERO, word(USER)];
    let signature = "borrow(address,uint256,uint256,uint16,address)";
    world.send(USER, it.pool, 0, signature, &words)
}

#[test]
fn accounts_are_read_as_the_pool_values_them() {
    let world = World::new();
    let Some(it) = aave(&world) else { return };
    supply(&world, &it, OWNER, it.cash, U256::from(1_000_000_000_000_u64));
    supply(&world, &it, USER, it.coin, ether(10));
    borrow(&world, &it, 8_000_000_000).unwrap();
    world.wait(12);
    let head = world.chain.head();
    let request = Request { contract: it.pool, holders: vec![USER, OWNER], ..Request::default() };
    let s = take_snapshot(adapter("aave-v3").unwrap(), &request, |reads| {
        world.chain.read_at(&head, reads).unwrap()
    })
    .unwrap();
    assert_eq!(s.prices[&it.coin], Price { usd: 2_000.0, decimals: 18 });
    assert_eq!(s.prices[&it.cash], Price { usd: 1.0, decimals: 6 });
    let health = s.health(&s.holders[0]).unwrap().unwrap();
    let data = world.call(it.pool, "getUserAccountData(address)", &[word(USER)]);
    let theirs = u128::try_from(data[5]).unwrap() as f64 / 1e18;
    assert!((health / theirs - 1.0).abs() < 1e-6, "{health} {theirs}");
    assert!((health - 10.0 * 2_000.0 * 0.85 / 8_000.0).abs() < 1e-3);
    assert!(s.holders[1].debt.is_empty());
    let cash = s.liquidity.iter().find(|h| h.token == it.cash).unwrap();
    assert_eq!(cash.amount, U256::from(992_000_000_000_u64));
}

#[test]
fn a_freeze_and_a_pause_stop_what_the_page_says() {
    let world = World::new();
    let Some(it) = aave(&world) else { return };
    supply(&world, &it, OWNER, it.cash, U256::from(1_000_000_000_000_u64));
    supply(&world, &it, USER, it.coin, ether(10));
    borrow(&world, &it, 1_000_000).unwrap();
    world.send(USER, it.cash, 0, "approve(address,uint256)", &[word(it.pool), U256::MAX]).unwrap();
    let repay = || {
        let words = [word(it.cash), U256::from(100), U256::from(VARIABLE), word(USER)];
        world.send(USER, it.pool, 0, "repay(address,uint256,uint256,address)", &words)
    };
    let withdraw = || {
        let words = [word(it.cash), U256::from(100), word(OWNER)];
        world.send(OWNER, it.pool, 0, "withdraw(address,uint256,address)", &words)
    };
    let set = |signature: &str, on: u64| {
        world.call(it.configurator, signature, &[word(it.cash), U256::from(on)]);
    };
    set("setReserveFreeze(address,bool)", 1);
    assert!(borrow(&world, &it, 1_000_000).is_err());
    assert!(repay().is_ok() && withdraw().is_ok());
    world.wait(12);
    let head = world.chain.head();
    let request = Request { contract: it.pool, holders: vec![USER], ..Request::default() };
    let s = take_snapshot(adapter("aave-v3").unwrap(), &request, |reads| {
        world.chain.read_at(&head, reads).unwrap()
    })
    .unwrap();
    assert_eq!(s.warnings, [format!("the reserve {} is frozen", it.cash)]);
    set("setReserveFreeze(address,bool)", 0);
    set("setReservePause(address,bool)", 1);
    assert!(borrow(&world, &it, 1_000_000).is_err() && repay().is_err() && withdraw().is_err());
    set("setReservePause(address,bool)", 0);
    assert!(borrow(&world, &it, 1_000_000).is_ok() && repay().is_ok() && withdraw().is_ok());
}
