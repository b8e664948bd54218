//! The five endpoints of the Fin protocol, for workers.
//!
//! **Invariant:** whoever has no token of a worker is cut off like any stranger; only a worker's connection outlasts a
//! long poll.

use std::time::Duration;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use cofferdam_playbook::{
    Input,
    fin::{self, FinError, FinResult, LONG_POLL_S, Pinged, Polled, Register},
};
use ring::rand::{SecureRandom, SystemRandom};

use super::live::{Live, NotTaken, Shared, bearer, message, not_taken};
use crate::runtime::{Caller, now};

/// How long the connection of a worker lasts after each request: longer than a poll is held open.
const LIFE_OF_WORKERS: Duration = Duration::from_secs(LONG_POLL_S as u64 + 15);

type Via = ConnectInfo<Caller>;

/// The worker whose token came along; their connection lasts.
async fn worker(live: &Live, from: &Caller, headers: &HeaderMap) -> Result<String, Response> {
    let token = bearer(headers).unwrap_or_default();
    let found = live.held.lock().await.fins.authenticate(now(), token);
    if found.is_ok() {
        from.lease.prolong(LIFE_OF_WORKERS);
    }
    found.map_err(|it| refused(&it))
}

fn refused(error: &FinError) -> Response {
    let status = match error {
        FinError::Unauthorised => StatusCode::UNAUTHORIZED,
        FinError::Bad(_) => StatusCode::BAD_REQUEST,
        FinError::NoJob => StatusCode::NOT_FOUND,
    };
    message(status, error)
}

pub(super) async fn register(State(live): Shared, Json(request): Json<Register>) -> Response {
    let mut entropy = [0; 48];
    if SystemRandom::new().fill(&mut entropy).is_err() {
        return message(StatusCode::SERVICE_UNAVAILABLE, "no randomness");
    }
    let lease = live.limits.lease_ms;
    let judged =
        live.held.lock().await.fins.register(now(), &request, &live.secret, entropy, lease);
    match judged {
        Err(error) => refused(&error),
        Ok((it, event)) => match live.enrol(&event).await {
            Ok(()) => (StatusCode::CREATED, Json(it)).into_response(),
            Err(why) => not_taken(why),
        },
    }
}

pub(super) async fn poll(
    State(live): Shared,
    ConnectInfo(from): Via,
    headers: HeaderMap,
) -> Response {
    let worker = match worker(&live, &from, &headers).await {
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
            let held = live.held.lock().await;
            if held.run.ended.is_some() {
                return StatusCode::NO_CONTENT.into_response();
            }
            held.fins.job_for(&worker, &held.run)
        };
        if let Some(job) = found {
            match live.step(Input::Take { job, worker: worker.clone() }).await {
                Ok(()) => {
                    let held = live.held.lock().await;
                    let made = fin::job(&held.run, &live.playbook, job, live.limits.lease_ms);
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

pub(super) async fn result(
    State(live): Shared,
    ConnectInfo(from): Via,
    Path(job): Path<String>,
    headers: HeaderMap,
    Json(said): Json<FinResult>,
) -> Response {
    let worker = match worker(&live, &from, &headers).await {
        Ok(it) => it,
        Err(response) => return response,
    };
    let found = fin::find(&live.held.lock().await.run, &job).map(|it| it.0);
    match found {
        Err(error) => refused(&error),
        Ok(id) => match live.step(fin::answer(id, &worker, said)).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(why) => not_taken(why),
        },
    }
}

pub(super) async fn status(
    State(live): Shared,
    ConnectInfo(from): Via,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Response {
    let worker = match worker(&live, &from, &headers).await {
        Ok(it) => it,
        Err(response) => return response,
    };
    let found = fin::find(&live.held.lock().await.run, &job).map(|it| it.0);
    match found {
        Err(error) => refused(&error),
        Ok(job) => match live.step(Input::Keep { job, worker }).await {
            Ok(()) => Json(Pinged { action: "continue" }).into_response(),
            Err(NotTaken::Refused(_)) => Json(Pinged { action: "cancel" }).into_response(),
            Err(why) => not_taken(why),
        },
    }
}

pub(super) async fn unregister(
    State(live): Shared,
    ConnectInfo(from): Via,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match worker(&live, &from, &headers).await {
        Err(response) => response,
        Ok(worker) => {
            let judged = live.held.lock().await.fins.unregister(&worker, &id);
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
