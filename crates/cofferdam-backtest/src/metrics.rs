//! Figures over scores with labels: precision and recall, the cost curve, distributions, what each rule did.
//!
//! **Invariant:** transactions about which nothing was found count, by number and at the prior: a rate is over all
//! that was looked at, not over what was loud.

use std::collections::BTreeMap;

use cofferdam_core::Severity;
use serde::{Deserialize, Serialize};

use crate::{RuleScore, TxRow};

/// Lower end of the first bin of a distribution and upper end of the last, in nats.
const SCORES: (i64, i64) = (-22, 22);
/// Points of the cost curve.
const WEIGHTS: u32 = 40;

/// Scores of attacks and of everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scored {
    /// One score per attack: the highest that any of its transactions reached.
    pub(crate) attacks: Vec<i64>,
    /// One score per benign transaction that something was found about.
    pub(crate) benign: Vec<i64>,
    /// Benign transactions that nothing was found about.
    pub(crate) silent: u64,
    /// Their score.
    pub(crate) prior: i64,
}

/// Acting at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrPoint {
    /// Log-odds, thousandths of a nat.
    pub threshold: i64,
    /// Attacks at or above it.
    pub hits: u64,
    /// Benign transactions at or above it.
    pub alarms: u64,
    /// Share of what is at or above it that is an attack.
    pub precision: f64,
    /// Share of the attacks that is at or above it.
    pub recall: f64,
}

/// The least expected cost at one weight of a miss against a false alarm (Drummond and Holte).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostPoint {
    /// Weight of a miss, 0 to 1: prior odds and the ratio of the costs together.
    pub weight: f64,
    /// Least expected cost over all thresholds, 0 to 1/2.
    pub cost: f64,
}

/// How often each score occurs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge of the first bin, in nats; each bin is one nat wide.
    pub from: i64,
    /// Benign transactions per bin, the silent ones in the prior's.
    pub benign: Vec<u64>,
    /// Attacks per bin.
    pub attacks: Vec<u64>,
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLine {
    /// The rule.
    pub rule: String,
    /// Its detector.
    pub detector: String,
    /// Attacks that it spoke of at all.
    pub attacks: u64,
    /// Attacks of which it said *critical*.
    pub critical_attacks: u64,
    /// Benign transactions by severity of its loudest word.
    pub benign: BTreeMap<Severity, u64>,
}

impl Scored {
    /// Counts at each distinct score, highest first.
    fn groups(&self) -> BTreeMap<std::cmp::Reverse<i64>, (u64, u64)> {
        let mut out: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for it in &self.attacks {
            out.entry(std::cmp::Reverse(*it)).or_default().0 += 1;
        }
        for it in &self.benign {
            out.entry(std::cmp::Reverse(*it)).or_default().1 += 1;
        }
        if self.silent > 0 {
            out.entry(std::cmp::Reverse(self.prior)).or_default().1 += self.silent;
        }
        out
    }

    /// How many benign transactions there are.
    pub(crate) fn negatives(&self) -> u64 {
        self.silent.saturating_add(self.benign.len() as u64)
    }

    /// Precision and recall at every distinct score, highest first; nothing without an attack.
    pub(crate) fn pr(&self) -> Vec<PrPoint> {
        let all = self.attacks.len() as f64;
        let (mut hits, mut alarms) = (0_u64, 0_u64);
        let mut out = Vec::new();
        if self.attacks.is_empty() {
            return out;
        }
        for (score, (attacks, benign)) in self.groups() {
            hits += attacks;
            alarms += benign;
            let precision = hits as f64 / (hits + alarms) as f64;
            let recall = hits as f64 / all;
            out.push(PrPoint { threshold: score.0, hits, alarms, precision, recall });
        }
        out
    }

    /// The least expected cost at evenly spread weights; nothing unless there are attacks and benign transactions.
    pub(crate) fn cost_curve(&self) -> Vec<CostPoint> {
        let (attacks, benign) = (self.attacks.len() as f64, self.negatives() as f64);
        if attacks == 0.0 || benign == 0.0 {
            return Vec::new();
        }
        // Misses and false alarms from never to always.
        let mut rates = vec![(1.0, 0.0)];
        rates.extend(
            self.pr().iter().map(|it| (1.0 - it.hits as f64 / attacks, it.alarms as f64 / benign)),
        );
        let least = |w: f64| {
            let costs = rates.iter().map(|(miss, alarm)| w * miss + (1.0 - w) * alarm);
            costs.fold(f64::INFINITY, f64::min)
        };
        let weights = (0..=WEIGHTS).map(|it| f64::from(it) / f64::from(WEIGHTS));
        weights.map(|weight| CostPoint { weight, cost: least(weight) }).collect()
    }

    /// The distribution of the scores.
    pub(crate) fn histogram(&self) -> Histogram {
        let bins = (SCORES.1 - SCORES.0) as usize;
        let mut out = Histogram { from: SCORES.0, benign: vec![0; bins], attacks: vec![0; bins] };
        let bin = |score: i64| {
            let nats = score.div_euclid(1_000).clamp(SCORES.0, SCORES.1 - 1);
            usize::try_from(nats - SCORES.0).unwrap_or_default()
        };
        let add = |to: &mut Vec<u64>, score, count| {
            if let Some(it) = to.get_mut(bin(score)) {
                *it += count;
            }
        };
        self.attacks.iter().for_each(|it| add(&mut out.attacks, *it, 1));
        self.benign.iter().for_each(|it| add(&mut out.benign, *it, 1));
        add(&mut out.benign, self.prior, self.silent);
        out
    }
}

/// Area under precision over recall, summed over the steps of recall.
pub(crate) fn average_precision(points: &[PrPoint]) -> f64 {
    let mut before = 0.0;
    let mut sum = 0.0;
    for it in points {
        sum += (it.recall - before) * it.precision;
        before = it.recall;
    }
    sum
}

/// One line per rule, by name. `attacks` are the rows of each attack, `benign` all benign rows.
pub(crate) fn rule_lines(attacks: &[Vec<&TxRow>], benign: &[&TxRow]) -> Vec<RuleLine> {
    let mut out: BTreeMap<String, RuleLine> = BTreeMap::new();
    let line =
        |out: &mut BTreeMap<String, RuleLine>, it: &RuleScore, add: &dyn Fn(&mut RuleLine)| {
            let line = out.entry(it.rule.clone()).or_insert_with(|| RuleLine {
                rule: it.rule.clone(),
                detector: it.detector.clone(),
                attacks: 0,
                critical_attacks: 0,
                benign: BTreeMap::new(),
            });
            add(line);
        };
    for rows in attacks {
        for it in loudest(rows.iter().flat_map(|row| &row.rules)).into_values() {
            line(&mut out, it, &|line| {
                line.attacks += 1;
                line.critical_attacks += u64::from(it.severity == Severity::Critical);
            });
        }
    }
    for row in benign {
        for it in loudest(row.rules.iter()).into_values() {
            line(&mut out, it, &|line| *line.benign.entry(it.severity).or_default() += 1);
        }
    }
    out.into_values().collect()
}

/// Each rule's loudest word.
fn loudest<'a>(words: impl Iterator<Item = &'a RuleScore>) -> BTreeMap<&'a str, &'a RuleScore> {
    let mut out: BTreeMap<&str, &RuleScore> = BTreeMap::new();
    for it in words {
        let best = out.entry(&it.rule).or_insert(it);
        if it.severity > best.severity {
            *best = it;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use cofferdam_risk::calibration;
    use proptest::prelude::*;

    use super::{Scored, average_precision};

    proptest! {
        #[test]
        fn counted_scores_give_what_the_risk_crate_gives_for_each_by_itself(
            attacks in prop::collection::vec(-5_i64..5, 1..12),
            benign in prop::collection::vec(-5_i64..5, 0..30),
            silent in 1_u64..40,
        ) {
            let it = Scored { attacks: attacks.clone(), benign: benign.clone(), silent, prior: -5 };
            let quiet = std::iter::repeat_n(-5_i64, silent as usize);
            let (mut scores, mut labels) = (Vec::new(), Vec::new());
            for (score, label) in attacks.iter().map(|it| (*it, true))
                .chain(benign.iter().copied().chain(quiet).map(|it| (it, false)))
            {
                scores.push(score as f64);
                labels.push(label);
            }
            let ap = calibration::average_precision(&scores, &labels).unwrap();
            prop_assert!((average_precision(&it.pr()) - ap).abs() < 1e-12);
            let curve = it.cost_curve();
            let weights: Vec<f64> = curve.iter().map(|it| it.weight).collect();
            let theirs = calibration::report::cost_curve(&scores, &labels, &weights).unwrap();
            for (ours, (weight, cost)) in curve.iter().zip(theirs) {
                prop_assert!(ours.weight == weight && (ours.cost - cost).abs() < 1e-12);
            }
            let all = it.histogram();
            prop_assert_eq!(all.benign.iter().sum::<u64>(), it.negatives());
        }
    }

    #[test]
    fn without_an_attack_there_is_no_curve() {
        let it = Scored { silent: 5, ..Scored::default() };
        assert!(it.pr().is_empty() && it.cost_curve().is_empty());
    }
}
