//! The state reads that all rules want, and when.

use std::collections::BTreeSet;

use alloy_primitives::{Address, map::AddressMap};
use cofferdam_core::{
    Class, Finding, Observation, Severity, Tx,
    finding::Evidence,
    read::{Answer, StateRead},
};

use crate::{Question, index::touched};

/// How many unanswered reads a *blind* finding lists.
const LISTED_MAX: usize = 4;

/// Every question of every rule, each read once.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Sorted, each once.
    reads: Vec<StateRead>,
    always: Vec<u32>,
    by_account: AddressMap<Vec<u32>>,
}

impl Asked {
    /// Merges questions: a read that one rule always wants is always asked.
    pub(crate) fn new(questions: Vec<Question>) -> Self {
        let mut reads: Vec<StateRead> = questions.iter().map(|it| it.read.clone()).collect();
        reads.sort_unstable();
        reads.dedup();
        let mut asked = Self { reads, ..Self::default() };
        for question in questions {
            let Ok(at) = asked.reads.binary_search(&question.read) else { continue };
            let at = at as u32;
            if question.touched.is_empty() {
                asked.always.push(at);
            }
            for account in question.touched {
                asked.by_account.entry(account).or_default().push(at);
            }
        }
        asked
    }

    /// Every read, sorted.
    pub(crate) fn reads(&self) -> &[StateRead] {
        &self.reads
    }

    /// The reads wanted for these transactions, sorted, each once.
    pub(crate) fn wanted(&self, txs: &[Tx]) -> Vec<StateRead> {
        let mut wanted = self.always.clone();
        if !self.by_account.is_empty() {
            let mut met: AddressMap<()> = AddressMap::default();
            for tx in txs {
                touched(tx, |account: Address| {
                    let Some(reads) = self.by_account.get(&account) else { return };
                    if met.insert(account, ()).is_none() {
                        wanted.extend(reads);
                    }
                });
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.iter().filter_map(|at| self.reads.get(*at as usize)).cloned().collect()
    }

    /// One *blind* finding if a read that was asked for could not be answered. `also` was asked for
    /// because of transactions of the observation.
    pub(crate) fn blind(
        &self,
        observation: &Observation,
        also: &BTreeSet<StateRead>,
    ) -> Option<Finding> {
        let unknown = |it: &Answer| matches!(it, Answer::Unavailable);
        let lost: Vec<&StateRead> = observation
            .readings
            .iter()
            .filter(|(read, it)| {
                // A rehearsal is tried on the present state alone.
                let tried = matches!(read, StateRead::Rehearsal(_));
                unknown(&it.after) || (unknown(&it.before) && !tried)
            })
            .map(|(read, _)| read)
            .filter(|it| self.reads.binary_search(it).is_ok() || also.contains(*it))
            .collect();
        let first = lost.first()?;
        let subject = match first {
            StateRead::Call { to, .. } => *to,
            StateRead::Storage { address, .. } => *address,
            StateRead::Balance(address) | StateRead::CodeHash(address) => *address,
            StateRead::Rehearsal(it) => it.calls.first().map_or(it.from, |it| it.to),
        };
        let block = observation.block;
        let evidence = lost.iter().take(LISTED_MAX).map(|it| Evidence::new("read", text(it)));
        Some(Finding {
            id: Finding::id_of(block.chain, "blind", block.hash, subject),
            detector: "blind".into(),
            rule: "blind".into(),
            entity: String::new(),
            severity: Severity::Medium,
            class: Class::Blind,
            stage: observation.stage,
            block,
            tx: None,
            subject,
            actors: Vec::new(),
            llr_millinats: 0,
            group: "blind".into(),
            loss: Default::default(),
            summary: format!("{} of {} state reads unavailable", lost.len(), {
                observation.readings.len()
            }),
            evidence: evidence.collect(),
        })
    }
}

fn text(read: &StateRead) -> String {
    match read {
        StateRead::Call { to, data } => format!("call {to} {data}"),
        StateRead::Storage { address, slot } => format!("slot {slot:#x} of {address}"),
        StateRead::Balance(address) => format!("balance of {address}"),
        StateRead::CodeHash(address) => format!("code hash of {address}"),
        StateRead::Rehearsal(it) => format!("{} calls by {}", it.calls.len(), it.from),
    }
}
