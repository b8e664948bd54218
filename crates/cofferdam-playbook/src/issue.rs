//! What is wrong with a playbook: each thing with its rule, its place and what to do.
//!
//! **Invariant:** a profile changes how much an issue weighs, never whether it is told.

use std::{cell::RefCell, fmt};

use serde::Serialize;

use crate::json::Span;

/// Issues that are kept of one document; more are counted only.
pub const ISSUES_SHOWN_MAX: usize = 100;

/// How strictly a document is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The text of the standard.
    #[default]
    Strict,
    /// What SOARCA and its examples write as well; it is told, but taken.
    Soarca,
}

/// How much an issue weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Taken, but somebody should look.
    Warning,
    /// Not taken.
    Error,
}

macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident = $text:literal, $strict:ident, $soarca:ident;)*) => {
        /// What an issue is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Rule {
            $($(#[$meta])* $name,)*
        }

        impl Rule {
            /// Its name as a person sees it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How much it weighs under `profile`.
            pub fn level(self, profile: Profile) -> Level {
                match (self, profile) {
                    $((Self::$name, Profile::Strict) => Level::$strict,
                      (Self::$name, Profile::Soarca) => Level::$soarca,)*
                }
            }
        }
    };
}

rules! {
    /// The text is no JSON, or beyond a limit.
    Json = "json", Error, Error;
    /// A value of the wrong JSON type.
    Kind = "kind", Error, Error;
    /// A property that must be there is not.
    Missing = "missing", Error, Error;
    /// A property that the standard does not know, outside an extension.
    Unknown = "unknown-property", Error, Warning;
    /// Not an identifier: `type--UUID`.
    Identifier = "identifier", Error, Warning;
    /// An identifier whose type is not that of what it names.
    IdentifierKind = "identifier-kind", Error, Error;
    /// Not a timestamp.
    Time = "timestamp", Error, Error;
    /// A timestamp without exactly three fractional digits.
    Precision = "timestamp-precision", Error, Warning;
    /// A number or a text outside its bounds.
    Bounds = "bounds", Error, Error;
    /// A word outside a closed vocabulary.
    Word = "vocabulary", Error, Error;
    /// A word outside an open vocabulary where a reader will expect one of it.
    OpenWord = "open-vocabulary", Warning, Warning;
    /// A pointer to a step, agent, target, marking or extension that is not there.
    Dangling = "dangling-reference", Error, Error;
    /// `workflow_exception` names no step.
    DanglingException = "dangling-exception", Error, Warning;
    /// `workflow_start` names no start step.
    Start = "workflow-start", Error, Warning;
    /// The workflow lacks one of the steps that every playbook has.
    Shape = "workflow-shape", Error, Warning;
    /// `on_completion`, `on_success` and `on_failure` in a combination that the standard forbids.
    Pointers = "pointers", Error, Error;
    /// `modified` before `created`.
    TimeOrder = "time-order", Error, Warning;
    /// `valid_until` not after `valid_from`.
    Validity = "validity", Error, Error;
    /// A command without its content.
    Body = "command-body", Error, Error;
    /// A step that nothing leads to.
    Unreachable = "unreachable", Warning, Warning;
    /// A step from which no end can be reached.
    NoEnd = "no-end", Error, Error;
    /// A branch or loop body that leads back to its own condition.
    Reentry = "re-entry", Error, Error;
    /// A ring of plain pointers: it ends only by a limit of ours or by a branch that leaves it.
    Ring = "ring", Warning, Warning;
    /// A variable that nobody defines.
    Undefined = "undefined-variable", Error, Error;
    /// A value that its variable's type does not allow.
    Mistyped = "mistyped-variable", Error, Error;
    /// A constant that a step would write.
    Constant = "constant-overwritten", Error, Error;
    /// The same branch twice in one parallel step.
    Twice = "duplicate-branch", Error, Error;
    /// A switch without `default`.
    NoDefault = "no-default", Warning, Warning;
    /// Two branches that end in the same end step.
    SharedEnd = "shared-end", Warning, Warning;
    /// An exception path that does nothing: an exception becomes a silent success.
    SilentException = "silent-exception", Warning, Warning;
    /// The same in a playbook for the gravest incidents.
    SilentGraveException = "silent-exception-p1", Error, Warning;
    /// A condition that cannot be read.
    Condition = "condition", Error, Error;
    /// A step of ours whose extension cannot be read.
    Perform = "perform", Error, Error;
    /// A command that the plan does not allow.
    NotAllowed = "not-in-plan", Error, Error;
    /// A secret inside a document that is passed around.
    Secret = "secret-in-playbook", Warning, Warning;
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// What it is about.
    pub rule: Rule,
    /// How much it weighs.
    pub level: Level,
    /// Line of its place, from 1.
    pub line: usize,
    /// Column of its place in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do, if that can be told.
    pub hint: Option<String>,
    /// Whether the line holds a secret and must not be shown.
    pub sensitive: bool,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{}:{}: {level}[{}]: {}", self.line, self.column, self.rule.name(), self.message)
    }
}

#[derive(Debug)]
struct Raw {
    rule: Rule,
    at: usize,
    message: String,
    hint: Option<String>,
    sensitive: bool,
}

/// Collects issues while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    raw: RefCell<Vec<Raw>>,
}

impl Desk {
    pub(crate) fn tell(&self, rule: Rule, span: &Span, message: impl Into<String>) {
        self.push(rule, span, message.into(), None, false);
    }

    pub(crate) fn hint(
        &self,
        rule: Rule,
        span: &Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(rule, span, message.into(), Some(hint.into()), false);
    }

    /// About a line that must not be shown.
    pub(crate) fn secret(&self, span: &Span, message: impl Into<String>, hint: &str) {
        self.push(Rule::Secret, span, message.into(), Some(hint.to_owned()), true);
    }

    fn push(&self, rule: Rule, span: &Span, message: String, hint: Option<String>, secret: bool) {
        let raw = Raw { rule, at: span.start, message, hint, sensitive: secret };
        self.raw.borrow_mut().push(raw);
    }

    /// The issues in the order of the text: the first [`ISSUES_SHOWN_MAX`], errors never cut before
    /// warnings, and how many more there were.
    pub(crate) fn close(self, text: &str, profile: Profile) -> (Vec<Issue>, usize) {
        let mut raw = self.raw.into_inner();
        raw.sort_by(|a, b| {
            let level = |it: &Raw| std::cmp::Reverse(it.rule.level(profile));
            (level(a), a.at, a.rule, &a.message).cmp(&(level(b), b.at, b.rule, &b.message))
        });
        raw.dedup_by(|a, b| (a.rule, a.at, &a.message) == (b.rule, b.at, &b.message));
        let more = raw.len().saturating_sub(ISSUES_SHOWN_MAX);
        raw.truncate(ISSUES_SHOWN_MAX);
        raw.sort_by_key(|it| it.at);
        let mut lines = Lines { text, at: 0, line: 1, start: 0 };
        let issues = raw
            .into_iter()
            .map(|it| {
                let (line, column) = lines.place(it.at);
                Issue {
                    rule: it.rule,
                    level: it.rule.level(profile),
                    line,
                    column,
                    message: it.message,
                    hint: it.hint,
                    sensitive: it.sensitive,
                }
            })
            .collect();
        (issues, more)
    }
}

/// Places in ascending order become lines and columns in one pass.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    start: usize,
}

impl Lines<'_> {
    fn place(&mut self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        for (index, byte) in self.text.as_bytes()[self.at..at].iter().enumerate() {
            if *byte == b'\n' {
                self.line += 1;
                self.start = self.at + index + 1;
            }
        }
        self.at = at;
        let column = self.text.get(self.start..at).map_or(1, |it| it.chars().count() + 1);
        (self.line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::{Desk, Level, Profile, Rule};

    #[test]
    fn places_become_lines_and_columns() {
        let text = "ab\nçd\n\nxyz";
        let desk = Desk::default();
        desk.tell(Rule::Dangling, &(5..6), "second");
        desk.tell(Rule::Kind, &(1..2), "first");
        desk.tell(Rule::Kind, &(9..10), "third");
        let (issues, more) = desk.close(text, Profile::Strict);
        let places: Vec<_> = issues.iter().map(|it| (it.line, it.column)).collect();
        assert_eq!((places, more), (vec![(1, 2), (2, 2), (4, 2)], 0));
    }

    #[test]
    fn warnings_are_cut_before_errors() {
        let desk = Desk::default();
        for at in 0..200 {
            desk.tell(Rule::Unreachable, &(at..at), "a warning");
        }
        desk.tell(Rule::NoEnd, &(300..300), "an error");
        let (issues, more) = desk.close(&" ".repeat(400), Profile::Soarca);
        assert_eq!((issues.len(), more), (100, 101));
        assert_eq!(issues.last().map(|it| it.level), Some(Level::Error));
    }
}
