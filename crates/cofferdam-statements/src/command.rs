//! What people may do: commands become events, or are refused with a reason.
//!
//! **Invariant:** a command changes nothing by itself; its event does once it is in the journal.
//!
//! **Invariant:** while a case is not contained, nothing is approved or published about it. What tips an
//! attacker off stays unsaid in public until the cause is gone. Both hold at approval and again at
//! publication: a second act of the attacker takes a statement that was approved back.

use cofferdam_core::Timestamp;
use cofferdam_respond::{Case, CaseId, CaseState, Cases};

use crate::{
    ComponentState, Draft, Statement, StatementEvent, StatementId, Statements, TextError, Tlp,
    event::board,
    tips::{tips, unproved},
    words::{line, paragraphs, same_person},
};

/// Most pieces of evidence of a statement.
pub const EVIDENCE_MAX: usize = 20;
/// Most statements of a case.
pub const STATEMENTS_MAX: usize = 1_000;
/// Most parts of the service.
pub const COMPONENTS_MAX: usize = 200;

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such case.
    #[error("there is no such case")]
    NoCase,
    /// There is no such statement.
    #[error("there is no such statement")]
    NoStatement,
    /// The case is not contained; said now, it would precede containment.
    #[error(
        "the case is {}, not contained: nothing is said before{}", .state.word(), told(.tips)
    )]
    NotContained {
        /// Where the case stands.
        state: CaseState,
        /// What in the text would tip an attacker off besides.
        tips: Vec<String>,
    },
    /// Something has to happen first.
    #[error("there is an embargo until {until}, set by {by}")]
    Embargo {
        /// What.
        until: String,
        /// Who said so.
        by: String,
    },
    /// The text tells an attacker something while the cause is not gone.
    #[error("the text tips an attacker off while the cause is not gone: {}", .0.join(", "))]
    TipsOff(Vec<String>),
    /// The author cannot approve.
    #[error("{0} wrote it: another person has to approve")]
    OwnApproval(String),
    /// The person approved already.
    #[error("{0} has approved it already")]
    Again(String),
    /// Nobody has approved it.
    #[error("nobody but the author has read it: it has to be approved first")]
    NotApproved,
    /// It is published already; what was published is not changed.
    #[error("it is published: what was published is corrected, not changed")]
    Published,
    /// Only what was published is handed over.
    #[error("it is not published: only what was published is handed over")]
    Unpublished,
    /// Only what was published is corrected.
    #[error("it is not published: draft it anew instead of correcting it")]
    NotPublished,
    /// A correction is for those who read what it corrects.
    #[error("a correction has the audience and the mark of what it corrects")]
    OtherReaders,
    /// The mark is above what the audience can be given.
    #[error("{tlp} is above {max}, the most for {audience}")]
    Mark {
        /// The mark.
        tlp: Tlp,
        /// The highest for this audience.
        max: Tlp,
        /// The audience.
        audience: &'static str,
    },
    /// It claims what nothing proves.
    #[error("it claims `{0}` and gives no evidence")]
    Unproved(&'static str),
    /// There is no such embargo.
    #[error("there is no embargo until {0}")]
    NoEmbargo(String),
    /// A part of the service is only said to fail because of a case.
    #[error("a component that is not operational or under maintenance needs a case")]
    NoReason,
    /// There are too many.
    #[error("there are more than {max} {what}")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A text cannot be said.
    #[error(transparent)]
    Text(#[from] TextError),
}

fn told(tips: &[String]) -> String {
    match tips {
        [] => String::new(),
        some => format!("; it also tips an attacker off: {}", some.join(", ")),
    }
}

impl Statements {
    /// Drafts a statement about `case`. A draft may be written at any time.
    ///
    /// # Errors
    /// Its texts, its mark or what it corrects are not as they must be.
    pub fn draft(
        &self,
        cases: &Cases,
        now: Timestamp,
        case: CaseId,
        by: &str,
        draft: Draft,
    ) -> Result<StatementEvent, Refusal> {
        let case = find(cases, case)?.id;
        if self.all().filter(|it| it.case == case).count() >= STATEMENTS_MAX {
            return Err(Refusal::TooMany { what: "statements", max: STATEMENTS_MAX });
        }
        let by = line("the name of the author", by)?;
        let draft = self.checked(draft)?;
        let statement = StatementId::derive(&case, now, &by, &draft.digest());
        Ok(StatementEvent::StatementDrafted { statement, draft, by })
    }

    fn checked(&self, draft: Draft) -> Result<Draft, Refusal> {
        let max = draft.audience.tlp_max();
        if draft.tlp > max {
            let audience = draft.audience.word();
            return Err(Refusal::Mark { tlp: draft.tlp, max, audience });
        }
        if draft.evidence.len() > EVIDENCE_MAX {
            return Err(Refusal::TooMany { what: "pieces of evidence", max: EVIDENCE_MAX });
        }
        if let Some(earlier) = draft.corrects {
            let earlier = self.get(&earlier).ok_or(Refusal::NoStatement)?;
            if earlier.published.is_none() {
                return Err(Refusal::NotPublished);
            }
            let same = (earlier.draft.audience, earlier.draft.tlp) == (draft.audience, draft.tlp);
            if !same {
                return Err(Refusal::OtherReaders);
            }
        }
        let evidence: Result<_, _> =
            draft.evidence.iter().map(|it| line("a piece of evidence", it)).collect();
        Ok(Draft {
            title: line("the title", &draft.title)?,
            body: paragraphs("the text", &draft.body)?,
            evidence: evidence?,
            ..draft
        })
    }

    /// Approves a statement as it stands.
    ///
    /// # Errors
    /// `by` wrote or approved it, it claims what nothing proves, or it may not be said now.
    pub fn approve(
        &self,
        cases: &Cases,
        id: StatementId,
        by: &str,
    ) -> Result<StatementEvent, Refusal> {
        let it = self.get(&id).ok_or(Refusal::NoStatement)?;
        let by = line("the name of who approves", by)?;
        if it.published.is_some() {
            return Err(Refusal::Published);
        }
        if same_person(&it.drafted.by, &by) {
            return Err(Refusal::OwnApproval(by));
        }
        if it.approved.iter().any(|it| same_person(&it.by, &by)) {
            return Err(Refusal::Again(by));
        }
        if let Some(claim) = unproved(&it.draft) {
            return Err(Refusal::Unproved(claim));
        }
        self.may_be_said(cases, it)?;
        Ok(StatementEvent::StatementApproved { statement: id, digest: it.digest, by })
    }

    /// Publishes a statement that was approved.
    ///
    /// # Errors
    /// Nobody approved it, it is published already, or it may not be said now.
    pub fn publish(
        &self,
        cases: &Cases,
        id: StatementId,
        by: &str,
    ) -> Result<StatementEvent, Refusal> {
        let it = self.get(&id).ok_or(Refusal::NoStatement)?;
        let by = line("the name of who publishes", by)?;
        if it.published.is_some() {
            return Err(Refusal::Published);
        }
        if it.approved.is_empty() {
            return Err(Refusal::NotApproved);
        }
        self.may_be_said(cases, it)?;
        Ok(StatementEvent::StatementPublished { statement: id, digest: it.digest, by })
    }

    /// Forbids that anything is said about a case before something has happened.
    ///
    /// # Errors
    /// There is no such case, or a text is missing.
    pub fn set_embargo(
        &self,
        cases: &Cases,
        case: CaseId,
        by: &str,
        until: &str,
    ) -> Result<StatementEvent, Refusal> {
        find(cases, case)?;
        let until = line("what has to happen", until)?;
        Ok(StatementEvent::EmbargoSet { until, by: line("the name", by)? })
    }

    /// Takes an embargo back.
    ///
    /// # Errors
    /// There is none of this text, or a text is missing.
    pub fn lift_embargo(
        &self,
        cases: &Cases,
        case: CaseId,
        by: &str,
        until: &str,
        because: &str,
    ) -> Result<StatementEvent, Refusal> {
        let case = find(cases, case)?.id;
        let until = line("what has to happen", until)?;
        if !self.embargoes(&case).any(|it| *it.0 == until) {
            return Err(Refusal::NoEmbargo(until));
        }
        let because = line("the reason", because)?;
        Ok(StatementEvent::EmbargoLifted { until, because, by: line("the name", by)? })
    }

    /// Sets how a part of the service works. With the id under which the journal keeps it.
    ///
    /// # Errors
    /// It fails because of no case, or because of one that is not contained or under embargo.
    pub fn set_component(
        &self,
        cases: &Cases,
        case: Option<CaseId>,
        by: &str,
        component: &str,
        state: ComponentState,
    ) -> Result<(CaseId, StatementEvent), Refusal> {
        let component = line("the name of the component", component)?;
        let known = self.components().any(|it| it.name == component);
        if !known && self.components().count() >= COMPONENTS_MAX {
            return Err(Refusal::TooMany { what: "components", max: COMPONENTS_MAX });
        }
        let ordinary =
            matches!(state, ComponentState::Operational | ComponentState::UnderMaintenance);
        let id = match case {
            Some(id) => {
                let case = find(cases, id)?;
                self.is_free(cases, case, Vec::new())?;
                case.id
            }
            None if ordinary => board(),
            None => return Err(Refusal::NoReason),
        };
        let by = line("the name", by)?;
        Ok((id, StatementEvent::ComponentSet { component, state, by }))
    }

    /// Whether what `it` says may be said now.
    fn may_be_said(&self, cases: &Cases, it: &Statement) -> Result<(), Refusal> {
        let case = find(cases, it.case)?;
        let tips = tips(&it.draft, case, self);
        self.is_free(cases, case, tips.clone())?;
        let gone = !matches!(case.state, CaseState::Contained);
        if it.draft.audience.is_open() && !gone && !tips.is_empty() {
            return Err(Refusal::TipsOff(tips));
        }
        Ok(())
    }

    /// Whether the case is contained and under no embargo, nor one that was merged into it.
    fn is_free(&self, cases: &Cases, case: &Case, tips: Vec<String>) -> Result<(), Refusal> {
        if matches!(case.state, CaseState::Detected | CaseState::Triaged) {
            return Err(Refusal::NotContained { state: case.state, tips });
        }
        let here = |it: CaseId| find(cases, it).is_ok_and(|it| it.id == case.id);
        match self.every_embargo().find(|it| here(it.0)) {
            Some((_, until, deed)) => {
                Err(Refusal::Embargo { until: until.to_owned(), by: deed.by.clone() })
            }
            None => Ok(()),
        }
    }
}

/// The case, or the one that it was merged into.
pub(crate) fn find(cases: &Cases, id: CaseId) -> Result<&Case, Refusal> {
    let mut case = cases.get(&id).ok_or(Refusal::NoCase)?;
    // A chain of merges cannot be longer than there are cases.
    for _ in 0..cases.all().len() {
        match case.merged_into {
            Some(further) => case = cases.get(&further).ok_or(Refusal::NoCase)?,
            None => break,
        }
    }
    Ok(case)
}
