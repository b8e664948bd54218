//! Eisenberg-Noe clearing (2001) by fictitious default, with Rogers-Veraart recovery rates. Returns the greatest
//! clearing vector. Invariants: limited liability, absolute priority, value conserved under full recovery.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, non_negative, probability};
use crate::numeric::least_squares::eliminate;

/// Largest network solved; the inner systems are dense in the defaulted nodes.
pub const MAX_NODES: usize = 4_000;
/// A node defaults when it is short by more than this share of what it owes.
const SHORT: f64 = 1e-13;
/// Defaulted sets up to this size are solved directly, larger ones by Gauss-Seidel.
const DENSE: usize = 128;
const MAX_SWEEPS: usize = 100_000;

/// What creditors of a defaulted node recover: shares of its external assets and of what it is owed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Share of external assets, 1 for Eisenberg-Noe.
    pub external: f64,
    /// Share of claims on others, 1 for Eisenberg-Noe.
    pub claims: f64,
}

/// A clearing vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clearing {
    /// What each node pays.
    pub paid: Vec<f64>,
    /// What each node owes.
    pub owed: Vec<f64>,
    /// Equity after clearing, zero for defaulted nodes.
    pub equity: Vec<f64>,
    /// Defaulted nodes, ascending.
    pub defaulted: Vec<usize>,
}

/// Clears obligations `(debtor, creditor, amount)` against external assets.
///
/// # Errors
/// Amounts that are negative or not finite, nodes out of range, a node owing itself, too many nodes, or a
/// defaulted cycle without any asset at all.
pub fn clear(
    external: &[f64],
    obligations: &[(usize, usize, f64)],
    recovery: Recovery,
) -> Result<Clearing, RiskError> {
    let n = external.len();
    if n > MAX_NODES {
        return Err(RiskError::OutOfDomain {
            name: "nodes",
            value: n as f64,
            domain: "at most 4000",
        });
    }
    external.iter().try_for_each(|e| non_negative("external assets", *e).map(|_| ()))?;
    probability("external recovery", recovery.external)?;
    probability("claims recovery", recovery.claims)?;
    let mut owed = vec![0.0; n];
    for (i, j, amount) in obligations {
        if *i >= n || *j >= n || i == j {
            return Err(RiskError::OutOfDomain {
                name: "obligation",
                value: *i as f64,
                domain: "two distinct nodes",
            });
        }
        owed[*i] += non_negative("obligation", *amount)?;
    }
    // Claims by creditor: (debtor, share of the debtor's payments).
    let mut claims: Vec<Vec<(usize, f64)>> = vec![Vec::new(); n];
    for (i, j, amount) in obligations {
        if *amount > 0.0 {
            claims[*j].push((*i, amount / owed[*i]));
        }
    }
    let mut defaulted = vec![false; n];
    let mut paid = owed.clone();
    for _ in 0..=n {
        let received = |j: usize| claims[j].iter().map(|(i, share)| share * paid[*i]).sum::<f64>();
        let fresh: Vec<usize> = (0..n)
            .filter(|j| !defaulted[*j] && external[*j] + received(*j) < owed[*j] * (1.0 - SHORT))
            .collect();
        if fresh.is_empty() {
            break;
        }
        fresh.into_iter().for_each(|j| defaulted[j] = true);
        solve_defaulted(external, &owed, &claims, &defaulted, recovery, &mut paid)?;
    }
    let equity = (0..n)
        .map(|j| {
            let assets = external[j] + claims[j].iter().map(|(i, s)| s * paid[*i]).sum::<f64>();
            if defaulted[j] { 0.0 } else { (assets - paid[j]).max(0.0) }
        })
        .collect();
    let defaulted = (0..n).filter(|j| defaulted[*j]).collect();
    Ok(Clearing { paid, owed, equity, defaulted })
}

/// Payments of the defaulted nodes given that everyone else pays in full.
fn solve_defaulted(
    external: &[f64],
    owed: &[f64],
    claims: &[Vec<(usize, f64)>],
    defaulted: &[bool],
    recovery: Recovery,
    paid: &mut [f64],
) -> Result<(), RiskError> {
    let nodes: Vec<usize> = (0..owed.len()).filter(|j| defaulted[*j]).collect();
    if nodes.len() <= DENSE {
        let place = |i: usize| nodes.binary_search(&i).ok();
        let mut system = Vec::with_capacity(nodes.len());
        for (row, j) in nodes.iter().enumerate() {
            let mut line = vec![0.0; nodes.len() + 1];
            line[row] = 1.0;
            line[nodes.len()] = recovery.external * external[*j];
            for (i, share) in &claims[*j] {
                match place(*i) {
                    Some(column) => line[column] -= recovery.claims * share,
                    None => line[nodes.len()] += recovery.claims * share * owed[*i],
                }
            }
            system.push(line);
        }
        let solution = eliminate(system)?;
        for (j, p) in nodes.iter().zip(solution) {
            paid[*j] = p.clamp(0.0, owed[*j]);
        }
        return Ok(());
    }
    for _ in 0..MAX_SWEEPS {
        let mut change = 0.0_f64;
        for j in &nodes {
            let received: f64 = claims[*j].iter().map(|(i, s)| s * paid[*i]).sum();
            let next = (recovery.external * external[*j] + recovery.claims * received)
                .clamp(0.0, owed[*j]);
            change = change.max((next - paid[*j]).abs() / owed[*j].max(f64::MIN_POSITIVE));
            paid[*j] = next;
        }
        if change < 1e-15 {
            return Ok(());
        }
    }
    Err(RiskError::NoConvergence { name: "clearing", iterations: MAX_SWEEPS })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: Recovery = Recovery { external: 1.0, claims: 1.0 };

    proptest! {
        #[test]
        fn liability_is_limited_value_conserved_and_more_assets_never_hurt(
            external in prop::collection::vec(0_u32..30, 6),
            edges in prop::collection::vec((0_usize..6, 0_usize..6, 1_u32..30), 0..20),
            bonus in 0_usize..6,
        ) {
            let e: Vec<f64> = external.iter().map(|x| f64::from(*x) + 0.5).collect();
            let edges: Vec<_> =
                edges.into_iter().filter(|x| x.0 != x.1).map(|(i, j, a)| (i, j, f64::from(a))).collect();
            let c = clear(&e, &edges, FULL).unwrap();
            for j in 0..6 {
                prop_assert!(c.paid[j] <= c.owed[j] + 1e-9 && c.paid[j] >= 0.0);
                let short = c.paid[j] < c.owed[j] - 1e-9;
                prop_assert!(!short || c.equity[j] == 0.0);
            }
            let (before, after): (f64, f64) = (e.iter().sum(), c.equity.iter().sum());
            prop_assert!((before - after).abs() < 1e-9 * (1.0 + before), "{before} {after}");
            let mut richer = e.clone();
            richer[bonus] += 5.0;
            let d = clear(&richer, &edges, FULL).unwrap();
            prop_assert!(d.paid.iter().zip(&c.paid).all(|(x, y)| *x >= y - 1e-9));
            let lossy = clear(&e, &edges, Recovery { external: 0.7, claims: 0.8 }).unwrap();
            prop_assert!(lossy.paid.iter().zip(&c.paid).all(|(x, y)| *x <= y + 1e-9));
        }
    }

    #[test]
    fn bad_networks_are_refused() {
        assert!(clear(&[1.0], &[(0, 0, 1.0)], FULL).is_err());
        assert!(clear(&[1.0], &[(0, 3, 1.0)], FULL).is_err());
        assert!(clear(&[f64::NAN], &[], FULL).is_err());
        assert!(clear(&[1.0, 1.0], &[(0, 1, -1.0)], FULL).is_err());
    }
}
