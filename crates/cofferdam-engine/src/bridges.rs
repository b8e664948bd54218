//! Notes about bridge messages: what each chain saw of them, kept as memos of that chain.
//!
//! **Invariant:** a note is written by a block of the chain it tells of, and by nothing else, so that
//! undoing the block undoes it; what both chains say together is worked out anew each time.
//!
//! A route's notes: `since` when its origin was first watched; `s/KEY` a message sent; `p/KEY` where it was
//! first paid; `w/TIME/KEY/…` a payment that may still be judged otherwise; `x/TIME/…` what is to be
//! forgotten when.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::{BlockRef, Class, Finding, Severity, Timestamp, plan::Plan, record::Memo};
use cofferdam_detect::bridge::{Crossing, End, Known, Paid, Route, Sent, Verdict};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::state::{ChainView, State};

/// Prefix of the notes.
const BRIDGE_KEY: &str = "engine/bridge/";
/// Notes that one block forgets at most, per route: the work of a block stays bounded.
const FORGOTTEN_PER_BLOCK_MAX: usize = 256;
/// Payments of a route that wait for its origin chain; the oldest beyond it are told and given up.
const WAITING_MAX: usize = 10_000;
/// Messages of a route that are remembered; the oldest beyond it are forgotten, and payments whose
/// message may be among them are unknown.
const MESSAGES_MAX: usize = 200_000;

/// Where a message was first paid.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct First {
    tx: B256,
    log: u32,
}

/// What a block on one chain has to note, beside findings about payments that are given up.
pub(crate) struct Notes {
    pub(crate) memos: Vec<(String, Memo)>,
    pub(crate) given_up: Vec<Finding>,
}

fn key(route: &Route, rest: std::fmt::Arguments<'_>) -> String {
    format!("{BRIDGE_KEY}{}/{rest}", route.id)
}

fn read<T: DeserializeOwned>(view: Option<&ChainView>, key: &str) -> Option<T> {
    view?.memos.get(key).and_then(|it| T::deserialize(it).ok())
}

/// The notes whose key begins with `prefix`, in order.
fn range<'a>(view: &'a ChainView, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Memo)> {
    let from = view.memos.range(prefix.to_owned()..);
    from.take_while(move |it| it.0.starts_with(prefix))
}

/// What `block` with these crossings adds to and takes from the notes of its chain.
pub(crate) fn notes(
    routes: &[Route],
    plan: &Plan,
    state: &State,
    block: &BlockRef,
    crossings: Vec<Crossing>,
) -> Notes {
    let empty = ChainView::default();
    let view = state.chains.get(&block.chain.0).unwrap_or(&empty);
    let mut memos = BTreeMap::new();
    let mut given_up = Vec::new();
    for route in routes {
        if route.origin == block.chain {
            begin(route, view, block, &mut memos);
        }
        if route.destination == block.chain {
            settle(route, plan, state, view, &mut memos, &mut given_up);
        }
        if route.origin == block.chain || route.destination == block.chain {
            forget(route, view, block, &mut memos);
        }
    }
    for it in crossings {
        if let Some(route) = routes.iter().find(|route| route.id == it.route) {
            add(route, view, it, &mut memos);
        }
    }
    Notes { memos: memos.into_iter().collect(), given_up }
}

fn begin(route: &Route, view: &ChainView, block: &BlockRef, memos: &mut BTreeMap<String, Memo>) {
    let since = key(route, format_args!("since"));
    if !view.memos.contains_key(&since) {
        memos.insert(since, Memo::from(block.time.0));
    }
}

fn add(route: &Route, view: &ChainView, it: Crossing, memos: &mut BTreeMap<String, Memo>) {
    let mut note = |key: String, memo: Result<Memo, serde_json::Error>| {
        // The first of one key stays: nobody takes a message's place.
        let known = view.memos.contains_key(&key) || memos.contains_key(&key);
        if let (false, Ok(memo)) = (known, memo) {
            memos.insert(key, memo);
        }
    };
    match it.end {
        End::Sent(sent) => {
            note(
                key(route, format_args!("x/{:016x}/s/{:x}", sent.at.0, it.key)),
                Ok(Memo::Bool(true)),
            );
            note(key(route, format_args!("s/{:x}", it.key)), serde_json::to_value(sent));
        }
        End::Paid(paid) => {
            let first = First { tx: paid.finding.tx.unwrap_or_default(), log: paid.log };
            let place = format!("{:x}/{:x}/{}", it.key, first.tx, first.log);
            note(
                key(route, format_args!("x/{:016x}/p/{:x}", paid.at.0, it.key)),
                Ok(Memo::Bool(true)),
            );
            note(key(route, format_args!("p/{:x}", it.key)), serde_json::to_value(first));
            note(
                key(route, format_args!("w/{:016x}/{place}", paid.at.0)),
                serde_json::to_value(paid),
            );
        }
    }
}

/// Forgets what is older than a message may be, and the oldest if there are too many.
fn forget(route: &Route, view: &ChainView, block: &BlockRef, memos: &mut BTreeMap<String, Memo>) {
    // Twice, so that a payment at the last moment still meets its message when the clocks differ.
    let oldest = block.time.0.saturating_sub(route.delay_max.saturating_mul(2));
    let prefix = key(route, format_args!("x/"));
    let (old, all) = (format!("{prefix}{oldest:016x}"), view.memos.len());
    let mut over = 0;
    if all > MESSAGES_MAX {
        over = range(view, &prefix).count().saturating_sub(MESSAGES_MAX);
    }
    let gone = range(view, &prefix).enumerate();
    let gone = gone.take_while(|(at, it)| *at < over || *it.0 < old).take(FORGOTTEN_PER_BLOCK_MAX);
    for (at, (index, _)) in gone {
        let Some((time, note)) = index.strip_prefix(&prefix).and_then(|it| it.split_once('/'))
        else {
            continue;
        };
        memos.insert(index.clone(), Memo::Null);
        memos.insert(key(route, format_args!("{note}")), Memo::Null);
        if at < over
            && route.origin == block.chain
            && let Ok(time) = u64::from_str_radix(time, 16)
        {
            memos.insert(key(route, format_args!("since")), Memo::from(time.saturating_add(1)));
        }
    }
}

/// Payments whose verdict no reorganisation of the origin can change any more wait no longer.
fn settle(
    route: &Route,
    plan: &Plan,
    state: &State,
    view: &ChainView,
    memos: &mut BTreeMap<String, Memo>,
    given_up: &mut Vec<Finding>,
) {
    let prefix = key(route, format_args!("w/"));
    let origin = plan.chains.iter().find(|it| it.id == route.origin);
    let window = origin.map_or(0, |it| it.reorg_blocks_max.saturating_mul(it.block_time.0));
    let head = state.head(route.origin).map_or(Timestamp(0), |it| it.time);
    let count = range(view, &prefix).count();
    for (at, (key, memo)) in range(view, &prefix).enumerate() {
        let Ok(paid) = Paid::deserialize(memo) else {
            memos.insert(key.clone(), Memo::Null);
            continue;
        };
        let over = at + WAITING_MAX < count;
        if head < paid.at.plus_ms(window) && !over {
            break;
        }
        memos.insert(key.clone(), Memo::Null);
        if verdict(route, state, key, &paid) == Verdict::Unknown {
            let why = if over {
                "too many payments wait for the origin chain"
            } else {
                "the origin chain has not been watched for long enough"
            };
            let summary = format!("{}: a payment cannot be judged: {why}", route.name);
            let (severity, class) = (Severity::Medium, Class::Blind);
            given_up.push(Finding { severity, class, summary, ..paid.finding });
        }
    }
}

/// Every payment of `route` that may still be judged otherwise, with its verdict now.
pub(crate) fn verdicts(route: &Route, state: &State) -> Vec<(Paid, Verdict)> {
    let Some(view) = state.chains.get(&route.destination.0) else { return Vec::new() };
    let prefix = key(route, format_args!("w/"));
    let waiting = range(view, &prefix);
    let judged = waiting.filter_map(|(key, memo)| {
        let paid = Paid::deserialize(memo).ok()?;
        let verdict = verdict(route, state, key, &paid);
        Some((paid, verdict))
    });
    judged.collect()
}

/// The verdict on a payment that waits under `note`.
fn verdict(route: &Route, state: &State, note: &str, paid: &Paid) -> Verdict {
    let prefix = key(route, format_args!("w/"));
    let rest = note.strip_prefix(&prefix).and_then(|it| it.split('/').nth(1));
    rest.map_or(Verdict::Unknown, |it| judge(route, state, it, paid))
}

/// The verdict on a pending payment.
pub(crate) fn pending(route: &Route, state: &State, key: B256, paid: &Paid) -> Verdict {
    judge(route, state, &format!("{key:x}"), paid)
}

fn judge(route: &Route, state: &State, message: &str, paid: &Paid) -> Verdict {
    let (from, to) = (state.chains.get(&route.origin.0), state.chains.get(&route.destination.0));
    let sent: Option<Sent> = read(from, &key(route, format_args!("s/{message}")));
    let since: Option<u64> = read(from, &key(route, format_args!("since")));
    let until = state.head(route.origin).map(|it| it.time);
    let first: Option<First> = read(to, &key(route, format_args!("p/{message}")));
    let here = First { tx: paid.finding.tx.unwrap_or_default(), log: paid.log };
    let again = first.is_some_and(|it| it != here);
    route.judge(paid, sent.as_ref(), Known { since: since.map(Timestamp), until }, again)
}
