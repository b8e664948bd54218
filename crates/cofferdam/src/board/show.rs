//! The board for people: text and one self-contained page.

use std::fmt::Write;

use cofferdam_core::plan::Mode;
use cofferdam_statements::{day, escape};

use super::{Board, Row, Stop};

const STYLE: &str = include_str!("page.css");

fn mode(it: Mode) -> &'static str {
    match it {
        Mode::Shadow => "shadow",
        Mode::Alert => "alert",
        Mode::OneClick => "one-click",
        Mode::Automatic => "automatic",
    }
}

fn watched(row: &Row) -> String {
    let all =
        row.watched.iter().map(|it| format!("{} ({}, {})", it.rule, it.detector, mode(it.mode)));
    let all: Vec<String> = all.collect();
    if all.is_empty() { "NOTHING".to_owned() } else { all.join(", ") }
}

/// The parts of an action's line: autonomy, who, path, latency, expiry, proof, drill.
fn cells(it: &Stop, board: &Board) -> [String; 7] {
    let who = if it.who.is_empty() { "NOBODY".to_owned() } else { it.who.join(", ") };
    let expires = it.expires.map_or_else(|| "with the role".to_owned(), day);
    let expires = if it.who.is_empty() { "–".to_owned() } else { expires };
    let proof = match (&it.lost, board.proved) {
        (Some(why), _) => format!("LOST: {}", plain(why)),
        (None, Some(at)) => format!("held at {at}"),
        (None, None) => "NEVER".to_owned(),
    };
    let drill = it.drilled.map_or_else(|| "NEVER".to_owned(), day);
    let latency = format!("{} s", it.latency_ms.div_ceil(1_000));
    [it.autonomy.clone(), who, it.path.clone(), latency, expires, proof, drill]
}

/// A foreign text on one line.
fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(400).collect()
}

/// As text.
pub(crate) fn text(board: &Board) -> String {
    let mut out = String::new();
    for row in &board.rows {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {}\n  watched by  {}", row.entity, row.asset, watched(row));
        if row.stopped.is_empty() {
            let _ = writeln!(out, "  stopped by  NOTHING");
        }
        for it in &row.stopped {
            let [autonomy, who, path, latency, expires, proof, drill] = cells(it, board);
            let _ = writeln!(
                out,
                "  stopped by  {}, {autonomy}, within {latency}\n    who       {who}\n    path      {path}\n    \
                 expires   {expires}\n    proof     {proof}\n    drill     {drill}",
                it.action
            );
        }
    }
    let holes = board.gaps.iter().filter(|it| it.hole).count();
    let _ = writeln!(out, "\n{holes} holes, {} warnings", board.gaps.len() - holes);
    for it in &board.gaps {
        let mark = if it.hole { "HOLE" } else { "warning" };
        let _ = writeln!(out, "  {mark:<8} {}: {}", it.about, plain(&it.what));
    }
    out
}

/// As a page.
pub(crate) fn html(board: &Board) -> String {
    let name = escape::html(&board.protocol);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Readiness: {name}</title>\n\
         <style>\n{STYLE}</style></head>\n<body><main>\n<h1>Readiness: {name}</h1>\n<h2>Gaps</h2>\n"
    );
    let rows = board.gaps.iter().map(|it| {
        let mark = if it.hole { "HOLE" } else { "warning" };
        vec![mark.to_owned(), it.about.clone(), it.what.clone()]
    });
    table(&["", "about", "what"], rows.collect(), &mut out);
    out.push_str("<h2>Who stops what</h2>\n");
    let mut rows = Vec::new();
    for row in &board.rows {
        let head = vec![format!("{} {}", row.entity, row.asset), watched(row)];
        if row.stopped.is_empty() {
            rows.push([head.clone(), vec!["NOTHING".to_owned()]].concat());
        }
        for it in &row.stopped {
            rows.push([head.clone(), vec![it.action.clone()], cells(it, board).to_vec()].concat());
        }
    }
    let header = [
        "asset",
        "watched by",
        "stopped by",
        "goes out",
        "who can authorise",
        "path",
        "latency",
        "expires",
        "proof",
        "drill",
    ];
    table(&header, rows, &mut out);
    out.push_str("</main></body></html>\n");
    out
}

fn table(header: &[&str], rows: Vec<Vec<String>>, out: &mut String) {
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    for it in header {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape::html(it));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for it in row {
            let bad = ["HOLE", "NOTHING", "NOBODY", "NEVER", "LOST"]
                .iter()
                .any(|word| it.starts_with(word));
            let class = if bad { " class=\"bad\"" } else { "" };
            let _ = write!(out, "<td{class}>{}</td>", escape::html(&it));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}
