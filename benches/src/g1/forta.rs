//! forta-agent from npm: its `filterLog`, called once per detector and transaction, as its bots do.
//!
//! It filters by event signature and address, so both sides get the ERC-20 transfers only, as one
//! transaction per eight logs.

use std::process::Command;

use alloy_primitives::{B256, Log, b256};

use super::{ROUND_MS, ROUNDS, accounts, by_index, index_of, same_hits};
use crate::{
    Failure,
    cpu::best_ns,
    peers,
    report::{Report, Row},
};

const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
const DETECTORS: usize = 1_000;

/// Adds the row, or a note that says why there is none.
pub(super) fn run(logs: &[Log], report: &mut Report) -> Result<(), Failure> {
    let transfer = |it: &&Log| it.topics().len() == 3 && it.topics().first() == Some(&TRANSFER);
    let logs: Vec<Log> = logs.iter().filter(transfer).cloned().collect();
    let accounts = accounts(&logs, DETECTORS);
    let index = index_of(&accounts);
    let hits = same_hits(&logs, &accounts, &index)?;
    let folder =
        match peers::install("forta-agent", &["package.json", "dispatch.js"], "forta-agent") {
            Ok(folder) => folder,
            Err(error) => {
                report.note(format!(
                    "forta-agent cannot be installed, its bar is not judged: {error}"
                ));
                return Ok(());
            }
        };
    let input = folder.join("input.json");
    let shown: Vec<_> = logs
        .iter()
        .map(|it| serde_json::json!({ "address": it.address, "topics": it.topics(), "data": it.data.data }))
        .collect();
    let input_json = serde_json::json!({ "logs": shown, "detectors": accounts });
    std::fs::write(&input, serde_json::to_vec(&input_json)?)?;
    let output =
        Command::new("node").arg("dispatch.js").arg(&input).current_dir(&folder).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    if theirs["hits"].as_u64() != Some(hits as u64) {
        return Err(format!("forta-agent finds {} hits, the index {hits}", theirs["hits"]).into());
    }
    let ours = best_ns(ROUNDS, ROUND_MS, || by_index(&logs, &index)) / logs.len() as f64;
    let theirs = theirs["ns_per_log"].as_f64().ok_or("forta-agent reports no time")?;
    let figure = format!("dispatch, {DETECTORS} detectors, {hits} hits");
    let row = Row::rate(figure, "ns/log", ours).faster_than("forta-agent 0.1.48", theirs);
    report.row(row.at_least(1_000.0));
    Ok(())
}
