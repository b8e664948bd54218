//! One self-contained page: no script, no font, no image from anywhere else. Light and dark follow the reader's system.

use std::fmt::Write;

use super::{
    document::{ActionLine, IncidentView, Ranged},
    format::{escape, percent, short, usd},
    sections::{data, grid, network, pause, solvency},
};

const STYLE: &str = include_str!("page.css");

/// The page around sections.
pub(crate) fn page(title: &str, sections: &[String]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head><body><main>\n{}\n</main></body></html>\n",
        escape(title),
        sections.join("\n")
    )
}

/// A titled section.
pub(crate) fn section(title: &str, body: &str) -> String {
    format!("<section><h2>{}</h2>\n{body}</section>", escape(title))
}

/// Rows of a table; cells are text.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
    for h in header {
        // Writing to a String cannot fail.
        let _ = write!(out, "<th>{}</th>", escape(h));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escape(cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

pub(crate) fn figure(label: &str, value: &str, detail: &str, tone: &str) -> String {
    format!(
        "<div class=\"figure {tone}\"><span class=\"label\">{}</span><strong>{}</strong><span class=\"detail\">{}</span></div>",
        escape(label),
        escape(value),
        escape(detail)
    )
}

pub(super) fn between(r: &Ranged, show: &dyn Fn(f64) -> String) -> String {
    format!("{} to {}", show(r.low), show(r.high))
}

/// The screen of section 15.
pub(super) fn incident(d: &IncidentView, extra: &[String]) -> String {
    let mut sections = vec![header(d)];
    if !d.actions.is_empty() {
        sections.push(section(
            "What can be done",
            &actions(&d.actions, d.money.as_ref().and_then(|m| m.action.as_deref())),
        ));
    }
    sections.push(section("The book", &book(d)));
    sections.push(section("Grid: shortfall and profit now, spot by volatility", &grid(&d.grid)));
    if let Some(p) = d.pauses.first() {
        sections.push(section(&format!("If paused for {} h", p.hours), &pause(p, &d.pauses)));
    }
    sections.push(section("Who pays", &solvency(d)));
    if let Some(c) = &d.contagion {
        sections.push(section("Contagion", &network(c)));
    }
    if !d.reversals.is_empty() {
        sections.push(section("What would change the decision", &reversals(d)));
    }
    sections.extend_from_slice(extra);
    sections.push(section("Data", &data(d)));
    page(&format!("{} – {}", d.book.pool, d.incident.as_ref().map_or("book", |i| &i.id)), &sections)
}

fn header(d: &IncidentView) -> String {
    let Some((i, m)) = d.incident.as_ref().zip(d.money.as_ref()) else {
        return format!("<header><h1>{}</h1></header>", escape(&d.book.pool));
    };
    let act = m.verdict == "act";
    let verdict = match &m.action {
        Some(action) => format!("ACT: {action}"),
        None => "WAIT".to_owned(),
    };
    let figures = [
        figure(
            "verdict",
            &verdict,
            &format!("threshold {}", percent(m.threshold)),
            if act { "alarm" } else { "calm" },
        ),
        figure(
            "exploit in progress",
            &percent(i.probability.value),
            &between(&i.probability, &percent),
            "",
        ),
        figure(
            "expected loss now",
            &usd(m.expected_loss_usd.value),
            &between(&m.expected_loss_usd, &usd),
            "",
        ),
        figure(
            "at risk",
            &usd(m.at_risk_usd),
            &format!("next block {}", usd(m.next_block_usd)),
            "",
        ),
        figure(
            "value of waiting a block",
            &usd(m.value_of_waiting_usd),
            if m.value_of_waiting_usd < 0.0 { "waiting costs" } else { "waiting pays" },
            "",
        ),
    ];
    let mut evidence = Vec::new();
    for e in &i.evidence {
        evidence.push(vec![
            e.cause.clone(),
            format!("{:+.1}", e.raw_nats),
            format!("{:+.1}", e.counted_nats),
            e.detectors.join(", "),
        ]);
    }
    format!(
        "<header><h1>{} <small>{} @ {} · stage: {}</small></h1><div class=\"figures\">{}</div>\
         <details><summary>evidence {:+.1} nats on a prior of {:.1}{}</summary>{}</details></header>",
        escape(&i.id),
        escape(&i.pool),
        escape(&i.chain),
        escape(&i.stage),
        figures.join(""),
        i.evidence_nats,
        i.prior_nats,
        i.false_alarms_left
            .map_or(String::new(), |n| format!(" · {n} false alarms left this quarter")),
        table(&["cause", "raw nats", "counted nats", "detectors"], &evidence)
    )
}

/// `1 block`, `2 blocks`.
pub(super) fn blocks(n: u32) -> String {
    if n == 1 { "1 block".to_owned() } else { format!("{n} blocks") }
}

fn actions(lines: &[ActionLine], chosen: Option<&str>) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|a| {
            let mark = if chosen == Some(a.name.as_str()) { "▶ " } else { "" };
            let range = between(&a.cost_if_false_usd, &usd);
            vec![
                format!("{mark}{}", a.name),
                percent(a.threshold),
                usd(a.net_benefit_usd),
                format!("{} ({range})", usd(a.cost_if_false_usd.value)),
                usd(a.pause_risk_usd),
                percent(a.stops),
                a.users.to_string(),
                if a.reversible { "yes" } else { "NO" }.to_owned(),
                format!("{} h", a.expires_hours),
                format!("{}, {}", a.approvals, blocks(a.in_effect_blocks)),
            ]
        })
        .collect();
    let header = [
        "action",
        "P*",
        "net benefit",
        "cost if false",
        "pause risk",
        "stops",
        "users",
        "undo",
        "ends in",
        "approvals, in effect",
    ];
    let mut out = table(&header, &rows);
    for a in lines {
        let rows: Vec<Vec<String>> =
            a.tornado.iter().map(|(n, lo, hi)| vec![n.clone(), usd(*lo), usd(*hi)]).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<details><summary>{}: which inputs its cost hangs on</summary>{}</details>",
            escape(&a.name),
            table(&["input", "cost at its low end", "cost at its high end"], &rows)
        );
    }
    out
}

fn book(d: &IncidentView) -> String {
    let (b, asset) = (&d.book, &d.book.asset);
    let coin = |x: f64| format!("{} {asset}", short(x));
    let row = |name: &str, usd_view: String, coin_view: String, range: String| {
        vec![name.to_owned(), usd_view, coin_view, range]
    };
    let none = || "–".to_owned();
    let rows = [
        row("value", usd(b.value_usd.value), coin(b.value_coin), between(&b.value_usd, &usd)),
        row(
            "delta",
            coin(b.delta_usd_measure_coin.value),
            coin(b.delta_coin_measure_coin),
            between(&b.delta_usd_measure_coin, &short),
        ),
        row("gamma per 1 %", coin(b.gamma_per_percent_coin), none(), none()),
        row(
            "vega per point",
            usd(b.vega_per_point_usd.value),
            coin(b.vega_per_point_usd.value / b.index_usd),
            between(&b.vega_per_point_usd, &usd),
        ),
        row(
            "theta per day",
            usd(b.theta_per_day_usd),
            coin(b.theta_per_day_usd / b.index_usd),
            none(),
        ),
        row("vanna per point", coin(b.vanna_per_point_coin), none(), none()),
        row("volga per point", usd(b.volga_per_point_usd), none(), none()),
    ];
    let top: Vec<Vec<String>> =
        b.top_accounts.iter().map(|(n, e, s)| vec![n.clone(), usd(*e), percent(*s)]).collect();
    format!(
        "{}<details><summary>accounts, concentration {:.2} (1 = one account)</summary>{}</details>",
        table(&["", "USD measure", "coin measure", "within the data's doubt"], &rows),
        b.concentration,
        table(&["account", "equity", "share of gross value"], &top)
    )
}

fn reversals(d: &IncidentView) -> String {
    let show = |x: f64, unit: &str| if unit == "probability" { percent(x) } else { usd(x) };
    let rows: Vec<Vec<String>> = d
        .reversals
        .iter()
        .map(|r| vec![r.input.clone(), show(r.now, &r.unit), show(r.turns_at, &r.unit)])
        .collect();
    table(&["number", "now", "turns the decision at"], &rows)
}
