//! Alerts: messages to people, as notifiers carry them.
//!
//! **Invariant:** an alert is plain data and says nothing about who receives it or how. Its [`AlertId`]
//! is the idempotency key of every delivery: an alert that is delivered again has the same id, so that
//! a receiver which de-duplicates shows it once. Alerts about one thing share their `dedup` key, so
//! that a later one updates or closes what an earlier one opened.

use serde::{Deserialize, Serialize};

use crate::{AlertId, IncidentId, Severity, Timestamp};

/// Longest [`Alert::dedup`] in bytes: what PagerDuty Events v2 takes as `dedup_key`.
pub const DEDUP_BYTES_MAX: usize = 255;

/// A message to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Idempotency key of every delivery of this alert, to every receiver.
    pub id: AlertId,
    /// When it was issued.
    pub at: Timestamp,
    /// How loud.
    pub severity: Severity,
    /// The incident, if it belongs to one.
    pub incident: Option<IncidentId>,
    /// What it is about: alerts with one key are one thread (one page, one ticket) for the receiver.
    /// At most [`DEDUP_BYTES_MAX`] bytes of printable ASCII.
    pub dedup: String,
    /// What it does to its thread.
    pub kind: AlertKind,
    /// One sentence, lower-case, no full stop.
    pub text: String,
}

/// What an alert does to the thread that its `dedup` key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Opens it, or says that it is worse.
    Raised,
    /// Adds to it; nobody needs to be woken for this alone.
    Update,
    /// Closes it: what it told of is over.
    Resolved,
    /// Closes it: what it told of turned out not to be so (a reorganisation, a mistake).
    Retracted,
}

impl Alert {
    /// The id of the alert of this kind and text about `dedup`, issued at `at`. `part` tells apart
    /// what one instant issues.
    pub fn id_of(dedup: &str, kind: AlertKind, at: Timestamp, part: u64, text: &str) -> AlertId {
        AlertId::derive(&[
            dedup.as_bytes(),
            kind.word().as_bytes(),
            &at.0.to_be_bytes(),
            &part.to_be_bytes(),
            text.as_bytes(),
        ])
    }

    /// Whether a receiver closes its thread on this alert.
    pub fn closes(&self) -> bool {
        matches!(self.kind, AlertKind::Resolved | AlertKind::Retracted)
    }
}

impl AlertKind {
    /// As written in records and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Update => "update",
            Self::Resolved => "resolved",
            Self::Retracted => "retracted",
        }
    }
}

impl std::fmt::Display for AlertKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::{Alert, AlertKind};
    use crate::{Severity, Timestamp};

    fn alert(kind: AlertKind, part: u64) -> Alert {
        let (at, dedup, text) = (Timestamp(7), "blind/eip155:1", "blind since block 3");
        Alert {
            id: Alert::id_of(dedup, kind, at, part, text),
            at,
            severity: Severity::High,
            incident: None,
            dedup: dedup.into(),
            kind,
            text: text.into(),
        }
    }

    #[test]
    fn the_same_alert_has_the_same_id_and_another_has_another() {
        let it = alert(AlertKind::Raised, 0);
        assert_eq!(it.id, alert(AlertKind::Raised, 0).id);
        assert_ne!(it.id, alert(AlertKind::Resolved, 0).id);
        assert_ne!(it.id, alert(AlertKind::Raised, 1).id);
        assert!(!it.closes() && alert(AlertKind::Retracted, 0).closes());
    }

    #[test]
    fn an_alert_reads_back_as_it_was_written() {
        let it = alert(AlertKind::Update, 0);
        let json = serde_json::to_string(&it).unwrap_or_default();
        assert!(json.contains("\"kind\":\"update\""), "{json}");
        assert_eq!(serde_json::from_str::<Alert>(&json).ok(), Some(it));
    }
}
