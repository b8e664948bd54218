//! Decisions and orders, as the journal tells them.
//!
//! **Invariant:** costs are what the journal knows: gas as the chain told it, fees as a bound.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use cofferdam_core::{IncidentId, OrderKey, Record, Timestamp, incident::Ledger, order::Outcome};
use cofferdam_respond::{CaseEvent, CaseId};

/// Most decisions kept of one incident; the first and the last are always among them.
pub(super) const LEDGERS_MAX: usize = 200;

/// A decision of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
    pub(crate) because: String,
    pub(crate) by: String,
}

/// An order and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) incident: IncidentId,
    pub(crate) action: String,
    pub(crate) attempts: u32,
    pub(crate) gas: Option<u64>,
    /// Highest fee cap that was offered, in wei a gas.
    pub(crate) fee_cap: u128,
    pub(crate) outcome: &'static str,
}

impl Spent {
    /// The most that our transaction can have cost, in wei.
    pub(crate) fn fee_bound(&self) -> Option<U256> {
        self.gas.map(|it| U256::from(it) * U256::from(self.fee_cap))
    }
}

/// Decisions and orders of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    ledgers: BTreeMap<IncidentId, Vec<Ledger>>,
    left_out: BTreeMap<IncidentId, usize>,
    decisions: BTreeMap<CaseId, Vec<Decision>>,
    orders: BTreeMap<OrderKey, Spent>,
}

impl Account {
    /// Takes in the next record of the journal, recorded at `at`.
    pub fn apply(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Decided { incident, ledger } => self.decided(*incident, ledger),
            Record::Intended { order } => {
                let spent = Spent {
                    incident: order.incident,
                    action: order.action.clone(),
                    attempts: 0,
                    gas: None,
                    fee_cap: 0,
                    outcome: "open",
                };
                self.orders.entry(order.key).or_insert(spent);
            }
            Record::Dispatched { key, attempt, sent, .. } => {
                if let Some(it) = self.orders.get_mut(key) {
                    it.attempts = it.attempts.max(*attempt);
                    let caps = sent.iter().map(|it| it.max_fee_per_gas);
                    it.fee_cap = caps.fold(it.fee_cap, u128::max);
                }
            }
            Record::Replaced { key, sent } => {
                if let Some(it) = self.orders.get_mut(key) {
                    let caps = sent.iter().map(|it| it.max_fee_per_gas);
                    it.fee_cap = caps.fold(it.fee_cap, u128::max);
                }
            }
            Record::Settled { key, outcome } => self.settled(key, outcome),
            Record::Case { case, event } => {
                if let Ok(CaseEvent::Decided { what, because, by }) =
                    serde_json::from_value(event.clone())
                {
                    let said = self.decisions.entry(CaseId(*case)).or_default();
                    said.push(Decision { at, what, because, by });
                }
            }
            _ => {}
        }
    }

    /// A decision that chooses as the one before it did replaces it.
    fn decided(&mut self, incident: IncidentId, ledger: &Ledger) {
        let all = self.ledgers.entry(incident).or_default();
        let same = all.len() > 1 && all.last().is_some_and(|it| it.chosen == ledger.chosen);
        if !same && all.len() < LEDGERS_MAX {
            all.push(ledger.clone());
            return;
        }
        if !same {
            *self.left_out.entry(incident).or_default() += 1;
        }
        if let Some(it) = all.last_mut() {
            *it = ledger.clone();
        }
    }

    fn settled(&mut self, key: &OrderKey, outcome: &Outcome) {
        let Some(it) = self.orders.get_mut(key) else { return };
        it.outcome = match outcome {
            Outcome::Effective { gas_used, .. } => {
                it.gas = Some(*gas_used);
                "effective"
            }
            Outcome::Failed { .. } => "failed",
            Outcome::Expired => "expired",
            Outcome::Vetoed { .. } => "vetoed",
        };
    }

    pub(crate) fn ledgers(&self, incident: &IncidentId) -> &[Ledger] {
        self.ledgers.get(incident).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn left_out(&self, incident: &IncidentId) -> usize {
        self.left_out.get(incident).copied().unwrap_or_default()
    }

    pub(crate) fn decisions(&self, case: &CaseId) -> &[Decision] {
        self.decisions.get(case).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn orders(&self) -> impl Iterator<Item = &Spent> {
        self.orders.values()
    }
}
