//! The volatility view: implied volatilities of the quotes, a fitted smile per expiry, what was refused and why.

use std::collections::BTreeMap;

use cofferdam_risk::{
    RiskError,
    book::PoolBook,
    pricing::{Iv, IvQuote, IvStatus, OptionKind, implied_vol},
    scenario::Leg,
    vol::{SmileFit, SmilePoint, fit_smile},
};
use serde::Serialize;

use super::{
    chart::{Plot, Stroke},
    format::percent,
    html::section,
};

/// Points of a drawn curve.
const CURVE: usize = 80;
/// Quotes farther than this many at-the-money deviations are not fitted.
const REACH: f64 = 4.0;
/// Expiries closer than this are not fitted.
const YEARS_MIN: f64 = 1.0 / 365.0;

/// One expiry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Expiry {
    /// Days away.
    pub(super) days: f64,
    /// Quotes solved.
    pub(super) quotes: Vec<Solved>,
    /// The fit, if there was enough to fit.
    pub(super) fit: Option<SmileFit>,
    /// Calendar arbitrage against the expiry before, total variance; zero for none.
    pub(super) calendar: f64,
    /// Why there is no fit.
    pub(super) no_fit: Option<String>,
}

/// One quote.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Solved {
    /// Instrument.
    pub(super) id: String,
    /// `ln(K/F)`.
    pub(super) k: f64,
    /// Volatility the book was marked with.
    pub(super) marked: f64,
    /// What the quote implies.
    pub(super) iv: Iv,
    /// Whether it is the out-of-the-money side and fitted.
    pub(super) fitted: bool,
}

/// Solves and fits.
pub(crate) fn expiries(book: &PoolBook) -> Result<Vec<Expiry>, RiskError> {
    let mut by_time: BTreeMap<u64, Vec<Solved>> = BTreeMap::new();
    for it in &book.instruments {
        let Leg::Option(o) = it.leg else { continue };
        it.leg.validate()?;
        // Positive times sort as their bits.
        let list = by_time.entry(o.years.max(0.0).to_bits()).or_default();
        let quote = it.quote.and_then(|q| {
            let mid =
                q.bid.zip(q.ask).filter(|(b, a)| *b > 0.0 && a >= b).map(|(b, a)| 0.5 * (a + b));
            mid.or(q.mark).map(|price| {
                (
                    price * if q.coin { o.forward } else { 1.0 },
                    q.tick * if q.coin { o.forward } else { 1.0 },
                )
            })
        });
        let iv = match quote {
            Some((price, tick)) => implied_vol(&IvQuote {
                forward: o.forward,
                strike: o.strike,
                years: o.years,
                price,
                half_tick: tick / 2.0,
                kind: o.kind,
            }),
            // Without a price the mark volatility is all there is.
            None => Iv { mid: Some(o.vol), lo: None, hi: None, status: IvStatus::Ok },
        };
        let k = (o.strike / o.forward).ln();
        let otm = match o.kind {
            OptionKind::Call => k >= 0.0,
            OptionKind::Put => k < 0.0,
        };
        list.push(Solved { id: it.id.clone(), k, marked: o.vol, iv, fitted: otm });
    }
    let mut out: Vec<Expiry> = Vec::with_capacity(by_time.len());
    for (bits, mut quotes) in by_time {
        let years = f64::from_bits(bits);
        quotes.sort_by(|a, b| a.k.total_cmp(&b.k));
        let fitted = fit(&mut quotes, years);
        let (fit, no_fit) = match fitted {
            Ok(f) => (Some(f), None),
            Err(e) => (None, Some(e.to_string())),
        };
        let fit: Option<SmileFit> = fit;
        let earlier = out.iter().rev().find_map(|e| e.fit.as_ref().map(|f| &f.slice));
        let calendar = fit
            .as_ref()
            .zip(earlier)
            .map_or(0.0, |(f, e)| f.slice.calendar_violation(e, 0.5).max(0.0));
        out.push(Expiry { days: years * 365.0, quotes, fit, calendar, no_fit });
    }
    Ok(out)
}

fn fit(quotes: &mut [Solved], years: f64) -> Result<SmileFit, RiskError> {
    if years < YEARS_MIN {
        return Err(RiskError::OutOfDomain {
            name: "years",
            value: years,
            domain: "a day or more",
        });
    }
    let nearest = quotes.iter().min_by(|a, b| a.k.abs().total_cmp(&b.k.abs()));
    let sd = nearest.and_then(|q| q.iv.mid).unwrap_or(1.0) * years.sqrt();
    let mut points = Vec::new();
    for q in quotes.iter_mut() {
        q.fitted &= q.k.abs() <= REACH * sd && q.iv.mid.is_some();
        if let Some(vol) = q.iv.mid.filter(|_| q.fitted) {
            let width = q.iv.hi.zip(q.iv.lo).map_or(0.01, |(h, l)| (h - l).max(1e-3));
            points.push(SmilePoint { k: q.k, vol, weight: 1.0 / width });
        }
    }
    fit_smile(&points, years)
}

/// Terminal table.
pub(crate) fn text(all: &[Expiry]) -> String {
    let mut rows = Vec::new();
    for e in all {
        let refused = e.quotes.iter().filter(|q| q.iv.mid.is_none()).count();
        let fit = e.fit.as_ref().map(|f| {
            let how = if f.interpolated {
                "‼ quotes joined (DQ3)"
            } else if f.fell_back_to_ssvi {
                "SSVI"
            } else if f.penalised {
                "SVI, repaired"
            } else {
                "SVI"
            };
            (
                format!("{:.2}", f.rmse_points),
                how.to_owned(),
                percent(f.slice.vol(0.0, e.days / 365.0)),
                arbitrage(e, f),
            )
        });
        let none = || "–".to_owned();
        let because = e.no_fit.clone().unwrap_or_default();
        let (rmse, how, atm, arbitrage) = fit.unwrap_or_else(|| (none(), because, none(), none()));
        rows.push(vec![
            format!("{:.1} d", e.days),
            e.quotes.len().to_string(),
            refused.to_string(),
            atm,
            rmse,
            arbitrage,
            how,
        ]);
    }
    super::format::table(
        &["expiry", "quotes", "refused", "at the money", "rmse, points", "arbitrage", "fit"],
        &rows,
    )
}

/// Which kinds of static arbitrage the curve has, for the table.
fn arbitrage(e: &Expiry, f: &SmileFit) -> String {
    let kinds = [("butterfly", f.interpolated && f.g_min < 0.0), ("calendar", e.calendar > 0.0)];
    let found: Vec<&str> = kinds.iter().filter(|k| k.1).map(|k| k.0).collect();
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

/// Charts, one per expiry.
pub(super) fn sections(all: &[Expiry]) -> Vec<String> {
    all.iter()
        .filter(|e| !e.quotes.is_empty())
        .map(|e| section(&format!("{:.1} days", e.days), &chart(e)))
        .collect()
}

fn chart(e: &Expiry) -> String {
    let years = e.days / 365.0;
    let solved: Vec<(&Solved, f64)> =
        e.quotes.iter().filter_map(|q| q.iv.mid.map(|v| (q, v))).collect();
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)))
    };
    if solved.len() < 2 {
        let one = solved.first().map(|(q, v)| format!("{} at {}", q.id, percent(*v)));
        let text = one.unwrap_or_else(|| "no quote determines a volatility".to_owned());
        return format!("<p>{}</p>", super::format::escape(&text));
    }
    let (low, high) = ends(&mut solved.iter().map(|(q, _)| q.k));
    let pad = 0.08 * (high - low).max(0.02);
    let (from, to) = (low - pad, high + pad);
    let curve: Vec<(f64, f64)> = e.fit.as_ref().map_or_else(Vec::new, |f| {
        (0..=CURVE)
            .map(|i| from + (to - from) * i as f64 / CURVE as f64)
            .map(|k| (k, f.slice.vol(k, years)))
            .collect()
    });
    let (bottom, top) = ends(&mut solved.iter().map(|(_, v)| *v).chain(curve.iter().map(|c| c.1)));
    let margin = 0.1 * (top - bottom).max(0.02);
    let mut plot = Plot::new((from, to), ((bottom - margin).max(0.0), top + margin), 260.0);
    plot.line(&curve, Stroke { colour: "--accent", dash: "", width: 2.0 });
    plot.mark(0.0, "forward", "--muted");
    for (q, v) in &solved {
        let title = format!(
            "{}: {} ({})",
            q.id,
            percent(*v),
            if q.fitted { "fitted" } else { "not fitted" }
        );
        plot.dot(q.k, *v, &title, if q.fitted { "--ink" } else { "--muted" });
    }
    let caption = match &e.fit {
        Some(f) => {
            let how = f.slice.svi().map_or_else(
                || {
                    "‼ DQ3: no curve without arbitrage meets these quotes; they are only joined"
                        .to_owned()
                },
                |s| {
                    format!(
                        "a {:.4}, b {:.4}, rho {:.2}, m {:.3}, sigma {:.3}",
                        s.a, s.b, s.rho, s.m, s.sigma
                    )
                },
            );
            let calendar = if e.calendar > 0.0 {
                "; ‼ calendar arbitrage with the expiry before"
            } else {
                ""
            };
            let (rmse, g) = (f.rmse_points, f.g_min);
            format!("<p>rmse {rmse:.2} points; {how}; smallest g {g:.4}{calendar}</p>")
        }
        None => {
            format!("<p>no fit: {}</p>", super::format::escape(e.no_fit.as_deref().unwrap_or("")))
        }
    };
    plot.finish("smile", "ln(strike / forward)", &|x| format!("{x:+.2}"), &percent) + &caption
}
