//! The page for people: one file, no script, nothing from another host. Light and dark follow the reader's
//! system.
//!
//! **Invariant:** its policy forbids everything but its own style, whatever a text would load.

use std::fmt::Write;

use super::{Incident, Page, Update};
use crate::{
    ComponentState, Phase,
    escape::html,
    words::{day, minute},
};

const STYLE: &str = include_str!("page.css");

pub(super) fn index(page: &Page) -> String {
    let name = html(&page.settings.name);
    let (indicator, description) = page.status();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{name} Status</title>\n\
         <link rel=\"alternate\" type=\"application/atom+xml\" title=\"Incident history\" href=\"history.atom\">\n\
         <link rel=\"alternate\" type=\"application/rss+xml\" title=\"Incident history\" href=\"history.rss\">\n\
         <style>\n{STYLE}</style></head>\n<body><main>\n<h1>{name} Status</h1>\n\
         <div class=\"now {indicator}\" role=\"status\">{description}</div>\n"
    );
    components(page, &mut out);
    let (open, past): (Vec<_>, Vec<_>) =
        page.incidents.iter().partition(|it| it.phase != Phase::Resolved);
    if !open.is_empty() {
        out.push_str("<h2>Now</h2>\n");
        open.iter().for_each(|it| incident(it, &mut out));
    }
    out.push_str("<h2>Incident history</h2>\n");
    if past.is_empty() {
        out.push_str("<p class=\"meta\">No incident has been resolved here yet.</p>\n");
    }
    past.iter().for_each(|it| incident(it, &mut out));
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<footer><p>All times are UTC. Feeds: <a href=\"history.atom\">Atom</a>, \
         <a href=\"history.rss\">RSS</a>, <a href=\"api/v2/summary.json\">JSON</a>. TLP:CLEAR</p></footer>\n\
         </main></body></html>\n"
    );
    out
}

fn components(page: &Page, out: &mut String) {
    if page.components.is_empty() {
        return;
    }
    out.push_str("<ul class=\"components\">\n");
    for it in &page.components {
        let tone = match it.state {
            ComponentState::Operational => "none",
            ComponentState::UnderMaintenance => "maintenance",
            ComponentState::DegradedPerformance => "minor",
            ComponentState::PartialOutage => "major",
            ComponentState::MajorOutage => "critical",
        };
        let _ = writeln!(
            out,
            "<li class=\"{tone}\"><span>{}</span><b>{}</b></li>",
            html(&it.name),
            it.state.phrase()
        );
    }
    out.push_str("</ul>\n");
}

fn incident(it: &Incident, out: &mut String) {
    let _ = write!(
        out,
        "<section class=\"incident {}\" id=\"{}\">\n<h3>{}</h3>\n<div class=\"meta\">{}, impact {}{}</div>\n",
        it.impact.word(),
        it.id,
        html(&it.name),
        it.phase.status(),
        it.impact.word(),
        if it.components.is_empty() {
            String::new()
        } else {
            format!(", concerns {}", html(&it.components.join(", ")))
        },
    );
    it.updates.iter().for_each(|it| update(it, out));
    let _ =
        writeln!(out, "<div class=\"meta\">First told on {}.</div>\n</section>", day(it.created()));
}

fn update(it: &Update, out: &mut String) {
    let corrects = match it.corrects {
        Some(at) => format!(" Correction of what was said at {}.", minute(at)),
        None => String::new(),
    };
    let (class, note) = match it.corrected {
        Some(at) => (
            "update corrected",
            format!("<p><strong>Corrected at {}.</strong> It said:</p>\n", minute(at)),
        ),
        None => ("update", String::new()),
    };
    let body: String = it
        .body
        .split("\n\n")
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .map(|it| format!("<p>{}</p>\n", html(it).replace('\n', "<br>")))
        .collect();
    let _ = write!(
        out,
        "<div class=\"{class}\">\n<div class=\"meta\">{} · {} · for {}.{corrects}</div>\n{note}\
         <p><strong>{}</strong></p>\n{body}</div>\n",
        minute(it.at),
        it.phase.status(),
        it.audience,
        html(&it.title)
    );
}
