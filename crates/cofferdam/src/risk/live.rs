//! A book read from a chain: an adapter's questions answered at one block.
//!
//! **Invariant:** every answer belongs to the same block, by hash; one that is missing ends the reading.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    BlockRef, Timestamp,
    ports::{Cause, StateReader},
    read::Answer,
};
use cofferdam_positions::{ADAPTERS, Adapter, Price, Request, Snapshot, adapter, take_snapshot};
use cofferdam_risk::book::PoolBook;
use serde::{Deserialize, Serialize};

/// What to read, as a person writes it: JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The adapter.
    adapter: String,
    /// The protocol's main contract, as the adapter's page says.
    contract: Address,
    /// A second contract, where its page asks for one.
    #[serde(default)]
    helper: Address,
    /// Accounts to read.
    #[serde(default)]
    holders: Vec<Address>,
    /// Position, account or vault numbers, where its page asks for them.
    #[serde(default)]
    ids: Vec<U256>,
    /// Prices of tokens that the protocol itself does not price.
    #[serde(default)]
    prices: BTreeMap<Address, Price>,
    /// Volatility per square-root year that options are valued at until quotes are known.
    #[serde(default)]
    vol: f64,
    /// The token whose book is made.
    underlying: Address,
    /// Name of the book; the adapter's if absent.
    name: Option<String>,
}

/// What was read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Reading {
    /// The block.
    pub(crate) block: BlockRef,
    /// As the adapter understood it.
    pub(crate) snapshot: Snapshot,
    /// Collateral at its factors over debt, by account that owes.
    pub(crate) health: BTreeMap<String, f64>,
    /// For the other views.
    pub(crate) book: PoolBook,
}

/// There is no such adapter.
#[derive(Debug, thiserror::Error)]
#[error("there is no adapter `{name}`: there are {known}")]
pub(crate) struct NoAdapter {
    name: String,
    known: String,
}

/// Reads what is wanted at a block; `now` dates it. Blocks the calling thread, which must be of a runtime with several.
///
/// # Errors
/// JSON that is not a request, an unknown adapter, or an answer that is missing or cannot be.
pub(crate) fn read(
    wanted: &str,
    reader: &dyn StateReader,
    block: BlockRef,
    now: Timestamp,
) -> Result<Reading, Cause> {
    let wanted: Wanted = serde_json::from_str(wanted)?;
    let known = || ADAPTERS.iter().map(|it| it.id()).collect::<Vec<_>>().join(", ");
    let chosen: &dyn Adapter = adapter(&wanted.adapter)
        .ok_or_else(|| NoAdapter { name: wanted.adapter.clone(), known: known() })?;
    let request = Request {
        contract: wanted.contract,
        helper: wanted.helper,
        holders: wanted.holders,
        ids: wanted.ids,
        prices: wanted.prices,
        vol: wanted.vol,
        now: block.time.0 / 1_000,
    };
    let runtime = tokio::runtime::Handle::current();
    let mut fault = None;
    let snapshot = take_snapshot(chosen, &request, |reads| {
        let answers = tokio::task::block_in_place(|| runtime.block_on(reader.read(&block, reads)));
        answers.unwrap_or_else(|error| {
            fault = Some(error);
            vec![Answer::Unavailable; reads.len()]
        })
    });
    // What the network said explains more than the question that went unanswered.
    let snapshot = match (snapshot, fault) {
        (Ok(it), _) => it,
        (Err(_), Some(fault)) => return Err(fault.into()),
        (Err(error), None) => return Err(error.into()),
    };
    let mut health = BTreeMap::new();
    for holder in &snapshot.holders {
        if let Some(it) = snapshot.health(holder)? {
            health.insert(holder.id.clone(), it);
        }
    }
    let name = wanted.name.as_deref().unwrap_or(snapshot.adapter);
    let mut book = snapshot.book(wanted.underlying, name)?;
    book.market.block = Some(block.number);
    book.market.chain_age_ms = now.0.saturating_sub(block.time.0);
    // The protocol's own prices are as old as its state; a price given by hand is no younger.
    book.market.index_age_ms = book.market.chain_age_ms;
    Ok(Reading { block, snapshot, health, book })
}

/// For the terminal.
pub(crate) fn text(it: &Reading) -> String {
    let mut out = format!(
        "{} at block {} of {}: {} accounts, {} instruments, {:.2} USD per unit of {}\n",
        it.book.pool,
        it.block.number,
        it.block.chain,
        it.book.accounts.len(),
        it.book.instruments.len(),
        it.book.market.index,
        it.book.asset,
    );
    for (holder, health) in &it.health {
        let mark = if *health < 1.0 { "  ‼ may be liquidated" } else { "" };
        out.push_str(&format!("health {health:>8.3}  {holder}{mark}\n"));
    }
    for warning in &it.snapshot.warnings {
        out.push_str(&format!("‼ {warning}\n"));
    }
    out.push_str(&format!("under water: {}\n", it.snapshot.backstop.order));
    out
}
