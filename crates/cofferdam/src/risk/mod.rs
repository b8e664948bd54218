//! The risk views: one computation, shown as JSON, terminal tables or a self-contained page.
//!
//! **Invariant:** a view shows what the models returned with units and flags; it decides nothing and rounds only what
//! people read.

mod build;
pub(crate) mod chart;
pub(crate) mod curve;
mod document;
pub(crate) mod format;
pub(crate) mod html;
mod input;
mod limits;
pub(crate) mod live;
mod network;
mod sections;
mod smile;
mod tables;

use cofferdam_core::ports::Cause;
use cofferdam_positions::book::read_book;
use cofferdam_risk::{book::PoolBook, threshold::ThresholdCurve};

pub(crate) use document::IncidentView;
pub(crate) use input::Params;

/// Which view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The incident screen.
    Report,
    /// Spot by volatility.
    Grid,
    /// Pauses.
    Pause,
    /// Who pays.
    Solvency,
    /// Where it spreads.
    Contagion,
    /// Limiters.
    Limits,
    /// Volatility smiles.
    Iv,
}

/// A rendered view.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// As JSON.
    pub(crate) json: serde_json::Value,
    /// As text.
    pub(crate) text: String,
    /// As a page.
    pub(crate) page: String,
}

/// A view needs a section of the parameters that is not there.
#[derive(Debug, thiserror::Error)]
#[error("the parameters have no section `{0}`")]
pub(crate) struct NoSection(pub(crate) &'static str);

/// The document's JSON Schema.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(IncidentView)
}

/// Reads the parameters; an empty text is the defaults.
///
/// # Errors
/// Text that is not the parameters' JSON.
pub(crate) fn params(text: &str) -> Result<Params, serde_json::Error> {
    if text.trim().is_empty() { Ok(Params::default()) } else { serde_json::from_str(text) }
}

/// Renders one view of a book, both as text; `now` is unix seconds.
///
/// # Errors
/// A book or parameters that cannot be used, with the reason as cause.
pub(crate) fn render(
    view: View,
    book: &str,
    parameters: &str,
    now: u64,
) -> Result<Rendered, Cause> {
    let params = params(parameters)?;
    let source = match view {
        // These two need no book.
        View::Contagion | View::Limits if book.is_empty() => None,
        _ => Some(read_book(book, now)?),
    };
    match (view, source) {
        (View::Contagion, None) => contagion(&params),
        (View::Limits, _) => limits(&params),
        (View::Iv, Some(source)) => iv(&source),
        (_, Some(source)) => of_book(view, &source, &params, &[book, parameters]),
        (_, None) => Err(Box::new(NoSection("book"))),
    }
}

fn contagion(params: &Params) -> Result<Rendered, Cause> {
    let it = params.contagion.as_ref().ok_or(NoSection("contagion"))?;
    let line = network::line(it)?;
    let json = serde_json::to_value(&line)?;
    let text = tables::contagion(&line);
    let page = html::page("contagion", &[html::section("Contagion", &sections::network(&line))]);
    Ok(Rendered { json, text, page })
}

fn limits(params: &Params) -> Result<Rendered, Cause> {
    let it = params.limits.as_ref().ok_or(NoSection("limits"))?;
    let view = limits::view(it, params.seed)?;
    let curve = params.backtest.as_ref().map(|b| curve::view(b, params.seed)).transpose()?;
    let mut text = limits::text(&view);
    let mut sections = limits::sections(&view);
    if let Some(c) = &curve {
        text.push('\n');
        text.push_str(&curve::text(c));
        sections.extend(curve::sections(c, params.backtest.as_ref().and_then(|b| b.current)));
    }
    let json = serde_json::json!({ "limits": view, "threshold": curve });
    Ok(Rendered { json, text, page: html::page("limits", &sections) })
}

fn iv(source: &PoolBook) -> Result<Rendered, Cause> {
    let all = smile::expiries(source)?;
    let json = serde_json::to_value(&all)?;
    let text = smile::text(&all);
    let page = html::page(&format!("{} volatility", source.pool), &smile::sections(&all));
    Ok(Rendered { json, text, page })
}

fn of_book(
    view: View,
    source: &PoolBook,
    params: &Params,
    inputs: &[&str],
) -> Result<Rendered, Cause> {
    let views = build::views(source, params, inputs)?;
    let d = &views.document;
    let (json, text, sections) = match view {
        View::Grid => (
            serde_json::json!({ "grid": d.grid, "distance-to-depletion": d.solvency.distance_to_depletion, "data": d.data }),
            tables::grid(d),
            vec![html::section("Grid", &sections::grid(&d.grid))],
        ),
        View::Pause => {
            let choices = tables::expiry_choices(&views, params)?;
            let first =
                d.pauses.first().map_or_else(String::new, |p| sections::pause(p, &d.pauses));
            let mut sections = vec![html::section("Pauses", &first)];
            if !choices.is_empty() {
                sections.push(html::section(
                    "Expiries inside: three ways to settle",
                    &tables::choices_html(&choices),
                ));
            }
            let text = tables::pauses(d) + &tables::choices_text(&choices);
            (
                serde_json::json!({ "pauses": d.pauses, "expiry-choices": choices, "data": d.data }),
                text,
                sections,
            )
        }
        View::Solvency => (
            serde_json::json!({ "solvency": d.solvency, "data": d.data }),
            tables::solvency(d),
            vec![html::section("Solvency", &sections::solvency(d))],
        ),
        View::Contagion => return contagion(params),
        _ => {
            let curve: Option<ThresholdCurve> =
                params.backtest.as_ref().map(|b| curve::view(b, params.seed)).transpose()?;
            let mut extra = Vec::new();
            if let Some(c) = &curve {
                extra = curve::sections(c, params.backtest.as_ref().and_then(|b| b.current));
            }
            let page = html::incident(d, &extra);
            return Ok(Rendered { json: serde_json::to_value(d)?, text: tables::report(d), page });
        }
    };
    let mut sections = sections;
    sections.push(html::section("Data", &sections::data(d)));
    Ok(Rendered { json, text, page: html::page(&source.pool, &sections) })
}

#[cfg(test)]
mod tests;
