//! `cofferdam run`: watch the plan's chains until told to stop.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use cofferdam_act::{Authorisations, Executor, Policy, RpcBroadcaster, Signer, load_relayer};
use cofferdam_core::{
    ChainId,
    plan::{ActionCall, Chain, Plan},
    ports::{Broadcaster, Journal, StateReader},
};
use cofferdam_engine::{Engine, Limits};
use cofferdam_observe::rpc::{
    EndpointPool, RpcOptions, RpcReader, RpcSource, RpcStates, Start, TracePolicy,
};
use cofferdam_record::LocalJournal;

use super::{CliError, Output, default_journal, journal::broken, plan::load};
use crate::runtime::{
    Carried, Hand, Hands, Live, Shell, Watch, chain_of, health::Board, health::routes, now,
};

/// Time limit of one state request.
const STATE_TIMEOUT_MS: u64 = 3_000;
/// Entries read at once while restoring.
const RESTORE_PAGE: usize = 5_000;

/// Watches the plan's chains and responds.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Folder of the response plan.
    #[arg(long)]
    plan: PathBuf,
    /// The journal.
    #[arg(long, default_value_os_t = default_journal())]
    journal: PathBuf,
    /// Where `/health` and `/metrics` are served.
    #[arg(long, default_value = "127.0.0.1:9700")]
    listen: String,
    /// Start at this block instead of the head, if the journal is new.
    #[arg(long)]
    from_block: Option<u64>,
    /// Stop after this many seconds.
    #[arg(long)]
    for_seconds: Option<u64>,
}

pub(crate) async fn run(args: RunArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (plan, hash) = load(&args.plan)?;
    let journal = open_journal(&args.journal).await?;
    let engine = restore(plan.clone(), &journal).await?;
    let mut by_chain = BTreeMap::new();
    let mut watches = Vec::new();
    for chain in plan.chains.iter().filter(|it| !it.endpoints.is_empty()) {
        let urls = endpoints(chain)?;
        let pool = EndpointPool::new(chain.id, urls.iter().map(String::as_str));
        let pool = pool.map_err(|it| CliError::caused("endpoints cannot be used", it))?;
        let limit = Duration::from_millis(STATE_TIMEOUT_MS);
        let reader = Arc::new(RpcReader::new(pool.clone(), limit));
        let states =
            RpcStates::start(&pool, limit).map_err(|it| CliError::caused("cannot start", it))?;
        let start = resume(&engine, chain.id).or(args.from_block.map(Start::At));
        let source = RpcSource::start(pool, options(chain), start);
        by_chain.insert(chain.id, hand(&plan, chain.id, &args.plan, &urls, reader.clone()).await?);
        watches.push(Watch { source, reader, states });
    }
    if watches.is_empty() {
        return Err(CliError::new("the plan names no endpoint")
            .hint("add endpoints to a [[chains]] table, e.g. \"ws://127.0.0.1:8545\""));
    }
    let authorisations = authorisations(&plan, &args.plan)?;
    let hands = Hands::new(by_chain, authorisations, Box::new(now));
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let mut shell = Shell::new(engine, journal, Arc::new(hands));
    shell.start(now(), hash).await.map_err(|it| CliError::caused("cannot start", it))?;
    let board = Board::default();
    board.take(shell.engine());
    serve(&args.listen, board.clone()).await?;
    output.note(&format!(
        "watching {} chains for {}; health at http://{}/health",
        watches.len(),
        plan.name,
        args.listen
    ));
    let live = Live::new(shell, board.clone(), teller(*output, board.clone()));
    live.run(watches, stop(args.for_seconds)).await.map_err(|it| {
        CliError::caused("stopped: what is not in the journal was not acknowledged", it)
            .hint("free the disk, then start again: it resumes from the journal")
    })?;
    let health = board.read();
    let us = |percent| {
        health
            .reaction_us(percent)
            .map_or("–".to_owned(), |it| format!("{}.{:03} ms", it / 1_000, it % 1_000))
    };
    let text = format!(
        "blocks {}  pending {}  alerts {}  records {}\nseen → containment in the pool: p50 {}  p99 {}  ({} orders)\n",
        health.blocks,
        health.pending,
        health.alerts,
        health.records,
        us(50),
        us(99),
        health.reactions_us.len()
    );
    output.result(&health, &text);
    Ok(ExitCode::SUCCESS)
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
    options.traces = TracePolicy::Reexecute;
    options
}

/// Signers, networks and reads of one chain.
pub(crate) async fn hand(
    plan: &Plan,
    chain: ChainId,
    folder: &Path,
    urls: &[String],
    reader: Arc<dyn StateReader>,
) -> Result<Hand, CliError> {
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    for relayer in plan.relayers.iter().filter(|it| it.account.chain == chain) {
        let env = |name: &str| std::env::var(name).ok();
        let signer = load_relayer(relayer, folder, &env);
        signers.push(signer.map_err(|it| {
            CliError::caused(format!("key of relayer {} cannot be used", relayer.id), it)
        })?);
    }
    let mut networks: Vec<Arc<dyn Broadcaster>> = Vec::new();
    for url in urls {
        let network = RpcBroadcaster::connect(url, chain, &|name| std::env::var(name).ok()).await;
        networks.push(Arc::new(
            network.map_err(|it| CliError::caused("endpoint cannot be used for sending", it))?,
        ));
    }
    let Some(network) = networks.first().cloned() else {
        return Err(CliError::new(format!("{chain} has no endpoint")));
    };
    let executor = Executor::new(chain, networks, signers, Policy::default());
    let executor = executor.map_err(|it| CliError::caused("relayers cannot be used", it))?;
    Ok(Hand { executor, network, reader })
}

/// Every authorisation the plan's actions name.
pub(crate) fn authorisations(plan: &Plan, folder: &Path) -> Result<Authorisations, CliError> {
    let mut all = Authorisations::default();
    let mut seen = std::collections::BTreeSet::new();
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

async fn open_journal(path: &Path) -> Result<LocalJournal, CliError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|it| CliError::io("create the journal's folder", it))?;
    }
    LocalJournal::open(path).await.map_err(broken)
}

async fn restore(plan: Plan, journal: &LocalJournal) -> Result<Engine, CliError> {
    let mut from = journal.last_snapshot().await.map_err(broken)?.unwrap_or(0);
    let mut entries = Vec::new();
    loop {
        let page = journal.read(from, RESTORE_PAGE).await.map_err(broken)?;
        let Some(last) = page.last() else { break };
        from = last.seq + 1;
        entries.extend(page);
    }
    Engine::restore(plan, Limits::default(), entries).map_err(|it| {
        CliError::caused("the engine cannot be restored", it)
            .hint("`cofferdam plan check` tells what is wrong with the plan")
    })
}

/// Resumes after the journal's own blocks, so that a reorganisation during the downtime is noticed.
fn resume(engine: &Engine, chain: ChainId) -> Option<Start> {
    let view = engine.state().chains.get(&chain.0)?;
    let blocks: Vec<_> = view.trail.iter().map(|it| it.block).collect();
    (!blocks.is_empty()).then_some(Start::After(blocks))
}

async fn serve(listen: &str, board: Board) -> Result<(), CliError> {
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener.map_err(|it| {
        CliError::io(&format!("listen on {listen}"), it)
            .hint("choose another address with --listen")
    })?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes(board)).await {
            tracing::error!(error = %chain_of(&error), "health server stopped");
        }
    });
    Ok(())
}

/// Alerts as lines, and one status line that stays at the bottom of a terminal.
fn teller(output: Output, board: Board) -> Box<dyn Fn(&Carried) + Send> {
    use std::io::IsTerminal;
    let live = std::io::stderr().is_terminal();
    Box::new(move |carried| {
        for it in &carried.alerts {
            output.note(&format!(
                "{}{}  {:<9}{}",
                if live { "\r\x1b[K" } else { "" },
                it.at,
                it.severity.to_string(),
                it.text
            ));
        }
        if live && !carried.records.is_empty() {
            let health = board.read();
            let heads: Vec<String> =
                health.heads.iter().map(|(chain, it)| format!("{chain} at {it}")).collect();
            let state = if health.healthy { "sighted" } else { "BLIND" };
            output.status(&format!(
                "{state}  {}  incidents {}  orders under way {}",
                heads.join("  "),
                health.incidents_open,
                health.orders_under_way
            ));
        }
    })
}

async fn stop(after: Option<u64>) {
    let seconds = async {
        match after {
            Some(it) => tokio::time::sleep(Duration::from_secs(it)).await,
            None => std::future::pending().await,
        }
    };
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(it) => it,
            Err(_) => return seconds.await,
        };
    tokio::select! {
        () = seconds => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
