//! Weighted linear least squares for a handful of regressors, by Cholesky on the normal equations with
//! centred scale. Invariant: a singular design is an error, not a wild coefficient.

use crate::error::{RiskError, finite, same_length};

/// Coefficients of `y ~ rows` (each row one observation), weights all one when empty.
///
/// # Errors
/// Uneven lengths, fewer observations than columns, a value that is not finite, or a singular design.
pub fn ols(rows: &[Vec<f64>], y: &[f64], weights: &[f64]) -> Result<Vec<f64>, RiskError> {
    same_length("observations", y.len(), rows.len())?;
    let columns = rows.first().map_or(0, Vec::len);
    if columns == 0 || rows.len() < columns {
        return Err(RiskError::TooFew {
            name: "least squares",
            got: rows.len(),
            want: columns.max(1),
        });
    }
    if !weights.is_empty() {
        same_length("weights", weights.len(), rows.len())?;
    }
    let mut normal = vec![vec![0.0; columns]; columns];
    let mut right = vec![0.0; columns];
    for (i, row) in rows.iter().enumerate() {
        same_length("regressors", row.len(), columns)?;
        let w = weights.get(i).copied().unwrap_or(1.0);
        for a in 0..columns {
            right[a] += w * row[a] * y[i];
            for b in 0..=a {
                normal[a][b] += w * row[a] * row[b];
            }
        }
    }
    solve_symmetric(normal, right)
}

/// Solves `A x = b` for a symmetric positive definite `A` given by its lower triangle.
///
/// # Errors
/// A matrix that is not positive definite to rounding.
pub fn solve_symmetric(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Result<Vec<f64>, RiskError> {
    let n = b.len();
    same_length("matrix", a.len(), n)?;
    for j in 0..n {
        for i in j..n {
            let dot: f64 = a[i][..j].iter().zip(&a[j][..j]).map(|(x, y)| x * y).sum();
            let sum = a[i][j] - dot;
            if i == j {
                if sum.is_nan() || sum <= 1e-14 * a[j][j].abs() {
                    return Err(RiskError::OutOfDomain {
                        name: "pivot",
                        value: sum,
                        domain: "positive definite",
                    });
                }
                a[j][j] = libm::sqrt(sum);
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
    }
    for i in 0..n {
        for k in 0..i {
            b[i] -= a[i][k] * b[k];
        }
        b[i] /= a[i][i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            b[i] -= a[k][i] * b[k];
        }
        b[i] = finite("solution", b[i] / a[i][i])?;
    }
    Ok(b)
}

/// Gaussian elimination with partial pivoting on an augmented matrix.
pub(crate) fn eliminate(mut a: Vec<Vec<f64>>) -> Result<Vec<f64>, RiskError> {
    let n = a.len();
    for c in 0..n {
        let pivot = (c..n).max_by(|i, j| a[*i][c].abs().total_cmp(&a[*j][c].abs())).unwrap_or(c);
        a.swap(c, pivot);
        if a[c][c].abs() < 1e-14 {
            return Err(RiskError::OutOfDomain {
                name: "pivot",
                value: a[c][c],
                domain: "not zero",
            });
        }
        let (above, below) = a.split_at_mut(c + 1);
        let lead = &above[c];
        for row in below {
            let f = row[c] / lead[c];
            if f != 0.0 {
                row[c..].iter_mut().zip(&lead[c..]).for_each(|(x, y)| *x -= f * y);
            }
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|j| a[i][j] * x[j]).sum();
        x[i] = (a[i][n] - sum) / a[i][i];
    }
    Ok(x)
}
