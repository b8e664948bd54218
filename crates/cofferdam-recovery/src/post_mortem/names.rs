//! People by their role.
//!
//! **Invariant:** a name that the case knows occurs in no text of a document without names, in whatever
//! capitals, where it stands as a word of its own.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;
use cofferdam_respond::{Case, Source, TaskState};
use cofferdam_statements::Statements;

use crate::{Gates, checklist::Passed};

/// What stands for whom; empty to keep names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<(String, &'static str)>);

const SOMEBODY: &str = "a responder";

impl Names {
    pub(crate) fn kept() -> Self {
        Self::default()
    }

    pub(crate) fn of(case: &Case, statements: &Statements, gates: &Gates, now: Timestamp) -> Self {
        let mut all: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut add = |name: &str, role: &'static str| {
            let name = name.trim().to_lowercase();
            if !name.is_empty() {
                all.entry(name).or_insert(role);
            }
        };
        for (role, people) in &case.roles {
            people.iter().for_each(|it| add(it, role.word()));
        }
        for it in &case.moments {
            if let Source::Person { by } = &it.source {
                add(by, SOMEBODY);
            }
        }
        for it in case.tasks.values() {
            it.owner.iter().for_each(|it| add(it, SOMEBODY));
            match &it.state {
                TaskState::Done { by } | TaskState::Dropped { by, .. } => add(by, SOMEBODY),
                TaskState::Open => {}
            }
        }
        for it in statements.all().filter(|it| it.case == case.id) {
            add(&it.drafted.by, SOMEBODY);
            it.approved.iter().chain(&it.published).for_each(|it| add(&it.by, SOMEBODY));
        }
        for it in gates.states(&case.id, now).into_iter().filter_map(|it| it.deed) {
            add(&it.by, SOMEBODY);
            if let Passed::Dismissed { agreed, .. } = &it.passed {
                add(agreed, SOMEBODY);
            }
        }
        let mut list: Vec<_> = all.into_iter().collect();
        // A longer name first: "ann lee" before "ann".
        list.sort_by_key(|it| std::cmp::Reverse(it.0.len()));
        Self(list)
    }

    /// `text` with roles in place of names.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, role) in &self.0 {
            out = replace_word(&out, name, role);
        }
        out
    }
}

/// Replaces `word` (in lower case) where it stands alone.
fn replace_word(text: &str, word: &str, with: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = word.chars().collect();
    let lower = |it: char| it.to_lowercase().next().unwrap_or(it);
    let alone = |it: Option<&char>| it.is_none_or(|it| !it.is_alphanumeric());
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < chars.len() {
        let end = at + wanted.len();
        let here = end <= chars.len()
            && chars[at..end].iter().zip(&wanted).all(|(a, b)| lower(*a) == *b)
            && alone(at.checked_sub(1).and_then(|it| chars.get(it)))
            && alone(chars.get(end));
        if here && !wanted.is_empty() {
            out.push_str(with);
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::replace_word;

    #[test]
    fn a_name_is_replaced_as_a_word_only() {
        let it = replace_word("Al: al, also, normal Al", "al", "the scribe");
        assert_eq!(it, "the scribe: the scribe, also, normal the scribe");
        assert_eq!(replace_word("x", "", "y"), "x");
    }
}
