//! Generated pages: the plan's JSON Schema and the list of detectors with their settings.

use std::fmt::Write;

use cofferdam_detect::DETECTORS;

use crate::{Outcome, root, say};

/// Writes what is generated, or (`check`) says what differs.
pub(crate) fn run(check: bool) -> Outcome {
    let mut stale = Vec::new();
    for (path, text) in generated()? {
        let file = root().join(&path);
        let present = std::fs::read_to_string(&file).unwrap_or_default();
        if present == text {
            continue;
        }
        if check {
            stale.push(format!("{path} is stale: run `cargo xtask codegen`"));
            continue;
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|it| crate::fail(&path, it))?;
        }
        std::fs::write(&file, text).map_err(|it| crate::fail(&path, it))?;
        say(&format!("wrote {path}"));
    }
    if stale.is_empty() { Ok(()) } else { Err(stale) }
}

fn generated() -> Result<Vec<(String, String)>, Vec<String>> {
    let pretty = |value: &serde_json::Value| {
        serde_json::to_string_pretty(value)
            .map(|it| it + "\n")
            .map_err(|it| crate::fail("schema", it))
    };
    let mut out = vec![(
        "docs/reference/plan.schema.json".to_owned(),
        pretty(&cofferdam_core::plan::schema())?,
    )];
    let mut index = String::from(
        "# Detectors\n\n| name | signal | sees | needs |\n| --- | --- | --- | --- |\n",
    );
    for it in DETECTORS {
        let needs: Vec<String> =
            it.meta.needs.iter().map(|need| format!("{need:?}").to_lowercase()).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            index,
            "| [{id}](detectors/{id}.md) | {} | {} | {} |",
            it.meta.signal,
            it.meta.summary,
            needs.join(", "),
            id = it.meta.id
        );
        let schema = serde_json::to_value((it.schema)()).map_err(|it| crate::fail("schema", it))?;
        let page = format!(
            "{}\n## Settings (JSON Schema)\n\n```json\n{}```\n",
            it.meta.docs.trim_end(),
            pretty(&schema)?
        );
        out.push((format!("docs/reference/detectors/{}.md", it.meta.id), page));
    }
    out.push(("docs/reference/detectors.md".to_owned(), index));
    out.extend(adapters());
    Ok(out)
}

/// The list of position adapters and a page for each, with the table of what a pause freezes.
fn adapters() -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut index = String::from(
        "# Position adapters\n\nWhich state is read of a protocol, what it means for its solvency, and what a pause \
         freezes.\n\n| name | reads |\n| --- | --- |\n",
    );
    for it in cofferdam_positions::ADAPTERS {
        let id = it.id();
        // Writing to a String cannot fail.
        let _ = writeln!(index, "| [{id}](adapters/{id}.md) | {} |", it.summary());
        let mut page =
            format!("{}\n## Effects of each pause\n\n| action | call |", it.page().trim_end());
        let first = it.semantics().first().map_or_else(Vec::new, |s| s.effects().to_vec());
        for (name, _) in &first {
            let _ = write!(page, " {name} |");
        }
        let _ = writeln!(page, " losses grow |\n|{}", " --- |".repeat(first.len() + 3));
        for s in it.semantics() {
            let _ = write!(page, "| {} | `{}` |", s.action, s.call);
            for (_, effect) in s.effects() {
                let _ = write!(page, " {effect} |");
            }
            let _ = writeln!(page, " {} |", if s.losses_grow() { "yes" } else { "no" });
        }
        out.push((format!("docs/reference/adapters/{id}.md"), page));
    }
    index.push_str("| [book](adapters/book.md) | CSV or JSON, for venues off the chain |\n");
    out.push((
        "docs/reference/adapters/book.md".to_owned(),
        cofferdam_positions::book::PAGE.to_owned(),
    ));
    out.push(("docs/reference/adapters.md".to_owned(), index));
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_pages_are_up_to_date() {
        let outcome = super::run(true);
        assert_eq!(outcome, Ok(()), "{}", outcome.clone().err().unwrap_or_default().join("\n"));
    }
}
