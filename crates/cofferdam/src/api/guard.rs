//! Every request passes here before anything is done: how often, who, what they may, whether it comes from our page,
//! how much.
//!
//! **Invariant:** no handler sees a request that its entry in the table does not allow, and none checks that itself.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, header},
    response::Response,
};
use cofferdam_core::{
    Timestamp,
    plan::{MachineMay, Person},
};
use serde::de::DeserializeOwned;

use super::{
    ApiError, Desk, Fault,
    meter::network,
    session::Session,
    table::{Access, Entry},
};
use crate::{
    people::Holder,
    runtime::{Caller, now},
};

/// Largest body, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 32 * 1_024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the connection of somebody we know lasts after each request.
const LIFE_OF_KNOWN: Duration = Duration::from_secs(60);
/// The header of a change's token.
pub(crate) const CSRF_HEADER: &str = "x-cofferdam-csrf";

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Nobody we know.
    Nobody,
    /// A person, with a session if they signed in.
    Person(Arc<Person>, Option<Session>),
    /// A program.
    Machine(String, MachineMay),
}

/// A request that may go on.
pub(crate) struct Call {
    pub(crate) desk: Arc<Desk>,
    pub(crate) caller: Caller,
    pub(crate) who: Who,
    /// The cookie of the session, known or not.
    pub(crate) cookie: Option<String>,
    pub(crate) now: Timestamp,
    params: Vec<(String, String)>,
    query: String,
    body: Bytes,
}

/// The request as the server gives it.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) request: axum::extract::Request,
}

impl Who {
    /// As the journal calls them.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Nobody => "",
            Self::Person(it, _) => &it.id,
            Self::Machine(id, _) => id,
        }
    }

    fn may(&self, access: Access) -> Result<(), ApiError> {
        let no = |text: &str| Err(ApiError::new(Fault::NotAllowed, text));
        match (access, self) {
            (Access::Open, _) => Ok(()),
            (_, Self::Nobody) => Err(ApiError::new(Fault::NotSignedIn, "nobody is signed in")),
            (Access::Read, _) | (Access::Respond, Self::Machine(_, MachineMay::Respond)) => Ok(()),
            (Access::Respond, Self::Machine(..)) => no("this token may only read"),
            (Access::Person, Self::Machine(..)) => no("a program has no part in this"),
            (Access::Person, Self::Person(it, _)) if it.veto => Ok(()),
            (Access::Respond | Access::Person, Self::Person(it, _)) if it.roles.is_empty() => {
                no("the plan gives you no role")
            }
            (Access::Respond | Access::Person, Self::Person(..)) => Ok(()),
        }
    }
}

/// Lets a request through to its handler, or not.
pub(crate) async fn guard(
    desk: Arc<Desk>,
    entry: &'static Entry,
    asked: Asked,
) -> Result<Response, ApiError> {
    let (parts, body) = asked.request.into_parts();
    let (at, address) = (now(), network(asked.caller.address));
    let often = || ApiError::new(Fault::TooMany, "too many requests within a minute");
    if !desk.by_address.takes(at, &address) {
        return Err(often());
    }
    let cookie = cookie(&parts.headers, desk.cookie_name());
    let who = identify(&desk, &parts.headers, cookie.as_deref(), at).inspect_err(|_| {
        // Counted as a sign-in, so that nobody guesses for long.
        desk.sign_ins.takes(at, &address);
    })?;
    entry.access.pass(&desk, at, &address).then_some(()).ok_or_else(often)?;
    who.may(entry.access)?;
    if !matches!(who, Who::Nobody) {
        asked.caller.lease.prolong(LIFE_OF_KNOWN);
    }
    if entry.method != Method::GET {
        own_page(&desk, &parts.headers, (&who, entry.access))?;
        if !matches!(who, Who::Nobody) && !desk.changes_by.takes(at, who.name()) {
            return Err(often());
        }
    }
    let body = match entry.body.is_some() {
        true => read(&parts.headers, body).await?,
        false => Bytes::new(),
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let call = Call {
        desk,
        caller: asked.caller,
        who,
        cookie,
        now: now(),
        params: asked.params,
        query,
        body,
    };
    (entry.run)(call).await
}

/// Who sent it: a token goes before a cookie, and one that is wrong is not passed over.
fn identify(
    desk: &Desk,
    headers: &HeaderMap,
    cookie: Option<&str>,
    at: Timestamp,
) -> Result<Who, ApiError> {
    if let Some(told) = headers.get(header::AUTHORIZATION) {
        let token = told.to_str().ok().and_then(|it| it.strip_prefix("Bearer "));
        let holder = token.and_then(|it| desk.people.by_token(it));
        return match holder {
            Some(Holder::Person(it)) => Ok(Who::Person(it, None)),
            Some(Holder::Machine(id, may)) => Ok(Who::Machine(id, may)),
            None => Err(ApiError::new(Fault::NotSignedIn, "the token is not known")),
        };
    }
    let session = cookie.and_then(|it| desk.sessions().find(at, it));
    let person = session.as_ref().and_then(|it| desk.people.by_name(&it.person));
    Ok(match person {
        Some(it) => Who::Person(it, session),
        None => Who::Nobody,
    })
}

/// The cookie of this name. Two of one name are none: one of them is somebody else's work.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut values = all.flat_map(|it| it.split(';')).filter_map(|it| {
        let (known, value) = it.trim().split_once('=')?;
        (known == name).then(|| value.to_owned())
    });
    values.next().filter(|_| values.next().is_none())
}

/// Whether a change comes from our own page, where a browser would send a cookie along from any.
fn own_page(
    desk: &Desk,
    headers: &HeaderMap,
    (who, access): (&Who, Access),
) -> Result<(), ApiError> {
    let forged = |text: &str| Err(ApiError::new(Fault::Forged, text));
    if let Some(origin) = headers.get(header::ORIGIN)
        && origin.as_bytes() != desk.console.origin.as_bytes()
    {
        return forged("it was sent from another origin");
    }
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return forged("it was sent from another site");
    }
    // Signing in is no change of the session that was before: it ends it.
    let Who::Person(_, Some(session)) = who else { return Ok(()) };
    if access == Access::Open {
        return Ok(());
    }
    let told = headers.get(CSRF_HEADER).map(|it| it.as_bytes()).unwrap_or_default();
    let known = session.csrf.as_bytes();
    let differ = told.iter().zip(known).fold(0, |all, (a, b)| all | (a ^ b));
    match told.len() == known.len() && std::hint::black_box(differ) == 0 {
        true => Ok(()),
        false => forged("the session's token is missing or wrong"),
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(Fault::NotJson, "the body is no JSON by its type"));
    }
    let told = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let large = || ApiError::new(Fault::TooLarge, format!("more than {BODY_BYTES_MAX} bytes"));
    if told.is_some_and(|it: u64| it > BODY_BYTES_MAX as u64) {
        return Err(large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(_)) => Err(large()),
        Err(_) => Err(ApiError::new(Fault::TooSlow, "the body did not arrive in time")),
    }
}

impl Call {
    /// The body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|it| ApiError::new(Fault::Malformed, format!("the body: {it}")))
    }

    /// A 32-byte id of the path, written as `0x` and 64 hex digits.
    pub(crate) fn id(&self, name: &str) -> Result<alloy_primitives::B256, ApiError> {
        let text = self.text(name);
        let whole = text.len() == 66 && text.starts_with("0x");
        let id = whole.then(|| text.parse().ok()).flatten();
        id.ok_or_else(|| ApiError::new(Fault::NotFound, format!("there is no such {name}")))
    }

    /// A number of the path.
    pub(crate) fn number(&self, name: &str) -> Result<u32, ApiError> {
        let id = self.text(name).parse().ok();
        id.ok_or_else(|| ApiError::new(Fault::NotFound, format!("there is no such {name}")))
    }

    fn text(&self, name: &str) -> &str {
        self.params.iter().find(|it| it.0 == name).map_or("", |it| it.1.as_str())
    }

    /// A number of the query, `default` without, at most `max`.
    pub(crate) fn asked(&self, name: &str, default: usize, max: usize) -> Result<usize, ApiError> {
        let mut pairs = self.query.split('&').filter_map(|it| it.split_once('='));
        let Some((_, value)) = pairs.rfind(|it| it.0 == name) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(it) if it <= max => Ok(it),
            _ => {
                let message = format!("{name} is no number up to {max}");
                Err(ApiError::new(Fault::Malformed, message))
            }
        }
    }

    /// The person who asks.
    pub(crate) fn person(&self) -> Result<&Arc<Person>, ApiError> {
        match &self.who {
            Who::Person(it, _) => Ok(it),
            _ => Err(ApiError::new(Fault::NotAllowed, "this is for people")),
        }
    }
}
