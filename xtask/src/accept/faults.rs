//! The fault suite against the built program.

use super::{Row, Scratch, list, program, text};

pub(super) fn rows() -> Result<Vec<Row>, Vec<String>> {
    let scratch = Scratch::new("faults");
    let told = program(&["drill", "faults", "--out", &scratch.0])?;
    let rows = list(&told["rows"]).iter().map(|it| Row {
        check: text(&it["fault"]).to_owned(),
        figure: text(&it["seen"]).to_owned(),
        bar: text(&it["expected"]).to_owned(),
        pass: it["pass"].as_bool() == Some(true),
    });
    Ok(rows.collect())
}
