//! Answers of a node, changed as a broken or dishonest one would.

use std::io;

use serde_json::{Value, json};

use super::http;

/// Maps every call of a request, single or batch, to an answer.
pub(super) fn each(request: &[u8], mut answer: impl FnMut(&Value) -> Value) -> Vec<u8> {
    let asked: Value = serde_json::from_slice(request).unwrap_or_default();
    let answers = match &asked {
        Value::Array(all) => Value::Array(all.iter().map(&mut answer).collect()),
        one => answer(one),
    };
    answers.to_string().into_bytes()
}

/// Changes the receipts in an answer by `change`; everything else stays.
pub(super) fn receipts(request: &[u8], body: &[u8], change: fn(&mut Value)) -> Vec<u8> {
    let asked: Value = serde_json::from_slice(request).unwrap_or_default();
    let Ok(mut answers) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    let asked = calls(&asked);
    let of_receipts = |answer: &Value| {
        let call = asked.iter().find(|it| it["id"] == answer["id"]);
        call.and_then(|it| it["method"].as_str()).is_some_and(|it| it.contains("Receipt"))
    };
    let all = match &mut answers {
        Value::Array(all) => all.iter_mut().collect(),
        one => vec![one],
    };
    for answer in all {
        if !of_receipts(answer) {
            continue;
        }
        match &mut answer["result"] {
            Value::Array(many) => many.iter_mut().for_each(change),
            Value::Null => {}
            one => change(one),
        }
    }
    answers.to_string().into_bytes()
}

/// A receipt that says the opposite and hides what happened.
pub(super) fn lie(receipt: &mut Value) {
    let failed = receipt["status"] == "0x0";
    receipt["status"] = if failed { "0x1" } else { "0x0" }.into();
    drop_logs(receipt);
}

/// A receipt without its logs.
pub(super) fn drop_logs(receipt: &mut Value) {
    receipt["logs"] = json!([]);
}

/// What a node would answer that is `blocks` behind the one at `node`.
pub(super) async fn behind(node: &str, request: &[u8], blocks: u64) -> io::Result<Vec<u8>> {
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": [] });
    let head = http::post(node, asked.to_string().as_bytes()).await?;
    let head: Value = serde_json::from_slice(&head)?;
    let head = head["result"].as_str().and_then(number).unwrap_or_default();
    let head = head.saturating_sub(blocks);
    let mut asked: Value = serde_json::from_slice(request)?;
    let all = match &mut asked {
        Value::Array(all) => all.iter_mut().collect(),
        one => vec![one],
    };
    let tag = json!(format!("{head:#x}"));
    for call in all {
        let params = call["params"].as_array_mut();
        for param in params.into_iter().flatten() {
            if matches!(param.as_str(), Some("latest" | "pending")) {
                *param = tag.clone();
            }
        }
    }
    let body = http::post(node, asked.to_string().as_bytes()).await?;
    let mut answers: Value = serde_json::from_slice(&body)?;
    let calls = calls(&asked);
    let all = match &mut answers {
        Value::Array(all) => all.iter_mut().collect(),
        one => vec![one],
    };
    for answer in all {
        let call = calls.iter().find(|it| it["id"] == answer["id"]);
        if call.is_some_and(|it| it["method"] == "eth_blockNumber") {
            answer["result"] = tag.clone();
        }
        let shown = &answer["result"]["number"];
        if shown.as_str().and_then(number).is_some_and(|it| it > head) {
            answer["result"] = Value::Null;
        }
    }
    Ok(answers.to_string().into_bytes())
}

fn calls(asked: &Value) -> Vec<Value> {
    match asked {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{drop_logs, each, lie, receipts};

    #[test]
    fn only_receipts_are_lied_about() {
        let asked = json!([
            { "id": 1, "method": "eth_getBlockReceipts" },
            { "id": 2, "method": "eth_getBlockByHash" },
        ]);
        let told = json!([
            { "id": 1, "result": [{ "status": "0x1", "logs": [1] }] },
            { "id": 2, "result": { "status": "0x1", "logs": [1] } },
        ]);
        let spoil = |change| {
            let (asked, told) = (asked.to_string(), told.to_string());
            let body = receipts(asked.as_bytes(), told.as_bytes(), change);
            serde_json::from_slice::<Value>(&body).unwrap_or_default()
        };
        let lied = spoil(lie);
        assert_eq!(lied[0]["result"][0], json!({ "status": "0x0", "logs": [] }));
        assert_eq!(lied[1], told[1]);
        let dropped = spoil(drop_logs);
        assert_eq!(dropped[0]["result"][0], json!({ "status": "0x1", "logs": [] }));
    }

    #[test]
    fn every_call_of_a_batch_is_answered() {
        let body = each(br#"[{"id":7},{"id":8}]"#, |it| json!({ "id": it["id"] }));
        assert_eq!(body, br#"[{"id":7},{"id":8}]"#);
    }
}
