//! Written, read back, filtered: what comes out is what went in.
#![expect(clippy::expect_used, reason = "a test may panic")]

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use cofferdam_columns::{ColumnError, Folder, Hit, Packing, Pairs, Wanted, Writer};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    read::Readings,
    trace::link_frames,
    tx::{CallKind, Envelope, Frame},
};

/// Blocks with everything that the layout can hold, different in every cell.
fn blocks(from: u64, count: u64) -> Vec<Observation> {
    let account = |seed: u64| Address::from_word(keccak256(seed.to_be_bytes()));
    let log = |seed: u64| {
        let topics =
            (0..seed % 5).map(|it| keccak256([seed % 7, it].map(u64::to_be_bytes).concat()));
        let data = Bytes::from(vec![seed as u8; (seed % 70) as usize]);
        Log::new_unchecked(account(seed % 11), topics.collect(), data)
    };
    let tx = |number: u64, index: u64| {
        let seed = number * 100 + index;
        let kind = (seed % 3) as u8;
        let create = seed.is_multiple_of(5);
        let mut frames = vec![
            frame(0, if create { CallKind::Create } else { CallKind::Call }, seed, true),
            frame(1, CallKind::DelegateCall, seed + 1, true),
            frame(2, CallKind::StaticCall, seed + 2, false),
            frame(1, CallKind::SelfDestruct, seed + 3, true),
        ];
        link_frames(&mut frames).expect("a tree");
        let root = frames.first().map(|it| it.to).filter(|_| create);
        let fee = u128::from(seed) * 1_000_000_007;
        Tx {
            hash: keccak256(seed.to_le_bytes()),
            index: index as u32,
            from: account(seed),
            to: (!create).then(|| account(seed + 1)),
            nonce: seed,
            value: U256::from(seed) << (seed % 200),
            input: Bytes::from(vec![0, 1, seed as u8]),
            gas_limit: 21_000 + seed,
            envelope: Envelope { kind, ..Envelope::default() },
            gas_used: 20_000 + seed,
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: if kind < 2 { fee } else { fee / 2 },
            succeeded: !seed.is_multiple_of(4),
            created: root,
            logs: (0..seed % 4).map(|it| log(seed * 11 + it)).collect(),
            frames,
            tracing: Tracing::Node,
            ..Tx::default()
        }
    };
    let mut parent = B256::ZERO;
    let block = |number: u64| {
        let hash = keccak256([number.to_be_bytes(), [7; 8]].concat());
        let block = BlockRef {
            chain: ChainId(10),
            number,
            hash,
            parent: std::mem::replace(&mut parent, hash),
            time: Timestamp::from_secs(1_600_000_000 + number),
        };
        let env = BlockEnv {
            beneficiary: account(number),
            base_fee: number,
            gas_used: Some(number * 3),
            gas_limit: 30_000_000,
            ..BlockEnv::default()
        };
        let txs = (0..number % 4).map(|it| tx(number, it)).collect();
        let readings = Readings::default();
        Observation { block, env, stage: Stage::Provisional, witnesses: 1, txs, readings }
    };
    (from..from + count).map(block).collect()
}

fn frame(depth: u16, kind: CallKind, seed: u64, succeeded: bool) -> Frame {
    let account = |seed: u64| Address::from_word(keccak256(seed.to_be_bytes()));
    let quiet = matches!(kind, CallKind::DelegateCall | CallKind::StaticCall);
    let bytes = |it: u8| match kind {
        CallKind::SelfDestruct => Bytes::new(),
        _ => Bytes::from(vec![it; (seed % 9) as usize]),
    };
    Frame {
        parent: None,
        depth,
        kind,
        from: account(seed),
        to: account(seed + 1),
        value: if quiet { U256::ZERO } else { U256::from(seed) },
        input: bytes(1),
        output: bytes(2),
        succeeded,
        undone: false,
    }
}

fn read(folder: &Folder, wanted: Option<&Wanted>) -> Vec<(Observation, u32)> {
    let slices = folder.slices();
    let of = |it| folder.read(it, ChainId(10), wanted).expect("a slice");
    slices.into_iter().flat_map(of).collect()
}

#[test]
fn what_is_written_is_read_back_whatever_the_packing() {
    for packing in [Packing::Lz4, Packing::Zstd, Packing::Snappy, Packing::None] {
        let place = tempfile::tempdir().expect("a folder");
        let all = blocks(1_000, 60);
        let writer = Writer::new(place.path(), "optimism", packing).group(17);
        let (first, second) = all.split_at(25);
        let mut files = writer.write(first).expect("files");
        files.extend(writer.write(second).expect("files"));
        let names: Vec<String> = files
            .iter()
            .filter_map(|it| Some(it.file_name()?.to_string_lossy().into_owned()))
            .collect();
        assert_eq!(names.len(), 8);
        assert_eq!(
            names.first().map(String::as_str),
            Some("optimism__blocks__00001000_to_00001024.parquet")
        );
        let folder = Folder::open(place.path()).expect("files").expect("some");
        assert_eq!(folder.chain().expect("a column"), Some(ChainId(10)));
        let back = read(&folder, None);
        assert_eq!(back.len(), all.len());
        for ((ours, count), there) in back.iter().zip(&all) {
            assert_eq!(ours, there, "{packing:?}");
            assert_eq!(*count as usize, there.txs.len());
        }
    }
}

#[test]
fn a_filter_keeps_every_transaction_that_concerns_somebody_and_drops_others() {
    let place = tempfile::tempdir().expect("a folder");
    let mut all = blocks(1, 80);
    // Call trees may touch what no log tells of: then nothing is left out. Here there are none.
    for tx in all.iter_mut().flat_map(|it| &mut it.txs) {
        tx.frames.clear();
        tx.tracing = Tracing::None;
        tx.created = None;
    }
    Writer::new(place.path(), "optimism", Packing::Lz4).group(13).write(&all).expect("files");
    let folder = Folder::open(place.path()).expect("files").expect("some");
    let logs: Vec<&Log> = all.iter().flat_map(|it| &it.txs).flat_map(|it| &it.logs).collect();
    let signed = logs.iter().find(|it| it.topics().len() > 1).expect("a log");
    let named = signed.topics().get(1).expect("a topic");
    let sender = all.iter().flat_map(|it| &it.txs).nth(9).expect("a transaction").from;
    let topic = |it: &Log| it.topics().first().copied();
    let pair = (signed.address, topic(signed).expect("a topic"));
    let cases = [
        Wanted { logs: vec![pair], ..Wanted::default() },
        Wanted { signatures: [pair.1].into_iter().collect(), ..Wanted::default() },
        Wanted {
            accounts: [Address::from_word(*named), sender].into_iter().collect(),
            ..Wanted::default()
        },
    ];
    for wanted in cases {
        let concerns = |tx: &&Tx| {
            let log = |it: &Log| {
                wanted.logs.contains(&(it.address, topic(it).unwrap_or_default()))
                    || topic(it).is_some_and(|it| wanted.signatures.contains(&it))
                    || wanted.accounts.contains(&it.address)
                    || it
                        .topics()
                        .iter()
                        .skip(1)
                        .any(|it| wanted.accounts.contains(&Address::from_word(*it)))
            };
            let party = |it: Address| wanted.accounts.contains(&it);
            party(tx.from) || tx.to.is_some_and(party) || tx.logs.iter().any(log)
        };
        let back = read(&folder, Some(&wanted));
        let mut dropped = 0;
        for ((ours, count), there) in back.iter().zip(&all) {
            let kept: Vec<&Tx> = there.txs.iter().filter(concerns).collect();
            dropped += there.txs.len() - kept.len();
            assert_eq!(ours.txs.iter().collect::<Vec<_>>(), kept);
            assert_eq!(*count as usize, there.txs.len(), "what was left out is counted");
        }
        assert!(dropped > 0);
    }
    let pairs = Pairs::new([pair]);
    let mut hits = Vec::new();
    for group in 0..folder.log_groups() {
        hits.extend(folder.hits(group, &pairs).expect("hits"));
    }
    let mut expected = Vec::new();
    for block in &all {
        for (log, it) in (0..).zip(block.txs.iter().flat_map(|it| &it.logs)) {
            if (it.address, topic(it)) == (pair.0, Some(pair.1)) {
                expected.push(Hit { detector: 0, block: block.block.number, log });
            }
        }
    }
    assert!(!expected.is_empty());
    assert_eq!(hits, expected);
}

#[test]
fn what_is_missing_is_told_and_what_is_no_parquet_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    assert!(Folder::open(place.path()).expect("an empty folder").is_none());
    let files =
        Writer::new(place.path(), "optimism", Packing::Lz4).write(&blocks(1, 8)).expect("files");
    let headers = files.first().expect("headers");
    std::fs::remove_file(headers).expect("a file");
    let without = Folder::open(place.path()).expect_err("logs without headers");
    assert!(without.to_string().contains("cryo blocks"), "{without}");
    std::fs::write(headers, b"PAR1 and nothing else PAR1").expect("a file");
    let broken = Folder::open(place.path());
    assert!(matches!(broken, Err(ColumnError::Parquet { .. })), "{broken:?}");
}
