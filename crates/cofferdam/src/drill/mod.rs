//! Drills: scenarios played on a chain, once without a defence and once with it.
//!
//! **Invariant:** the defence is the program itself: same engine, same executors, same journal. It is
//! told nothing about the scenario but the plan that a protocol would have written.

pub mod anvil;
pub mod artifacts;
pub mod catalogue;
pub mod compare;
pub mod defence;
pub mod defender;
pub mod faults;
pub mod live;
pub mod local;
pub mod play;
pub mod stage;
pub mod world;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::{U256, hex, keccak256};
use cofferdam_act::{
    Authorisation, Authorisations, Bundle, Executor, LocalKey, Policy, Scope, Signer, Terms,
};
use cofferdam_core::{
    plan::{self, Plan},
    ports::Journal,
    secret::Secret,
};
use cofferdam_drill::{Control, keys, scenario::Guardian, scenario::Variant};
use cofferdam_engine::{Engine, Limits};
use cofferdam_record::SqliteJournal;

pub use catalogue::{CatalogueError, Drill};
pub use compare::Comparison;
pub use play::Played;
pub use stage::StageError;
pub use world::{World, WorldError};

use crate::runtime::{Hand, Hands, Notifiers, Shell, chain_of};
use anvil::{AnvilProcess, AnvilWorld};
use cofferdam_sim::LocalConfig;
use defence::{Defence, Stopwatch, Timed};
use local::LocalWorld;
use stage::Stage;

/// How a drill is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The chain.
    pub backend: Backend,
    /// Seed of all addresses.
    pub seed: u64,
    /// Folder with npm packages.
    pub packages: PathBuf,
    /// Where journals and scorecards are stored.
    pub out: PathBuf,
}

/// The chain a drill runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In-process.
    Local,
    /// anvil.
    Anvil,
}

/// Plays one variant of a drill and stores its journal and scorecard.
///
/// # Errors
/// If the drill itself fails. A defence that fails is a shortfall of the scorecard.
pub async fn run_variant(
    drill: &Drill,
    variant: &Variant,
    options: &RunOptions,
) -> Result<Played, StageError> {
    let scenario = &drill.scenario;
    let stage = set(drill, options).await?;
    let loss = play::undefended(stage, scenario, variant).await?;
    let stage = set(drill, options).await?;
    let path = options.out.join(format!("{}-{}.sqlite", scenario.id, variant.id));
    let defence = defend(drill, &stage, options.seed, &path).await?;
    let control = Control { loss };
    let played = play::defended(stage, defence, scenario, variant, control).await?;
    let json = serde_json::to_string_pretty(&played.card)
        .map_err(|it| StageError::Other(it.to_string()))?;
    let card = path.with_extension("json");
    std::fs::write(&card, json + "\n")
        .map_err(|it| StageError::Other(format!("{}: {it}", card.display())))?;
    Ok(played)
}

async fn set(drill: &Drill, options: &RunOptions) -> Result<Stage, StageError> {
    let world: Box<dyn World> = match options.backend {
        Backend::Local => Box::new(LocalWorld::new()),
        Backend::Anvil => {
            let genesis = LocalConfig::default().time;
            let process = AnvilProcess::start(&options.packages, genesis).await?;
            Box::new(AnvilWorld::connect(Arc::new(process)).await?)
        }
    };
    Stage::set(world, &drill.scenario, options.seed, options.packages.clone()).await
}

/// The defence of a drill: plan, authorisations signed ahead of time, relayers, a fresh journal.
async fn defend(
    drill: &Drill,
    stage: &Stage,
    seed: u64,
    path: &Path,
) -> Result<Defence, StageError> {
    let id = &drill.scenario.id;
    let plan = fill_plan(drill, stage)?;
    let authorisations = match &drill.scenario.guardian {
        Some(guardian) => {
            let bundle = authorise(id, guardian, stage, seed).await?;
            let all = Authorisations::from_bundles(vec![bundle]);
            all.map_err(|it| StageError::Other(chain_of(&it)))?
        }
        None => Authorisations::default(),
    };
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    for relayer in &plan.relayers {
        signers.push(Arc::new(key(id, &relayer.id, seed)?));
    }
    let chain = stage.world.chain();
    let (network, reader) = (stage.world.broadcaster(), stage.world.reader());
    let executor = Executor::new(chain, vec![network.clone()], signers, Policy::default());
    let executor = executor.map_err(|it| StageError::Other(chain_of(&it)))?;
    let head = network.head().await.map_err(|it| WorldError::new("head", it))?.0.time;
    let hand = Hand { executor, network, reader: reader.clone() };
    // Authorisation windows are compared with the chain's time at the start; a drill is short.
    let hands = Hands::new(BTreeMap::from([(chain, hand)]), authorisations, Arc::new(move || head));
    let journal: Arc<dyn Journal> = Arc::new(fresh_journal(path).await?);
    let engine =
        Engine::new(plan, Limits::default()).map_err(|it| StageError::Other(chain_of(&it)))?;
    let clock = Arc::new(Stopwatch::default());
    let mut shell = Shell::new(
        engine,
        journal.clone(),
        Arc::new(Timed(hands, clock.clone())),
        Notifiers::new(),
    );
    let started = shell.start(head, keccak256(drill.plan.as_bytes())).await;
    started.map_err(|it| StageError::Other(chain_of(&it)))?;
    Ok(Defence::new(shell, journal, reader, clock))
}

fn fill_plan(drill: &Drill, stage: &Stage) -> Result<Plan, StageError> {
    let text = plan_text(drill, stage)?;
    plan::parse(&text, "plan.toml")
        .map_err(|it| StageError::Other(format!("plan of the drill: {it}")))
}

fn plan_text(drill: &Drill, stage: &Stage) -> Result<String, StageError> {
    let action =
        drill.scenario.guardian.as_ref().map(|it| keccak256(&it.action)).unwrap_or_default();
    let text = drill.plan.replace("${id:pause}", &action.to_string());
    Ok(stage.names.fill(&text, stage.world.chain().0)?)
}

async fn authorise(
    id: &str,
    guardian: &Guardian,
    stage: &Stage,
    seed: u64,
) -> Result<Bundle, StageError> {
    let chain = stage.world.chain();
    let contract = stage.names.address(&guardian.contract)?;
    let mut keys = Vec::new();
    for name in &guardian.signers {
        keys.push(key(id, name, seed)?);
    }
    let signers: Vec<&dyn Signer> = keys.iter().map(|it| it as &dyn Signer).collect();
    let action_id = keccak256(&guardian.action);
    let mut made = Vec::new();
    for nonce in 0..guardian.count {
        let scope =
            Scope::Guardian { guardian: contract, action_id, tier: guardian.tier, not_before: 0 };
        let terms =
            Terms { nonce: U256::from(nonce), deadline: cofferdam_act::bundle::TIME_MAX, epoch: 0 };
        let signed = Authorisation::sign(chain, scope, terms, &signers).await;
        made.push(signed.map_err(|it| StageError::Other(chain_of(&it)))?);
    }
    Ok(Bundle::new(chain, made))
}

fn key(scenario: &str, name: &str, seed: u64) -> Result<LocalKey, StageError> {
    let secret = Secret::new(hex::encode(keys::private_key(scenario, name, seed)));
    LocalKey::from_hex(&secret)
        .ok_or_else(|| StageError::Other(format!("key of {name} is not on the curve")))
}

/// A journal of its own for each run; the one of an earlier run is removed first.
async fn fresh_journal(path: &Path) -> Result<SqliteJournal, StageError> {
    let wrong = |it: std::io::Error| StageError::Other(format!("{}: {it}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(wrong)?;
    }
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(it) if it.kind() != std::io::ErrorKind::NotFound => return Err(wrong(it)),
            _ => {}
        }
    }
    let journal = SqliteJournal::open(path).await;
    journal.map_err(|it| StageError::Other(format!("{}: {}", path.display(), chain_of(&it))))
}
