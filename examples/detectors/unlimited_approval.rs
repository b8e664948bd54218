//! The same detector as `unlimited_approval.py`: a protected contract approves somebody for everything
//! it has. One question a line on stdin, answers on stdout; see `docs/guides/feeds.md`.
//!
//! `cargo build --release --example unlimited_approval`, then name the program in the plan.

use std::io::{BufRead, Write, stdin, stdout};

use serde_json::{Value, json};

/// `Approval(address,address,uint256)`.
const APPROVAL: &str = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925";

fn main() -> std::io::Result<()> {
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        // A question that cannot be read ends the program: Cofferdam starts it anew and says so.
        let question: Value = serde_json::from_str(&line?)?;
        let seq = &question["seq"];
        for finding in findings(&question["observation"]) {
            writeln!(out, "{}", json!({ "seq": seq, "finding": finding }))?;
        }
        writeln!(out, "{}", json!({ "seq": seq, "done": true }))?;
        out.flush()?;
    }
    Ok(())
}

fn findings(observation: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for tx in list(&observation["txs"]) {
        for log in list(&tx["logs"]) {
            let topics: Vec<&str> = list(&log["topics"]).iter().filter_map(Value::as_str).collect();
            let [APPROVAL, owner, spender] = topics[..] else { continue };
            if !is_unlimited(&log["data"]) {
                continue;
            }
            let (owner, spender) = (address(owner), address(spender));
            let token = log["address"].as_str().unwrap_or_default();
            found.push(json!({
                "chain": observation["block"]["chain"],
                "subject": owner,
                "summary": format!("unlimited approval of {token} to {spender}"),
                "severity": "medium",
                "tx": tx["hash"],
                "actors": [tx["from"]],
                "evidence": [{ "label": "spender", "value": spender }],
            }));
        }
    }
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// At least 2^255: the highest bit of the word is set.
fn is_unlimited(data: &Value) -> bool {
    let digits = data.as_str().and_then(|it| it.strip_prefix("0x")).unwrap_or_default();
    digits.len() == 64 && digits.starts_with(['8', '9', 'a', 'b', 'c', 'd', 'e', 'f'])
}

/// The address in the last 20 bytes of a topic.
fn address(topic: &str) -> String {
    let digits = topic.get(topic.len().saturating_sub(40)..).unwrap_or_default();
    format!("0x{digits}")
}
