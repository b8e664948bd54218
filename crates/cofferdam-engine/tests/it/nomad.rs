//! The recorded history of a bridge, January to July 2022: what was honest raises no alarm.

use std::{collections::BTreeMap, io::Read as _, path::PathBuf};

use alloy_primitives::{Address, B256, Log, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Record, Severity, Stage, Timestamp, Tx,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};

const MOONBEAM: ChainId = ChainId(1284);
const ETHEREUM: ChainId = ChainId(1);
/// When the bridge began.
const BEGUN: u64 = 1_641_900_000;
/// The last second of the history that development may look at.
const UNTIL: u64 = 1_659_311_999;

/// A file of the shared data as rows of column → value, or `None` with a notice.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn rows(name: &str) -> Option<Vec<BTreeMap<String, String>>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bridge-nomad-ronin");
    let path = PathBuf::from(folder).join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let mut text = String::new();
    if name.ends_with(".zst") {
        let mut reader = ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()).expect("zstd");
        reader.read_to_string(&mut text).expect("text");
    } else {
        text = String::from_utf8(bytes).expect("text");
    }
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let cells = line.split(',').map(str::to_owned);
        head.iter().map(|it| (*it).to_owned()).zip(cells).collect()
    };
    Some(lines.map(row).collect())
}

/// One event: time, chain, transaction, log.
type Happened = (u64, ChainId, B256, Log);

fn events(name: &str, chain: ChainId, account: u8, columns: [&str; 2]) -> Option<Vec<Happened>> {
    let happened = |row: BTreeMap<String, String>| {
        let word = |key: &str| row[key].parse::<U256>().expect("a number");
        let words = [word(columns[0]), word(columns[1]), word("amount"), word("beneficiary")];
        let data: Vec<u8> = words.iter().flat_map(|it| it.to_be_bytes::<32>()).collect();
        let topic = keccak256("Moved(uint256,address,uint256,address)");
        let log = Log::new_unchecked(Address::with_last_byte(account), vec![topic], data.into());
        let secs = row["timestamp"].parse().expect("a time");
        (secs, chain, row["tx_hash"].parse().expect("a hash"), log)
    };
    let all: Vec<Happened> = rows(name)?.into_iter().map(happened).collect();
    Some(all.into_iter().filter(|it| it.0 <= UNTIL).collect())
}

/// The plan for both directions, its token map taken from the recorded configuration.
fn plan() -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bridge-nomad-ronin");
    let text = std::fs::read_to_string(format!("{folder}/nomad/bridge.json")).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let pairs = |origin: &str, destination: &str| {
        let list = json["tokenMapping"].as_array().expect("a list").iter();
        let pair = list
            .map(|it| format!("{{ origin = {}, destination = {} }}", it[origin], it[destination]));
        pair.collect::<Vec<_>>().join(", ")
    };
    let side = |chain: u64, account: &str| {
        format!(
            r#"{{ account = "eip155:{chain}:0x00000000000000000000000000000000000000{account}", event = "Moved(uint256 id, address token, uint256 amount, address to)", key = ["id"], asset = "token", amount = "amount", recipient = "to" }}"#
        )
    };
    let route = |name: &str, from: String, to: String, pairs: String| {
        format!(
            "[[rules.settings.routes]]\nname = \"{name}\"\ndelay-min = \"30m\"\ndelay-max = \"200d\"\n\
             history-from = {BEGUN}\norigin = {from}\ndestination = {to}\nassets = [{pairs}]\n"
        )
    };
    let token = |address: &str, symbol: &str, decimals: u8, price: u32| {
        format!(
            "{{ token = \"{address}\", symbol = \"{symbol}\", decimals = {decimals}, price = \"{price} usd\" }}"
        )
    };
    let assets = [
        token("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "USDC", 6, 1),
        token("0xdac17f958d2ee523a2206206994597c13d831ec7", "USDT", 6, 1),
        token("0x6b175474e89094c44da98b954eedeac495271d0f", "DAI", 18, 1),
        token("0x853d955acef822db058eb8505911ed77f175b99e", "FRAX", 18, 1),
        token("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "WETH", 18, 2000),
        token("0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "WBTC", 8, 30000),
    ];
    let head = r#"
version = 1
name = "Nomad"
chains = [{ id = "eip155:1" }, { id = "eip155:1284" }]
[[entities]]
id = "bridge"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa", "eip155:1284:0x00000000000000000000000000000000000000ba"]
"#;
    let back = pairs("target_token", "source_token");
    let there = pairs("source_token", "target_token");
    Some(format!(
        "{head}assets = [{}]\n[[rules]]\nid = \"nomad\"\ndetector = \"bridge\"\n{}{}",
        assets.join(", "),
        route("moonbeam to ethereum", side(1284, "ba"), side(1, "aa"), back),
        route("ethereum to moonbeam", side(1, "ab"), side(1284, "bb"), there),
    ))
}

/// Feeds the events in order of time, each in a block of its own, the other chain's clock kept up.
fn run(engine: &mut Engine, mut events: Vec<Happened>) -> Vec<cofferdam_core::Finding> {
    events.sort_by_key(|it| it.0);
    let mut heads = BTreeMap::new();
    let mut found = Vec::new();
    let begun = (BEGUN, ETHEREUM, None);
    let events = events.into_iter().map(|(secs, chain, hash, log)| {
        let to = Some(log.address);
        let tx = Tx { hash, to, succeeded: true, logs: vec![log], ..Tx::default() };
        (secs, chain, Some(tx))
    });
    for (secs, chain, tx) in std::iter::once(begun).chain(events) {
        let other = if chain == ETHEREUM { MOONBEAM } else { ETHEREUM };
        for (chain, txs) in [(other, vec![]), (chain, tx.into_iter().collect::<Vec<Tx>>())] {
            let (number, parent, last) = heads.get(&chain).copied().unwrap_or((0, B256::ZERO, 0));
            // Nothing new can be learnt from an empty block of the same minute.
            if txs.is_empty() && last + 60 > secs {
                continue;
            }
            let number = number + 1;
            let block = BlockRef {
                chain,
                number,
                hash: keccak256(format!("{chain} {number}")),
                parent,
                time: Timestamp::from_secs(secs),
            };
            heads.insert(chain, (number, block.hash, secs));
            let observation = Observation {
                block,
                env: BlockEnv::default(),
                stage: Stage::Provisional,
                witnesses: 1,
                txs,
                readings: Default::default(),
            };
            let effects = engine.step(block.time, Input::Block(observation));
            found.extend(effects.into_iter().filter_map(|it| match it {
                Effect::Record(Record::Found { finding }) => Some(finding),
                _ => None,
            }));
        }
    }
    found
}

fn engine(plan: &str) -> Engine {
    let plan = toml::from_str(plan).expect("a plan");
    // A journal of months, kept without a snapshot.
    let limits = Limits { snapshot_records: u64::MAX, ..Limits::default() };
    Engine::new(plan, limits).expect("rules that build")
}

#[test]
fn months_of_honest_withdrawals_raise_nothing_and_the_five_unmatched_ones_no_more_than_an_alert() {
    let requests = "nomad/moonbeam_withdrawal_requests.csv.zst";
    let (Some(plan), Some(mut events), Some(paid), Some(unmatched)) = (
        plan(),
        self::events(requests, MOONBEAM, 0xba, ["withdrawal_id", "origin_token"]),
        self::events(
            "nomad/eth_withdrawals.csv.zst",
            ETHEREUM,
            0xaa,
            ["withdrawal_id", "dst_token"],
        ),
        rows("nomad/eth_withdrawals_without_match.csv"),
    ) else {
        return;
    };
    let count = paid.len();
    events.extend(paid);
    let found = run(&mut engine(&plan), events);
    let known = |it: &B256| unmatched.iter().any(|row| row["tx_hash"] == it.to_string());
    let alarms: Vec<&str> = found
        .iter()
        .filter(|it| !it.tx.as_ref().is_some_and(known))
        .map(|it| it.summary.as_str())
        .collect();
    assert_eq!(alarms, Vec::<&str>::new(), "honest withdrawals, {count} in all");
    assert!(found.iter().all(|it| it.severity <= Severity::High), "no more than an alert");
    assert_eq!((count, found.len()), (4_294, 5));
}

#[test]
fn months_of_honest_deposits_raise_nothing_critical() {
    let (Some(plan), Some(mut events), Some(paid)) = (
        plan(),
        self::events("nomad/eth_deposits.csv.zst", ETHEREUM, 0xab, ["deposit_id", "origin_token"]),
        self::events("nomad/moonbeam_credits.csv.zst", MOONBEAM, 0xbb, ["deposit_id", "dst_token"]),
    ) else {
        return;
    };
    let count = paid.len();
    events.extend(paid);
    let found = run(&mut engine(&plan), events);
    assert!(found.iter().all(|it| it.severity <= Severity::High), "no more than an alert");
    // Seven credits have no deposit in the file.
    assert_eq!((count, found.len()), (10_455, 7), "{found:?}");
}

#[test]
fn the_two_thefts_at_ronin_are_critical_as_soon_as_they_are_seen() {
    let (Some(plan), Some(thefts)) = (plan(), rows("ronin/attacks.csv")) else { return };
    let theft = |row: &BTreeMap<String, String>| {
        let word = |key: &str| row[key].parse::<U256>().expect("a number");
        let words = ["withdrawal_id", "dst_token", "amount", "beneficiary"].map(word);
        let data: Vec<u8> = words.iter().flat_map(|it| it.to_be_bytes::<32>()).collect();
        let topic = keccak256("Moved(uint256,address,uint256,address)");
        let log = Log::new_unchecked(Address::with_last_byte(0xaa), vec![topic], data.into());
        let secs = row["dst_timestamp"].parse().expect("a time");
        let hash = row["dst_transaction_hash"].parse().expect("a hash");
        (secs, ETHEREUM, hash, log)
    };
    let found = run(&mut engine(&plan), thefts.iter().map(theft).collect());
    let severities: Vec<Severity> = found.iter().map(|it| it.severity).collect();
    assert_eq!(severities, [Severity::Critical; 2]);
}
