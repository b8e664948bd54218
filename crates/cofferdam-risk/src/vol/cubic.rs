//! Monotone cubic interpolation of total variance (Fritsch and Carlson 1980): passes through every quote, never
//! overshoots between two, and is flat beyond the last ones. The last resort of a smile: nothing keeps it free of
//! butterflies, so it is only ever returned with a flag.

use serde::{Deserialize, Serialize};

/// Total variance through knots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonotoneCubic {
    /// Log-moneyness, ascending.
    k: Vec<f64>,
    /// Total variance.
    w: Vec<f64>,
    /// Slope at each knot.
    slope: Vec<f64>,
}

impl MonotoneCubic {
    /// Through points of log-moneyness, total variance and weight, in any order; points at the same place are averaged
    /// by weight. `None` with fewer than two places.
    #[must_use]
    pub(crate) fn through(points: &[[f64; 3]]) -> Option<Self> {
        let mut sorted = points.to_vec();
        sorted.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let mut knots: Vec<[f64; 3]> = Vec::with_capacity(sorted.len());
        for [k, w, q] in sorted {
            match knots.last_mut() {
                Some(last) if last[0] == k => {
                    let total = last[2] + q;
                    last[1] += (w - last[1]) * q / total;
                    last[2] = total;
                }
                _ => knots.push([k, w, q]),
            }
        }
        if knots.len() < 2 {
            return None;
        }
        let (k, w): (Vec<f64>, Vec<f64>) = knots.iter().map(|n| (n[0], n[1])).unzip();
        let slope = slopes(&k, &w);
        Some(Self { k, w, slope })
    }

    /// `(w, w', w'')`; flat beyond the knots.
    #[must_use]
    pub fn derivatives(&self, at: f64) -> (f64, f64, f64) {
        let last = self.k.len() - 1;
        if at <= self.k[0] || at >= self.k[last] {
            return (if at <= self.k[0] { self.w[0] } else { self.w[last] }, 0.0, 0.0);
        }
        let i = self.k.partition_point(|k| *k <= at).clamp(1, last) - 1;
        let h = self.k[i + 1] - self.k[i];
        let t = (at - self.k[i]) / h;
        let rise = (self.w[i + 1] - self.w[i]) / h;
        let (a, b) = (self.slope[i], self.slope[i + 1]);
        // w = w0 + h (a t + c2 t^2 + c3 t^3).
        let (c2, c3) = (3.0 * rise - 2.0 * a - b, a + b - 2.0 * rise);
        (
            self.w[i] + h * t * (a + t * (c2 + t * c3)),
            a + t * (2.0 * c2 + 3.0 * t * c3),
            (2.0 * c2 + 6.0 * t * c3) / h,
        )
    }
}

/// Weighted harmonic means of the neighbouring secants, zero at an extreme; the ends take their secant.
fn slopes(k: &[f64], w: &[f64]) -> Vec<f64> {
    let last = k.len() - 1;
    let width = |i: usize| k[i + 1] - k[i];
    let secant = |i: usize| (w[i + 1] - w[i]) / width(i);
    (0..=last)
        .map(|i| {
            if i == 0 || i == last {
                return secant(i.min(last - 1));
            }
            let (left, right) = (secant(i - 1), secant(i));
            if left * right <= 0.0 {
                return 0.0;
            }
            let (a, b) = (2.0 * width(i) + width(i - 1), width(i) + 2.0 * width(i - 1));
            (a + b) / (a / left + b / right)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_meets_every_knot_and_stays_between_neighbours(
            ws in prop::collection::vec(1e-4..4.0_f64, 2..20), steps in prop::collection::vec(0.01..0.5_f64, 20),
        ) {
            let mut at = -1.0;
            let points: Vec<[f64; 3]> = ws.iter().zip(&steps).map(|(w, s)| { at += s; [at, *w, 1.0] }).collect();
            let curve = MonotoneCubic::through(&points).unwrap();
            for pair in points.windows(2) {
                let ([k0, w0, _], [k1, w1, _]) = (pair[0], pair[1]);
                prop_assert!((curve.derivatives(k0).0 - w0).abs() < 1e-12);
                let (low, high) = (w0.min(w1) - 1e-12, w0.max(w1) + 1e-12);
                for i in 0..=16 {
                    let k = k0 + (k1 - k0) * f64::from(i) / 16.0;
                    let (w, slope, _) = curve.derivatives(k);
                    prop_assert!((low..=high).contains(&w), "{k} {w}");
                    prop_assert!(slope * (w1 - w0) >= -1e-9, "{k} {slope}");
                }
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_curve_and_equal_places_are_averaged() {
        let points =
            [[0.2, 0.5, 1.0], [-0.3, 0.3, 1.0], [0.0, 0.2, 3.0], [0.0, 0.6, 1.0], [0.7, 0.9, 1.0]];
        let curve = MonotoneCubic::through(&points).unwrap();
        assert!((curve.derivatives(0.0).0 - 0.3).abs() < 1e-15);
        for k in [-0.21, 0.05, 0.11, 0.43] {
            let h = 1e-5;
            let (low, mid, high) =
                (curve.derivatives(k - h), curve.derivatives(k), curve.derivatives(k + h));
            assert!(((high.0 - low.0) / (2.0 * h) - mid.1).abs() < 1e-8, "{k}");
            assert!(((high.1 - low.1) / (2.0 * h) - mid.2).abs() < 1e-6, "{k}");
        }
        assert_eq!(
            (curve.derivatives(-9.0), curve.derivatives(9.0)),
            ((0.3, 0.0, 0.0), (0.9, 0.0, 0.0))
        );
        assert_eq!(MonotoneCubic::through(&[[0.0, 1.0, 1.0], [0.0, 2.0, 1.0]]), None);
    }
}
