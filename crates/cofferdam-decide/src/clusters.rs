//! Attackers: accounts that belong together, by what they did together and by who created or funded them.
//!
//! **Invariant:** what unrelated accounts did is never one attacker's; a tie that is not known joins nobody.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;

use crate::Weighed;

/// By account: the accounts that created it, funded it first, or have the same code.
pub type Ties = BTreeMap<Address, BTreeSet<Address>>;

/// What one attacker did.
#[derive(Clone, Debug)]
pub(crate) struct Cluster<'a> {
    /// The findings about him, and those that name nobody.
    pub(crate) findings: Vec<Weighed<'a>>,
    /// Accounts that act in them.
    pub(crate) accounts: usize,
    /// How many of them only ties joined to the rest.
    pub(crate) tied: usize,
}

/// Findings by attacker: those that share an account, or whose accounts share a tie. What names nobody belongs
/// to all.
pub(crate) fn clusters<'a>(findings: &[Weighed<'a>], ties: &Ties) -> Vec<Cluster<'a>> {
    let none = Ties::new();
    let (alone, joined) = (Joined::of(findings, &none), Joined::of(findings, ties));
    let named = |it: &Weighed<'_>| !it.finding.actors.is_empty();
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, _) in findings.iter().enumerate().filter(|it| named(it.1)) {
        groups.entry(joined.root(index)).or_default().push(index);
    }
    let common: Vec<Weighed<'a>> = findings.iter().filter(|it| !named(it)).copied().collect();
    if groups.is_empty() {
        return vec![Cluster { findings: common, accounts: 0, tied: 0 }];
    }
    let cluster = |members: Vec<usize>| {
        let of = |at: &usize| findings.get(*at);
        let actors = |members: &mut dyn Iterator<Item = &usize>| -> BTreeSet<Address> {
            members.filter_map(of).flat_map(|it| it.finding.actors.iter().copied()).collect()
        };
        let first = members.first().map(|it| alone.root(*it));
        let mut together = members.iter().filter(|it| Some(alone.root(**it)) == first);
        let (all, core) = (actors(&mut members.iter()), actors(&mut together));
        let mine = members.iter().filter_map(of).copied();
        Cluster {
            findings: mine.chain(common.iter().copied()).collect(),
            accounts: all.len(),
            tied: all.len() - core.len(),
        }
    };
    groups.into_values().map(cluster).collect()
}

/// Findings joined by the accounts that they share.
struct Joined(Vec<usize>);

impl Joined {
    fn of(findings: &[Weighed<'_>], ties: &Ties) -> Self {
        let mut joined = Self((0..findings.len()).collect());
        let mut first: BTreeMap<Address, usize> = BTreeMap::new();
        for (index, it) in findings.iter().enumerate() {
            for actor in &it.finding.actors {
                for account in ties.get(actor).into_iter().flatten().chain([actor]) {
                    let other = *first.entry(*account).or_insert(index);
                    joined.join(other, index);
                }
            }
        }
        joined
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(it) = self.0.get_mut(a.max(b)) {
            *it = a.min(b);
        }
    }

    fn root(&self, mut at: usize) -> usize {
        while let Some(up) = self.0.get(at).copied().filter(|up| *up != at) {
            at = up;
        }
        at
    }
}
