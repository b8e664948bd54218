//! Evidence cards: what a detector's score is worth, as counts and log-likelihood ratios, with everything that
//! a reviewer must know of where the numbers come from (`risk.md` §9.2, §13).
//!
//! **Invariant:** integers alone: ratios in thousandths of a nat, counts in windows. A card that lacks a part
//! is refused as a whole; a detector that no table covers counts with the weight it states itself, and is told as
//! expert judgement.

use serde::{Deserialize, Serialize};

use super::BasisPoints;

/// Bytes of a card that are read at most.
pub const CARD_BYTES_MAX: usize = 1 << 20;
/// The card that counts unless a plan names another.
const EXPERT: &str = include_str!("expert.toml");
/// One, in parts per million.
const ONE: u64 = 1_000_000;

/// What evidence is worth, and why that may be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvidenceCard {
    /// The model it belongs to.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Where its numbers come from.
    pub basis: Basis,
    /// What it may be used for, and what not.
    pub purpose: String,
    /// The data that it was fitted on.
    #[serde(default)]
    pub data: Vec<CardData>,
    /// First and last day of that data, `YYYY-MM-DD`.
    #[serde(default)]
    pub period: Option<(String, String)>,
    /// How windows were labelled.
    #[serde(default)]
    pub label_policy: String,
    /// Windows behind the tables.
    #[serde(default)]
    pub windows: Windows,
    /// One table per detector that there is data about.
    #[serde(default)]
    pub tables: Vec<ScoreTable>,
    /// Whether the tables' weights were learned together. If not, what detectors have in common is taken off
    /// by the plan's `correlation`.
    #[serde(default)]
    pub stacked: bool,
    /// From the sum of the evidence to what it was worth, ascending; empty: the sum as it is.
    #[serde(default)]
    pub calibration: Vec<Knot>,
    /// How the card did on windows later than those it was fitted on.
    #[serde(default)]
    pub judged: Option<Judged>,
    /// Where it is known to fail.
    pub known_failures: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Day after which it is no longer used, `YYYY-MM-DD`.
    pub expires: String,
}

/// Where the numbers of a card come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The judgement of those who wrote the detectors. No count stands behind it.
    Expert,
    /// Counts in labelled windows.
    Measured,
}

/// One source of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CardData {
    /// Its name.
    pub name: String,
    /// Day of the copy, `YYYY-MM-DD`.
    pub as_of: String,
    /// Licence.
    pub licence: String,
}

/// How many windows of either kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Windows {
    /// With an attack.
    pub attacks: u64,
    /// Without one.
    pub clean: u64,
}

/// What the scores of one detector are worth. A score is the weight that the detector states for its finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScoreTable {
    /// Registered name of the detector.
    pub detector: String,
    /// How much of its evidence is not said by the others already, at most all of it.
    pub weight: BasisPoints,
    /// By score, ascending.
    pub bins: Vec<ScoreBin>,
}

/// Scores from `from` up to the next bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScoreBin {
    /// Least score, in thousandths of a nat.
    pub from: i32,
    /// Windows with an attack whose strongest finding lies here.
    pub attacks: u64,
    /// Windows without one whose strongest finding lies here.
    pub clean: u64,
    /// Log-likelihood ratio, in thousandths of a nat.
    pub llr: i32,
    /// What the counts prove of it at 95 %: what may act without a person.
    pub low: i32,
    /// What the counts do not rule out at 95 %.
    pub high: i32,
}

/// A point of the calibration; between two of them it is a straight line, beyond the last one flat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knot {
    /// Sum of the evidence, in thousandths of a nat, above zero.
    pub evidence: i32,
    /// What it was worth.
    pub llr: i32,
    /// Lower bound of that.
    pub low: i32,
    /// Upper bound of that.
    pub high: i32,
}

/// How a card did on later windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Judged {
    /// First day of the later windows, `YYYY-MM-DD`.
    pub from: String,
    /// Those windows.
    pub windows: Windows,
    /// Mean negative log-likelihood per window with the card, in billionths of a nat.
    pub log_loss: u64,
    /// The same if every detector counts with its own weight.
    pub log_loss_expert: u64,
    /// The same if only the base rate is known.
    pub log_loss_base: u64,
}

/// Which end of what is known is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What the counts prove.
    Low,
    /// The best estimate.
    Point,
    /// What the counts do not rule out.
    High,
}

/// Why a card is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// It cannot be read.
    #[error("the evidence card cannot be read: {0}")]
    Unreadable(String),
    /// Parts are missing or cannot be.
    #[error("the evidence card is incomplete: {}", .0.join("; "))]
    Incomplete(Vec<String>),
    /// It may no longer be used.
    #[error("the evidence card expired on {0}")]
    Expired(String),
}

impl EvidenceCard {
    /// The judgement that counts where nothing was measured.
    ///
    /// # Panics
    /// Never: a test reads the file.
    #[allow(clippy::expect_used, reason = "the file is part of the program and read by a test")]
    pub fn expert() -> Self {
        toml::from_str(EXPERT).expect("the expert card is well formed")
    }

    /// Reads a card and checks that it is complete.
    ///
    /// # Errors
    /// [`CardError::Unreadable`], or [`CardError::Incomplete`] with everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        if text.len() > CARD_BYTES_MAX {
            let size = format!("it has {} bytes, at most {CARD_BYTES_MAX} are read", text.len());
            return Err(CardError::Unreadable(size));
        }
        let card: Self =
            toml::from_str(text).map_err(|it| CardError::Unreadable(it.message().to_owned()))?;
        let faults = card.faults();
        if faults.is_empty() { Ok(card) } else { Err(CardError::Incomplete(faults)) }
    }

    /// The card as a file.
    pub fn toml(&self) -> String {
        // Every field has a form in TOML.
        toml::to_string(self).unwrap_or_default()
    }

    /// Everything that is missing or cannot be, for people.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                faults.push(what.to_owned());
            }
        };
        let said = |it: &String| !it.trim().is_empty();
        need(said(&self.model), "`model` is missing");
        need(said(&self.version), "`version` is missing");
        need(said(&self.purpose), "`purpose` is missing");
        need(self.known_failures.iter().any(said), "`known-failures` names none");
        need(said(&self.owner), "`owner` is missing");
        need(is_day(&self.expires), "`expires` is no day");
        if self.basis == Basis::Expert {
            need(
                self.tables.is_empty(),
                "judgement has no tables: `basis` is `measured` with them",
            );
            need(self.calibration.is_empty(), "judgement cannot be calibrated");
            return faults;
        }
        let sources = |it: &CardData| said(&it.name) && said(&it.licence) && is_day(&it.as_of);
        need(!self.data.is_empty(), "`data` names no source");
        need(self.data.iter().all(sources), "`data` lacks a name, a licence or a day");
        let ordered = |it: &(String, String)| is_day(&it.0) && is_day(&it.1) && it.0 <= it.1;
        need(self.period.as_ref().is_some_and(ordered), "`period` is missing or out of order");
        need(said(&self.label_policy), "`label-policy` is missing");
        need(self.windows.attacks > 0, "`windows` has no attack");
        need(self.windows.clean > 0, "`windows` has no clean window");
        need(!self.tables.is_empty(), "there is no table");
        need(!self.stacked || self.judged.is_some(), "weights were learned and not `judged` later");
        let judged = self.judged.as_ref().is_none_or(|it| is_day(&it.from));
        need(judged, "`judged` has no day");
        faults.extend(self.tables.iter().flat_map(|it| self.table_faults(it)));
        faults.extend(self.calibration_faults());
        faults
    }

    fn table_faults(&self, it: &ScoreTable) -> Vec<String> {
        let mut faults = Vec::new();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("table of `{}`: {what}", it.detector));
            }
        };
        let same = self.tables.iter().filter(|other| other.detector == it.detector).count();
        need(!it.detector.is_empty() && same == 1, "the detector is missing or there twice");
        need(it.weight.0 <= ONE, "a weight is at most 100 %");
        need(!it.bins.is_empty(), "there is no bin");
        need(it.bins.windows(2).all(|it| matches!(it, [a, b] if a.from < b.from)), "`from` falls");
        let grows = |it: &[ScoreBin]| matches!(it, [a, b] if a.llr <= b.llr);
        need(it.bins.windows(2).all(grows), "a higher score is weaker evidence");
        let ordered = |it: &ScoreBin| it.low <= it.llr && it.llr <= it.high;
        need(it.bins.iter().all(ordered), "a bound is on the wrong side");
        let sum = |of: fn(&ScoreBin) -> u64| {
            it.bins.iter().fold(0u64, |sum, it| sum.saturating_add(of(it)))
        };
        let (attacks, clean) = (sum(|it| it.attacks), sum(|it| it.clean));
        let held = attacks <= self.windows.attacks && clean <= self.windows.clean;
        need(held, "more windows are counted than there are");
        need(attacks.saturating_add(clean) > 0, "no count stands behind it");
        faults
    }

    fn calibration_faults(&self) -> Vec<String> {
        let fine = |it: &Knot| it.evidence > 0 && it.low <= it.llr && it.llr <= it.high;
        let rises = |it: &[Knot]| matches!(it, [a, b] if a.evidence < b.evidence && a.llr <= b.llr && a.low <= b.low && a.high <= b.high);
        let ordered = self.calibration.iter().all(fine) && self.calibration.windows(2).all(rises);
        if ordered { vec![] } else { vec!["`calibration` does not rise".to_owned()] }
    }

    /// Whether the card may be used on `today`, `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`CardError::Expired`].
    pub fn valid_on(&self, today: &str) -> Result<(), CardError> {
        let over = self.expires.as_str() < today;
        if over { Err(CardError::Expired(self.expires.clone())) } else { Ok(()) }
    }

    /// What a `score` of `detector` weighs, in thousandths of a nat; `None` if no table covers it. A score below
    /// the first bin proves nothing.
    pub fn weight(&self, detector: &str, score: i32, bound: Bound) -> Option<i32> {
        let table = self.tables.iter().find(|it| it.detector == detector)?;
        let bin = table.bins.iter().rev().find(|it| it.from <= score);
        let llr = bin.map_or(0, |it| match bound {
            Bound::Low => it.low,
            Bound::Point => it.llr,
            Bound::High => it.high,
        });
        let weight = i64::try_from(table.weight.0.min(ONE)).unwrap_or(0);
        i32::try_from(i64::from(llr) * weight / 1_000_000).ok()
    }

    /// What evidence of this sum was worth, in thousandths of a nat. Evidence against an attack stays as it is.
    pub fn calibrated(&self, evidence: i32, bound: Bound) -> i32 {
        let Some(last) = self.calibration.last() else { return evidence };
        if evidence <= 0 {
            return evidence;
        }
        let value = |it: &Knot| match bound {
            Bound::Low => it.low,
            Bound::Point => it.llr,
            Bound::High => it.high,
        };
        let at = self.calibration.iter().position(|it| it.evidence >= evidence);
        let Some((at, right)) = at.and_then(|at| Some((at, self.calibration.get(at)?))) else {
            return value(last);
        };
        let left = at.checked_sub(1).and_then(|it| self.calibration.get(it));
        let (x0, y0) = left.map_or((0, 0), |it| (it.evidence, value(it)));
        let (x0, y0, y1) = (i64::from(x0), i64::from(y0), i64::from(value(right)));
        let width = (i64::from(right.evidence) - x0).max(1);
        let y = y0 + (y1 - y0) * (i64::from(evidence) - x0) / width;
        i32::try_from(y).unwrap_or(i32::MAX)
    }
}

/// Whether a text is `YYYY-MM-DD`; such days compare as texts.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let digits = |it: &str, len: usize| it.len() == len && it.bytes().all(|it| it.is_ascii_digit());
    digits(year, 4)
        && digits(month, 2)
        && digits(day, 2)
        && ("01"..="12").contains(month)
        && ("01"..="31").contains(day)
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
