//! Rows about blocks that are hard to read right: reverts, bursts, and sizes.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256, hex, keccak256};
use serde_json::{Value, json};

use super::{
    super::StageError,
    FaultOptions, Row, Seen, http,
    scene::{PATIENCE, Scene, Setting},
};

/// Transactions of the burst.
const BURST_TXS: usize = 2_000;
/// Requests to the node in one batch.
const BATCH_CALLS: usize = 100;
/// Calldata of the large transaction, in bytes.
const CALLDATA_BYTES: usize = 10_000_000;
/// Logs of the loud contract.
const LOUD_LOGS: u16 = 10_000;
/// Gas of the blocks that hold all this.
const BLOCK_GAS: u64 = 2_000_000_000;
/// Arguments of a node that takes them.
const LARGE: &[&str] = &["--no-request-size-limit", "--gas-limit", "2000000000"];

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "revert",
        fault: "the thief's transaction reverts in a block with other logs",
        expected: "alert of the failure, none of a success",
        quick: true,
        run: |options, name| Box::pin(reverted(options, name)),
    },
    Row {
        name: "burst",
        fault: "a block of 2,000 transactions, the exploit last",
        expected: "alert, no block skipped",
        quick: false,
        run: |options, name| Box::pin(burst(options, name)),
    },
    Row {
        name: "calldata",
        fault: "a transaction with 10 MB of calldata beside the exploit",
        expected: "alert, health green",
        quick: false,
        run: |options, name| Box::pin(calldata(options, name)),
    },
    Row {
        name: "loud",
        fault: "a contract that emits 10,000 logs beside the exploit",
        expected: "alert, health green",
        quick: false,
        run: |options, name| Box::pin(loud(options, name)),
    },
];

async fn reverted(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let _defence = scene.defend().await?;
    let mut hashes = Vec::new();
    for step in scene.steps("failed-drain") {
        hashes.push(scene.stage.send(&step).await?.0);
    }
    let mined = Instant::now();
    scene.mine().await?;
    let drain = scene.stage.inclusion(hashes[0]).await?;
    seen.check(drain.is_some_and(|it| !it.succeeded), "it reverted");
    seen.check(scene.stage.succeeded(hashes[1]).await?, "beside a log");
    let failed = |it: &super::sink::Taken| it.text.contains("tried and failed");
    let came = scene.sink.until(PATIENCE, |it| it.iter().any(failed)).await;
    seen.came("failure alerted", came.then(|| mined.elapsed()), PATIENCE);
    // What a later block brings comes after whatever this one would have brought.
    scene.exploit(3).await?;
    let mined = Instant::now();
    scene.mine().await?;
    seen.came("next alert", scene.alerted(3, mined).await, PATIENCE);
    let success = scene.sink.taken().iter().any(|it| it.text.contains("drained"));
    seen.check(!success, "no success alerted");
    Ok(seen)
}

async fn burst(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene =
        Scene::set(options, name, Setting { node: LARGE, ..Setting::default() }).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    let (sender, token) = (rich(&scene).await?, scene.stage.names.address("token")?);
    let call = |number: usize| {
        let spender = Address::from_word(U256::from(number + 1).into());
        let data = scene.stage.names.calldata(
            "approve(address,uint256)",
            &[spender.to_string().into(), i64::try_from(number).unwrap_or_default().into()],
        );
        data.map(|it| json!({ "from": sender, "to": token, "data": it, "gas": "0x186a0" }))
    };
    let txs = (0..BURST_TXS).map(call).collect::<Result<Vec<_>, _>>()?;
    send(&scene, &txs).await?;
    scene.exploit(0).await?;
    let mined = Instant::now();
    let height = scene.mine().await?;
    let count = scene.node.ask("eth_getBlockTransactionCountByNumber", json!(["latest"])).await?;
    seen.note(format!("block of {} transactions", quantity(&count)));
    seen.check(quantity(&count) > BURST_TXS as u64, "all in one block");
    judge(&scene, &defence, seen, mined, height).await
}

async fn calldata(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene =
        Scene::set(options, name, Setting { node: LARGE, ..Setting::default() }).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    let (sender, token) = (rich(&scene).await?, scene.stage.names.address("token")?);
    let data = format!("0x{}", "00".repeat(CALLDATA_BYTES));
    let gas = format!("{:#x}", BLOCK_GAS / 4);
    let tx = json!({ "from": sender, "to": token, "data": data, "gas": gas });
    send(&scene, &[tx]).await?;
    scene.exploit(0).await?;
    let mined = Instant::now();
    let height = scene.mine().await?;
    let block = scene.node.ask("eth_getBlockByNumber", json!(["latest", true])).await?;
    let input = block["transactions"].as_array().into_iter().flatten();
    let longest = input.filter_map(|it| it["input"].as_str()).map(|it| it.len() / 2).max();
    let longest = longest.unwrap_or_default();
    seen.check(longest >= CALLDATA_BYTES, format!("{} MB included", longest / 1_000_000));
    judge(&scene, &defence, seen, mined, height).await
}

async fn loud(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene =
        Scene::set(options, name, Setting { node: LARGE, ..Setting::default() }).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    let sender = rich(&scene).await?;
    let gas = format!("{:#x}", BLOCK_GAS / 4);
    let tx = json!({ "from": sender, "data": hex::encode_prefixed(loud_code()), "gas": gas });
    send(&scene, &[tx]).await?;
    scene.exploit(0).await?;
    let mined = Instant::now();
    let height = scene.mine().await?;
    let logs = json!([{ "fromBlock": "latest", "toBlock": "latest" }]);
    let logs = scene.node.ask("eth_getLogs", logs).await?;
    let count = logs.as_array().map_or(0, Vec::len);
    seen.check(count > usize::from(LOUD_LOGS), format!("{count} logs in the block"));
    judge(&scene, &defence, seen, mined, height).await
}

/// What every row of this kind must show: alert, next block, health.
async fn judge(
    scene: &Scene,
    defence: &super::super::defender::Defender,
    mut seen: Seen,
    mined: Instant,
    height: u64,
) -> Result<Seen, StageError> {
    seen.came("alert", scene.alerted(0, mined).await, PATIENCE);
    let next = scene.mine().await?;
    seen.check(next == height + 1, "one block further");
    defence.saw(next).await?;
    seen.check(defence.until(Duration::from_secs(5), |it| it.healthy).await, "health green");
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}

/// An account that the node signs for.
async fn rich(scene: &Scene) -> Result<Value, StageError> {
    let accounts = scene.node.ask("eth_accounts", json!([])).await?;
    Ok(accounts[0].clone())
}

/// Sends transactions from an account that the node signs for, many at once.
async fn send(scene: &Scene, txs: &[Value]) -> Result<(), StageError> {
    let wrong = |it: String| StageError::Other(format!("send many transactions: {it}"));
    for batch in txs.chunks(BATCH_CALLS) {
        let calls = batch.iter().enumerate().map(|(id, tx)| {
            json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendTransaction", "params": [tx] })
        });
        let body = Value::Array(calls.collect()).to_string();
        let answer = http::post(scene.node.authority(), body.as_bytes()).await;
        let answer = answer.map_err(|it| wrong(it.to_string()))?;
        let answers: Vec<Value> =
            serde_json::from_slice(&answer).map_err(|it| wrong(it.to_string()))?;
        if let Some(refused) = answers.iter().find(|it| it["result"].is_null()) {
            return Err(wrong(refused["error"].to_string()));
        }
    }
    Ok(())
}

/// Creation code that emits logs like those of a token, again and again.
fn loud_code() -> Vec<u8> {
    let topic = keccak256("Transfer(address,address,uint256)");
    let mut code = vec![0x61];
    code.extend(LOUD_LOGS.to_be_bytes());
    // JUMPDEST; topics 2 and 1 are zero.
    code.extend([0x5b, 0x5f, 0x5f, 0x7f]);
    code.extend(topic);
    // LOG3 of one word; subtract one; again unless zero; STOP.
    code.extend([0x60, 0x20, 0x5f, 0xa3, 0x60, 0x01, 0x90, 0x03, 0x80, 0x60, 0x03, 0x57, 0x00]);
    code
}

fn quantity(value: &Value) -> u64 {
    let digits = value.as_str().and_then(|it| it.strip_prefix("0x"));
    digits.and_then(|it| u64::from_str_radix(it, 16).ok()).unwrap_or_default()
}
