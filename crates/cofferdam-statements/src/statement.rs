//! A statement and the words for it.

use alloy_primitives::B256;
use cofferdam_core::Timestamp;
use cofferdam_respond::CaseId;
use serde::{Deserialize, Serialize};

use crate::{Draft, StatementId, Tlp};

/// To whom something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Those whose money is in it.
    LiquidityProviders,
    /// Those who trade with it.
    Traders,
    /// Those who build on it.
    Integrators,
    /// Those who can hold stolen funds up.
    Exchanges,
    /// Anybody.
    Public,
}

impl Audience {
    /// Every audience.
    pub const ALL: [Self; 5] =
        [Self::LiquidityProviders, Self::Traders, Self::Integrators, Self::Exchanges, Self::Public];

    /// As written in commands and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::LiquidityProviders => "liquidity-providers",
            Self::Traders => "traders",
            Self::Integrators => "integrators",
            Self::Exchanges => "exchanges",
            Self::Public => "public",
        }
    }

    /// Whether anybody may belong to it. What is said to such an audience is public.
    pub fn is_open(self) -> bool {
        matches!(self, Self::LiquidityProviders | Self::Traders | Self::Public)
    }

    /// The most restrictive mark that a text to this audience can bear. Nobody addresses a group
    /// under TLP:RED or TLP:AMBER+STRICT.
    pub fn tlp_max(self) -> Tlp {
        if self.is_open() { Tlp::Clear } else { Tlp::Amber }
    }
}

/// How far the response is, as a reader outside needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is known that something is wrong.
    Holding,
    /// The loss is stopped.
    Contained,
    /// Service comes back in stages.
    Recovering,
    /// It is over.
    Resolved,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Holding, Self::Contained, Self::Recovering, Self::Resolved];

    /// As written in commands and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::Contained => "contained",
            Self::Recovering => "recovering",
            Self::Resolved => "resolved",
        }
    }

    /// The status of an incident in Atlassian's vocabulary.
    pub fn status(self) -> &'static str {
        match self {
            Self::Holding => "investigating",
            Self::Contained => "identified",
            Self::Recovering => "monitoring",
            Self::Resolved => "resolved",
        }
    }
}

/// How bad it is for users, in Atlassian's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Not at all.
    None,
    /// Something is slow or missing.
    Minor,
    /// A part does not work.
    Major,
    /// Nothing works, or money is lost.
    Critical,
}

impl Impact {
    /// As written in commands, records and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}

/// How a part of the service works, in Atlassian's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    /// As it should.
    Operational,
    /// Work was announced.
    UnderMaintenance,
    /// Worse than it should.
    DegradedPerformance,
    /// Partly not.
    PartialOutage,
    /// Not at all.
    MajorOutage,
}

impl ComponentState {
    /// As the page's files have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::UnderMaintenance => "under_maintenance",
            Self::DegradedPerformance => "degraded_performance",
            Self::PartialOutage => "partial_outage",
            Self::MajorOutage => "major_outage",
        }
    }

    /// For people.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::UnderMaintenance => "under maintenance",
            Self::DegradedPerformance => "degraded",
            Self::PartialOutage => "partial outage",
            Self::MajorOutage => "outage",
        }
    }
}

/// What was done with a statement, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Its id.
    pub id: StatementId,
    /// The case that it is about.
    pub case: CaseId,
    /// What it says.
    pub draft: Draft,
    /// Hash of that.
    pub digest: B256,
    /// Its drafting.
    pub drafted: Deed,
    /// Its approvals, each by another person than the author.
    pub approved: Vec<Deed>,
    /// Its publication.
    pub published: Option<Deed>,
    /// Published corrections of it, in order.
    pub corrections: Vec<StatementId>,
}

impl Statement {
    /// In words.
    pub fn state(&self) -> &'static str {
        match (&self.published, self.approved.is_empty(), self.corrections.is_empty()) {
            (Some(_), _, true) => "published",
            (Some(_), _, false) => "corrected",
            (None, false, _) => "approved",
            (None, true, _) => "draft",
        }
    }

    /// The statement as something that anybody may see; `None` if it is not.
    pub fn public(&self) -> Option<Public<'_>> {
        let published = self.published.as_ref()?;
        let open = self.draft.audience.is_open() && self.draft.tlp == Tlp::Clear;
        (open && !self.approved.is_empty()).then_some(Public { statement: self, at: published.at })
    }
}

/// A statement that anybody may see. Only [`Statement::public`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Public<'a> {
    statement: &'a Statement,
    at: Timestamp,
}

impl<'a> Public<'a> {
    /// The statement.
    pub fn statement(&self) -> &'a Statement {
        self.statement
    }

    /// When it was published.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}
