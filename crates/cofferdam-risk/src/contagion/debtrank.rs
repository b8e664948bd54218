//! DebtRank: distress as a share of equity, spread along impact edges. The original (Battiston et al. 2012) lets
//! each node fire once; the linear one (Bardoscia et al. 2015) reverberates and bounds it from above. With the
//! value of cutting each edge, and look-through exposure.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, non_negative, probability, same_length};

/// Rounds of the linear recursion before it is called divergent (every node saturates long before).
const MAX_ROUNDS: usize = 10_000;
/// Changes below this end the recursion.
const SETTLED: f64 = 1e-15;

/// Impact of one node on another: the share of the target's equity lost when the source is wiped out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Source of the loss.
    pub from: usize,
    /// Who bears it.
    pub to: usize,
    /// Share.
    pub weight: f64,
}

/// Impact edges and the economic value of the nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImpactNetwork {
    edges: Vec<Edge>,
    value: Vec<f64>,
}

/// Result of the original DebtRank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DebtRank {
    /// Final distress per node.
    pub distress: Vec<f64>,
    /// Value lost beyond the initial shock.
    pub rank: f64,
    /// Rounds until nobody was left to fire.
    pub rounds: usize,
}

impl ImpactNetwork {
    /// Checks and keeps a network.
    ///
    /// # Errors
    /// Weights or values that are negative or not finite, or an edge to a node that does not exist.
    pub fn new(edges: Vec<Edge>, value: Vec<f64>) -> Result<Self, RiskError> {
        for e in &edges {
            non_negative("impact", e.weight)?;
            if e.from >= value.len() || e.to >= value.len() {
                return Err(RiskError::OutOfDomain {
                    name: "edge",
                    value: e.to as f64,
                    domain: "two known nodes",
                });
            }
        }
        value.iter().try_for_each(|v| non_negative("economic value", *v).map(|_| ()))?;
        Ok(Self { edges, value })
    }

    fn check(&self, shock: &[f64]) -> Result<(), RiskError> {
        same_length("shock", shock.len(), self.value.len())?;
        shock.iter().try_for_each(|h| probability("shock", *h).map(|_| ()))
    }

    /// Battiston's DebtRank from an initial distress.
    ///
    /// # Errors
    /// A shock of the wrong length or outside `[0, 1]`.
    pub fn debtrank(&self, shock: &[f64]) -> Result<DebtRank, RiskError> {
        self.check(shock)?;
        let mut h = shock.to_vec();
        let mut active: Vec<bool> = h.iter().map(|x| *x > 0.0).collect();
        let mut spent = vec![false; h.len()];
        let mut rounds = 0;
        while active.iter().any(|a| *a) {
            let mut next = h.clone();
            for e in self.edges.iter().filter(|e| active[e.from]) {
                next[e.to] += e.weight * h[e.from];
            }
            next.iter_mut().for_each(|x| *x = x.min(1.0));
            for i in 0..h.len() {
                let was = active[i];
                active[i] = !was && !spent[i] && next[i] > 0.0;
                spent[i] |= was;
            }
            h = next;
            rounds += 1;
        }
        let rank = h.iter().zip(shock).zip(&self.value).map(|((a, b), v)| (a - b) * v).sum();
        Ok(DebtRank { distress: h, rank, rounds })
    }

    /// Linear DebtRank: `h' = min(1, h + W^T (h - h_previous))` until it settles.
    ///
    /// # Errors
    /// A shock of the wrong length or outside `[0, 1]`, or no settling.
    pub fn linear(&self, shock: &[f64]) -> Result<Vec<f64>, RiskError> {
        self.check(shock)?;
        let mut h = shock.to_vec();
        let mut step = h.clone();
        for _ in 0..MAX_ROUNDS {
            let mut next = h.clone();
            for e in self.edges.iter().filter(|e| step[e.from] > 0.0) {
                next[e.to] += e.weight * step[e.from];
            }
            let mut change = 0.0_f64;
            for i in 0..h.len() {
                next[i] = next[i].min(1.0);
                step[i] = next[i] - h[i];
                change = change.max(step[i]);
            }
            h = next;
            if change <= SETTLED {
                return Ok(h);
            }
        }
        Err(RiskError::NoConvergence { name: "linear debtrank", iterations: MAX_ROUNDS })
    }

    /// Value lost under linear DebtRank, the shock included.
    ///
    /// # Errors
    /// As [`ImpactNetwork::linear`].
    pub fn loss(&self, shock: &[f64]) -> Result<f64, RiskError> {
        Ok(self.linear(shock)?.iter().zip(&self.value).map(|(h, v)| h * v).sum())
    }

    /// Value saved by cutting each edge alone, `(edge index, saved)`, largest first; edges that save nothing are left out.
    ///
    /// # Errors
    /// As [`ImpactNetwork::linear`].
    pub fn edge_cut_values(&self, shock: &[f64]) -> Result<Vec<(usize, f64)>, RiskError> {
        let whole = self.loss(shock)?;
        let distress = self.linear(shock)?;
        let mut out = Vec::new();
        let mut cut = self.clone();
        for i in 0..self.edges.len() {
            // An edge out of a healthy node carries nothing.
            if distress[self.edges[i].from] == 0.0 || self.edges[i].weight == 0.0 {
                continue;
            }
            cut.edges[i].weight = 0.0;
            let saved = whole - cut.loss(shock)?;
            cut.edges[i].weight = self.edges[i].weight;
            if saved > 0.0 {
                out.push((i, saved));
            }
        }
        out.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(out)
    }

    /// Look-through exposure `(I - W)^-1 w`: direct exposure plus that of everything held, holdings given by the
    /// edges from holder to held.
    ///
    /// # Errors
    /// Exposures of the wrong length, or holdings whose chain does not die out.
    pub fn look_through(&self, direct: &[f64]) -> Result<Vec<f64>, RiskError> {
        same_length("direct exposure", direct.len(), self.value.len())?;
        let mut total = direct.to_vec();
        let mut term = direct.to_vec();
        for _ in 0..MAX_ROUNDS {
            let mut next = vec![0.0; term.len()];
            for e in &self.edges {
                next[e.from] += e.weight * term[e.to];
            }
            let size = next.iter().map(|x| x.abs()).fold(0.0, f64::max);
            let scale = total.iter().map(|x| x.abs()).fold(0.0, f64::max);
            total.iter_mut().zip(&next).for_each(|(t, x)| *t += x);
            if size.is_nan() || size > 1e300 {
                break;
            }
            if size <= SETTLED * scale {
                return Ok(total);
            }
            term = next;
        }
        Err(RiskError::NoConvergence { name: "look-through exposure", iterations: MAX_ROUNDS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_bridge_is_worth_everything_behind_it() {
        let edges = vec![
            Edge { from: 0, to: 1, weight: 0.5 },
            Edge { from: 1, to: 2, weight: 0.8 },
            Edge { from: 2, to: 1, weight: 0.0 },
        ];
        let net = ImpactNetwork::new(edges, vec![10.0, 20.0, 30.0]).unwrap();
        let cuts = net.edge_cut_values(&[1.0, 0.0, 0.0]).unwrap();
        assert_eq!(cuts[0].0, 0);
        assert!((cuts[0].1 - (0.5 * 20.0 + 0.4 * 30.0)).abs() < 1e-12);
        assert!(net.debtrank(&[2.0, 0.0, 0.0]).is_err());
    }

    #[test]
    fn exposure_is_seen_through_wrappers_and_endless_wrapping_is_refused() {
        let held = vec![Edge { from: 0, to: 1, weight: 0.5 }, Edge { from: 1, to: 2, weight: 0.4 }];
        let net = ImpactNetwork::new(held, vec![1.0; 3]).unwrap();
        assert_eq!(net.look_through(&[0.0, 0.0, 100.0]).unwrap(), vec![20.0, 40.0, 100.0]);
        let loop_ =
            vec![Edge { from: 0, to: 1, weight: 1.0 }, Edge { from: 1, to: 0, weight: 1.0 }];
        assert!(
            ImpactNetwork::new(loop_, vec![1.0; 2]).unwrap().look_through(&[1.0, 0.0]).is_err()
        );
    }
}
