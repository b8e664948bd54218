//! Who may import whom. The table in `ARCHITECTURE.md` is the authority; this checks it, direct
//! edges and transitive ones, against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{fail, root};

/// Third-party crates that must not reach a pure crate, even transitively.
const IMPURE: &[&str] = &[
    "alloy",
    "axum",
    "async-nats",
    "hyper",
    "mio",
    "rand",
    "reqwest",
    "revm",
    "sqlx",
    "sqlx-core",
    "tokio",
];

/// One row of the table: the crate, whether it is pure, and what it may import.
struct Row {
    pure: bool,
    may: BTreeSet<String>,
}

/// Lines that say which edge is forbidden.
pub(crate) fn check() -> Vec<String> {
    match violations() {
        Ok(lines) | Err(lines) => lines,
    }
}

fn violations() -> Result<Vec<String>, Vec<String>> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md"))
        .map_err(|it| fail("ARCHITECTURE.md", it))?;
    let table = parse(&page);
    let graph = graph()?;
    let mut out = Vec::new();
    let ours = |it: &str| it.starts_with("cofferdam");
    for (name, edges) in graph.iter().filter(|(name, _)| ours(name)) {
        let Some(row) = table.get(name.as_str()) else {
            out.push(format!("{name} has no row in the layer table of ARCHITECTURE.md"));
            continue;
        };
        for edge in edges.iter().filter(|it| ours(it)) {
            if !row.may.contains("*") && !row.may.contains(edge.trim_start_matches("cofferdam-")) {
                out.push(format!("{name} may not import {edge}"));
            }
        }
        if row.pure {
            let reached = reach(name)?;
            for it in IMPURE.iter().filter(|it| reached.contains(**it)) {
                out.push(format!("{name} is pure and may not reach {it}, even transitively"));
            }
        }
    }
    for name in table.keys().filter(|it| !graph.contains_key(it.as_str())) {
        out.push(format!("{name} is in the layer table but is no crate"));
    }
    Ok(out)
}

/// Rows look like ``| `cofferdam-engine` | pure | core, detect | what it is |``.
fn parse(page: &str) -> BTreeMap<String, Row> {
    let mut out = BTreeMap::new();
    for line in page.lines().filter(|it| it.starts_with("| `cofferdam")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, tier, may, ..] = cells[..] else { continue };
        let may =
            may.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
        out.insert(name.trim_matches('`').to_owned(), Row { pure: tier == "pure", may });
    }
    out
}

/// Normal (not dev, not build) dependency edges by package name.
fn graph() -> Result<BTreeMap<String, BTreeSet<String>>, Vec<String>> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        // Packages of other platforms need not be downloaded to know our own edges.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .map_err(|it| fail("cargo metadata", it))?;
    if !output.status.success() {
        return Err(fail("cargo metadata", String::from_utf8_lossy(&output.stderr)));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|it| fail("cargo metadata", it))?;
    let list =
        |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> =
        list(&json, "packages").iter().map(|it| (text(&it["id"]), text(&it["name"]))).collect();
    let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
    for node in list(&json["resolve"], "nodes") {
        let Some(name) = names.get(&text(&node["id"])) else { continue };
        let edges = graph.entry(name.clone()).or_default();
        for dep in list(&node, "deps") {
            let normal = list(&dep, "dep_kinds").iter().any(|it| it["kind"].is_null());
            edges.extend(names.get(&text(&dep["pkg"])).filter(|_| normal).cloned());
        }
    }
    Ok(graph)
}

/// Every package that `name` builds on, by itself: `cargo metadata` would add what other members of
/// the workspace turn on in shared packages.
fn reach(name: &str) -> Result<BTreeSet<String>, Vec<String>> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--package", name, "--edges", "normal", "--prefix", "none", "--locked"])
        .args(["--format", "{p}", "--target", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .map_err(|it| fail("cargo tree", it))?;
    if !output.status.success() {
        return Err(fail("cargo tree", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|it| it.split_whitespace().next().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn crates_import_only_what_their_layer_allows() {
        let lines = super::check();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    #[test]
    fn the_table_is_read() {
        let table = super::parse(
            "| `cofferdam-x` | pure | core, risk | text |\n| `cofferdam-y` | rim | * | t |",
        );
        assert!(table["cofferdam-x"].pure && table["cofferdam-x"].may.contains("risk"));
        assert!(!table["cofferdam-y"].pure && table["cofferdam-y"].may.contains("*"));
    }
}
