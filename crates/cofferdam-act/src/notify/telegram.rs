//! Telegram's Bot API, `sendMessage`. The token is part of the path.

use cofferdam_core::{Alert, AlertKind, Severity, plan::Channel, ports::Receipt};
use serde_json::{Value, json};

use super::{Answered, Format, Kind, Message, NotifyError, Opening, by_status, text};
use crate::http::{Http, Reply};

/// Longest message, in characters.
const TEXT_CHARS_MAX: usize = 4_096;
/// Longest wait believed, in seconds.
const RETRY_AFTER_SECS_MAX: u64 = 3_600;

pub(super) const KIND: Kind = Kind {
    name: "telegram",
    open: |it| {
        let Channel::Telegram { token_env, chat, url } = it.channel else { return None };
        let chat = chat.clone();
        Some(opened(it, url, token_env).map(|http| it.over_http(http, Telegram { chat })))
    },
};

struct Telegram {
    chat: String,
}

fn opened(it: &Opening<'_>, url: &str, token: &str) -> Result<Http, NotifyError> {
    let name = token;
    let token = it.token(name)?;
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, ':' | '-' | '_');
    if !token.expose().chars().all(plain) {
        let (id, name) = (it.id.to_owned(), name.to_owned());
        let expected = "a bot token, such as 123456:ABC…";
        return Err(NotifyError::Malformed { id, name, expected });
    }
    let token = token.expose();
    Ok(it.http(url)?.at(&format!("/bot{token}/sendMessage")).hiding(token))
}

impl Format for Telegram {
    fn message(&self, alert: &Alert) -> Message {
        let loud = alert.kind == AlertKind::Raised && alert.severity >= Severity::High;
        // No parse mode: text is text.
        Message::json(&json!({
            "chat_id": self.chat,
            "text": text::whole(alert, TEXT_CHARS_MAX),
            "disable_notification": !loud,
            "link_preview_options": { "is_disabled": true },
        }))
    }

    fn judge(&self, reply: &Reply) -> Result<Receipt, Answered> {
        let told = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        match by_status(reply) {
            Ok(_) if told["ok"] == true => {
                let number = told["result"]["message_id"].as_i64();
                Ok(Receipt { reference: number.map(|it| it.to_string()) })
            }
            Ok(_) => {
                Err(Answered::Later { because: "answer is not Telegram's".into(), after_ms: None })
            }
            Err(Answered::Later { because, after_ms }) => {
                let secs = told["parameters"]["retry_after"].as_u64();
                let ms = secs.map(|it| it.min(RETRY_AFTER_SECS_MAX) * 1_000);
                Err(Answered::Later { because, after_ms: ms.or(after_ms) })
            }
            Err(no) => Err(no),
        }
    }
}
