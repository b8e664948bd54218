//! From a plan folder to the parts of a running program.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use cofferdam_act::{
    Authorisations, BuilderRelay, Executor, Policy, Signer, load_relayer, load_signer,
    notify::{self, Heartbeat, Wiring},
};
use cofferdam_core::{
    ChainId,
    plan::{ActionCall, Chain, Plan},
    ports::{Broadcaster, PrivateRelay, StateReader},
    secret::Secret,
};
use cofferdam_engine::State;
use cofferdam_observe::rpc::{
    EndpointPool, Monitor, RpcOptions, RpcReader, RpcSource, RpcStates, Start, TracePolicy,
};

use tokio::task::JoinSet;

use super::CliError;
use crate::runtime::{Hand, LateNetwork, Notifiers, Watch, feeds::Feeds, now};

/// Time limit of one state request.
const STATE_TIMEOUT_MS: u64 = 3_000;

/// One chain's connections.
pub(crate) struct Reach {
    chain: Chain,
    pool: Arc<EndpointPool>,
    reader: Arc<RpcReader>,
    states: RpcStates,
}

/// Connections to every chain of the plan that has endpoints. Nothing is asked yet.
pub(crate) fn reach(plan: &Plan) -> Result<Vec<Reach>, CliError> {
    let mut out = Vec::new();
    for chain in plan.chains.iter().filter(|it| !it.endpoints.is_empty()) {
        let urls = endpoints(chain)?;
        let pool = EndpointPool::new(chain.id, urls.iter().map(String::as_str));
        let pool = pool.map_err(|it| CliError::caused("endpoints cannot be used", it))?;
        let limit = Duration::from_millis(STATE_TIMEOUT_MS);
        let reader = Arc::new(RpcReader::new(pool.clone(), limit));
        let states =
            RpcStates::start(&pool, limit).map_err(|it| CliError::caused("cannot start", it))?;
        out.push(Reach { chain: chain.clone(), pool, reader, states });
    }
    if out.is_empty() {
        return Err(CliError::new("the plan names no endpoint")
            .hint("add endpoints to a [[chains]] table, e.g. \"ws://127.0.0.1:8545\""));
    }
    Ok(out)
}

impl Reach {
    /// The chain.
    pub(crate) fn id(&self) -> ChainId {
        self.chain.id
    }

    /// Answers state reads.
    pub(crate) fn reader(&self) -> Arc<dyn StateReader> {
        self.reader.clone()
    }

    /// What the loop needs to watch it, beginning where `state` ends. `monitors` gets the source's
    /// monitor each time it is opened.
    pub(crate) fn watch(
        &self,
        state: &State,
        from_block: Option<u64>,
        monitors: impl Fn(Monitor) + Send + Sync + 'static,
    ) -> Watch {
        let (pool, options) = (self.pool.clone(), options(&self.chain));
        Watch {
            open: Box::new(move |start| {
                let source = RpcSource::start(pool.clone(), options.clone(), start);
                monitors(source.monitor());
                source
            }),
            start: resume(state, self.chain.id).or(from_block.map(Start::At)),
            chain: self.chain.id,
            reader: self.reader.clone(),
            states: self.states.clone(),
        }
    }
}

/// Resumes after the journal's own blocks, so that a reorganisation during the downtime is noticed.
fn resume(state: &State, chain: ChainId) -> Option<Start> {
    let view = state.chains.get(&chain.0)?;
    let blocks: Vec<_> = view.trail.iter().map(|it| it.block).collect();
    (!blocks.is_empty()).then_some(Start::After(blocks))
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The endpoint URLs of a chain; `env:NAME` is looked up.
pub(crate) fn endpoints(chain: &Chain) -> Result<Vec<String>, CliError> {
    let resolve = |url: &String| match url.strip_prefix("env:") {
        Some(name) => std::env::var(name).map_err(|_| {
            CliError::new(format!("environment variable {name} is not set"))
                .hint(format!("the plan takes an endpoint of {} from it", chain.id))
        }),
        None => Ok(url.clone()),
    };
    chain.endpoints.iter().map(resolve).collect()
}

fn options(chain: &Chain) -> RpcOptions {
    let mut options = RpcOptions::new(Duration::from_millis(chain.block_time.0));
    options.reorg_blocks_max = chain.reorg_blocks_max;
    options.pending = chain.pending;
    options.sub_blocks = chain.sub_blocks.map(|it| Duration::from_millis(it.0));
    options.quorum = chain.quorum(false);
    options.traces = TracePolicy::Reexecute;
    options
}

/// Signers, networks, builders and reads of every chain.
pub(crate) fn hands(
    plan: &Plan,
    folder: &Path,
    chains: &[Reach],
) -> Result<BTreeMap<ChainId, Hand>, CliError> {
    let mut out = BTreeMap::new();
    for it in chains {
        out.insert(it.id(), hand(plan, &it.chain, folder, it.reader())?);
    }
    Ok(out)
}

fn hand(
    plan: &Plan,
    chain: &Chain,
    folder: &Path,
    reader: Arc<dyn StateReader>,
) -> Result<Hand, CliError> {
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    for relayer in plan.relayers.iter().filter(|it| it.account.chain == chain.id) {
        let signer = load_relayer(relayer, folder, &env);
        signers.push(signer.map_err(|it| {
            CliError::caused(format!("key of relayer {} cannot be used", relayer.id), it)
        })?);
    }
    let urls = endpoints(chain)?.into_iter();
    let networks: Vec<Arc<dyn Broadcaster>> =
        urls.map(|url| Arc::new(LateNetwork::new(url, chain.id)) as _).collect();
    let Some(network) = networks.first().cloned() else {
        return Err(CliError::new(format!("{} has no endpoint", chain.id)));
    };
    let executor = Executor::new(chain.id, networks, signers, Policy::default());
    let executor = executor.map_err(|it| CliError::caused("relayers cannot be used", it))?;
    let executor = executor.with_relays(builders(chain, folder)?);
    let executor = executor.map_err(|it| CliError::caused("builders cannot be used", it))?;
    Ok(Hand { executor, network, reader })
}

fn builders(chain: &Chain, folder: &Path) -> Result<Vec<Arc<dyn PrivateRelay>>, CliError> {
    let mut out: Vec<Arc<dyn PrivateRelay>> = Vec::new();
    for builder in &chain.builders {
        let wrong = |it: Box<dyn std::error::Error + Send + Sync>| {
            CliError::caused(format!("builder {} cannot be used", builder.id), it)
        };
        let identity = builder.identity.as_ref().map(|it| load_signer(it, folder, &env));
        let identity = identity.transpose().map_err(|it| wrong(it.into()))?;
        let relay = BuilderRelay::new(builder, chain.id, identity, &env);
        out.push(Arc::new(relay.map_err(|it| wrong(it.into()))?));
    }
    Ok(out)
}

/// Every authorisation the plan's actions name.
pub(crate) fn authorisations(plan: &Plan, folder: &Path) -> Result<Authorisations, CliError> {
    let mut all = Authorisations::default();
    let mut seen = BTreeSet::new();
    for action in &plan.actions {
        let (ActionCall::Guardian { authorisations, .. }
        | ActionCall::SafeModule { authorisations, .. }) = &action.call
        else {
            continue;
        };
        if seen.insert(authorisations.clone()) {
            let loaded = Authorisations::load(&folder.join(authorisations));
            let wrong = |it| {
                CliError::caused(format!("authorisations of {} cannot be used", action.id), it)
            };
            all.join(loaded.map_err(wrong)?).map_err(wrong)?;
        }
    }
    Ok(all)
}

/// Starts whatever makes findings beside us.
pub(crate) fn feeds(
    plan: &Plan,
    folder: &Path,
    tasks: &mut JoinSet<()>,
) -> Result<Feeds, CliError> {
    let secret = |name: &str| env(name).map(Secret::new);
    Feeds::start(&Arc::new(plan.clone()), folder, tasks, secret).map_err(|(id, it)| {
        CliError::caused(format!("feed {id} cannot be used"), it).hint(
            "put a secret of at least 24 bytes into the environment variable that the plan names",
        )
    })
}

/// The receivers of alerts, and the heartbeats of those that watch over us.
pub(crate) fn notifiers(plan: &Plan) -> Result<(Notifiers, Vec<Heartbeat>), CliError> {
    let wiring = Wiring { env: &env, clock: Arc::new(now), deadline: notify::DEADLINE };
    let (mut out, mut beats) = (Notifiers::new(), Vec::new());
    for it in &plan.notifiers {
        let wrong = |error| {
            CliError::caused(format!("notifier {} cannot be used", it.id), error)
                .hint("set the environment variable that the plan names, or correct the plan")
        };
        out.insert(it.id.clone(), notify::open(it, &wiring).map_err(wrong)?.into());
        let instance = format!("{}/{}", plan.name, std::process::id());
        if let Some(beat) = Heartbeat::open(it, &instance, &wiring) {
            beats.push(beat.map_err(wrong)?);
        }
    }
    Ok((out, beats))
}
