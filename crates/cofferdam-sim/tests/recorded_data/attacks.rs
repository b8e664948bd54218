//! Replays recorded exploits: original transactions with prestate, and traces on fork caches.

use std::path::Path;

use crate::{
    recorded::{
        TraceRow, load_fork_cache, load_fork_index, load_trace, load_trace_index, load_tx_case,
    },
    shared,
};
use cofferdam_core::{
    BlockEnv, Fact, Observation, decode, evidence::Tracing, snapshot::Snapshot, trace::AttackTrace,
};
use cofferdam_sim::{Act, ExecuteOptions, LocalChain, Pace, enact, reexecute_block, tx_from_trace};

struct Case {
    trace: AttackTrace,
    fork: Snapshot,
    env: BlockEnv,
    replays: bool,
}

fn cases(data: &Path, seed: u64) -> Vec<Case> {
    let folder = data.join("exploit-fork-caches");
    let forks = load_fork_index(&folder.join("index.csv")).unwrap();
    let rows = load_trace_index(&data.join("exploit-traces/index.csv")).unwrap();
    let case = |row: &TraceRow| {
        let fork = forks.iter().find(|it| it.case == row.case).unwrap();
        let cache = load_fork_cache(&folder.join(&fork.cache_file)).unwrap();
        let path = folder.join(fork.trace_file.as_ref().unwrap());
        let trace = load_trace(&path, seed).unwrap();
        Case { trace, fork: cache.state, env: cache.env, replays: row.replays }
    };
    rows.iter().map(case).collect()
}

#[test]
fn eleven_recorded_attacks_replay_completely_whatever_the_attackers_addresses() {
    let Some(data) = shared::folder("data") else { return };
    let mut table = String::new();
    for seed in [1, 77] {
        let mut complete = 0;
        for it in cases(&data, seed) {
            let act = Act::of(&it.trace, &[]).unwrap();
            let enacted = act.play(&it.fork, &it.env, Pace::default()).unwrap();
            let report = &enacted.report;
            table += &format!("{} {seed} {report:?}\n", it.trace.case);
            complete += usize::from(report.is_complete());
            if it.replays {
                assert!(report.is_complete(), "{}\n{report:?}", it.trace.case);
            }
            let tx = &enacted.blocks[0].txs[0];
            let evidence = matches!(tx.tracing, Tracing::Reexecuted);
            assert_eq!(evidence, report.missing_reads == 0, "{}", it.trace.case);
        }
        assert!(complete >= 11, "{table}");
    }
}

#[test]
fn original_exploit_transactions_reproduce_gas_status_and_logs() {
    let Some(dir) = shared::folder("data/exploit-original-txs") else { return };
    for (name, renames) in
        [("ronin-2022-first-withdrawal", true), ("polynetwork-2021-keeper-swap", false)]
    {
        for seed in [None, renames.then_some(5)] {
            let case = load_tx_case(&dir.join(format!("{name}.json.zst")), seed).unwrap();
            let mut block = case.observation;
            for (tx, expected) in block.txs.iter_mut().zip(&case.expected) {
                (tx.gas_used, tx.succeeded) = (expected.gas_used, expected.succeeded);
                tx.logs.clone_from(&expected.logs);
            }
            let options = ExecuteOptions::of(&block.block);
            let again = reexecute_block(&block, &case.state, &options).unwrap().observation;
            for tx in &again.txs {
                match seed {
                    None => assert_eq!(tx.tracing, Tracing::Reexecuted, "{name}"),
                    // Another sender than the recipient: one more cold account, all else equal.
                    Some(_) => {
                        let difference = "gas used: receipt 198990, re-execution 201490".to_owned();
                        assert_eq!(tx.tracing, Tracing::Mismatch { difference });
                    }
                }
                assert!(tx.frames.len() > 3 && !tx.diff.storage.is_empty());
            }
        }
    }
}

#[test]
fn a_trace_alone_is_evidence_only_if_no_read_was_missing() {
    let Some(data) = shared::folder("data") else { return };
    let mut evidence = 0;
    for it in cases(&data, 3) {
        let tx = tx_from_trace(&it.trace);
        assert_eq!(tx.tracing.is_evidence(), it.trace.missing_reads == 0);
        evidence += usize::from(tx.tracing.is_evidence());
        let facts = decode::facts(&tx);
        assert!(!facts.is_empty() || tx.logs.is_empty(), "{}", it.trace.case);
    }
    assert_eq!(evidence, 15);
}

#[test]
fn an_attack_split_in_two_and_delayed_does_the_same_damage() {
    let Some(data) = shared::folder("data") else { return };
    let (mut split, mut late) = (Vec::new(), Vec::new());
    for it in cases(&data, 9).iter().filter(|it| it.replays) {
        let calls = it.trace.children(0).count();
        if calls < 2 {
            continue;
        }
        let act = Act::of(&it.trace, &[calls / 2]).unwrap();
        assert_eq!(act.txs.len(), 2);
        let whole = Act::of(&it.trace, &[]).unwrap();
        let whole = whole.play(&it.fork, &it.env, Pace::default()).unwrap();
        let same = |pace| {
            let played = act.play(&it.fork, &it.env, pace).unwrap();
            played.blocks.iter().flat_map(|it| &it.txs).all(|it| it.succeeded)
                && transfers(&played.blocks) == transfers(&whole.blocks)
        };
        split.extend(same(Pace::default()).then_some(it.trace.case.clone()));
        // Blocks later, interest accrues and reads what no recording holds: not in every case.
        let pace = Pace { late: 3, apart: 2, seconds: 13 };
        late.extend(same(pace).then_some(it.trace.case.clone()));
    }
    assert!(split.len() >= 6, "{split:?}");
    assert!(late.len() >= 3, "{late:?}");
}

fn transfers(blocks: &[Observation]) -> usize {
    let facts = blocks.iter().flat_map(|it| &it.txs).flat_map(decode::facts);
    facts.filter(|it| matches!(it, Fact::Transfer { .. })).count()
}

#[test]
fn delayed_transactions_are_in_later_blocks() {
    let Some(data) = shared::folder("data") else { return };
    let cases = cases(&data, 4);
    let case = cases.iter().find(|it| it.trace.case == "PunkProtocol").unwrap();
    let pace = Pace { late: 3, apart: 2, seconds: 13 };
    let act = Act::of(&case.trace, &[2, 4]).unwrap();
    let blocks = act.play(&case.fork, &case.env, pace).unwrap().blocks;
    let numbers: Vec<_> = blocks.iter().map(|it| it.block.number - case.trace.evm_block).collect();
    assert_eq!(numbers, [3, 5, 7]);
    assert_eq!(blocks[1].block.time.since_ms(blocks[0].block.time), 26_000);
    assert_eq!(blocks[1].block.parent, blocks[0].block.hash);
}

#[test]
fn a_scaled_attack_moves_a_scaled_amount() {
    let Some(data) = shared::folder("data") else { return };
    let mut scaled_down = 0;
    for it in cases(&data, 11).iter().filter(|it| it.replays) {
        let half = enact::scale(&it.trace, 1, 2);
        assert_eq!(half.frames.len(), it.trace.frames.len());
        if half == it.trace {
            continue;
        }
        let act = Act::of(&half, &[]).unwrap();
        let enacted = act.play(&it.fork, &it.env, Pace::default()).unwrap();
        scaled_down += usize::from(enacted.blocks[0].txs[0].succeeded);
    }
    assert!(scaled_down >= 2, "{scaled_down}");
}

#[test]
fn an_attack_in_two_transactions_plays_on_the_local_chain_and_stops_where_it_is_stopped() {
    let Some(data) = shared::folder("data") else { return };
    let cases = cases(&data, 6);
    let case = cases.iter().find(|it| it.trace.case == "PunkProtocol").unwrap();
    let calls = case.trace.children(0).count();
    let act = Act::of(&case.trace, &[calls / 2]).unwrap();
    let play = |stopped: bool| {
        let chain = LocalChain::new(act.chain(&case.fork));
        if stopped {
            // Every victim refuses: code that reverts.
            for frame in case.trace.children(0).map(|it| &case.trace.frames[it]) {
                chain.set_code(frame.to, &vec![0x5f, 0x5f, 0xfd].into()).unwrap();
            }
        }
        for tx in act.unsigned() {
            chain.impersonate(tx).unwrap();
        }
        chain.mine(case.trace.time).unwrap()
    };
    let free = play(false);
    assert_eq!(free.txs.len(), 2);
    assert!(free.txs.iter().all(|it| it.succeeded && it.tracing == Tracing::Reexecuted));
    assert_eq!(free.txs.iter().map(|it| it.logs.len()).sum::<usize>(), case.trace.logs.len());
    assert!(play(true).txs.iter().all(|it| !it.succeeded));
}
