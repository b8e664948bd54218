//! What a plan must mean: names that exist, bounds that hold, nothing that would act without end.
//!
//! All errors of a plan at once. What a plan merely lacks is no error; [`super::explain`] tells it.

mod actions;
mod entities;
mod feeds;
mod learned;
mod people;
mod reach;
mod secrets;

use std::collections::BTreeSet;

use super::{Plan, PlanError, Rule, SourceMap, Step, nearest};
use crate::{AccountId, ChainId};

pub use learned::{LEARNED, SHADOW_SECONDS_MIN};

/// Longest name of a thing in a plan, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The shortest pause between two questions for the block in the making, in milliseconds.
const SUB_BLOCKS_MIN_MS: u64 = 50;
/// The most simulation an hour holds, in milliseconds.
const SIMULATION_MAX_MS: u64 = 7_200_000;
/// Longest title or reason, in characters.
const TITLE_CHARS_MAX: usize = 200;

/// A path into the plan.
macro_rules! at {
    ($($step:expr),* $(,)?) => { &[$($crate::plan::Step::from($step)),*] };
}
pub(super) use at;

/// Everything wrong with the meaning of `plan`; `map` tells where it stands.
pub fn check(plan: &Plan, map: &SourceMap) -> Vec<PlanError> {
    let mut check = Check { plan, map, errors: Vec::new() };
    check.names();
    check.chains();
    check.entities();
    check.rules();
    check.learned();
    check.actions();
    check.relayers();
    check.builders();
    check.notifiers();
    check.feeds();
    check.decision();
    check.calendar();
    check.people();
    check.errors
}

/// The check under way.
struct Check<'a> {
    plan: &'a Plan,
    map: &'a SourceMap,
    errors: Vec<PlanError>,
}

impl<'a> Check<'a> {
    fn report(&mut self, path: &[Step<'_>], message: impl Into<String>, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.errors.push(self.map.error(path, message, hint));
    }

    /// As [`Self::report`], where the line itself may hold a secret.
    fn report_secret(&mut self, path: &[Step<'_>], message: &str, hint: &str) {
        let error = self.map.error(path, message, Some(hint.to_owned()));
        self.errors.push(PlanError { sensitive: true, ..error });
    }

    fn require(&mut self, holds: bool, path: &[Step<'_>], message: &str, hint: &str) {
        if !holds {
            self.report(path, message, hint);
        }
    }

    /// Ids are well formed and unique.
    fn names(&mut self) {
        let plan = self.plan;
        self.title(at!["name"], &plan.name);
        let ids: [(&str, Vec<&str>); 8] = [
            ("entities", plan.entities.iter().map(|it| it.id.as_str()).collect()),
            ("rules", plan.rules.iter().map(|it| it.id.as_str()).collect()),
            ("actions", plan.actions.iter().map(|it| it.id.as_str()).collect()),
            ("relayers", plan.relayers.iter().map(|it| it.id.as_str()).collect()),
            ("notifiers", plan.notifiers.iter().map(|it| it.id.as_str()).collect()),
            ("feeds", plan.feeds.iter().map(|it| it.id.as_str()).collect()),
            ("people", plan.people.iter().map(|it| it.id.as_str()).collect()),
            ("machines", plan.machines.iter().map(|it| it.id.as_str()).collect()),
        ];
        for (list, ids) in ids {
            let mut seen = BTreeSet::new();
            for (index, id) in ids.into_iter().enumerate() {
                let path = at![list, index, "id"];
                let hint = "letters, digits, `-`, `_` and `.`, at most 64, e.g. `pause-vault`";
                self.require(is_name(id), path, "this is not a name", hint);
                if !seen.insert(id) {
                    let message = format!("`{id}` is the name of another of the {list}");
                    self.report(
                        path,
                        message,
                        "give each its own name: the journal tells them apart by it",
                    );
                }
            }
        }
    }

    fn title(&mut self, path: &[Step<'_>], text: &str) {
        let plain = !text.trim().is_empty()
            && text.chars().count() <= TITLE_CHARS_MAX
            && !text.chars().any(char::is_control);
        self.require(
            plain,
            path,
            "this is empty, too long or not one line",
            "one line, at most 200 characters",
        );
    }

    fn chains(&mut self) {
        let mut seen = BTreeSet::new();
        for (index, chain) in self.plan.chains.iter().enumerate() {
            let path = |field| [Step::from("chains"), index.into(), Step::from(field)];
            if !seen.insert(chain.id) {
                let message = format!("chain `{}` is declared before", chain.id);
                self.report(&path("id"), message, "put all endpoints of a chain into one table");
            }
            let positive = "must be more than nothing";
            self.require(chain.block_time.0 > 0, &path("block-time"), positive, "e.g. `\"12s\"`");
            self.require(chain.finality_blocks > 0, &path("finality-blocks"), positive, "e.g. 64");
            self.require(
                chain.reorg_blocks_max > 0,
                &path("reorg-blocks-max"),
                positive,
                "e.g. 64",
            );
            let asked = chain.sub_blocks.map_or(SUB_BLOCKS_MIN_MS, |it| it.0);
            self.require(
                (SUB_BLOCKS_MIN_MS..=chain.block_time.0.max(SUB_BLOCKS_MIN_MS)).contains(&asked),
                &path("sub-blocks"),
                "a block in the making is asked for several times per block, and not without pause",
                "between `\"50ms\"` and the block time, e.g. `\"200ms\"`",
            );
            self.require(
                chain.simulation_per_hour.0 <= SIMULATION_MAX_MS,
                &path("simulation-per-hour"),
                "there is no more time in an hour",
                "at most `\"2h\"`: two are simulated at a time; e.g. `\"30m\"`",
            );
            let vouched = chain.witnesses_min.is_none_or(|it| it > 0);
            self.require(vouched, &path("witnesses-min"), positive, "e.g. 2");
            let mut urls = BTreeSet::new();
            for (number, endpoint) in chain.endpoints.iter().enumerate() {
                let path = at!["chains", index, "endpoints", number];
                match secrets::endpoint(endpoint) {
                    Ok(()) => {}
                    Err(it) if it.secret => self.report_secret(path, it.message, it.hint),
                    Err(it) => self.report(path, it.message, it.hint),
                }
                let hint = "a node cannot confirm itself: name another one";
                self.require(urls.insert(endpoint), path, "this endpoint is listed before", hint);
            }
        }
    }

    fn rules(&mut self) {
        for (index, rule) in self.plan.rules.iter().enumerate() {
            let path = at!["rules", index, "detector"];
            self.require(is_name(&rule.detector), path, "this is not a detector", "e.g. `outflow`");
            self.entity_names("rules", index, "entities", &rule.entities);
        }
    }

    /// Every name in a list is that of an entity, once.
    fn entity_names(&mut self, list: &str, index: usize, field: &str, names: &[String]) {
        let mut seen = BTreeSet::new();
        for (number, name) in names.iter().enumerate() {
            let path = at![list, index, field, number];
            if self.plan.entity(name).is_none() {
                let known = self.plan.entities.iter().map(|it| it.id.as_str());
                self.unknown(path, "entity", name, known);
            }
            self.require(seen.insert(name), path, "this entity is listed before", "remove it");
        }
    }

    fn unknown<'n>(
        &mut self,
        path: &[Step<'_>],
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        let hint = match nearest(name, known.clone()) {
            Some(it) => format!("did you mean `{it}`?"),
            None => match known.collect::<BTreeSet<_>>() {
                known if known.is_empty() => format!("the plan has no {what}"),
                known => format!("known: `{}`", known.into_iter().collect::<Vec<_>>().join("`, `")),
            },
        };
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        self.report(path, format!("there is no {what} `{shown}`"), &hint);
    }

    /// The chain of an account is one that the plan watches.
    fn declared(&mut self, path: &[Step<'_>], account: AccountId) {
        let known = |id: ChainId| self.plan.chains.iter().any(|it| it.id == id);
        if !known(account.chain) {
            let message = format!("chain `{}` is not declared", account.chain);
            let hint = format!("add `[[chains]]` with `id = \"{}\"`", account.chain);
            self.report(path, message, &hint);
        }
    }

    fn decision(&mut self) {
        let it = &self.plan.decision;
        let path = |field| [Step::from("decision"), Step::from(field)];
        let prior = (1..1_000_000_000).contains(&it.prior_ppb);
        let hint = "parts per billion per block: 1 to 999999999; 4.2 % a year at 12 s blocks is 16";
        self.require(
            prior,
            &path("prior-ppb"),
            "a prior must be neither impossible nor certain",
            hint,
        );
        let cap = it.group_cap_millinats > 0;
        self.require(cap, &path("group-cap-millinats"), "no evidence could count", "e.g. 20000");
        let share = it.atomic.0 <= 1_000_000;
        self.require(share, &path("atomic"), "a probability is at most 100 %", "e.g. `\"44 %\"`");
        self.require(
            it.drain_blocks > 0,
            &path("drain-blocks"),
            "a drain takes a block at least",
            "e.g. 10",
        );
        let share = it.correlation.0 <= 1_000_000;
        self.require(share, &path("correlation"), "a share is at most 100 %", "e.g. `\"50 %\"`");
        let share = it.pre_emption.0 <= 1_000_000;
        self.require(share, &path("pre-emption"), "a probability is at most 100 %", "");
        for (field, given, hint) in [
            ("prior-spread", it.prior_spread, "1 if the prior is known exactly, else e.g. 3"),
            ("evidence-millisigma", it.evidence_millisigma, "e.g. 1500"),
        ] {
            self.require(given > 0, &path(field), "this is at least 1", hint);
        }
        let lead = it.preparation_blocks > 0;
        let hint = "e.g. 10";
        self.require(lead, &path("preparation-blocks"), "to prepare takes a block at least", hint);
        let window = it.false_alarm_window.0 > 0;
        let hint = "e.g. `\"90d\"`";
        self.require(
            window,
            &path("false-alarm-window"),
            "a budget over no time is no bound",
            hint,
        );
        let inside = |it: &String| {
            let plain = |it: &str| !it.is_empty() && !it.starts_with('.') && !it.contains('\\');
            it.len() <= NAME_BYTES_MAX && it.split('/').all(plain)
        };
        let hint = "a file of the plan's folder, e.g. `\"evidence.toml\"`";
        let named = it.evidence.as_ref().is_none_or(inside);
        self.require(named, &path("evidence"), "an evidence card lies in the plan's folder", hint);
        let hint = "e.g. `\"1h\"`";
        self.require(it.memory.0 > 0, &path("memory"), "no evidence could count", hint);
    }

    fn calendar(&mut self) {
        for (index, change) in self.plan.calendar.iter().enumerate() {
            let path = |field| [Step::from("calendar"), index.into(), Step::from(field)];
            self.declared(&path("contract"), change.contract);
            if let Some(to) = change.to {
                self.declared(&path("to"), to);
                let same = to.chain == change.contract.chain;
                self.require(same, &path("to"), "it is on another chain than the contract", "");
            }
            let ordered = change.not_before < change.not_after;
            let hint = "a window that silences alarms begins before it ends";
            self.require(ordered, &path("not-after"), "it is not after `not-before`", hint);
            self.title(&path("reason"), &change.reason);
        }
    }
}

/// Whether `rule` watches the entity.
pub(super) fn watches(rule: &Rule, entity: &str) -> bool {
    rule.entities.is_empty() || rule.entities.iter().any(|it| it == entity)
}

fn is_name(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(inner)
}
