//! Gradient-boosted trees evaluated from the trainer's JSON (LightGBM `dump_model`), no trainer needed at run time.
//! Invariant: evaluation agrees with the trainer bit for bit up to the order of one sum, and a model that could
//! loop, read beyond its row or return a NaN does not load.

use serde::{Deserialize, Serialize};

use crate::error::RiskError;
use crate::fusion::sigmoid;

/// Most trees of a model.
pub const TREES_MAX: usize = 20_000;
/// Deepest tree.
pub const DEPTH_MAX: usize = 64;
/// Most nodes of a model.
pub const NODES_MAX: usize = 2_000_000;
/// LightGBM's notion of zero.
const ZERO: f64 = 1e-35;

/// Why a model does not load. Ask its trainer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The objective or layout is not one that can be evaluated here.
    #[error("model has {what} {found}, which is not supported")]
    Unsupported {
        /// Which part.
        what: &'static str,
        /// What it is.
        found: String,
    },
    /// A limit is exceeded.
    #[error("model has more {what} than {limit}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A number or index cannot be used.
    #[error("tree {tree} has an invalid {what}")]
    Invalid {
        /// Which tree.
        tree: usize,
        /// Which part.
        what: &'static str,
    },
}

#[derive(Debug, Deserialize)]
struct RawModel {
    version: String,
    num_class: u32,
    num_tree_per_iteration: u32,
    objective: String,
    #[serde(default)]
    average_output: bool,
    feature_names: Vec<String>,
    tree_info: Vec<RawTree>,
}

#[derive(Debug, Deserialize)]
struct RawTree {
    tree_structure: RawNode,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawNode {
    Split(Box<RawSplit>),
    Leaf { leaf_value: f64 },
}

#[derive(Debug, Deserialize)]
struct RawSplit {
    split_feature: usize,
    threshold: f64,
    decision_type: String,
    default_left: bool,
    missing_type: String,
    left_child: RawNode,
    right_child: RawNode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    None,
    Zero,
    Nan,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    Leaf(f64),
    Split {
        feature: u32,
        threshold: f64,
        default_left: bool,
        missing: Missing,
        left: u32,
        right: u32,
    },
}

/// A model that can be evaluated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawModel")]
pub struct GradientBoosted {
    features: Vec<String>,
    nodes: Vec<Node>,
    roots: Vec<u32>,
    slope: f64,
}

/// Contribution of one feature to a score, in log-odds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    /// Its name.
    pub feature: String,
    /// How often it decided the path through a tree.
    pub decisions: usize,
}

impl TryFrom<RawModel> for GradientBoosted {
    type Error = TreeError;

    fn try_from(raw: RawModel) -> Result<Self, TreeError> {
        let refuse = |what, found: String| Err(TreeError::Unsupported { what, found });
        if raw.version != "v4" {
            return refuse("version", raw.version);
        }
        if raw.num_class != 1 || raw.num_tree_per_iteration != 1 {
            return refuse("classes", raw.num_class.to_string());
        }
        if raw.average_output {
            return refuse("output", "average".into());
        }
        let slope = raw.objective.strip_prefix("binary sigmoid:").and_then(|s| s.parse().ok());
        let Some(slope) = slope.filter(|s: &f64| s.is_finite() && *s > 0.0) else {
            return refuse("objective", raw.objective);
        };
        if raw.tree_info.len() > TREES_MAX {
            return Err(TreeError::TooLarge { what: "trees", limit: TREES_MAX });
        }
        let mut model =
            Self { features: raw.feature_names, nodes: Vec::new(), roots: Vec::new(), slope };
        for (tree, it) in raw.tree_info.into_iter().enumerate() {
            let root = model.flatten(it.tree_structure, tree, 0)?;
            model.roots.push(root);
        }
        Ok(model)
    }
}

impl GradientBoosted {
    fn flatten(&mut self, node: RawNode, tree: usize, depth: usize) -> Result<u32, TreeError> {
        let invalid = |what| Err(TreeError::Invalid { tree, what });
        if depth > DEPTH_MAX {
            return Err(TreeError::TooLarge { what: "levels", limit: DEPTH_MAX });
        }
        let at = self.nodes.len();
        if at >= NODES_MAX {
            return Err(TreeError::TooLarge { what: "nodes", limit: NODES_MAX });
        }
        let place = at as u32;
        match node {
            RawNode::Leaf { leaf_value } if leaf_value.is_finite() => {
                self.nodes.push(Node::Leaf(leaf_value));
            }
            RawNode::Leaf { .. } => return invalid("leaf value"),
            RawNode::Split(s) => {
                if s.split_feature >= self.features.len() {
                    return invalid("feature");
                }
                if s.threshold.is_nan() {
                    return invalid("threshold");
                }
                if s.decision_type != "<=" {
                    let found = s.decision_type;
                    return Err(TreeError::Unsupported { what: "decision", found });
                }
                let missing = match s.missing_type.as_str() {
                    "None" => Missing::None,
                    "Zero" => Missing::Zero,
                    "NaN" => Missing::Nan,
                    _ => return invalid("missing type"),
                };
                self.nodes.push(Node::Leaf(0.0));
                let left = self.flatten(s.left_child, tree, depth + 1)?;
                let right = self.flatten(s.right_child, tree, depth + 1)?;
                self.nodes[at] = Node::Split {
                    feature: s.split_feature as u32,
                    threshold: s.threshold,
                    default_left: s.default_left,
                    missing,
                    left,
                    right,
                };
            }
        }
        Ok(place)
    }

    /// Names of the features, in the order of a row.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// Log-odds of a row; `None` is a missing value.
    ///
    /// # Errors
    /// A row of the wrong length, or an infinite value: a missing one is absent, not infinite.
    pub fn raw(&self, row: &[Option<f64>]) -> Result<f64, RiskError> {
        self.check(row)?;
        Ok(self.roots.iter().map(|root| self.leaf(*root, row, &mut |_| {})).sum())
    }

    /// Probability of a row.
    ///
    /// # Errors
    /// As [`GradientBoosted::raw`].
    pub fn probability(&self, row: &[Option<f64>]) -> Result<f64, RiskError> {
        Ok(sigmoid(self.slope * self.raw(row)?))
    }

    /// Which features decided this row, most often first.
    ///
    /// # Errors
    /// As [`GradientBoosted::raw`].
    pub fn explain(&self, row: &[Option<f64>]) -> Result<Vec<Contribution>, RiskError> {
        self.check(row)?;
        let mut counts = vec![0_usize; self.features.len()];
        for root in &self.roots {
            self.leaf(*root, row, &mut |f| counts[f as usize] += 1);
        }
        let mut out: Vec<Contribution> = self
            .features
            .iter()
            .zip(counts)
            .filter(|(_, n)| *n > 0)
            .map(|(f, decisions)| Contribution { feature: f.clone(), decisions })
            .collect();
        out.sort_by(|a, b| b.decisions.cmp(&a.decisions).then_with(|| a.feature.cmp(&b.feature)));
        Ok(out)
    }

    fn check(&self, row: &[Option<f64>]) -> Result<(), RiskError> {
        crate::error::same_length("features", row.len(), self.features.len())?;
        if row.iter().flatten().any(|x| !x.is_finite()) {
            return Err(RiskError::NotFinite { name: "feature" });
        }
        Ok(())
    }

    fn leaf(&self, root: u32, row: &[Option<f64>], seen: &mut dyn FnMut(u32)) -> f64 {
        let mut at = root as usize;
        loop {
            match self.nodes[at] {
                Node::Leaf(value) => return value,
                Node::Split { feature, threshold, default_left, missing, left, right } => {
                    seen(feature);
                    let value = row[feature as usize];
                    let absent = match missing {
                        Missing::None => false,
                        Missing::Zero => value.is_none_or(|v| v.abs() <= ZERO),
                        Missing::Nan => value.is_none(),
                    };
                    // Where missing has no branch of its own, the trainer reads it as zero.
                    let goes_left =
                        if absent { default_left } else { value.unwrap_or(0.0) <= threshold };
                    at = if goes_left { left } else { right } as usize;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = include_str!("../../tests/gbm/model.json");

    fn load(text: &str) -> Result<GradientBoosted, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn every_row_scores_as_the_trainer_scored_it() {
        #[derive(Deserialize)]
        struct Case {
            row: Vec<Option<f64>>,
            raw: f64,
        }
        let model = load(MODEL).unwrap();
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/gbm/cases.json")).unwrap();
        assert_eq!(cases.len(), 300);
        let worst = cases.iter().map(|c| (model.raw(&c.row).unwrap() - c.raw).abs());
        let worst = worst.fold(0.0, f64::max);
        assert!(worst <= 1e-12, "{worst:e}");
        let p = model.probability(&cases[0].row).unwrap();
        assert!((p - 1.0 / (1.0 + (-cases[0].raw).exp())).abs() < 1e-15);
        assert!(!model.explain(&cases[0].row).unwrap().is_empty());
    }

    #[test]
    fn models_that_cannot_be_evaluated_do_not_load() {
        let odd = |from: &str, to: &str| {
            let text = MODEL.replacen(from, to, 1);
            assert_ne!(text, MODEL, "{from}");
            load(&text).unwrap_err().to_string()
        };
        assert!(odd("\"v4\"", "\"v3\"").contains("version"));
        assert!(odd("binary sigmoid:1", "lambdarank").contains("objective"));
        assert!(odd("\"split_feature\": 1,", "\"split_feature\": 99,").contains("feature"));
        assert!(odd("\"decision_type\": \"<=\"", "\"decision_type\": \"==\"").contains("decision"));
        assert!(odd("\"num_class\": 1", "\"num_class\": 3").contains("classes"));
        assert!(odd("\"missing_type\": \"NaN\"", "\"missing_type\": \"Odd\"").contains("missing"));
        let model = load(MODEL).unwrap();
        assert!(model.raw(&[None; 5]).is_err());
        assert!(model.raw(&[Some(f64::INFINITY), None, None, None, None, None]).is_err());
        assert!(model.raw(&[None; 6]).unwrap().is_finite());
    }

    #[test]
    fn a_tree_too_deep_is_refused_instead_of_overflowing_the_stack() {
        let mut node = String::from("{\"leaf_value\":1}");
        for _ in 0..70 {
            node = format!(
                "{{\"split_feature\":0,\"threshold\":0,\"decision_type\":\"<=\",\"default_left\":true,\
                 \"missing_type\":\"None\",\"left_child\":{node},\"right_child\":{{\"leaf_value\":0}}}}"
            );
        }
        let text = format!(
            "{{\"version\":\"v4\",\"num_class\":1,\"num_tree_per_iteration\":1,\"objective\":\
             \"binary sigmoid:1\",\"feature_names\":[\"x\"],\"tree_info\":[{{\"tree_structure\":{node}}}]}}"
        );
        assert!(load(&text).is_err());
    }
}
