//! The threshold curve: too low hinders liquidity, too high loses funds.

use cofferdam_risk::{
    RiskError, logit,
    numeric::random::Philox,
    sigmoid,
    threshold::{ThresholdCurve, threshold_curve},
};

use super::{
    chart::{Plot, Stroke},
    format::{percent, table, usd},
    html::section,
    input::Backtest,
};

/// Computes it on a grid of log-odds.
pub(super) fn view(it: &Backtest, seed: u64) -> Result<ThresholdCurve, RiskError> {
    let thresholds: Vec<f64> = (-24..=16).map(|i| f64::from(i) * 0.5).collect();
    threshold_curve(
        &it.quiet,
        &it.attacks,
        &thresholds,
        it.years,
        it.attacks_per_year,
        Philox::new(seed),
    )
}

/// Terminal table of every fourth point and the flat region.
pub(super) fn text(c: &ThresholdCurve) -> String {
    let rows: Vec<Vec<String>> = c
        .points
        .iter()
        .enumerate()
        .filter(|(i, _)| i % 4 == 0 || *i == c.best)
        .map(|(i, p)| {
            let mark = if i == c.best {
                "least"
            } else if (c.flat.0..=c.flat.1).contains(&i) {
                "flat"
            } else {
                ""
            };
            vec![
                percent(sigmoid(p.threshold)),
                format!("{:.2}", p.false_per_year),
                usd(p.hindered),
                usd(p.lost),
                usd(p.total),
                mark.to_owned(),
            ]
        })
        .collect();
    let header = ["threshold", "false a year", "hindered a year", "lost a year", "both", ""];
    let mut out = table(&header, &rows);
    if c.too_few {
        out.push_str(&format!("only {} attacks: shown, not recommended\n", c.attacks));
    }
    out
}

/// The chart.
pub(crate) fn chart(c: &ThresholdCurve, current: Option<f64>) -> String {
    let (Some(first), Some(last)) = (c.points.first(), c.points.last()) else {
        return String::new();
    };
    // Money over orders of magnitude: logarithmic above a thousandth of the largest.
    let most = c.points.iter().map(|p| p.band.1).fold(1.0, f64::max);
    let least = most / 1e4;
    let y = |v: f64| (v.max(least)).log10();
    let mut plot =
        Plot::new((first.threshold, last.threshold), (least.log10(), most.log10()), 300.0);
    let (a, b) = (c.points[c.flat.0].threshold, c.points[c.flat.1].threshold);
    plot.stretch(a, b, "within 5 % of the least", "--good");
    let band: Vec<_> = c.points.iter().map(|p| (p.threshold, y(p.band.0), y(p.band.1))).collect();
    plot.band(&band, "--accent");
    for (value, colour, dash) in [(0_u8, "--warn", "6 3"), (1, "--bad", "2 3"), (2, "--accent", "")]
    {
        let of = |p: &cofferdam_risk::threshold::CurvePoint| match value {
            0 => p.hindered,
            1 => p.lost,
            _ => p.total,
        };
        let points: Vec<_> = c.points.iter().map(|p| (p.threshold, y(of(p)))).collect();
        plot.line(&points, Stroke { colour, dash, width: if dash.is_empty() { 2.5 } else { 1.8 } });
    }
    if let Some(p) = current {
        plot.mark(logit(p), &format!("in force {}", percent(p)), "--ink");
    }
    let note = "<p>dashed: liquidity hindered · dotted: funds lost · solid: both, with the 5 % to 95 % band of the bootstrap</p>";
    let few = if c.too_few {
        format!("<p>‼ only {} attacks: no recommendation</p>", c.attacks)
    } else {
        String::new()
    };
    plot.finish(
        "yearly cost by threshold",
        "threshold, probability of an exploit",
        &|x| percent(sigmoid(x)),
        &|v| usd(10_f64.powf(v)),
    ) + note
        + &few
}

/// Page section.
pub(super) fn sections(c: &ThresholdCurve, current: Option<f64>) -> Vec<String> {
    vec![section("Threshold: too low hinders, too high loses", &chart(c, current))]
}
