//! Rows about a node that fails, hangs, lags or lies.

use std::time::{Duration, Instant};

use super::{
    super::StageError,
    FaultOptions, Row, Seen,
    proxy::Fault,
    scene::{PATIENCE, Scene, Setting},
};

/// The requests by which receipts and logs are had.
const RECEIPTS: &[&str] = &["eth_getBlockReceipts", "eth_getTransactionReceipt", "eth_getLogs"];
/// A healthy fallback must have answered by then.
const FAIL_OVER_MAX: Duration = Duration::from_secs(3);
/// Most failing requests in a second to one endpoint.
const FAILING_PER_SECOND_MAX: u64 = 5;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "rpc-503",
        fault: "the only node answers 503 while the exploit is mined",
        expected: "cursor held, blindness paged, alert when it is back",
        quick: true,
        run: |options, name| Box::pin(unavailable(options, name)),
    },
    Row {
        name: "rpc-behind",
        fault: "the node reports head−6 for 4 s",
        expected: "cursor never goes back, one alert",
        quick: false,
        run: |options, name| Box::pin(behind(options, name)),
    },
    Row {
        name: "rpc-both-fail",
        fault: "two nodes both fail to give receipts",
        expected: "blindness paged, few requests, recovery",
        quick: false,
        run: |options, name| Box::pin(both_fail(options, name)),
    },
    Row {
        name: "rpc-hang",
        fault: "the first node hangs, the second is healthy",
        expected: "alert in under 3 s",
        quick: true,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::Hang)),
    },
    Row {
        name: "rpc-refuse",
        fault: "the first node closes every connection",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::Refuse)),
    },
    Row {
        name: "rpc-error-200",
        fault: "the first node answers 200 with JSON-RPC errors",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::RpcError)),
    },
    Row {
        name: "rpc-truncated",
        fault: "the first node's answers break off half way",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::Truncate)),
    },
    Row {
        name: "rpc-not-json",
        fault: "the first node answers with HTML",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::NotJson)),
    },
    Row {
        name: "rpc-slowloris",
        fault: "the first node sends one byte a second",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::Trickle)),
    },
    Row {
        name: "rpc-lies",
        fault: "the only node lies in receipts",
        expected: "not believed: cursor held, blindness paged, alert afterwards",
        quick: false,
        run: |options, name| Box::pin(dishonest(options, name, Fault::LyingReceipts)),
    },
    Row {
        name: "rpc-no-logs",
        fault: "the only node leaves logs out of receipts",
        expected: "not believed: cursor held, blindness paged, alert afterwards",
        quick: true,
        run: |options, name| Box::pin(dishonest(options, name, Fault::NoLogs)),
    },
    Row {
        name: "rpc-lies-beside",
        fault: "the first node lies in receipts, the second does not",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy(options, name, Fault::LyingReceipts)),
    },
    Row {
        name: "ws-hangs",
        fault: "the first node's WebSocket stays connected and tells nothing, answers included",
        expected: "alert in under 3 s",
        quick: false,
        run: |options, name| Box::pin(beside_healthy_ws(options, name, Fault::Hang)),
    },
    Row {
        name: "ws-refuses",
        fault: "the first node closes its WebSocket and every new one",
        expected: "alert in under 3 s",
        quick: true,
        run: |options, name| Box::pin(beside_healthy_ws(options, name, Fault::Refuse)),
    },
    Row {
        name: "ws-deaf",
        fault: "a subscription that stays connected tells nothing more",
        expected: "alert within two block times and a second",
        quick: true,
        run: |options, name| Box::pin(deaf(options, name)),
    },
];

async fn unavailable(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    let begun = Instant::now();
    scene.proxies[0].switch(Fault::Unavailable);
    scene.exploit(0).await?;
    let height = scene.mine().await?;
    seen.check(scene.told("raised", "blind/").await, "blindness paged");
    if !options.quick {
        // As long as in the comparison with others.
        tokio::time::sleep(Duration::from_secs(25).saturating_sub(begun.elapsed())).await;
    }
    let health = defence.health().await?;
    seen.check(health.heads.values().all(|it| *it < height), "cursor held");
    seen.check(!health.healthy, "health red");
    scene.proxies[0].switch(Fault::None);
    let healed = Instant::now();
    seen.came("alert after healing", scene.alerted(0, healed).await, PATIENCE);
    seen.check(scene.told("resolved", "blind/").await, "sight told");
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}

async fn behind(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    scene.exploit(0).await?;
    let (mined, height) = (Instant::now(), scene.mine().await?);
    seen.came("alert", scene.alerted(0, mined).await, PATIENCE);
    defence.saw(height).await?;
    scene.proxies[0].switch(Fault::Behind(6));
    let mut lowest = u64::MAX;
    let head = |it: &crate::runtime::health::Health| it.heads.values().copied().min();
    defence
        .until(Duration::from_secs(4), |it| {
            lowest = lowest.min(head(it).unwrap_or_default());
            false
        })
        .await;
    seen.check(lowest >= height, format!("cursor stayed at {height}"));
    scene.proxies[0].switch(Fault::None);
    scene.exploit(1).await?;
    let (mined, _) = (Instant::now(), scene.mine().await?);
    seen.came("next alert", scene.alerted(1, mined).await, PATIENCE);
    seen.check(scene.alerts_of(0) == 1, "first alert once");
    Ok(seen)
}

async fn both_fail(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let setting = Setting { endpoints: 2, ..Setting::default() };
    let mut scene = Scene::set(options, name, setting).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    for it in &scene.proxies {
        it.switch_only(Fault::Unavailable, RECEIPTS);
    }
    scene.exploit(0).await?;
    let (begun, height) = (Instant::now(), scene.mine().await?);
    seen.check(scene.told("raised", "blind/").await, "blindness paged");
    let long = Duration::from_secs(if options.quick { 5 } else { 30 });
    tokio::time::sleep(long.saturating_sub(begun.elapsed())).await;
    let (spoiled, all): (u64, u64) =
        scene.proxies.iter().fold((0, 0), |sum, it| (sum.0 + it.spoiled(), sum.1 + it.requests()));
    let took = begun.elapsed().as_secs().max(1);
    let most = FAILING_PER_SECOND_MAX * took * scene.proxies.len() as u64;
    seen.check(spoiled <= most, format!("{spoiled} failing requests in {took} s to both"));
    seen.note(format!("{all} requests of all kinds"));
    let health = defence.health().await?;
    seen.check(health.heads.values().all(|it| *it < height), "cursor held");
    for it in &scene.proxies {
        it.switch(Fault::None);
    }
    let healed = Instant::now();
    seen.came("alert after healing", scene.alerted(0, healed).await, PATIENCE);
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}

/// The preferred node suffers `fault`; the other does not.
async fn beside_healthy(
    options: &FaultOptions,
    name: &str,
    fault: Fault,
) -> Result<Seen, StageError> {
    fails_over(options, name, fault, Setting { endpoints: 2, ..Setting::default() }).await
}

/// The same over WebSockets.
async fn beside_healthy_ws(
    options: &FaultOptions,
    name: &str,
    fault: Fault,
) -> Result<Seen, StageError> {
    fails_over(options, name, fault, Setting { endpoints: 2, ws: true, ..Setting::default() }).await
}

async fn fails_over(
    options: &FaultOptions,
    name: &str,
    fault: Fault,
    setting: Setting<'_>,
) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, setting).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    scene.proxies[0].switch(fault);
    scene.exploit(0).await?;
    let mined = Instant::now();
    let height = scene.mine().await?;
    seen.came("alert", scene.alerted(0, mined).await, FAIL_OVER_MAX);
    defence.saw(height).await?;
    // Once it is known to fail, nothing waits for it any more.
    scene.exploit(1).await?;
    let (mined, _) = (Instant::now(), scene.mine().await?);
    seen.came("next alert", scene.alerted(1, mined).await, FAIL_OVER_MAX);
    seen.check(scene.alerts_of(0) == 1, "first alert once");
    seen.check(defence.health().await?.healthy, "health green");
    seen.check(scene.proxies[0].spoiled() > 0, "the fault was met");
    Ok(seen)
}

async fn dishonest(options: &FaultOptions, name: &str, fault: Fault) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    scene.proxies[0].switch_only(fault, RECEIPTS);
    scene.exploit(0).await?;
    let height = scene.mine().await?;
    seen.check(scene.told("raised", "blind/").await, "blindness paged");
    let health = defence.health().await?;
    seen.check(health.heads.values().all(|it| *it < height), "cursor held");
    scene.proxies[0].switch(Fault::None);
    let healed = Instant::now();
    seen.came("alert after healing", scene.alerted(0, healed).await, PATIENCE);
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}

async fn deaf(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting { ws: true, ..Setting::default() }).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    // A block by subscription first.
    defence.saw(scene.mine().await?).await?;
    scene.proxies[0].switch(Fault::Deaf);
    scene.exploit(0).await?;
    let (mined, _) = (Instant::now(), scene.mine().await?);
    seen.came("alert", scene.alerted(0, mined).await, FAIL_OVER_MAX);
    seen.check(scene.proxies[0].spoiled() > 0, "the fault was met");
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}
