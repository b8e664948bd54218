//! A back-test as one page: no script, no font, no image from anywhere else.

use cofferdam_backtest::{Counterfactual, IncidentLine, Outcome};
use cofferdam_core::Usd;

use super::table::{moment, money, nats};
use crate::risk::{
    chart::{Plot, Stroke},
    format::{percent, usd},
    html,
};

/// Attacks whose timeline is drawn, the dearest first.
const TIMELINES_MAX: usize = 12;
/// Points of a curve that are drawn.
const POINTS_MAX: usize = 600;

const SOLID: Stroke = Stroke { colour: "--accent", dash: "", width: 2.2 };
const DASHED: Stroke = Stroke { colour: "--warn", dash: "6 3", width: 1.8 };

/// The page.
pub(crate) fn page(it: &Outcome) -> String {
    let mut sections = vec![header(it), html::section("Attacks", &attacks(it))];
    sections.push(html::section("Scores", &scores(it)));
    if !it.pr.is_empty() {
        sections.push(html::section("Precision and recall", &pr(it)));
        sections.push(html::section("Cost of the best threshold", &cost(it)));
    }
    sections.push(html::section("Lead time", &lead(it)));
    if !it.walk_forward.is_empty() {
        sections.push(html::section(
            "Walk forward: chosen on the past, judged on the future",
            &walk(it),
        ));
    }
    let drawn: Vec<String> =
        it.counterfactuals.iter().filter(|it| it.points.len() > 2).map(counterfactual).collect();
    if !drawn.is_empty() {
        sections.push(html::section("Funds lost by delay of containment", &drawn.join("\n")));
    }
    sections.push(html::section("Timelines", &timelines(it)));
    sections.push(html::section("Rules", &rules(it)));
    sections.push(html::section("Worst false alarms", &worst(it)));
    sections.push(html::section("Data", &data(it)));
    html::page("Back-test", &sections)
}

fn header(it: &Outcome) -> String {
    let t = &it.totals;
    let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    let seen = format!("{} of {}", t.attacks_seen, t.attacks);
    let band = t.seen_band.map_or_else(String::new, |(low, high)| {
        format!(
            "{}, 5 % to 95 %: {} to {}",
            percent(share(t.attacks_seen, t.attacks)),
            percent(low),
            percent(high)
        )
    });
    let few = if t.too_few { "too few attacks for a claim" } else { "" };
    let figures = [
        html::figure(
            "attacks seen",
            &seen,
            &band,
            if t.attacks_seen < t.attacks { "alarm" } else { "calm" },
        ),
        html::figure("answered by an automatic order", &t.attacks_answered.to_string(), "", ""),
        html::figure(
            "false alarms",
            &t.false_alarms.to_string(),
            &format!("critical, of {} benign transactions", t.benign),
            if t.false_alarms > 0 { "alarm" } else { "calm" },
        ),
        html::figure("false automatic orders", &t.false_orders.to_string(), "", ""),
        html::figure(
            "lost",
            &money(t.lost),
            &format!("with the plan's orders {}", money(t.lost_with)),
            "",
        ),
        html::figure(
            "average precision",
            &it.average_precision.map_or("–".into(), |it| format!("{it:.3}")),
            few,
            "",
        ),
    ];
    format!("<header><h1>Back-test</h1><div class=\"figures\">{}</div></header>", figures.join(""))
}

fn attacks(it: &Outcome) -> String {
    let row = |it: &IncidentLine| {
        let reached = |it: &Option<cofferdam_backtest::Reached>| {
            it.as_ref().map_or("–".into(), |it| format!("{} (block +{})", it.by, it.after_blocks))
        };
        vec![
            it.incident.clone(),
            it.class.clone(),
            moment(it.first),
            format!("{} in {} blocks", it.txs, it.blocks),
            nats(it.score),
            reached(&it.seen),
            reached(&it.answered),
            money(it.lost),
            money(it.lost_with),
        ]
    };
    let rows: Vec<Vec<String>> = it.incidents.iter().map(row).collect();
    let header = [
        "attack",
        "class",
        "first",
        "transactions",
        "score, nats",
        "seen by",
        "answered by",
        "lost",
        "lost with us",
    ];
    html::table(&header, &rows)
}

fn scores(it: &Outcome) -> String {
    let bins = it.scores.benign.len();
    let (from, to) = (it.scores.from as f64, it.scores.from as f64 + bins as f64);
    // Counts over orders of magnitude: logarithmic, one above nothing.
    let y = |count: u64| (1.0 + count as f64).log10();
    let most = it.scores.benign.iter().chain(&it.scores.attacks).copied().max().unwrap_or(1);
    let mut plot = Plot::new((from, to), (0.0, y(most).max(0.5)), 260.0);
    for (colour, name, counts) in [
        ("--good", "benign transactions", &it.scores.benign),
        ("--bad", "attacks", &it.scores.attacks),
    ] {
        for (at, count) in counts.iter().enumerate().filter(|it| *it.1 > 0) {
            let left = from + at as f64;
            // Side by side, so that neither hides the other.
            let (a, b) = if colour == "--good" { (0.0, 0.5) } else { (0.5, 1.0) };
            plot.bar(
                left + a,
                left + b,
                y(*count),
                &format!("{count} {name} at {left} nats"),
                colour,
            );
        }
    }
    plot.finish(
        "how often each score occurs",
        "log-odds of an attack, nats",
        &|x| format!("{x:.0}"),
        &|v| format!("{:.0}", 10_f64.powf(v) - 1.0),
    ) + "<p>left half of a bin: benign transactions, those that nothing was found about at the prior · right half: attacks, by their highest score</p>"
}

fn thin<T: Copy>(points: &[T]) -> Vec<T> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let mut out: Vec<T> = points.iter().copied().step_by(step).collect();
    let whole = points.len().saturating_sub(1).is_multiple_of(step);
    out.extend(points.last().filter(|_| !whole));
    out
}

fn pr(it: &Outcome) -> String {
    let mut plot = Plot::new((0.0, 1.0), (0.0, 1.0), 260.0);
    let points: Vec<(f64, f64)> = it.pr.iter().map(|it| (it.recall, it.precision)).collect();
    plot.line(&thin(&points), SOLID);
    for it in it.pr.iter().take(60) {
        let title = format!(
            "threshold {} nats: {} attacks, {} false alarms",
            nats(it.threshold),
            it.hits,
            it.alarms
        );
        plot.dot(it.recall, it.precision, &title, "--accent");
    }
    plot.finish("precision by recall", "share of the attacks found", &percent, &percent)
}

fn cost(it: &Outcome) -> String {
    let most = it.cost.iter().map(|it| it.cost).fold(0.05, f64::max).max(0.5);
    let mut plot = Plot::new((0.0, 1.0), (0.0, most), 240.0);
    let trivial = [(0.0, 0.0), (0.5, 0.5), (1.0, 0.0)];
    plot.line(&trivial, DASHED);
    plot.line(&it.cost.iter().map(|it| (it.weight, it.cost)).collect::<Vec<_>>(), SOLID);
    plot.finish(
        "least expected cost",
        "weight of a missed attack against a false alarm",
        &|x| format!("{x:.2}"),
        &|v| format!("{v:.2}"),
    ) + "<p>solid: the best threshold at each weight · dashed: never or always acting, whichever is cheaper</p>"
}

fn lead(it: &Outcome) -> String {
    let known: Vec<(&IncidentLine, i64)> =
        it.incidents.iter().filter_map(|it| Some((it, it.seen.as_ref()?.lead_blocks))).collect();
    if known.is_empty() {
        return "<p>No attack was seen.</p>".into();
    }
    let early = known.iter().filter(|it| it.1 > 0).count();
    let rows: Vec<Vec<String>> = known
        .iter()
        .map(|(it, blocks)| {
            let lost = it.seen.as_ref().map_or(Usd::ZERO, |it| it.lost);
            vec![it.incident.clone(), blocks.to_string(), money(lost), money(it.lost.minus(lost))]
        })
        .collect();
    format!(
        "<p>{early} of {} attacks were seen at least one block before their last loss; the others take everything in the block in which they show.</p>{}",
        known.len(),
        html::table(
            &["attack", "blocks before the last loss", "lost by then", "still there"],
            &rows
        )
    )
}

fn walk(it: &Outcome) -> String {
    let row = |it: &cofferdam_backtest::FoldLine| {
        let to = if it.to == u64::MAX { "the end".into() } else { moment(it.to) };
        vec![
            format!("{} to {to}", moment(it.from)),
            format!("{} / {}", it.train.0, it.train.1),
            format!("{} / {}", it.test.0, it.test.1),
            it.threshold.map_or("–".into(), nats),
            format!("{} of {}", it.found, it.test.0),
            it.alarms.to_string(),
            money(it.lost),
            money(it.missed),
        ]
    };
    let rows: Vec<Vec<String>> = it.walk_forward.iter().map(row).collect();
    let header = [
        "judged on",
        "chosen on: attacks / benign",
        "judged: attacks / benign",
        "threshold, nats",
        "found",
        "false alarms",
        "lost",
        "of it in missed attacks",
    ];
    html::table(&header, &rows)
}

fn counterfactual(it: &Counterfactual) -> String {
    let dollars = |it: Usd| it.0 as f64 / 1e6;
    let last = it.points.last().map_or(1, |it| it.minutes);
    let mut plot = Plot::new((0.0, last as f64), (0.0, dollars(it.total).max(1.0)), 240.0);
    // Money leaves at once, not gradually: a staircase.
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for point in thin(&it.points) {
        let (x, y) = (point.minutes as f64, dollars(point.lost));
        if let Some((_, before)) = steps.last().copied() {
            steps.push((x, before));
        }
        steps.push((x, y));
    }
    plot.line(&steps, SOLID);
    let rows: Vec<Vec<String>> = [0, 1, 2, 5, 10, 30, 60, 174, 1_440]
        .iter()
        .filter_map(|minutes| {
            it.points.iter().rev().find(|it| it.minutes <= *minutes).map(|p| (minutes, p))
        })
        .map(|(minutes, p)| vec![format!("{minutes} min"), money(p.lost), money(p.saved)])
        .collect();
    let seen = it.seen.map_or("never seen: the delay counts from the first loss".into(), |it| {
        format!("first seen {}", moment(it))
    });
    let figure = plot.finish(
        &format!("{}: lost by delay", it.incident),
        "minutes from first sight to containment",
        &|x| format!("{x:.0}"),
        &usd,
    );
    format!(
        "{figure}<p>{seen} · {} lost between {} and {} · {} of {} losses have a price</p><details><summary>by minute</summary>{}</details>",
        money(it.total),
        moment(it.first_loss),
        moment(it.last_loss),
        it.priced.0,
        it.priced.1,
        html::table(&["delay", "lost", "saved"], &rows)
    )
}

fn timelines(it: &Outcome) -> String {
    let mut dear: Vec<&IncidentLine> =
        it.incidents.iter().filter(|it| it.steps.len() > 1).collect();
    dear.sort_by_key(|it| std::cmp::Reverse(it.lost));
    dear.truncate(TIMELINES_MAX);
    if dear.is_empty() {
        return "<p>Every attack of this data is one transaction: there is no line to draw.</p>"
            .into();
    }
    dear.into_iter().map(timeline).collect::<Vec<_>>().join("\n")
}

fn timeline(it: &IncidentLine) -> String {
    let minute = |time: u64| time.saturating_sub(it.first) as f64 / 60_000.0;
    let low = it.steps.iter().map(|it| it.score).min().unwrap_or_default() as f64 / 1e3;
    let high = it.steps.iter().map(|it| it.score).max().unwrap_or_default() as f64 / 1e3;
    let mut plot =
        Plot::new((0.0, minute(it.last).max(0.2)), (low.min(-18.0), high.max(5.0)), 200.0);
    let points: Vec<(f64, f64)> =
        it.steps.iter().map(|it| (minute(it.time), it.score as f64 / 1e3)).collect();
    plot.line(&thin(&points), SOLID);
    for step in it.steps.iter().take(200) {
        let tx = step.tx.map_or("whole block".into(), |it| it.to_string());
        let title = format!("{tx}: lost so far {}", money(step.lost));
        plot.dot(minute(step.time), step.score as f64 / 1e3, &title, "--bad");
    }
    if let Some(seen) = &it.seen {
        plot.mark(minute(seen.time), "seen", "--warn");
    }
    if let Some(answered) = &it.answered {
        plot.mark(minute(answered.time), &format!("answered: {}", answered.by), "--good");
    }
    plot.finish(
        &format!("{}: {} lost", it.incident, money(it.lost)),
        "minutes since the first transaction",
        &|x| format!("{x:.1}"),
        &|v| format!("{v:.0} nats"),
    )
}

fn rules(it: &Outcome) -> String {
    let row = |it: &cofferdam_backtest::RuleLine| {
        let benign: Vec<String> =
            it.benign.iter().rev().map(|(severity, count)| format!("{count} {severity}")).collect();
        vec![
            it.rule.clone(),
            it.detector.clone(),
            it.attacks.to_string(),
            it.critical_attacks.to_string(),
            benign.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = it.rules.iter().map(row).collect();
    html::table(
        &["rule", "detector", "attacks it spoke of", "critically", "benign transactions"],
        &rows,
    )
}

fn worst(it: &Outcome) -> String {
    let rows: Vec<Vec<String>> = it
        .worst
        .iter()
        .map(|it| {
            let row = &it.row;
            vec![
                row.tx.map_or("whole block".into(), |it| it.to_string()),
                format!("{}, block {}", row.strand, row.number),
                moment(row.time),
                nats(row.score),
                row.severity.map_or("none".into(), |it| it.to_string()),
                row.rules.iter().map(|it| it.rule.clone()).collect::<Vec<_>>().join(", "),
                row.summary.clone(),
            ]
        })
        .collect();
    html::table(
        &["transaction", "where", "when", "score, nats", "severity", "rules", "what"],
        &rows,
    )
}

fn data(it: &Outcome) -> String {
    let t = &it.totals;
    let mut by_source: std::collections::BTreeMap<&str, (u64, u64)> = Default::default();
    for strand in &it.strands {
        let of = by_source.entry(&strand.source).or_default();
        *of = (of.0 + 1, of.1 + strand.blocks);
    }
    let rows: Vec<Vec<String>> = by_source
        .into_iter()
        .map(|(source, (strands, blocks))| {
            vec![source.to_owned(), strands.to_string(), blocks.to_string()]
        })
        .collect();
    format!(
        "{}<p>{} blocks, {} transactions; {} left out within an hour before and a day after an attack · {} blind findings · {} state reads that the data does not answer · seed {}</p>",
        html::table(&["source", "strands", "blocks"], &rows),
        t.blocks,
        t.txs,
        t.left_out,
        t.blind,
        t.unanswered,
        it.options.seed
    )
}
