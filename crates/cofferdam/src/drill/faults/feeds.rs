//! Rows about programs that make findings beside ours.

use std::time::{Duration, Instant};

use cofferdam_act::notify::signature;
use cofferdam_core::secret::Secret;
use serde_json::json;

use super::{
    super::StageError,
    FaultOptions, Row, Seen,
    scene::{SECRET, Scene, Setting},
};
use crate::runtime::now;

/// An alert beside a feed that hangs must be out by then.
const BESIDE_MAX: Duration = Duration::from_secs(3);

pub(super) const ROWS: &[Row] = &[Row {
    name: "feeds",
    fault: "a detector beside ours never answers; a webhook is called with a wrong seal, then a right one",
    expected: "no alert is late, people are told; the wrong one is refused, the right one alerted",
    quick: true,
    run: |options, name| Box::pin(feeds(options, name)),
}];

async fn feeds(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene =
        Scene::set(options, name, Setting { feeds: true, ..Setting::default() }).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    scene.exploit(0).await?;
    let (mined, _) = (Instant::now(), scene.mine().await?);
    seen.came("alert beside the deaf detector", scene.alerted(0, mined).await, BESIDE_MAX);
    seen.check(scene.told("raised", "readiness/feed deaf").await, "the deaf detector is told");
    let told = json!({
        "chain": scene.account_of(9)?.chain,
        "subject": scene.account_of(9)?.address,
        "summary": "told from outside",
        "severity": "high",
    });
    let body = told.to_string().into_bytes();
    let secs = now().0 / 1_000;
    let seal = signature(&Secret::new(SECRET.1), name, secs, &body);
    let headers = |seal: &str| {
        [
            ("webhook-id", name.to_owned()),
            ("webhook-timestamp", secs.to_string()),
            ("webhook-signature", seal.to_owned()),
        ]
    };
    let wrong = defence.post("/feeds/caller", &headers("v1,AAAA"), &body).await?;
    seen.check(wrong == 401, format!("wrong seal: {wrong}"));
    let sent = Instant::now();
    let right = defence.post("/feeds/caller", &headers(&seal), &body).await?;
    seen.check(right == 202, format!("right seal: {right}"));
    seen.came("its alert", scene.alerted(9, sent).await, BESIDE_MAX);
    let again = defence.post("/feeds/caller", &headers(&seal), &body).await?;
    seen.check(again == 202, format!("once more: {again}"));
    scene.exploit(1).await?;
    let (mined, _) = (Instant::now(), scene.mine().await?);
    seen.came("a later alert", scene.alerted(1, mined).await, BESIDE_MAX);
    seen.check(scene.alerts_of(9) == 1, "told twice, alerted once");
    seen.check(defence.health().await?.healthy, "health green");
    Ok(seen)
}
