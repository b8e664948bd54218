//! A receiver of our own format, signed as Standard Webhooks 1.0 says, so that its libraries verify it:
//! `webhook-id` (the alert's id: the idempotency key), `webhook-timestamp` (Unix seconds), and
//! `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cofferdam_core::{Alert, plan::Channel, ports::Notifier, secret::Secret};
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::{Clock, Format, Kind, Message, NotifyError, Opening, text};

/// Least length of a secret, in bytes (Standard Webhooks: 24 to 64).
const SECRET_BYTES_MIN: usize = 24;

pub(super) const KIND: Kind = Kind {
    name: "webhook",
    open: |it| {
        let Channel::Webhook { url, secret_env } = it.channel else { return None };
        Some(opened(it, url, secret_env))
    },
};

struct Webhook {
    secret: Secret,
    clock: Clock,
}

fn opened(it: &Opening<'_>, url: &str, secret: &str) -> Result<Box<dyn Notifier>, NotifyError> {
    let http = it.http(url)?;
    let text = it.secret(secret)?;
    let key = match text.expose().strip_prefix(b"whsec_") {
        Some(coded) => STANDARD.decode(coded).ok().map(Secret::new),
        None => Some(Secret::new(text.expose())),
    };
    let malformed = || NotifyError::Malformed {
        id: it.id.to_owned(),
        name: secret.to_owned(),
        expected: "a secret of at least 24 bytes, or whsec_ and its base64",
    };
    let secret = key.filter(|it| it.expose().len() >= SECRET_BYTES_MIN).ok_or_else(malformed)?;
    let clock = it.wiring.clock.clone();
    Ok(it.over_http(http, Webhook { secret, clock }))
}

impl Format for Webhook {
    fn message(&self, alert: &Alert) -> Message {
        let body = json!({ "type": format!("alert.{}", alert.kind), "timestamp": alert.at.to_string(), "data": text::bounded(alert) });
        let mut message = Message::json(&body);
        let (id, secs) = (alert.id.to_string(), (self.clock)().0 / 1_000);
        let signature = signature(&self.secret, &id, secs, &message.body);
        message.headers.push(("idempotency-key", id.clone()));
        message.headers.push(("webhook-id", id));
        message.headers.push(("webhook-timestamp", secs.to_string()));
        message.headers.push(("webhook-signature", signature));
        message
    }
}

/// The signature of a message with `id` at `secs` (Unix time), as in the header. A receiver computes it
/// too, compares in constant time, and refuses a time that is more than five minutes off.
pub fn signature(secret: &Secret, id: &str, secs: u64, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else { return String::new() };
    mac.update(format!("{id}.{secs}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use cofferdam_core::secret::Secret;

    use super::signature;

    #[test]
    fn the_published_vector_of_standard_webhooks_is_met() {
        let secret = Secret::new(STANDARD.decode("plJ3nmyCDGBKInavdOK15jsl").unwrap());
        let body = br#"{"event_type":"ping","data":{"success":true}}"#;
        let made = signature(&secret, "msg_loFOjxBNrRLzqYUf", 1_731_705_121, body);
        assert_eq!(made, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
    }
}
