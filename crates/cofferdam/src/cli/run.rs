//! `cofferdam run`: watch the plan's chains until told to stop.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use alloy_primitives::B256;
use axum::Router;
use clap::Args;
use cofferdam_core::{
    Alert, AlertKind, Severity,
    plan::Plan,
    ports::{Journal, JournalError},
};
use cofferdam_engine::{Engine, Limits};
use cofferdam_record::LocalJournal;
use tokio::task::JoinSet;

use super::{
    CliError, Output, card, default_journal,
    journal::broken,
    plan::load,
    wire::{self, Reach},
};
use crate::{
    api::Api,
    runtime::{
        Bounded, Caller, Carried, Door, Hands, LIFE_OF_STRANGERS, Live, Notifiers, Pulse, Shell,
        ShellError, beat, chain_of,
        feeds::{self, Feeds},
        health::{Board, routes},
        now,
    },
};

/// Entries read at once while restoring.
const RESTORE_PAGE: usize = 5_000;
/// Wait before a journal that took no records is opened again.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// Watches the plan's chains and responds.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Folder of the response plan.
    #[arg(long)]
    plan: PathBuf,
    /// The journal.
    #[arg(long, default_value_os_t = default_journal())]
    journal: PathBuf,
    /// Where `/health`, `/metrics`, and the API and console of a plan that has one are served.
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
    let (mut plan, hash) = load(&args.plan)?;
    card::fall_back(&mut plan, output);
    let chains = wire::reach(&plan)?;
    let by_chain = wire::hands(&plan, &args.plan, &chains)?;
    let authorisations = wire::authorisations(&plan, &args.plan)?;
    let (notifiers, beats) = wire::notifiers(&plan)?;
    let mut tasks = JoinSet::new();
    let feeds = wire::feeds(&plan, &args.plan, &mut tasks)?;
    let (board, door) = (Board::default(), Door::default());
    let api = Api::start(&plan, board.clone(), door.clone(), &mut tasks);
    let program = Program {
        feeds,
        hands: Arc::new(Hands::new(by_chain, authorisations, Arc::new(now))),
        board,
        door,
        api,
        pulse: Pulse::default(),
        args,
        plan,
        hash,
        chains,
        notifiers,
        output: *output,
    };
    let stop = stop(program.args.for_seconds);
    tokio::pin!(stop);
    let engine = program.restore().await?;
    let board = program.board.clone();
    let mut served = routes(board.clone()).merge(feeds::routes(program.feeds.inlets(), board));
    if let Some(api) = &program.api {
        served = served.merge(api.routes());
    }
    let listening = serve(&program.args.listen, served).await?;
    program.output.note(&format!(
        "watching {} chains for {}; health at http://{listening}/health",
        program.chains.len(),
        program.plan.name,
    ));
    for it in beats {
        beat(&mut tasks, it, program.pulse.clone());
    }
    program.supervise(engine, stop).await?;
    let health = program.board.read();
    let text = format!(
        "blocks {}  pending {}  alerts {}  records {}\nseen → containment in the pool: {}\n",
        health.blocks,
        health.pending,
        health.alerts,
        health.records,
        health.percentiles()
    );
    output.result(&health, &text);
    Ok(ExitCode::SUCCESS)
}

/// Everything that outlives a journal that fails.
struct Program {
    args: RunArgs,
    plan: Plan,
    hash: B256,
    chains: Vec<Reach>,
    hands: Arc<Hands>,
    notifiers: Notifiers,
    feeds: Feeds,
    board: Board,
    door: Door,
    api: Option<Api>,
    pulse: Pulse,
    output: Output,
}

impl Program {
    /// Watches until told to stop. A journal that takes no records (a full disk, say) turns health red,
    /// pages without it, and is opened again until it works: nothing was acknowledged meanwhile, and
    /// the blocks in between are evaluated then.
    async fn supervise(
        &self,
        first: (Engine, LocalJournal),
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), CliError> {
        let mut next = Some(first);
        loop {
            let failure = match next.take() {
                Some((engine, journal)) => match self.watch(engine, journal, stop.as_mut()).await {
                    Ok(()) => return Ok(()),
                    Err(it) => {
                        // The journal can be opened anew only when nobody has it.
                        self.api.iter().for_each(|it| it.follow(None));
                        it
                    }
                },
                None => match self.restore().await {
                    Ok(restored) => {
                        self.journal_works().await;
                        next = Some(restored);
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(error = %error.render(), "journal is still not usable");
                        tokio::select! {
                            () = tokio::time::sleep(JOURNAL_RETRY) => continue,
                            () = stop.as_mut() => return Ok(()),
                        }
                    }
                },
            };
            let ShellError::Journal(JournalError::Unavailable(_)) = &failure else {
                return Err(CliError::caused("stopped: the journal cannot be trusted", failure)
                    .hint("`cofferdam journal verify` tells what is wrong with it"));
            };
            self.journal_failed(&failure).await;
        }
    }

    async fn watch(
        &self,
        engine: Engine,
        journal: LocalJournal,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), ShellError> {
        let resumed = self.hands.resume(engine.state()).await;
        match resumed {
            Ok(0) => {}
            Ok(count) => self.output.note(&format!("{count} transactions are followed again")),
            Err(because) => tracing::warn!(%because, "what was in flight is not followed"),
        }
        let watches = self.chains.iter().map(|it| {
            let board = self.board.clone();
            let monitors = move |monitor| board.watch(monitor);
            it.watch(engine.state(), self.args.from_block, monitors)
        });
        let watches = watches.collect();
        let journal: Arc<dyn Journal> = Arc::new(journal);
        self.api.iter().for_each(|it| it.follow(Some(journal.clone())));
        let mut shell = Shell::new(engine, journal, self.hands.clone(), self.notifiers.clone());
        shell.start(now(), self.hash).await?;
        self.board.take(shell.engine());
        let tell = teller(self.output, self.board.clone());
        let beside = (self.pulse.clone(), self.feeds.clone(), self.door.clone());
        let live = Live::new(shell, self.hands.clone(), self.board.clone(), beside, tell);
        live.run(watches, stop).await
    }

    async fn restore(&self) -> Result<(Engine, LocalJournal), CliError> {
        let journal = open_journal(&self.args.journal).await?;
        let engine = restore(self.plan.clone(), &journal).await?;
        Ok((engine, journal))
    }

    async fn journal_failed(&self, failure: &ShellError) {
        let because = chain_of(failure);
        self.output.note(&format!("error: {because}\nhint: free the disk; it is tried again"));
        self.board.update(|it| _ = it.blind.insert("journal".into(), because.clone()));
        self.page(AlertKind::Raised, &format!("nothing can be recorded: {because}")).await;
    }

    async fn journal_works(&self) {
        self.board.update(|it| _ = it.blind.remove("journal"));
        self.output.note("the journal takes records again; what was missed is evaluated now");
        self.page(AlertKind::Resolved, "the journal takes records again").await;
    }

    /// Tells every receiver once, past the outbox, which rests on the journal.
    async fn page(&self, kind: AlertKind, text: &str) {
        let at = now();
        let alert = Alert {
            id: Alert::id_of("journal", kind, at, 0, text),
            at,
            severity: Severity::Critical,
            incident: None,
            dedup: "journal".into(),
            kind,
            text: text.to_owned(),
        };
        let told = self.notifiers.values().map(|it| it.deliver(&alert));
        for outcome in futures_util::future::join_all(told).await {
            if let Err(error) = outcome {
                tracing::warn!(error = %chain_of(&error), "the failing journal could not be told");
            }
        }
    }
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

async fn serve(listen: &str, served: Router) -> Result<SocketAddr, CliError> {
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener.map_err(|it| {
        CliError::io(&format!("listen on {listen}"), it)
            .hint("choose another address with --listen")
    })?;
    let address = listener.local_addr().map_err(|it| CliError::io("listen", it))?;
    tokio::spawn(async move {
        let listener = Bounded::new(listener, LIFE_OF_STRANGERS);
        let served = served.into_make_service_with_connect_info::<Caller>();
        if let Err(error) = axum::serve(listener, served).await {
            tracing::error!(error = %chain_of(&error), "health server stopped");
        }
    });
    Ok(address)
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

/// Completes when the process is told to end, or after so many seconds.
pub(super) async fn stop(after: Option<u64>) {
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
