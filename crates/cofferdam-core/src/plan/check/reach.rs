//! Checks of what reaches outside: builders and receivers of messages.

use std::collections::BTreeSet;

use super::{Check, at, is_name, secrets};
use crate::plan::{Channel, KeySource, Step};

/// Longest room, chat or address, in bytes.
const PLACE_BYTES_MAX: usize = 255;

impl Check<'_> {
    pub(super) fn builders(&mut self) {
        for (index, chain) in self.plan.chains.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for (number, builder) in chain.builders.iter().enumerate() {
                let path = |field| {
                    let list = [Step::from("chains"), index.into(), Step::from("builders")];
                    [list[0], list[1], list[2], number.into(), Step::from(field)]
                };
                let hint = "letters, digits, `-`, `_` and `.`, at most 64, e.g. `flashbots`";
                self.require(is_name(&builder.id), &path("id"), "this is not a name", hint);
                let once = seen.insert(&builder.id);
                self.require(once, &path("id"), "this builder is listed before", "rename it");
                self.url(&path("endpoint"), &builder.endpoint);
                let key = |field| {
                    let [a, b, c, d, e] = path("identity");
                    [a, b, c, d, e, Step::from(field)]
                };
                match &builder.identity {
                    Some(KeySource::Keystore { path, password_env }) => {
                        self.folder(&key("path"), path);
                        self.variable(&key("password-env"), password_env);
                    }
                    Some(KeySource::Env { name }) => self.variable(&key("name"), name),
                    None => {}
                }
            }
        }
    }

    pub(super) fn notifiers(&mut self) {
        for (index, notifier) in self.plan.notifiers.iter().enumerate() {
            let path = |field| {
                [Step::from("notifiers"), index.into(), "channel".into(), Step::from(field)]
            };
            let (url, variable, place) = parts(&notifier.channel);
            if let Some(url) = url {
                self.url(&path("url"), url);
            }
            if let Some((field, name)) = variable {
                self.variable(&path(field), name);
            }
            if let Some((field, text)) = place {
                let plain = text.bytes().all(|it| it.is_ascii_graphic());
                let fits = plain && (1..=PLACE_BYTES_MAX).contains(&text.len());
                let hint = "one word of printable ASCII, at most 255 characters";
                self.require(fits, &path(field), "nobody can be reached there", hint);
            }
            if let Channel::Alertmanager { heartbeat, .. } = &notifier.channel {
                let often = (1_000..=600_000).contains(&heartbeat.0);
                let hint = "from 1s to 10m, e.g. `\"30s\"`; who listens waits three times as long";
                let path = at!["notifiers", index, "channel", "heartbeat"];
                self.require(often, path, "this heartbeat tells nothing in time", hint);
            }
        }
    }

    fn url(&mut self, path: &[Step<'_>], url: &str) {
        let kinds = ["http://", "https://", "env:"];
        let checked = secrets::endpoint(url);
        match checked {
            Err(it) if it.secret => self.report_secret(path, it.message, it.hint),
            Err(it) => self.report(path, it.message, it.hint),
            Ok(()) => {
                let known = kinds.iter().any(|it| url.starts_with(it));
                self.require(known, path, "this is reached over HTTP only", "e.g. `env:NAME`");
            }
        }
    }
}

type Named<'a> = Option<(&'static str, &'a str)>;

/// The URL, the variable and the place of a channel, with their fields.
fn parts(channel: &Channel) -> (Option<&str>, Named<'_>, Named<'_>) {
    match channel {
        Channel::Alertmanager { url, token_env, .. } | Channel::CloudEvents { url, token_env } => {
            (Some(url), token_env.as_deref().map(|it| ("token-env", it)), None)
        }
        Channel::Discord { url } | Channel::Slack { url } => (Some(url), None, None),
        Channel::Matrix { url, room, token_env } => {
            (Some(url), Some(("token-env", token_env)), Some(("room", room)))
        }
        Channel::Pagerduty { routing_key_env, url } => {
            (Some(url), Some(("routing-key-env", routing_key_env)), None)
        }
        Channel::Syslog { address } => (None, None, Some(("address", address))),
        Channel::Telegram { token_env, chat, url } => {
            (Some(url), Some(("token-env", token_env)), Some(("chat", chat)))
        }
        Channel::Webhook { url, secret_env } => (Some(url), Some(("secret-env", secret_env)), None),
    }
}
