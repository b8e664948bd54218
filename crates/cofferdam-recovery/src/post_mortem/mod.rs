//! The post-mortem: what the journal knows of a case, as a document.
//!
//! **Invariant:** nothing in it is made up: what nobody recorded is named as missing. The public one is
//! only made once the case is over, under no embargo, without names, and holds no statement that was not public.

mod account;
mod html;
mod markdown;
mod names;
mod sections;

use cofferdam_core::Timestamp;
use cofferdam_respond::Case;
use cofferdam_statements::{Statements, Tlp};

pub use account::Account;

use crate::Gates;
use names::Names;

/// Most rows of a table; what is left out is told.
pub const ROWS_MAX: usize = 2_000;

/// What the document is made of.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// What was said.
    pub statements: &'a Statements,
    /// What was proved before reopening.
    pub gates: &'a Gates,
    /// Decisions and orders.
    pub account: &'a Account,
}

/// How it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Who may see it.
    pub tlp: Tlp,
    /// Whether people are named; otherwise by their role.
    pub names: bool,
    /// When it is made.
    pub now: Timestamp,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostMortemError {
    /// It is not over, and the document would be public.
    #[error("the case is {0}: a public post-mortem is made when it is over")]
    TooEarly(&'static str),
    /// Nothing is said about the case yet.
    #[error("there is an embargo until {0}: nothing is said in public before")]
    Embargo(String),
    /// When people answered is about them; it is not for the public.
    #[error("names are not for {0}")]
    Names(Tlp),
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A paragraph.
    Text(String),
    /// What nobody recorded.
    Missing(String),
    /// Rows under a header.
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) blocks: Vec<Block>,
}

/// The document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostMortem {
    title: String,
    tlp: Tlp,
    made: Timestamp,
    sections: Vec<Section>,
}

impl PostMortem {
    /// The document about `case`.
    ///
    /// # Errors
    /// It would be public too early, under an embargo, or with names.
    pub fn of(case: &Case, from: Sources<'_>, how: Options) -> Result<Self, PostMortemError> {
        let Options { tlp, names, now } = how;
        if tlp == Tlp::Clear && !case.state.is_over() {
            return Err(PostMortemError::TooEarly(case.state.word()));
        }
        if tlp == Tlp::Clear
            && let Some((until, _)) = from.statements.embargoes(&case.id).next()
        {
            return Err(PostMortemError::Embargo(until.clone()));
        }
        if names && tlp < Tlp::Amber {
            return Err(PostMortemError::Names(tlp));
        }
        let names =
            if names { Names::kept() } else { Names::of(case, from.statements, from.gates, now) };
        let sections = sections::all(case, from, &names, how);
        Ok(Self { title: names.hide(&case.title), tlp, made: now, sections })
    }

    /// As Markdown (CommonMark, tables of GitHub).
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// As one page without script, font or image from anywhere else.
    pub fn html(&self) -> String {
        html::write(self)
    }
}
