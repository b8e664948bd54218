//! The attacks of a back-test: when each was seen, when it was answered, what that would have saved.
//!
//! **Invariant:** an order saves what leaves after it took effect, block by block, and nothing of its own block.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::{Severity, Usd};
use serde::{Deserialize, Serialize};

use crate::{
    OrderedRow, TxRow,
    counterfactual::{Counterfactual, Lost},
};

/// Most steps of a timeline that are kept.
const STEPS_MAX: usize = 2_000;
/// Unlabelled alarms this close together are one suspected attack, in milliseconds.
const SUSPECTED_GAP: u64 = 86_400_000;

/// One attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentLine {
    /// Its name.
    pub incident: String,
    /// Its class.
    pub class: String,
    /// `train`, `test` or empty.
    pub split: String,
    /// The strand it is in.
    pub strand: String,
    /// False: nobody labelled it; the alarms of the rules are taken for one.
    pub labelled: bool,
    /// Its transactions.
    pub txs: u64,
    /// Time of the first, in milliseconds since the Unix epoch.
    pub first: u64,
    /// Time of the last.
    pub last: u64,
    /// Blocks from the first to the last.
    pub blocks: u64,
    /// What was lost in all.
    pub lost: Usd,
    /// The highest score, thousandths of a nat.
    pub score: i64,
    /// The worst severity.
    pub severity: Option<Severity>,
    /// The first critical finding.
    pub seen: Option<Reached>,
    /// The first order that would go out without a person.
    pub answered: Option<Reached>,
    /// What left before the answer took effect; all of it without an answer.
    pub lost_with: Usd,
    /// Step by step.
    pub steps: Vec<Step>,
}

/// When something was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    /// Recorded number of the block.
    pub number: u64,
    /// Blocks after the first transaction of the attack.
    pub after_blocks: u64,
    /// Blocks before its last loss; negative: too late.
    pub lead_blocks: i64,
    /// What was lost by then, this block included.
    pub lost: Usd,
    /// The rule or action.
    pub by: String,
}

/// One step of an attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    /// Place of the block among those of its chain.
    pub place: u64,
    /// The transaction.
    pub tx: Option<B256>,
    /// Score after it, thousandths of a nat.
    pub score: i64,
    /// Lost so far.
    pub lost: Usd,
}

/// The rows of one attack.
#[derive(Clone, Debug)]
pub(crate) struct Attack<'a> {
    pub(crate) strand: &'a str,
    pub(crate) incident: String,
    pub(crate) labelled: bool,
    pub(crate) rows: Vec<&'a TxRow>,
}

/// The attacks in `rows`, by strand and name: what is labelled, and in strands whose alarms are taken for attacks
/// (`suspect`), what was loud close together.
pub(crate) fn attacks<'a>(rows: &'a [TxRow], suspect: &dyn Fn(&str) -> bool) -> Vec<Attack<'a>> {
    let mut out: BTreeMap<(&str, String), Attack<'_>> = BTreeMap::new();
    let mut open: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let (name, labelled) = match &row.label {
            Some(it) => (it.incident.clone(), true),
            None if suspect(&row.strand) && row.severity >= Some(Severity::High) => {
                let (last, number) = open.entry(&row.strand).or_insert((row.time, 1));
                *number += u64::from(row.time.saturating_sub(*last) > SUSPECTED_GAP);
                *last = row.time;
                (format!("suspected {number}"), false)
            }
            None => continue,
        };
        let key = (row.strand.as_str(), name.clone());
        let attack = out.entry(key).or_insert_with(|| Attack {
            strand: &row.strand,
            incident: name,
            labelled,
            rows: Vec::new(),
        });
        attack.rows.push(row);
    }
    out.into_values().collect()
}

impl Attack<'_> {
    /// Losses by transaction: what the label says, else what was found or priced.
    pub(crate) fn losses(&self) -> Vec<(&TxRow, Usd)> {
        let loss = |it: &TxRow| match &it.label {
            // The label speaks; where it is silent, so is the block as a whole.
            Some(label) if it.tx.is_some() => label.loss.unwrap_or(it.loss),
            Some(_) => Usd::ZERO,
            None => it.loss,
        };
        self.rows.iter().map(|it| (*it, loss(it).max(Usd::ZERO))).collect()
    }

    /// The highest score that it reached.
    pub(crate) fn score(&self) -> i64 {
        self.rows.iter().map(|it| it.score).max().unwrap_or(i64::MIN)
    }

    /// What is told of it; `orders` are those of its strand.
    pub(crate) fn line(&self, orders: &[&OrderedRow]) -> Option<IncidentLine> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        let losses = self.losses();
        let sum = |until: u64| {
            let gone = losses.iter().filter(|it| it.0.place <= until).map(|it| it.1);
            gone.fold(Usd::ZERO, Usd::plus)
        };
        let total = sum(u64::MAX);
        let last_loss = losses.iter().filter(|it| it.1 > Usd::ZERO).map(|it| it.0.place).max();
        let last_loss = last_loss.unwrap_or(last.place);
        let reached = |time, number, place: u64, by: &str| Reached {
            time,
            number,
            after_blocks: place.saturating_sub(first.place),
            lead_blocks: i64::try_from(last_loss).unwrap_or(i64::MAX)
                - i64::try_from(place).unwrap_or(i64::MAX),
            lost: sum(place),
            by: by.to_owned(),
        };
        let critical = self.rows.iter().find(|it| it.severity == Some(Severity::Critical));
        let seen = critical.map(|it| {
            let rule = it.rules.iter().find(|it| it.severity == Severity::Critical);
            reached(it.time, it.number, it.place, rule.map_or("", |it| &it.rule))
        });
        let mut mine = orders.iter().filter(|it| {
            it.automatic
                && it.chain == first.chain
                && it.place >= first.place
                && it.time <= last.time
        });
        let order = mine.next();
        let answered = order.map(|it| reached(it.time, it.number, it.place, &it.action));
        let effect = |it: &&OrderedRow| it.place.saturating_add(it.effect_blocks.max(1)) - 1;
        let label = first.label.as_ref();
        Some(IncidentLine {
            incident: self.incident.clone(),
            class: label.map(|it| it.class.clone()).unwrap_or_default(),
            split: label.map(|it| it.split.clone()).unwrap_or_default(),
            strand: self.strand.to_owned(),
            labelled: self.labelled,
            txs: self.rows.iter().filter(|it| it.tx.is_some()).count() as u64,
            first: first.time,
            last: last.time,
            blocks: last.place.saturating_sub(first.place).saturating_add(1),
            lost: total,
            score: self.score(),
            severity: self.rows.iter().filter_map(|it| it.severity).max(),
            lost_with: order.map_or(total, |it| sum(effect(it))),
            seen,
            answered,
            steps: steps(&losses),
        })
    }

    /// Funds lost by minute of delay.
    pub(crate) fn counterfactual(&self, line: &IncidentLine) -> Option<Counterfactual> {
        let lost = |(row, loss): &(&TxRow, Usd)| Lost { time: row.time, loss: *loss };
        let losses: Vec<Lost> =
            self.losses().iter().filter(|it| it.0.tx.is_some()).map(lost).collect();
        // What nobody labelled was found by an alarm, whatever its severity.
        let alarm = (!self.labelled).then_some(line.first);
        let seen = line.seen.as_ref().map(|it| it.time).or(alarm);
        Counterfactual::of(self.strand, &self.incident, seen, &losses)
    }
}

fn steps(losses: &[(&TxRow, Usd)]) -> Vec<Step> {
    let mut sum = Usd::ZERO;
    let step = |(row, loss): &(&TxRow, Usd)| {
        sum = sum.plus(*loss);
        Step { time: row.time, place: row.place, tx: row.tx, score: row.score, lost: sum }
    };
    losses.iter().take(STEPS_MAX).map(step).collect()
}
