//! Walk-forward splits: a threshold is chosen on what came before and judged on what came after.
//!
//! **Invariant:** by time, never at random; no fold is judged on anything earlier than what it was chosen on.

use cofferdam_core::Usd;
use serde::{Deserialize, Serialize};

use crate::metrics::Scored;

/// One fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldLine {
    /// What comes before this time is chosen on, in milliseconds since the Unix epoch.
    pub from: u64,
    /// What comes before this time and not before `from` is judged on.
    pub to: u64,
    /// Attacks and benign transactions chosen on.
    pub train: (u64, u64),
    /// Attacks and benign transactions judged on.
    pub test: (u64, u64),
    /// The threshold chosen, thousandths of a nat; `None` without an attack to choose on.
    pub threshold: Option<i64>,
    /// Attacks found of those judged on.
    pub found: u64,
    /// False alarms.
    pub alarms: u64,
    /// Lost in the attacks judged on.
    pub lost: Usd,
    /// Of that, lost in attacks that were not found.
    pub missed: Usd,
}

/// An attack with its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dated {
    pub(crate) time: u64,
    pub(crate) score: i64,
    pub(crate) lost: Usd,
}

/// What is split.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) attacks: Vec<Dated>,
    /// Time and score of each benign transaction that something was found about.
    pub(crate) benign: Vec<(u64, i64)>,
    /// Time and number of the benign transactions of each block that nothing was found about.
    pub(crate) silent: Vec<(u64, u64)>,
    pub(crate) prior: i64,
}

/// Splits `history` into `folds` stretches that hold as many attacks each, as far as they can.
pub(crate) fn walk(history: &History, folds: usize, miss_weight: f64) -> Vec<FoldLine> {
    let mut times: Vec<u64> = history.attacks.iter().map(|it| it.time).collect();
    times.sort_unstable();
    times.dedup();
    let folds = folds.min(times.len().saturating_sub(1));
    // The first stretch is only ever chosen on.
    let parts = folds.saturating_add(1);
    let mut cuts: Vec<u64> =
        (1..parts).filter_map(|it| times.get(times.len() * it / parts).copied()).collect();
    cuts.push(u64::MAX);
    let fold = |pair: &[u64]| match pair {
        [from, to] => Some(history.fold(*from, *to, miss_weight)),
        _ => None,
    };
    cuts.windows(2).filter_map(fold).collect()
}

impl History {
    fn fold(&self, from: u64, to: u64, miss_weight: f64) -> FoldLine {
        let train = self.scored(0, from);
        let test = self.scored(from, to);
        let threshold = choose(&train, miss_weight);
        let reached = |score: &i64| threshold.is_some_and(|it| *score >= it);
        let judged = || self.attacks.iter().filter(|it| it.time >= from && it.time < to);
        let missed = judged().filter(|it| !reached(&it.score)).map(|it| it.lost);
        FoldLine {
            from,
            to,
            train: (train.attacks.len() as u64, train.negatives()),
            test: (test.attacks.len() as u64, test.negatives()),
            threshold,
            found: test.attacks.iter().filter(|it| reached(it)).count() as u64,
            alarms: test.benign.iter().filter(|it| reached(it)).count() as u64,
            lost: judged().map(|it| it.lost).fold(Usd::ZERO, Usd::plus),
            missed: missed.fold(Usd::ZERO, Usd::plus),
        }
    }

    fn scored(&self, from: u64, to: u64) -> Scored {
        let within = |it: u64| it >= from && it < to;
        Scored {
            attacks: self.attacks.iter().filter(|it| within(it.time)).map(|it| it.score).collect(),
            benign: self.benign.iter().filter(|it| within(it.0)).map(|it| it.1).collect(),
            silent: self.silent.iter().filter(|it| within(it.0)).map(|it| it.1).sum(),
            prior: self.prior,
        }
    }
}

/// The threshold of least expected cost, the highest of equal ones.
fn choose(train: &Scored, miss_weight: f64) -> Option<i64> {
    let attacks = train.attacks.len() as f64;
    let benign = train.negatives().max(1) as f64;
    let cost = |hits: u64, alarms: u64| {
        miss_weight * (1.0 - hits as f64 / attacks) + (1.0 - miss_weight) * alarms as f64 / benign
    };
    let points = train.pr();
    let best = points.iter().filter(|it| it.threshold > train.prior).min_by(|a, b| {
        cost(a.hits, a.alarms)
            .total_cmp(&cost(b.hits, b.alarms))
            .then(b.threshold.cmp(&a.threshold))
    });
    best.map(|it| it.threshold)
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Usd;

    use super::{Dated, History, walk};

    #[test]
    fn every_fold_is_chosen_on_what_came_before_it() {
        let attack = |time, score| Dated { time, score, lost: Usd::whole(1) };
        let history = History {
            attacks: vec![attack(10, 5), attack(20, 5), attack(30, 3), attack(40, 5)],
            benign: vec![(5, 1), (25, 4), (35, 9)],
            silent: vec![(1, 100)],
            prior: -18,
        };
        let folds = walk(&history, 3, 0.9);
        assert_eq!(folds.len(), 3);
        assert!(folds.windows(2).all(|w| w[0].to == w[1].from));
        assert_eq!(folds[0].train, (1, 101));
        assert_eq!(folds[0].threshold, Some(5));
        // The attack that scores less than any before it is missed, and told as such.
        assert_eq!((folds[1].found, folds[1].missed), (0, Usd::whole(1)));
        assert_eq!(folds.iter().map(|it| it.test.0).sum::<u64>(), 3);
        assert!(walk(&History::default(), 3, 0.9).is_empty());
    }
}
