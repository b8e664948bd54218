//! Filling a template: from the case what the case knows, from the author what only people know.
//!
//! **Invariant:** a placeholder without a value is an error, never an empty text. What the case knows
//! cannot be said otherwise by hand.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;
use cofferdam_respond::{Case, Milestone};

use crate::{
    Statements, Template,
    template::Piece,
    words::{TextError, line, minute},
};

/// What a template can leave open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placeholder {
    /// Name of the protocol.
    Protocol,
    /// What the incident is about, as the plan names it.
    Entity,
    /// The chain it was first seen on.
    Chain,
    /// The case's short id.
    Case,
    /// Where the case stands.
    State,
    /// When the attack was first found.
    Detected,
    /// When the loss was stopped.
    Contained,
    /// What is affected.
    Scope,
    /// What the reader can do.
    Action,
    /// When the reader hears again.
    NextUpdate,
    /// Where to ask.
    Contact,
    /// Where the status page is; begins with `https://`.
    Page,
    /// What went wrong. A claim: it wants evidence.
    Cause,
    /// What was lost. A claim: it wants evidence.
    Loss,
}

impl Placeholder {
    /// Every placeholder.
    pub const ALL: [Self; 14] = [
        Self::Protocol,
        Self::Entity,
        Self::Chain,
        Self::Case,
        Self::State,
        Self::Detected,
        Self::Contained,
        Self::Scope,
        Self::Action,
        Self::NextUpdate,
        Self::Contact,
        Self::Page,
        Self::Cause,
        Self::Loss,
    ];

    /// Its name, as templates and commands have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Entity => "entity",
            Self::Chain => "chain",
            Self::Case => "case",
            Self::State => "state",
            Self::Detected => "detected",
            Self::Contained => "contained",
            Self::Scope => "scope",
            Self::Action => "action",
            Self::NextUpdate => "next-update",
            Self::Contact => "contact",
            Self::Page => "page",
            Self::Cause => "cause",
            Self::Loss => "loss",
        }
    }

    /// The placeholder of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether the case fills it.
    pub fn is_of_case(self) -> bool {
        matches!(
            self,
            Self::Entity
                | Self::Chain
                | Self::Case
                | Self::State
                | Self::Detected
                | Self::Contained
        )
    }
}

/// Why a template cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// Placeholders have no value.
    #[error("nothing is given for {}", names(.0))]
    Unfilled(Vec<Placeholder>),
    /// There is no placeholder of this name.
    #[error("there is no placeholder `{0}`")]
    Unknown(String),
    /// The case says what this is.
    #[error("`{}` is filled from the case and cannot be set", .0.name())]
    OfCase(Placeholder),
    /// A link that is not one to a page.
    #[error("`{}` has to begin with https:// and hold no spaces or quotes", .0.name())]
    Link(Placeholder),
    /// A value or what comes of it cannot be said.
    #[error(transparent)]
    Text(#[from] TextError),
}

fn names(holes: &[Placeholder]) -> String {
    holes.iter().map(|it| format!("`{}`", it.name())).collect::<Vec<_>>().join(", ")
}

/// What a template becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The title.
    pub title: String,
    /// The body.
    pub body: String,
}

/// Fills `template` for `case`, with what the author gives by name.
///
/// # Errors
/// A placeholder is left open or unknown, or a value cannot be said.
pub fn fill(
    template: &Template,
    case: &Case,
    statements: &Statements,
    given: &BTreeMap<String, String>,
) -> Result<Filled, FillError> {
    let mut values = of_case(case, statements)?;
    for (name, value) in given {
        let it = Placeholder::named(name).ok_or_else(|| FillError::Unknown(name.clone()))?;
        if it.is_of_case() {
            return Err(FillError::OfCase(it));
        }
        let value = line(name, value)?;
        if it == Placeholder::Page && !is_link(&value) {
            return Err(FillError::Link(it));
        }
        values.insert(it, value);
    }
    let holes = template.placeholders();
    let open: Vec<_> = holes.into_iter().filter(|it| !values.contains_key(it)).collect();
    if !open.is_empty() {
        return Err(FillError::Unfilled(open));
    }
    let write = |pieces: &[Piece]| -> String {
        let text = |it: &Piece| match it {
            Piece::Text(it) => it.clone(),
            Piece::Hole(it) => values.get(it).cloned().unwrap_or_default(),
        };
        pieces.iter().map(text).collect()
    };
    let title = line("the title", &write(&template.title))?;
    let body = crate::words::paragraphs("the text", &write(&template.body))?;
    Ok(Filled { title, body })
}

/// What the case knows.
fn of_case(
    case: &Case,
    statements: &Statements,
) -> Result<BTreeMap<Placeholder, String>, FillError> {
    let mut out = BTreeMap::new();
    out.insert(Placeholder::Case, case.id.short());
    out.insert(Placeholder::State, case.state.word().to_owned());
    let when = |it: Milestone| case.milestones.get(&it).copied();
    let detected: Timestamp = when(Milestone::Found).unwrap_or(case.opened);
    out.insert(Placeholder::Detected, minute(detected));
    if let Some(at) = when(Milestone::Contained) {
        out.insert(Placeholder::Contained, minute(at));
    }
    let known = case.incidents.iter().filter_map(|it| statements.known(it));
    let (mut entities, mut chains) = (Vec::new(), Vec::new());
    for it in known {
        for (list, value) in [(&mut entities, &it.entity), (&mut chains, &it.chain)] {
            if !value.is_empty() && !list.contains(value) {
                list.push(value.clone());
            }
        }
    }
    for (hole, list) in [(Placeholder::Entity, entities), (Placeholder::Chain, chains)] {
        if !list.is_empty() {
            out.insert(hole, line(hole.name(), &list.join(", "))?);
        }
    }
    Ok(out)
}

/// Whether `text` is a link to a page, and nothing that leads out of a quoted attribute.
pub(crate) fn is_link(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|it| {
        !it.is_empty() && it.chars().all(|it| it.is_ascii_graphic() && !"\"'<>\\`{}|^".contains(it))
    })
}

#[cfg(test)]
mod tests {
    use super::is_link;

    #[test]
    fn a_link_is_a_link() {
        assert!(is_link("https://status.example/x?y=1#z"));
        for it in [
            "http://a",
            "https://",
            "javascript:1",
            "https://a b",
            "https://a\"onload=",
            "https://a<",
        ] {
            assert!(!is_link(it), "{it}");
        }
    }
}
