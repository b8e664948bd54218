//! Notifiers: messages to people, one file per kind of receiver.
//!
//! **Invariants:** a delivery is tried once and has a deadline; who calls keeps the message until it is
//! delivered. The same alert makes the same message, so that a receiver which de-duplicates shows it
//! once. Nothing that gives access is printed or returned. Text of an alert is data: it cannot mention,
//! link or format anything for the receiver.

mod alertmanager;
mod cloud_events;
mod discord;
mod matrix;
mod pagerduty;
mod slack;
mod syslog;
mod telegram;
mod text;
mod webhook;

use std::{fmt, sync::Arc, time::Duration};

use cofferdam_core::{
    Alert, Timestamp,
    plan::{self, Channel},
    ports::{Boxed, DeliveryError, Notifier, Receipt},
    secret::Secret,
};

use crate::{
    http::{Http, Reply, UrlError},
    signer::Env,
};

pub use alertmanager::Heartbeat;
pub use pagerduty::Pagerduty;
pub use webhook::signature;

/// Longest wait for a receiver, unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What notifiers are wired to.
#[derive(Clone)]
pub struct Wiring<'a> {
    /// Looks environment variables up.
    pub env: Env<'a>,
    /// Tells the time, for signatures and heartbeats.
    pub clock: Clock,
    /// Longest wait for a receiver.
    pub deadline: Duration,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl fmt::Debug for Wiring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// Why a notifier cannot be set up. The operator must change something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Its URL is wrong.
    #[error("notifier `{id}` has no usable address")]
    Url {
        /// Its id.
        id: String,
        /// What is wrong.
        #[source]
        source: UrlError,
    },
    /// Its secret is not there.
    #[error("environment variable {name} of notifier `{id}` is not set")]
    EnvMissing {
        /// Its id.
        id: String,
        /// The variable.
        name: String,
    },
    /// Its secret cannot be one.
    #[error("environment variable {name} of notifier `{id}` does not hold {expected}")]
    Malformed {
        /// Its id.
        id: String,
        /// The variable.
        name: String,
        /// What it should hold.
        expected: &'static str,
    },
}

/// A notifier, or why there is none.
type Opened = Result<Box<dyn Notifier>, NotifyError>;

/// A kind of receiver.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As written in the plan.
    pub name: &'static str,
    open: fn(&Opening<'_>) -> Option<Opened>,
}

/// Every kind, sorted by name.
pub static KINDS: &[Kind] = &[
    alertmanager::KIND,
    cloud_events::KIND,
    discord::KIND,
    matrix::KIND,
    pagerduty::KIND,
    slack::KIND,
    syslog::KIND,
    telegram::KIND,
    webhook::KIND,
];

/// The notifier that `it` of the plan describes. Nothing is asked.
///
/// # Errors
/// [`NotifyError`].
pub fn open(it: &plan::Notifier, wiring: &Wiring<'_>) -> Opened {
    let opening = Opening { id: &it.id, channel: &it.channel, wiring };
    let opened = KINDS.iter().find_map(|kind| (kind.open)(&opening));
    // Every channel has its kind: a test holds that.
    opened.unwrap_or(Err(NotifyError::Url { id: it.id.clone(), source: UrlError::Shape }))
}

/// What a kind opens a notifier from.
struct Opening<'a> {
    id: &'a str,
    channel: &'a Channel,
    wiring: &'a Wiring<'a>,
}

impl Opening<'_> {
    fn http(&self, url: &str) -> Result<Http, NotifyError> {
        let opened = Http::open(url, self.wiring.env, self.wiring.deadline);
        opened.map_err(|source| NotifyError::Url { id: self.id.to_owned(), source })
    }

    fn secret(&self, name: &str) -> Result<Secret, NotifyError> {
        let held = (self.wiring.env)(name).map(|it| it.trim().to_owned());
        let missing = || NotifyError::EnvMissing { id: self.id.to_owned(), name: name.to_owned() };
        held.filter(|it| !it.is_empty()).map(Secret::new).ok_or_else(missing)
    }

    /// A secret that is printable text, as headers and paths need it.
    fn token(&self, name: &str) -> Result<Token, NotifyError> {
        let secret = self.secret(name)?;
        let printable = secret.expose().iter().all(u8::is_ascii_graphic);
        match String::from_utf8(secret.expose().to_vec()) {
            Ok(_) if printable => Ok(Token(secret)),
            _ => Err(NotifyError::Malformed {
                id: self.id.to_owned(),
                name: name.to_owned(),
                expected: "one word of printable ASCII",
            }),
        }
    }

    fn bearer(&self, name: Option<&String>) -> Result<Option<Token>, NotifyError> {
        name.map(|it| self.token(it)).transpose()
    }

    fn over_http(&self, http: Http, format: impl Format + 'static) -> Box<dyn Notifier> {
        let (id, deadline) = (self.id.to_owned(), self.wiring.deadline);
        Box::new(HttpNotifier { id, http, format, deadline })
    }
}

/// A secret of printable ASCII.
struct Token(Secret);

impl Token {
    fn expose(&self) -> &str {
        // Checked when it was made.
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }

    fn bearer(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.expose()))
    }
}

/// `http`, whose errors do not repeat `token` if the receiver does.
fn hide(http: Http, token: Option<&Token>) -> Http {
    match token {
        Some(it) => http.hiding(it.expose()),
        None => http,
    }
}

/// A message as it goes out.
struct Message {
    put: bool,
    /// Appended to the receiver's path.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Message {
    fn json(body: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { put: false, path: String::new(), headers, body: body.to_string().into_bytes() }
    }
}

/// How a kind of receiver over HTTP is spoken to.
trait Format: Send + Sync {
    /// The message for an alert.
    fn message(&self, alert: &Alert) -> Message;

    /// What the receiver's answer means; unless a kind knows better, by its status.
    fn judge(&self, reply: &Reply) -> Result<Receipt, Answered> {
        by_status(reply)
    }
}

/// What a receiver's no means.
enum Answered {
    Later { because: String, after_ms: Option<u64> },
    Never { because: String },
}

fn by_status(reply: &Reply) -> Result<Receipt, Answered> {
    let (status, after_ms) = (reply.status, reply.retry_after_ms);
    let said = String::from_utf8_lossy(&reply.body);
    let because = format!("HTTP status {status}: {}", said.trim());
    match status {
        200..=299 => Ok(Receipt { reference: None }),
        408 | 425 | 429 | 500..=599 => Err(Answered::Later { because, after_ms }),
        _ => Err(Answered::Never { because }),
    }
}

struct HttpNotifier<F> {
    id: String,
    http: Http,
    format: F,
    deadline: Duration,
}

impl<F: Format> HttpNotifier<F> {
    async fn carry(&self, message: Message) -> Result<Receipt, DeliveryError> {
        let Message { put, path, headers, body } = message;
        let method = if put { reqwest::Method::PUT } else { reqwest::Method::POST };
        let sending = self.http.send_to(method, &path, &headers, body);
        let because = match tokio::time::timeout(self.deadline, sending).await {
            Ok(Ok(reply)) => return self.told(&reply),
            Ok(Err(because)) => because,
            Err(_) => "no answer in time",
        };
        Err(DeliveryError::Later { because: because.to_owned(), after_ms: None })
    }

    fn told(&self, reply: &Reply) -> Result<Receipt, DeliveryError> {
        match self.format.judge(reply) {
            Ok(it) => Ok(Receipt {
                reference: it.reference.map(|it| text::cut(&self.http.clean(&it), 200)),
            }),
            Err(Answered::Later { because, after_ms }) => {
                Err(DeliveryError::Later { because: self.http.clean(&because), after_ms })
            }
            Err(Answered::Never { because }) => {
                Err(DeliveryError::Never { because: self.http.clean(&because) })
            }
        }
    }
}

impl<F: Format> Notifier for HttpNotifier<F> {
    fn id(&self) -> &str {
        &self.id
    }

    fn deliver<'a>(&'a self, alert: &'a Alert) -> Boxed<'a, Result<Receipt, DeliveryError>> {
        Box::pin(self.carry(self.format.message(alert)))
    }
}

#[cfg(test)]
mod tests {
    use super::KINDS;

    #[test]
    fn kinds_are_sorted_and_named_once() {
        assert!(KINDS.windows(2).all(|it| it[0].name < it[1].name));
    }
}
