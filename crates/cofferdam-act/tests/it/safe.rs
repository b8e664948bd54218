//! A real Safe acts through the module: rule, authorisation by two owners, pause.

use alloy::{
    primitives::{Address, Bytes, U256, aliases::U48},
    sol,
    sol_types::{SolCall, SolValue},
};
use cofferdam_act::{Authorisation, Authorisations, Bundle, FeePolicy, Race, Scope, Terms, prove};
use cofferdam_core::{
    AccountId,
    order::Outcome,
    plan::{ActionCall, ContainmentFunction, containment},
    ports::Broadcaster,
};
use serde_json::json;

use crate::{
    support::{CHAIN, key},
    world::{World, action, contracts, order, ready, setPauserCall},
};

sol! {
    struct Rule { uint8 quorum; bool ownersOnly; uint16 charges; uint48 expiresAt; }
    function setup(
        address[] owners,
        uint256 threshold,
        address to,
        bytes data,
        address fallbackHandler,
        address paymentToken,
        uint256 payment,
        address paymentReceiver
    ) external;
    function enableModule(address module) external;
    function setRule(address to, bytes data, Rule rule) external;
    function hashCall(address safe, address to, bytes data, uint256 nonce, uint48 deadline)
        external
        view
        returns (bytes32);
}

const SAFE: &str = "node_modules/@safe-global/safe-smart-account/build/artifacts/contracts";

/// A Safe of three owners, threshold three, with the module enabled.
async fn safe(world: &World, module: Address) -> Option<Address> {
    let folder = contracts().join(SAFE);
    if !folder.exists() {
        eprintln!("skipped: {} is absent", folder.display());
        return None;
    }
    let singleton = world.deploy_from(&folder.join("Safe.sol/Safe.json"), Vec::new()).await;
    let proxy = folder.join("proxies/SafeProxy.sol/SafeProxy.json");
    let safe = world.deploy_from(&proxy, singleton.abi_encode()).await;
    let zero = Address::ZERO;
    let setup = setupCall {
        owners: [0x51, 0x52, 0x53].map(|it| key(it).address()).to_vec(),
        threshold: U256::from(3),
        to: zero,
        data: Bytes::new(),
        fallbackHandler: zero,
        paymentToken: zero,
        payment: U256::ZERO,
        paymentReceiver: zero,
    };
    world.governance(safe, setup.abi_encode()).await;
    world.ask("anvil_impersonateAccount", json!([safe])).await;
    world.ask("anvil_setBalance", json!([safe, "0xde0b6b3a7640000"])).await;
    world.transact(safe, Some(safe), enableModuleCall { module }.abi_encode()).await;
    Some(safe)
}

#[tokio::test]
async fn two_owners_of_a_safe_pause_through_the_module() {
    let Some(world) = World::new().await else { return };
    if !contracts().join("abi/SafeEmergencyModule.json").exists() {
        eprintln!("skipped: contracts/abi/SafeEmergencyModule.json is absent");
        return;
    }
    let module = world.deploy("SafeEmergencyModule", Vec::new()).await;
    let Some(safe) = safe(&world, module).await else { return };
    let allow = setPauserCall { account: safe, allowed: true }.abi_encode();
    world.governance(world.legacy, allow).await;
    let data = containment::calldata(ContainmentFunction::Pause);
    let now = world.now().await;
    let ends = U48::from(now.0 / 1_000 + 999_999);
    let rule = Rule { quorum: 2, ownersOnly: true, charges: 2, expiresAt: ends };
    let list = setRuleCall { to: world.legacy, data: data.clone(), rule };
    world.transact(safe, Some(module), list.abi_encode()).await;

    let (a, b) = (key(0x51), key(0x52));
    let deadline = now.0 / 1_000 + 86_400;
    let terms = Terms { nonce: U256::from(4), deadline, epoch: 0 };
    let scope = Scope::SafeModule { module, safe, to: world.legacy, data: data.clone() };
    let made = Authorisation::sign(CHAIN, scope, terms, &[b.as_ref(), a.as_ref()]).await.unwrap();
    // The module computes the same digest.
    let (nonce, deadline) = (terms.nonce, U48::from(deadline));
    let asked = hashCallCall { safe, to: world.legacy, data, nonce, deadline }.abi_encode();
    let tx = json!({ "to": module, "data": Bytes::from(asked) });
    let told = world.ask("eth_call", json!([tx, "latest"])).await;
    assert_eq!(told, json!(made.digest(CHAIN)));

    let held = Authorisations::from_bundles(vec![Bundle::new(CHAIN, vec![made])]).unwrap();
    let account = |address| AccountId { chain: CHAIN, address };
    let action = action(ActionCall::SafeModule {
        module: account(module),
        safe: account(safe),
        target: account(world.legacy),
        function: ContainmentFunction::Pause,
        authorisations: "authorisations".into(),
    });
    let executor = world.executor();
    let net = world.net.as_ref();
    let told = prove(&action, &held, &executor.relayers(), net, FeePolicy::default(), now).await;
    assert!(told.ready, "{told:?}");
    assert!(told.proved.iter().any(|it| it.contains("2 charges left")), "{told:?}");
    let one = order(1, &action, now);
    let prepared = ready(&executor, &one, &held).await;
    world.ask("evm_setAutomine", json!([false])).await;
    assert!(executor.dispatch(&one, &prepared, Race::default(), now).await.unwrap().accepted());
    let before = net.head().await.unwrap().0;
    assert_eq!(executor.settle(&one, &world, net, before).await.unwrap(), None);
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&one, &world, net, block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Effective { tx: Some(_), .. })), "{outcome:?}");
}
