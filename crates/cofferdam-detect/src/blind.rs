//! Blindness about a transaction: a rule needed its call tree or state changes, and they are no
//! evidence.

use alloy_primitives::{Address, map::AddressMap};
use cofferdam_core::{
    Class, Finding, Severity, Tx,
    evidence::{MissingRead, Tracing},
    finding::Evidence,
};

use crate::{BuildCx, Context, index::touched};

/// How many missing reads the finding lists.
const LISTED_MAX: usize = 4;

/// What a rule would have seen.
#[derive(Debug)]
pub(crate) struct Sight {
    rule: String,
    /// The accounts of its entities, with the entity's name.
    accounts: AddressMap<String>,
}

impl Sight {
    pub(crate) fn new(cx: &BuildCx<'_>) -> Self {
        let mut accounts = AddressMap::default();
        for entity in cx.entities() {
            for address in entity.addresses(cx.chain) {
                accounts.entry(address).or_insert_with(|| entity.id.clone());
            }
        }
        Self { rule: cx.rule.id.clone(), accounts }
    }

    /// The finding that `tx` could not be looked into; `None` if it could.
    pub(crate) fn lost(&self, cx: &Context<'_>, tx: &Tx) -> Option<Finding> {
        let (severity, summary, evidence) = match &tx.tracing {
            Tracing::Mismatch { difference } => (
                Severity::High,
                "re-execution differs from the receipt".to_owned(),
                vec![Evidence::new("difference", difference)],
            ),
            Tracing::Incomplete { missing, count } => (
                Severity::Medium,
                format!("re-execution lacked {count} state reads"),
                missing
                    .iter()
                    .take(LISTED_MAX)
                    .map(|it| Evidence::new("missing", name(it)))
                    .collect(),
            ),
            Tracing::None | Tracing::Node | Tracing::Reexecuted | Tracing::Simulated => {
                return None;
            }
        };
        let mut subject: Option<Address> = None;
        touched(tx, |address| {
            if subject.is_none() && self.accounts.contains_key(&address) {
                subject = Some(address);
            }
        });
        let subject = subject.or(tx.to).unwrap_or(tx.from);
        let block = cx.observation.block;
        Some(Finding {
            id: Finding::id_of(block.chain, "blind", tx.hash, Address::ZERO),
            detector: "blind".into(),
            rule: self.rule.clone(),
            entity: self.accounts.get(&subject).cloned().unwrap_or_default(),
            severity,
            class: Class::Blind,
            stage: cx.observation.stage,
            block,
            tx: Some(tx.hash),
            subject,
            actors: vec![tx.from],
            llr_millinats: 0,
            group: "blind".into(),
            loss: Default::default(),
            summary,
            evidence,
        })
    }
}

fn name(read: &MissingRead) -> String {
    match read {
        MissingRead::Account(address) => format!("account {address}"),
        MissingRead::Slot(address, slot) => format!("slot {slot:#x} of {address}"),
        MissingRead::BlockHash(number) => format!("hash of block {number}"),
    }
}
