//! The status page: what anybody may see, as files that any web server hands out.
//!
//! The files have the paths and shapes of Atlassian Statuspage v2 (`/api/v2/summary.json` and so on), so that
//! what reads those pages reads this one; feeds are RSS 2.0 and Atom (RFC 4287).
//!
//! **Invariant:** everything on the page comes from [`Public`] statements, from components, and from
//! [`Settings`]; of a case it takes its id and nothing else.

mod feeds;
mod html;
mod json;

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;
use cofferdam_respond::{CaseId, Cases};

use crate::{
    ComponentState, Impact, Phase, Public, Statement, StatementId, Statements, TextError,
    command::find,
    event::{board, hash},
    fill::is_link,
    statements::Component,
    words::line,
};

/// Most incidents in feeds and in `incidents.json`, as Atlassian has it.
pub const INCIDENTS_MAX: usize = 50;

/// What the page is called and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    name: String,
    url: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Its address is none.
    #[error("the page's address has to begin with https:// and hold no spaces or quotes")]
    Url,
    /// Its name cannot be said.
    #[error(transparent)]
    Name(#[from] TextError),
    /// A file cannot be written as JSON.
    #[error("a file of the page cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl Settings {
    /// A page called `name` that stands at `url`.
    ///
    /// # Errors
    /// One of them cannot stand in a page.
    pub fn new(name: &str, url: &str) -> Result<Self, PageError> {
        let url = url.trim().trim_end_matches('/');
        if !is_link(url) {
            return Err(PageError::Url);
        }
        Ok(Self { name: line("the page's name", name)?, url: url.to_owned() })
    }
}

/// One message of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Update {
    id: StatementId,
    at: Timestamp,
    phase: Phase,
    audience: &'static str,
    title: String,
    body: String,
    /// When what it corrects was published.
    corrects: Option<Timestamp>,
    /// When a correction of it was published.
    corrected: Option<Timestamp>,
}

/// A case as the public sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Incident {
    id: String,
    name: String,
    impact: Impact,
    phase: Phase,
    components: Vec<String>,
    /// The latest first.
    updates: Vec<Update>,
}

impl Incident {
    /// When something was first said.
    fn created(&self) -> Timestamp {
        self.updates.last().map_or_else(Timestamp::default, |it| it.at)
    }

    /// When something was last said.
    fn updated(&self) -> Timestamp {
        self.updates.first().map_or_else(Timestamp::default, |it| it.at)
    }

    /// When it came to be in `phase`, if it still is.
    fn since(&self, phase: Phase) -> Option<Timestamp> {
        let last = self.updates.iter().take_while(|it| it.phase == phase).last();
        last.map(|it| it.at)
    }
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    settings: Settings,
    id: String,
    updated: Timestamp,
    components: Vec<Component>,
    /// The latest first.
    incidents: Vec<Incident>,
}

impl Page {
    /// The page of what was published. Time is that of the latest publication: writing it again
    /// changes nothing.
    pub fn of(settings: Settings, statements: &Statements, cases: &Cases) -> Self {
        let mut by_case: BTreeMap<CaseId, Vec<Public<'_>>> = BTreeMap::new();
        for it in statements.all().filter_map(Statement::public) {
            let case = it.statement().case;
            let case = find(cases, case).map_or(case, |it| it.id);
            by_case.entry(case).or_default().push(it);
        }
        let components: Vec<Component> = statements.components().cloned().collect();
        let mut incidents: Vec<Incident> = by_case
            .into_iter()
            .map(|(case, said)| incident(case, said, statements, &components))
            .collect();
        incidents.sort_by_key(|it| std::cmp::Reverse((it.created(), it.id.clone())));
        let times =
            incidents.iter().map(Incident::updated).chain(components.iter().map(|it| it.updated));
        let updated = times.max().unwrap_or_default();
        let id = code("page", &[settings.url.as_bytes()]);
        Self { settings, id, updated, components, incidents }
    }

    /// The files by their path below the page's folder, in order.
    ///
    /// # Errors
    /// One cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<(&'static str, String)>, PageError> {
        use crate::escape::json as text;
        Ok(vec![
            ("api/v2/components.json", text(&json::components(self))?),
            ("api/v2/incidents.json", text(&json::incidents(self))?),
            ("api/v2/status.json", text(&json::status(self))?),
            ("api/v2/summary.json", text(&json::summary(self))?),
            ("history.atom", feeds::atom(self)),
            ("history.rss", feeds::rss(self)),
            ("index.html", html::index(self)),
        ])
    }

    /// How many incidents it shows.
    pub fn incidents(&self) -> usize {
        self.incidents.len()
    }

    /// How bad it is now, and in Atlassian's words for people.
    fn status(&self) -> (&'static str, &'static str) {
        let of_component = |it: &Component| match it.state {
            ComponentState::Operational | ComponentState::UnderMaintenance => Impact::None,
            ComponentState::DegradedPerformance => Impact::Minor,
            ComponentState::PartialOutage => Impact::Major,
            ComponentState::MajorOutage => Impact::Critical,
        };
        let open = self.incidents.iter().filter(|it| it.phase != Phase::Resolved);
        let worst = self.components.iter().map(of_component).chain(open.map(|it| it.impact)).max();
        let works = |it: &Component| it.state != ComponentState::UnderMaintenance;
        match worst.unwrap_or(Impact::None) {
            Impact::None if !self.components.iter().all(works) => {
                ("maintenance", "Service Under Maintenance")
            }
            Impact::None => ("none", "All Systems Operational"),
            Impact::Minor => ("minor", "Partially Degraded Service"),
            Impact::Major => ("major", "Partial System Outage"),
            Impact::Critical => ("critical", "Major Service Outage"),
        }
    }

    fn link(&self, incident: &Incident) -> String {
        format!("{}/#{}", self.settings.url, incident.id)
    }
}

fn incident(
    case: CaseId,
    mut said: Vec<Public<'_>>,
    statements: &Statements,
    components: &[Component],
) -> Incident {
    said.sort_by_key(|it| std::cmp::Reverse((it.at(), it.statement().id)));
    let published = |it: &StatementId| Some(statements.get(it)?.published.as_ref()?.at);
    let update = |it: &Public<'_>| {
        let one = it.statement();
        Update {
            id: one.id,
            at: it.at(),
            phase: one.draft.phase,
            audience: one.draft.audience.word(),
            title: one.draft.title.clone(),
            body: one.draft.body.clone(),
            corrects: one.draft.corrects.as_ref().and_then(published),
            corrected: one.corrections.first().and_then(published),
        }
    };
    let latest = said.first().map(|it| &it.statement().draft);
    let first = said.last().map(|it| &it.statement().draft);
    let mut named: Vec<String> =
        components.iter().filter(|it| it.case == case).map(|it| it.name.clone()).collect();
    named.sort();
    Incident {
        id: code("incident", &[case.0.as_slice()]),
        name: first.map_or_else(String::new, |it| it.title.clone()),
        impact: latest.map_or(Impact::None, |it| it.impact),
        phase: latest.map_or(Phase::Holding, |it| it.phase),
        components: named,
        updates: said.iter().map(update).collect(),
    }
}

/// Twelve letters and digits, as Atlassian's ids are.
fn code(what: &str, parts: &[&[u8]]) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let digest = hash(&format!("cofferdam/status-page/{what}"), parts);
    digest.iter().take(12).map(|it| char::from(LETTERS[usize::from(*it) % 36])).collect()
}

/// A component's id on the page.
fn component_id(name: &str) -> String {
    code("component", &[board().0.as_slice(), name.as_bytes()])
}
