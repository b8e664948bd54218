//! Lending pools: value at risk as net insolvent debt, liquidations at risk, coverage of the fund, over simulated
//! price falls with the liquidation cascade inside each.

use serde::{Deserialize, Serialize};

use crate::contagion::cascade::{CpmmPool, Position, cascade};
use crate::error::{RiskError, non_negative};

/// Quantiles of a lending pool.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LendingRisk {
    /// 95 % quantile of bad debt, USD (Gauntlet's VaR).
    pub value_at_risk: f64,
    /// 95 % quantile of debt liquidated, USD (Gauntlet's LaR).
    pub liquidations_at_risk: f64,
    /// Mean of the worst 0.1 % of bad debt, USD.
    pub shortfall_999: f64,
    /// Fund over that mean; absent when nothing is expected to be lost.
    pub coverage: Option<f64>,
}

/// Runs the cascade for each simulated return (log returns over the horizon; rises count as none).
///
/// # Errors
/// No returns, or inputs of the cascade outside their domain.
pub fn lending_risk(
    pool: CpmmPool,
    loans: &[Position],
    threshold: f64,
    log_returns: &[f64],
    fund: f64,
) -> Result<LendingRisk, RiskError> {
    let fund = non_negative("insurance fund", fund)?;
    if log_returns.is_empty() {
        return Err(RiskError::TooFew { name: "simulated returns", got: 0, want: 1 });
    }
    let (mut bad, mut sold) = (Vec::new(), Vec::new());
    for r in log_returns {
        let shock = -libm::expm1(crate::error::finite("simulated return", *r)?.min(0.0));
        let c = cascade(pool, loans, threshold, shock.min(1.0 - 1e-9))?;
        bad.push(c.bad_debt);
        let open: f64 = c.remaining.iter().map(|i| loans[*i].debt).sum();
        sold.push(loans.iter().map(|l| l.debt).sum::<f64>() - open);
    }
    bad.sort_by(f64::total_cmp);
    sold.sort_by(f64::total_cmp);
    let n = bad.len();
    let at = |xs: &[f64]| xs[((0.95 * n as f64) as usize).min(n - 1)];
    let tail = (n / 1_000).max(1);
    let shortfall_999 = bad[n - tail..].iter().sum::<f64>() / tail as f64;
    Ok(LendingRisk {
        value_at_risk: at(&bad),
        liquidations_at_risk: at(&sold),
        shortfall_999,
        coverage: (shortfall_999 > 0.0).then(|| fund / shortfall_999),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeper_falls_and_more_leverage_only_add_risk() {
        let pool = CpmmPool { x: 5_000.0, y: 1e7, fee: 0.003 };
        let loans: Vec<Position> = (1..=20)
            .map(|i| Position { collateral: 20.0, debt: 20.0 * 2_000.0 * 0.03 * f64::from(i) })
            .collect();
        let returns: Vec<f64> = (0..200).map(|i| -0.002 * f64::from(i)).collect();
        let twice: Vec<f64> = returns.iter().map(|r| 2.0 * r).collect();
        let a = lending_risk(pool, &loans, 0.8, &returns, 1e5).unwrap();
        let b = lending_risk(pool, &loans, 0.8, &twice, 1e5).unwrap();
        assert!(
            b.value_at_risk >= a.value_at_risk && b.liquidations_at_risk >= a.liquidations_at_risk
        );
        assert!(b.coverage.unwrap() < 10.0 && a.shortfall_999 >= a.value_at_risk);
        assert!(lending_risk(pool, &loans, 0.8, &[], 1e5).is_err());
        assert!(lending_risk(pool, &loans, 0.8, &[f64::NAN], 1e5).is_err());
    }
}
