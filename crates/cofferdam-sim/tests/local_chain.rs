//! The local chain through its public face and its ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use cofferdam_core::{
    Observation, Timestamp,
    evidence::Tracing,
    ports::{
        BlockSource, BroadcastError, Broadcaster, Call, SourceEvent, StateReader, StateSource,
    },
    read::{Answer, StateRead},
};
use cofferdam_sim::{
    ExecuteOptions, LocalChain, LocalConfig, LocalError, Unsigned, execute_block,
    local::GENESIS_SECONDS,
};
use k256::ecdsa::SigningKey;

/// Adds one to slot 0 and returns the sum.
const COUNTER: [u8; 24] = hex!("600e600a5f39600e5ff3" "5f54600101805f555f5260205ff3");
const GWEI: u128 = 1_000_000_000;

struct Account(SigningKey);

impl Account {
    fn new(chain: &LocalChain, seed: u8) -> Self {
        let it = Self(SigningKey::from_bytes(&[seed; 32].into()).unwrap());
        chain.fund(it.address(), U256::from(10).pow(U256::from(18))).unwrap();
        it
    }

    fn address(&self) -> Address {
        Address::from_public_key(self.0.verifying_key())
    }

    fn raw(&self, nonce: u64, to: TxKind, input: &[u8], tip: u128) -> Bytes {
        let tx = TxEip1559 {
            chain_id: 31_337,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: 10 * tip.max(GWEI),
            max_priority_fee_per_gas: tip,
            to,
            input: Bytes::copy_from_slice(input),
            ..TxEip1559::default()
        };
        let hash = tx.signature_hash();
        let (signature, recovery) = self.0.sign_prehash_recoverable(hash.as_slice()).unwrap();
        TxEnvelope::from(tx.into_signed((signature, recovery).into())).encoded_2718().into()
    }
}

fn at(block: u64) -> Timestamp {
    Timestamp::from_secs(GENESIS_SECONDS + 12 * block)
}

fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => Some(it),
        Poll::Pending => None,
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    poll(future).expect("the local chain answers at once")
}

fn slot(address: Address) -> StateRead {
    StateRead::Storage { address, slot: U256::ZERO }
}

#[test]
fn a_signed_transaction_is_accepted_mined_and_found() {
    let chain = LocalChain::new(LocalConfig::default());
    let (alice, bob) = (Account::new(&chain, 1), Account::new(&chain, 2));
    let counter = chain.deploy(bob.address(), COUNTER.into()).unwrap();
    let low = now(chain.send(alice.raw(0, TxKind::Call(counter), &[], GWEI))).unwrap();
    let high = now(chain.send(bob.raw(1, TxKind::Call(counter), &[], 2 * GWEI))).unwrap();
    assert_eq!(now(chain.inclusion(low)).unwrap(), None);
    let block = chain.mine(at(1)).unwrap();
    let hashes: Vec<_> = block.txs.iter().map(|it| it.hash).collect();
    assert_eq!(hashes, [high, low], "the better tip goes first");
    for (tx, index) in block.txs.iter().zip(0..) {
        assert_eq!((tx.index, tx.succeeded, &tx.tracing), (index, true, &Tracing::Reexecuted));
        assert_eq!(tx.frames.len(), 1);
        assert_eq!(tx.diff.storage.len(), 1);
        assert_eq!(tx.diff.balances.len(), 2, "sender and beneficiary");
    }
    let found = now(chain.inclusion(low)).unwrap().unwrap();
    assert_eq!((found.block, found.succeeded), (block.block, true));
    assert_eq!(now(chain.account(alice.address())).unwrap().0, 1);
    assert_eq!(chain.pool_len(), 0);
}

#[test]
fn a_mined_block_reproduces_from_its_parents_state() {
    let chain = LocalChain::new(LocalConfig::default());
    let alice = Account::new(&chain, 1);
    let counter = chain.deploy(alice.address(), COUNTER.into()).unwrap();
    let parent = chain.state();
    chain.submit(&alice.raw(1, TxKind::Create, &COUNTER, GWEI)).unwrap();
    chain.submit(&alice.raw(2, TxKind::Call(counter), &[7], GWEI)).unwrap();
    let mined = chain.mine(at(1)).unwrap();
    let mut bare: Observation = (*mined).clone();
    for tx in &mut bare.txs {
        (tx.logs, tx.frames, tx.gas_used) = (vec![], vec![], 0);
    }
    let again = execute_block(&bare, &parent, &ExecuteOptions::of(&bare.block)).unwrap();
    assert_eq!(again.difference, None);
    assert_eq!(again.observation.txs, mined.txs);
}

#[test]
fn reads_see_the_block_they_name() {
    let chain = LocalChain::new(LocalConfig::default());
    let alice = Account::new(&chain, 1);
    let counter = chain.deploy(alice.address(), COUNTER.into()).unwrap();
    let mut heads = vec![chain.head()];
    for n in 1..=3 {
        chain.submit(&alice.raw(n, TxKind::Call(counter), &[], GWEI)).unwrap();
        heads.push(chain.mine(at(n)).unwrap().block);
    }
    for (head, expected) in heads.iter().zip(0u64..) {
        let view = StateRead::Call { to: counter, data: Bytes::new() };
        let code = StateRead::CodeHash(counter);
        let reads = [slot(counter), view, code, StateRead::Balance(counter)];
        let answers = now(chain.read(head, &reads)).unwrap();
        assert_eq!(answers[0], Answer::of(U256::from(expected)));
        assert_eq!(answers[1], Answer::of(U256::from(expected + 1)), "a view changes nothing");
        assert_eq!(answers[2], Answer::of_hash(keccak256(&COUNTER[10..])));
        assert_eq!(answers[3], Answer::of(U256::ZERO));
    }
    let unknown = cofferdam_core::BlockRef { hash: B256::repeat_byte(9), ..heads[0] };
    assert!(now(chain.read(&unknown, &[])).is_err());
}

#[test]
fn a_simulated_call_answers_its_reads_on_top_of_its_effects() {
    let chain = LocalChain::new(LocalConfig::default());
    let alice = Account::new(&chain, 1);
    let to = chain.deploy(alice.address(), COUNTER.into()).unwrap();
    let call = Call { from: alice.address(), to, data: Bytes::new(), then: vec![slot(to)] };
    let simulated = now(chain.simulate(&call)).unwrap();
    assert!(simulated.succeeded);
    assert_eq!(simulated.output, Bytes::from(U256::ONE.to_be_bytes::<32>()));
    assert_eq!(simulated.then, [Answer::of(U256::ONE)]);
    assert_eq!(chain.state().storage(to, U256::ZERO).unwrap(), U256::ZERO);
}

#[test]
fn the_source_tells_blocks_pending_transactions_and_reorganisations() {
    let chain = LocalChain::new(LocalConfig::default());
    let alice = Account::new(&chain, 1);
    let mut source = chain.source(0);
    assert!(poll(source.next()).is_none());
    let told = |source: &mut cofferdam_sim::LocalSource| match now(source.next()).unwrap() {
        SourceEvent::Block(it) => format!("block {} of {}", it.block.number, it.txs.len()),
        SourceEvent::Pending(it) => format!("pending on {}", it.block.number),
        SourceEvent::Blind { from, because } => format!("blind from {from}: {because}"),
        SourceEvent::Witnessed { block, witnesses } => format!("{witnesses} saw {}", block.number),
        SourceEvent::End => "end".to_owned(),
    };
    chain.submit(&alice.raw(0, TxKind::Call(Address::ZERO), &[], GWEI)).unwrap();
    chain.submit_private(&alice.raw(1, TxKind::Call(Address::ZERO), &[], GWEI)).unwrap();
    assert_eq!(told(&mut source), "pending on 0");
    assert!(poll(source.next()).is_none(), "nobody is told of the private one");
    let old = chain.mine(at(1)).unwrap().block;
    chain.mine(at(2)).unwrap();
    assert_eq!(told(&mut source), "block 1 of 2");
    assert_eq!(told(&mut source), "block 2 of 0");
    assert_eq!(chain.reorg(2).unwrap().len(), 2);
    assert!(poll(source.next()).is_none());
    let new = chain.mine(at(1)).unwrap().block;
    assert_ne!(new.hash, old.hash);
    assert_eq!(told(&mut source), "block 1 of 0");
    chain.set_blind(Some((2, "cable cut".to_owned())));
    assert_eq!(told(&mut source), "blind from 2: cable cut");
    chain.mine(at(2)).unwrap();
    assert!(poll(source.next()).is_none());
    chain.set_blind(None);
    assert_eq!(told(&mut source), "block 2 of 0");
    chain.close();
    assert_eq!(told(&mut source), "end");
    assert!(matches!(chain.reorg(3), Err(LocalError::Depth { asked: 3, kept: 2 })));
}

#[test]
fn a_waiting_source_is_woken() {
    #[derive(Default)]
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let chain = LocalChain::new(LocalConfig::default());
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut source = chain.source(0);
    let mut next = source.next();
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(!flag.0.load(Ordering::SeqCst));
    chain.mine(at(1)).unwrap();
    assert!(flag.0.load(Ordering::SeqCst));
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn the_pool_speaks_like_a_public_node() {
    let chain = LocalChain::new(LocalConfig::default());
    let alice = Account::new(&chain, 1);
    let to = TxKind::Call(Address::ZERO);
    let first = alice.raw(0, to, &[], GWEI);
    chain.submit(&first).unwrap();
    assert!(matches!(chain.submit(&first), Err(BroadcastError::AlreadyKnown)));
    let cheaper = alice.raw(0, to, &[1], GWEI + GWEI / 20);
    assert!(matches!(chain.submit(&cheaper), Err(BroadcastError::Underpriced)));
    let dearer = chain.submit(&alice.raw(0, to, &[1], GWEI + GWEI / 10)).unwrap();
    let block = chain.mine(at(1)).unwrap();
    assert_eq!(block.txs.iter().map(|it| it.hash).collect::<Vec<_>>(), [dearer]);
    assert!(matches!(chain.submit(&first), Err(BroadcastError::NonceTooLow)));
    let poor = Account(SigningKey::from_bytes(&[9; 32].into()).unwrap());
    let unpaid = chain.submit(&poor.raw(0, to, &[], GWEI));
    assert!(matches!(unpaid, Err(BroadcastError::InsufficientFunds)));
    for bad in [&b""[..], b"\x02", b"\x02\xc0", &[0xff; 100], &first[..first.len() - 1]] {
        assert!(matches!(chain.submit(bad), Err(BroadcastError::Refused { .. })), "{bad:?}");
    }
}

#[test]
fn anybody_can_be_impersonated_and_the_stage_can_be_set() {
    let chain = LocalChain::new(LocalConfig::default());
    let contract = chain.deploy(Address::repeat_byte(5), COUNTER.into()).unwrap();
    chain.set_storage(contract, U256::ZERO, U256::from(40)).unwrap();
    chain.fund(contract, U256::from(10).pow(U256::from(18))).unwrap();
    let it = Unsigned { from: contract, to: Some(contract), ..Unsigned::default() };
    chain.impersonate(it).unwrap();
    let block = chain.mine(at(1)).unwrap();
    assert!(block.txs[0].succeeded);
    let answers = chain.read_at(&block.block, &[slot(contract)]).unwrap();
    assert_eq!(answers, [Answer::of(U256::from(41))]);
    let output = chain.setup_call(Address::ZERO, contract, U256::ZERO, Bytes::new()).unwrap();
    assert_eq!(U256::from_be_slice(&output), U256::from(42));
    chain.set_code(contract, &hex!("5f5ffd").into()).unwrap();
    let failed = chain.setup_call(Address::ZERO, contract, U256::ZERO, Bytes::new());
    assert!(failed.is_err_and(|it| it.to_string() == "setup call failed: reverted with 0x"));
    assert!(matches!(chain.mine(at(1)), Err(LocalError::Time { .. })));
}

#[test]
fn the_base_fee_follows_the_load_and_old_blocks_are_forgotten() {
    let chain = LocalChain::new(LocalConfig { history: 4, ..LocalConfig::default() });
    let fees: Vec<_> = (1..=9).map(|n| chain.mine(at(n)).unwrap().env.base_fee).collect();
    assert_eq!(fees[0], 1_000_000_000, "the first block counts as half full");
    assert_eq!(fees[1], 875_000_000, "an empty block lowers it by an eighth");
    assert!(chain.block(5).is_none() && chain.block(6).is_some());
    let mut source = chain.source(0);
    assert!(now(source.next()).is_err(), "what is no longer kept is not skipped");
}
