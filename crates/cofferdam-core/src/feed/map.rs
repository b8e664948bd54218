//! From somebody else's format to reports, by the pointers of the plan.

use alloy_primitives::{Address, B256};
use serde_json::Value;

use super::{FeedError, LIST_MAX, REPORTS_MAX, Report};
use crate::{
    ChainId, Evidence, Severity, Usd,
    chain::parse_address,
    plan::{FeedMap, UsdText},
};

/// The reports in `message` that are about something `watched`.
pub(super) fn reports(
    map: &FeedMap,
    rule: &str,
    message: &Value,
    watched: impl Fn(ChainId, Address) -> bool,
) -> Result<Vec<Report>, FeedError> {
    let items = match &map.each {
        None => std::slice::from_ref(message),
        Some(pointer) => {
            let found = message.pointer(pointer).and_then(Value::as_array);
            found.ok_or_else(|| wrong("findings", pointer, "there is no list"))?
        }
    };
    if items.len() > REPORTS_MAX {
        return Err(FeedError::TooLarge { what: format!("{} findings", items.len()) });
    }
    let mut out = Vec::new();
    for item in items.iter().filter(|it| wanted(map, it)) {
        out.extend(report(map, rule, item, &watched)?);
    }
    Ok(out)
}

fn wanted(map: &FeedMap, item: &Value) -> bool {
    map.only.iter().all(|only| {
        let found = item.pointer(&only.at).and_then(word);
        found.is_some_and(|it| only.is.contains(&it))
    })
}

fn report(
    map: &FeedMap,
    rule: &str,
    item: &Value,
    watched: impl Fn(ChainId, Address) -> bool,
) -> Result<Option<Report>, FeedError> {
    let chain = chain(map, item)?;
    let named = map.subjects.iter().filter_map(|it| item.pointer(it));
    let Some(subject) = named.flat_map(addresses).find(|it| watched(chain, *it)) else {
        return Ok(None);
    };
    let text = |pointer: &Option<String>| item.pointer(pointer.as_deref()?).and_then(word);
    let actors = map.actors.iter().filter_map(|it| item.pointer(it)).flat_map(addresses);
    let evidence = map.evidence.iter().filter_map(|(label, pointer)| {
        Some(Evidence::new(label.clone(), item.pointer(pointer).and_then(word)?))
    });
    Ok(Some(Report {
        chain,
        subject,
        summary: text(&map.summary).unwrap_or_else(|| format!("reported to {rule}")),
        severity: severity(map, item)?,
        block: hash("block", &map.block, item)?,
        tx: hash("transaction", &map.tx, item)?,
        actors: actors.take(LIST_MAX).collect(),
        llr_millinats: None,
        loss: loss(map, item)?,
        evidence: evidence.collect(),
    }))
}

fn chain(map: &FeedMap, item: &Value) -> Result<ChainId, FeedError> {
    let Some(pointer) = &map.chain else {
        return map.chain_is.ok_or_else(|| wrong("chain", "", "the plan names none"));
    };
    let found = item.pointer(pointer).and_then(word);
    let found = found.ok_or_else(|| wrong("chain", pointer, "there is none"))?;
    let number = match found.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => found.parse().ok(),
    };
    let known = number.map(ChainId).or_else(|| found.parse().ok());
    known.ok_or_else(|| wrong("chain", pointer, "it is neither a number nor CAIP-2"))
}

/// A part that is absent or null is left out; one that is no hash is an error.
fn hash(
    part: &'static str,
    pointer: &Option<String>,
    item: &Value,
) -> Result<Option<B256>, FeedError> {
    let Some(pointer) = pointer else { return Ok(None) };
    let Some(found) = item.pointer(pointer).filter(|it| !it.is_null()) else { return Ok(None) };
    let parsed = found.as_str().filter(|it| !it.is_empty()).map(str::parse::<B256>);
    match parsed {
        None if found.as_str() == Some("") => Ok(None),
        Some(Ok(hash)) => Ok(Some(hash)),
        _ => Err(wrong(part, pointer, "it is not a hash of 32 bytes")),
    }
}

fn severity(map: &FeedMap, item: &Value) -> Result<Option<Severity>, FeedError> {
    let Some(pointer) = &map.severity else { return Ok(None) };
    let Some(found) = item.pointer(pointer).and_then(word) else { return Ok(None) };
    let same = |it: &&String| it.eq_ignore_ascii_case(&found);
    let known = map.severities.keys().find(same).and_then(|it| map.severities.get(it));
    match known {
        Some(it) => Ok(Some(*it)),
        None => Err(wrong("severity", pointer, "the plan's `severities` do not translate it")),
    }
}

fn loss(map: &FeedMap, item: &Value) -> Result<Option<Usd>, FeedError> {
    let Some(pointer) = &map.loss_usd else { return Ok(None) };
    let Some(found) = item.pointer(pointer).and_then(word) else { return Ok(None) };
    // Cents of cents are noise; a plan's amounts have at most six decimals.
    let (whole, part) = found.split_once('.').unwrap_or((&found, "0"));
    let part: String = part.chars().take(6).collect();
    let amount = format!("{whole}.{part} usd").parse::<UsdText>();
    amount.map(|it| Some(it.0)).map_err(|it| wrong("loss", pointer, &it.to_string()))
}

/// A text or number as text.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(it) => Some(it.clone()),
        Value::Number(it) => Some(it.to_string()),
        Value::Bool(it) => Some(it.to_string()),
        _ => None,
    }
}

/// The addresses in a text, a list, or the keys of a table. Anything else is none.
fn addresses(value: &Value) -> Vec<Address> {
    let of = |it: &str| parse_address(it).ok();
    match value {
        Value::String(it) => of(it).into_iter().collect(),
        Value::Array(items) => items.iter().filter_map(|it| of(it.as_str()?)).collect(),
        Value::Object(items) => items.keys().filter_map(|it| of(it)).collect(),
        _ => Vec::new(),
    }
}

fn wrong(part: &'static str, pointer: &str, because: &str) -> FeedError {
    FeedError::Part { part, pointer: pointer.to_owned(), because: because.to_owned() }
}
