//! Where each value of a plan stands in its file, so that whoever finds fault with a value later (a
//! detector with its settings, say) can point at it.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::PlanError;

/// One step of a path into a plan: a key of a table or an index of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A key.
    Key(&'a str),
    /// An index, from 0.
    Index(usize),
}

/// Where each value of a file stands.
#[derive(Clone, Debug)]
pub struct SourceMap {
    text: String,
    root: Node,
}

#[derive(Clone, Debug)]
struct Node {
    /// The value; for a table with a header, the header.
    value: Range<usize>,
    key: Option<Range<usize>>,
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Leaf,
    Table(BTreeMap<String, Node>),
    Array(Vec<Node>),
}

impl SourceMap {
    pub(super) fn new(text: &str, root: &Spanned<DeTable<'_>>) -> Self {
        let inner = table(root.get_ref());
        Self { text: text.to_owned(), root: Node { value: root.span(), key: None, inner } }
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes of the value at `path`, `None` if the file does not state it. A table with a header is
    /// where its header is.
    pub fn span_of(&self, path: &[Step<'_>]) -> Option<Range<usize>> {
        self.node(path).map(|it| it.value.clone())
    }

    /// Bytes of the key at `path`, `None` if the file does not state it.
    pub fn key_span_of(&self, path: &[Step<'_>]) -> Option<Range<usize>> {
        self.node(path).and_then(|it| it.key.clone())
    }

    /// Bytes of the value at `path`, or of the closest value around it that the file states.
    pub fn nearest_span_of(&self, path: &[Step<'_>]) -> Range<usize> {
        let mut node = &self.root;
        for step in path {
            match node.step(*step) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        node.value.clone()
    }

    /// Bytes of a part of the text at `path`, `inside` counting from the start of its content: how a
    /// language inside a string points into the file. The whole text, if it has escapes.
    pub fn span_inside(&self, path: &[Step<'_>], inside: Range<usize>) -> Range<usize> {
        let whole = self.nearest_span_of(path);
        let Some(raw) = self.text.get(whole.clone()) else { return whole };
        let quotes = ["\"\"\"", "'''", "\"", "'"];
        let Some(quote) = quotes.iter().find(|it| raw.starts_with(**it)) else { return whole };
        let rest = &raw[quote.len()..];
        let literal = quote.starts_with('\'');
        if rest.contains('\r') || (!literal && rest.contains('\\')) {
            return whole;
        }
        // TOML drops a line break right after the opening quotes of a multi-line text.
        let dropped = usize::from(quote.len() == 3 && rest.starts_with('\n'));
        let start = whole.start + quote.len() + dropped;
        let end = whole.end.saturating_sub(quote.len()).max(start);
        let clamp = |it: usize| start.saturating_add(it).min(end);
        clamp(inside.start)..clamp(inside.end)
    }

    /// An error at `path`.
    pub fn error(
        &self,
        path: &[Step<'_>],
        message: impl Into<String>,
        hint: Option<String>,
    ) -> PlanError {
        error_at(&self.text, self.nearest_span_of(path), message.into(), hint)
    }

    fn node(&self, path: &[Step<'_>]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, step| node.step(*step))
    }
}

/// An error at `span` of `text`.
pub(super) fn error_at(
    text: &str,
    span: Range<usize>,
    message: String,
    hint: Option<String>,
) -> PlanError {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = text.get(..start).unwrap_or_default();
    let line = before.bytes().filter(|it| *it == b'\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |it| it + 1);
    let column = before.get(begin..).unwrap_or_default().chars().count() + 1;
    let end = span.end.clamp(start, text.len());
    PlanError { span: start..end, line, column, message, hint, sensitive: false }
}

impl Node {
    fn step(&self, step: Step<'_>) -> Option<&Self> {
        match (&self.inner, step) {
            (Inner::Table(inner), Step::Key(key)) => inner.get(key),
            (Inner::Array(inner), Step::Index(index)) => inner.get(index),
            _ => None,
        }
    }
}

// The parser limits how deep values nest, so this recursion is bounded.
fn node(value: &Spanned<DeValue<'_>>, key: Option<Range<usize>>) -> Node {
    let inner = match value.get_ref() {
        DeValue::Table(it) => table(it),
        DeValue::Array(it) => Inner::Array(it.iter().map(|it| node(it, None)).collect()),
        _ => Inner::Leaf,
    };
    Node { value: value.span(), key, inner }
}

fn table(table: &DeTable<'_>) -> Inner {
    let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.clone().into_owned(), node(value, Some(key.span())))
    };
    Inner::Table(table.iter().map(entry).collect())
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}
