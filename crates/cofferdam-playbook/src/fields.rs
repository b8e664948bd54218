//! Reading the members of one JSON object: each is asked for by name, and what nobody asked for is
//! told.
//!
//! **Invariant:** nothing is skipped silently. A member of the wrong type is an issue and reads as
//! absent.

use std::{cell::RefCell, collections::BTreeSet};

use cofferdam_core::Timestamp;

use crate::{
    issue::{Desk, Rule},
    json::{Member, Node, Span, Value},
    time, variable,
};

/// Longest text of a property, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most items of a list, and most entries of a dictionary.
pub(crate) const ITEMS_MAX: usize = 2_000;

/// The members of one object.
pub(crate) struct Fields<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) span: &'a Span,
    what: &'a str,
    members: &'a [Member],
    asked: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Fields<'a> {
    /// The object in `node`; `what` names it for people.
    pub(crate) fn of(desk: &'a Desk, node: &'a Node, what: &'a str) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            desk.tell(Rule::Kind, &node.span, format!("{what} has to be an object"));
            return None;
        };
        let asked = RefCell::default();
        Some(Self { desk, span: &node.span, what, members, asked })
    }

    pub(crate) fn node(&self, key: &'a str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(key);
        self.members.iter().find(|it| it.key == key).map(|it| &it.value)
    }

    /// Says that `key` must be there if it is not.
    pub(crate) fn require(&self, key: &'a str) {
        if self.node(key).is_none() {
            let message = format!("{} has no `{key}`", self.what);
            self.desk.tell(Rule::Missing, &(self.span.start..self.span.start), message);
        }
    }

    pub(crate) fn text(&self, key: &'a str) -> Option<String> {
        let node = self.node(key)?;
        match &node.value {
            Value::String(it) if it.len() <= TEXT_BYTES_MAX => Some(it.clone()),
            Value::String(_) => {
                let message = format!("`{key}` is longer than {TEXT_BYTES_MAX} bytes");
                self.desk.tell(Rule::Bounds, &node.span, message);
                None
            }
            _ => {
                self.desk.tell(Rule::Kind, &node.span, format!("`{key}` has to be a string"));
                None
            }
        }
    }

    pub(crate) fn word(&self, key: &'a str, words: &[&str]) -> Option<String> {
        let text = self.text(key)?;
        if !words.contains(&text.as_str()) {
            let span = self.node(key).map_or(self.span, |it| &it.span);
            let message = format!("`{key}` has to be one of: {}", words.join(", "));
            self.desk.tell(Rule::Word, span, message);
        }
        Some(text)
    }

    pub(crate) fn flag(&self, key: &'a str) -> Option<bool> {
        let node = self.node(key)?;
        let Value::Bool(it) = node.value else {
            self.desk.tell(Rule::Kind, &node.span, format!("`{key}` has to be true or false"));
            return None;
        };
        Some(it)
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn whole(&self, key: &'a str, least: i64, most: i64) -> Option<i64> {
        let node = self.node(key)?;
        let Value::Number(text) = &node.value else {
            self.desk.tell(Rule::Kind, &node.span, format!("`{key}` has to be a number"));
            return None;
        };
        let number = text.parse::<i64>().ok().filter(|it| (least..=most).contains(it));
        if number.is_none() {
            let message = format!("`{key}` has to be a whole number from {least} to {most}");
            self.desk.tell(Rule::Bounds, &node.span, message);
        }
        number
    }

    pub(crate) fn time(&self, key: &'a str) -> Option<Timestamp> {
        let node = self.node(key)?;
        let text = self.text(key)?;
        let Some(read) = time::parse(&text) else {
            let message = format!("`{key}` is no timestamp such as 2026-11-23T00:00:00.000Z");
            self.desk.tell(Rule::Time, &node.span, message);
            return None;
        };
        if read.digits != 3 {
            let message = format!("`{key}` has {} fractional digits, not three", read.digits);
            self.desk.tell(Rule::Precision, &node.span, message);
        }
        Some(read.at)
    }

    pub(crate) fn id(&self, key: &'a str) -> Option<String> {
        let text = self.text(key)?;
        let span = self.node(key).map_or(self.span, |it| &it.span);
        check_id(self.desk, span, &text, None);
        Some(text)
    }

    /// A list of texts; with `least` items if it is there.
    pub(crate) fn texts(&self, key: &'a str, least: usize) -> Vec<(String, &'a Span)> {
        let mut out = Vec::new();
        for item in self.items(key, least) {
            match &item.value {
                Value::String(it) => out.push((it.clone(), &item.span)),
                _ => {
                    self.desk.tell(Rule::Kind, &item.span, format!("`{key}` is a list of strings"))
                }
            }
        }
        out
    }

    pub(crate) fn plain_texts(&self, key: &'a str, least: usize) -> Vec<String> {
        self.texts(key, least).into_iter().map(|it| it.0).collect()
    }

    pub(crate) fn ids(&self, key: &'a str, least: usize) -> Vec<String> {
        let texts = self.texts(key, least);
        texts.iter().for_each(|(it, span)| check_id(self.desk, span, it, None));
        texts.into_iter().map(|it| it.0).collect()
    }

    pub(crate) fn items(&self, key: &'a str, least: usize) -> &'a [Node] {
        let Some(node) = self.node(key) else { return &[] };
        let Value::Array(items) = &node.value else {
            self.desk.tell(Rule::Kind, &node.span, format!("`{key}` has to be a list"));
            return &[];
        };
        if items.len() < least || items.len() > ITEMS_MAX {
            let message = format!("`{key}` has {} items, not {least} to {ITEMS_MAX}", items.len());
            self.desk.tell(Rule::Bounds, &node.span, message);
            return &[];
        }
        items
    }

    /// The members of a dictionary; with `least` of them if it is there.
    pub(crate) fn entries(&self, key: &'a str, least: usize) -> &'a [Member] {
        let Some(node) = self.node(key) else { return &[] };
        let Value::Object(members) = &node.value else {
            self.desk.tell(Rule::Kind, &node.span, format!("`{key}` has to be an object"));
            return &[];
        };
        if members.len() < least || members.len() > ITEMS_MAX {
            let message =
                format!("`{key}` has {} entries, not {least} to {ITEMS_MAX}", members.len());
            self.desk.tell(Rule::Bounds, &node.span, message);
            return &[];
        }
        members
    }

    /// `*_extensions`: each entry is an object under an extension's identifier.
    pub(crate) fn extensions(&self, key: &'a str) -> &'a [Member] {
        let entries = self.entries(key, 1);
        for it in entries {
            check_id(self.desk, &it.key_span, &it.key, Some("extension-definition"));
            if !matches!(it.value.value, Value::Object(_)) {
                self.desk.tell(Rule::Kind, &it.value.span, "an extension has to be an object");
            }
        }
        entries
    }

    /// Tells every member that nobody asked for.
    pub(crate) fn close(self) {
        let asked = self.asked.into_inner();
        for it in self.members.iter().filter(|it| !asked.contains(it.key.as_str())) {
            let message = format!("{} has no property `{}`", self.what, clip(&it.key));
            let near = cofferdam_core::plan::nearest(&it.key, asked.iter().copied());
            let hint = near.map_or_else(
                || "what the standard does not know belongs into an extension".to_owned(),
                |it| format!("did you mean `{it}`?"),
            );
            self.desk.hint(Rule::Unknown, &it.key_span, message, hint);
        }
    }
}

/// Says so if `text` is no identifier, or not of the `kind` that it must be.
pub(crate) fn check_id(desk: &Desk, span: &Span, text: &str, kind: Option<&str>) {
    let (prefix, uuid) = text.split_once("--").unwrap_or((text, ""));
    let well = prefix.len() >= 3
        && prefix.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
        && prefix.starts_with(|it: char| it.is_ascii_lowercase())
        && !prefix.ends_with('-')
        && variable::is_uuid(uuid);
    if !well {
        let message = format!("`{}` is no identifier of the form type--UUID", clip(text));
        desk.tell(Rule::Identifier, span, message);
    }
    if let Some(kind) = kind.filter(|it| well && *it != prefix) {
        let message = format!("`{}` has to be an identifier of type `{kind}`", clip(text));
        desk.tell(Rule::IdentifierKind, span, message);
    }
}

/// A foreign name, short enough for a message and without control characters.
pub(crate) fn clip(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '?' } else { it }).take(80).collect()
}
