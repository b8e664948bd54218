//! Changes as server-sent events.
//!
//! **Invariant:** a stream carries what changed, never what it changed to: that is asked for, and the answer is up to
//! date. Whoever reads too slowly is told to look at everything; whoever does not read at all is cut off.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    ApiError, Desk, Fault,
    book::Change,
    guard::{Call, Who},
};
use crate::runtime::{Caller, now};

/// How often a silent stream says that it is there, and looks whether it still may.
const TICK: Duration = Duration::from_secs(5);
/// How long the connection lasts after each sign of life that was taken.
const LIFE: Duration = Duration::from_secs(30);
/// Streams of one person or machine.
const STREAMS_OF_ONE_MAX: usize = 6;

struct Stream {
    desk: Arc<Desk>,
    caller: Caller,
    cookie: Option<String>,
    news: broadcast::Receiver<Change>,
    tick: Interval,
    blind: BTreeMap<String, String>,
    _place: (OwnedSemaphorePermit, Seat),
}

/// A stream of one person or machine.
struct Seat(Arc<Desk>, String);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.0.seats();
        if let Some(it) = all.get_mut(&self.1) {
            *it = it.saturating_sub(1);
        }
        all.retain(|_, it| *it > 0);
    }
}

fn seat(desk: &Arc<Desk>, name: &str) -> Option<Seat> {
    let mut all = desk.seats();
    let count = all.entry(name.to_owned()).or_default();
    if *count >= STREAMS_OF_ONE_MAX {
        return None;
    }
    *count += 1;
    Some(Seat(desk.clone(), name.to_owned()))
}

pub(crate) async fn stream(call: Call) -> Result<Response, ApiError> {
    let desk = call.desk;
    let many = || ApiError::new(Fault::TooMany, "too many streams are open");
    let place = desk.streams.clone().try_acquire_owned().map_err(|_| many())?;
    let seat = seat(&desk, call.who.name()).ok_or_else(many)?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let session = matches!(call.who, Who::Person(_, Some(_)));
    let stream = Stream {
        news: desk.news.subscribe(),
        blind: desk.board.read().blind,
        cookie: call.cookie.filter(|_| session),
        caller: call.caller,
        tick,
        _place: (place, seat),
        desk,
    };
    let body = stream::unfold(stream, |mut it| async move {
        let text = it.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), it))
    });
    let mut response = Response::new(Body::from_stream(body));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

impl Stream {
    /// The next piece of text; `None` when the session is over.
    async fn next(&mut self) -> Option<String> {
        let text = tokio::select! {
            it = self.news.recv() => match it {
                Ok(it) => event("change", &json!(it)),
                Err(broadcast::error::RecvError::Lagged(_)) => event("resync", &json!({})),
                Err(broadcast::error::RecvError::Closed) => return None,
            },
            _ = self.tick.tick() => {
                let over = |it: &String| !self.desk.sessions().goes_on(now(), it);
                if self.cookie.as_ref().is_some_and(over) {
                    return None;
                }
                let blind = self.desk.board.read().blind;
                if blind == self.blind {
                    ": still here\n\n".to_owned()
                } else {
                    self.blind = blind;
                    event("sight", &json!({ "blind": self.blind }))
                }
            }
        };
        self.caller.lease.prolong(LIFE);
        Some(text)
    }
}

fn event(name: &str, data: &serde_json::Value) -> String {
    // JSON as written here has no line breaks.
    format!("event: {name}\ndata: {data}\n\n")
}
