//! What can go wrong: [`ExprError`] when an expression is loaded, [`Fault`] when it is evaluated.
//!
//! **Invariant:** an error at load names the text and the bytes it is about; a fault is never turned
//! into *false*.

use std::fmt;

/// Bytes of one source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// The byte after the last.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the beginning of `self` to the end of `other`.
    pub(crate) fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The bytes in `text`, or nothing if they are not in it.
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// What is wrong, before it is known in which text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where.
    pub(crate) span: Span,
    /// What, lower-case, without a full stop.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(span: Span, what: impl Into<String>) -> Self {
        Self { span, what: what.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    pub(crate) fn within(self, place: &str, text: &str) -> ExprError {
        ExprError {
            place: place.into(),
            text: text.into(),
            span: self.span,
            what: self.what,
            hint: self.hint,
        }
    }
}

/// An expression that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ExprError {
    /// The setting that holds the text, e.g. `if` or `let.tvl`.
    pub(crate) place: String,
    /// The text.
    pub(crate) text: String,
    /// The bytes at fault.
    pub(crate) span: Span,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl ExprError {
    /// Line and column of the first byte at fault, both from 1; the column counts characters.
    pub(crate) fn position(&self) -> (usize, usize) {
        let before = self.text.get(..self.span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl fmt::Display for ExprError {
    /// The message, the line it is about and carets under the bytes at fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        let text =
            self.text.split('\n').nth(line - 1).unwrap_or_default().replace(['\t', '\r'], " ");
        let width = self.span.of(&self.text).split('\n').next().unwrap_or_default().chars().count();
        let gutter = line.to_string().len();
        writeln!(f, "{}", self.what)?;
        writeln!(f, "{:gutter$}--> {}, line {line}, column {column}", "", self.place)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{:gutter$} | {:skip$}{}", "", "", "^".repeat(width.max(1)), skip = column - 1)
    }
}

/// Why an evaluation has no result. A whole word for the sake of results, as the sign of an integer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[repr(u64)]
pub(crate) enum Fault {
    #[error("the result has more than 256 bits")]
    Overflow,
    #[error("division by zero")]
    DivisionByZero,
    #[error("square root of a negative number")]
    NegativeRoot,
    #[error("the number is negative or too large for this type")]
    Range,
    #[error("the state was not available")]
    Unavailable,
    #[error("the call reverted")]
    Reverted,
    #[error("the answer is too short or not of the declared type")]
    Malformed,
    #[error("the log or calldata does not have the declared shape")]
    Shape,
    #[error("the call tree and state diff were not available")]
    Untraced,
    #[error("the plan has no price for the token")]
    Unpriced,
    #[error("the window has reached its limit of {} keys", super::window::WINDOW_KEYS_MAX)]
    Keys,
    #[error("the window has reached its limit of {} entries", super::window::WINDOW_ENTRIES_MAX)]
    Entries,
    #[error("the expression is damaged")]
    Damaged,
}

/// A fault and the bytes of the expression it arose in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) fault: Fault,
    pub(crate) place: super::typed::Place,
}

/// The name of `known` most like `name`, if any is like it at all: at most a third of the letters
/// differ (Levenshtein distance).
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are not compared: the distance costs the product of the lengths.
    const NAME_CHARS_MAX: usize = 64;
    let wanted: Vec<char> = name.chars().take(NAME_CHARS_MAX).collect();
    let allowed = (wanted.len() / 3).max(1);
    let scored = known.into_iter().map(|it| (distance(&wanted, it), it));
    scored.filter(|it| it.0 <= allowed).min_by_key(|it| it.0).map(|it| it.1)
}

fn distance(wanted: &[char], other: &str) -> usize {
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (index, letter) in other.chars().enumerate() {
        let mut diagonal = index;
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
        let mut left = index + 1;
        for (cell, want) in row.iter_mut().skip(1).zip(wanted) {
            let replace = diagonal + usize::from(*want != letter);
            diagonal = *cell;
            left = replace.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_and_a_strange_one_is_not() {
        let known = ["amount", "from", "token", "tx.from"];
        assert_eq!(nearest("amont", known), Some("amount"));
        assert_eq!(nearest("form", ["from", "token"]), None);
        assert_eq!(nearest("tx_from", known), Some("tx.from"));
        assert_eq!(nearest("liquidity", known), None);
    }
}
