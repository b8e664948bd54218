//! Call trees, state diffs, pending simulation and state reads on small hand-written contracts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use alloy_primitives::{Address, Bytes, U256, address, hex, keccak256};
use cofferdam_core::{
    ChainId, Tx,
    evidence::{MissingRead, Tracing},
    ports::Call,
    read::{Answer, Rehearsal, RehearsedCall, StateRead},
    snapshot::Snapshot,
    tx::CallKind,
};
use cofferdam_sim::{
    LocalChain, LocalConfig, On, Rules, SimError, SpecId, TRACE_BYTES_MAX, answer_reads,
    next_block, read_around, simulate_after, simulate_call, simulate_pending, simulate_run,
};

const ALICE: Address = address!("0x00000000000000000000000000000000000a11ce");
const COUNTER: Address = address!("0x0000000000000000000000000000000000c00c00");
const REVERTER: Address = address!("0x0000000000000000000000000000000000bad000");
const ACTOR: Address = address!("0x0000000000000000000000000000000000ac1000");
const OWNER: Address = address!("0x0000000000000000000000000000000000091e00");
/// Adds one to slot 0 and returns the sum.
const COUNTER_CODE: [u8; 14] = hex!("5f54600101805f555f5260205ff3");

fn state() -> Snapshot {
    let mut state = Snapshot::default();
    let config = LocalConfig::default();
    for (address, code) in [
        (ALICE, &[][..]),
        (config.beneficiary, &[]),
        (Address::ZERO, &[]),
        (COUNTER, &COUNTER_CODE),
        (REVERTER, &hex!("5f5ffd")),
    ] {
        let wei = U256::from(if address == ALICE { 1_000_000_000 } else { 0 });
        state.add_fresh(address, wei, Bytes::copy_from_slice(code));
    }
    state
}

fn with<T>(state: &Snapshot, work: impl FnOnce(On<'_>) -> T) -> T {
    let (head, env) = LocalChain::new(LocalConfig::default()).next(12);
    let (block, mut env) = next_block(&head, &env, 12);
    env.base_fee = 7;
    let rules = Rules::fixed(SpecId::PRAGUE);
    work(On { block: &block, env: &env, state, rules: &rules })
}

fn tx(to: Address) -> Tx {
    Tx { from: ALICE, to: Some(to), gas_limit: 16_000_000, ..Tx::default() }
}

/// `opcode`s arguments for a call without input to `to`, then the opcode, then POP.
fn call(opcode: u8, to: Address, value: bool) -> Vec<u8> {
    let mut code = hex!("5f5f5f5f").to_vec();
    if value {
        code.push(0x5f);
    }
    code.push(0x73);
    code.extend_from_slice(to.as_slice());
    code.extend_from_slice(&[0x5a, opcode, 0x50]);
    code
}

#[test]
fn the_call_tree_tells_kinds_parents_and_what_was_undone() {
    let mut state = state();
    // CALL to the reverter, DELEGATECALL and STATICCALL to the counter, CREATE, SELFDESTRUCT.
    let mut code = [
        call(0xf1, REVERTER, true),
        call(0xf4, COUNTER, false),
        call(0xfa, COUNTER, false),
        hex!("5f5f5ff050").to_vec(),
    ]
    .concat();
    code.push(0x73);
    code.extend_from_slice(ALICE.as_slice());
    code.push(0xff);
    state.add_fresh(ACTOR, U256::from(5), code.into());
    state.add_fresh(ACTOR.create(1), U256::ZERO, Bytes::new());
    let tx = with(&state, |on| simulate_pending(&tx(ACTOR), on)).unwrap();
    assert_eq!(tx.tracing, Tracing::Simulated);
    let kinds: Vec<_> = tx.frames.iter().map(|it| (it.kind, it.parent, it.undone)).collect();
    let root = Some(0);
    let expected = [
        (CallKind::Call, None, false),
        (CallKind::Call, root, true),
        (CallKind::DelegateCall, root, false),
        // The counter writes, which a static call must not.
        (CallKind::StaticCall, root, true),
        (CallKind::Create, root, false),
        (CallKind::SelfDestruct, root, false),
    ];
    assert_eq!(kinds, expected);
    assert_eq!((tx.frames[2].from, tx.frames[2].to), (ACTOR, COUNTER), "storage, then code");
    assert_eq!(tx.frames[4].to, ACTOR.create(1));
    assert_eq!((tx.frames[5].to, tx.frames[5].value), (ALICE, U256::from(5)));
    // The counter ran on the actor's storage.
    assert_eq!(tx.diff.storage.len(), 1);
    assert_eq!((tx.diff.storage[0].address, tx.diff.storage[0].after), (ACTOR, U256::ONE));
    let balances: Vec<_> = tx.diff.balances.iter().map(|it| it.address).collect();
    assert_eq!(balances, [ALICE, ACTOR].into_iter().collect::<Vec<_>>());
}

#[test]
fn a_tree_that_exceeds_the_cap_is_incomplete() {
    let mut state = state();
    // 80 calls that each pass the same megabyte.
    let code = hex!("60505b5f5f621000005f60ee5afa50600190038060025700");
    state.add_fresh(ACTOR, U256::ZERO, code.into());
    state.add_fresh(Address::with_last_byte(0xee), U256::ZERO, Bytes::new());
    let tx = with(&state, |on| simulate_pending(&tx(ACTOR), on)).unwrap();
    assert!(tx.succeeded);
    assert_eq!(tx.frames.len(), 81);
    assert_eq!(tx.tracing, Tracing::Incomplete { missing: vec![], count: 0 });
    let kept: usize = tx.frames.iter().map(|it| it.input.len()).sum();
    assert!(kept <= TRACE_BYTES_MAX + 100_000, "{kept}");
}

#[test]
fn a_missing_read_is_reported_and_execution_goes_on() {
    let mut state = state();
    let account = state.account_mut(COUNTER);
    account.complete = false;
    let simulated = with(&state, |on| simulate_pending(&tx(COUNTER), on)).unwrap();
    let missing = vec![MissingRead::Slot(COUNTER, U256::ZERO)];
    assert!(simulated.succeeded);
    assert_eq!(simulated.tracing, Tracing::Incomplete { missing, count: 1 });
    let unknown = Address::repeat_byte(0x77);
    let reads = [
        StateRead::Storage { address: COUNTER, slot: U256::ZERO },
        StateRead::Call { to: COUNTER, data: Bytes::new() },
        StateRead::Balance(unknown),
        StateRead::CodeHash(unknown),
        StateRead::Call { to: REVERTER, data: Bytes::new() },
    ];
    let answers = with(&state, |on| answer_reads(&reads, on)).unwrap();
    assert_eq!(answers[..4], [const { Answer::Unavailable }; 4]);
    assert_eq!(answers[4], Answer::Reverted);
}

#[test]
fn reads_are_answered_before_and_after_and_after_what_we_would_do_first() {
    let state = state();
    let read = StateRead::Storage { address: COUNTER, slot: U256::ZERO };
    let reads = [read.clone()];
    let words = |first: &[Tx]| {
        let pending = with(&state, |on| simulate_after(first, &tx(COUNTER), &reads, on)).unwrap();
        let reading = pending.readings.get(&read).unwrap().clone();
        (pending.first.len(), reading.before.word(0).unwrap(), reading.after.word(0).unwrap())
    };
    assert_eq!(words(&[]), (0, U256::ZERO, U256::ONE));
    assert_eq!(words(&[tx(COUNTER)]), (1, U256::ONE, U256::from(2)));
}

#[test]
fn a_run_stands_on_what_came_before_and_tells_what_was_asked_of_the_block() {
    let mut state = state();
    // Only if the counter was raised before: COINBASE GASPRICE, and then a call of the counter.
    let mut code = hex!("415a503a5050").to_vec();
    code.extend(call(0xf1, COUNTER, true));
    state.add_fresh(ACTOR, U256::ZERO, code.into());
    let read = StateRead::Storage { address: COUNTER, slot: U256::ZERO };
    let first = Tx { nonce: 0, ..tx(COUNTER) };
    let second = Tx { nonce: 1, ..tx(ACTOR) };
    let plain = with(&state, |on| simulate_run(std::slice::from_ref(&first), on)).unwrap();
    assert!(!plain.asked.can_tell());
    let run = with(&state, |on| simulate_run(&[first.clone(), second], on)).unwrap();
    assert_eq!(run.txs.len(), 2);
    assert!(run.txs.iter().all(|it| it.succeeded && it.tracing == Tracing::Simulated));
    let raised = StateRead::Call { to: COUNTER, data: Bytes::new() };
    let reads = [read.clone(), raised, StateRead::CodeHash(COUNTER)];
    let around = with(&state, |on| read_around(&run.after, &reads, on)).unwrap();
    let again = with(&state, |on| read_around(&run.after, &reads, on)).unwrap();
    assert_eq!(around, again, "a call in between leaves nothing behind");
    let code = around.get(&reads[2]).unwrap();
    assert!(code.before == code.after && code.before.word(0).is_some());
    let reading = around.get(&read).unwrap();
    assert_eq!(reading.before.word(0), Some(U256::ZERO));
    assert_eq!(reading.after.word(0), Some(U256::from(2)));
    assert_eq!(run.asked.names().collect::<Vec<_>>(), ["COINBASE", "GASPRICE"]);
    let poor = Tx { value: U256::from(10).pow(U256::from(18)), ..tx(COUNTER) };
    let refused = with(&state, |on| simulate_run(&[poor, first], on));
    assert!(matches!(refused, Err(SimError::InvalidTx { .. })), "{refused:?}");
}

#[test]
fn a_later_nonce_and_a_low_fee_do_not_hide_a_pending_transaction_but_lack_of_funds_does() {
    let state = state();
    let later = Tx { nonce: 17, max_fee_per_gas: 1, gas_limit: 100_000, ..tx(COUNTER) };
    assert!(with(&state, |on| simulate_pending(&later, on)).is_ok_and(|it| it.succeeded));
    let poor = Tx { value: U256::from(10).pow(U256::from(18)), ..tx(COUNTER) };
    let refused = with(&state, |on| simulate_pending(&poor, on));
    assert!(matches!(refused, Err(SimError::InvalidTx { .. })), "{refused:?}");
}

#[test]
fn a_call_from_anybody_costs_nothing() {
    let state = state();
    let call = Call { from: REVERTER, to: COUNTER, ..Call::default() };
    let called = with(&state, |on| simulate_call(&call, on)).unwrap();
    assert!(called.succeeded);
    assert_eq!(called.tracing, Tracing::Simulated);
    assert_eq!(U256::from_be_slice(&called.output), U256::ONE);
}

#[test]
fn the_parents_hash_is_kept_by_the_system_contract() {
    let mut genesis = Snapshot::empty();
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let code = alloy_eips::eip2935::HISTORY_STORAGE_CODE.clone();
    genesis.add_fresh(history, U256::ZERO, code);
    let config = LocalConfig { state: std::sync::Arc::new(genesis), ..LocalConfig::default() };
    let chain = LocalChain::new(config);
    assert_eq!(chain.chain(), ChainId(31_337));
    let parent = chain.head();
    let block = chain.mine(parent.time.plus_ms(12_000)).unwrap();
    let slot = U256::from(parent.number);
    let read = StateRead::Storage { address: history, slot };
    let answers = chain.read_at(&block.block, &[read]).unwrap();
    assert_eq!(answers, [Answer::of_hash(parent.hash)]);
}

fn rehearsal(from: Address, calls: &[(Address, u64)], reads: &[StateRead]) -> Rehearsal {
    let call = |it: &(Address, u64)| RehearsedCall {
        to: it.0,
        value: U256::from(it.1),
        data: Bytes::new(),
        delegated: false,
    };
    let calls = calls.iter().map(call).collect();
    Rehearsal { from, time: 0, after: 0, funded: false, calls, reads: reads.to_vec() }
}

fn rehearse(state: &Snapshot, it: Rehearsal) -> Answer {
    let reads = [StateRead::Rehearsal(Box::new(it))];
    with(state, |on| answer_reads(&reads, on)).unwrap().remove(0)
}

#[test]
fn a_rehearsal_tells_what_its_calls_would_do_together_and_leaves_everything_as_it_was() {
    let state = state();
    let slot = StateRead::Storage { address: COUNTER, slot: U256::ZERO };
    let twice = rehearsal(ALICE, &[(COUNTER, 0), (COUNTER, 0)], std::slice::from_ref(&slot));
    let reads = [slot.clone(), StateRead::Rehearsal(Box::new(twice)), slot.clone()];
    let answers = with(&state, |on| answer_reads(&reads, on)).unwrap();
    let Answer::Rehearsed(done) = &answers[1] else { panic!("{:?}", answers[1]) };
    assert_eq!((&answers[0], &answers[2]), (&Answer::of(U256::ZERO), &Answer::of(U256::ZERO)));
    let reading = done.readings.get(&slot).unwrap();
    let words = (reading.before.word(0), reading.after.word(0));
    assert_eq!(words, (Some(U256::ZERO), Some(U256::from(2))));
    let tx = &done.tx;
    assert_eq!((tx.from, tx.to, tx.succeeded), (ALICE, Some(COUNTER), true));
    assert_eq!(tx.tracing, Tracing::Simulated);
    assert_eq!(tx.frames.iter().map(|it| it.parent).collect::<Vec<_>>(), [None, None]);
    let changes: Vec<_> = tx.diff.storage.iter().map(|it| (it.before, it.after)).collect();
    assert_eq!(changes, [(U256::ZERO, U256::from(2))], "net over both calls");
}

#[test]
fn a_delegated_call_runs_on_the_callers_storage_and_leaves_his_code_alone() {
    let mut state = state();
    // The caller, into slot 7.
    state.add_fresh(ACTOR, U256::ZERO, hex!("3360075500").into());
    state.add_fresh(OWNER, U256::ZERO, hex!("00").into());
    let of = |address, slot: u64| StateRead::Storage { address, slot: U256::from(slot) };
    let reads = [of(OWNER, 7), of(ACTOR, 7), StateRead::CodeHash(OWNER)];
    let mut it = rehearsal(OWNER, &[(ACTOR, 0)], &reads);
    it.calls[0].delegated = true;
    let Answer::Rehearsed(done) = rehearse(&state, it) else { panic!("it runs") };
    let after = |at: usize| done.readings.get(&reads[at]).unwrap().after.word(0).unwrap();
    let owner = U256::from_be_bytes(OWNER.into_word().0);
    assert_eq!((after(0), after(1)), (owner, U256::ZERO), "at the caller's, not at the code's");
    assert_eq!(after(2), U256::from_be_bytes(keccak256(hex!("00")).0), "his code is his again");
    let changed: Vec<Address> = done.tx.diff.storage.iter().map(|it| it.address).collect();
    assert!(changed.iter().all(|it| *it == OWNER), "{changed:?}");
    let kinds: Vec<CallKind> = done.tx.frames.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [CallKind::Call, CallKind::DelegateCall]);
    assert_eq!(done.tx.frames[1].to, ACTOR);
}

#[test]
fn a_rehearsal_is_at_its_time_and_never_before_the_block() {
    let mut state = state();
    // TIMESTAMP into slot 0.
    state.add_fresh(ACTOR, U256::ZERO, hex!("425f5500").into());
    let at = |time: u64, after: u64| {
        let it = Rehearsal { time, after, ..rehearsal(ALICE, &[(ACTOR, 0)], &[]) };
        let Answer::Rehearsed(done) = rehearse(&state, it) else { panic!("rehearsed") };
        done.tx.diff.storage[0].after
    };
    let now = at(0, 0);
    assert_eq!(at(0, 86_400), now + U256::from(86_400));
    assert_eq!(at(9_999_999_999, 86_400), U256::from(9_999_999_999_u64));
}

#[test]
fn a_rehearsal_that_fails_lacks_state_or_is_none_says_so() {
    let mut state = state();
    state.add_fresh(ACTOR, U256::ZERO, Bytes::new());
    let failing = rehearsal(ALICE, &[(COUNTER, 0), (REVERTER, 0)], &[]);
    assert_eq!(rehearse(&state, failing), Answer::Reverted, "one fails, none has an effect");
    let poor = rehearsal(ACTOR, &[(ALICE, 5)], &[]);
    assert_eq!(rehearse(&state, poor.clone()), Answer::Reverted, "it lacks the money");
    let rich = rehearse(&state, Rehearsal { funded: true, ..poor });
    assert!(matches!(rich, Answer::Rehearsed(it) if it.tx.succeeded));
    let nested = StateRead::Rehearsal(Box::new(rehearsal(ALICE, &[(COUNTER, 0)], &[])));
    let nested = rehearsal(ALICE, &[(COUNTER, 0)], &[nested]);
    assert_eq!(rehearse(&state, nested), Answer::Unavailable);
    assert_eq!(rehearse(&state, rehearsal(ALICE, &[], &[])), Answer::Unavailable);
    state.account_mut(COUNTER).complete = false;
    let blind = rehearsal(ALICE, &[(COUNTER, 0)], &[]);
    assert_eq!(rehearse(&state, blind), Answer::Unavailable);
}
