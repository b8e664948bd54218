//! A change of a plan's text for review: one setting of one action, everything else byte for byte, and the unified
//! diff that `git apply` and `patch` take.
//!
//! **Invariant:** the text is edited by line, never written anew: comments and order stay.

/// Lines around a change.
const CONTEXT: usize = 3;

/// Why the plan's text cannot be changed by itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DiffError {
    /// The action is not written as a table of its own.
    #[error("action `{action}` has no `[[actions]]` table of its own with an `id` line")]
    NoTable {
        /// The action.
        action: String,
    },
}

/// `text` with `key = value` in the `[[actions]]` table of `action`: the line replaced, or put below its `id`.
///
/// # Errors
/// [`DiffError::NoTable`] if there is no such table; then it must be changed by hand.
pub fn set_in_action(
    text: &str,
    action: &str,
    key: &str,
    value: &str,
) -> Result<String, DiffError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let missing = || DiffError::NoTable { action: action.to_owned() };
    let (from, to) = table(&lines, action).ok_or_else(missing)?;
    let part = lines.get(from..to).unwrap_or_default();
    let id = part.iter().position(|it| assigns(it, "id")).ok_or_else(missing)?;
    let known = part.iter().position(|it| assigns(it, key));
    let mut out = String::with_capacity(text.len() + key.len() + value.len() + 8);
    for (index, line) in lines.iter().enumerate() {
        let own = index.checked_sub(from).filter(|_| index < to);
        let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
        let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
        match own {
            Some(it) if Some(it) == known => {
                out.push_str(&format!("{indent}{key} = {value}{}{end}", comment(line)));
            }
            Some(it) if it == id && known.is_none() => {
                out.push_str(line.trim_end_matches(['\r', '\n']));
                out.push_str(&format!("{end}{indent}{key} = {value}{end}"));
            }
            _ => out.push_str(line),
        }
    }
    Ok(out)
}

/// The lines of the `[[actions]]` table of `action`, its sub-tables left out.
fn table(lines: &[&str], action: &str) -> Option<(usize, usize)> {
    let header = |it: &str| it.trim_start().starts_with('[');
    let quoted = [format!("\"{action}\""), format!("'{action}'")];
    let mut from = None;
    for (index, line) in lines.iter().enumerate() {
        let name = line.split('#').next().unwrap_or_default().trim();
        if header(line) {
            from = (name.replace(' ', "") == "[[actions]]").then_some(index);
        }
        let value =
            line.split_once('=').map(|it| it.1.split('#').next().unwrap_or_default().trim());
        let mine = assigns(line, "id") && value.is_some_and(|it| quoted.iter().any(|q| q == it));
        if let Some(from) = from.filter(|_| mine) {
            let after = lines.iter().skip(index + 1).position(|it| header(it));
            return Some((from, after.map_or(lines.len(), |it| index + 1 + it)));
        }
    }
    None
}

fn assigns(line: &str, key: &str) -> bool {
    line.split_once('=').is_some_and(|(left, _)| left.trim() == key)
}

/// The comment at the end of a line, with the blank before it.
fn comment(line: &str) -> String {
    line.split_once('#').map_or(String::new(), |it| format!(" #{}", it.1.trim_end()))
}

/// The unified diff from `old` to `new`, both of the file `name`; empty if they are equal. Lines are matched from
/// both ends of each change, which is exact for texts that differ in lines put in or replaced one by one.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let changes = changes(&a, &b);
    if changes.is_empty() {
        return String::new();
    }
    let mut out = format!("--- a/{name}\n+++ b/{name}\n");
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        // Changes whose context touches share a hunk.
        let near = rest.windows(2).take_while(|w| match w {
            [l, r] => r.0.start <= l.0.end + 2 * CONTEXT,
            _ => false,
        });
        let (hunk, more) = rest.split_at(near.count() + 1);
        let last = hunk.last().unwrap_or(first);
        let start = first.0.start.saturating_sub(CONTEXT);
        let end = last.0.end.saturating_add(CONTEXT).min(a.len());
        let added: usize = hunk.iter().map(|it| it.1.len()).sum();
        let removed: usize = hunk.iter().map(|it| it.0.len()).sum();
        let before = first.0.start - start;
        let new_start = first.1.start - before;
        let length = end - start;
        out.push_str(&format!(
            "@@ -{},{length} +{},{} @@\n",
            start + 1,
            new_start + 1,
            length - removed + added
        ));
        let mut at = start;
        let push = |out: &mut String, mark: char, lines: &[&str]| {
            for line in lines {
                out.push(mark);
                out.push_str(line);
                if !line.ends_with('\n') {
                    out.push_str("\n\\ No newline at end of file\n");
                }
            }
        };
        for (from, to) in hunk {
            push(&mut out, ' ', a.get(at..from.start).unwrap_or_default());
            push(&mut out, '-', a.get(from.clone()).unwrap_or_default());
            push(&mut out, '+', b.get(to.clone()).unwrap_or_default());
            at = from.end;
        }
        push(&mut out, ' ', a.get(at..end).unwrap_or_default());
        rest = more;
    }
    out
}

type Span = std::ops::Range<usize>;

/// What differs: lines of `a` and the lines of `b` in their place.
fn changes(a: &[&str], b: &[&str]) -> Vec<(Span, Span)> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a.get(i) == b.get(j) {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        // The nearest place where both go on equally, by the fewest lines given up.
        let rest = (a.len() - i) + (b.len() - j);
        let joins = |gone: usize| {
            (0..=gone).map(move |it| (i + it, j + gone - it)).find(|(x, y)| {
                let ends = *x == a.len() && *y == b.len();
                ends || (*x < a.len() && *y < b.len() && a.get(*x) == b.get(*y))
            })
        };
        let (x, y) = (1..=rest).find_map(joins).unwrap_or((a.len(), b.len()));
        out.push((i..x.min(a.len()), j..y.min(b.len())));
        (i, j) = (x, y);
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::{DiffError, set_in_action, unified};

    const PLAN: &str = "version = 1\n\n[[actions]]\nid = \"pause-a\" # first\nrung = \"pause-market\"\n\n[actions.cost]\nfixed = \"1 usd\"\n\n[[actions]]\nid = \"pause-b\"\nthreshold-ppb = 5 # reviewed\nrung = \"pause-market\"\n";

    #[test]
    fn a_threshold_is_put_below_the_id_or_replaces_the_one_that_is_there() {
        let once = set_in_action(PLAN, "pause-a", "threshold-ppb", "10").unwrap();
        let both = set_in_action(&once, "pause-b", "threshold-ppb", "20").unwrap();
        expect![[r#"
            --- a/plan.toml
            +++ b/plan.toml
            @@ -2,6 +2,7 @@
             
             [[actions]]
             id = "pause-a" # first
            +threshold-ppb = 10
             rung = "pause-market"
             
             [actions.cost]
            @@ -9,5 +10,5 @@
             
             [[actions]]
             id = "pause-b"
            -threshold-ppb = 5 # reviewed
            +threshold-ppb = 20 # reviewed
             rung = "pause-market"
        "#]]
        .assert_eq(&unified("plan.toml", PLAN, &both));
        let missing = set_in_action(PLAN, "pause-c", "threshold-ppb", "1");
        assert_eq!(missing, Err(DiffError::NoTable { action: "pause-c".into() }));
        assert_eq!(unified("plan.toml", PLAN, PLAN), "");
    }

    /// Applies a unified diff strictly.
    fn apply(old: &str, diff: &str) -> String {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut out, mut at) = (String::new(), 0);
        for line in diff.split_inclusive('\n').skip(2) {
            if let Some(rest) = line.strip_prefix("@@ -") {
                let start: usize = rest.split(',').next().unwrap().parse().unwrap();
                while at + 1 < start {
                    out.push_str(old[at]);
                    at += 1;
                }
            } else if let Some(rest) = line.strip_prefix('+') {
                out.push_str(rest);
            } else if let Some(rest) = line.strip_prefix(['-', ' ']) {
                assert_eq!(old[at], rest);
                if line.starts_with(' ') {
                    out.push_str(rest);
                }
                at += 1;
            }
        }
        out + &old[at..].concat()
    }

    proptest! {
        #[test]
        fn a_diff_applied_to_the_old_text_gives_the_new_one(
            a in prop::collection::vec(0_u8..4, 1..30), b in prop::collection::vec(0_u8..4, 1..30),
        ) {
            let text = |it: &[u8]| it.iter().map(|it| format!("{it}\n")).collect::<String>();
            let (old, new) = (text(&a), text(&b));
            let diff = unified("f", &old, &new);
            prop_assert_eq!(if diff.is_empty() { old } else { apply(&old, &diff) }, new);
        }
    }
}
