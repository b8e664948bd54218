//! Call paths in the manner of CrossGuard (`onchain.md` §2.5): which doors of an entity a transaction went
//! through, in which order, one within the other, loops told once. A path that was never taken before is
//! a sign; most attacks take one.
//!
//! **Invariant:** the text of a path is its identity. What a policy removes is removed before loops are
//! folded, so that a path does not depend on how often a loop ran.

mod fold;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, keccak256};
use cofferdam_core::{
    Fact, Tx,
    plan::AssetId,
    tx::{CallKind, Frame},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Door, Proof, Subject,
    sample::{ENTRIES_MAX, enters},
    text::Pair,
};
use fold::fold;

/// Longest path kept as text, in bytes; of a longer one the rest is a hash.
const PATH_BYTES_MAX: usize = 2_000;
/// Most paths of one entity.
pub const KNOWN_MAX: usize = 1_000;

/// The path of one transaction before any policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallPath {
    steps: Vec<Step>,
    /// Whether entries were left out because there are too many.
    cut: bool,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    door: Door,
    read_only: bool,
    /// Whether the contract changed nothing that lasts: neither storage nor holdings.
    restored: bool,
    inner: Vec<Step>,
}

/// Which paths are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathGuard {
    /// Whether one entry alone, without another within it, is always allowed.
    pub simple: bool,
    /// Whether read-only entries are left out of a path.
    pub read_only: bool,
    /// Whether entries into contracts whose storage and holdings end as they began are left out.
    pub restore_on_exit: bool,
    /// The paths that were taken before.
    pub known: Vec<String>,
    /// What is known about it.
    pub proof: Proof,
}

impl PathGuard {
    /// Whether a path is allowed; if not, its text.
    ///
    /// # Errors
    /// The text of the path that is not known.
    pub fn check(&self, path: &CallPath) -> Result<(), String> {
        let steps = self.apply(&path.steps);
        let simple = matches!(&steps[..], [one] if one.inner.is_empty());
        if steps.is_empty() || (simple && self.simple) {
            return Ok(());
        }
        let text = path.text_of(&steps);
        if !path.cut && self.known.binary_search(&text).is_ok() { Ok(()) } else { Err(text) }
    }

    /// What is left of a path.
    fn apply(&self, steps: &[Step]) -> Vec<Step> {
        let mut out = Vec::new();
        for it in steps {
            let mut inner = self.apply(&it.inner);
            let quiet = (self.read_only && it.read_only) || (self.restore_on_exit && it.restored);
            if quiet {
                out.append(&mut inner);
            } else {
                out.push(Step { inner, ..it.clone() });
            }
        }
        out
    }
}

impl CallPath {
    /// The path of a transaction whose call tree is evidence.
    pub(crate) fn of(subject: &Subject, tx: &Tx) -> Self {
        let changed = changed(subject, tx);
        let mut path = Self::default();
        let mut count = 0;
        // Open entries: depth of the frame, and the step under construction.
        let mut open: Vec<(u16, Step)> = Vec::new();
        for frame in &tx.frames {
            close(&mut open, frame.depth, &mut path.steps);
            if !enters(subject, frame) {
                continue;
            }
            count += 1;
            if count > ENTRIES_MAX {
                path.cut = true;
                break;
            }
            let step = Step {
                door: Door::new(frame.to, frame.selector()),
                read_only: frame.kind == CallKind::StaticCall,
                restored: changed.as_ref().is_some_and(|it| !it.contains(&frame.to)),
                inner: Vec::new(),
            };
            open.push((frame.depth, step));
        }
        close(&mut open, 0, &mut path.steps);
        path
    }

    fn text_of(&self, steps: &[Step]) -> String {
        let text = fold(steps.iter().map(text)).join(" ; ");
        if text.len() <= PATH_BYTES_MAX {
            return text;
        }
        // Doors are plain ASCII, so that any cut is between characters.
        let hash = keccak256(&text);
        format!("{} … {hash:#x}", text.get(..200).unwrap_or_default())
    }
}

fn text(step: &Step) -> String {
    let door = if step.read_only { format!("{} view", step.door) } else { step.door.to_string() };
    if step.inner.is_empty() {
        return door;
    }
    format!("{door} {{ {} }}", fold(step.inner.iter().map(text)).join(" ; "))
}

/// Ends the entries that are not above a frame of this depth.
fn close(open: &mut Vec<(u16, Step)>, depth: u16, done: &mut Vec<Step>) {
    while open.last().is_some_and(|it| it.0 >= depth) {
        let Some((_, step)) = open.pop() else { break };
        match open.last_mut() {
            Some((_, outer)) => outer.inner.push(step),
            None => done.push(step),
        }
    }
}

/// The paths that a guard with these policies would call known.
pub(crate) fn collect<'a>(
    policies: &PathGuard,
    paths: impl Iterator<Item = &'a CallPath>,
) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for path in paths {
        if let Err(text) = policies.check(path)
            && !path.cut
            && known.len() < KNOWN_MAX
            && let Err(at) = known.binary_search(&text)
        {
            known.insert(at, text);
        }
    }
    known
}

/// Entries below an open state-changing entry: outer and inner door.
pub(crate) fn nested(subject: &Subject, tx: &Tx) -> Vec<Pair> {
    let mut out: Vec<Pair> = Vec::new();
    let mut open: Vec<&Frame> = Vec::new();
    for frame in &tx.frames {
        open.retain(|it| it.depth < frame.depth);
        if frame.kind != CallKind::Call || !enters(subject, frame) {
            continue;
        }
        let door = |it: &Frame| Door::new(it.to, it.selector());
        for outer in &open {
            let pair = Pair { first: door(outer), second: door(frame) };
            if !out.contains(&pair) && out.len() < ENTRIES_MAX {
                out.push(pair);
            }
        }
        open.push(frame);
    }
    out
}

/// The contracts whose storage or holdings end otherwise than they began; `None` if that is not known,
/// as when the call tree comes without a state diff.
fn changed(subject: &Subject, tx: &Tx) -> Option<Vec<Address>> {
    // Every executed transaction pays a fee or uses up a nonce; a diff without a balance is no diff.
    if tx.diff.balances.is_empty() && tx.diff.storage.is_empty() {
        return None;
    }
    let mut out: Vec<Address> = tx.diff.storage.iter().map(|it| it.address).collect();
    out.extend(tx.diff.balances.iter().map(|it| it.address));
    out.extend(tx.diff.codes.iter().map(|it| it.address));
    // Tokens, whoever emits them: held in the token's storage, not in the contract's.
    let mut net: BTreeMap<(Address, AssetId), (U256, U256)> = BTreeMap::new();
    for fact in &tx.facts {
        if let Fact::Transfer { token, from, to, amount } = fact {
            let sent = net.entry((*from, AssetId::Token(*token))).or_default();
            sent.1 = sent.1.saturating_add(*amount);
            let received = net.entry((*to, AssetId::Token(*token))).or_default();
            received.0 = received.0.saturating_add(*amount);
        }
    }
    out.extend(net.iter().filter(|(_, sums)| sums.0 != sums.1).map(|(key, _)| key.0));
    out.retain(|it| subject.owns(*it));
    out.sort_unstable();
    out.dedup();
    Some(out)
}
