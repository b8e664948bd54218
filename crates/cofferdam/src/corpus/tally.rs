//! Counts with their limits.

use cofferdam_risk::numeric::special::clopper_pearson;
use serde::Serialize;

/// A proportion with one-sided 95 % Clopper–Pearson limits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub of: u64,
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
}

/// The figures that the bars are about.
#[derive(Clone, Debug, Serialize)]
pub struct Verdicts {
    /// Attacks with a critical finding: all, of seen classes, of unseen ones.
    pub recall: [Rate; 3],
    /// Attacks that were answered with an order without a person, likewise.
    pub ordered: [Rate; 3],
    /// The same without the harm gate; `None` if that was not run.
    pub ungated: Option<[Rate; 3]>,
    /// Classes of which at least one variant, and of which every variant, was found; of how many.
    pub classes: (u64, u64, u64),
    /// Automatic orders for nothing, by ordinary transactions.
    pub orders: Rate,
    /// The same without the harm gate.
    pub orders_ungated: Option<Rate>,
    /// Ordinary transactions with a critical finding.
    pub alarms: Rate,
    /// By baseline family: recall of all attacks, false alarms.
    pub baselines: Vec<Family>,
}

/// One baseline family.
#[derive(Clone, Debug, Serialize)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Attacks that it called so: all, of seen classes, of unseen ones.
    pub recall: [Rate; 3],
    /// Ordinary transactions that it called attacks.
    pub alarms: Rate,
}

impl Rate {
    /// `hits` of `of`.
    pub fn new(hits: u64, of: u64) -> Self {
        let (lower, upper) = clopper_pearson(hits, of);
        Self { hits, of, lower, upper }
    }

    /// The proportion; of nothing it is zero.
    pub fn share(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.hits as f64 / self.of as f64 }
    }

    /// For people, in per cent.
    pub fn percent(&self) -> String {
        let (share, low, high) = (self.share() * 100.0, self.lower * 100.0, self.upper * 100.0);
        format!("{} of {} = {share:.1} % [{low:.1}, {high:.1}]", self.hits, self.of)
    }

    /// For people, as a rate per transaction.
    pub fn rate(&self) -> String {
        format!("{} of {} = {:.1e} (< {:.1e})", self.hits, self.of, self.share(), self.upper)
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn none_in_three_million_is_one_in_a_million_at_most() {
        let rate = Rate::new(0, 3_000_000);
        assert_eq!(rate.rate(), "0 of 3000000 = 0.0e0 (< 1.0e-6)");
    }
}
