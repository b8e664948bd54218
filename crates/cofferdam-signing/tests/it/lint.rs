//! Each red flag by the transaction that raises it.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, address, hex, keccak256};
use cofferdam_core::ChainId;
use cofferdam_signing::{
    Card, Case, Operation, Proposal, SafeTx, SafeVersion,
    abi::Value,
    evidence::{Change, Effect, History, Outcome, SLOT_GUARD},
    exec::call,
    multisend::{Inner, write},
    policy::{Delay, Pinned},
    proposal::Rung,
};

use crate::fixture::{
    NOW, SAFE, STRANGER, VAULT, evidence, flags, pause, policy, proposal, refusals, transaction,
};

const CALL_ONLY: Address = address!("9641d764fc13c8B624c04430C7356C1C7C8102e2");

fn refused(transaction: SafeTx) -> Vec<String> {
    let proposal = proposal(transaction);
    let code = keccak256("code");
    let flags = flags(&proposal, |it| {
        it.codes.insert(CALL_ONLY, code);
    });
    refusals(&flags).into_iter().map(str::to_owned).collect()
}

fn to_safe(signature: &str, values: &[Value]) -> SafeTx {
    SafeTx { to: SAFE, data: call(signature, values).unwrap(), ..transaction() }
}

#[test]
fn an_approved_pause_raises_nothing_red() {
    assert_eq!(refused(transaction()), Vec::<String>::new());
}

#[test]
fn the_bybit_pattern_is_refused() {
    // A transfer by its looks, run by delegatecall on a fresh contract that overwrites slot 0.
    let values = [Value::Address(STRANGER), Value::Uint(U256::ZERO)];
    let data = call("transfer(address,uint256)", &values).unwrap();
    let bait = SafeTx { to: STRANGER, data, operation: Operation::DelegateCall, ..transaction() };
    let proposal = proposal(bait);
    let found = flags(&proposal, |it| {
        for simulation in &mut it.simulations {
            let (before, after) = (B256::ZERO, B256::repeat_byte(0xee));
            simulation.effects.push(Effect::SafeStorage { slot: B256::ZERO, before, after });
        }
    });
    let refused = refusals(&found);
    assert!(refused.contains(&"delegatecall") && refused.contains(&"safe-storage"), "{refused:?}");
    // Even when the simulation looks harmless and the policy knows the token.
    let mut policy = policy();
    policy.contracts.push(cofferdam_signing::policy::Contract {
        name: "token".into(),
        address: STRANGER,
        functions: vec!["transfer(address to, uint256 amount)".into()],
    });
    let evidence = evidence(&proposal);
    let case = Case {
        proposal: &proposal,
        policy: Some(&policy),
        evidence: Some(&evidence),
        registry: None,
        now: NOW,
    };
    let found = case.flags(&case.calls());
    assert!(refusals(&found).contains(&"delegatecall"), "{found:?}");
    assert!(!Card::of(&case).accepted, "the card refuses it, too");
}

#[test]
fn the_drift_pattern_is_refused() {
    // Collected earlier for later use; since then the threshold has been lowered and the timelock removed.
    let values = [Value::Address(STRANGER)];
    let data = call("transferOwnership(address)", &values).unwrap();
    let later = proposal(SafeTx { data, nonce: U256::from(9), ..transaction() });
    let mut policy = policy();
    let timelock = Address::repeat_byte(0x71);
    policy.delays.push(Delay {
        name: "timelock".into(),
        address: timelock,
        read: "getMinDelay()".into(),
        seconds_min: 172_800,
    });
    let mut evidence = evidence(&later);
    evidence.state.threshold = U256::from(2);
    evidence.delays.insert(timelock, Some(0));
    let what = "threshold changed to 2".to_owned();
    let changes = vec![Change { block: 22_990_000, what }];
    evidence.history = Some(History { from_block: 22_949_600, changes });
    let case = Case {
        proposal: &later,
        policy: Some(&policy),
        evidence: Some(&evidence),
        registry: None,
        now: NOW,
    };
    let found = case.flags(&case.calls());
    let refused = refusals(&found);
    for code in ["nonce-gap", "threshold-low", "timelock-low", "role", "not-in-policy"] {
        assert!(refused.contains(&code), "{code} is missing in {refused:?}");
    }
    assert!(found.iter().any(|it| it.code == "recent-change"));
    assert!(!Card::of(&case).accepted, "the card refuses it, too");
}

#[test]
fn nothing_known_is_refused_for_each_thing_that_is_not_known() {
    let proposal = proposal(transaction());
    let case = Case { proposal: &proposal, policy: None, evidence: None, registry: None, now: NOW };
    let found = case.flags(&case.calls());
    assert_eq!(refusals(&found), ["no-policy", "not-in-policy", "no-evidence"]);
}

#[test]
fn missing_and_wrong_hashes_are_refused() {
    let good = proposal(transaction());
    let with = |change: fn(&mut Proposal)| {
        let mut it = good.clone();
        change(&mut it);
        flags(&it, |_| {})
    };
    let missing = with(|it| it.claimed.domain = None);
    assert_eq!(refusals(&missing), ["hash-missing"]);
    let other = with(|it| it.claimed.safe_tx_hash = Some(B256::ZERO));
    assert_eq!(refusals(&other), ["hash-mismatch"]);
    let silent = flags(&good, |it| it.own_hash = None);
    assert_eq!(refusals(&silent), ["hash-missing"]);
    let disagrees = flags(&good, |it| it.own_hash = Some(B256::ZERO));
    assert_eq!(refusals(&disagrees), ["hash-mismatch"]);
}

#[test]
fn every_field_of_a_refund_is_refused() {
    let (one, someone) = (U256::from(1), STRANGER);
    for tx in [
        SafeTx { gas_price: one, ..transaction() },
        SafeTx { base_gas: one, ..transaction() },
        SafeTx { gas_token: someone, ..transaction() },
        SafeTx { refund_receiver: someone, ..transaction() },
    ] {
        assert!(refused(tx).contains(&"gas-refund".to_owned()));
    }
}

#[test]
fn changes_of_the_safe_itself_are_refused() {
    let (someone, one) = (Value::Address(STRANGER), Value::Uint(U256::from(1)));
    let sentinel = Value::Address(Address::with_last_byte(1));
    for (signature, values, code) in [
        (
            "addOwnerWithThreshold(address,uint256)",
            vec![someone.clone(), one.clone()],
            "safe-owners",
        ),
        (
            "removeOwner(address,address,uint256)",
            vec![sentinel.clone(), someone.clone(), one.clone()],
            "safe-owners",
        ),
        (
            "swapOwner(address,address,address)",
            vec![sentinel, someone.clone(), someone.clone()],
            "safe-owners",
        ),
        ("changeThreshold(uint256)", vec![one], "safe-owners"),
        ("enableModule(address)", vec![someone.clone()], "safe-module"),
        ("setGuard(address)", vec![someone.clone()], "safe-guard"),
        ("setModuleGuard(address)", vec![someone.clone()], "safe-guard"),
        ("setFallbackHandler(address)", vec![someone.clone()], "safe-fallback"),
        ("changeMasterCopy(address)", vec![someone], "safe-singleton"),
        ("approveHash(bytes32)", vec![Value::FixedBytes(vec![7; 32])], "blind-approval"),
    ] {
        let found = refused(to_safe(signature, &values));
        assert!(found.contains(&code.to_owned()), "{signature}: {found:?}");
    }
}

#[test]
fn powers_that_thieves_want_are_refused() {
    let (someone, much) = (Value::Address(STRANGER), Value::Uint(U256::MAX));
    for (signature, values, code) in [
        ("approve(address,uint256)", vec![someone.clone(), much.clone()], "approval"),
        ("setApprovalForAll(address,bool)", vec![someone.clone(), Value::Bool(true)], "approval"),
        ("transfer(address,uint256)", vec![someone.clone(), much], "transfer"),
        ("upgradeTo(address)", vec![someone.clone()], "upgrade"),
        ("transferOwnership(address)", vec![someone], "role"),
        ("updateDelay(uint256)", vec![Value::Uint(U256::ZERO)], "delay"),
    ] {
        let data = call(signature, &values).unwrap();
        let found = refused(SafeTx { data, ..transaction() });
        assert!(found.contains(&code.to_owned()), "{signature}: {found:?}");
    }
}

#[test]
fn unknown_calls_and_calls_with_an_appendix_are_refused() {
    let data = Bytes::from(hex!("deadbeef"));
    assert_eq!(refused(SafeTx { data, ..transaction() }), ["unknown-call"]);
    let data = Bytes::from(hex!("dead"));
    assert_eq!(refused(SafeTx { data, ..transaction() }), ["unknown-call"]);
    let mut data = pause().to_vec();
    data.extend([0; 32]);
    let data = data.into();
    assert_eq!(refused(SafeTx { data, ..transaction() }), ["unknown-call"]);
    let elsewhere = SafeTx { to: STRANGER, ..transaction() };
    assert_eq!(refused(elsewhere), ["not-in-policy"]);
    let value = SafeTx { value: U256::from(1), ..transaction() };
    assert_eq!(refused(value), ["value"]);
}

#[test]
fn nonces_used_or_ahead_are_refused_unless_a_ladder_says_why() {
    let at = |nonce: u64| SafeTx { nonce: U256::from(nonce), ..transaction() };
    assert_eq!(refused(at(6)), ["nonce-used"]);
    assert_eq!(refused(at(8)), ["nonce-gap"]);
    let mut rung = proposal(at(8));
    rung.provenance.ladder = Some(Rung { first: U256::from(7), last: U256::from(9) });
    assert_eq!(refusals(&flags(&rung, |_| {})), Vec::<&str>::new());
    rung.provenance.ladder = Some(Rung { first: U256::from(8), last: U256::from(9) });
    assert_eq!(refusals(&flags(&rung, |_| {})), ["nonce-gap"]);
}

#[test]
fn another_chain_release_or_singleton_is_refused() {
    let good = proposal(transaction());
    let chain = flags(&good, |it| it.chain = ChainId(10));
    assert_eq!(refusals(&chain), ["chain-mismatch"]);
    let release = flags(&good, |it| it.state.version = "1.3.0".into());
    assert_eq!(refusals(&release), ["version-mismatch"]);
    let unknown = flags(&good, |it| it.state.version = "2.0.0".into());
    assert_eq!(refusals(&unknown), ["version-unknown"]);
    let code = flags(&good, |it| it.state.singleton = STRANGER);
    assert_eq!(refusals(&code), ["singleton"]);
    let mut other = good.clone();
    // 1.3.0 and 1.4.1 hash alike.
    other.version = SafeVersion::V1_2_0;
    let other = flags(&other, |_| {});
    for code in ["hash-mismatch", "version-mismatch"] {
        assert!(refusals(&other).contains(&code));
    }
}

#[test]
fn state_that_is_old_weak_or_unread_is_refused() {
    let good = proposal(transaction());
    let stale = flags(&good, |it| it.time.0 -= 3_600_000);
    assert_eq!(refusals(&stale), ["stale"]);
    let future = flags(&good, |it| it.time.0 += 3_600_000);
    assert_eq!(refusals(&future), ["stale"]);
    let history = flags(&good, |it| it.history = None);
    assert_eq!(refusals(&history), ["history-unknown"]);
    let owner = flags(&good, |it| it.state.owners.push(STRANGER));
    assert_eq!(refusals(&owner), ["owner-unknown"]);
    let module = flags(&good, |it| it.state.modules.push(STRANGER));
    assert_eq!(refusals(&module), ["module-unknown"]);
    let code = flags(&good, |it| it.codes.clear());
    assert_eq!(refusals(&code), ["code-unknown"]);
    let empty = flags(&good, |it| {
        it.codes.insert(VAULT, KECCAK256_EMPTY);
    });
    assert_eq!(refusals(&empty), ["no-code"]);
}

#[test]
fn simulations_that_fail_differ_or_touch_the_safe_are_refused() {
    let good = proposal(SafeTx {
        data: call("pauseFor(uint256)", &[Value::Uint(U256::from(1))]).unwrap(),
        ..transaction()
    });
    let few = flags(&good, |it| it.simulations.truncate(2));
    assert_eq!(refusals(&few), ["not-simulated"]);
    let gated = flags(&good, |it| {
        it.simulations[1].effects.push(Effect::Outflow {
            token: Address::ZERO,
            to: STRANGER,
            amount: U256::from(5),
        });
    });
    assert_eq!(refusals(&gated), ["context-dependent", "outflow"]);
    let fails = flags(&good, |it| {
        it.simulations.iter_mut().for_each(|it| it.outcome = Outcome::Fails("GS013".into()));
    });
    assert!(refusals(&fails).contains(&"simulation-fails"));
    let unknown = flags(&good, |it| {
        it.simulations.iter_mut().for_each(|it| it.outcome = Outcome::Incomplete("pruned".into()));
    });
    assert!(refusals(&unknown).contains(&"simulation-incomplete"));
    let guard = flags(&good, |it| {
        let (before, after) = (B256::ZERO, B256::repeat_byte(1));
        let effect = Effect::SafeStorage { slot: SLOT_GUARD, before, after };
        it.simulations.iter_mut().for_each(|it| it.effects.push(effect.clone()));
    });
    assert_eq!(refusals(&guard), ["safe-storage"]);
    let allowance = flags(&good, |it| {
        let effect = Effect::Allowance { token: VAULT, spender: STRANGER };
        it.simulations.iter_mut().for_each(|it| it.effects.push(effect.clone()));
    });
    assert_eq!(refusals(&allowance), ["allowance"]);
}

fn inner(to: Address, data: Bytes, operation: Operation) -> Inner {
    Inner { operation, to, value: U256::ZERO, data }
}

fn batch(to: Address, calls: &[Inner]) -> SafeTx {
    SafeTx { to, data: write(calls), operation: Operation::DelegateCall, ..transaction() }
}

#[test]
fn batches_are_judged_call_by_call() {
    let good = inner(VAULT, pause(), Operation::Call);
    assert_eq!(refused(batch(CALL_ONLY, std::slice::from_ref(&good))), Vec::<String>::new());
    let hidden = call("enableModule(address)", &[Value::Address(STRANGER)]).unwrap();
    let module = inner(SAFE, hidden, Operation::Call);
    let found = refused(batch(CALL_ONLY, &[good.clone(), module.clone()]));
    assert_eq!(found, ["safe-module"]);
    let nested = inner(CALL_ONLY, write(&[module]), Operation::DelegateCall);
    assert_eq!(refused(batch(CALL_ONLY, &[good.clone(), nested])), ["safe-module"]);
    let delegate = inner(VAULT, pause(), Operation::DelegateCall);
    let found = refused(batch(CALL_ONLY, &[good.clone(), delegate]));
    assert_eq!(found, ["delegatecall"]);
    let called =
        SafeTx { operation: Operation::Call, ..batch(STRANGER, std::slice::from_ref(&good)) };
    assert_eq!(refused(called), ["not-in-policy"], "a contract that claims to be a batch");
    let elsewhere = refused(batch(STRANGER, std::slice::from_ref(&good)));
    assert_eq!(elsewhere, ["delegatecall"]);
    let mut cut = batch(CALL_ONLY, &[good.clone(), good]);
    cut.data = cut.data.slice(..cut.data.len() - 32);
    assert_eq!(refused(cut), ["unknown-call"]);
}

#[test]
fn a_batch_without_end_is_refused() {
    let mut tx = batch(CALL_ONLY, &[inner(VAULT, pause(), Operation::Call)]);
    for _ in 0..6 {
        tx = batch(CALL_ONLY, &[inner(CALL_ONLY, tx.data, Operation::DelegateCall)]);
    }
    assert_eq!(refused(tx), ["unreadable-batch"]);
}

#[test]
fn a_pinned_delegate_is_accepted_with_its_code_only() {
    let mut policy = policy();
    let pin = Pinned { name: "migration".into(), address: STRANGER, code_hash: keccak256("code") };
    policy.delegates.push(pin);
    let proposal = proposal(batch(STRANGER, &[inner(VAULT, pause(), Operation::Call)]));
    let mut evidence = evidence(&proposal);
    let judge = |evidence: &cofferdam_signing::Evidence| {
        let case = Case {
            proposal: &proposal,
            policy: Some(&policy),
            evidence: Some(evidence),
            registry: None,
            now: NOW,
        };
        let found = case.flags(&case.calls());
        refusals(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(judge(&evidence), Vec::<String>::new());
    evidence.codes.insert(STRANGER, keccak256("another code"));
    assert_eq!(judge(&evidence), ["delegatecall-code"]);
}

#[test]
fn claiming_an_action_does_not_make_it_one() {
    let mut other = proposal(SafeTx {
        data: call("pauseFor(uint256)", &[Value::Uint(U256::from(1))]).unwrap(),
        ..transaction()
    });
    other.provenance.action = Some("vault/pause".into());
    assert_eq!(refusals(&flags(&other, |_| {})), ["not-the-action"]);
}

#[test]
fn a_cancellation_is_no_danger() {
    let cancel = proposal(SafeTx::cancel(SAFE, U256::from(7)));
    let found = flags(&cancel, |it| it.simulations.iter_mut().for_each(|it| it.effects.clear()));
    assert_eq!(refusals(&found), Vec::<&str>::new());
    assert!(found.iter().any(|it| it.code == "cancel"));
}
