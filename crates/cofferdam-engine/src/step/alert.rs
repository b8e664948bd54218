//! Telling people: who receives an alert, what is a repeat, what is taken back.

use std::collections::BTreeSet;

use cofferdam_core::{
    Alert, AlertKind, ChainId, Finding, IncidentId, Record, Severity, Stage, plan::Notifier,
};

use super::Step;

/// Prefix of the threads about receivers that do not take messages.
pub(crate) const NOTIFIER: &str = "notifier/";

/// Something to tell.
pub(crate) struct Note {
    pub(crate) severity: Severity,
    pub(crate) incident: Option<IncidentId>,
    pub(crate) kind: AlertKind,
    pub(crate) dedup: String,
    pub(crate) text: String,
    /// How settled it is.
    pub(crate) stage: Stage,
    /// Who is not told: the receiver that it is about.
    pub(crate) except: Option<String>,
}

impl Note {
    /// Something that rests on no finding.
    pub(crate) fn of(severity: Severity, kind: AlertKind, dedup: String, text: String) -> Self {
        Self { severity, incident: None, kind, dedup, text, stage: Stage::Final, except: None }
    }
}

impl Step<'_> {
    /// Issues an alert, unless it repeats what people know.
    pub(crate) fn tell(&mut self, note: Note) {
        let thread = self.engine.state.outbox.threads.get(&note.dedup);
        let closes = matches!(note.kind, AlertKind::Resolved | AlertKind::Retracted);
        if closes && thread.is_none_or(|it| !it.open) {
            return;
        }
        if !closes && self.is_repeat(&note) {
            self.record(Record::Throttled { dedup: note.dedup, text: note.text });
            return;
        }
        let text = match thread.map_or(0, |it| it.swallowed) {
            0 => note.text.clone(),
            count => format!("{} ({count} more like the last were not told)", note.text),
        };
        let to = self.receivers(&note);
        let part = self.engine.state.outbox.issued;
        let alert = Alert {
            id: Alert::id_of(&note.dedup, note.kind, self.now, part, &text),
            at: self.now,
            severity: note.severity,
            incident: note.incident,
            dedup: note.dedup,
            kind: note.kind,
            text,
        };
        self.record(Record::Issued { alert, to });
    }

    /// Issues an alert about an incident, as settled as its findings are.
    pub(crate) fn tell_incident(
        &mut self,
        id: IncidentId,
        severity: Severity,
        kind: AlertKind,
        text: String,
    ) {
        let (incident, dedup, stage) = (Some(id), id.to_string(), self.stage_of(id));
        self.tell(Note { severity, incident, kind, dedup, text, stage, except: None });
    }

    /// The settled stage of an incident: that of its most settled finding.
    fn stage_of(&self, id: IncidentId) -> Stage {
        let state = &self.engine.state;
        let findings = state.incidents.get(&id).into_iter().flat_map(|it| it.findings.iter());
        let stages = findings.filter_map(|it| state.findings.get(it)).map(|it| it.finding.stage);
        stages.max().unwrap_or(Stage::Pending)
    }

    /// Tells of an incident whoever asked for a more settled stage than it had before.
    pub(crate) fn tell_newly_reached(&mut self, id: IncidentId, summary: &str) {
        let dedup = id.to_string();
        let Some(thread) = self.engine.state.outbox.open_thread(&dedup) else { return };
        let (severity, stage) = (thread.severity, self.stage_of(id));
        let new = |it: &&Notifier| takes(it, severity, stage) && !thread.told.contains(&it.id);
        if !self.engine.plan.notifiers.iter().any(|it| new(&it)) {
            return;
        }
        let name = crate::grounds::stage_name(stage);
        let text = format!("incident {} is {name} now: {summary}", id.short());
        self.tell_incident(id, severity, AlertKind::Raised, text);
    }

    fn receivers(&self, note: &Note) -> Vec<String> {
        let closes = matches!(note.kind, AlertKind::Resolved | AlertKind::Retracted);
        let none = BTreeSet::new();
        let threads = &self.engine.state.outbox.threads;
        let told = threads.get(&note.dedup).map_or(&none, |it| &it.told);
        let wanted = |it: &&Notifier| {
            let loud = !closes && takes(it, note.severity, note.stage);
            (loud || told.contains(&it.id)) && note.except.as_ref() != Some(&it.id)
        };
        self.engine.plan.notifiers.iter().filter(wanted).map(|it| it.id.clone()).collect()
    }

    /// Whether people know it already. What is critical, or worse than what was told, never is.
    fn is_repeat(&self, note: &Note) -> bool {
        let outbox = &self.engine.state.outbox;
        let limits = &self.engine.limits;
        if note.severity == Severity::Critical {
            return false;
        }
        if outbox.waiting.len() >= limits.outbox_alerts_max {
            return true;
        }
        let Some(thread) = outbox.threads.get(&note.dedup) else { return false };
        if note.severity > thread.severity || !limits.bounds().in_window(thread, self.now) {
            return false;
        }
        (thread.open && thread.text == note.text) || thread.in_window >= limits.repeats_max
    }

    /// Pages for every chain that could not be looked at for as long as the plan allows, and closes the
    /// page of one that can.
    pub(crate) fn page_blindness(&mut self) {
        let mut notes = Vec::new();
        for config in &self.engine.plan.chains {
            let (chain, thread) = (config.id, blind_thread(config.id));
            let view = self.engine.state.chains.get(&chain.0);
            let paged = self.engine.state.outbox.open_thread(&thread).is_some();
            match view.and_then(|it| it.blind.as_ref()) {
                Some(it) if !paged && self.passed(it.since, config.blind_page_after.0) => {
                    let (from, because) = (it.from, &it.because);
                    let text = format!("blind since block {from} on {chain} because {because}");
                    notes.push(Note::of(Severity::Critical, AlertKind::Raised, thread, text));
                }
                None if paged => {
                    let at = self.engine.state.head(chain).map_or(0, |it| it.number);
                    let text = format!("{chain}: sight is back at block {at}");
                    notes.push(Note::of(Severity::High, AlertKind::Resolved, thread, text));
                }
                _ => {}
            }
        }
        for note in notes {
            self.tell(note);
        }
    }
}

fn takes(notifier: &Notifier, severity: Severity, stage: Stage) -> bool {
    severity >= notifier.severity && stage >= notifier.stage
}

/// The thread about blindness on a chain.
pub(crate) fn blind_thread(chain: ChainId) -> String {
    format!("blind/{chain}")
}

/// The thread of findings that belong to no incident. Its length is bounded by that of names.
pub(crate) fn finding_thread(finding: &Finding) -> String {
    let name = |it: &str| it.chars().filter(char::is_ascii_graphic).take(64).collect::<String>();
    format!("finding/{}/{}", name(&finding.rule), name(&finding.entity))
}
