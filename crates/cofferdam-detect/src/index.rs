//! Which rules care about what: hash maps from accounts and event signatures to rule numbers.
//!
//! **Invariant:** a look-up that misses touches one bucket and allocates nothing; the lists of all
//! keys lie in one vector.

use std::collections::BTreeMap;

use alloy_primitives::{
    Address, B256, Log,
    map::{AddressMap, B256Map},
};
use cofferdam_core::{Fact, Tx};

use crate::Interest;

/// The index over the interests of all rules. It is public for benchmarks; [`crate::RuleSet`] is what
/// uses it.
#[derive(Debug, Default)]
pub struct Index {
    accounts: AddressMap<Span>,
    topics: B256Map<Span>,
    /// By emitter, then signature. Few emitters have several.
    logs: AddressMap<Vec<(B256, Span)>>,
    every: Vec<u32>,
    lists: Vec<u32>,
}

/// A part of [`Index::lists`].
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Index {
    /// Builds the index from the interests of rule 0, 1, 2 …
    pub fn new(interests: &[Vec<Interest>]) -> Self {
        let mut accounts: BTreeMap<Address, Vec<u32>> = BTreeMap::new();
        let mut topics: BTreeMap<B256, Vec<u32>> = BTreeMap::new();
        let mut logs: BTreeMap<(Address, B256), Vec<u32>> = BTreeMap::new();
        let mut every = Vec::new();
        for (rule, interests) in (0u32..).zip(interests) {
            for interest in interests {
                let list = match interest {
                    Interest::Account(address) => accounts.entry(*address).or_default(),
                    Interest::Topic(topic) => topics.entry(*topic).or_default(),
                    Interest::Log(emitter, topic) => logs.entry((*emitter, *topic)).or_default(),
                    Interest::EveryBlock => &mut every,
                };
                if list.last() != Some(&rule) {
                    list.push(rule);
                }
            }
        }
        let mut index = Self { every, ..Self::default() };
        for (address, list) in accounts {
            let span = index.list(list);
            index.accounts.insert(address, span);
        }
        for (topic, list) in topics {
            let span = index.list(list);
            index.topics.insert(topic, span);
        }
        for ((emitter, topic), list) in logs {
            let span = index.list(list);
            index.logs.entry(emitter).or_default().push((topic, span));
        }
        index
    }

    fn list(&mut self, list: Vec<u32>) -> Span {
        let start = self.lists.len() as u32;
        self.lists.extend(list);
        Span { start, end: self.lists.len() as u32 }
    }

    /// The accounts that any rule is interested in, if only as emitters of a log.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Address> {
        self.accounts.keys().chain(self.logs.keys()).copied()
    }

    /// The accounts of which any rule wants whatever touches them.
    pub(crate) fn touched(&self) -> impl Iterator<Item = Address> {
        self.accounts.keys().copied()
    }

    /// The signatures that any rule is interested in, whoever emits them.
    pub(crate) fn topics(&self) -> impl Iterator<Item = B256> {
        self.topics.keys().copied()
    }

    /// The logs that any rule is interested in by emitter and signature.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (Address, B256)> {
        let of = |(by, list): (&Address, &Vec<(B256, Span)>)| -> Vec<(Address, B256)> {
            list.iter().map(|it| (*by, it.0)).collect()
        };
        self.logs.iter().flat_map(of)
    }

    /// Calls `hit` with the rules that want logs of this emitter, those that want this signature, and those that
    /// want both together.
    #[inline]
    pub fn log(&self, log: &Log, mut hit: impl FnMut(&[u32])) {
        if let Some(list) = self.accounts.get(&log.address).and_then(|it| self.list_of(it)) {
            hit(list);
        }
        self.topic(log, &mut hit);
        self.both(log, hit);
    }

    #[inline]
    fn both(&self, log: &Log, mut hit: impl FnMut(&[u32])) {
        if self.logs.is_empty() {
            return;
        }
        let (Some(list), Some(topic)) = (self.logs.get(&log.address), log.data.topics().first())
        else {
            return;
        };
        let span = list.iter().find(|it| it.0 == *topic).map(|it| &it.1);
        if let Some(list) = span.and_then(|it| self.list_of(it)) {
            hit(list);
        }
    }

    #[inline]
    fn topic(&self, log: &Log, hit: &mut impl FnMut(&[u32])) {
        if self.topics.is_empty() {
            return;
        }
        let span = log.data.topics().first().and_then(|it| self.topics.get(it));
        if let Some(list) = span.and_then(|it| self.list_of(it)) {
            hit(list);
        }
    }

    #[inline]
    fn list_of(&self, span: &Span) -> Option<&[u32]> {
        self.lists.get(span.start as usize..span.end as usize)
    }

    /// The rules that want every block.
    pub(crate) fn every(&self) -> &[u32] {
        &self.every
    }

    /// Calls `hit` with the rules of every key that `tx` touches; a rule may come several times.
    pub fn matches(&self, tx: &Tx, mut hit: impl FnMut(&[u32])) {
        if !self.accounts.is_empty() {
            touched(tx, |address| {
                if let Some(list) = self.accounts.get(&address).and_then(|it| self.list_of(it)) {
                    hit(list);
                }
            });
        }
        if tx.succeeded {
            for it in &tx.logs {
                self.topic(it, &mut hit);
                self.both(it, &mut hit);
            }
        }
    }
}

/// Calls `visit` with every account that `tx` touches: sender, callee, created contract, emitters of
/// logs, parties of transfers, callers and callees, and accounts whose state changed. An account may
/// come several times.
pub(crate) fn touched(tx: &Tx, mut visit: impl FnMut(Address)) {
    visit(tx.from);
    tx.to.into_iter().chain(tx.created).for_each(&mut visit);
    if tx.succeeded {
        tx.logs.iter().for_each(|it| visit(it.address));
    }
    for fact in &tx.facts {
        match *fact {
            Fact::Transfer { from, to, .. }
            | Fact::NftTransfer { from, to, .. }
            | Fact::MultiTransfer { from, to, .. }
            | Fact::NativeTransfer { from, to, .. } => {
                visit(from);
                visit(to);
            }
            Fact::Wrapped { to, .. } => visit(to),
            Fact::Unwrapped { from, .. } => visit(from),
            Fact::FlashLoan { receiver, .. } => visit(receiver),
            _ => {}
        }
    }
    for frame in &tx.frames {
        visit(frame.from);
        visit(frame.to);
    }
    let mut last = None;
    for it in &tx.diff.storage {
        // Sorted by account: one look-up for all slots of one.
        if last.replace(it.address) != Some(it.address) {
            visit(it.address);
        }
    }
    tx.diff.balances.iter().for_each(|it| visit(it.address));
    tx.diff.codes.iter().for_each(|it| visit(it.address));
}

/// Whether `tx` touches `account`.
pub(crate) fn touches(tx: &Tx, account: Address) -> bool {
    let mut touches = false;
    touched(tx, |it| touches |= it == account);
    touches
}

/// The only one of `txs` that touches `account`, if there is exactly one: then it is to blame for what
/// the account's state shows.
pub(crate) fn sole(txs: &[Tx], account: Address) -> Option<&Tx> {
    let mut txs = txs.iter().filter(|it| touches(it, account));
    txs.next().filter(|_| txs.next().is_none())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, Log};

    use super::Index;
    use crate::Interest;

    #[test]
    fn a_log_concerns_the_rules_of_its_emitter_and_of_its_signature() {
        let (here, there) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let topic = B256::repeat_byte(3);
        let index = Index::new(&[
            vec![Interest::Account(here), Interest::EveryBlock],
            vec![Interest::Topic(topic)],
            vec![Interest::Account(there), Interest::Account(here)],
        ]);
        let rules = |address, topics| {
            let mut out = Vec::new();
            let log = Log::new_unchecked(address, topics, Bytes::new());
            index.log(&log, |list| out.extend_from_slice(list));
            out
        };
        assert_eq!(rules(here, vec![topic]), [0, 2, 1]);
        assert_eq!(rules(there, vec![]), [2]);
        assert_eq!(rules(Address::ZERO, vec![B256::ZERO, topic]), [0u32; 0]);
    }
}
