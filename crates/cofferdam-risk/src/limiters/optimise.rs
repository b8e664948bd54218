//! Choosing bucket and rate: what an attacker can take before the response, against what legitimate users wait.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, non_negative, positive, same_length};

/// A candidate limit in USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Released at once.
    pub bucket: f64,
    /// Released per second.
    pub rate: f64,
}

/// Weights of the objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Attacks per year.
    pub attacks_per_year: f64,
    /// Value an attack could take, in USD.
    pub at_risk: f64,
    /// Seconds until the response stops it.
    pub response_seconds: f64,
    /// Cost of delaying one USD by one hour.
    pub delay_cost: f64,
    /// Cost of one refused withdrawal, in USD.
    pub reject_cost: f64,
}

/// A candidate with its costs, per year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The limit.
    pub candidate: Candidate,
    /// Expected loss to attacks.
    pub attack_cost: f64,
    /// Cost to users.
    pub user_cost: f64,
}

impl Candidate {
    /// Most that leaves in `seconds`: `B + r t`.
    #[must_use]
    pub fn worst_case(&self, seconds: f64) -> f64 {
        self.bucket + self.rate * seconds.max(0.0)
    }

    /// When a constant outflow is first refused: `B / (f - r)`; never when the refill keeps up.
    #[must_use]
    pub fn first_reject(&self, flow: f64) -> Option<f64> {
        (flow > self.rate).then(|| self.bucket / (flow - self.rate))
    }
}

/// Seconds each recorded withdrawal `(seconds from start, USD)` waits, first in, first out; `None` for one that is
/// refused because it is larger than the bucket, or because nothing refills it.
///
/// # Errors
/// Times that run backwards, or amounts that are negative or not finite.
pub fn waits(
    candidate: Candidate,
    times: &[f64],
    amounts: &[f64],
) -> Result<Vec<Option<f64>>, RiskError> {
    same_length("withdrawal amounts", amounts.len(), times.len())?;
    non_negative("bucket", candidate.bucket)?;
    non_negative("rate", candidate.rate)?;
    let (mut tokens, mut clock) = (candidate.bucket, 0.0_f64);
    let mut last = 0.0_f64;
    let mut out = Vec::with_capacity(times.len());
    for (t, usd) in times.iter().zip(amounts) {
        let (t, usd) = (non_negative("withdrawal time", *t)?, non_negative("withdrawal", *usd)?);
        if t < last {
            return Err(RiskError::OutOfDomain {
                name: "withdrawal time",
                value: t,
                domain: "ascending",
            });
        }
        last = t;
        let start = t.max(clock);
        tokens = (tokens + candidate.rate * (start - clock)).min(candidate.bucket);
        clock = start;
        let short = usd - tokens;
        if usd > candidate.bucket || (short > 0.0 && candidate.rate == 0.0) {
            out.push(None);
            continue;
        }
        if short > 0.0 {
            clock += short / candidate.rate;
            tokens = usd;
        }
        tokens -= usd;
        out.push(Some(clock - t));
    }
    Ok(out)
}

/// Share of the withdrawals up to the 99 % size that wait longer than `seconds` or are refused: the constraint on a
/// candidate is that this stays below what users were promised.
///
/// # Errors
/// As [`waits`]; no withdrawals.
pub fn late_share(
    candidate: Candidate,
    times: &[f64],
    amounts: &[f64],
    seconds: f64,
) -> Result<f64, RiskError> {
    let waited = waits(candidate, times, amounts)?;
    let mut sizes = amounts.to_vec();
    sizes.sort_by(f64::total_cmp);
    let Some(ordinary) = sizes.get((0.99 * sizes.len() as f64) as usize) else {
        return Err(RiskError::TooFew { name: "withdrawals", got: 0, want: 1 });
    };
    let mine: Vec<Option<f64>> =
        waited.into_iter().zip(amounts).filter(|(_, a)| *a <= ordinary).map(|(w, _)| w).collect();
    let late = mine.iter().filter(|w| w.is_none_or(|w| w > seconds)).count();
    Ok(late as f64 / mine.len().max(1) as f64)
}

/// Scores a candidate on recorded withdrawals `(seconds from start, USD)` over `years`. A withdrawal that does
/// not fit waits first in, first out; one larger than the bucket is refused.
///
/// # Errors
/// Times that run backwards, amounts that are negative, or a period of zero.
pub fn score(
    candidate: Candidate,
    times: &[f64],
    amounts: &[f64],
    years: f64,
    w: &Weights,
) -> Result<Scored, RiskError> {
    let years = positive("years", years)?;
    let (mut dollar_hours, mut rejects) = (0.0, 0.0);
    for (wait, usd) in waits(candidate, times, amounts)?.into_iter().zip(amounts) {
        match wait {
            Some(seconds) => dollar_hours += usd * seconds / 3_600.0,
            None => rejects += 1.0,
        }
    }
    let lost = candidate.worst_case(w.response_seconds).min(w.at_risk);
    Ok(Scored {
        candidate,
        attack_cost: w.attacks_per_year * lost,
        user_cost: (w.delay_cost * dollar_hours + w.reject_cost * rejects) / years,
    })
}

/// Candidates no other candidate beats in both costs, by rising attack cost.
#[must_use]
pub fn pareto(mut scored: Vec<Scored>) -> Vec<Scored> {
    scored.sort_by(|a, b| {
        a.attack_cost.total_cmp(&b.attack_cost).then(a.user_cost.total_cmp(&b.user_cost))
    });
    let mut best = f64::INFINITY;
    scored.retain(|s| {
        let keep = s.user_cost < best;
        best = best.min(s.user_cost);
        keep
    });
    scored
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: Weights = Weights {
        attacks_per_year: 0.042,
        at_risk: 1e8,
        response_seconds: 600.0,
        delay_cost: 1e-5,
        reject_cost: 50.0,
    };

    #[test]
    fn a_constant_drain_is_first_refused_where_the_closed_form_says() {
        let c = Candidate { bucket: 1_000.0, rate: 10.0 };
        assert_eq!(c.first_reject(60.0), Some(20.0));
        assert_eq!(c.first_reject(10.0), None);
        assert_eq!(c.worst_case(600.0), 7_000.0);
    }

    #[test]
    fn waiting_follows_the_deterministic_queue() {
        // 100 USD each second at 50 per second and an empty allowance after the first: withdrawal i waits i seconds.
        let c = Candidate { bucket: 100.0, rate: 50.0 };
        let times: Vec<f64> = (0..10).map(f64::from).collect();
        let s = score(c, &times, &[100.0; 10], 1.0, &WEIGHTS).unwrap();
        let hours: f64 = (0..10).map(|i| 100.0 * f64::from(i) / 3_600.0).sum();
        assert!((s.user_cost - 1e-5 * hours).abs() < 1e-15);
    }

    #[test]
    fn fewer_wait_too_long_when_the_limit_is_wider() {
        let times: Vec<f64> = (0..200).map(f64::from).collect();
        let late = |rate| {
            late_share(Candidate { bucket: 100.0, rate }, &times, &[100.0; 200], 30.0).unwrap()
        };
        assert!(late(50.0) > late(90.0) && late(100.0) == 0.0 && late(0.0) > 0.9);
        assert!(late_share(Candidate { bucket: 1.0, rate: 1.0 }, &[], &[], 1.0).is_err());
    }

    #[test]
    fn the_front_holds_no_dominated_point() {
        let times = [0.0, 1.0, 2.0];
        let scored = [10.0, 100.0, 1_000.0, 1e4].map(|bucket| {
            score(Candidate { bucket, rate: 1.0 }, &times, &[50.0; 3], 1.0, &WEIGHTS).unwrap()
        });
        let front = pareto(scored.to_vec());
        assert!(front.len() >= 2);
        assert!(
            front
                .windows(2)
                .all(|w| w[0].attack_cost < w[1].attack_cost && w[0].user_cost > w[1].user_cost)
        );
    }
}
