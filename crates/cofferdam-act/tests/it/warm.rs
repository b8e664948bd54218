//! Templates kept hot: what is asked and signed ahead is not asked and signed again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy::primitives::{Address, B256, Signature};
use cofferdam_act::{
    Authorisations, Executor, Policy, Preparation, PrepareError, Race, SignError, Signer,
};
use cofferdam_core::{
    AccountId,
    order::Order,
    plan::{ActionCall, containment},
    ports::{Boxed, Broadcaster},
};

use crate::{
    support::{ACTION, CHAIN, GUARDIAN, GWEI, NOW, Net, TARGET, authorisations, key, order},
    world::action,
};

struct Counting(Arc<dyn Signer>, Arc<AtomicUsize>);

impl Signer for Counting {
    fn address(&self) -> Address {
        self.0.address()
    }
    fn sign_hash(&self, hash: B256) -> Boxed<'_, Result<Signature, SignError>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sign_hash(hash)
    }
}

struct Warm {
    net: Arc<Net>,
    executor: Executor,
    signed: Arc<AtomicUsize>,
    order: Order,
}

async fn warm() -> Warm {
    let net = Net::new();
    let signed = Arc::new(AtomicUsize::new(0));
    let counting = |it| Arc::new(Counting(key(it), Arc::clone(&signed))) as Arc<dyn Signer>;
    let signers = (1..=2).map(counting).collect();
    let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(&net) as _];
    let executor = Executor::new(CHAIN, networks, signers, Policy::default()).unwrap();
    let account = |address| AccountId { chain: CHAIN, address };
    let action = action(ActionCall::Guardian {
        guardian: account(GUARDIAN),
        action_id: ACTION,
        tier: 0,
        target: account(TARGET),
        legacy: false,
        authorisations: "authorisations".into(),
    });
    executor.warm(&action, &authorisations(1).await, NOW).await.unwrap();
    let order = order(1, containment::order_call(&action));
    assert_eq!(order.effect, containment::effect_checks(&action));
    assert_eq!(signed.load(Ordering::Relaxed), 2);
    net.with(|it| (it.simulations, it.account_reads) = (0, 0));
    Warm { net, executor, signed, order }
}

async fn hot(warm: &Warm) -> cofferdam_act::Ready {
    let none = Authorisations::default();
    match warm.executor.prepare(&warm.order, &none, NOW.plus_ms(60_000)).await.unwrap() {
        Preparation::Ready(ready) => ready,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_warm_order_asks_nothing_and_signs_nothing_even_if_the_base_fee_rose() {
    let warm = warm().await;
    let mut head = warm.net.at(101);
    head.time = NOW.plus_ms(60_000);
    warm.executor.observe_head(head, 17_000_000_000);
    let ready = hot(&warm).await;
    let now = NOW.plus_ms(60_000);
    let sent = warm.executor.dispatch(&warm.order, &ready, Race::default(), now).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.deliveries.len(), 2);
    assert_eq!(warm.signed.load(Ordering::Relaxed), 2);
    assert_eq!(warm.net.with(|it| (it.simulations, it.account_reads)), (0, 0));
    // Twice the next base fee of the block it was signed at, twice over, plus the tip.
    assert_eq!(sent.deliveries[0].sent.max_fee_per_gas, 48 * GWEI);
}

#[tokio::test]
async fn an_attacker_who_pays_more_than_the_template_is_outbid_by_a_new_signature() {
    let warm = warm().await;
    let ready = hot(&warm).await;
    let sent = warm
        .executor
        .dispatch(&warm.order, &ready, Race::from_tip(Some(40 * GWEI)), NOW)
        .await
        .unwrap();
    assert_eq!(sent.deliveries[0].sent.max_priority_fee_per_gas, 52 * GWEI);
    assert_eq!(warm.signed.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_used_or_stale_template_is_not_used_again() {
    let warm = warm().await;
    let none = Authorisations::default();
    let late = warm.executor.prepare(&warm.order, &none, NOW.plus_ms(120_001)).await;
    assert!(matches!(late, Err(PrepareError::NoAuthorisation { .. })));
    let ready = hot(&warm).await;
    warm.executor.dispatch(&warm.order, &ready, Race::default(), NOW).await.unwrap();
    let second = warm.executor.prepare(&warm.order, &none, NOW).await;
    assert!(matches!(second, Err(PrepareError::NoAuthorisation { .. })));
}
