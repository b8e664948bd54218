//! The loaders on the shared data, and on files that only look like it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;

use alloy_primitives::{B256, U256};
use cofferdam_core::{ChainId, evidence::Tracing, ports::StateError, ports::StateSource};

use super::{
    MainnetBlocks, load_fork_cache, load_fork_index, load_header, load_parity_block, load_trace,
    load_trace_index, load_tx_case,
};

/// The folder `name` of the shared data, or `None` with a notice on standard error.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("COFFERDAM_SHARED").map_or(beside, PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}

#[test]
fn a_recorded_block_comes_with_the_state_it_reads() {
    let Some(dir) = shared("data/mainnet-blocks") else { return };
    let block = MainnetBlocks::open(&dir).unwrap().load(12_964_999).ok();
    assert!(block.is_none(), "that block is not among them");
    let block = MainnetBlocks::open(&dir).unwrap().load(15_274_915).unwrap();
    assert_eq!(block.observation.txs.len(), 1_226);
    assert!(block.observation.env.base_fee > 0 && block.observation.env.prev_randao.is_none());
    assert!(block.observation.txs.iter().any(|it| it.envelope.kind == 2));
    for tx in &block.observation.txs {
        assert!(matches!(block.state.account(tx.from), Ok(Some(_))), "{}", tx.hash);
        assert_eq!(tx.tracing, Tracing::None);
    }
}

#[test]
fn every_fork_cache_trace_header_and_case_loads() {
    let Some(data) = shared("data") else { return };
    let folder = data.join("exploit-fork-caches");
    let rows = load_fork_index(&folder.join("index.csv")).unwrap();
    assert_eq!(rows.len(), 22);
    for row in &rows {
        let fork = load_fork_cache(&folder.join(&row.cache_file)).unwrap();
        assert!(!fork.state.accounts.is_empty() && !fork.state.complete, "{}", row.case);
        let unknown = fork.state.storage(Default::default(), U256::from(1) << 200);
        assert!(matches!(unknown, Err(StateError::Missing)));
        if let Some(header) = &row.header_file {
            let (block, env) = load_header(&folder.join(header), row.chain).unwrap();
            assert_eq!((block.chain, block.number), (row.chain, row.fork_block));
            assert!(env.gas_used.is_some());
        }
        if let Some(trace) = &row.trace_file {
            let trace = load_trace(&folder.join(trace), 1).unwrap();
            assert_eq!((&trace.case, trace.chain), (&row.case, row.chain));
        }
    }
    let traces = load_trace_index(&data.join("exploit-traces/index.csv")).unwrap();
    assert_eq!(traces.iter().filter(|it| it.replays).count(), 11);
    for name in ["ronin-2022-first-withdrawal", "polynetwork-2021-keeper-swap"] {
        let path = data.join(format!("exploit-original-txs/{name}.json.zst"));
        let case = load_tx_case(&path, None).unwrap();
        assert_eq!((case.name.as_str(), case.expected.len()), (name, 1));
    }
}

#[test]
fn attackers_have_other_addresses_under_every_seed() {
    let Some(data) = shared("data") else { return };
    let path = data.join("exploit-traces/CreamFinance.json.zst");
    let [a, b, again] = [1, 2, 1].map(|seed| load_trace(&path, seed).unwrap());
    assert_eq!(a, again);
    assert_eq!(a.frames.len(), b.frames.len());
    assert_ne!(a.frames[0].input, b.frames[0].input, "the entry selector is made up");
    for (of_a, of_b) in a.contracts.iter().chain([&a.eoa]).zip(b.contracts.iter().chain([&b.eoa])) {
        assert_ne!(of_a, of_b);
        let found = |trace: &cofferdam_core::trace::AttackTrace| {
            let in_hex = |bytes: &[u8]| bytes.windows(20).any(|it| it == of_a.as_slice());
            trace.frames.iter().any(|it| in_hex(&it.input) || in_hex(&it.output))
                || trace.logs.iter().any(|it| in_hex(&it.data.data))
        };
        assert!(!found(&b), "{of_a} is left in another seed's trace");
    }
}

#[test]
fn parity_blocks_give_call_trees() {
    let Some(dir) = shared("data/mev-inspect-blocks/blocks") else { return };
    let mut blocks = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let block = load_parity_block(&entry.unwrap().path(), ChainId(1)).unwrap();
        blocks += 1;
        assert_ne!(block.block.hash, B256::ZERO);
        assert!(!block.txs.is_empty());
        for tx in &block.txs {
            assert_eq!(tx.tracing, Tracing::Node);
            assert_eq!(tx.frames[0].from, tx.from);
        }
        let undone = block.txs.iter().flat_map(|it| &it.frames).filter(|it| it.undone).count();
        assert!(undone > 0 || block.txs.len() < 50, "some call fails in every full block");
    }
    assert_eq!(blocks, 12);
}

#[test]
fn what_only_looks_like_a_recording_is_an_error_that_names_the_file() {
    let folder = std::env::temp_dir().join(format!("cofferdam-recorded-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("hostile.json");
    for text in [
        "",
        "null",
        "[]",
        r#"{"attackerEoa":"0x00","attackerContracts":[]}"#,
        r#"{"block_number":1,"miner":"0x0000000000000000000000000000000000000000","traces":
            [{"type":"call","action":{"callType":"jump"},"transaction_position":0,
              "transaction_hash":"0x0000000000000000000000000000000000000000000000000000000000000001"}]}"#,
    ] {
        std::fs::write(&path, text).unwrap();
        let errors = [
            load_trace(&path, 1).map(drop),
            load_tx_case(&path, None).map(drop),
            load_fork_cache(&path).map(drop),
            load_parity_block(&path, ChainId(1)).map(drop),
            load_header(&path, ChainId(1)).map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("hostile.json is malformed: "), "{error}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
