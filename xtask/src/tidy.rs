//! What a reviewer should not have to say: lengths, headings, forbidden words.

use std::path::{Path, PathBuf};

use crate::{Outcome, layers, root, say};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 500;
/// Longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// Headings of a detector's page.
const PAGE_HEADINGS: &[&str] = &[
    "## What it sees",
    "## Why it matters",
    "## False positives",
    "## Configuration",
    "## Response",
    "## Past incidents",
];

pub(crate) fn run() -> Outcome {
    let mut lines = layers::check();
    for path in sources() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        lines.extend(file_lines(&shown, &text));
    }
    lines.extend(pages());
    if lines.is_empty() {
        say("tidy");
        return Ok(());
    }
    Err(lines)
}

fn file_lines(shown: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let count = text.lines().count();
    if count > FILE_LINES_MAX {
        out.push(format!("{shown}: {count} lines, at most {FILE_LINES_MAX}"));
    }
    if shown.ends_with(".rs") {
        out.extend(long_functions(shown, text));
        if !text.starts_with("//!") && !text.starts_with("#!") {
            out.push(format!("{shown}: begins without `//!`"));
        }
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            // This very file has to name the words.
            if text.contains(word) && !shown.ends_with("tidy.rs") {
                out.push(format!("{shown}: contains `{word}`"));
            }
        }
    }
    out
}

/// Function bodies by indentation, which rustfmt guarantees: from a `fn` line to the closing brace at
/// the same depth.
fn long_functions(shown: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_fn = line.trim_start().split("fn ").next().is_some_and(|head| {
            let known = ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "pub(in"];
            line.contains("fn ") && head.split_whitespace().all(|it| known.contains(&it))
        });
        if !is_fn || line.trim_end().ends_with(';') || line.trim_end().ends_with('}') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines.iter().skip(start).position(|it| **it == close).map_or(0, |it| it + 1);
        if length > FUNCTION_LINES_MAX {
            let name = line.trim();
            out.push(format!(
                "{shown}:{}: {length} lines in `{name}`, at most {FUNCTION_LINES_MAX}",
                start + 1
            ));
        }
    }
    out
}

fn pages() -> Vec<String> {
    let folder = root().join("crates/cofferdam-detect/src/detectors");
    let mut out = Vec::new();
    for page in files(&folder, "md") {
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        for heading in PAGE_HEADINGS.iter().filter(|it| !text.contains(**it)) {
            out.push(format!("{}: lacks `{heading}`", page.display()));
        }
    }
    out
}

fn sources() -> Vec<PathBuf> {
    let mut out = files(&root().join("crates"), "rs");
    out.extend(files(&root().join("xtask"), "rs"));
    out.extend(files(&root().join("benches"), "rs"));
    out.extend(files(&root().join("contracts/src"), "sol"));
    out
}

/// Files below `folder` with this extension, sorted; build output and packages left out.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return out };
    for path in entries.filter_map(|it| it.ok().map(|it| it.path())) {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        if path.is_dir() && !["target", "node_modules", "out", "cache"].contains(&name) {
            out.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            out.push(path);
        }
    }
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_long_function_is_found() {
        let body = "    let x = 1;\n".repeat(71);
        let text = format!("//! Doc.\nfn long() {{\n{body}}}\n");
        assert_eq!(super::long_functions("x.rs", &text).len(), 1);
    }

    #[test]
    fn the_repository_is_tidy() {
        let outcome = super::run();
        assert_eq!(outcome, Ok(()), "{}", outcome.clone().err().unwrap_or_default().join("\n"));
    }
}
