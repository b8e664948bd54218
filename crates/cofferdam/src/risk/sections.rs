//! The larger sections of the page: grid, pauses, solvency, contagion, data.

use std::fmt::Write;

use super::{
    chart::{GraphNode, HeatCell, Plot, Stroke, graph, heat_map},
    document::{ContagionLine, GridCell, IncidentView, PauseLine},
    format::{escape, percent, short, usd},
    html::{between, figure, table},
};

/// Both heat maps of the grid at the first time.
pub(super) fn grid(cells: &[GridCell]) -> String {
    let now: Vec<&GridCell> = cells.iter().filter(|c| c.weight == 1.0 && c.hours == 0.0).collect();
    let mut columns: Vec<f64> = now.iter().map(|c| c.spot).collect();
    columns.sort_by(f64::total_cmp);
    columns.dedup();
    let labels: Vec<String> = columns.iter().map(|c| format!("{:+.0} %", 100.0 * c)).collect();
    let rows = ["up", "same", "down"];
    let names: Vec<String> = rows.iter().map(|r| format!("vol {r}")).collect();
    let place = |c: &GridCell| {
        let column = columns.iter().position(|x| x.total_cmp(&c.spot).is_eq())?;
        Some((column, rows.iter().position(|r| *r == c.vol)?))
    };
    let cell = |value: f64, text: String, c: &&GridCell| {
        let (column, row) = place(c)?;
        let title = format!(
            "spot {:+.0} %, vol {}: profit {} ({} coins), {} accounts under water for {}, fund left {}",
            100.0 * c.spot,
            c.vol,
            usd(c.pnl_usd),
            short(c.pnl_coin),
            c.insolvent,
            usd(c.shortfall_usd),
            usd(c.fund_left_usd)
        );
        Some(HeatCell { column, row, value, text, title })
    };
    let shortfall: Vec<HeatCell> = now
        .iter()
        .filter_map(|c| {
            cell(
                -c.shortfall_usd,
                if c.shortfall_usd > 0.0 { usd(c.shortfall_usd) } else { "0".to_owned() },
                c,
            )
        })
        .collect();
    let profit: Vec<HeatCell> =
        now.iter().filter_map(|c| cell(c.pnl_usd, usd(c.pnl_usd), c)).collect();
    let tail: Vec<Vec<String>> = cells
        .iter()
        .filter(|c| c.weight != 1.0)
        .map(|c| {
            vec![
                format!("{:+.0} %", 100.0 * c.spot),
                format!("{}", c.weight),
                usd(c.pnl_usd),
                short(c.pnl_coin),
                usd(c.pnl_usd * c.weight),
                usd(c.shortfall_usd),
            ]
        })
        .collect();
    format!(
        "<h3>shortfall of accounts</h3>{}<h3>profit of the book</h3>{}<details><summary>tail moves, volatility up</summary>{}</details>",
        heat_map("shortfall by spot and volatility", &labels, &names, &shortfall),
        heat_map("profit by spot and volatility", &labels, &names, &profit),
        table(&["spot", "weight", "profit", "profit in coins", "weighted", "shortfall"], &tail)
    )
}

/// Distribution of one pause and the table over all lengths.
pub(super) fn pause(p: &PauseLine, all: &[PauseLine]) -> String {
    let mut out = String::new();
    if p.histogram.len() > 1 {
        let step = p.histogram[1].0 - p.histogram[0].0;
        let (low, high) = (p.histogram[0].0, p.histogram[p.histogram.len() - 1].0 + step);
        let most = p.histogram.iter().map(|b| b.1).fold(0.0, f64::max);
        let mut plot = Plot::new((low, high), (0.0, most * 1.08), 260.0);
        for (from, share) in &p.histogram {
            let colour = if from + step / 2.0 < 0.0 { "--bad" } else { "--good" };
            let title = format!("{} to {}: {}", usd(*from), usd(from + step), percent(*share));
            plot.bar(*from, from + step, *share, &title, colour);
        }
        plot.mark(p.es_975_usd.max(low), &format!("ES 97.5 {}", usd(p.es_975_usd)), "--ink");
        plot.line(
            &[(p.pnl_mean_usd, 0.0), (p.pnl_mean_usd, most)],
            Stroke { colour: "--accent", dash: "", width: 2.0 },
        );
        out.push_str(&plot.finish(
            "profit over the pause",
            "profit of the book over the pause, USD (line: mean; outer bins are open)",
            &usd,
            &percent,
        ));
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|p| {
            vec![
                format!("{} h", p.hours),
                usd(p.pnl_mean_usd),
                format!("{} to {}", usd(p.pnl_range_usd.0), usd(p.pnl_range_usd.1)),
                usd(p.es_999_usd),
                format!("{} ({})", usd(p.shortfall_usd.value), between(&p.shortfall_usd, &usd)),
                percent(p.fund_empty),
                p.expiries.len().to_string(),
            ]
        })
        .collect();
    out.push_str(&table(
        &[
            "pause",
            "mean profit",
            "1 % to 99 %",
            "ES 99.9",
            "expected shortfall",
            "P(fund empty)",
            "expiries inside",
        ],
        &rows,
    ));
    if !p.expiries.is_empty() {
        let rows: Vec<Vec<String>> = p
            .expiries
            .iter()
            .map(|(n, h, q, pin)| {
                vec![
                    n.clone(),
                    format!("{h:.1} h"),
                    short(*q),
                    if *pin { "AT THE STRIKE" } else { "" }.to_owned(),
                ]
            })
            .collect();
        out.push_str(&table(&["expires inside", "in", "net quantity", ""], &rows));
    }
    out
}

/// Fund, distance and waterfalls.
pub(super) fn solvency(d: &IncidentView) -> String {
    let s = &d.solvency;
    let micro = |text: &str| text.parse::<f64>().map_or_else(|_| text.to_owned(), |x| usd(x / 1e6));
    let rows: Vec<Vec<String>> = s
        .waterfalls
        .iter()
        .map(|w| {
            let cut: Vec<String> =
                w.cut.iter().take(3).map(|(n, a)| format!("{n} {}", micro(a))).collect();
            vec![
                format!("{:+.0} %", 100.0 * w.spot),
                micro(&w.shortfall_micro_usd),
                micro(&w.fund_micro_usd),
                micro(&w.haircuts_micro_usd),
                micro(&w.treasury_micro_usd),
                micro(&w.uncovered_micro_usd),
                cut.join(", "),
            ]
        })
        .collect();
    let distance = s
        .distance_to_depletion
        .map_or("beyond the grid".to_owned(), |m| format!("{:+.1} %", 100.0 * m));
    let figures = [
        figure(
            "shortfall now",
            &usd(s.shortfall_now_usd),
            "",
            if s.shortfall_now_usd > 0.0 { "alarm" } else { "" },
        ),
        figure("worst regular cell", &usd(s.shortfall_worst_usd), &s.worst_cell, ""),
        figure("fund", &usd(s.fund_usd), &format!("{} used there", percent(s.fund_used)), ""),
        figure("distance to an empty fund", &distance, "spot move at volatility up", ""),
    ];
    format!(
        "<div class=\"figures\">{}</div>{}",
        figures.join(""),
        table(
            &[
                "spot",
                "shortfall",
                "fund pays",
                "winners pay",
                "treasury pays",
                "nobody pays",
                "cut most"
            ],
            &rows
        )
    )
}

/// Graph, cut values, backing.
pub(super) fn network(c: &ContagionLine) -> String {
    let nodes: Vec<GraphNode> = c
        .nodes
        .iter()
        .map(|(name, value, distress)| GraphNode {
            name: name.clone(),
            value: *value,
            distress: *distress,
        })
        .collect();
    let place = |name: &str| c.nodes.iter().position(|n| n.0 == name);
    let edges: Vec<_> = c
        .edges
        .iter()
        .filter_map(|(from, to, kind, w)| {
            Some((place(from)?, place(to)?, *w, format!("{kind} {w:.2}")))
        })
        .collect();
    let cuts: Vec<Vec<String>> =
        c.cuts.iter().map(|(a, b, saved)| vec![format!("{a} → {b}"), usd(*saved)]).collect();
    let backing: Vec<Vec<String>> = c
        .backing
        .iter()
        .map(|(n, ratio, alarm, v)| {
            vec![
                n.clone(),
                format!("{ratio:.3}"),
                alarm.as_ref().map_or("ok".to_owned(), |a| format!("‼ {a}")),
                v.clone(),
            ]
        })
        .collect();
    let mut out = format!(
        "<p>{} lost in all, {} of it beyond the first shock.</p>{}",
        usd(c.loss_usd),
        usd(c.spread_usd),
        graph("who loses when whom does", &nodes, &edges)
    );
    out.push_str(&table(&["cut this edge", "saves"], &cuts));
    if !backing.is_empty() {
        out.push_str(&table(&["wrapped asset", "backing", "breaker", "verifiers"], &backing));
    }
    out
}

/// Quality line.
pub(super) fn data(d: &IncidentView) -> String {
    let q = &d.data;
    let mut out = format!(
        "<p>index {} s · chain {} s{} · {} of quotes one-sided · {} · inputs <code>{}</code></p>",
        q.index_age_ms as f64 / 1_000.0,
        q.chain_age_ms as f64 / 1_000.0,
        q.block.map_or(String::new(), |b| format!(" · block {b}")),
        percent(q.one_sided),
        escape(&q.model),
        escape(q.input_hash.get(..18).unwrap_or_default())
    );
    if q.flags.is_empty() {
        out.push_str("<p>no data-quality flag</p>");
    } else {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<p>‼ results are widened by {} of spot, {} of volatility, {} of quantity</p><ul>",
            percent(q.widened_spot),
            percent(q.widened_vol),
            percent(q.widened_quantity)
        );
        for f in &q.flags {
            let _ = write!(out, "<li>{}</li>", escape(f));
        }
        out.push_str("</ul>");
    }
    out
}
