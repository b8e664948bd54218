//! Honest but aggressive transactions: blocks with liquidations, arbitrage, sandwiches and flash loans,
//! recorded as call trees without logs or state.
//!
//! **Invariant:** transfers are read off the calls that ask for them, since there are no logs; holdings
//! are unknown, so that a loss is judged by its size alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use alloy_primitives::{Address, B256, Log, U256, b256, hex};
use cofferdam_core::{
    ChainId, Observation, Tx,
    snapshot::Snapshot,
    tx::{CallKind, Frame},
};
use cofferdam_observe::recorded::load_parity_block;
use cofferdam_sim::Rules;

use super::{
    BlockLine, ReplayError,
    benign::{PROTECTED_PER_BLOCK, entity, is_known},
    plan,
    watcher::{Watcher, World},
};

/// `Transfer(address,address,uint256)`
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `transfer(address,uint256)`
const SEND: [u8; 4] = hex!("a9059cbb");
/// `transferFrom(address,address,uint256)`
const PULL: [u8; 4] = hex!("23b872dd");

/// Replays every such block of `data` under the generic plan.
///
/// # Errors
/// If a file cannot be read.
pub fn odd(data: &Path) -> Result<Vec<BlockLine>, ReplayError> {
    let folder = data.join("mev-inspect-blocks/blocks");
    let failed = |it| ReplayError::new("mev-inspect-blocks", it);
    let entries = std::fs::read_dir(&folder).map_err(failed)?;
    let mut files = Vec::new();
    for it in entries {
        files.push(it.map_err(failed)?.path());
    }
    files.sort();
    let mut out = Vec::new();
    for file in files {
        let what = file.display().to_string();
        let block = load_parity_block(&file, ChainId(1));
        let mut block = block.map_err(|it| ReplayError::new(what, it))?;
        for tx in &mut block.txs {
            tx.logs = transfers(tx);
        }
        block.decode_facts();
        let entities = busiest(&block);
        let (number, txs, protected) = (block.block.number, block.txs.len(), entities.len());
        let plan = plan(1, serde_json::Value::Array(entities), &serde_json::Map::new())?;
        let (rules, unknown) = (Rules::mainnet(), Snapshot::default());
        let mut watcher = Watcher::new(plan, World::Chain(&rules))?;
        let found = watcher.see(block, &unknown, &unknown)?;
        let line = BlockLine { number, txs, protected, ..BlockLine::default() };
        out.push(line.with(&found, watcher.orders()));
    }
    Ok(out)
}

/// The transfers that calls asked for and got.
pub(crate) fn transfers(tx: &Tx) -> Vec<Log> {
    let asked = tx.calls().filter(|it| it.kind == CallKind::Call).filter_map(|it| {
        let (from, to, amount) = match it.selector()? {
            SEND => (it.from.into_word(), word(it, 0)?, word(it, 1)?),
            PULL => (word(it, 0)?, word(it, 1)?, word(it, 2)?),
            _ => return None,
        };
        let data = amount.to_vec().into();
        Some(Log::new_unchecked(it.to, vec![TRANSFER, from, to], data))
    });
    asked.collect()
}

fn word(frame: &Frame, index: usize) -> Option<B256> {
    let start = 4 + 32 * index;
    frame.input.get(start..start + 32).map(|it| B256::from(U256::from_be_slice(it)))
}

/// The contracts that most transactions call, of those that moved no token but the few whose price
/// everybody knows: for any other a plan would hold a price, and the recording holds none.
pub(crate) fn busiest(block: &Observation) -> Vec<serde_json::Value> {
    let mut counts: BTreeMap<Address, u32> = BTreeMap::new();
    let mut tokens: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for tx in &block.txs {
        let called = tx.calls().filter(|it| !it.input.is_empty()).map(|it| it.to);
        for it in called.collect::<BTreeSet<_>>() {
            *counts.entry(it).or_default() += 1;
        }
        for log in &tx.logs {
            for party in log.topics().iter().skip(1) {
                tokens.entry(Address::from_word(*party)).or_default().insert(log.address);
            }
        }
    }
    let priced = |it: &Address| tokens.get(it).is_none_or(|it| it.iter().all(is_known));
    let mut ranked: Vec<_> = counts.into_iter().filter(|it| priced(&it.0)).collect();
    ranked.sort_by_key(|(it, count)| (std::cmp::Reverse(*count), *it));
    ranked.truncate(PROTECTED_PER_BLOCK);
    ranked.iter().enumerate().map(|(at, (it, _))| entity(at, *it, None)).collect()
}
