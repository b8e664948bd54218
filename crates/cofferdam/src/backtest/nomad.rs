//! The recorded history of a bridge, both of its sides, and recorded thefts from bridges: plan and blocks made from the
//! tables that the data's note describes.
//!
//! **Invariant:** what a payout is worth is its amount at the recorded price of its day, never a finding's word.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use alloy_primitives::{Address, B256, Log, U256, keccak256};
use cofferdam_backtest::{Asked, Label, Labels, StrandLine};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx, Usd,
    plan::{Plan, UsdText},
    read::Readings,
};

use super::{
    csv::{Row, rows},
    source::{Known, Loaded, Piece, Source, Strand},
};
use crate::replay::ReplayError;

const ETHEREUM: ChainId = ChainId(1);
const MOONBEAM: ChainId = ChainId(1284);
/// When the bridge began, in seconds.
const BEGUN: u64 = 1_641_900_000;
/// Blocks of one piece.
const PIECE_BLOCKS: usize = 256;
/// Seconds after which the other side's clock is told anew.
const CLOCK: u64 = 60;
/// The one event that the tables tell of, as if a contract of ours emitted it.
const MOVED: &str = "Moved(uint256,address,uint256,address)";

/// Tokens as the price table names them: address on Ethereum, name, symbol, decimals.
const TOKENS: [(&str, &str, &str, u8); 9] = [
    ("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "usdc", "USDC", 6),
    ("0xdac17f958d2ee523a2206206994597c13d831ec7", "tether-usdt", "USDT", 6),
    ("0x6b175474e89094c44da98b954eedeac495271d0f", "dai", "DAI", 18),
    ("0x853d955acef822db058eb8505911ed77f175b99e", "frax", "FRAX", 18),
    ("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "weth", "WETH", 18),
    ("0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "wrapped-bitcoin", "WBTC", 8),
    ("0xba8d75baccc4d5c4bd814fde69267213052ea663", "moonbeam", "WGLMR", 18),
    ("0xd417144312dbf50465b1c641d016962017ef6240", "covalent", "CQT", 18),
    ("0x3432b6a60d23ca0dfca7761b7ab56459d9c964d0", "frax-share", "FXS", 18),
];

/// One event: seconds, chain, transaction, log.
type Happened = (u64, ChainId, B256, Log);

/// Blocks made from events.
struct History {
    blocks: Vec<Observation>,
}

impl Source for History {
    fn pieces(&self) -> usize {
        self.blocks.len().div_ceil(PIECE_BLOCKS)
    }

    fn load(&self, at: usize) -> Result<Piece, ReplayError> {
        let blocks = self.blocks.iter().skip(at * PIECE_BLOCKS).take(PIECE_BLOCKS);
        let none = Arc::new(Asked::new());
        let whole =
            |it: &Observation| Loaded::whole(it.clone(), Known::Recorded(Arc::clone(&none)));
        Ok(blocks.map(whole).collect::<Vec<_>>().into())
    }
}

/// The strands of a folder with such tables; thefts are added to `labels`.
///
/// # Errors
/// If a table cannot be read.
pub(super) fn strands(folder: &Path, labels: &mut Labels) -> Result<Vec<Strand>, ReplayError> {
    let plan = plan(&folder.join("nomad/bridge.json"))?;
    let prices = Prices::read(&folder.join("nomad/prices_usd_daily.csv.zst"))?;
    let mut out = Vec::new();
    let both = |file: &str, chain, account, columns| {
        events(&folder.join("nomad").join(file), chain, account, columns)
    };
    let (id, deposit) = (["withdrawal_id", "origin_token"], ["deposit_id", "origin_token"]);
    let mut back = both("moonbeam_withdrawal_requests.csv.zst", MOONBEAM, 0xba, id)?;
    let payouts = folder.join("nomad/eth_withdrawals.csv.zst");
    back.extend(events(&payouts, ETHEREUM, 0xaa, ["withdrawal_id", "dst_token"])?);
    let priced = prices.of(&rows(&payouts)?)?;
    out.push(strand("nomad withdrawals", "nomad/*.csv.zst", &plan, back, priced, true));
    let mut there = both("eth_deposits.csv.zst", ETHEREUM, 0xab, deposit)?;
    there.extend(both("moonbeam_credits.csv.zst", MOONBEAM, 0xbb, ["deposit_id", "dst_token"])?);
    out.push(strand("nomad deposits", "nomad/*.csv.zst", &plan, there, BTreeMap::new(), true));
    let attacks = folder.join("ronin/attacks.csv");
    if attacks.is_file() {
        out.push(thefts(&attacks, &plan, labels)?);
    }
    Ok(out)
}

/// Thefts whose origin side is not recorded: payouts without any request.
fn thefts(path: &Path, plan: &Plan, labels: &mut Labels) -> Result<Strand, ReplayError> {
    let mut events = Vec::new();
    for row in rows(path)? {
        let event =
            event(&row, "dst_timestamp", "dst_transaction_hash", ["withdrawal_id", "dst_token"])?;
        let loss = dollars(row.text("value_usd")?);
        let (incident, class) = ("ronin-2022".to_owned(), "bridge".to_owned());
        labels.add(event.1, Label { incident, class, split: String::new(), loss });
        let log = Log::new_unchecked(Address::with_last_byte(0xaa), event.2, event.3.into());
        events.push((event.0, ETHEREUM, event.1, log));
    }
    Ok(strand("ronin", "ronin/attacks.csv", plan, events, BTreeMap::new(), false))
}

fn strand(
    name: &str,
    source: &str,
    plan: &Plan,
    events: Vec<Happened>,
    priced: BTreeMap<B256, Usd>,
    suspect: bool,
) -> Strand {
    let blocks = blocks(events);
    let times = || blocks.iter().map(|it| it.block.time.0);
    let covers =
        times().max().unwrap_or_default().saturating_sub(times().min().unwrap_or_default());
    let line = StrandLine {
        name: name.to_owned(),
        source: source.to_owned(),
        blocks: blocks.len() as u64,
        covers,
        suspect,
    };
    Strand { line, plan: Some(plan.clone()), priced, source: Box::new(History { blocks }) }
}

/// Each event in a block of its own, in order of time, the other side's clock kept up by empty ones.
fn blocks(mut events: Vec<Happened>) -> Vec<Observation> {
    events.sort_by_key(|it| it.0);
    let mut heads: BTreeMap<u64, (u64, B256, u64)> = BTreeMap::new();
    let mut out = Vec::new();
    let begun = (BEGUN, ETHEREUM, None);
    let events = events.into_iter().map(|(secs, chain, hash, log)| {
        let to = Some(log.address);
        let tx = Tx { hash, to, succeeded: true, logs: vec![log], ..Tx::default() };
        (secs, chain, Some(tx))
    });
    for (secs, chain, tx) in std::iter::once(begun).chain(events) {
        let other = if chain == ETHEREUM { MOONBEAM } else { ETHEREUM };
        let here: Vec<Tx> = tx.into_iter().collect();
        for (chain, txs) in [(other, Vec::new()), (chain, here)] {
            let (number, parent, last) = heads.get(&chain.0).copied().unwrap_or_default();
            // Nothing new can be learnt from an empty block of the same minute.
            if txs.is_empty() && last + CLOCK > secs {
                continue;
            }
            let number = number + 1;
            let hash = keccak256(format!("{chain} {number} {secs}"));
            let time = Timestamp::from_secs(secs);
            heads.insert(chain.0, (number, hash, secs));
            out.push(Observation {
                block: BlockRef { chain, number, hash, parent, time },
                env: BlockEnv::default(),
                stage: Stage::Provisional,
                witnesses: 1,
                txs,
                readings: Readings::default(),
            });
        }
    }
    out
}

fn events(
    path: &Path,
    chain: ChainId,
    account: u8,
    columns: [&str; 2],
) -> Result<Vec<Happened>, ReplayError> {
    let happened = |row: &Row<'_>| {
        let (secs, hash, topics, data) = event(row, "timestamp", "tx_hash", columns)?;
        let log = Log::new_unchecked(Address::with_last_byte(account), topics, data.into());
        Ok::<Happened, ReplayError>((secs, chain, hash, log))
    };
    rows(path)?.iter().map(happened).collect()
}

/// Time, transaction, topics and data of a row.
fn event(
    row: &Row<'_>,
    time: &str,
    hash: &str,
    columns: [&str; 2],
) -> Result<(u64, B256, Vec<B256>, Vec<u8>), ReplayError> {
    let [id, token] = columns;
    let mut data = Vec::with_capacity(128);
    for column in [id, token, "amount", "beneficiary"] {
        data.extend(row.parse::<U256>(column)?.to_be_bytes::<32>());
    }
    Ok((row.parse(time)?, row.parse(hash)?, vec![keccak256(MOVED)], data))
}

/// Dollars with any number of places; what cannot be read has no price.
fn dollars(text: &str) -> Option<Usd> {
    let cut = match text.split_once('.') {
        Some((whole, rest)) => format!("{whole}.{}", rest.get(..6).unwrap_or(rest)),
        None => text.to_owned(),
    };
    format!("{cut} usd").parse::<UsdText>().ok().map(|it| it.0)
}

/// Prices by token name and day.
struct Prices(BTreeMap<(String, String), Usd>);

impl Prices {
    fn read(path: &Path) -> Result<Self, ReplayError> {
        let mut out = BTreeMap::new();
        for row in rows(path)? {
            let key = (row.text("token")?.to_owned(), row.text("date")?.to_owned());
            out.extend(dollars(row.text("price_usd")?).map(|it| (key, it)));
        }
        Ok(Self(out))
    }

    /// What each payout is worth, by transaction; one without a price is left out. Beyond the last recorded day its
    /// price holds.
    fn of(&self, payouts: &[Row<'_>]) -> Result<BTreeMap<B256, Usd>, ReplayError> {
        let mut out: BTreeMap<B256, Usd> = BTreeMap::new();
        for row in payouts {
            let token = row.text("dst_token")?.to_ascii_lowercase();
            let Some((_, name, _, decimals)) = TOKENS.iter().find(|it| it.0 == token) else {
                continue;
            };
            let day = date(row.parse::<u64>("timestamp")?);
            let until = ((*name).to_owned(), day);
            let from = ((*name).to_owned(), String::new());
            let Some((_, price)) = self.0.range(from..=until).next_back() else { continue };
            let worth = Usd::of(row.parse("amount")?, *decimals, *price);
            let sum = out.entry(row.parse("tx_hash")?).or_default();
            *sum = sum.plus(worth);
        }
        Ok(out)
    }
}

/// `2022-07-31` of seconds since the Unix epoch (Hinnant's civil calendar, years from 1970 on).
pub(super) fn date(secs: u64) -> String {
    let days = secs / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The plan for both directions, its token map taken from the recorded configuration.
fn plan(path: &Path) -> Result<Plan, ReplayError> {
    let failed = |it: Box<dyn std::error::Error + Send + Sync>| {
        ReplayError::new(path.display().to_string(), it)
    };
    let json: serde_json::Value =
        serde_json::from_str(&super::csv::text(path)?).map_err(|it| failed(it.into()))?;
    let mapping = json["tokenMapping"].as_array().cloned().unwrap_or_default();
    let pairs = |origin: &str, destination: &str| -> Vec<serde_json::Value> {
        let pair = |it: &serde_json::Value| serde_json::json!({ "origin": it[origin], "destination": it[destination] });
        mapping.iter().map(pair).collect()
    };
    let side = |chain: u64, account: &str| {
        serde_json::json!({
            "account": format!("eip155:{chain}:0x{account:0>40}"),
            "event": "Moved(uint256 id, address token, uint256 amount, address to)",
            "key": ["id"], "asset": "token", "amount": "amount", "recipient": "to",
        })
    };
    let route = |name: &str, origin: serde_json::Value, destination, assets| {
        serde_json::json!({
            "name": name, "delay-min": "30m", "delay-max": "200d", "history-from": BEGUN,
            "origin": origin, "destination": destination, "assets": serde_json::Value::Array(assets),
        })
    };
    let asset = |it: &(&str, &str, &str, u8)| serde_json::json!({ "token": it.0, "symbol": it.2, "decimals": it.3, "price": usual(it.1) });
    let assets: Vec<serde_json::Value> = TOKENS.iter().map(asset).collect();
    let plan = serde_json::json!({
        "version": 1, "name": "bridge history",
        "chains": [{ "id": "eip155:1" }, { "id": "eip155:1284" }],
        "entities": [{
            "id": "bridge", "assets": assets,
            "accounts": [format!("eip155:1:0x{:0>40}", "aa"), format!("eip155:1284:0x{:0>40}", "ba")],
        }],
        "rules": [{ "id": "bridge", "detector": "bridge", "mode": "automatic", "settings": { "routes": [
            route("moonbeam to ethereum", side(1284, "ba"), side(1, "aa"), pairs("target_token", "source_token")),
            route("ethereum to moonbeam", side(1, "ab"), side(1284, "bb"), pairs("source_token", "target_token")),
        ] } }],
        "actions": [{
            "id": "pause-bridge", "rung": "pause-market", "contains": ["bridge"],
            "call": { "via": "direct", "target": format!("eip155:1:0x{:0>40}", "aa"), "function": "pause", "relayer": "relayer" },
            "autonomy": { "level": "act" }, "cost": { "fixed": "200000 usd", "duration": "12h" },
        }],
    });
    serde_json::from_value(plan).map_err(|it| failed(it.into()))
}

/// Round prices for the rule, which weighs; what is told in money is priced by day.
fn usual(name: &str) -> &'static str {
    match name {
        "weth" => "2000 usd",
        "wrapped-bitcoin" => "30000 usd",
        "frax-share" => "10 usd",
        "covalent" => "0.1 usd",
        _ => "1 usd",
    }
}

#[cfg(test)]
mod tests {
    use super::{date, dollars};

    #[test]
    fn days_are_those_of_the_calendar_and_prices_keep_micro_dollars() {
        let days = [0, 951_782_400, 1_659_311_999, 1_659_312_000].map(date);
        assert_eq!(days, ["1970-01-01", "2000-02-29", "2022-07-31", "2022-08-01"]);
        assert_eq!(dollars("539884275.75041234").map(|it| it.0), Some(539_884_275_750_412));
        assert_eq!(dollars("n/a"), None);
    }
}
