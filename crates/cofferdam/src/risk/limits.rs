//! The limiter view: what each candidate lets an attacker take, what it costs users, and how likely it is to be hit.

use cofferdam_risk::{
    RiskError,
    limiters::optimise::{Candidate, Scored, late_share, pareto, score},
    numeric::random::Philox,
    predict::{Abstention, Forecast, limiter_hit},
};
use serde::Serialize;

use super::{
    format::{percent, usd},
    html,
    input::Limits,
};

/// Horizon of the hit forecast, seconds.
const HORIZON: f64 = 3_600.0;

/// The view.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LimitsView {
    /// Candidates, the current one included.
    pub(super) lines: Vec<Line>,
    /// Index of the best one that keeps the promise to users; none if none does.
    pub(super) best: Option<usize>,
}

/// One candidate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    /// Bucket and rate, USD and USD per second.
    pub(super) candidate: Candidate,
    /// Whether it is in force.
    pub(super) current: bool,
    /// Most that leaves before the response, USD.
    pub(super) worst_case_usd: f64,
    /// Yearly cost of attacks, USD.
    pub(super) attack_cost_usd: f64,
    /// Yearly cost to users, USD.
    pub(super) user_cost_usd: f64,
    /// Share of ordinary withdrawals that wait longer than promised.
    pub(super) late_share: f64,
    /// Whether no other candidate beats it in both costs.
    pub(super) efficient: bool,
    /// Whether it refuses a legitimate withdrawal within the hour.
    pub(super) hit: Forecast,
}

/// Computes the view.
pub(crate) fn view(it: &Limits, seed: u64) -> Result<LimitsView, RiskError> {
    let times: Vec<f64> = (0..it.outflows.len()).map(|i| i as f64 * it.step_seconds).collect();
    let years = it.outflows.len() as f64 * it.step_seconds / 31_536_000.0;
    let mut candidates: Vec<(Candidate, bool)> =
        it.candidates.iter().map(|c| (*c, false)).collect();
    candidates.extend(it.current.map(|c| (c, true)));
    let scored: Vec<Scored> = candidates
        .iter()
        .map(|(c, _)| score(*c, &times, &it.outflows, years, &it.weights))
        .collect::<Result<_, _>>()?;
    let front = pareto(scored.clone());
    let mut lines = Vec::with_capacity(candidates.len());
    for ((c, current), s) in candidates.into_iter().zip(&scored) {
        let rng = Philox::new(seed);
        lines.push(Line {
            candidate: c,
            current,
            worst_case_usd: c.worst_case(it.weights.response_seconds),
            attack_cost_usd: s.attack_cost,
            user_cost_usd: s.user_cost,
            late_share: late_share(c, &times, &it.outflows, it.wait_seconds)?,
            efficient: front.contains(s),
            hit: limiter_hit(&it.outflows, it.step_seconds, c, c.bucket, HORIZON, rng)?,
        });
    }
    let total = |l: &Line| l.attack_cost_usd + l.user_cost_usd;
    let best = (0..lines.len())
        .filter(|i| lines[*i].late_share <= it.late_share)
        .min_by(|a, b| total(&lines[*a]).total_cmp(&total(&lines[*b])));
    Ok(LimitsView { lines, best })
}

fn hit(f: &Forecast) -> String {
    match f {
        Forecast::Probability { p, low, high, .. } => {
            format!("{} ({} to {})", percent(*p), percent(*low), percent(*high))
        }
        Forecast::Abstained(Abstention::TooLittleHistory { got, want }) => {
            format!("no answer: {got} of {want} steps")
        }
        Forecast::Abstained(other) => format!("no answer: {other:?}"),
    }
}

const HEADER: [&str; 8] = [
    "bucket",
    "rate per hour",
    "worst case",
    "attacks a year",
    "users a year",
    "late",
    "hit within 1 h",
    "",
];

fn rows(v: &LimitsView) -> Vec<Vec<String>> {
    let row = |(i, l): (usize, &Line)| {
        let mut marks = Vec::new();
        if v.best == Some(i) {
            marks.push("best");
        }
        if l.current {
            marks.push("in force");
        }
        if l.efficient {
            marks.push("efficient");
        }
        vec![
            usd(l.candidate.bucket),
            usd(l.candidate.rate * 3_600.0),
            usd(l.worst_case_usd),
            usd(l.attack_cost_usd),
            usd(l.user_cost_usd),
            percent(l.late_share),
            hit(&l.hit),
            marks.join(", "),
        ]
    };
    v.lines.iter().enumerate().map(row).collect()
}

/// Terminal table.
pub(crate) fn text(v: &LimitsView) -> String {
    let mut out = super::format::table(&HEADER, &rows(v));
    if v.best.is_none() {
        out.push_str("no candidate keeps the promise to users: widen the limits or the promise\n");
    }
    out
}

/// Page section.
pub(super) fn sections(v: &LimitsView) -> Vec<String> {
    vec![html::section("Limits: attack cost against user cost", &html::table(&HEADER, &rows(v)))]
}
