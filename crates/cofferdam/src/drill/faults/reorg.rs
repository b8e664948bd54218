//! Rows about blocks that are replaced.

use std::time::Instant;

use super::{
    super::StageError,
    FaultOptions, Row, Seen,
    scene::{PATIENCE, Scene, Setting},
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "reorg-in",
        fault: "a reorganisation of 2 blocks puts the exploit at a height already evaluated",
        expected: "the new branch is evaluated, alert",
        quick: true,
        run: |options, name| Box::pin(exploit_comes(options, name)),
    },
    Row {
        name: "reorg-out",
        fault: "the block of an alerted exploit is reorganised out",
        expected: "a retraction is sent to whoever was alerted",
        quick: true,
        run: |options, name| Box::pin(exploit_goes(options, name)),
    },
];

async fn exploit_comes(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    let before = scene.remember().await?;
    let first = scene.mine().await?;
    let second = scene.mine().await?;
    defence.saw(second).await?;
    scene.go_back(before).await?;
    scene.exploit(0).await?;
    let (mined, height) = (Instant::now(), scene.mine().await?);
    scene.mine().await?;
    seen.came("alert", scene.alerted(0, mined).await, PATIENCE);
    seen.check(height == first, format!("of block {first}, evaluated before on another branch"));
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}

async fn exploit_goes(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let _defence = scene.defend().await?;
    let before = scene.remember().await?;
    scene.exploit(0).await?;
    let mined = Instant::now();
    scene.mine().await?;
    seen.came("alert", scene.alerted(0, mined).await, PATIENCE);
    scene.go_back(before).await?;
    let gone = Instant::now();
    scene.mine().await?;
    scene.mine().await?;
    seen.check(scene.told("retracted", "").await, "retracted");
    let taken = scene.sink.taken();
    let raised = taken.iter().find(|it| it.kind == "raised").map(|it| &it.dedup);
    let taken_back = taken.iter().find(|it| it.kind == "retracted");
    let after = taken_back.map(|it| it.at.saturating_duration_since(gone));
    seen.came("retraction", after, PATIENCE);
    let same = raised.is_some() && raised == taken_back.map(|it| &it.dedup);
    seen.check(same, "in the thread of the alert");
    Ok(seen)
}
