//! All statements: the fold over the journal.
//!
//! **Invariant:** applying never fails, and it repeats what a command checked: an approval by the author, or
//! of another text, and a publication without approval are passed over, whoever wrote the record.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use cofferdam_core::{FindingId, IncidentId, Record, Timestamp};
use cofferdam_respond::CaseId;

use crate::{
    ComponentState, Draft, Statement, StatementEvent, StatementId, statement::Deed,
    words::same_person,
};

/// A part of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// How it works.
    pub state: ComponentState,
    /// When it was first named.
    pub created: Timestamp,
    /// When its state was last set.
    pub updated: Timestamp,
    /// The case because of which it is as it is.
    pub case: CaseId,
}

/// What the engine knows of an incident and a statement may have to tell, or to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) entity: String,
    pub(crate) chain: String,
    pub(crate) actors: BTreeSet<Address>,
}

/// Every statement of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    all: BTreeMap<StatementId, Statement>,
    order: Vec<StatementId>,
    embargoes: BTreeMap<CaseId, BTreeMap<String, Deed>>,
    components: BTreeMap<String, Component>,
    known: BTreeMap<IncidentId, Known>,
    actors: BTreeMap<FindingId, BTreeSet<Address>>,
}

impl Statements {
    /// The statements in the order of drafting.
    pub fn all(&self) -> impl Iterator<Item = &Statement> {
        self.order.iter().filter_map(|it| self.all.get(it))
    }

    /// One statement.
    pub fn get(&self, id: &StatementId) -> Option<&Statement> {
        self.all.get(id)
    }

    /// What has to happen before something is said about `case`, and who said so.
    pub fn embargoes(&self, case: &CaseId) -> impl Iterator<Item = (&String, &Deed)> {
        self.embargoes.get(case).into_iter().flatten()
    }

    /// Every embargo, with its case.
    pub(crate) fn every_embargo(&self) -> impl Iterator<Item = (CaseId, &str, &Deed)> {
        self.embargoes
            .iter()
            .flat_map(|(case, open)| open.iter().map(|it| (*case, it.0.as_str(), it.1)))
    }

    /// The parts of the service, by name.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.components.values()
    }

    pub(crate) fn known(&self, incident: &IncidentId) -> Option<&Known> {
        self.known.get(incident)
    }

    /// Takes in the next record of the journal, recorded at `at`.
    pub fn apply(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Case { case, event } => {
                // What is not about statements, or what a later release wrote, stays in the journal.
                if let Ok(event) = serde_json::from_value::<StatementEvent>(event.clone()) {
                    self.apply_event(at, CaseId(*case), event);
                }
            }
            Record::IncidentOpened { incident } => {
                let known = self.known.entry(incident.id).or_default();
                known.entity.clone_from(&incident.entity);
                known.chain = incident.chain.to_string();
                known.actors.extend(incident.actors.iter().copied());
            }
            Record::Found { finding } => {
                self.actors.insert(finding.id, finding.actors.iter().copied().collect());
            }
            Record::Attached { incident, finding } => {
                let actors = self.actors.remove(finding).unwrap_or_default();
                self.known.entry(*incident).or_default().actors.extend(actors);
            }
            _ => {}
        }
    }

    fn apply_event(&mut self, at: Timestamp, case: CaseId, event: StatementEvent) {
        match event {
            StatementEvent::StatementDrafted { statement, draft, by } => {
                self.drafted(at, case, statement, draft, by);
            }
            StatementEvent::StatementApproved { statement, digest, by } => {
                let Some(it) = self.all.get_mut(&statement) else { return };
                let author = same_person(&it.drafted.by, &by);
                let again = it.approved.iter().any(|it| same_person(&it.by, &by));
                if it.digest == digest && !author && !again && it.published.is_none() {
                    it.approved.push(Deed { at, by });
                }
            }
            StatementEvent::StatementPublished { statement, digest, by } => {
                let Some(it) = self.all.get_mut(&statement) else { return };
                if it.digest != digest || it.approved.is_empty() || it.published.is_some() {
                    return;
                }
                it.published = Some(Deed { at, by });
                let corrects = it.draft.corrects;
                if let Some(earlier) = corrects.and_then(|it| self.all.get_mut(&it)) {
                    earlier.corrections.push(statement);
                }
            }
            StatementEvent::EmbargoSet { until, by } => {
                let open = self.embargoes.entry(case).or_default();
                open.entry(until).or_insert(Deed { at, by });
            }
            StatementEvent::EmbargoLifted { until, .. } => {
                if let Some(it) = self.embargoes.get_mut(&case) {
                    it.remove(&until);
                }
            }
            StatementEvent::ComponentSet { component, state, by: _ } => {
                let it = self.components.entry(component.clone()).or_insert(Component {
                    name: component,
                    state,
                    created: at,
                    updated: at,
                    case,
                });
                (it.state, it.updated, it.case) = (state, at, case);
            }
        }
    }

    fn drafted(&mut self, at: Timestamp, case: CaseId, id: StatementId, draft: Draft, by: String) {
        if self.all.contains_key(&id) {
            return;
        }
        let statement = Statement {
            id,
            case,
            digest: draft.digest(),
            draft,
            drafted: Deed { at, by },
            approved: Vec::new(),
            published: None,
            corrections: Vec::new(),
        };
        self.all.insert(id, statement);
        self.order.push(id);
    }
}
