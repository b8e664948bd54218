//! Gauss rules: Hermite for the standard normal measure, built from the Jacobi matrix by Sturm bisection, and
//! Legendre on an interval. No table to mistype and the same bits everywhere. Invariant: weights are positive and sum to one.

use crate::error::RiskError;

/// Most nodes [`gauss_hermite`] computes; the polynomials overflow well above it.
pub const MAX_NODES: usize = 200;

/// One node of a rule for `E f(Z)`, Z standard normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Where to evaluate.
    pub x: f64,
    /// How much it counts.
    pub w: f64,
}

/// The `n`-point rule, exact for polynomials up to degree `2n - 1`, nodes ascending.
///
/// # Errors
/// `n` of zero or above [`MAX_NODES`].
pub fn gauss_hermite(n: usize) -> Result<Vec<Node>, RiskError> {
    if n == 0 || n > MAX_NODES {
        return Err(RiskError::OutOfDomain {
            name: "quadrature nodes",
            value: n as f64,
            domain: "1..=200",
        });
    }
    let bound = 2.0 * libm::sqrt(n as f64) + 1.0;
    let mut nodes: Vec<Node> = (0..n)
        .map(|i| {
            let x = polish(n, bisect(n, i, bound));
            Node { x, w: weight(n, x) }
        })
        .collect();
    // The rule is symmetric: forcing it makes odd moments vanish exactly.
    for i in 0..n / 2 {
        let (x, w) =
            ((nodes[n - 1 - i].x - nodes[i].x) / 2.0, (nodes[n - 1 - i].w + nodes[i].w) / 2.0);
        nodes[i] = Node { x: -x, w };
        nodes[n - 1 - i] = Node { x, w };
    }
    if n % 2 == 1 {
        nodes[n / 2] = Node { x: 0.0, w: weight(n, 0.0) };
    }
    Ok(nodes)
}

/// The `n`-point Gauss-Legendre rule on `[a, b]`, nodes ascending.
///
/// # Errors
/// `n` of zero or above [`MAX_NODES`].
pub fn gauss_legendre(n: usize, a: f64, b: f64) -> Result<Vec<Node>, RiskError> {
    if n == 0 || n > MAX_NODES {
        return Err(RiskError::OutOfDomain {
            name: "quadrature nodes",
            value: n as f64,
            domain: "1..=200",
        });
    }
    let (mid, half) = (0.5 * (a + b), 0.5 * (b - a));
    let mut nodes = Vec::with_capacity(n);
    for i in (0..n).rev() {
        let mut x = libm::cos(core::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5));
        let mut slope = 1.0;
        for _ in 0..8 {
            let (mut below, mut p) = (0.0, 1.0);
            for k in 0..n {
                let k = k as f64;
                let next = ((2.0 * k + 1.0) * x * p - k * below) / (k + 1.0);
                below = p;
                p = next;
            }
            slope = n as f64 * (x * p - below) / (x * x - 1.0);
            x -= p / slope;
        }
        nodes.push(Node { x: mid + half * x, w: half * 2.0 / ((1.0 - x * x) * slope * slope) });
    }
    Ok(nodes)
}

/// How many roots of the degree-`n` polynomial lie below `x` (Sturm count on the Jacobi matrix).
fn roots_below(n: usize, x: f64) -> usize {
    let mut count = 0;
    let mut q = -x;
    for k in 0..n {
        if k > 0 {
            let safe = if q == 0.0 { f64::MIN_POSITIVE } else { q };
            q = -x - k as f64 / safe;
        }
        count += usize::from(q < 0.0);
    }
    count
}

fn bisect(n: usize, i: usize, bound: f64) -> f64 {
    let (mut lo, mut hi) = (-bound, bound);
    for _ in 0..64 {
        let mid = (lo + hi) / 2.0;
        if roots_below(n, mid) <= i { lo = mid } else { hi = mid }
    }
    (lo + hi) / 2.0
}

/// Two Newton steps on the orthonormal polynomial.
fn polish(n: usize, mut x: f64) -> f64 {
    for _ in 0..2 {
        let (mut below, mut p) = (0.0, 1.0);
        for k in 0..n {
            let next = (x * p - libm::sqrt(k as f64) * below) / libm::sqrt((k + 1) as f64);
            below = p;
            p = next;
        }
        let slope = libm::sqrt(n as f64) * below;
        if slope != 0.0 {
            x -= p / slope;
        }
    }
    x
}

/// Christoffel weight: one over the sum of squared orthonormal polynomials below degree `n`.
fn weight(n: usize, x: f64) -> f64 {
    let (mut below, mut p, mut sum) = (0.0, 1.0, 0.0);
    for k in 0..n {
        sum += p * p;
        let next = (x * p - libm::sqrt(k as f64) * below) / libm::sqrt((k + 1) as f64);
        below = p;
        p = next;
    }
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_the_normal_are_exact() {
        for n in [1, 2, 5, 20, 81] {
            let rule = gauss_hermite(n).unwrap();
            let moment = |k: i32| rule.iter().map(|q| q.w * q.x.powi(k)).sum::<f64>();
            assert!((moment(0) - 1.0).abs() < 1e-13, "{n}");
            if n >= 5 {
                assert!((moment(2) - 1.0).abs() < 1e-12, "{n}");
                assert!((moment(4) - 3.0).abs() < 1e-11, "{n}");
                assert!((moment(8) - 105.0).abs() < 1e-9, "{n}");
            }
        }
    }

    #[test]
    fn legendre_integrates_polynomials_exactly() {
        for n in [1, 4, 16, 101] {
            let rule = gauss_legendre(n, 0.0, 2.0).unwrap();
            let area: f64 = rule.iter().map(|q| q.w).sum();
            assert!((area - 2.0).abs() < 1e-13);
            if n >= 4 {
                let cube: f64 = rule.iter().map(|q| q.w * q.x.powi(7)).sum();
                assert!((cube - 32.0).abs() < 1e-11);
            }
        }
    }
}
