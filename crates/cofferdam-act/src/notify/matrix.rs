//! Matrix, client-server API v3. The alert's id is the transaction id, so the homeserver itself takes a
//! repeated delivery for one.

use cofferdam_core::{Alert, plan::Channel, ports::Receipt};
use serde_json::{Value, json};

use super::{Answered, Format, Kind, Message, NotifyError, Opening, Token, by_status, text};
use crate::http::{Http, Reply};

/// Longest message, in characters; an event may have 65,536 bytes.
const TEXT_CHARS_MAX: usize = 8_000;
/// Longest wait believed, in milliseconds.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

pub(super) const KIND: Kind = Kind {
    name: "matrix",
    open: |it| {
        let Channel::Matrix { url, room, token_env } = it.channel else { return None };
        let made = opened(it, url, room, token_env);
        Some(made.map(|(http, token)| it.over_http(http, Matrix { token })))
    },
};

struct Matrix {
    token: Token,
}

fn opened(
    it: &Opening<'_>,
    url: &str,
    room: &str,
    token: &str,
) -> Result<(Http, Token), NotifyError> {
    let room = encoded(room);
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message");
    let token = it.token(token)?;
    Ok((it.http(url)?.at(&path).hiding(token.expose()), token))
}

/// Percent-encoded, as a segment of a path.
fn encoded(text: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~".contains(&it);
    let one = |it: u8| if plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") };
    text.bytes().map(one).collect()
}

impl Format for Matrix {
    fn message(&self, alert: &Alert) -> Message {
        let body = json!({ "msgtype": "m.text", "body": text::whole(alert, TEXT_CHARS_MAX) });
        let mut message = Message::json(&body);
        message.put = true;
        message.path = format!("/{}", alert.id);
        message.headers.push(self.token.bearer());
        message
    }

    fn judge(&self, reply: &Reply) -> Result<Receipt, Answered> {
        let told = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        match by_status(reply) {
            Ok(_) => Ok(Receipt { reference: told["event_id"].as_str().map(str::to_owned) }),
            Err(Answered::Later { because, after_ms }) => {
                let ms = told["retry_after_ms"].as_u64().map(|it| it.min(RETRY_AFTER_MS_MAX));
                Err(Answered::Later { because, after_ms: ms.or(after_ms) })
            }
            Err(no) => Err(no),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_room_is_one_segment_of_a_path() {
        assert_eq!(encoded("!a/b:example.org"), "%21a%2Fb%3Aexample.org");
    }
}
