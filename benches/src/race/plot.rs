//! The plot of the race: share of wins over lead, one line per block time, and the oracle's.

use std::fmt::Write as _;

/// Wins over the lead at one block time.
pub(super) struct Curve {
    pub(super) block_ms: u64,
    /// Lead in microseconds, share won by us, share won by the oracle.
    pub(super) points: Vec<(u64, f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 160.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Colours that differ for the colour-blind, too (Okabe and Ito).
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];

/// Draws the curves as SVG.
pub(super) fn draw(curves: &[Curve]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Races won against a pending attack</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">Share of races won, by lead of the attack over the block</text>\n"
    );
    let mut add = |it: String| _ = writeln!(out, "{it}");
    let (low, high) = bounds(curves);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = down(share);
        add(format!(
            "<path d=\"M{LEFT} {y:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            share * 100.0
        ));
    }
    for (lead, _, _) in curves.first().map_or(&[][..], |it| &it.points) {
        let x = along(*lead, low, high);
        add(format!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 18.0,
            *lead as f64 / 1e3
        ));
    }
    add(format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">lead in ms, logarithmic</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 10.0
    ));
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let line = |oracle: bool| {
            let point = |it: &(u64, f64, f64)| {
                let share = if oracle { it.2 } else { it.1 };
                format!("{:.1},{:.1}", along(it.0, low, high), down(share))
            };
            curve.points.iter().map(point).collect::<Vec<_>>().join(" ")
        };
        for (oracle, dash) in [(true, " stroke-dasharray=\"4 4\""), (false, "")] {
            add(format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
                line(oracle)
            ));
        }
        let y = TOP + 10.0 + 40.0 * number as f64;
        for (text, dash, y) in [("ours", "", y), ("oracle", " stroke-dasharray=\"4 4\"", y + 16.0)]
        {
            let x = WIDTH - RIGHT + 12.0;
            add(format!(
                "<path d=\"M{x:.1} {:.1}h24\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/><text x=\"{:.1}\" y=\"{y:.1}\">{} ms, {text}</text>",
                y - 4.0,
                x + 30.0,
                curve.block_ms
            ));
        }
    }
    out + "</svg>\n"
}

fn bounds(curves: &[Curve]) -> (f64, f64) {
    let leads = curves.iter().flat_map(|it| &it.points).map(|it| it.0 as f64);
    leads.fold((f64::INFINITY, 0.0), |(low, high), it| (it.min(low), it.max(high)))
}

fn along(lead: u64, low: f64, high: f64) -> f64 {
    let share = (lead as f64 / low).ln() / (high / low).ln();
    LEFT + (WIDTH - LEFT - RIGHT) * if share.is_finite() { share } else { 0.0 }
}

fn down(share: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
}

#[cfg(test)]
mod tests {
    use super::{Curve, draw};

    #[test]
    fn every_curve_is_drawn_twice_within_the_picture() {
        let points = vec![(500, 0.0, 0.5), (50_000, 1.0, 1.0)];
        let svg = draw(&[Curve { block_ms: 250, points }]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("points=\"60.0,350.0 560.0,40.0\""), "{svg}");
        assert!(svg.contains("250 ms, oracle"));
    }
}
