//! A run for workers and people that connect over HTTP.
//!
//! Workers speak the Fin protocol of SOARCA (`POST /fin/register`, `POST /fin/poll`, `PUT /fin/jobs/ID`,
//! `PATCH /fin/jobs/ID/status`, `DELETE /fin/ID`); people answer with `POST /jobs/ID`.
//!
//! **Invariant:** what a request changes is durable in the journal before it is answered or acted on.

use std::{process::ExitCode, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use cofferdam_core::{Record, Timestamp, ports::Journal, secret::Secret};
use cofferdam_playbook::{
    Allowance, Answer, Context, Effect, Entry, Input, Limits, Playbook, Run, RunId,
    fin::{self, FinError, FinEvent, FinResult, Fins, LONG_POLL_S, Pinged, Polled, Register},
    run::{Outcome, Refusal, Stepped, Work},
    show,
};
use cofferdam_record::LocalJournal;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Notify},
};

use super::{CliError, Output, RunArgs, dry, given};
use crate::{cli::journal, runtime::now};

/// Largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Where the token for workers and people stands.
const TOKEN_ENV: &str = "COFFERDAM_FIN_TOKEN";
/// How often deadlines are looked at when nothing else happens, in milliseconds.
const TICK_MS: u64 = 250;

struct Live {
    playbook: Playbook,
    allowance: Allowance,
    limits: Limits,
    journal: LocalJournal,
    secret: Secret,
    output: Output,
    run: Mutex<(Run, Fins)>,
    changed: Notify,
}

type Shared = State<Arc<Live>>;

pub(super) async fn run(
    args: &RunArgs,
    listen: &str,
    playbook: Playbook,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let secret = std::env::var(TOKEN_ENV).ok().filter(|it| !it.is_empty()).ok_or_else(|| {
        CliError::new(format!("{TOKEN_ENV} is not set"))
            .hint("it holds the token that workers and people connect with")
    })?;
    let allowance = dry::allowance(args, &playbook)?;
    let limits = Limits::default();
    let journal = LocalJournal::open(&args.journal).await.map_err(journal::broken)?;
    let cx = Context { playbook: &playbook, allowance: &allowance, limits: &limits };
    let (run, fins, fresh) = begin(args, &cx, &journal).await?;
    let listener = TcpListener::bind(listen).await.map_err(|it| {
        CliError::io(&format!("listen on {listen}"), it)
            .hint("choose another address with --listen")
    })?;
    let address = listener.local_addr().map_err(|it| CliError::io("listen", it))?;
    output.note(&format!("run {} listens on http://{address}", run.id.short()));
    let live = Arc::new(Live {
        playbook,
        allowance,
        limits,
        journal,
        secret: Secret::new(secret),
        output: *output,
        run: Mutex::new((run, fins)),
        changed: Notify::new(),
    });
    live.act(&fresh);
    let served = routes(live.clone());
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

/// The run and the workers that the journal holds, or a new run.
async fn begin(
    args: &RunArgs,
    cx: &Context<'_>,
    journal: &LocalJournal,
) -> Result<(Run, Fins, Vec<Effect>), CliError> {
    let (mut entries, mut fins, mut unread) = (Vec::new(), Fins::default(), None);
    journal::for_each(journal, |it| {
        let Record::Playbook { event, .. } = &it.record else { return };
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
        return Ok((run, fins, effects));
    }
    let at = now();
    let id = RunId::derive(&[cx.playbook.digest.as_slice(), &at.0.to_be_bytes()]);
    let (run, stepped) = Run::start(cx, at, id, &args.by, None, &given(args)?).map_err(|it| {
        CliError::caused("the run cannot begin", it)
            .hint("`cofferdam playbook show` lists what the caller sets")
    })?;
    keep(journal, at, &run, &stepped.records).await.map_err(journal::broken)?;
    Ok((run, fins, stepped.effects))
}

async fn keep<T: serde::Serialize>(
    journal: &LocalJournal,
    at: Timestamp,
    run: &Run,
    records: &[T],
) -> Result<(), cofferdam_core::ports::JournalError> {
    let mut out = Vec::new();
    for it in records {
        let event = serde_json::to_value(it)
            .map_err(|it| cofferdam_core::ports::JournalError::Unavailable(Box::new(it)))?;
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
        if let Some(it) = live.run.lock().await.0.ended.clone() {
            return Ok(it);
        }
        let tick = Duration::from_millis(TICK_MS);
        let _ = tokio::time::timeout(tick, live.changed.notified()).await;
    }
}

/// Why an input had no effect.
enum NotTaken {
    Refused(Refusal),
    Journal(cofferdam_core::ports::JournalError),
}

impl Live {
    fn context(&self) -> Context<'_> {
        Context { playbook: &self.playbook, allowance: &self.allowance, limits: &self.limits }
    }

    /// Takes an input: the state in memory changes only once its records are durable.
    async fn step(&self, input: Input) -> Result<(), NotTaken> {
        let mut held = self.run.lock().await;
        let at = now();
        let mut next = held.0.clone();
        let Stepped { records, effects } =
            next.step(&self.context(), at, input).map_err(NotTaken::Refused)?;
        if records.is_empty() {
            return Ok(());
        }
        keep(&self.journal, at, &next, &records).await.map_err(NotTaken::Journal)?;
        held.0 = next;
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
    async fn enrol(&self, event: &FinEvent) -> Result<(), NotTaken> {
        let mut held = self.run.lock().await;
        let at = now();
        let events = std::slice::from_ref(event);
        keep(&self.journal, at, &held.0, events).await.map_err(NotTaken::Journal)?;
        held.1.apply(at, event);
        Ok(())
    }

    async fn worker(&self, headers: &HeaderMap) -> Result<String, Response> {
        let token = bearer(headers).unwrap_or_default();
        self.run.lock().await.1.authenticate(now(), token).map_err(|it| refused(&it))
    }
}

fn routes(live: Arc<Live>) -> Router {
    Router::new()
        .route("/fin/register", post(register))
        .route("/fin/poll", post(poll))
        .route("/fin/jobs/{job}", put(result))
        .route("/fin/jobs/{job}/status", patch(status))
        .route("/fin/{fin}", delete(unregister))
        .route("/jobs", get(jobs))
        .route("/jobs/{job}", post(say))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(live)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn message(status: StatusCode, text: impl std::fmt::Display) -> Response {
    (status, Json(json!({ "message": text.to_string() }))).into_response()
}

fn refused(error: &FinError) -> Response {
    let status = match error {
        FinError::Unauthorised => StatusCode::UNAUTHORIZED,
        FinError::Bad(_) => StatusCode::BAD_REQUEST,
        FinError::NoJob => StatusCode::NOT_FOUND,
    };
    message(status, error)
}

fn not_taken(why: NotTaken) -> Response {
    match why {
        NotTaken::Refused(Refusal::NoJob(job)) => {
            message(StatusCode::NOT_FOUND, Refusal::NoJob(job))
        }
        NotTaken::Refused(it) => message(StatusCode::CONFLICT, it),
        NotTaken::Journal(it) => message(StatusCode::SERVICE_UNAVAILABLE, it),
    }
}

async fn register(State(live): Shared, Json(request): Json<Register>) -> Response {
    let mut entropy = [0; 48];
    if SystemRandom::new().fill(&mut entropy).is_err() {
        return message(StatusCode::SERVICE_UNAVAILABLE, "no randomness");
    }
    let lease = live.limits.lease_ms;
    let judged = live.run.lock().await.1.register(now(), &request, &live.secret, entropy, lease);
    match judged {
        Err(error) => refused(&error),
        Ok((it, event)) => match live.enrol(&event).await {
            Ok(()) => (StatusCode::CREATED, Json(it)).into_response(),
            Err(why) => not_taken(why),
        },
    }
}

async fn poll(State(live): Shared, headers: HeaderMap) -> Response {
    let worker = match live.worker(&headers).await {
        Ok(it) => it,
        Err(response) => return response,
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(u64::from(LONG_POLL_S));
    loop {
        // Listening begins before looking, so that no change falls in between.
        let changed = live.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let found = {
            let held = live.run.lock().await;
            if held.0.ended.is_some() {
                return StatusCode::NO_CONTENT.into_response();
            }
            held.1.job_for(&worker, &held.0)
        };
        if let Some(job) = found {
            match live.step(Input::Take { job, worker: worker.clone() }).await {
                Ok(()) => {
                    let held = live.run.lock().await;
                    let made = fin::job(&held.0, &live.playbook, job, live.limits.lease_ms);
                    if let Some(job) = made {
                        return Json(Polled { job }).into_response();
                    }
                }
                // Another worker was faster: look again.
                Err(NotTaken::Refused(_)) => continue,
                Err(why) => return not_taken(why),
            }
        }
        if tokio::time::timeout_at(until, changed).await.is_err() {
            return StatusCode::NO_CONTENT.into_response();
        }
    }
}

async fn result(
    State(live): Shared,
    Path(job): Path<String>,
    headers: HeaderMap,
    Json(said): Json<FinResult>,
) -> Response {
    let worker = match live.worker(&headers).await {
        Ok(it) => it,
        Err(response) => return response,
    };
    let found = fin::find(&live.run.lock().await.0, &job).map(|it| it.0);
    match found {
        Err(error) => refused(&error),
        Ok(id) => match live.step(fin::answer(id, &worker, said)).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(why) => not_taken(why),
        },
    }
}

async fn status(State(live): Shared, Path(job): Path<String>, headers: HeaderMap) -> Response {
    let worker = match live.worker(&headers).await {
        Ok(it) => it,
        Err(response) => return response,
    };
    let found = fin::find(&live.run.lock().await.0, &job).map(|it| it.0);
    match found {
        Err(error) => refused(&error),
        Ok(job) => match live.step(Input::Keep { job, worker }).await {
            Ok(()) => Json(Pinged { action: "continue" }).into_response(),
            Err(NotTaken::Refused(_)) => Json(Pinged { action: "cancel" }).into_response(),
            Err(why) => not_taken(why),
        },
    }
}

async fn unregister(State(live): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match live.worker(&headers).await {
        Err(response) => response,
        Ok(worker) => {
            let judged = live.run.lock().await.1.unregister(&worker, &id);
            match judged {
                Err(error) => refused(&error),
                Ok(event) => match live.enrol(&event).await {
                    Ok(()) => StatusCode::NO_CONTENT.into_response(),
                    Err(why) => not_taken(why),
                },
            }
        }
    }
}

/// What a person says of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    by: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    failed: Option<String>,
    #[serde(default)]
    evidence: Option<alloy_primitives::B256>,
    #[serde(default)]
    variables: std::collections::BTreeMap<String, String>,
}

fn is_person(live: &Live, headers: &HeaderMap) -> bool {
    use sha2::{Digest, Sha256};
    let token = bearer(headers).unwrap_or_default();
    Sha256::digest(token) == Sha256::digest(live.secret.expose())
}

async fn jobs(State(live): Shared, headers: HeaderMap) -> Response {
    if !is_person(&live, &headers) {
        return message(StatusCode::UNAUTHORIZED, "the token is not known");
    }
    let held = live.run.lock().await;
    let open: Vec<Value> = held
        .0
        .open_jobs()
        .map(|(id, job)| json!({ "job": id, "work": job.work, "state": job.state }))
        .collect();
    Json(json!({ "run": held.0.id, "held": held.0.held, "jobs": open })).into_response()
}

async fn say(
    State(live): Shared,
    Path(job): Path<String>,
    headers: HeaderMap,
    Json(said): Json<Said>,
) -> Response {
    if !is_person(&live, &headers) {
        return message(StatusCode::UNAUTHORIZED, "the token is not known");
    }
    let Ok(job) = job.parse() else {
        return message(StatusCode::NOT_FOUND, "there is no such job");
    };
    let answer = Answer {
        by: said.by,
        role: said.role,
        channel: "http".into(),
        evidence: said.evidence,
        failed: said.failed,
        variables: said.variables,
    };
    match live.step(Input::Answer { job: cofferdam_playbook::JobId(job), answer }).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => not_taken(why),
    }
}
