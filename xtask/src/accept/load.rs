//! A plan of a thousand detectors: how long it takes to load and what memory it holds.

use std::fmt::Write as _;

use super::{Row, Scratch, program};
use crate::fail;

/// Detectors of the plan.
const DETECTORS: usize = 1_000;
/// Milliseconds that loading it may take.
const LOAD_MS_MAX: u64 = 1_000;

/// Writes such a plan, loads it with the built program, and judges what that says.
pub(super) fn rows() -> Result<Vec<Row>, Vec<String>> {
    let scratch = Scratch::new("load");
    std::fs::create_dir_all(&scratch.0).map_err(|it| fail("the plan's folder", it))?;
    let path = format!("{}/plan.toml", scratch.0);
    std::fs::write(path, plan()).map_err(|it| fail("the plan", it))?;
    let told = program(&["plan", "check", &scratch.0])?;
    let number = |key: &str| told.get(key).and_then(serde_json::Value::as_u64);
    let (count, ms, bytes) = (number("detectors"), number("load_ms"), number("memory_bytes"));
    let memory = bytes.map_or("memory unknown".into(), |it| format!("{} KiB", it / 1_024));
    Ok(vec![Row {
        check: format!("a plan of {DETECTORS} detectors is loaded"),
        figure: format!(
            "{} detectors, {} ms, {memory}",
            count.unwrap_or_default(),
            ms.map_or("?".into(), |it| it.to_string())
        ),
        bar: format!("< {LOAD_MS_MAX} ms, memory told"),
        pass: count == Some(DETECTORS as u64)
            && ms.is_some_and(|it| it < LOAD_MS_MAX)
            && bytes.is_some(),
    }])
}

fn plan() -> String {
    let mut text = String::from(
        "version = 1\nname = \"large\"\nchains = [{ id = \"eip155:1\", endpoints = [\"env:NODE\"] }]\n",
    );
    let kinds = ["outflow", "control-change", "share-price", "flash-loan", "reentrancy", "probing"];
    for at in 0..DETECTORS {
        let (entity, kind) = (at / 10, kinds[at % kinds.len()]);
        if at % 10 == 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "[[entities]]\nid = \"e{entity}\"\naccounts = [\"eip155:1:0x{:040x}\"]\n\
                 assets = [{{ token = \"0x{:040x}\", symbol = \"T\", decimals = 18, price = \"1 usd\" }}]",
                entity + 4_096,
                entity + 8_192
            );
        }
        let _ = writeln!(
            text,
            "[[rules]]\nid = \"r{at}\"\ndetector = \"{kind}\"\nentities = [\"e{entity}\"]"
        );
    }
    text
}
