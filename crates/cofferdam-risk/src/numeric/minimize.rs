//! Derivative-free minimisation: Nelder-Mead with restarts, and golden section. Deterministic: no random
//! restarts, ties broken by order.

/// Nelder-Mead from `start` with initial step `step` per coordinate. Values that are NaN count as infinite.
/// Restarts from the best point with a smaller simplex until a restart no longer helps.
#[must_use]
pub fn nelder_mead(
    f: &mut dyn FnMut(&[f64]) -> f64,
    start: &[f64],
    step: &[f64],
    tol: f64,
    max_evals: usize,
) -> (Vec<f64>, f64) {
    let mut best = (start.to_vec(), f64::INFINITY);
    let mut scale = 1.0;
    let mut left = max_evals;
    while left > 0 {
        let steps: Vec<f64> = step.iter().map(|s| s * scale).collect();
        let (x, v, used) = one_run(f, &best.0, &steps, tol, left);
        left = left.saturating_sub(used);
        let gain = best.1 - v;
        if v <= best.1 {
            best = (x, v);
        }
        if gain.is_finite() && gain <= tol * (1.0 + best.1.abs()) {
            break;
        }
        scale *= 0.3;
    }
    best
}

fn one_run(
    f: &mut dyn FnMut(&[f64]) -> f64,
    start: &[f64],
    step: &[f64],
    tol: f64,
    max_evals: usize,
) -> (Vec<f64>, f64, usize) {
    let n = start.len();
    let mut used = 0;
    let mut eval = |x: &[f64], used: &mut usize| {
        *used += 1;
        let v = f(x);
        if v.is_nan() { f64::INFINITY } else { v }
    };
    let mut simplex: Vec<(Vec<f64>, f64)> = Vec::with_capacity(n + 1);
    for i in 0..=n {
        let mut x = start.to_vec();
        if i > 0 {
            x[i - 1] += step[i - 1];
        }
        let v = eval(&x, &mut used);
        simplex.push((x, v));
    }
    while used < max_evals {
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (low, high) = (simplex[0].1, simplex[n].1);
        if high - low <= tol * (low.abs() + tol) && spread(&simplex) <= libm::sqrt(tol) {
            break;
        }
        let centre: Vec<f64> =
            (0..n).map(|j| simplex[..n].iter().map(|p| p.0[j]).sum::<f64>() / n as f64).collect();
        let along = |t: f64| -> Vec<f64> {
            (0..n).map(|j| centre[j] + t * (simplex[n].0[j] - centre[j])).collect()
        };
        let reflected = along(-1.0);
        let vr = eval(&reflected, &mut used);
        let second = simplex[n - 1].1;
        if vr < second {
            if vr < low {
                let expanded = along(-2.0);
                let ve = eval(&expanded, &mut used);
                simplex[n] = if ve < vr { (expanded, ve) } else { (reflected, vr) };
            } else {
                simplex[n] = (reflected, vr);
            }
        } else {
            let contracted = along(if vr < high { -0.5 } else { 0.5 });
            let vc = eval(&contracted, &mut used);
            if vc < vr.min(high) {
                simplex[n] = (contracted, vc);
            } else {
                let anchor = simplex[0].0.clone();
                for p in &mut simplex[1..] {
                    p.0.iter_mut().zip(&anchor).for_each(|(x, a)| *x = a + 0.5 * (*x - a));
                    p.1 = eval(&p.0, &mut used);
                }
            }
        }
    }
    simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (x, v) = simplex.swap_remove(0);
    (x, v, used)
}

/// Largest coordinate distance of the simplex from its best point, relative to size.
fn spread(simplex: &[(Vec<f64>, f64)]) -> f64 {
    let best = &simplex[0].0;
    let gap = |p: &(Vec<f64>, f64)| {
        p.0.iter().zip(best).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max)
    };
    simplex.iter().map(gap).fold(0.0, f64::max)
}

/// Golden-section minimum of a unimodal function on `[a, b]`.
#[must_use]
pub fn golden_section(f: &mut dyn FnMut(f64) -> f64, a: f64, b: f64, tol: f64) -> (f64, f64) {
    /// `(sqrt(5) - 1) / 2`.
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (a, b);
    let (mut c, mut d) = (b - RATIO * (b - a), a + RATIO * (b - a));
    let (mut fc, mut fd) = (f(c), f(d));
    for _ in 0..200 {
        if (b - a).abs() <= tol * (1.0 + a.abs() + b.abs()) {
            break;
        }
        if fc <= fd {
            (b, d, fd) = (d, c, fc);
            c = b - RATIO * (b - a);
            fc = f(c);
        } else {
            (a, c, fc) = (c, d, fd);
            d = a + RATIO * (b - a);
            fd = f(d);
        }
    }
    if fc <= fd { (c, fc) } else { (d, fd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banana_valley_is_walked_to_its_end() {
        let mut f = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            a * a + 100.0 * b * b
        };
        let (x, v) = nelder_mead(&mut f, &[-1.2, 1.0], &[0.5, 0.5], 1e-15, 5_000);
        assert!(v < 1e-12 && (x[0] - 1.0).abs() < 1e-5 && (x[1] - 1.0).abs() < 1e-5, "{x:?} {v}");
    }
}
