//! What acting costs, rightly or wrongly, term by term: each with its owner, default and interval, so that a person
//! can see which one the decision hangs on. USD.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, probability};

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Read from the chain or the book.
    Measured,
    /// Set in the response plan.
    Plan,
    /// A default nobody confirmed.
    Default,
}

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// Best guess.
    pub value: f64,
    /// Least plausible.
    pub low: f64,
    /// Most plausible.
    pub high: f64,
    /// Where it comes from.
    pub source: Source,
}

impl Input {
    /// A number known exactly.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value, source: Source::Measured }
    }

    fn check(&self, name: &'static str) -> Result<(), RiskError> {
        non_negative(name, self.low)?;
        finite(name, self.high)?;
        if self.low <= self.value && self.value <= self.high {
            return Ok(());
        }
        Err(RiskError::OutOfDomain { name, value: self.value, domain: "between its low and high" })
    }
}

/// Everything that acting costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActionCost {
    /// Hours the action lasts.
    pub hours: Input,
    /// Fees earned per hour, USD.
    pub fees_per_hour: Input,
    /// Share of them that comes back afterwards.
    pub catch_up: Input,
    /// Withdrawals delayed, USD.
    pub delayed: Input,
    /// What a delayed dollar loses per hour.
    pub opportunity_per_hour: Input,
    /// Liquidations users could not avert, USD.
    pub liquidations: Input,
    /// Expected shortfall of the pause beyond that without it, USD.
    pub pause_risk: Input,
    /// Liquidity that leaves for good, USD.
    pub lp_flight: Input,
    /// What a dollar of liquidity earns per month.
    pub lp_margin_per_month: Input,
    /// Months it stays away.
    pub lp_months: Input,
    /// Operations, legal and reputation, USD.
    pub fixed: Input,
}

/// One term of the cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Term {
    /// Its name.
    pub name: &'static str,
    /// USD.
    pub usd: f64,
}

/// How far one input moves the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Swing {
    /// The input.
    pub input: &'static str,
    /// Total at its low end, USD.
    pub low: f64,
    /// Total at its high end, USD.
    pub high: f64,
}

/// The priced action.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CostReport {
    /// USD.
    pub total: f64,
    /// Total with every input at its cheap end and at its dear end.
    pub range: (f64, f64),
    /// The parts of it.
    pub terms: Vec<Term>,
    /// Inputs by how far they move the total, widest first.
    pub tornado: Vec<Swing>,
}

/// How to reach an input.
type Access = fn(&mut ActionCost) -> &mut Input;

/// Names and accessors of the inputs, in the order of the struct.
const INPUTS: [(&str, Access); 11] = [
    ("hours", |c| &mut c.hours),
    ("fees per hour", |c| &mut c.fees_per_hour),
    ("catch-up share", |c| &mut c.catch_up),
    ("delayed withdrawals", |c| &mut c.delayed),
    ("opportunity rate", |c| &mut c.opportunity_per_hour),
    ("averted liquidations", |c| &mut c.liquidations),
    ("pause risk", |c| &mut c.pause_risk),
    ("liquidity leaving", |c| &mut c.lp_flight),
    ("liquidity margin", |c| &mut c.lp_margin_per_month),
    ("months away", |c| &mut c.lp_months),
    ("fixed costs", |c| &mut c.fixed),
];

impl ActionCost {
    /// The terms at the best guesses.
    #[must_use]
    pub fn terms(&self) -> [Term; 6] {
        let v = |i: &Input| i.value;
        let hours = v(&self.hours);
        let term = |name, usd| Term { name, usd };
        [
            term("fees", v(&self.fees_per_hour) * hours * (1.0 - v(&self.catch_up))),
            term("delayed withdrawals", v(&self.delayed) * v(&self.opportunity_per_hour) * hours),
            term("liquidations not averted", v(&self.liquidations)),
            term("pause risk", v(&self.pause_risk)),
            term(
                "liquidity flight",
                v(&self.lp_flight) * v(&self.lp_margin_per_month) * v(&self.lp_months),
            ),
            term("fixed", v(&self.fixed)),
        ]
    }

    fn total(&self) -> f64 {
        self.terms().iter().map(|t| t.usd).sum()
    }

    /// Prices the action and ranks its inputs.
    ///
    /// # Errors
    /// An input that is negative, not finite or outside its own interval; a catch-up share above one.
    pub fn price(&self) -> Result<CostReport, RiskError> {
        let mut all = *self;
        let (mut cheap, mut dear) = (*self, *self);
        let mut tornado = Vec::with_capacity(INPUTS.len());
        for (name, get) in INPUTS {
            let input = *get(&mut all);
            input.check(name)?;
            let at = |value: f64| {
                let mut changed = *self;
                get(&mut changed).value = value;
                changed.total()
            };
            let (low, high) = (at(input.low), at(input.high));
            get(&mut cheap).value = if low <= high { input.low } else { input.high };
            get(&mut dear).value = if low <= high { input.high } else { input.low };
            tornado.push(Swing { input: name, low, high });
        }
        probability("catch-up share", self.catch_up.high)?;
        tornado.retain(|s| s.low.to_bits() != s.high.to_bits());
        tornado.sort_by(|a, b| {
            let width = |s: &Swing| (s.high - s.low).abs();
            width(b).total_cmp(&width(a)).then(a.input.cmp(b.input))
        });
        let total = finite("cost of acting", self.total())?;
        let range = (cheap.total(), finite("cost of acting", dear.total())?);
        Ok(CostReport { total, range, terms: self.terms().to_vec(), tornado })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ActionCost {
        let around = |value: f64, spread: f64| Input {
            value,
            low: value * (1.0 - spread),
            high: value * (1.0 + spread),
            source: Source::Default,
        };
        ActionCost {
            hours: around(6.0, 0.5),
            fees_per_hour: around(1_000.0, 0.1),
            catch_up: around(0.3, 0.5),
            delayed: around(1e6, 0.2),
            opportunity_per_hour: around(1e-5, 0.9),
            liquidations: Input::exact(20_000.0),
            pause_risk: around(74_000.0, 0.3),
            lp_flight: around(5e6, 0.4),
            lp_margin_per_month: around(0.002, 0.1),
            lp_months: around(2.0, 0.1),
            fixed: Input::exact(15_000.0),
        }
    }

    #[test]
    fn the_terms_add_up_and_the_widest_input_leads_the_tornado() {
        let r = sample().price().unwrap();
        assert!((r.total - r.terms.iter().map(|t| t.usd).sum::<f64>()).abs() < 1e-9);
        let want = 1_000.0 * 6.0 * 0.7 + 60.0 + 20_000.0 + 74_000.0 + 20_000.0 + 15_000.0;
        assert!((r.total - want).abs() < 1e-6, "{r:?}");
        assert_eq!(r.tornado[0].input, "pause risk");
        assert!(r.range.0 < r.total && r.total < r.range.1);
        assert!(r.tornado.iter().all(|s| s.input != "fixed costs"));
    }

    #[test]
    fn inputs_outside_their_own_interval_are_refused() {
        let bad = Input { value: 5.0, low: 6.0, high: 7.0, source: Source::Plan };
        assert!(ActionCost { fixed: bad, ..sample() }.price().is_err());
        assert!(ActionCost { fixed: Input::exact(f64::NAN), ..sample() }.price().is_err());
        assert!(ActionCost { catch_up: Input::exact(1.5), ..sample() }.price().is_err());
    }
}
