//! CloudEvents 1.0.2 over HTTP, structured mode, JSON format. `id` is the alert's, so that id and
//! source together are unique, as the specification wants.

use cofferdam_core::{Alert, plan::Channel};
use serde_json::json;

use super::{Format, Kind, Message, Token, hide, text};

pub(super) const KIND: Kind =
    Kind {
        name: "cloud-events",
        open: |it| {
            let Channel::CloudEvents { url, token_env } = it.channel else { return None };
            let made = it.http(url).and_then(|http| Ok((http, it.bearer(token_env.as_ref())?)));
            Some(made.map(|(http, token)| {
                it.over_http(hide(http, token.as_ref()), CloudEvents { token })
            }))
        },
    };

struct CloudEvents {
    token: Option<Token>,
}

impl Format for CloudEvents {
    fn message(&self, alert: &Alert) -> Message {
        let mut message = Message::json(&json!({
            "specversion": "1.0",
            "id": alert.id,
            "source": "urn:cofferdam",
            "type": format!("org.cofferdam.alert.{}", alert.kind),
            "subject": alert.dedup,
            "time": alert.at.to_string(),
            "datacontenttype": "application/json",
            "data": text::bounded(alert),
        }));
        let kind = "application/cloudevents+json; charset=utf-8".to_owned();
        message.headers = vec![("content-type", kind)];
        message.headers.extend(self.token.as_ref().map(Token::bearer));
        message
    }
}
