//! The adapters on real bytecode: Venus markets as published on npm, and our own ERC-4626 vault.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod chain;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use chain::{OWNER, World, artifact, compile, creation, token, with_strings, word};
use cofferdam_positions::{Price, Request, adapter, take_snapshot};

const VENUS: &str = "node_modules/@venusprotocol/venus-protocol/artifacts/contracts/";
const USER: Address = Address::repeat_byte(0xdd);

fn ether(n: u64) -> U256 {
    U256::from(n) * U256::from(10).pow(U256::from(18))
}

/// Venus with two markets; `None` where the npm packages are missing.
fn venus(world: &World) -> Option<(Address, [Address; 2], [Address; 2])> {
    let load = |name: &str| artifact(&format!("{VENUS}{name}.json")).map(|a| creation(&a));
    let helpers = compile("VenusHelpers")?;
    let unitroller = world.deploy(&load("Comptroller/Unitroller.sol/Unitroller")?, &[]);
    let implementation = world.deploy(&load("Comptroller/Comptroller.sol/Comptroller")?, &[]);
    world.call(unitroller, "_setPendingImplementation(address)", &[word(implementation)]);
    world.call(implementation, "_become(address)", &[word(unitroller)]);
    let helper = world.deploy(&helpers, &[]);
    let lens = world.deploy(&load("Lens/ComptrollerLens.sol/ComptrollerLens")?, &[]);
    let ether_one = ether(1);
    for (signature, argument) in [
        ("_setAccessControl(address)", word(helper)),
        ("_setComptrollerLens(address)", word(lens)),
        ("_setPriceOracle(address)", word(helper)),
        ("_setCloseFactor(uint256)", ether_one / U256::from(2)),
        ("_setLiquidationIncentive(uint256)", ether_one * U256::from(11) / U256::from(10)),
    ] {
        world.call(unitroller, signature, &[argument]);
    }
    let rates =
        load("InterestRateModels/WhitePaperInterestRateModel.sol/WhitePaperInterestRateModel")?;
    let rates = world.deploy(&rates, &[U256::ZERO, U256::ZERO]);
    let market = load("Tokens/VTokens/VBep20Immutable.sol/VBep20Immutable")?;
    let mut made = [(Address::ZERO, Address::ZERO); 2];
    for (i, (name, decimals)) in [("Coin", 18_u64), ("Cash", 6)].into_iter().enumerate() {
        let underlying = token(world, name, decimals)?;
        let words = [
            word(underlying),
            word(unitroller),
            word(rates),
            ether_one,
            U256::ZERO,
            U256::ZERO,
            U256::from(8),
            word(OWNER),
        ];
        let v = world.deploy(&market, &with_strings(&words, 4, &[name, name]));
        assert_eq!(world.call(unitroller, "_supportMarket(address)", &[word(v)])[0], U256::ZERO);
        // 2,000 USD and 1 USD, with 36 - decimals digits.
        let usd = if i == 0 { 2_000 } else { 1 };
        let price = U256::from(usd) * U256::from(10).pow(U256::from(36 - decimals));
        world.call(helper, "setPrice(address,uint256)", &[word(v), price]);
        made[i] = (v, underlying);
    }
    let [(coin, coin_token), (cash, cash_token)] = made;
    let caps = [
        U256::from(64),
        U256::from(160),
        U256::from(2),
        word(coin),
        word(cash),
        U256::from(2),
        U256::MAX,
        U256::MAX,
    ];
    world.call(unitroller, "_setMarketSupplyCaps(address[],uint256[])", &caps);
    world.call(unitroller, "_setMarketBorrowCaps(address[],uint256[])", &caps);
    let factor = ether_one * U256::from(8) / U256::from(10);
    assert_eq!(
        world.call(unitroller, "_setCollateralFactor(address,uint256)", &[word(coin), factor])[0],
        U256::ZERO
    );
    Some((unitroller, [coin, cash], [coin_token, cash_token]))
}

#[test]
fn venus_accounts_are_read_as_the_protocol_values_them() {
    let world = World::new();
    let Some((comptroller, [coin, cash], [coin_token, cash_token])) = venus(&world) else { return };
    let million = U256::from(1_000_000_000_000_u64);
    world.call(cash_token, "mint(address,uint256)", &[word(OWNER), million]);
    world.call(cash_token, "approve(address,uint256)", &[word(cash), million]);
    assert_eq!(world.call(cash, "mint(uint256)", &[million])[0], U256::ZERO);
    world.call(coin_token, "mint(address,uint256)", &[word(USER), ether(10)]);
    let as_user =
        |to, signature: &str, words: &[U256]| world.send(USER, to, 0, signature, words).unwrap();
    as_user(coin_token, "approve(address,uint256)", &[word(coin), ether(10)]);
    assert_eq!(as_user(coin, "mint(uint256)", &[ether(10)])[0], U256::ZERO);
    as_user(comptroller, "enterMarkets(address[])", &[U256::from(32), U256::from(1), word(coin)]);
    assert_eq!(as_user(cash, "borrow(uint256)", &[U256::from(8_000_000_000_u64)])[0], U256::ZERO);

    world.wait(12);
    let head = world.chain.head();
    let request =
        Request { contract: comptroller, holders: vec![USER, OWNER], ..Request::default() };
    let venus = adapter("compound").unwrap();
    let s =
        take_snapshot(venus, &request, |reads| world.chain.read_at(&head, reads).unwrap()).unwrap();
    assert_eq!(s.prices[&coin_token], Price { usd: 2_000.0, decimals: 18 });
    assert_eq!(s.prices[&cash_token], Price { usd: 1.0, decimals: 6 });
    // 10 x 2,000 x 0.8 over 8,000.
    assert_eq!(s.health(&s.holders[0]).unwrap(), Some(2.0));
    let book = s.book(coin_token, "venus").unwrap();
    assert_eq!((book.accounts[0].coins, book.accounts[0].usd), (10.0, -8_000.0));
    assert_eq!(book.accounts[1].usd, 1e6);
    assert_eq!(s.liquidity[1].amount, U256::from(992_000_000_000_u64));
    // The protocol agrees: 8,000 USD of room left.
    let room = world.call(comptroller, "getAccountLiquidity(address)", &[word(USER)]);
    assert_eq!((room[1], room[2]), (ether(8_000), U256::ZERO));
}

#[test]
fn a_pause_of_venus_freezes_what_its_page_says() {
    let world = World::new();
    let Some((comptroller, [coin, _], [coin_token, _])) = venus(&world) else { return };
    world.call(coin_token, "mint(address,uint256)", &[word(USER), ether(2)]);
    let send = |signature: &str| world.send(USER, coin, 0, signature, &[ether(1)]);
    world.send(USER, coin_token, 0, "approve(address,uint256)", &[word(coin), ether(2)]).unwrap();
    assert_eq!(send("mint(uint256)").unwrap()[0], U256::ZERO);
    world.call(comptroller, "_setProtocolPaused(bool)", &[U256::from(1)]);
    for frozen in
        ["mint(uint256)", "redeemUnderlying(uint256)", "borrow(uint256)", "repayBorrow(uint256)"]
    {
        // A refusal is a revert or an error code.
        let outcome = send(frozen);
        assert!(outcome.is_err() || outcome.unwrap()[0] != U256::ZERO, "{frozen} went through");
    }
    world.call(comptroller, "_setProtocolPaused(bool)", &[U256::ZERO]);
    assert_eq!(send("mint(uint256)").unwrap()[0], U256::ZERO);
}

#[test]
fn our_vault_is_read_as_an_erc4626() {
    let world = World::new();
    let Some((token, vault)) = token(&world, "Demo", 18).zip(artifact("abi/DemoVault.json")) else {
        return;
    };
    let arguments = [word(token), word(OWNER), word(OWNER), U256::from(3_600)];
    let vault = world.deploy(&creation(&vault), &arguments);
    world.call(token, "mint(address,uint256)", &[word(USER), ether(100)]);
    world.send(USER, token, 0, "approve(address,uint256)", &[word(vault), ether(100)]).unwrap();
    world.send(USER, vault, 0, "deposit(uint256,address)", &[ether(40), word(USER)]).unwrap();
    world.wait(12);
    let head = world.chain.head();
    let request = Request {
        contract: vault,
        holders: vec![USER],
        prices: BTreeMap::from([(token, Price { usd: 2.0, decimals: 18 })]),
        ..Request::default()
    };
    let erc4626 = adapter("erc4626").unwrap();
    let s = take_snapshot(erc4626, &request, |reads| world.chain.read_at(&head, reads).unwrap())
        .unwrap();
    assert!((s.book(token, "vault").unwrap().accounts[0].coins - 40.0).abs() < 1e-12);
    assert_eq!(s.liquidity[0].amount, ether(40));
}
