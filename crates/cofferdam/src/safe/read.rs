//! A Safe's state at one block, as evidence.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_signing::{
    Case, Evidence, Policy, Proposal,
    abi::{Function, Value, decode},
    collect::Signers,
    evidence::{
        Change, History, SLOT_FALLBACK, SLOT_GUARD, SLOT_MODULE_GUARD, SLOT_SINGLETON, SafeState,
    },
    exec,
};
use serde::Deserialize;
use serde_json::json;

use super::{Head, Node, NodeError, simulate};

/// Blocks of a Safe's history that are looked at: a week of mainnet.
const HISTORY_BLOCKS: u64 = 50_400;
/// Most modules read.
const MODULES_MAX: u64 = 100;
/// The events of a changed configuration.
const CHANGES: [(&str, &str); 9] = [
    ("AddedOwner(address)", "owner added"),
    ("RemovedOwner(address)", "owner removed"),
    ("ChangedThreshold(uint256)", "threshold changed to"),
    ("EnabledModule(address)", "module enabled"),
    ("DisabledModule(address)", "module disabled"),
    ("ChangedGuard(address)", "guard changed to"),
    ("ChangedModuleGuard(address)", "module guard changed to"),
    ("ChangedFallbackHandler(address)", "fallback handler changed to"),
    ("ChangedMasterCopy(address)", "code changed to"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    topics: Vec<B256>,
    data: Bytes,
    block_number: alloy_primitives::U64,
}

/// Everything a card needs to know from the chain, at the newest block. `simulated` leaves the simulations out if false.
///
/// # Errors
/// If the chain cannot be asked, or there is no Safe. Parts that a card can do without knowing only by refusing are left
/// out.
pub async fn evidence(
    node: &Node,
    proposal: &Proposal,
    policy: Option<&Policy>,
    simulated: bool,
) -> Result<Evidence, NodeError> {
    let head = node.head().await?;
    let at = head.block.hash;
    let state = state(node, at, proposal.safe).await?;
    let hash = exec::get_transaction_hash(&proposal.transaction).unwrap_or_default();
    let own_hash = node.call(at, proposal.safe, &hash).await.ok();
    let now = head.block.time;
    let case = Case { proposal, policy, evidence: None, registry: None, now };
    let calls = case.calls();
    let mut accounts: BTreeSet<Address> = calls.walk().iter().map(|it| it.to).collect();
    accounts.extend(policy.into_iter().flat_map(|it| it.delegates.iter().map(|it| it.address)));
    let mut codes = BTreeMap::new();
    for account in accounts {
        if let Ok(code) = node.code(at, account).await {
            codes.insert(account, keccak256(code));
        }
    }
    let mut delays = BTreeMap::new();
    for delay in policy.map(|it| it.delays.as_slice()).unwrap_or_default() {
        let data = exec::call(&delay.read, &[]).unwrap_or_default();
        let answer = node.call(at, delay.address, &data).await.ok();
        let seconds = answer.and_then(|it| U256::try_from_be_slice(&it));
        delays.insert(delay.address, seconds.and_then(|it| u64::try_from(it).ok()));
    }
    let simulations = if simulated {
        simulate::simulations(node, &head, proposal, &state).await
    } else {
        Vec::new()
    };
    Ok(Evidence {
        chain: head.block.chain,
        safe: proposal.safe,
        block: head.block.number,
        block_hash: at,
        time: head.block.time,
        source: node.label().to_owned(),
        state,
        own_hash: own_hash.and_then(|it| B256::try_from(it.as_ref()).ok()),
        codes,
        delays,
        history: history(node, &head, proposal.safe).await.ok(),
        simulations,
    })
}

/// Owners and threshold of the Safe at `safe`, at the newest block.
///
/// # Errors
/// If it cannot be asked, or is no Safe.
pub async fn signers(node: &Node, safe: Address) -> Result<Signers, NodeError> {
    let head = node.head().await?;
    let state = state(node, head.block.hash, safe).await?;
    Ok(Signers { owners: state.owners, threshold: state.threshold })
}

/// Which owners have called `approveHash`.
///
/// # Errors
/// If the Safe cannot be asked.
pub async fn approvals(
    node: &Node,
    safe: Address,
    hash: B256,
    owners: &[Address],
) -> Result<BTreeSet<Address>, NodeError> {
    let at = node.head().await?.block.hash;
    let mut out = BTreeSet::new();
    for owner in owners {
        let values = [Value::Address(*owner), Value::FixedBytes(hash.to_vec())];
        let one = read(node, at, safe, "approvedHashes(address,bytes32)", &values, "uint256 x");
        if let [Value::Uint(it)] = one.await?.as_slice()
            && !it.is_zero()
        {
            out.insert(*owner);
        }
    }
    Ok(out)
}

async fn read(
    node: &Node,
    at: B256,
    to: Address,
    signature: &str,
    values: &[Value],
    returns: &str,
) -> Result<Vec<Value>, NodeError> {
    let malformed = || NodeError::Malformed {
        label: node.label().to_owned(),
        what: "answer of a Safe (is there one at this address?)",
    };
    let data = exec::call(signature, values).map_err(|_| malformed())?;
    let answer = node.call(at, to, &data).await?;
    let shape = Function::parse(&format!("f({returns})")).map_err(|_| malformed())?;
    decode(&shape.inputs, &answer).map_err(|_| malformed())
}

async fn state(node: &Node, at: B256, safe: Address) -> Result<SafeState, NodeError> {
    let malformed = || NodeError::Malformed {
        label: node.label().to_owned(),
        what: "answer of a Safe (is there one at this address?)",
    };
    let one = async |signature: &str, returns: &str| {
        let values = read(node, at, safe, signature, &[], returns).await?;
        values.into_iter().next().ok_or_else(malformed)
    };
    let Value::String(version) = one("VERSION()", "string x").await? else {
        return Err(malformed());
    };
    let Value::Uint(threshold) = one("getThreshold()", "uint256 x").await? else {
        return Err(malformed());
    };
    let Value::Uint(nonce) = one("nonce()", "uint256 x").await? else { return Err(malformed()) };
    let Value::List(owners) = one("getOwners()", "address[] x").await? else {
        return Err(malformed());
    };
    let addresses = |list: Vec<Value>| -> Option<Vec<Address>> {
        let one = |it| if let Value::Address(it) = it { Some(it) } else { None };
        list.into_iter().map(one).collect()
    };
    let first = [Value::Address(Address::with_last_byte(1)), Value::Uint(U256::from(MODULES_MAX))];
    let signature = "getModulesPaginated(address,uint256)";
    let page = read(node, at, safe, signature, &first, "address[] x, address next").await?;
    let [Value::List(modules), Value::Address(next)] = page.as_slice() else {
        return Err(malformed());
    };
    // More modules than can be shown are as bad as unknown ones.
    if *next != Address::with_last_byte(1) && !next.is_zero() {
        return Err(malformed());
    }
    let slot = async |slot: B256| node.slot(at, safe, slot).await.map(Address::from_word);
    let singleton = slot(SLOT_SINGLETON).await?;
    Ok(SafeState {
        version,
        singleton,
        singleton_code: keccak256(node.code(at, singleton).await?),
        owners: addresses(owners).ok_or_else(malformed)?,
        threshold,
        nonce,
        guard: slot(SLOT_GUARD).await?,
        module_guard: slot(SLOT_MODULE_GUARD).await?,
        fallback_handler: slot(SLOT_FALLBACK).await?,
        modules: addresses(modules.clone()).ok_or_else(malformed)?,
    })
}

async fn history(node: &Node, head: &Head, safe: Address) -> Result<History, NodeError> {
    let from_block = head.block.number.saturating_sub(HISTORY_BLOCKS);
    let topics: Vec<B256> = CHANGES.iter().map(|it| keccak256(it.0)).collect();
    let filter = json!([{
        "address": safe,
        "fromBlock": format!("{from_block:#x}"),
        "toBlock": format!("{:#x}", head.block.number),
        "topics": [topics],
    }]);
    let logs: Vec<Log> = node.ask("eth_getLogs", filter).await?;
    let change = |log: Log| {
        let topic = log.topics.first()?;
        let (signature, phrase) = CHANGES.iter().find(|it| keccak256(it.0) == *topic)?;
        let word = log.topics.get(1).copied().or_else(|| B256::try_from(log.data.as_ref()).ok())?;
        let value = if signature.contains("uint256") {
            U256::from_be_bytes(word.0).to_string()
        } else {
            Address::from_word(word).to_string()
        };
        Some(Change { block: log.block_number.to(), what: format!("{phrase} {value}") })
    };
    Ok(History { from_block, changes: logs.into_iter().filter_map(change).collect() })
}
