//! Findings from outside: read, bounded and placed.
//!
//! **Invariant:** every byte is hostile. What a feed says can at most open an incident about an entity
//! that its rule watches, weighing what the plan lets it weigh; it names no rule, action or class.
//!
//! **Invariant:** the same message is the same finding: told twice, it counts once.

mod map;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Deserializer};

use crate::{
    BlockRef, ChainId, Evidence, Finding, Severity, Stage, Usd,
    plan::{Entity, Feed, FeedSource, Plan, UsdText},
};

/// Largest message or line, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most findings in one message.
pub const REPORTS_MAX: usize = 100;
/// Most actors, and most pieces of evidence, of one finding.
pub const LIST_MAX: usize = 32;
/// Longest text kept, in characters.
pub const TEXT_CHARS_MAX: usize = 300;

/// A finding as a feed reports it, in our own format. Everything but chain, subject and summary may be
/// left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Report {
    /// The chain, in CAIP-2 notation.
    pub chain: ChainId,
    /// The contract affected, one of a protected entity.
    pub subject: Address,
    /// One sentence for people.
    pub summary: String,
    /// How bad, if true.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Hash of the block it is about; left out, the newest one.
    #[serde(default)]
    pub block: Option<B256>,
    /// The transaction, if one is to blame.
    #[serde(default)]
    pub tx: Option<B256>,
    /// Who did it.
    #[serde(default)]
    pub actors: Vec<Address>,
    /// How much more probable the evidence is under attack, in thousandths of a nat.
    #[serde(default)]
    pub llr_millinats: Option<i32>,
    /// Loss so far, e.g. `"250000 usd"`.
    #[serde(default, deserialize_with = "usd")]
    pub loss: Option<Usd>,
    /// Values a person can check.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// Why a message of a feed was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// It is not JSON, or not of the expected form.
    #[error("message is not readable: {because}")]
    Unreadable {
        /// Why, for the sender.
        because: String,
    },
    /// It is larger, or tells more, than is taken.
    #[error("message is too large: {what}")]
    TooLarge {
        /// Which bound it exceeds.
        what: String,
    },
    /// A part of it is not where the plan says, or not what it should be.
    #[error("{part} at `{pointer}`: {because}")]
    Part {
        /// Which part.
        part: &'static str,
        /// Where it was looked for.
        pointer: String,
        /// What is wrong there.
        because: String,
    },
    /// It is about nothing that the feed's rule watches.
    #[error("nothing in it is watched by rule {rule}")]
    Unwatched {
        /// The rule.
        rule: String,
    },
}

/// Reads what `feed` sent: findings about entities of its rule, in order. Reports about nothing that is
/// watched are left out.
///
/// # Errors
/// [`FeedError`], if nothing can be made of the message.
pub fn read(feed: &Feed, plan: &Plan, message: &[u8]) -> Result<Vec<Report>, FeedError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(FeedError::TooLarge { what: format!("{} bytes", message.len()) });
    }
    let unreadable = |it: serde_json::Error| FeedError::Unreadable { because: it.to_string() };
    let reports = match &feed.map {
        Some(map) => {
            let message = serde_json::from_slice(message).map_err(unreadable)?;
            let watched = |chain, subject| entity(feed, plan, chain, subject).is_some();
            map::reports(map, &feed.rule, &message, watched)?
        }
        None => vec![serde_json::from_slice::<Report>(message).map_err(unreadable)?],
    };
    let watched = |it: &Report| entity(feed, plan, it.chain, it.subject).is_some();
    let reports: Vec<Report> = reports.into_iter().filter(watched).collect();
    if reports.is_empty() && feed.map.is_none() {
        return Err(FeedError::Unwatched { rule: feed.rule.clone() });
    }
    Ok(reports)
}

impl Report {
    /// The finding, bounded as `feed` says, resting on `block`. `None` if no entity of the rule has the
    /// subject.
    pub fn finding(self, feed: &Feed, plan: &Plan, block: BlockRef) -> Option<Finding> {
        let entity = entity(feed, plan, self.chain, self.subject)?;
        let severity = self.severity.unwrap_or(Severity::Medium).min(feed.severity_max);
        let weight = self.llr_millinats.unwrap_or(feed.weight_millinats);
        let from = match feed.from {
            FeedSource::Webhook { .. } => "reported by",
            FeedSource::Process { .. } => "found by",
        };
        let mut evidence = vec![Evidence::new(from, &feed.id)];
        let kept = self.evidence.into_iter().take(LIST_MAX);
        evidence.extend(kept.map(|it| Evidence { label: line(&it.label), value: line(&it.value) }));
        let place = self.tx.unwrap_or(block.hash);
        Some(Finding {
            id: Finding::id_of(self.chain, &feed.rule, place, self.subject),
            detector: "external".to_owned(),
            rule: feed.rule.clone(),
            entity: entity.id.clone(),
            severity,
            class: feed.class,
            stage: Stage::Provisional,
            block,
            tx: self.tx,
            subject: self.subject,
            actors: self.actors.into_iter().take(LIST_MAX).collect(),
            llr_millinats: weight.clamp(0, feed.weight_millinats),
            // All that comes from outside shares a cause until shown otherwise.
            group: format!("feed:{}", feed.id),
            loss: self.loss.unwrap_or(Usd::ZERO).max(Usd::ZERO),
            summary: line(&self.summary),
            evidence,
        })
    }
}

fn entity<'a>(feed: &Feed, plan: &'a Plan, chain: ChainId, subject: Address) -> Option<&'a Entity> {
    let rule = plan.rule(&feed.rule)?;
    plan.watched(rule, chain).find(|it| it.addresses(chain).any(|it| it == subject))
}

/// One line of bounded length without control characters: it ends up in terminals and messages.
fn line(text: &str) -> String {
    let plain = text.chars().map(|it| if it.is_control() { ' ' } else { it });
    plain.take(TEXT_CHARS_MAX).collect::<String>().trim().to_owned()
}

fn usd<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Usd>, D::Error> {
    Ok(Option::<UsdText>::deserialize(input)?.map(|it| it.0))
}

#[cfg(test)]
mod tests;
