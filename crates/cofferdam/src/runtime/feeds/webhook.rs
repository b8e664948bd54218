//! Feeds that call us: `POST /feeds/<id>`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use cofferdam_core::feed::{self, FeedError, MESSAGE_BYTES_MAX};
use serde_json::{Value, json};

use super::{Meter, Mouth, Seal, Told};
use crate::runtime::{health::Board, now};

/// A webhook.
#[derive(Debug)]
pub struct Inlet {
    mouth: Mouth,
    seal: Seal,
    meter: Meter,
}

/// Every webhook of a plan, by the id of its feed.
#[derive(Clone, Debug, Default)]
pub struct Inlets(Arc<BTreeMap<String, Inlet>>);

impl Inlet {
    pub(super) fn new(mouth: Mouth, seal: Seal) -> Self {
        Self { mouth, seal, meter: Meter::default() }
    }
}

impl Inlets {
    pub(super) fn new(inlets: Vec<Inlet>) -> Self {
        let by_id = inlets.into_iter().map(|it| (it.mouth.feed.id.clone(), it));
        Self(Arc::new(by_id.collect()))
    }
}

/// The routes of `inlets`.
pub fn routes(inlets: Inlets, board: Board) -> Router {
    Router::new()
        .route("/feeds/{id}", post(take))
        .layer(DefaultBodyLimit::max(MESSAGE_BYTES_MAX))
        .with_state((inlets, board))
}

type Answer = (StatusCode, Json<Value>);

async fn take(
    State((inlets, board)): State<(Inlets, Board)>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    // A feed that is not there looks like one whose seal is wrong: nobody learns the ids.
    let refused = || answer(StatusCode::UNAUTHORIZED, "the message is not authenticated");
    let Some(inlet) = inlets.0.get(&id) else { return refused() };
    let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let now = now();
    if !inlet.seal.holds(header, &body, now) {
        return refused();
    }
    let Mouth { feed, plan, out } = &inlet.mouth;
    let reports = match feed::read(feed, plan, &body) {
        Ok(it) => it,
        Err(error @ FeedError::TooLarge { .. }) => {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string());
        }
        Err(error) => return answer(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    let heads = board.read().heads;
    if let Some(it) = reports.iter().find(|it| !heads.contains_key(&it.chain.to_string())) {
        let because = format!("no block of {} was evaluated yet: send it again", it.chain);
        return answer(StatusCode::SERVICE_UNAVAILABLE, &because);
    }
    let count = reports.len();
    for report in reports {
        if !inlet.meter.takes(now, feed.per_minute_max) {
            return answer(StatusCode::TOO_MANY_REQUESTS, "more than the plan takes in a minute");
        }
        let told = Told::Report { feed: feed.clone(), report: Box::new(report) };
        if out.try_send(told).is_err() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "too many wait: send it again");
        }
    }
    (StatusCode::ACCEPTED, Json(json!({ "taken": count })))
}

fn answer(status: StatusCode, because: &str) -> Answer {
    (status, Json(json!({ "error": because })))
}
