//! What a text gives away, and what it claims.
//!
//! **Invariant:** both lists are looked for in the text as a reader reads it: without regard to capitals or
//! to how words are spaced.

use cofferdam_respond::Case;

use crate::{Draft, Statements};

/// Words that tell an attacker what is still open, or what is being done about the spoils.
const TIPS: &[&str] = &[
    "also affected",
    "also vulnerable",
    "not yet patched",
    "not yet paused",
    "unpatched",
    "still vulnerable",
    "still open",
    "freeze request",
    "asked to freeze",
    "will be frozen",
    "we will pause",
    "about to pause",
    "we are tracing",
    "tracing the",
    "white hat",
    "whitehat",
    "law enforcement",
];

/// Words that claim what has to be proved first.
const CLAIMS: &[&str] = &[
    "funds are safe",
    "funds are not affected",
    "funds are secure",
    "no funds",
    "no user funds",
    "no loss",
    "root cause",
    "caused by",
    "was not hacked",
    "not an exploit",
    "not a hack",
    "oracle bug",
    "fully recovered",
    "will be reimbursed",
    "will be refunded",
    "made whole",
    "total loss",
    "was stolen",
    "were stolen",
    "was lost",
    "were lost",
];

fn plain(draft: &Draft) -> String {
    let text = format!("{} {}", draft.title, draft.body).to_lowercase().replace('-', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What in `draft` tips an attacker off: the words above, and accounts that act for the attacker.
pub(crate) fn tips(draft: &Draft, case: &Case, statements: &Statements) -> Vec<String> {
    let text = plain(draft);
    let mut out: Vec<String> =
        TIPS.iter().filter(|it| text.contains(**it)).map(|it| (*it).to_owned()).collect();
    let known = case.incidents.iter().filter_map(|it| statements.known(it));
    for actor in known.flat_map(|it| &it.actors) {
        let name = actor.to_string();
        if text.contains(&name.to_lowercase()) {
            out.push(name);
        }
    }
    out
}

/// The first claim in `draft` that nothing is given for.
pub(crate) fn unproved(draft: &Draft) -> Option<&'static str> {
    if !draft.evidence.is_empty() {
        return None;
    }
    let text = plain(draft);
    CLAIMS.iter().copied().find(|it| text.contains(it))
}
