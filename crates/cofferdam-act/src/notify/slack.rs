//! Slack incoming webhooks. The URL is the secret.

use cofferdam_core::{Alert, plan::Channel};
use serde_json::json;

use super::{Format, Kind, Message, text};

/// Longest message, in characters; Slack cuts at 40,000.
const TEXT_CHARS_MAX: usize = 3_000;

pub(super) const KIND: Kind = Kind {
    name: "slack",
    open: |it| {
        let Channel::Slack { url } = it.channel else { return None };
        Some(it.http(url).map(|http| it.over_http(http, Slack)))
    },
};

struct Slack;

impl Format for Slack {
    fn message(&self, alert: &Alert) -> Message {
        // Slack reads only these three; without them nothing is a mention or a link.
        let text = text::whole(alert, TEXT_CHARS_MAX);
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Message::json(&json!({ "text": text, "mrkdwn": false, "unfurl_links": false }))
    }
}
