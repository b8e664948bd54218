//! Syslog, RFC 5424 over UDP (RFC 5426). Nobody answers: delivered means sent.

use std::time::Duration;

use cofferdam_core::{
    Alert, Severity,
    plan::Channel,
    ports::{Boxed, DeliveryError, Notifier, Receipt},
};
use tokio::net::{UdpSocket, lookup_host};

use super::{Kind, text};

/// Facility 4: security.
const FACILITY: u8 = 4;
/// Longest message, in characters; receivers must take 2,048 bytes.
const TEXT_CHARS_MAX: usize = 1_000;

pub(super) const KIND: Kind = Kind {
    name: "syslog",
    open: |it| {
        let Channel::Syslog { address } = it.channel else { return None };
        let (id, address, deadline) = (it.id.to_owned(), address.clone(), it.wiring.deadline);
        Some(Ok(Box::new(Syslog { id, address, deadline })))
    },
};

struct Syslog {
    id: String,
    address: String,
    deadline: Duration,
}

impl Syslog {
    async fn send(&self, alert: &Alert) -> Result<Receipt, DeliveryError> {
        let later = |because: &str| {
            Err(DeliveryError::Later { because: because.to_owned(), after_ms: None })
        };
        let sending = async {
            let place = lookup_host(&self.address).await?.next();
            let place = place.ok_or_else(|| std::io::Error::other("no address"))?;
            let any = if place.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            UdpSocket::bind(any).await?.send_to(line(alert).as_bytes(), place).await
        };
        match tokio::time::timeout(self.deadline, sending).await {
            Ok(Ok(_)) => Ok(Receipt { reference: None }),
            Ok(Err(_)) => later("message cannot be sent"),
            Err(_) => later("server's name is not found in time"),
        }
    }
}

impl Notifier for Syslog {
    fn id(&self) -> &str {
        &self.id
    }

    fn deliver<'a>(&'a self, alert: &'a Alert) -> Boxed<'a, Result<Receipt, DeliveryError>> {
        Box::pin(self.send(alert))
    }
}

/// The message: priority, version, time, no host, name, no process, kind, and the thread as structured
/// data (32473 is the number that RFC 5612 keeps for such use).
fn line(alert: &Alert) -> String {
    let severity = match alert.severity {
        _ if alert.closes() => 5,
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    };
    let priority = FACILITY * 8 + severity;
    let escape = |it: &str| it.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
    let thread = escape(&text::cut(&alert.dedup, 255));
    let (at, kind, id) = (alert.at, alert.kind.word(), alert.id);
    let said = text::headline(alert, TEXT_CHARS_MAX);
    format!(
        "<{priority}>1 {at} - cofferdam - {kind} [alert@32473 id=\"{id}\" thread=\"{thread}\"] \u{feff}{said}"
    )
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{Alert, AlertKind, Severity, Timestamp};

    use super::line;

    #[test]
    fn a_message_is_one_line_that_no_text_can_break_out_of() {
        let (at, dedup, text) = (Timestamp(1_709_210_096_789), "a\"]b", "x\n<0>1 forged");
        let kind = AlertKind::Raised;
        let id = Alert::id_of(dedup, kind, at, 0, text);
        let severity = Severity::Critical;
        let (dedup, text) = (dedup.to_owned(), text.to_owned());
        let made = line(&Alert { id, at, severity, incident: None, dedup, kind, text });
        let id = id.to_string();
        let want = format!(
            "<34>1 2024-02-29T12:34:56.789Z - cofferdam - raised [alert@32473 id=\"{id}\" \
             thread=\"a\\\"\\]b\"] \u{feff}critical: x <0>1 forged"
        );
        assert_eq!(made, want);
    }
}
