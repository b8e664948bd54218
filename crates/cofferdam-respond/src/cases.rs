//! All cases: the fold over the journal.
//!
//! **Invariant:** applying never fails. A record that does not fit is passed over; what it says stays in
//! the journal.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use cofferdam_core::{Finding, FindingId, IncidentId, OrderKey, Record, Timestamp};

use crate::{
    Case, CaseEvent, CaseId, CaseState, Csf, Milestone, Moment, Role, Source, Task, TaskState,
};

/// Every case of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cases {
    pub(crate) cases: BTreeMap<CaseId, Case>,
    pub(crate) of_incident: BTreeMap<IncidentId, CaseId>,
    pub(crate) of_finding: BTreeMap<FindingId, IncidentId>,
    pub(crate) of_order: BTreeMap<OrderKey, (IncidentId, String)>,
    pub(crate) of_run: BTreeMap<B256, CaseId>,
    /// Findings that no incident has taken yet.
    pub(crate) loose: BTreeMap<FindingId, Finding>,
    /// Jobs of runs: what they are, for people.
    pub(crate) jobs: BTreeMap<String, String>,
    pub(crate) seq: u64,
}

impl Cases {
    /// The cases by id.
    pub fn all(&self) -> &BTreeMap<CaseId, Case> {
        &self.cases
    }

    /// The case that `incident` is in.
    pub fn of(&self, incident: &IncidentId) -> Option<&Case> {
        self.cases.get(self.of_incident.get(incident)?)
    }

    /// One case.
    pub fn get(&self, id: &CaseId) -> Option<&Case> {
        self.cases.get(id)
    }

    /// Takes in the next record of the journal, recorded at `at`.
    pub fn apply(&mut self, at: Timestamp, record: &Record) {
        self.seq += 1;
        match record {
            Record::Case { case, event } => {
                // What a later release wrote and this one cannot read stays in the journal.
                if let Ok(event) = serde_json::from_value::<CaseEvent>(event.clone()) {
                    self.apply_event(at, CaseId(*case), &event);
                }
            }
            Record::Playbook { run, event } => self.fill_from_run(at, *run, event),
            other => self.fill_from_engine(at, other),
        }
    }

    /// Takes in what a person did with a case.
    fn apply_event(&mut self, at: Timestamp, id: CaseId, event: &CaseEvent) {
        if let CaseEvent::Opened { title, priority, by } = event {
            let case = Case::new(id, title.clone(), *priority, at);
            self.cases.entry(id).or_insert(case);
            self.say(id, at, by, format!("opened by hand: {title}"), Csf::RsMa);
            return;
        }
        if !self.cases.contains_key(&id) {
            return;
        }
        match event {
            CaseEvent::Merged { into, by, because } => self.merge(at, id, *into, by, because),
            CaseEvent::Split { into, title, incidents, by, because } => {
                self.split(at, id, (*into, title), incidents, (by, because));
            }
            CaseEvent::Voted { action, verdict, reason, by, .. } => {
                let colon = if reason.is_empty() { "" } else { ": " };
                let text = format!("signs {verdict} of order {action}{colon}{reason}");
                self.say(id, at, by, text, Csf::RsMi);
            }
            CaseEvent::RunLinked { run, playbook, by } => {
                self.of_run.insert(*run, id);
                self.say(id, at, by, format!("playbook {playbook} belongs to it"), Csf::RsMa);
            }
            other => self.apply_to_one(at, id, other),
        }
    }

    fn apply_to_one(&mut self, at: Timestamp, id: CaseId, event: &CaseEvent) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let (by, text, csf) = match event {
            CaseEvent::Acknowledged { by } => {
                case.reach(Milestone::Acknowledged, at);
                (by, "acknowledged".to_owned(), Csf::RsMa)
            }
            CaseEvent::Moved { to, by, because } => {
                case.state = *to;
                if *to == CaseState::Contained {
                    case.reach(Milestone::Contained, at);
                }
                let csf = match to {
                    CaseState::Recovering => Csf::RcRp,
                    CaseState::Contained | CaseState::Eradicated => Csf::RsMi,
                    _ => Csf::RsMa,
                };
                (by, format!("{}: {because}", to.word()), csf)
            }
            CaseEvent::Prioritised { to, by, because } => {
                case.priority = *to;
                (by, format!("{to:?}: {because}"), Csf::RsMa)
            }
            CaseEvent::Assigned { role, person, by } => {
                let people = case.roles.entry(*role).or_default();
                if *role == Role::Commander {
                    people.clear();
                }
                people.insert(person.clone());
                (by, format!("{person} is {}", role.word()), Csf::RsMa)
            }
            CaseEvent::Released { role, person, by } => {
                if let Some(it) = case.roles.get_mut(role) {
                    it.remove(person);
                }
                (by, format!("{person} is not {} any more", role.word()), Csf::RsMa)
            }
            CaseEvent::HandedOver { role, from, to, summary } => {
                let people = case.roles.entry(*role).or_default();
                people.remove(from);
                people.insert(to.clone());
                let text = format!("{} handed over to {to}, summary {summary}", role.word());
                (from, text, Csf::RsMa)
            }
            CaseEvent::Decided { what, because, by } => {
                case.reach(Milestone::Decided, at);
                (by, format!("decided: {what}, because {because}"), Csf::RsMa)
            }

            CaseEvent::Noted { at: happened, text, by, csf } => {
                let source = Source::Person { by: by.clone() };
                let moment = Moment {
                    at: *happened,
                    recorded: at,
                    seq: self.seq,
                    text: text.clone(),
                    source,
                    csf: *csf,
                };
                case.tell(moment);
                return;
            }
            other => match task(case, other) {
                Some(it) => it,
                None => return,
            },
        };
        let by = by.clone();
        self.say(id, at, &by, text, csf);
    }

    /// Adds a moment of a person that happens as it is recorded.
    pub(crate) fn say(&mut self, id: CaseId, at: Timestamp, by: &str, text: String, csf: Csf) {
        let source = Source::Person { by: by.to_owned() };
        let moment = Moment { at, recorded: at, seq: self.seq, text, source, csf: Some(csf) };
        if let Some(it) = self.cases.get_mut(&id) {
            it.tell(moment);
        }
    }

    fn merge(&mut self, at: Timestamp, id: CaseId, into: CaseId, by: &str, because: &str) {
        if id == into || !self.cases.contains_key(&into) {
            return;
        }
        let Some(from) = self.cases.get_mut(&id) else { return };
        from.state = CaseState::Closed;
        from.merged_into = Some(into);
        let title = from.title.clone();
        let taken = Case { moments: std::mem::take(&mut from.moments), ..from.clone() };
        from.incidents.clear();
        from.findings.clear();
        from.tasks.clear();
        self.of_incident.values_mut().filter(|it| **it == id).for_each(|it| *it = into);
        self.of_run.values_mut().filter(|it| **it == id).for_each(|it| *it = into);
        if let Some(to) = self.cases.get_mut(&into) {
            to.incidents.extend(taken.incidents);
            to.findings.extend(taken.findings);
            to.priority = to.priority.min(taken.priority);
            for (milestone, when) in taken.milestones {
                to.reach(milestone, when);
            }
            for mut task in taken.tasks.into_values() {
                task.number = next_task(to);
                to.tasks.insert(task.number, task);
            }
            to.moments.extend(taken.moments);
            to.moments.sort_by_key(|it| it.seq);
        }
        let text = format!("{title} was merged into this: {because}");
        self.say(into, at, by, text, Csf::RsMa);
        self.say(id, at, by, format!("merged into {}: {because}", into.short()), Csf::RsMa);
    }

    fn split(
        &mut self,
        at: Timestamp,
        id: CaseId,
        (into, title): (CaseId, &str),
        incidents: &BTreeSet<IncidentId>,
        (by, because): (&str, &str),
    ) {
        let Some(from) = self.cases.get_mut(&id) else { return };
        let mut new = Case::new(into, title.to_owned(), from.priority, from.opened);
        new.state = from.state;
        new.incidents = from.incidents.intersection(incidents).copied().collect();
        from.incidents.retain(|it| !incidents.contains(it));
        let theirs =
            |it: &FindingId| self.of_finding.get(it).is_some_and(|it| new.incidents.contains(it));
        new.findings = from.findings.iter().copied().filter(theirs).collect();
        from.findings.retain(|it| !new.findings.contains(it));
        let (gone, kept) = std::mem::take(&mut from.moments).into_iter().partition(
            |it: &Moment| matches!(&it.source, Source::Engine { incident } if new.incidents.contains(incident)),
        );
        from.moments = kept;
        new.moments = gone;
        for it in &new.incidents {
            self.of_incident.insert(*it, into);
        }
        self.cases.insert(into, new);
        self.say(into, at, by, format!("split from {}: {because}", id.short()), Csf::RsMa);
        self.say(id, at, by, format!("{} was split off: {because}", into.short()), Csf::RsMa);
    }
}

/// What an event does to a task; who, what for people, and the tag.
fn task<'a>(case: &mut Case, event: &'a CaseEvent) -> Option<(&'a String, String, Csf)> {
    let csf = |it: Option<Csf>| it.unwrap_or(Csf::RsMa);
    Some(match event {
        CaseEvent::TaskAdded { number, title, owner, due, csf: tag, by } => {
            let task = Task {
                number: *number,
                title: title.clone(),
                owner: owner.clone(),
                due: *due,
                csf: *tag,
                state: TaskState::Open,
            };
            case.tasks.insert(*number, task);
            (by, format!("task {number}: {title}"), csf(*tag))
        }
        CaseEvent::TaskTaken { number, by } => {
            let it = case.tasks.get_mut(number)?;
            it.owner = Some(by.clone());
            (by, format!("task {number} is taken"), csf(it.csf))
        }
        CaseEvent::TaskDone { number, by } => {
            let it = case.tasks.get_mut(number)?;
            it.state = TaskState::Done { by: by.clone() };
            (by, format!("task {number} is done: {}", it.title), csf(it.csf))
        }
        CaseEvent::TaskDropped { number, by, because } => {
            let it = case.tasks.get_mut(number)?;
            it.state = TaskState::Dropped { by: by.clone(), because: because.clone() };
            (by, format!("task {number} is dropped: {because}"), csf(it.csf))
        }
        _ => return None,
    })
}

pub(crate) fn next_task(case: &Case) -> u32 {
    case.tasks.last_key_value().map_or(1, |it| it.0 + 1)
}
