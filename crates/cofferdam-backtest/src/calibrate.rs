//! Thresholds from a back-test: per action the one of least expected cost, the flat region around it, and where
//! today's setting lies (`risk.md` §9.6). Governance picks inside the flat region; this proposes its best point.
//!
//! **Invariant:** a threshold is fitted on rows before `until` alone, so that the later part can judge it.

use std::collections::BTreeMap;

use cofferdam_core::{Timestamp, Usd, plan::Plan};
use cofferdam_risk::{
    numeric::random::Philox,
    sigmoid,
    threshold::{AttackPath, QuietWindow, ThresholdCurve, threshold_curve},
};
use serde::{Deserialize, Serialize};

use crate::{
    BacktestError, Row, StrandLine, TxRow,
    incidents::{Attack, attacks},
    outcome::Near,
};

/// Milliseconds of a quiet window: alarms within one hour are one suspension.
const WINDOW: u64 = 3_600_000;
/// Milliseconds of a year.
const YEAR: f64 = 365.25 * 86_400_000.0;
/// The grid of thresholds, in halves of a nat.
const GRID: std::ops::RangeInclusive<i32> = -34..=42;

/// What a calibration assumes beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumed {
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Attacks a year that this protocol must expect.
    pub attacks_per_year: f64,
    /// Share of the attacks that are seen before their inclusion and answered ahead of it, 0 to 1: of what such an
    /// attack takes in its own block so much is saved by acting at once.
    pub pre_empted: f64,
    /// Only rows before this time count, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// One action's threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionLine {
    /// The action.
    pub action: String,
    /// What it costs if it is for nothing, USD.
    pub cost: Usd,
    /// Today's threshold in parts per billion: the plan's, or the median of what its decisions came to; `None` if
    /// it was never weighed.
    pub today: Option<u32>,
    /// Whether today's threshold is written in the plan.
    pub written: bool,
    /// Yearly cost at today's threshold, USD.
    pub today_total: Option<f64>,
    /// The threshold of least cost, in parts per billion.
    pub best: u32,
    /// The flat region, in parts per billion.
    pub flat: (u32, u32),
    /// Whether today's threshold lies in it.
    pub today_flat: Option<bool>,
    /// What is proposed: nothing while today's lies in the flat region, or while there are too few attacks.
    pub proposed: Option<u32>,
    /// Quiet windows that reached any threshold.
    pub loud: u64,
    /// Years of ordinary use behind it.
    pub years: f64,
    /// The curve.
    pub curve: ThresholdCurve,
}

/// Chooses a threshold for every action of `plan` from the rows of a back-test. With `few_will_do` one is proposed
/// from fewer attacks than a claim needs.
///
/// # Errors
/// If there is no attack, or a figure is outside of what the statistics accept.
pub fn calibrate(
    plan: &Plan,
    rows: &[Row],
    strands: &[StrandLine],
    assumed: &Assumed,
    few_will_do: bool,
) -> Result<Vec<ActionLine>, BacktestError> {
    let txs: Vec<TxRow> = rows
        .iter()
        .filter_map(|it| if let Row::Tx(it) = it { Some(it) } else { None })
        .filter(|it| it.time < assumed.until)
        .cloned()
        .collect();
    let attacks = attacks(&txs, &|_| false);
    let near = Near::of(&attacks);
    let covers: u64 = strands.iter().map(|it| it.covers).sum();
    let years = (covers as f64 / YEAR).max(f64::MIN_POSITIVE);
    let thresholds: Vec<f64> = GRID.map(|it| f64::from(it) * 0.5).collect();
    let mut out = Vec::new();
    for action in &plan.actions {
        let (cost, _) = action.cost.total(Timestamp(0));
        let concerns = |it: &TxRow| it.entity.is_empty() || action.contains.contains(&it.entity);
        let quiet = windows(txs.iter().filter(|it| concerns(it) && !near.row(it)), cost);
        let loud = quiet.len() as u64;
        let ahead = action.effect_blocks.max(1) - 1;
        let paths: Vec<AttackPath> = attacks
            .iter()
            .filter(|it| it.rows.iter().any(|it| concerns(it)))
            .map(|it| path(it, ahead, assumed.pre_empted))
            .collect();
        let windows = match quiet.is_empty() {
            true => vec![QuietWindow { peak: f64::from(*GRID.start()), cost: 0.0 }],
            false => quiet,
        };
        let rng = Philox::new(assumed.seed);
        let curve =
            threshold_curve(&windows, &paths, &thresholds, years, assumed.attacks_per_year, rng)?;
        let written = action.threshold_ppb;
        let today = written.or_else(|| usual(rows, &action.id));
        let line = line(&action.id, cost, today, curve);
        let choose = line.today_flat != Some(true) && (few_will_do || !line.curve.too_few);
        let proposed = choose.then_some(line.best);
        out.push(ActionLine { written: written.is_some(), loud, years, proposed, ..line });
    }
    Ok(out)
}

fn line(action: &str, cost: Usd, today: Option<u32>, curve: ThresholdCurve) -> ActionLine {
    let at = |index: usize| curve.points.get(index).map_or(f64::NAN, |it| it.threshold);
    let (low, high) = (at(curve.flat.0), at(curve.flat.1));
    let today_nats = today.map(|it| crate::pass::millinats(it) as f64 / 1_000.0);
    // Between two points the curve is that of the next one above: nothing scores in between on the grid.
    let reached = |nats: f64| curve.points.iter().find(|it| it.threshold >= nats);
    let step = 0.25;
    ActionLine {
        action: action.to_owned(),
        cost,
        today,
        written: false,
        today_total: today_nats.and_then(reached).map(|it| it.total),
        best: ppb(at(curve.best)),
        flat: (ppb(low), ppb(high)),
        today_flat: today_nats.map(|it| it >= low - step && it <= high + step),
        proposed: None,
        loud: 0,
        years: 0.0,
        curve,
    }
}

/// Parts per billion of log-odds; never certain.
fn ppb(nats: f64) -> u32 {
    ((sigmoid(nats) * 1e9).round() as u32).clamp(1, 999_999_999)
}

/// The highest score of each hour of ordinary use in which anything was found, by strand and entity.
fn windows<'a>(rows: impl Iterator<Item = &'a TxRow>, cost: Usd) -> Vec<QuietWindow> {
    let mut out: BTreeMap<(&str, &str, u64), i64> = BTreeMap::new();
    for it in rows {
        let key = (it.strand.as_str(), it.entity.as_str(), it.time / WINDOW);
        let best = out.entry(key).or_insert(i64::MIN);
        *best = (*best).max(it.score);
    }
    let cost = cost.0.max(0) as f64 / 1e6;
    out.into_values().map(|it| QuietWindow { peak: it as f64 / 1_000.0, cost }).collect()
}

/// Score and loss when acting there, step by step. Acting stops what comes `ahead` blocks later and beyond; of the
/// block itself it saves what was answered before its inclusion.
fn path(attack: &Attack<'_>, ahead: u64, pre_empted: f64) -> AttackPath {
    let losses = attack.losses();
    let money = |it: Usd| it.0.max(0) as f64 / 1e6;
    let total: f64 = losses.iter().map(|it| money(it.1)).sum();
    let sum = |of: &dyn Fn(u64) -> bool| -> f64 {
        losses.iter().filter(|it| of(it.0.place)).map(|it| money(it.1)).sum()
    };
    let mut steps = Vec::new();
    let mut most = 0.0_f64;
    for (row, _) in &losses {
        let until = row.place.saturating_add(ahead);
        let before = sum(&|place| place < row.place);
        let within = sum(&|place| place >= row.place && place <= until);
        let lost = before + within * (1.0 - pre_empted.clamp(0.0, 1.0));
        most = most.max(lost).min(total);
        steps.push((row.score as f64 / 1_000.0, most));
    }
    AttackPath { steps, total }
}

/// The median threshold of an action over the decisions that weighed it.
fn usual(rows: &[Row], action: &str) -> Option<u32> {
    let mut seen: Vec<u32> = rows
        .iter()
        .filter_map(|it| if let Row::Decided(it) = it { Some(&it.thresholds) } else { None })
        .flat_map(|it| it.iter().filter(|it| it.0 == action).map(|it| it.1))
        .collect();
    seen.sort_unstable();
    seen.get(seen.len() / 2).copied()
}
