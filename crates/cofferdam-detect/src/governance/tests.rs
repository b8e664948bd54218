//! Proposals, votes and executions from text to findings; the tests of what is found stand with the detector.

use alloy_primitives::{Address, B256, Log, U256, hex};
use cofferdam_core::{
    ChainId, Fact, Observation, Severity, Tx,
    evidence::Tracing,
    plan::Plan,
    read::{Answer, Reading, Readings, Rehearsed, StateRead},
    tx::StorageChange,
};

pub(crate) use super::events::tests::{Value, encode, log, proposal};
use crate::{
    RuleSet,
    fixture::{VAULT, parse, plan},
};

pub(crate) const RULE: &str = r#"
    [[rules]]
    id = "gov"
    detector = "governance"
    [rules.settings]
    governors = [{ account = "eip155:1:0x0000000000000000000000000000000000000060", executor = "eip155:1:0x0000000000000000000000000000000000000061", votes = "eip155:1:0x0000000000000000000000000000000000000062" }]
    quorum = "1000"
"#;

fn governed() -> Plan {
    plan(&format!("{VAULT}{RULE}"))
}

pub(crate) fn rules() -> RuleSet {
    RuleSet::build(&governed(), ChainId(1)).expect("the rule builds")
}

/// A block with one transaction of these logs; rehearsals do `facts`, targets have code `code`.
pub(crate) fn block(
    rules: &RuleSet,
    number: u64,
    logs: Vec<Log>,
    facts: &[Fact],
    code: u8,
) -> Observation {
    let mut it = parse(&format!("block {number}\n tx 0xee -> 0x60")).remove(0);
    it.txs[0].logs = logs;
    for read in rules.wanted(&it.txs) {
        let after = match &read {
            StateRead::Rehearsal(it) => {
                let tx = Tx {
                    from: it.from,
                    to: Some(it.calls[0].to),
                    succeeded: true,
                    tracing: Tracing::Simulated,
                    facts: facts.to_vec(),
                    ..Tx::default()
                };
                let held = Answer::of(U256::from(10).pow(U256::from(24)));
                let held = Reading { before: held.clone(), after: held };
                let readings: Readings =
                    it.reads.iter().map(|it| (it.clone(), held.clone())).collect();
                Answer::Rehearsed(Box::new(Rehearsed { tx, readings }))
            }
            _ => Answer::of_hash(B256::with_last_byte(code)),
        };
        it.readings.insert(read, Reading { before: after.clone(), after });
    }
    it
}

pub(crate) fn vault() -> Address {
    Address::with_last_byte(0xaa)
}

pub(crate) fn drain() -> Vec<Fact> {
    let (token, to) = (Address::with_last_byte(0x70), Address::with_last_byte(0xec));
    let amount = U256::from(900_000) * U256::from(10).pow(U256::from(18));
    vec![Fact::Transfer { token, from: vault(), to, amount }]
}

pub(crate) fn told(rules: &mut RuleSet, it: &Observation) -> Vec<(Severity, String)> {
    let peeked = rules.peek(it);
    let findings = rules.observe(it).findings;
    assert_eq!(peeked, findings, "a peek says what the block says, and keeps nothing");
    findings.into_iter().map(|it| (it.severity, it.summary)).collect()
}

#[test]
fn votes_of_a_flash_loan_are_critical_and_votes_come_by_lately_high() {
    let mut rules = rules();
    let cast = |voter: u64, weight: u64| {
        let words = [7, 1, weight].map(|it| Value::Word(U256::from(it)));
        let words: Vec<Value> = words.into_iter().chain([Value::Bytes(vec![])]).collect();
        let signature = "VoteCast(address,uint256,uint8,uint256,string)";
        log(signature, &[U256::from(voter)], encode(&words))
    };
    let mut it = block(&rules, 1, vec![cast(0xec, 2_000)], &[], 1);
    let (provider, receiver) = (Address::with_last_byte(0xf1), Address::with_last_byte(0xec));
    let asset = Address::with_last_byte(0x62);
    it.txs[0].facts.push(Fact::FlashLoan { provider, receiver, asset, amount: U256::ONE });
    let text = "voted with borrowed votes, share of the quorum 200.00 %";
    assert_eq!(told(&mut rules, &it), [(Severity::Critical, text.into())]);

    let words = [0, 900].map(|it| Value::Word(U256::from(it)));
    let mut gained =
        log("DelegateVotesChanged(address,uint256,uint256)", &[U256::from(0xbb)], encode(&words));
    gained.address = asset;
    let it = block(&rules, 2, vec![gained], &[], 1);
    assert_eq!(told(&mut rules, &it), vec![]);
    let it = block(&rules, 602, vec![cast(0xbb, 900), cast(0xbc, 900)], &[], 1);
    let text = "90.00 % of the quorum by a voter who got its votes 2 h ago";
    assert_eq!(told(&mut rules, &it), [(Severity::High, text.into())]);
}

#[test]
fn code_that_changes_between_proposal_and_execution_is_critical() {
    let mut rules = rules();
    let proposed = vec![proposal(7, vault(), "pay()", &[])];
    let it = block(&rules, 1, proposed, &[], 1);
    assert_eq!(told(&mut rules, &it), vec![]);
    let changed = "the code that a proposal calls changed after it was proposed";
    let text = "block 2\n tx 0xee -> 0x99\n code 0xaa 1 -> 2";
    let found = told(&mut rules, &parse(text).remove(0));
    assert_eq!(found, [(Severity::Critical, changed.into())]);
    // A node without diffs shows it when the proposal is about to be executed.
    let done = log("ProposalExecuted(uint256)", &[], encode(&[Value::Word(U256::from(7))]));
    let it = block(&rules, 50_000, vec![done], &[], 2);
    assert_eq!(told(&mut rules, &it), [(Severity::Critical, changed.into())]);
}

#[test]
fn short_delays_and_hurried_executions_are_high() {
    let mut rules = rules();
    let word = |it: u64| Value::Word(U256::from(it));
    let input = Value::Bytes(hex!("8456cb59").to_vec());
    let scheduled = [word(0xaa), word(0), input, word(0), word(60)];
    let signature = "CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)";
    let scheduled = log(signature, &[U256::from(7), U256::ZERO], encode(&scheduled));
    let it = block(&rules, 1, vec![scheduled], &[], 1);
    let text = "may be executed after 60 s, at least 86400 s are agreed";
    assert_eq!(told(&mut rules, &it), [(Severity::High, text.into())]);
    let done = log(
        "CallExecuted(bytes32,uint256,address,uint256,bytes)",
        &[U256::from(7), U256::ZERO],
        encode(&[word(0xaa), word(0), Value::Bytes(vec![])]),
    );
    let it = block(&rules, 6, vec![done], &[], 1);
    let text = "executed 60 s after it was proposed";
    assert_eq!(told(&mut rules, &it), [(Severity::High, text.into())]);
    let lowered = encode(&[word(86_400), word(0)]);
    let it = block(&rules, 7, vec![log("MinDelayChange(uint256,uint256)", &[], lowered)], &[], 1);
    assert_eq!(told(&mut rules, &it), [(Severity::High, "the least delay is 0 s now".into())]);
}

#[test]
fn what_is_remembered_goes_through_a_journal_and_comes_back() {
    let mut rules = rules();
    let proposed = vec![proposal(7, vault(), "pay()", &[])];
    let it = block(&rules, 1, proposed, &[], 1);
    let changed = rules.observe(&it).changed;
    let [(rule, None, memo)] = changed.as_slice() else { panic!("{changed:?}") };
    let mut other = self::rules();
    other.recall(rule, Some(&serde_json::from_str(&memo.to_string()).expect("JSON")));
    let it = parse("block 2\n tx 0xee -> 0x99\n code 0xaa 1 -> 2").remove(0);
    assert_eq!(other.observe(&it).findings, rules.observe(&it).findings);
}

#[test]
fn a_payload_that_runs_as_the_executor_and_writes_its_storage_is_high() {
    let own = RULE.replace("votes =", "delegatecall = true, votes =");
    for (rule, address, high) in
        [(own.as_str(), 0x61, true), (own.as_str(), 0x99, false), (RULE, 0x61, false)]
    {
        let whole = plan(&format!("{VAULT}{rule}"));
        let mut rules = RuleSet::build(&whole, ChainId(1)).expect("the rule builds");
        let mut it = block(
            &rules,
            1,
            vec![proposal(7, Address::with_last_byte(0x99), "cast()", &[])],
            &[],
            1,
        );
        let asked = it.readings.iter().find_map(|(read, _)| match read {
            StateRead::Rehearsal(asked) => Some((read.clone(), asked.calls[0].delegated)),
            _ => None,
        });
        let (read, delegated) = asked.expect("the payload is asked for");
        assert_eq!(delegated, rule != RULE);
        let mut reading = it.readings.get(&read).expect("answered").clone();
        if let Answer::Rehearsed(done) = &mut reading.after {
            let (address, slot) = (Address::with_last_byte(address), U256::from(5));
            let (before, after) = (U256::ZERO, U256::ONE);
            done.tx.diff.storage.push(StorageChange { address, slot, before, after });
        }
        it.readings.insert(read, reading);
        let text = "a proposal would write 1 slots of its executor's own";
        let want = if high { vec![(Severity::High, text.to_owned())] } else { vec![] };
        assert_eq!(told(&mut rules, &it), want);
    }
}
