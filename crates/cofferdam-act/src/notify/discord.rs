//! Discord webhooks. The URL is the secret.

use cofferdam_core::{Alert, plan::Channel, ports::Receipt};
use serde_json::{Value, json};

use super::{Answered, Format, Kind, Message, by_status, text};
use crate::http::Reply;

/// Longest message, in characters.
const TEXT_CHARS_MAX: usize = 2_000;
/// Longest wait believed, in seconds.
const RETRY_AFTER_SECS_MAX: f64 = 3_600.0;

pub(super) const KIND: Kind = Kind {
    name: "discord",
    open: |it| {
        let Channel::Discord { url } = it.channel else { return None };
        // Without this Discord answers before the message exists.
        Some(it.http(url).map(|http| it.over_http(http.query("wait", "true"), Discord)))
    },
};

struct Discord;

impl Format for Discord {
    fn message(&self, alert: &Alert) -> Message {
        // Escaped, so that no text formats; and nobody is mentioned whatever the text says.
        let mut content = String::new();
        for it in text::whole(alert, TEXT_CHARS_MAX / 2).chars() {
            if matches!(it, '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '#' | '[' | ']' | '<' | '-')
            {
                content.push('\\');
            }
            content.push(it);
        }
        Message::json(&json!({
            "content": content, "allowed_mentions": { "parse": [] }, "flags": 4,
        }))
    }

    fn judge(&self, reply: &Reply) -> Result<Receipt, Answered> {
        let told = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        match by_status(reply) {
            Ok(_) => Ok(Receipt { reference: told["id"].as_str().map(str::to_owned) }),
            Err(Answered::Later { because, after_ms }) => {
                let secs = told["retry_after"].as_f64().filter(|it| *it >= 0.0);
                let ms = secs.map(|it| (it.min(RETRY_AFTER_SECS_MAX) * 1_000.0).ceil() as u64);
                Err(Answered::Later { because, after_ms: ms.or(after_ms) })
            }
            Err(no) => Err(no),
        }
    }
}
