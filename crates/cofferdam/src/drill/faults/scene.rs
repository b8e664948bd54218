//! What each row of the suite sets up for itself: a node, the stage on it, proxies before it, a
//! receiver of alerts, and a plan that names them.
//!
//! **Invariant:** nothing outlives the row, and no two rows share anything.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use cofferdam_core::{AccountId, Timestamp, plan};
use cofferdam_drill::{Scenario, scenario::Step};
use serde_json::json;

use super::{
    super::{
        Drill, RunOptions, StageError,
        anvil::{AnvilProcess, AnvilWorld},
        defender::{Defender, Launch},
        live::{lay_plan, reach},
        stage::Stage,
        world::BLOCK_SECONDS,
    },
    proxy::Proxy,
    sink::{Sink, Taken},
};
use crate::runtime::now;

/// How long anything may take that a fault delays, once the fault is over.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The receiver that every row has.
pub(super) const MAIN: &str = "main";
/// The environment variable with the receivers' secret, and the secret.
pub(super) const SECRET: (&str, &str) =
    ("COFFERDAM_FAULTS_SECRET", "only for the receivers of the fault suite");
/// How long blindness may last before it is paged.
const BLIND_PAGE_AFTER: &str = "2s";

/// How a suite is run.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// Seed, packages and folder, as for other drills.
    pub run: RunOptions,
    /// The program.
    pub program: PathBuf,
    /// Shorter faults.
    pub quick: bool,
    /// Kills of the row that kills at random points.
    pub kills: u32,
}

/// What differs between rows.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// Proxies before the node, each an endpoint of the plan.
    pub(super) endpoints: usize,
    /// Whether the endpoints are WebSockets.
    pub(super) ws: bool,
    /// Receivers.
    pub(super) sinks: &'a [&'a str],
    /// More arguments for the node.
    pub(super) node: &'a [&'a str],
    /// Whether a deaf detector and a webhook stand beside our own rules.
    pub(super) feeds: bool,
    /// The drill; the suite's own if none.
    pub(super) drill: Option<Drill>,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { endpoints: 1, ws: false, sinks: &[MAIN], node: &[], feeds: false, drill: None }
    }
}

/// Everything around the program.
pub(super) struct Scene {
    pub(super) drill: Drill,
    pub(super) node: Arc<AnvilProcess>,
    pub(super) stage: Stage,
    pub(super) proxies: Vec<Proxy>,
    pub(super) sink: Sink,
    pub(super) launch: Launch,
}

impl Scene {
    /// Sets the scene for the row `name`; the program is not started yet.
    pub(super) async fn set(
        options: &FaultOptions,
        name: &str,
        setting: Setting<'_>,
    ) -> Result<Self, StageError> {
        let other = |it: std::io::Error| StageError::Other(it.to_string());
        let RunOptions { seed, packages, out, .. } = &options.run;
        let drill = setting.drill.map_or_else(own_drill, Ok)?;
        // The setup's blocks lie in the past, so that chain time and wall time agree when it counts.
        let past = (drill.scenario.setup.len() as u64 + 10) * BLOCK_SECONDS * 1_000;
        let genesis = Timestamp(now().0.saturating_sub(past));
        let node = Arc::new(AnvilProcess::start_with(packages, genesis, setting.node).await?);
        let world = Box::new(AnvilWorld::connect(node.clone()).await?);
        let stage = Stage::set(world, &drill.scenario, *seed, packages.clone()).await?;
        let mut proxies = Vec::new();
        for _ in 0..setting.endpoints {
            proxies.push(Proxy::start(node.authority()).await.map_err(other)?);
        }
        let urls = proxies.iter().map(|it| if setting.ws { it.ws() } else { it.http() });
        let urls: Vec<String> = urls.collect();
        let sink = Sink::start().await.map_err(other)?;
        let folder = out.join(format!("fault-{name}"));
        lay_plan(&drill, &stage, *seed, &folder, |plan| {
            reach(plan, &urls);
            tell(plan, &sink, setting.sinks);
            if setting.feeds {
                beside(plan);
            }
        })
        .await?;
        let mut launch = Launch::new(&options.program, &folder, &drill.scenario, *seed);
        launch.env.push((SECRET.0.to_owned(), SECRET.1.into()));
        Ok(Self { drill, node, stage, proxies, sink, launch })
    }

    /// Starts the program and waits until it has evaluated a block.
    pub(super) async fn defend(&self) -> Result<Defender, StageError> {
        let defence = Defender::start(&self.launch).await?;
        defence.saw(self.mine().await?).await?;
        Ok(defence)
    }

    /// Makes a block of what waits; returns its height.
    pub(super) async fn mine(&self) -> Result<u64, StageError> {
        Ok(self.node.mine(now()).await?)
    }

    /// Sends the tokens of holder `number` to the thief; mined by nobody yet.
    pub(super) async fn exploit(&mut self, number: usize) -> Result<B256, StageError> {
        let step = self.steps("exploits").get(number).cloned();
        let step = step.ok_or_else(|| StageError::Other(format!("there is no holder {number}")))?;
        Ok(self.stage.send(&step).await?.0)
    }

    /// The steps of the first block of a variant.
    pub(super) fn steps(&self, variant: &str) -> Vec<Step> {
        let found = self.drill.scenario.variants.iter().find(|it| it.id == variant);
        found.and_then(|it| it.blocks.first()).cloned().unwrap_or_default()
    }

    /// The account of holder `number`, as the plan names it.
    pub(super) fn account_of(&self, number: usize) -> Result<AccountId, StageError> {
        let wrong = |it: String| StageError::Other(format!("read the plan: {it}"));
        let text = std::fs::read_to_string(self.launch.folder.join("plan.toml"));
        let text = text.map_err(|it| wrong(it.to_string()))?;
        let (plan, _) = plan::read(&text, "plan.toml").map_err(|it| wrong(it.to_string()))?;
        let entity = plan.entity(&format!("holder-{number}"));
        let account = entity.and_then(|it| it.accounts.first()).copied();
        account.ok_or_else(|| wrong(format!("there is no holder {number}")))
    }

    /// Waits for the alert about holder `number` at the receiver every row has, and tells how long
    /// after `since` it came; `None` if it did not.
    pub(super) async fn alerted(&self, number: usize, since: Instant) -> Option<Duration> {
        let here = |it: &&Taken| it.by == MAIN && is_alert_of(it, number);
        let came = self.sink.until(PATIENCE, |it| it.iter().any(|it| here(&it))).await;
        let first = self.sink.taken().into_iter().find(|it| here(&it));
        first.filter(|_| came).map(|it| it.at.saturating_duration_since(since))
    }

    /// How many alerts about holder `number` the receiver took that every row has.
    pub(super) fn alerts_of(&self, number: usize) -> usize {
        let taken = self.sink.taken();
        taken.iter().filter(|it| it.by == MAIN && is_alert_of(it, number)).count()
    }

    /// Waits for an alert of this kind whose thread begins with `thread`.
    pub(super) async fn told(&self, kind: &str, thread: &str) -> bool {
        let wanted = |it: &Taken| it.kind == kind && it.dedup.starts_with(thread);
        self.sink.until(PATIENCE, |it| it.iter().any(wanted)).await
    }

    /// Keeps the state of the chain; [`Self::go_back`] returns to it.
    pub(super) async fn remember(&self) -> Result<serde_json::Value, StageError> {
        Ok(self.node.ask("evm_snapshot", json!([])).await?)
    }

    /// Forgets every block since `then`, as a reorganisation does. Whoever sent something since then
    /// must not send again: their nonces are off.
    pub(super) async fn go_back(&self, then: serde_json::Value) -> Result<(), StageError> {
        self.node.ask("evm_revert", json!([then])).await?;
        Ok(())
    }
}

/// Whether it is the alert that opened the incident about holder `number`.
pub(super) fn is_alert_of(it: &Taken, number: usize) -> bool {
    it.kind == "raised" && it.text.contains(&format!(" at holder-{number}:"))
}

fn own_drill() -> Result<Drill, StageError> {
    let scenario = Scenario::parse(include_str!("scenario.toml"));
    let scenario = scenario.map_err(|it| StageError::Other(format!("scenario of faults: {it}")))?;
    Ok(Drill { scenario, plan: include_str!("plan.toml").to_owned() })
}

/// Adds the receivers to the plan, and how soon blindness is paged.
fn tell(plan: &mut toml::Table, sink: &Sink, names: &[&str]) {
    let chain = plan.get_mut("chains").and_then(|it| it.get_mut(0));
    if let Some(chain) = chain.and_then(toml::Value::as_table_mut) {
        chain.insert("blind-page-after".into(), BLIND_PAGE_AFTER.into());
    }
    let notifier = |name: &&str| {
        let mut channel = toml::Table::new();
        channel.insert("to".into(), "webhook".into());
        channel.insert("url".into(), sink.url(name).into());
        channel.insert("secret-env".into(), SECRET.0.into());
        let mut notifier = toml::Table::new();
        notifier.insert("id".into(), (*name).into());
        notifier.insert("severity".into(), "medium".into());
        notifier.insert("channel".into(), channel.into());
        toml::Value::Table(notifier)
    };
    let all: Vec<_> = names.iter().map(notifier).collect();
    plan.insert("notifiers".into(), all.into());
}

/// Adds a detector that never answers, and a webhook, with the rule they belong to.
fn beside(plan: &mut toml::Table) {
    let rule = toml::toml! { id = "told" detector = "external" mode = "alert" };
    let deaf = toml::toml! {
        id = "deaf"
        rule = "told"
        from = { via = "process", command = ["python3", "-c", "import sys\nfor line in sys.stdin: pass"], answer-within = "500ms" }
    };
    let caller = toml::toml! {
        id = "caller"
        rule = "told"
        from = { via = "webhook", secret-env = "COFFERDAM_FAULTS_SECRET" }
    };
    if let Some(rules) = plan.get_mut("rules").and_then(toml::Value::as_array_mut) {
        rules.push(rule.into());
    }
    plan.insert("feeds".into(), vec![toml::Value::Table(deaf), caller.into()].into());
}
