//! Checks of feeds: bounded, authenticated, and about a rule that is meant for them.

use super::{Check, at, is_name};
use crate::{
    Class,
    plan::{Feed, FeedMap, FeedSource, Signed, Step},
};

/// The detector of rules whose findings come from outside.
const EXTERNAL: &str = "external";
/// The most one finding from outside may weigh, in thousandths of a nat: as much as a whole group.
const WEIGHT_MAX: i32 = 20_000;
/// The most findings a minute from one feed.
const RATE_MAX: u32 = 6_000;

impl Check<'_> {
    pub(super) fn feeds(&mut self) {
        for (index, feed) in self.plan.feeds.iter().enumerate() {
            self.feed_rule(index, feed);
            self.feed_bounds(index, feed);
            match &feed.from {
                FeedSource::Webhook { secret_env, signed } => {
                    self.variable(at!["feeds", index, "from", "secret-env"], secret_env);
                    if let Signed::HmacSha256 { header } | Signed::Token { header } = signed {
                        let path = at!["feeds", index, "from", "signed", "header"];
                        let hint = "e.g. `x-hub-signature-256`";
                        self.require(is_name(header), path, "this is not a header", hint);
                    }
                }
                FeedSource::Process { command, answer_within, memory_mib } => {
                    let path = |field| at_from(index, field);
                    let hint = "e.g. `[\"python3\", \"detectors/whale.py\"]`";
                    let named = command.first().is_some_and(|it| !it.is_empty());
                    self.require(named, &path("command"), "no program is named", hint);
                    let timely = (1..=60_000).contains(&answer_within.0);
                    let hint = "more than nothing, at most a minute, e.g. `\"2s\"`";
                    self.require(timely, &path("answer-within"), "this is no time limit", hint);
                    let hint = "in MiB, from 16 to 65536, e.g. 512";
                    let sane = (16..=65_536).contains(memory_mib);
                    self.require(sane, &path("memory-mib"), "this is no memory limit", hint);
                }
            }
            if let Some(map) = &feed.map {
                self.feed_map(index, map);
            }
        }
    }

    fn feed_rule(&mut self, index: usize, feed: &Feed) {
        let path = at!["feeds", index, "rule"];
        match self.plan.rule(&feed.rule) {
            None => {
                let known = self.plan.rules.iter().map(|it| it.id.as_str());
                self.unknown(path, "rule", &feed.rule, known);
            }
            Some(rule) => self.require(
                rule.detector == EXTERNAL,
                path,
                "this rule has a detector of its own",
                "a feed needs a rule with `detector = \"external\"`",
            ),
        }
    }

    fn feed_bounds(&mut self, index: usize, feed: &Feed) {
        let path = |field| [Step::from("feeds"), index.into(), Step::from(field)];
        let believable = !matches!(feed.class, Class::Blind | Class::Defence);
        let hint = "`suspicion`, `damage` or `control`";
        self.require(believable, &path("class"), "a feed cannot speak for our own sight", hint);
        let weighs = (1..=WEIGHT_MAX).contains(&feed.weight_millinats);
        let hint = "thousandths of a nat, from 1 to 20000, e.g. 4000";
        self.require(weighs, &path("weight-millinats"), "this is no weight", hint);
        let paced = (1..=RATE_MAX).contains(&feed.per_minute_max);
        self.require(paced, &path("per-minute-max"), "this is no rate", "from 1 to 6000, e.g. 60");
    }

    fn feed_map(&mut self, index: usize, map: &FeedMap) {
        let single = [
            ("each", &map.each),
            ("chain", &map.chain),
            ("block", &map.block),
            ("tx", &map.tx),
            ("severity", &map.severity),
            ("summary", &map.summary),
            ("loss-usd", &map.loss_usd),
        ];
        for (field, pointer) in single {
            if let Some(pointer) = pointer {
                self.pointer(at!["feeds", index, "map", field], pointer);
            }
        }
        for (field, list) in [("subjects", &map.subjects), ("actors", &map.actors)] {
            for (number, pointer) in list.iter().enumerate() {
                self.pointer(at!["feeds", index, "map", field, number], pointer);
            }
        }
        for (number, only) in map.only.iter().enumerate() {
            self.pointer(at!["feeds", index, "map", "only", number, "at"], &only.at);
        }
        for (label, pointer) in &map.evidence {
            self.pointer(at!["feeds", index, "map", "evidence", label.as_str()], pointer);
        }
        let path = at!["feeds", index, "map"];
        let placed = map.chain.is_some() || map.chain_is.is_some();
        let hint = "name `chain`, or `chain-is` if the feed knows one chain only";
        self.require(placed, path, "nothing says which chain it is about", hint);
        let about = !map.subjects.is_empty();
        let hint = "name `subjects`: where the affected contracts stand";
        self.require(about, path, "nothing says what it is about", hint);
    }

    fn pointer(&mut self, path: &[Step<'_>], text: &str) {
        let hint = "a JSON pointer (RFC 6901), e.g. `/alert/addresses`";
        self.require(text.starts_with('/'), path, "this is not a pointer", hint);
    }
}

fn at_from(index: usize, field: &str) -> [Step<'_>; 4] {
    [Step::from("feeds"), index.into(), "from".into(), Step::from(field)]
}
