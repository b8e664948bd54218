//! The views in a terminal.

use std::fmt::Write;

use cofferdam_risk::{
    RiskError,
    scenario::expiry::{ExpiringOption, ExpiryComparison, SettlementPrices, compare_expiries},
};

use super::{
    build::Views,
    document::{ContagionLine, IncidentView},
    format::{percent, short, table, usd},
    html,
    input::Params,
};

/// The incident screen.
pub(super) fn report(d: &IncidentView) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if let Some((i, m)) = d.incident.as_ref().zip(d.money.as_ref()) {
        let _ = writeln!(
            out,
            "{}  {} @ {}  P(exploit in progress) {} [{} - {}]  stage: {}  evidence {:+.1} nats (prior {:.1})",
            i.id,
            i.pool,
            i.chain,
            percent(i.probability.value),
            percent(i.probability.low),
            percent(i.probability.high),
            i.stage,
            i.evidence_nats,
            i.prior_nats
        );
        let verdict = m.action.as_ref().map_or("WAIT".to_owned(), |a| format!("ACT: {a}"));
        let _ = writeln!(
            out,
            "EXPECTED LOSS now {} = {} x {}   next block if we wait: {}   threshold {}   -> {verdict}   value of waiting: {}\n",
            usd(m.expected_loss_usd.value),
            percent(i.probability.value),
            usd(m.at_risk_usd),
            usd(m.next_block_usd),
            percent(m.threshold),
            usd(m.value_of_waiting_usd)
        );
    }
    if !d.actions.is_empty() {
        out.push_str(&actions(d));
        out.push('\n');
    }
    out.push_str(&book(d));
    out.push('\n');
    out.push_str(&pauses(d));
    out.push('\n');
    out.push_str(&solvency(d));
    if let Some(c) = &d.contagion {
        out.push('\n');
        out.push_str(&contagion(c));
    }
    if !d.reversals.is_empty() {
        out.push_str("\nwhat would change the decision\n");
        let show = |x: f64, unit: &str| if unit == "probability" { percent(x) } else { usd(x) };
        let rows: Vec<Vec<String>> = d
            .reversals
            .iter()
            .map(|r| vec![r.input.clone(), show(r.now, &r.unit), show(r.turns_at, &r.unit)])
            .collect();
        out.push_str(&table(&["number", "now", "turns at"], &rows));
    }
    out.push('\n');
    out.push_str(&data(d));
    out
}

fn actions(d: &IncidentView) -> String {
    let chosen = d.money.as_ref().and_then(|m| m.action.as_deref());
    let rows: Vec<Vec<String>> = d
        .actions
        .iter()
        .map(|a| {
            vec![
                format!("{}{}", if chosen == Some(a.name.as_str()) { "> " } else { "  " }, a.name),
                percent(a.threshold),
                usd(a.net_benefit_usd),
                usd(a.cost_if_false_usd.value),
                usd(a.pause_risk_usd),
                percent(a.stops),
                a.users.to_string(),
                if a.reversible { "yes" } else { "NO" }.to_owned(),
                format!("{} h", a.expires_hours),
                a.approvals.clone(),
                html::blocks(a.in_effect_blocks),
            ]
        })
        .collect();
    let header = [
        "  action",
        "P*",
        "net benefit",
        "cost if false",
        "pause risk",
        "stops",
        "users",
        "undo",
        "expires",
        "approvals",
        "in effect",
    ];
    table(&header, &rows)
}

fn book(d: &IncidentView) -> String {
    let (b, a) = (&d.book, &d.book.asset);
    let coin = |x: f64| format!("{} {a}", short(x));
    let rows = [
        vec!["value".to_owned(), usd(b.value_usd.value), coin(b.value_coin)],
        vec![
            "delta".to_owned(),
            coin(b.delta_usd_measure_coin.value),
            coin(b.delta_coin_measure_coin),
        ],
        vec!["gamma / 1 %".to_owned(), coin(b.gamma_per_percent_coin), "–".to_owned()],
        vec![
            "vega / point".to_owned(),
            usd(b.vega_per_point_usd.value),
            coin(b.vega_per_point_usd.value / b.index_usd),
        ],
        vec![
            "theta / day".to_owned(),
            usd(b.theta_per_day_usd),
            coin(b.theta_per_day_usd / b.index_usd),
        ],
        vec!["vanna / point".to_owned(), coin(b.vanna_per_point_coin), "–".to_owned()],
        vec!["volga / point".to_owned(), usd(b.volga_per_point_usd), "–".to_owned()],
    ];
    table(&[&format!("{} at {}", b.pool, usd(b.index_usd)), "USD measure", "coin measure"], &rows)
}

/// Every pause.
pub(super) fn pauses(d: &IncidentView) -> String {
    let rows: Vec<Vec<String>> = d
        .pauses
        .iter()
        .map(|p| {
            vec![
                format!("{} h", p.hours),
                usd(p.pnl_mean_usd),
                usd(p.pnl_range_usd.0),
                usd(p.pnl_range_usd.1),
                usd(p.es_999_usd),
                usd(p.shortfall_usd.value),
                percent(p.fund_empty),
                p.expiries.len().to_string(),
            ]
        })
        .collect();
    let header = [
        "if paused",
        "mean P&L",
        "1 %",
        "99 %",
        "ES 99.9",
        "E shortfall",
        "P(fund empty)",
        "expiries",
    ];
    table(&header, &rows)
}

/// The grid now: profit and shortfall.
pub(super) fn grid(d: &IncidentView) -> String {
    let row = |c: &super::document::GridCell| {
        vec![
            format!("{:+.0} %", 100.0 * c.spot),
            c.vol.clone(),
            format!("{} h", c.hours),
            usd(c.pnl_usd),
            short(c.pnl_coin),
            c.insolvent.to_string(),
            usd(c.shortfall_usd),
            usd(c.fund_left_usd),
        ]
    };
    let rows: Vec<Vec<String>> = d.grid.iter().map(row).collect();
    let header = ["spot", "vol", "in", "P&L", "P&L coins", "insolvent", "shortfall", "fund left"];
    table(&header, &rows)
}

/// Fund and waterfalls.
pub(super) fn solvency(d: &IncidentView) -> String {
    let s = &d.solvency;
    let micro = |t: &str| t.parse::<f64>().map_or_else(|_| t.to_owned(), |x| usd(x / 1e6));
    let distance = s
        .distance_to_depletion
        .map_or("beyond the grid".to_owned(), |m| format!("{:+.1} % spot", 100.0 * m));
    let mut out = format!(
        "shortfall now {}, worst cell {} ({}); fund {}, {} used there; empty at {distance}\n",
        usd(s.shortfall_now_usd),
        usd(s.shortfall_worst_usd),
        s.worst_cell,
        usd(s.fund_usd),
        percent(s.fund_used)
    );
    let rows: Vec<Vec<String>> = s
        .waterfalls
        .iter()
        .map(|w| {
            vec![
                format!("{:+.0} %", 100.0 * w.spot),
                micro(&w.shortfall_micro_usd),
                micro(&w.fund_micro_usd),
                micro(&w.haircuts_micro_usd),
                micro(&w.treasury_micro_usd),
                micro(&w.uncovered_micro_usd),
            ]
        })
        .collect();
    out.push_str(&table(
        &["spot", "shortfall", "fund pays", "winners pay", "treasury pays", "nobody pays"],
        &rows,
    ));
    out
}

/// Nodes, cuts, backing.
pub(super) fn contagion(c: &ContagionLine) -> String {
    let mut out =
        format!("contagion: {} lost, {} beyond the shock\n", usd(c.loss_usd), usd(c.spread_usd));
    let nodes: Vec<Vec<String>> =
        c.nodes.iter().map(|(n, v, h)| vec![n.clone(), usd(*v), percent(*h), usd(v * h)]).collect();
    out.push_str(&table(&["node", "value", "lost", "loss"], &nodes));
    let cuts: Vec<Vec<String>> =
        c.cuts.iter().map(|(a, b, s)| vec![format!("{a} -> {b}"), usd(*s)]).collect();
    out.push_str(&table(&["cut", "saves"], &cuts));
    for (name, ratio, alarm, verifiers) in &c.backing {
        let state = alarm.as_deref().map_or("ok", |a| a);
        let _ = writeln!(out, "{name} backing {ratio:.3} {state} {verifiers}");
    }
    out
}

fn data(d: &IncidentView) -> String {
    let q = &d.data;
    let mut out = format!(
        "DATA: index {} s | chain {} s | {} one-sided | {} | inputs {}\n",
        q.index_age_ms as f64 / 1e3,
        q.chain_age_ms as f64 / 1e3,
        percent(q.one_sided),
        q.model,
        q.input_hash.get(..10).unwrap_or_default()
    );
    for f in &q.flags {
        let _ = writeln!(out, "  !! {f}");
    }
    if !q.flags.is_empty() {
        let _ = writeln!(
            out,
            "  widened by {} of spot, {} of volatility, {} of quantity",
            percent(q.widened_spot),
            percent(q.widened_vol),
            percent(q.widened_quantity)
        );
    }
    out
}

/// The expiries inside the first pause under the three settlements; none without settlement prices.
pub(super) fn expiry_choices(
    views: &Views,
    params: &Params,
) -> Result<Vec<ExpiryComparison>, RiskError> {
    let Some(s) = params.settlement else { return Ok(Vec::new()) };
    let hours = params.hours.first().copied().unwrap_or(6.0);
    let book = &views.book;
    let mut options = Vec::new();
    for (i, (leg, name)) in book.legs.iter().zip(&book.names).enumerate() {
        let Some(option) = leg.option() else { continue };
        let holders = book
            .accounts
            .iter()
            .zip(&book.holders)
            .filter_map(|(a, id)| {
                let held: f64 = a.positions.iter().filter(|p| p.0 == i).map(|p| p.1).sum();
                (held != 0.0).then(|| (id.clone(), held))
            })
            .collect();
        options.push(ExpiringOption { id: name.clone(), option: *option, holders });
    }
    let prices = SettlementPrices {
        published: s.published,
        attested: s.attested,
        oracle_down_hours: s.oracle_down_hours,
    };
    compare_expiries(&options, &prices, hours)
}

const CHOICES: [&str; 8] = [
    "expires",
    "in",
    "open interest",
    "settle pays",
    "postpone pays",
    "attest pays",
    "samples lost",
    "gains by postponing",
];

fn choice_rows(all: &[ExpiryComparison]) -> Vec<Vec<String>> {
    all.iter()
        .map(|c| {
            let gains = c
                .postponing_gains
                .first()
                .map_or_else(String::new, |(n, x)| format!("{n} {}", usd(*x)));
            vec![
                format!("{}{}", c.id, if c.pin_risk { " (at the strike)" } else { "" }),
                format!("{:.1} h", c.hours),
                short(c.open_interest),
                usd(c.paid[0]),
                usd(c.paid[1]),
                usd(c.paid[2]),
                c.samples_missing.to_string(),
                gains,
            ]
        })
        .collect()
}

/// As text.
pub(super) fn choices_text(all: &[ExpiryComparison]) -> String {
    if all.is_empty() { String::new() } else { format!("\n{}", table(&CHOICES, &choice_rows(all))) }
}

/// As HTML.
pub(super) fn choices_html(all: &[ExpiryComparison]) -> String {
    html::table(&CHOICES, &choice_rows(all))
}
