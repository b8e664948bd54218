//! The document as Markdown.
//!
//! **Invariant:** a cell holds no line break and no bar that would begin another cell.

use std::fmt::Write;

use cofferdam_statements::escape::markdown;

use super::{Block, PostMortem};

pub(super) fn write(it: &PostMortem) -> String {
    let tlp = it.tlp.label();
    let mut out = format!(
        "**{tlp}**\n\n# Post-mortem: {}\n\nMade from the journal at {}. What nobody recorded is marked.\n",
        cell(&it.title),
        it.made
    );
    for section in &it.sections {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {}\n", section.title);
        for block in &section.blocks {
            match block {
                Block::Text(text) => {
                    let _ = write!(out, "\n{}\n", cell(text));
                }
                Block::Missing(text) => {
                    let _ = write!(out, "\n*Missing: {}.*\n", cell(text));
                }
                Block::Table(header, rows) => {
                    let _ = write!(
                        out,
                        "\n| {} |\n|{}\n",
                        header.join(" | "),
                        " --- |".repeat(header.len())
                    );
                    for row in rows {
                        let cells: Vec<String> = row.iter().map(|it| cell(it)).collect();
                        let _ = writeln!(out, "| {} |", cells.join(" | "));
                    }
                }
            }
        }
    }
    let _ = write!(out, "\n**{tlp}**\n");
    out
}

fn cell(text: &str) -> String {
    markdown(&text.replace(['\n', '\r'], " "))
}
