//! Tables, weights and calibration from windows.

use std::collections::BTreeMap;

use cofferdam_core::{
    Timestamp,
    plan::{
        BasisPoints, EvidenceCard,
        card::{Basis, Bound, CardData, Knot, ScoreBin, ScoreTable, Windows},
    },
};
use cofferdam_risk::{
    RiskError,
    calibration::{Isotonic, Platt, report::POSITIVES_MIN, venn_abers},
    likelihood::{ATTACKS_MIN, BOUND_MAX, stacking_weights},
    logit,
    progress::group_millinats,
};

use super::{
    FitError, Fitted, judge, millinats, ratios,
    rows::{Window, windows},
};

/// Least scores of the bins that are tried: what a finding of each severity states. A bin that nothing fell into
/// is left out, and its scores count as the bin below.
const EDGES: [i32; 5] = [1, 1_500, 4_000, 9_000, 19_000];
/// Parts in time that ratios are taken from without the windows they are used on.
const FOLDS: usize = 5;
/// How strongly weights are held to one.
const PENALTY: f64 = 1.0;
/// Attacks from which isotonic calibration replaces Platt's (`risk.md` §9.2).
const ISOTONIC_FROM: u64 = 200;
/// Knots of the calibration.
const KNOTS_MAX: usize = 12;
/// Missed attacks that a card names.
const MISSED_MAX: usize = 8;
const ONE: u64 = 1_000_000;

/// What a card needs besides scores, and how it is fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct CardOptions {
    /// Version of the card.
    pub version: String,
    /// What it may be used for.
    pub purpose: String,
    /// Where the scores are from.
    pub data: Vec<CardData>,
    /// How windows were labelled.
    pub label_policy: String,
    /// What is known to fail, beside what the scores show.
    pub known_failures: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Day after which it is no longer used.
    pub expires: String,
    /// Share of the attacks, the latest, that the card is judged on, in parts per million.
    pub holdout_ppm: u32,
    /// What detectors of one group have in common while their weights are not learned.
    pub correlation: BasisPoints,
    /// The most that one group may weigh, in thousandths of a nat.
    pub group_cap_millinats: i32,
}

/// Fits a card to a file of scores, one [`super::ScoreRow`] a line.
///
/// # Errors
/// Scores that cannot be read, of one label only, or a card that would be incomplete.
pub fn fit(scores: &str, options: &CardOptions) -> Result<Fitted, FitError> {
    let all = windows(scores)?;
    let (earlier, later) = split(&all, options.holdout_ppm);
    let mut notes = Vec::new();
    let windows = counted(earlier);
    for (name, got) in [("attack windows", windows.attacks), ("clean windows", windows.clean)] {
        if got == 0 {
            return Err(RiskError::TooFew { name, got: 0, want: 1 }.into());
        }
    }
    notes.push(format!(
        "{} attacks and {} clean windows fitted, {} later attacks kept back",
        windows.attacks,
        windows.clean,
        counted(later).attacks
    ));
    let mut card = empty(options, earlier, windows);
    card.tables = tables(earlier)?;
    weigh(&mut card, (earlier, later), options, &mut notes)?;
    if windows.attacks < POSITIVES_MIN as u64 {
        notes.push(format!("fewer than {POSITIVES_MIN} attacks: evidence is not calibrated"));
    } else {
        card.calibration = calibrate(earlier, options, card.stacked.then_some(&card))?;
    }
    card.judged = judge::judge(&card, later, options);
    if card.judged.is_none() {
        notes.push("no later windows of both kinds: the card is not judged".to_owned());
    }
    card.known_failures.extend(missed(earlier));
    let faults = card.faults();
    if faults.is_empty() { Ok(Fitted { card, notes }) } else { Err(FitError::Incomplete(faults)) }
}

/// Earlier and later windows: so large a share of the attacks is later.
fn split(all: &[Window], holdout_ppm: u32) -> (&[Window], &[Window]) {
    let attacks: Vec<u64> = all.iter().filter(|it| it.attack).map(|it| it.time).collect();
    let kept = attacks.len() as u64 * (ONE - u64::from(holdout_ppm).min(ONE)) / ONE;
    let cut = attacks.get(usize::try_from(kept).unwrap_or(usize::MAX)).copied();
    let at = cut.map_or(all.len(), |cut| all.partition_point(|it| it.time < cut));
    all.split_at(at)
}

pub(super) fn counted(all: &[Window]) -> Windows {
    let sum = |attack| {
        let of = all.iter().filter(|it| it.attack == attack);
        of.fold(0u64, |sum, it| sum.saturating_add(it.count))
    };
    Windows { attacks: sum(true), clean: sum(false) }
}

fn day(seconds: u64) -> String {
    Timestamp::from_secs(seconds).to_string().chars().take(10).collect()
}

fn empty(options: &CardOptions, earlier: &[Window], windows: Windows) -> EvidenceCard {
    let days = earlier.first().zip(earlier.last());
    EvidenceCard {
        model: "evidence".into(),
        version: options.version.clone(),
        basis: Basis::Measured,
        purpose: options.purpose.clone(),
        data: options.data.clone(),
        period: days.map(|(first, last)| (day(first.time), day(last.time))),
        label_policy: options.label_policy.clone(),
        windows,
        tables: Vec::new(),
        stacked: false,
        calibration: Vec::new(),
        judged: None,
        known_failures: options.known_failures.clone(),
        owner: options.owner.clone(),
        expires: options.expires.clone(),
    }
}

/// A table for every detector that said anything.
fn tables<'a>(
    windows: impl IntoIterator<Item = &'a Window> + Clone,
) -> Result<Vec<ScoreTable>, RiskError> {
    let (mut attacks, mut clean) = (0u64, 0u64);
    let mut counts: BTreeMap<&str, BTreeMap<i32, (u64, u64)>> = BTreeMap::new();
    for it in windows {
        let total = if it.attack { &mut attacks } else { &mut clean };
        *total = total.saturating_add(it.count);
        for (detector, (score, _)) in &it.scores {
            let edge = EDGES.iter().rev().find(|edge| *edge <= score).copied().unwrap_or(1);
            let bin = counts.entry(detector).or_default().entry(edge).or_default();
            if it.attack { bin.0 += 1 } else { bin.1 += 1 }
        }
    }
    let table = |(detector, bins): (&str, BTreeMap<i32, (u64, u64)>)| {
        let bins = bins.into_iter().map(|(from, (attacks, clean))| ScoreBin {
            from,
            attacks,
            clean,
            llr: 0,
            low: 0,
            high: 0,
        });
        let bins: Vec<ScoreBin> = bins.collect();
        Ok(ScoreTable {
            detector: detector.to_owned(),
            weight: BasisPoints(ONE),
            bins: ratios(&bins, (attacks, clean))?,
        })
    };
    counts.into_iter().map(table).collect()
}

/// By window: ratios by detector from tables that other parts in time gave.
fn out_of_fold(earlier: &[Window]) -> Result<Vec<BTreeMap<String, i32>>, RiskError> {
    let attacks = earlier.iter().filter(|it| it.attack).count();
    let per_fold = attacks.div_ceil(FOLDS).max(1);
    // Folds hold as many attacks each, and the clean windows between them.
    let (mut seen, mut fold_of) = (0, Vec::with_capacity(earlier.len()));
    for it in earlier {
        fold_of.push((seen / per_fold).min(FOLDS - 1));
        seen += usize::from(it.attack);
    }
    let mut out = vec![BTreeMap::new(); earlier.len()];
    for fold in 0..FOLDS {
        let others = earlier.iter().zip(&fold_of).filter(|it| *it.1 != fold).map(|it| it.0);
        let others: Vec<&Window> = others.collect();
        let both = [true, false].map(|label| others.iter().any(|it| it.attack == label));
        if both.contains(&false) {
            continue;
        }
        let tables = tables(others)?;
        let card = EvidenceCard { tables, ..EvidenceCard::expert() };
        for ((row, it), of) in out.iter_mut().zip(earlier).zip(&fold_of) {
            if *of == fold {
                let ratio = |(name, (score, _)): (&String, &(i32, String))| {
                    Some((name.clone(), card.weight(name, *score, Bound::Point)?))
                };
                *row = it.scores.iter().filter_map(ratio).collect();
            }
        }
    }
    Ok(out)
}

/// Learns weights if there are attacks enough, and keeps them if they do better later.
fn weigh(
    card: &mut EvidenceCard,
    (earlier, later): (&[Window], &[Window]),
    options: &CardOptions,
    notes: &mut Vec<String>,
) -> Result<(), RiskError> {
    let attacks = usize::try_from(card.windows.attacks).unwrap_or(usize::MAX);
    if attacks < ATTACKS_MIN {
        notes.push(format!(
            "fewer than {ATTACKS_MIN} attacks: weights are not learned, correlation is taken off as the plan says"
        ));
        return Ok(());
    }
    let names: Vec<String> = card.tables.iter().map(|it| it.detector.clone()).collect();
    // A window in which nothing was said tells nothing of weights.
    let told = out_of_fold(earlier)?.into_iter().zip(earlier).filter(|it| !it.0.is_empty());
    let (rows, labels): (Vec<Vec<f64>>, Vec<bool>) = told
        .map(|(ratios, it)| {
            let of = |name: &String| f64::from(ratios.get(name).copied().unwrap_or(0)) / 1e3;
            (names.iter().map(of).collect(), it.attack)
        })
        .unzip();
    let weights = stacking_weights(&rows, &labels, base_logit(card.windows), PENALTY)?;
    let mut stacked = EvidenceCard { stacked: true, ..card.clone() };
    for (table, weight) in stacked.tables.iter_mut().zip(weights) {
        table.weight = BasisPoints((weight.clamp(0.0, 1.0) * 1e6) as u64);
    }
    let (before, after) =
        (judge::log_loss(card, later, options), judge::log_loss(&stacked, later, options));
    match before.zip(after) {
        Some((before, after)) if after < before => {
            notes.push(format!(
                "weights learned: log-loss {after:.6} on later windows, {before:.6} without"
            ));
            *card = stacked;
        }
        Some((before, after)) => notes.push(format!(
            "weights learned and dropped: log-loss {after:.6} on later windows, {before:.6} without"
        )),
        None => notes.push("weights are not learned: no later windows to judge them on".into()),
    }
    Ok(())
}

pub(super) fn base_logit(windows: Windows) -> f64 {
    let (attacks, clean) = (windows.attacks as f64, windows.clean as f64);
    libm::log((attacks + 0.5) / (clean + 0.5))
}

/// The sum of the evidence of a window as the engine adds it up.
pub(super) fn evidence(
    ratios: &BTreeMap<String, i32>,
    it: &Window,
    (stacked, options): (bool, &CardOptions),
) -> i32 {
    let mut groups: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (name, ratio) in ratios {
        let group = it.scores.get(name).map_or("", |it| it.1.as_str());
        groups.entry(group).or_default().push(*ratio);
    }
    let correlation =
        if stacked { 0 } else { u32::try_from(options.correlation.0).unwrap_or(u32::MAX) };
    let weigh = |it: &Vec<i32>| group_millinats(it, correlation, options.group_cap_millinats);
    groups.values().map(weigh).fold(0, i32::saturating_add)
}

/// From the sum of the evidence, each window's from tables of other windows, to what it was worth.
fn calibrate(
    earlier: &[Window],
    options: &CardOptions,
    weights: Option<&EvidenceCard>,
) -> Result<Vec<Knot>, RiskError> {
    let (mut sums, mut labels, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for (mut ratios, it) in out_of_fold(earlier)?.into_iter().zip(earlier) {
        if let Some(card) = weights {
            for (name, ratio) in &mut ratios {
                let of = card.tables.iter().find(|it| it.detector == *name);
                let weight = of.map_or(ONE, |it| it.weight.0) as f64 / 1e6;
                *ratio = libm::round(f64::from(*ratio) * weight) as i32;
            }
        }
        let sum = evidence(&ratios, it, (weights.is_some(), options));
        let count = usize::try_from(it.count).unwrap_or(usize::MAX);
        sums.extend(std::iter::repeat_n(f64::from(sum) / 1e3, count));
        labels.extend(std::iter::repeat_n(it.attack, count));
        if sum > 0 {
            known.push(sum);
        }
    }
    let base = base_logit(counted(earlier));
    let attacks = labels.iter().filter(|it| **it).count() as u64;
    let calibrated: Box<dyn Fn(f64) -> f64> = match attacks {
        0..ISOTONIC_FROM => {
            let fit = Platt::fit(&sums, &labels)?;
            Box::new(move |it| fit.probability(it))
        }
        _ => {
            let fit = Isotonic::fit(&sums, &labels)?;
            Box::new(move |it| fit.probability(it))
        }
    };
    known.sort_unstable();
    known.dedup();
    let step = known.len().div_ceil(KNOTS_MAX).max(1);
    // The largest is a knot whatever the step: beyond it nothing was seen.
    let picked = known.iter().rev().step_by(step).rev().copied();
    let worth = |p: f64| (logit(p) - base).clamp(-BOUND_MAX, BOUND_MAX);
    let mut knots: Vec<Knot> = Vec::new();
    for sum in picked {
        let score = f64::from(sum) / 1e3;
        let (least, most) = venn_abers(&sums, &labels, score)?;
        let llr = worth(calibrated(score));
        let (low, high) = (worth(least).min(llr), worth(most).max(llr));
        let before =
            knots.last().map_or((i32::MIN, i32::MIN, i32::MIN), |it| (it.llr, it.low, it.high));
        knots.push(Knot {
            evidence: sum,
            llr: millinats(llr).max(before.0),
            low: millinats(low).max(before.1),
            high: millinats(high).max(before.2),
        });
    }
    Ok(knots)
}

/// What the scores themselves show to fail.
fn missed(earlier: &[Window]) -> Vec<String> {
    let silent = earlier.iter().filter(|it| it.attack && it.scores.is_empty());
    let silent: Vec<&str> = silent.map(|it| it.name.as_str()).collect();
    let mut out = Vec::new();
    if !silent.is_empty() {
        let named: Vec<&str> = silent.iter().take(MISSED_MAX).copied().collect();
        out.push(format!(
            "{} attacks in which no detector said anything, e.g. {}",
            silent.len(),
            named.join(", ")
        ));
    }
    out.push(
        "scores of rules that were written with the same incidents in mind are better than later ones will be"
            .into(),
    );
    out
}
