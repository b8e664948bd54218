//! Ordinary mainnet blocks with their most active asset-holding contracts protected.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use alloy_primitives::Address;
use cofferdam_core::{Fact, Finding, Observation, Severity, snapshot::Snapshot};
use cofferdam_observe::recorded::{MainnetBlocks, load_block_index};
use cofferdam_sim::{ExecuteOptions, Rules, execute_block};
use serde::Serialize;

use super::{
    Orders, ReplayError, Seen, plan, seen, state_after,
    watcher::{Watcher, World},
};

/// Contracts protected per block: the most active ones that hold assets.
pub(super) const PROTECTED_PER_BLOCK: usize = 50;

/// Tokens whose decimals and price everybody knows: address, symbol, decimals, price.
const KNOWN: [(&str, &str, u8, &str); 5] = [
    ("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "WETH", 18, "2000 usd"),
    ("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "USDC", 6, "1 usd"),
    ("0xdac17f958d2ee523a2206206994597c13d831ec7", "USDT", 6, "1 usd"),
    ("0x6b175474e89094c44da98b954eedeac495271d0f", "DAI", 18, "1 usd"),
    ("0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "WBTC", 8, "30000 usd"),
];

/// Whether `token` is one of [`KNOWN`].
pub(super) fn is_known(token: &Address) -> bool {
    KNOWN.iter().any(|it| it.0 == format!("{token:#x}"))
}

/// One block.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BlockLine {
    /// Height.
    pub number: u64,
    /// Its time, in seconds since the Unix epoch.
    pub time: u64,
    /// How many transactions.
    pub txs: usize,
    /// How many contracts were protected.
    pub protected: usize,
    /// Whether re-execution equals the header; `None` if it cannot be executed.
    pub executed: Option<bool>,
    /// Findings by severity.
    pub findings: BTreeMap<Severity, u32>,
    /// Everything that was found.
    #[serde(skip)]
    pub seen: Vec<Seen>,
    /// The critical ones: false alarms.
    pub alarms: Vec<Seen>,
    /// Automatic orders.
    pub orders: Orders,
}

/// Replays every block of `data` under the generic plan.
///
/// # Errors
/// If a file cannot be read or a block cannot be executed at all.
pub fn benign(data: &Path) -> Result<Vec<BlockLine>, ReplayError> {
    let folder = data.join("mainnet-blocks");
    let blocks =
        MainnetBlocks::open(&folder).map_err(|it| ReplayError::new("mainnet-blocks", it))?;
    let index = load_block_index(&folder.join("index.csv"));
    let mut out = Vec::new();
    for row in index.map_err(|it| ReplayError::new("mainnet-blocks/index.csv", it))? {
        let what = format!("block {}", row.number);
        let recorded = blocks.load(row.number).map_err(|it| ReplayError::new(what.clone(), it))?;
        let rules = Rules::mainnet();
        let options = ExecuteOptions { rules: rules.clone() };
        let executed = execute_block(&recorded.observation, &recorded.state, &options);
        let executed = executed.map_err(|it| ReplayError::new(what, it))?;
        let mut block = executed.observation;
        block.decode_facts();
        let entities = most_active(&block, &recorded.state);
        let (txs, protected) = (block.txs.len(), entities.len());
        let plan = plan(1, serde_json::Value::Array(entities), &serde_json::Map::new())?;
        let time = block.block.time.0 / 1_000;
        let after = state_after(&recorded.state, &block.txs);
        let mut watcher = Watcher::new(plan, World::Chain(&rules))?;
        let found = watcher.see(block, &recorded.state, &after)?;
        let executed = Some(executed.difference.is_none());
        let number = row.number;
        let line = BlockLine { number, time, txs, protected, executed, ..BlockLine::default() };
        out.push(line.with(&found, watcher.orders()));
    }
    Ok(out)
}

/// The contracts that most transactions move value through, each with the tokens it was seen to hold.
pub(crate) fn most_active(block: &Observation, state: &Snapshot) -> Vec<serde_json::Value> {
    let mut counts: BTreeMap<Address, u32> = BTreeMap::new();
    let mut tokens: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for tx in &block.txs {
        let mut met = BTreeSet::new();
        for fact in &tx.facts {
            match fact {
                Fact::Transfer { token, from, to, .. } => {
                    for party in [*from, *to] {
                        met.insert(party);
                        tokens.entry(party).or_default().insert(*token);
                    }
                }
                Fact::NativeTransfer { from, to, .. } => met.extend([*from, *to]),
                _ => {}
            }
        }
        for it in met {
            *counts.entry(it).or_insert(0) += 1;
        }
    }
    let holds_code =
        |it: &Address| state.accounts.get(it).is_some_and(|it| !it.state.code.is_empty());
    let mut ranked: Vec<_> = counts.into_iter().filter(|(it, _)| holds_code(it)).collect();
    ranked.sort_by_key(|(it, count)| (std::cmp::Reverse(*count), *it));
    ranked.truncate(PROTECTED_PER_BLOCK);
    ranked.iter().enumerate().map(|(index, (it, _))| entity(index, *it, tokens.get(it))).collect()
}

/// Ether at 2,000 dollars, and every token it was seen with at one dollar and 18 decimals, unless it is
/// one of the few whose decimals and price everybody knows.
pub(super) fn entity(
    index: usize,
    account: Address,
    tokens: Option<&BTreeSet<Address>>,
) -> serde_json::Value {
    let asset = |token: &str, symbol: &str, decimals: u8, price: &str| serde_json::json!({ "token": token, "symbol": symbol, "decimals": decimals, "price": price });
    let mut assets = vec![asset("native", "ETH", 18, "2000 usd")];
    assets.extend(KNOWN.iter().map(|it| asset(it.0, it.1, it.2, it.3)));
    for token in tokens.into_iter().flatten() {
        let token = format!("{token:#x}");
        if KNOWN.iter().all(|it| it.0 != token) {
            assets.push(asset(&token, "token", 18, "1 usd"));
        }
    }
    serde_json::json!({ "id": format!("contract-{index}"), "accounts": [format!("eip155:1:{account:#x}")], "assets": assets })
}

impl BlockLine {
    /// The line with what was found.
    pub(super) fn with(mut self, found: &[Finding], orders: Orders) -> Self {
        for it in found {
            *self.findings.entry(it.severity).or_insert(0) += 1;
        }
        self.seen = seen(found);
        let critical = self.seen.iter().filter(|it| it.severity == Severity::Critical);
        self.alarms = critical.cloned().collect();
        Self { orders, ..self }
    }

    /// How many critical findings there are.
    pub fn critical(&self) -> u32 {
        self.findings.get(&Severity::Critical).copied().unwrap_or(0)
    }
}
