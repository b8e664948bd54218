//! A run for workers and people that connect over HTTP.
//!
//! Workers speak the Fin protocol of SOARCA, see [`super::workers`], and register with a token that is theirs alone;
//! people look with `GET /jobs` and answer with `POST /jobs/ID`, see [`super::say`].
//!
//! **Invariant:** what a request changes is durable in the journal before it is answered or acted on.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use alloy_primitives::B256;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use cofferdam_core::{
    ChainId, Record, Timestamp,
    ports::{Journal, JournalError},
    secret::Secret,
};
use cofferdam_playbook::{
    Allowance, Context, Effect, Entry, Input, Limits, Playbook, Run, RunId,
    fin::{FinEvent, Fins},
    run::{Outcome, Refusal, Stepped, Work},
    show,
};
use cofferdam_record::LocalJournal;
use cofferdam_signing::approval::SignedAnswer;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Notify},
};

use super::{CliError, Output, RunArgs, dry, given, say, workers};
use crate::{
    cli::{journal, plan::load},
    people::Directory,
    runtime::{Bounded, Caller, LIFE_OF_STRANGERS, now},
};

/// Largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Where the token that workers register with stands.
const TOKEN_ENV: &str = "COFFERDAM_FIN_TOKEN";
/// How often deadlines are looked at when nothing else happens, in milliseconds.
const TICK_MS: u64 = 250;

pub(super) struct Live {
    pub(super) playbook: Playbook,
    allowance: Allowance,
    pub(super) limits: Limits,
    journal: LocalJournal,
    pub(super) secret: Secret,
    pub(super) people: Directory,
    /// The chain that wallets sign for.
    pub(super) chain: ChainId,
    output: Output,
    pub(super) held: Mutex<Held>,
    pub(super) changed: Notify,
}

/// What the journal holds.
pub(super) struct Held {
    pub(super) run: Run,
    pub(super) fins: Fins,
    /// Signed answers that were taken, by hash, with when they expire.
    signed: BTreeMap<B256, Timestamp>,
}

pub(super) type Shared = State<Arc<Live>>;

pub(super) async fn run(
    args: &RunArgs,
    listen: &str,
    playbook: Playbook,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let secret = std::env::var(TOKEN_ENV).ok().filter(|it| !it.is_empty()).ok_or_else(|| {
        CliError::new(format!("{TOKEN_ENV} is not set"))
            .hint("it holds the token that workers register with")
    })?;
    let allowance = dry::allowance(args, &playbook)?;
    let limits = Limits::default();
    let journal = LocalJournal::open(&args.journal).await.map_err(journal::broken)?;
    let cx = Context { playbook: &playbook, allowance: &allowance, limits: &limits };
    let (people, chain) = people(args)?;
    let (held, fresh) = begin(args, &cx, &journal).await?;
    let listener = TcpListener::bind(listen).await.map_err(|it| {
        CliError::io(&format!("listen on {listen}"), it)
            .hint("choose another address with --listen")
    })?;
    let address = listener.local_addr().map_err(|it| CliError::io("listen", it))?;
    output.note(&format!("run {} listens on http://{address}", held.run.id.short()));
    if people.people().next().is_none() {
        output
            .note("warning: no plan names people, so that nobody can answer; name one with --plan");
    }
    let live = Arc::new(Live {
        playbook,
        allowance,
        limits,
        journal,
        secret: Secret::new(secret),
        people,
        chain,
        output: *output,
        held: Mutex::new(held),
        changed: Notify::new(),
    });
    live.act(&fresh);
    let served = routes(live.clone()).into_make_service_with_connect_info::<Caller>();
    let listener = Bounded::new(listener, LIFE_OF_STRANGERS);
    let server = tokio::spawn(async move { axum::serve(listener, served).await });
    let outcome = watch(&live).await?;
    // Whoever waits for a job is told that there is none before the door closes.
    live.changed.notify_waiters();
    tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
    server.abort();
    let text = format!("{}\n", show::outcome_text(&outcome));
    output.result(&json!({ "outcome": outcome }), &text);
    let worked = matches!(outcome, Outcome::Worked);
    Ok(if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whom the plan names, and the chain that they sign for.
fn people(args: &RunArgs) -> Result<(Directory, ChainId), CliError> {
    let plan = args.plan.as_deref().map(load).transpose()?.map(|it| it.0);
    let Some(plan) = plan.filter(|it| !it.people.is_empty()) else {
        return Ok((Directory::default(), ChainId(1)));
    };
    let first = plan.chains.first().map_or(ChainId(1), |it| it.id);
    let chain = plan.console.as_ref().map_or(first, |it| it.chain);
    Ok((Directory::of(&plan), chain))
}

/// The run and the workers that the journal holds, or a new run.
async fn begin(
    args: &RunArgs,
    cx: &Context<'_>,
    journal: &LocalJournal,
) -> Result<(Held, Vec<Effect>), CliError> {
    let (mut entries, mut fins, mut unread) = (Vec::new(), Fins::default(), None);
    let mut signed = BTreeMap::new();
    journal::for_each(journal, |it| {
        let Record::Playbook { event, .. } = &it.record else { return };
        if let Some(told) = event.get("signed") {
            match serde_json::from_value::<SignedAnswer>(told.clone()) {
                Ok(answer) => _ = signed.insert(answer.hash(), answer.expires),
                Err(error) => unread = Some((it.seq, error)),
            }
            return;
        }
        // Events of the run have an `event`; a `worker` some of them have as well.
        if event.get("event").is_none() {
            match serde_json::from_value::<FinEvent>(event.clone()) {
                Ok(event) => fins.apply(it.at, &event),
                Err(error) => unread = Some((it.seq, error)),
            }
            return;
        }
        match serde_json::from_value(event.clone()) {
            Ok(record) => entries.push(Entry { at: it.at, record }),
            Err(error) => unread = Some((it.seq, error)),
        }
    })
    .await?;
    if let Some((seq, error)) = unread {
        return Err(CliError::caused(format!("entry {seq} of the journal cannot be read"), error)
            .hint("a later release wrote it; use that one"));
    }
    if !entries.is_empty() {
        let run = Run::restore(&entries)
            .map_err(|it| CliError::caused("the journal holds no run", it))?;
        if run.digest != cx.playbook.digest {
            return Err(CliError::new("the journal holds a run of another playbook")
                .hint("name another journal with --journal"));
        }
        let effects = run.outstanding();
        return Ok((Held { run, fins, signed }, effects));
    }
    let at = now();
    let id = RunId::derive(&[cx.playbook.digest.as_slice(), &at.0.to_be_bytes()]);
    let (run, stepped) = Run::start(cx, at, id, &args.by, None, &given(args)?).map_err(|it| {
        CliError::caused("the run cannot begin", it)
            .hint("`cofferdam playbook show` lists what the caller sets")
    })?;
    keep(journal, at, &run, &stepped.records).await.map_err(journal::broken)?;
    Ok((Held { run, fins, signed }, stepped.effects))
}

fn unwritable(error: serde_json::Error) -> JournalError {
    JournalError::Unavailable(Box::new(error))
}

async fn keep<T: serde::Serialize>(
    journal: &LocalJournal,
    at: Timestamp,
    run: &Run,
    records: &[T],
) -> Result<(), JournalError> {
    let mut out = Vec::new();
    for it in records {
        let event = serde_json::to_value(it).map_err(unwritable)?;
        out.push(Record::Playbook { run: run.id.0, event });
    }
    if !out.is_empty() {
        journal.append(at, &out).await?;
    }
    Ok(())
}

/// Lets time pass until the run has ended.
async fn watch(live: &Live) -> Result<Outcome, CliError> {
    loop {
        if let Err(NotTaken::Journal(error)) = live.step(Input::Tick).await {
            return Err(journal::broken(error));
        }
        if let Some(it) = live.held.lock().await.run.ended.clone() {
            return Ok(it);
        }
        let tick = Duration::from_millis(TICK_MS);
        let _ = tokio::time::timeout(tick, live.changed.notified()).await;
    }
}

/// Why an input had no effect.
pub(super) enum NotTaken {
    Refused(Refusal),
    /// The same signed answer was taken before.
    Replayed,
    Journal(JournalError),
}

impl Live {
    fn context(&self) -> Context<'_> {
        Context { playbook: &self.playbook, allowance: &self.allowance, limits: &self.limits }
    }

    /// Takes an input that nobody signed.
    pub(super) async fn step(&self, input: Input) -> Result<(), NotTaken> {
        self.take(input, None).await
    }

    /// Takes an input: the state in memory changes only once its records are durable, with the signature that they
    /// rest on.
    pub(super) async fn take(
        &self,
        input: Input,
        signed: Option<&SignedAnswer>,
    ) -> Result<(), NotTaken> {
        let mut held = self.held.lock().await;
        let at = now();
        if signed.is_some_and(|it| held.signed.contains_key(&it.hash())) {
            return Err(NotTaken::Replayed);
        }
        let mut next = held.run.clone();
        let Stepped { records, effects } =
            next.step(&self.context(), at, input).map_err(NotTaken::Refused)?;
        if records.is_empty() {
            return Ok(());
        }
        let signatures = signed.map(|it| json!({ "signed": it }));
        let records = records.iter().map(serde_json::to_value);
        let records: Result<Vec<Value>, _> =
            signatures.map(Ok).into_iter().chain(records).collect();
        let records = records.map_err(|it| NotTaken::Journal(unwritable(it)))?;
        keep(&self.journal, at, &next, &records).await.map_err(NotTaken::Journal)?;
        held.run = next;
        if let Some(it) = signed {
            // One that has expired is refused for that.
            held.signed.retain(|_, expires| *expires > at);
            held.signed.insert(it.hash(), it.expires);
        }
        drop(held);
        self.act(&effects);
        self.changed.notify_waiters();
        Ok(())
    }

    /// What workers do not fetch is told to people.
    fn act(&self, effects: &[Effect]) {
        for it in effects {
            match it {
                Effect::Do { work: Work::Command { .. }, .. } | Effect::Ended { .. } => {}
                Effect::Do { job, work, .. } => {
                    self.output.note(&format!("waits for a person: {job}  {}", show::work(work)));
                }
                Effect::Withdraw { job } => {
                    self.output.note(&format!("not wanted any more: {job}"));
                }
            }
        }
    }

    /// Makes what a worker is durable, then counts it.
    pub(super) async fn enrol(&self, event: &FinEvent) -> Result<(), NotTaken> {
        let mut held = self.held.lock().await;
        let at = now();
        let events = std::slice::from_ref(event);
        keep(&self.journal, at, &held.run, events).await.map_err(NotTaken::Journal)?;
        held.fins.apply(at, event);
        Ok(())
    }
}

fn routes(live: Arc<Live>) -> Router {
    Router::new()
        .route("/fin/register", post(workers::register))
        .route("/fin/poll", post(workers::poll))
        .route("/fin/jobs/{job}", put(workers::result))
        .route("/fin/jobs/{job}/status", patch(workers::status))
        .route("/fin/{fin}", delete(workers::unregister))
        .route("/jobs", get(say::jobs))
        .route("/jobs/{job}", post(say::say))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(live)
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

pub(super) fn message(status: StatusCode, text: impl std::fmt::Display) -> Response {
    (status, Json(json!({ "message": text.to_string() }))).into_response()
}

pub(super) fn not_taken(why: NotTaken) -> Response {
    match why {
        NotTaken::Refused(Refusal::NoJob(job)) => {
            message(StatusCode::NOT_FOUND, Refusal::NoJob(job))
        }
        NotTaken::Refused(it) => message(StatusCode::CONFLICT, it),
        NotTaken::Replayed => message(StatusCode::CONFLICT, "this very answer was given before"),
        NotTaken::Journal(it) => message(StatusCode::SERVICE_UNAVAILABLE, it),
    }
}
