//! Rows about the way to people: receivers that hang, and the program's own death on the way.

use std::time::{Duration, Instant};

use super::{
    super::StageError,
    FaultOptions, Row, Seen,
    scene::{MAIN, PATIENCE, Scene, Setting, is_alert_of},
    sink::Manner,
};

/// A receiver beside one that hangs must be told by then.
const BESIDE_MAX: Duration = Duration::from_secs(3);

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "webhook-hangs",
        fault: "one receiver accepts and never answers; 3 alerts in one block, then one more",
        expected: "other receivers and later alerts are not delayed",
        quick: true,
        run: |options, name| Box::pin(hangs(options, name)),
    },
    Row {
        name: "webhook-503",
        fault: "one receiver answers 503; 3 alerts in one block, then one more",
        expected: "other receivers and later alerts are not delayed",
        quick: false,
        run: |options, name| Box::pin(fails(options, name)),
    },
    Row {
        name: "kill-outbox",
        fault: "kill -9 after 2 of 10 deliveries, then a restart",
        expected: "the other 8 delivered, none under two keys",
        quick: true,
        run: |options, name| Box::pin(killed(options, name)),
    },
];

async fn hangs(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    beside(options, name, Manner::Hang).await
}

async fn fails(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    beside(options, name, Manner::Fail).await
}

/// One receiver behaves like `manner`, the other takes everything.
async fn beside(options: &FaultOptions, name: &str, manner: Manner) -> Result<Seen, StageError> {
    const SLOW: &str = "slow";
    let setting = Setting { sinks: &[SLOW, MAIN], ..Setting::default() };
    let mut scene = Scene::set(options, name, setting).await?;
    let mut seen = Seen::default();
    scene.sink.behave(SLOW, manner);
    let _defence = scene.defend().await?;
    for number in 0..3 {
        scene.exploit(number).await?;
    }
    let mined = Instant::now();
    scene.mine().await?;
    let mut slowest = Some(Duration::ZERO);
    for number in 0..3 {
        let after = scene.alerted(number, mined).await;
        slowest = slowest.zip(after).map(|(a, b)| a.max(b));
    }
    seen.came("3 alerts elsewhere", slowest, BESIDE_MAX);
    scene.exploit(3).await?;
    let mined = Instant::now();
    scene.mine().await?;
    seen.came("a later one", scene.alerted(3, mined).await, BESIDE_MAX);
    let at_slow = scene.sink.taken().iter().filter(|it| it.by == SLOW).count();
    seen.check(at_slow == 0, "the failing receiver took none meanwhile");
    scene.sink.behave(SLOW, Manner::Accept);
    let healed = Instant::now();
    let all = |taken: &[super::sink::Taken]| {
        (0..4).all(|number| taken.iter().any(|it| it.by == SLOW && is_alert_of(it, number)))
    };
    let came = scene.sink.until(PATIENCE, all).await.then(|| healed.elapsed());
    seen.came("all 4 at the failing one once it takes them", came, PATIENCE);
    seen.check(scene.sink.shown_twice() == 0, "none under two keys");
    Ok(seen)
}

async fn killed(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    scene.sink.behave(MAIN, Manner::AcceptThenHang(2));
    for number in 0..10 {
        scene.exploit(number).await?;
    }
    scene.mine().await?;
    seen.check(scene.sink.until(PATIENCE, |it| it.len() >= 2).await, "2 delivered");
    defence.kill().await?;
    let before = scene.sink.taken().len();
    seen.check(before == 2, format!("killed after {before}"));
    scene.sink.behave(MAIN, Manner::Accept);
    let restarted = Instant::now();
    let _again = scene.defend().await?;
    let all = |taken: &[super::sink::Taken]| {
        (0..10).all(|number| taken.iter().any(|it| is_alert_of(it, number)))
    };
    let came = scene.sink.until(PATIENCE, all).await.then(|| restarted.elapsed());
    seen.came("the others", came, PATIENCE);
    seen.check(scene.sink.shown_twice() == 0, "none under two keys");
    let repeats = scene.sink.repeats();
    seen.note(format!("{repeats} repeated under the same key"));
    Ok(seen)
}
