//! Constrained SVI fit (quasi-explicit, Zeliade): for each `(m, s)` the best `(a, d, c)` solves a small convex
//! problem over the polygon that keeps `|rho| <= 1` and Lee's bound, and `(m, s)` is searched. A slice with a
//! butterfly is refitted under penalty, then replaced by SSVI, and where that misses the quotes by a monotone cubic.
//! Invariant: no returned slice has arbitrage unless it says that it is interpolated.

use serde::{Deserialize, Serialize};

use super::cubic::MonotoneCubic;
use super::curve::SmileCurve;
use super::ssvi::SsviSlice;
use super::svi::SviSlice;
use crate::error::{RiskError, finite, positive};
use crate::numeric::minimize::nelder_mead;

/// Fewest quotes a slice is fitted to.
pub const MIN_POINTS: usize = 5;
/// A scan value of `g` above this counts as no arbitrage.
pub const G_TOLERANCE: f64 = -1e-9;
/// Penalised fits aim this far above zero, so that the finer scan still finds no arbitrage.
const G_MARGIN: f64 = 2e-3;
/// An SSVI slice that misses the quotes by more than this, in volatility points, says less than the quotes do: the
/// worst expiry of the reference snapshots missed by 4.9.
pub const SSVI_RMSE_MAX: f64 = 5.0;
/// Lee's bound on the wing slope.
pub const LEE_BOUND: f64 = 2.0;

/// Log-moneyness, total variance and its inverse beyond this are no market's, and would overflow the fit.
const EXTREME: f64 = 1e9;

/// One out-of-the-money quote.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SmilePoint {
    /// `ln(K/F)`.
    pub k: f64,
    /// Implied volatility.
    pub vol: f64,
    /// Weight, usually vega over the bid-ask width.
    pub weight: f64,
}

/// A fitted slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmileFit {
    /// The slice.
    pub slice: SmileCurve,
    /// Root mean square error in volatility points, unweighted.
    pub rmse_points: f64,
    /// Smallest Durrleman value over one and a half times the quoted range.
    pub g_min: f64,
    /// The unpenalised fit had a butterfly and was refitted.
    pub penalised: bool,
    /// Raw SVI could not be repaired; the slice is an SSVI one.
    pub fell_back_to_ssvi: bool,
    /// SSVI missed the quotes too; the slice only joins them, and [`SmileFit::g_min`] may be negative.
    pub interpolated: bool,
}

/// Fits one expiry `years` away.
///
/// # Errors
/// Fewer than [`MIN_POINTS`] quotes, or a quote or time that is not finite and positive.
pub fn fit_smile(points: &[SmilePoint], years: f64) -> Result<SmileFit, RiskError> {
    let years = positive("years", years)?;
    if points.len() < MIN_POINTS {
        return Err(RiskError::TooFew { name: "smile fit", got: points.len(), want: MIN_POINTS });
    }
    for p in points {
        finite("log-moneyness", p.k)?;
        positive("implied volatility", p.vol)?;
        positive("quote weight", p.weight)?;
        for (name, value) in [
            ("log-moneyness", p.k.abs()),
            ("total variance", p.vol * p.vol * years),
            ("inverse total variance", 1.0 / (p.vol * p.vol * years)),
        ] {
            if value > EXTREME {
                return Err(RiskError::OutOfDomain { name, value, domain: "a market's" });
            }
        }
    }
    let heaviest = points.iter().map(|p| p.weight).fold(0.0, f64::max);
    let total: f64 = points.iter().map(|p| p.weight / heaviest).sum();
    let data: Vec<[f64; 3]> =
        points.iter().map(|p| [p.k, p.vol * p.vol * years, p.weight / heaviest / total]).collect();
    let reach = 1.5 * data.iter().map(|d| d[0].abs()).fold(0.05, f64::max);
    let mut penalised = false;
    for penalty in [0.0, 10.0, 1e3, 1e5] {
        let slice = search(&data, reach, penalty);
        let g_min = slice.butterfly(reach).g_min;
        if g_min >= G_TOLERANCE && slice.validate().is_ok() {
            let slice = SmileCurve::Svi(slice);
            return Ok(SmileFit {
                rmse_points: rmse(&slice, points, years),
                slice,
                g_min,
                penalised,
                fell_back_to_ssvi: false,
                interpolated: false,
            });
        }
        penalised = true;
    }
    Ok(fallback(&data, points, years, (reach, penalised)))
}

/// SSVI, or the quotes themselves where it misses them by too much.
fn fallback(
    data: &[[f64; 3]],
    points: &[SmilePoint],
    years: f64,
    (reach, penalised): (f64, bool),
) -> SmileFit {
    let ssvi = SmileCurve::Svi(search_ssvi(data));
    let missed = rmse(&ssvi, points, years);
    // Not a number counts as missing them.
    let met = missed <= SSVI_RMSE_MAX;
    let cubic = MonotoneCubic::through(data).filter(|_| !met);
    let interpolated = cubic.is_some();
    let slice = cubic.map_or(ssvi, SmileCurve::Cubic);
    SmileFit {
        rmse_points: rmse(&slice, points, years),
        g_min: slice.butterfly(reach).g_min,
        penalised,
        fell_back_to_ssvi: !interpolated,
        interpolated,
        slice,
    }
}

fn rmse(slice: &SmileCurve, points: &[SmilePoint], years: f64) -> f64 {
    let sum: f64 = points.iter().map(|p| slice.vol(p.k, years) - p.vol).map(|e| e * e).sum();
    100.0 * libm::sqrt(sum / points.len() as f64)
}

fn search(data: &[[f64; 3]], reach: f64, penalty: f64) -> SviSlice {
    let size: f64 = data.iter().map(|d| d[2] * d[1] * d[1]).sum();
    let mut best: Option<(SviSlice, f64)> = None;
    let mut basis = vec![(0.0, 0.0); data.len()];
    for m0 in [0.0, -0.1, 0.1] {
        for s0 in [0.05, 0.2, 0.6] {
            let mut loss = |x: &[f64]| {
                let (slice, error) = inner(data, x[0], sigma_of(x[1]), &mut basis);
                error / size + penalty * butterfly_cost(&slice, reach, penalty)
            };
            let start = [m0, libm::log(s0)];
            let (x, v) = nelder_mead(&mut loss, &start, &[0.1, 0.5], 1e-12, 600);
            if best.as_ref().is_none_or(|b| v < b.1) {
                best = Some((inner(data, x[0], sigma_of(x[1]), &mut basis).0, v));
            }
        }
    }
    best.map_or(SviSlice { a: 0.0, b: 0.0, rho: 0.0, m: 0.0, sigma: 1.0 }, |b| b.0)
}

fn sigma_of(log: f64) -> f64 {
    libm::exp(log.clamp(-7.0, 3.0))
}

/// Squared negative part of `g` on a coarse grid, nothing when no penalty is on.
fn butterfly_cost(slice: &SviSlice, reach: f64, penalty: f64) -> f64 {
    const POINTS: usize = 121;
    if penalty == 0.0 {
        return 0.0;
    }
    (0..POINTS)
        .map(|i| slice.g(reach * (2.0 * i as f64 / (POINTS as f64 - 1.0) - 1.0)))
        .map(|g| (G_MARGIN - g.max(-10.0)).max(0.0))
        .map(|g| g * g)
        .sum::<f64>()
        / POINTS as f64
}

/// Best `(a, d, c)` for `w = a + d y + c sqrt(y^2 + 1)`, `y = (k - m)/s`, over `|d| <= min(c, 2 s - c)`. `basis` is
/// scratch, one entry per quote.
fn inner(data: &[[f64; 3]], m: f64, s: f64, basis: &mut [(f64, f64)]) -> (SviSlice, f64) {
    let (mut my, mut mz, mut mw) = (0.0, 0.0, 0.0);
    for ([k, w, q], at) in data.iter().zip(&mut *basis) {
        let y = (k - m) / s;
        let z = libm::sqrt(y * y + 1.0);
        *at = (y, z);
        my += q * y;
        mz += q * z;
        mw += q * w;
    }
    let (mut yy, mut yz, mut zz, mut yw, mut zw) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ([_, w, q], (y, z)) in data.iter().zip(&*basis) {
        let (y, z, w) = (y - my, z - mz, w - mw);
        yy += q * y * y;
        yz += q * y * z;
        zz += q * z * z;
        yw += q * y * w;
        zw += q * z * w;
    }
    let (d, c) = best_in_polygon([yy, yz, zz, yw, zw], s);
    // Keep the smallest variance positive: a + sqrt(c^2 - d^2) is its value.
    let floor = 1e-12 - libm::sqrt((c * c - d * d).max(0.0));
    let a = (mw - d * my - c * mz).max(floor);
    let error = data.iter().zip(&*basis).map(|([_, w, q], (y, z))| {
        let e = a + d * y + c * z - w;
        q * e * e
    });
    (SviSlice { a, b: c / s, rho: d / c, m, sigma: s }, error.sum())
}

/// Minimises the quadratic over the polygon with corners `(0,0)`, `(±s,s)`, `(0,2s)` in `(d, c)`, slightly shrunk.
fn best_in_polygon([yy, yz, zz, yw, zw]: [f64; 5], s: f64) -> (f64, f64) {
    const SHRINK: f64 = 0.999_999;
    let cost =
        |d: f64, c: f64| d * d * yy + 2.0 * d * c * yz + c * c * zz - 2.0 * d * yw - 2.0 * c * zw;
    let det = yy * zz - yz * yz;
    let inside = |d: f64, c: f64| d.abs() <= SHRINK * c.min(LEE_BOUND * s - c);
    if det > 1e-14 * yy * zz {
        let (d, c) = ((yw * zz - zw * yz) / det, (zw * yy - yw * yz) / det);
        if c > 1e-10 && inside(d, c) {
            return (d, c);
        }
    }
    let tip = SHRINK * s;
    let floor = 1e-10 * s;
    let corners = [(0.0, floor), (tip, s), (0.0, LEE_BOUND * s - floor), (-tip, s), (0.0, floor)];
    let mut best = (0.0, floor, f64::INFINITY);
    for edge in corners.windows(2) {
        let ((d0, c0), (d1, c1)) = (edge[0], edge[1]);
        let (dd, dc) = (d1 - d0, c1 - c0);
        let curve = dd * dd * yy + 2.0 * dd * dc * yz + dc * dc * zz;
        let slope = dd * (d0 * yy + c0 * yz - yw) + dc * (d0 * yz + c0 * zz - zw);
        let t = if curve > 0.0 { (-slope / curve).clamp(0.0, 1.0) } else { 0.0 };
        let (d, c) = (d0 + t * dd, c0 + t * dc);
        let v = cost(d, c);
        if v < best.2 {
            best = (d, c, v);
        }
    }
    (best.0, best.1)
}

fn search_ssvi(data: &[[f64; 3]]) -> SviSlice {
    let nearest = data.iter().min_by(|a, b| a[0].abs().total_cmp(&b[0].abs()));
    let theta0 = nearest.map_or(0.01, |d| d[1]).max(1e-8);
    let slice = |x: &[f64]| {
        SsviSlice::tamed(
            theta0 * libm::exp(x[0].clamp(-3.0, 3.0)),
            libm::tanh(x[1]),
            libm::exp(x[2]),
        )
        .to_raw()
    };
    let mut loss = |x: &[f64]| {
        let raw = slice(x);
        data.iter().map(|[k, w, q]| q * (raw.w(*k) - w) * (raw.w(*k) - w)).sum::<f64>()
            / theta0
            / theta0
    };
    let (x, _) = nelder_mead(&mut loss, &[0.0, -0.2, 0.5], &[0.3, 0.3, 0.7], 1e-12, 2_000);
    slice(&x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smile no dealer makes: volatility jumps by half between neighbouring strikes.
    fn broken() -> Vec<SmilePoint> {
        (-10..=10)
            .map(|i| SmilePoint {
                k: f64::from(i) * 0.05,
                vol: if i % 2 == 0 { 0.4 } else { 0.9 },
                weight: 1.0,
            })
            .collect()
    }

    fn data(points: &[SmilePoint], years: f64) -> Vec<[f64; 3]> {
        points.iter().map(|p| [p.k, p.vol * p.vol * years, 1.0 / points.len() as f64]).collect()
    }

    #[test]
    fn quotes_that_no_slice_without_arbitrage_meets_are_joined_and_flagged() {
        let points = broken();
        let fit = fallback(&data(&points, 0.1), &points, 0.1, (0.75, true));
        assert!(fit.interpolated && !fit.fell_back_to_ssvi && fit.slice.svi().is_none(), "{fit:?}");
        assert!(fit.g_min < 0.0, "its butterfly is told: {}", fit.g_min);
        assert!(fit.rmse_points < 1e-9);
        for p in &points {
            assert!((fit.slice.vol(p.k, 0.1) - p.vol).abs() < 1e-12);
        }
    }

    #[test]
    fn quotes_that_ssvi_meets_are_not_joined() {
        let points: Vec<SmilePoint> = (-10..=10)
            .map(|i| f64::from(i) * 0.05)
            .map(|k| SmilePoint { k, vol: 0.6 + 0.2 * k * k - 0.05 * k, weight: 1.0 })
            .collect();
        let fit = fallback(&data(&points, 0.1), &points, 0.1, (0.75, true));
        assert!(fit.fell_back_to_ssvi && !fit.interpolated && fit.g_min >= G_TOLERANCE, "{fit:?}");
        assert!(fit.rmse_points <= SSVI_RMSE_MAX);
    }
}
