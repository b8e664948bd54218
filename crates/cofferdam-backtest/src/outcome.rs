//! What a back-test came to: figures over the rows of its passes.
//!
//! **Invariant:** a function of rows, strands and options; nothing else is looked at. What lies around a labelled
//! attack is neither attack nor ordinary use (`risk.md` §10) and counts for neither.

use cofferdam_core::{Severity, Usd};
use cofferdam_risk::{calibration::report::group_bootstrap, numeric::random::Philox};
use serde::{Deserialize, Serialize};

use crate::{
    BacktestError, BlockRow, Counterfactual, FoldLine, Histogram, IncidentLine, OrderedRow,
    PrPoint, Row, RuleLine, TxRow,
    incidents::{Attack, attacks},
    metrics::{CostPoint, Scored, average_precision, rule_lines},
    pass::millinats,
    walk::{Dated, History, walk},
};

/// Before and after an attack, in milliseconds, is no ordinary use.
const BEFORE: u64 = 3_600_000;
const AFTER: u64 = 86_400_000;
/// The worst false alarms that are shown.
const WORST_MAX: usize = 25;
/// Resamples of an interval.
const RESAMPLES: usize = 2_000;
/// Attacks below which no headline figure is claimed (`risk.md` §10).
const ATTACKS_MIN: usize = 20;

/// How a back-test is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Seed of attackers' addresses and of resampling.
    pub seed: u64,
    /// Walk-forward folds.
    pub folds: usize,
    /// Weight of a missed attack against a false alarm, 0 to 1, in walk-forward.
    pub miss_weight: f64,
    /// Prior of the plan, in parts per billion.
    pub prior_ppb: u32,
}

/// One sequence of blocks under one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrandLine {
    /// Its name.
    pub name: String,
    /// Where it is from.
    pub source: String,
    /// Its blocks.
    pub blocks: u64,
    /// Time that they stand for, in milliseconds: blocks times block time, or the span of a history with holes.
    pub covers: u64,
    /// Whether unlabelled alarms are taken for a suspected attack.
    pub suspect: bool,
}

/// A back-test's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it was judged.
    pub options: Options,
    /// What it went over.
    pub strands: Vec<StrandLine>,
    /// Sums.
    pub totals: Totals,
    /// By rule.
    pub rules: Vec<RuleLine>,
    /// Attacks in order of time.
    pub incidents: Vec<IncidentLine>,
    /// Scores of attacks and of benign transactions.
    pub scores: Histogram,
    /// Precision and recall by threshold, highest first.
    pub pr: Vec<PrPoint>,
    /// Area under it; `None` without a labelled attack.
    pub average_precision: Option<f64>,
    /// Cost by weight.
    pub cost: Vec<CostPoint>,
    /// Splits by time.
    pub walk_forward: Vec<FoldLine>,
    /// Benign transactions with the highest scores.
    pub worst: Vec<WorstLine>,
    /// Funds lost by delay, of each attack with a known loss.
    pub counterfactuals: Vec<Counterfactual>,
}

/// Sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Blocks looked at.
    pub blocks: u64,
    /// Transactions looked at.
    pub txs: u64,
    /// Benign ones.
    pub benign: u64,
    /// Left out because an attack is near.
    pub left_out: u64,
    /// Labelled attacks.
    pub attacks: u64,
    /// Those with a critical finding.
    pub attacks_seen: u64,
    /// Those with an automatic order.
    pub attacks_answered: u64,
    /// Share of the attacks with a critical finding: 5 % and 95 % over resampled attacks.
    pub seen_band: Option<(f64, f64)>,
    /// Share of the money of all attacks that was lost in attacks with a critical finding.
    pub seen_by_loss: Option<f64>,
    /// Benign transactions with a critical finding.
    pub false_alarms: u64,
    /// Automatic orders outside of attacks.
    pub false_orders: u64,
    /// Whether there are too few attacks for a claim.
    pub too_few: bool,
    /// Findings that say that something could not be looked at.
    pub blind: u64,
    /// State reads that the data does not answer.
    pub unanswered: u64,
    /// Lost in labelled attacks.
    pub lost: Usd,
    /// Of that, with the plan's automatic orders.
    pub lost_with: Usd,
}

/// A false alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstLine {
    /// What was found, whole.
    pub row: TxRow,
}

/// The rows of a back-test by kind.
#[derive(Default)]
struct Sorted {
    blocks: Vec<BlockRow>,
    txs: Vec<TxRow>,
    orders: Vec<OrderedRow>,
}

/// Judges the rows of the passes over `strands`.
///
/// # Errors
/// If a figure is outside of what the statistics accept.
pub fn judge(
    rows: impl IntoIterator<Item = Row>,
    strands: Vec<StrandLine>,
    options: Options,
) -> Result<Outcome, BacktestError> {
    let mut sorted = Sorted::default();
    for row in rows {
        match row {
            Row::Block(it) => sorted.blocks.push(it),
            Row::Tx(it) => sorted.txs.push(it),
            Row::Ordered(it) => sorted.orders.push(it),
            Row::Decided(_) => {}
        }
    }
    let suspect = |name: &str| strands.iter().any(|it| it.suspect && it.name == name);
    let attacks = attacks(&sorted.txs, &suspect);
    let lines: Vec<(&Attack<'_>, IncidentLine)> =
        attacks.iter().filter_map(|it| Some((it, it.line(&orders_of(&sorted, it))?))).collect();
    let near = Near::of(&attacks);
    let benign: Vec<&TxRow> =
        sorted.txs.iter().filter(|it| !near.row(it) && it.label.is_none()).collect();
    let labelled: Vec<&(&Attack<'_>, IncidentLine)> =
        lines.iter().filter(|it| it.1.labelled).collect();
    let silent = near.silent(&sorted);
    let prior = millinats(options.prior_ppb);
    let of_txs = |rows: &[&TxRow]| rows.iter().map(|it| it.score).collect::<Vec<_>>();
    let scored = Scored {
        attacks: labelled.iter().map(|it| it.1.score).collect(),
        benign: of_txs(&benign),
        silent: silent.iter().map(|it| it.1).sum(),
        prior,
    };
    let history = History {
        attacks: labelled
            .iter()
            .map(|(_, it)| Dated { time: it.first, score: it.score, lost: it.lost })
            .collect(),
        benign: benign.iter().map(|it| (it.time, it.score)).collect(),
        silent,
        prior,
    };
    let pr = scored.pr();
    let by_attack: Vec<Vec<&TxRow>> = labelled.iter().map(|it| it.0.rows.clone()).collect();
    let totals = totals(&sorted, &lines, &benign, &near, &scored, &options)?;
    let mut incidents: Vec<IncidentLine> = lines.iter().map(|it| it.1.clone()).collect();
    incidents.sort_by(|a, b| (a.first, &a.incident).cmp(&(b.first, &b.incident)));
    Ok(Outcome {
        totals,
        rules: rule_lines(&by_attack, &benign),
        scores: scored.histogram(),
        average_precision: (!pr.is_empty()).then(|| average_precision(&pr)),
        cost: scored.cost_curve(),
        walk_forward: walk(&history, options.folds, options.miss_weight),
        worst: worst(&benign),
        counterfactuals: lines.iter().filter_map(|(a, line)| a.counterfactual(line)).collect(),
        pr,
        incidents,
        options,
        strands,
    })
}

fn orders_of<'a>(sorted: &'a Sorted, attack: &Attack<'_>) -> Vec<&'a OrderedRow> {
    sorted.orders.iter().filter(|it| it.strand == attack.strand).collect()
}

fn worst(benign: &[&TxRow]) -> Vec<WorstLine> {
    let mut loud: Vec<&&TxRow> = benign.iter().collect();
    loud.sort_by(|a, b| {
        (b.score, b.severity, a.time, a.tx).cmp(&(a.score, a.severity, b.time, b.tx))
    });
    loud.truncate(WORST_MAX);
    loud.into_iter().map(|it| WorstLine { row: (*it).clone() }).collect()
}

fn totals(
    sorted: &Sorted,
    lines: &[(&Attack<'_>, IncidentLine)],
    benign: &[&TxRow],
    near: &Near<'_>,
    scored: &Scored,
    options: &Options,
) -> Result<Totals, BacktestError> {
    let labelled: Vec<&IncidentLine> =
        lines.iter().map(|it| &it.1).filter(|it| it.labelled).collect();
    let count = |of: fn(&IncidentLine) -> bool| labelled.iter().filter(|it| of(it)).count() as u64;
    let sum = |of: &dyn Fn(&IncidentLine) -> Usd| {
        labelled.iter().map(|it| of(it)).fold(Usd::ZERO, Usd::plus)
    };
    let lost = sum(&|it| it.lost);
    let seen = sum(&|it| if it.seen.is_some() { it.lost } else { Usd::ZERO });
    let share = |rows: &[&&IncidentLine]| {
        rows.iter().filter(|it| it.seen.is_some()).count() as f64 / rows.len().max(1) as f64
    };
    let seen_band = match labelled.len() {
        0 | 1 => None,
        _ => Some(group_bootstrap(&labelled, RESAMPLES, Philox::new(options.seed), share)?),
    };
    let critical = |it: &&&TxRow| it.severity == Some(Severity::Critical);
    let txs: u64 = sorted.blocks.iter().map(|it| u64::from(it.txs)).sum();
    let labelled_txs: u64 = lines.iter().map(|it| it.1.txs).sum();
    let negatives = scored.silent + benign.iter().filter(|it| it.tx.is_some()).count() as u64;
    Ok(Totals {
        blocks: sorted.blocks.len() as u64,
        txs,
        benign: negatives,
        left_out: txs.saturating_sub(negatives).saturating_sub(labelled_txs),
        attacks: labelled.len() as u64,
        attacks_seen: count(|it| it.seen.is_some()),
        attacks_answered: count(|it| it.answered.is_some()),
        seen_band,
        seen_by_loss: (lost > Usd::ZERO).then(|| seen.0 as f64 / lost.0 as f64),
        false_alarms: benign.iter().filter(critical).count() as u64,
        false_orders: sorted
            .orders
            .iter()
            .filter(|it| it.automatic && !near.at(&it.strand, it.time))
            .count() as u64,
        too_few: labelled.len() < ATTACKS_MIN,
        blind: sorted.blocks.iter().map(|it| u64::from(it.blind)).sum(),
        unanswered: sorted.blocks.iter().map(|it| u64::from(it.unanswered)).sum(),
        lost,
        lost_with: sum(&|it| it.lost_with),
    })
}

/// Stretches around attacks.
pub(crate) struct Near<'a>(Vec<(&'a str, u64, u64)>);

impl<'a> Near<'a> {
    pub(crate) fn of(attacks: &[Attack<'a>]) -> Self {
        let stretch = |it: &Attack<'a>| {
            let (first, last) = (it.rows.first()?.time, it.rows.last()?.time);
            Some((it.strand, first.saturating_sub(BEFORE), last.saturating_add(AFTER)))
        };
        Self(attacks.iter().filter_map(stretch).collect())
    }

    pub(crate) fn at(&self, strand: &str, time: u64) -> bool {
        self.0.iter().any(|it| it.0 == strand && time >= it.1 && time <= it.2)
    }

    pub(crate) fn row(&self, row: &TxRow) -> bool {
        self.at(&row.strand, row.time)
    }

    /// Time and number of the transactions of each ordinary block that nothing was found about.
    fn silent(&self, sorted: &Sorted) -> Vec<(u64, u64)> {
        let mut loud = std::collections::BTreeMap::new();
        for it in sorted.txs.iter().filter(|it| it.tx.is_some()) {
            *loud.entry((it.strand.as_str(), it.chain, it.number, it.time)).or_insert(0_u64) += 1;
        }
        let mut out = Vec::new();
        for it in sorted.blocks.iter().filter(|it| !self.at(&it.strand, it.time)) {
            let key = (it.strand.as_str(), it.chain, it.number, it.time);
            // Two recordings of one block share a key: what is loud in both is taken off once.
            let loud = loud.remove(&key).unwrap_or(0);
            out.push((it.time, u64::from(it.txs).saturating_sub(loud)));
        }
        out
    }
}
