//! What happens to an entity per block, as numbers for streaming models.

use alloy_primitives::U256;
use cofferdam_core::plan::AssetId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Proof, Sample, Subject,
    stream::{
        Cusum, CusumSettings, Dspot, DspotSettings, Ewma, EwmaSettings, HalfSpaceSettings,
        HalfSpaceTrees, Model, ModelError, PageHinkley, PageHinkleySettings, Spot, SpotSettings,
        State,
    },
};

/// Longest state of one model in a plan, in bytes.
pub const STATE_BYTES_MAX: usize = 64 * 1024;
/// Blocks from which the simple models are proposed.
pub(crate) const BLOCKS_MIN: usize = 50;
/// Blocks from which tails are proposed (`risk.md` §13: at least 1,000 first values).
pub(crate) const TAIL_BLOCKS_MIN: usize = 1_000;

/// What is measured.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Entries into the entity.
    Entries,
    /// Gas used by the transactions that entered.
    Gas,
    /// What left, of one asset, in whole units.
    Outflow,
    /// All of these together, as one row.
    All,
}

/// A streaming model of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetricGuard {
    /// What it measures.
    pub metric: Metric,
    /// The asset of an outflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetId>,
    /// The model with its state at the end of the history, as JSON.
    pub model: String,
    /// What is known about it; its observations are blocks.
    pub proof: Proof,
}

/// The metrics of one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Entries.
    pub entries: f64,
    /// Gas.
    pub gas: f64,
    /// Outflow per asset of the subject, in its order.
    pub outflows: Vec<f64>,
}

/// The metrics of a block from its samples.
pub fn measured(subject: &Subject, samples: &[Sample]) -> Measured {
    let entered = samples.iter().filter(|it| !it.entries.is_empty());
    let outflow = |asset: &(AssetId, u8, String)| {
        let flows = samples.iter().flat_map(|it| &it.flows).filter(|it| it.asset == asset.0);
        let sum = flows.fold(U256::ZERO, |sum, it| sum.saturating_add(it.sent));
        f64::from(sum) / libm::exp10(f64::from(asset.1))
    };
    Measured {
        entries: samples.iter().map(|it| it.entries.len()).sum::<usize>() as f64,
        gas: entered.map(|it| it.gas_used as f64).sum(),
        outflows: subject.assets.iter().map(outflow).collect(),
    }
}

impl Measured {
    /// The row of a metric; `None` if the subject has no such asset.
    pub fn row(
        &self,
        subject: &Subject,
        metric: Metric,
        asset: Option<AssetId>,
    ) -> Option<Vec<f64>> {
        Some(match metric {
            Metric::Entries => vec![self.entries],
            Metric::Gas => vec![self.gas],
            Metric::Outflow => {
                let at = subject.assets.iter().position(|it| Some(it.0) == asset)?;
                vec![*self.outflows.get(at)?]
            }
            // Amounts range over many powers of ten; trees cut ranges evenly.
            Metric::All => {
                let all = [self.entries, self.gas].into_iter();
                all.chain(self.outflows.iter().copied()).map(libm::log1p).collect()
            }
        })
    }
}

impl MetricGuard {
    /// The state of its model.
    ///
    /// # Errors
    /// If it is too long or not one.
    pub fn state(&self) -> Result<State, String> {
        if self.model.len() > STATE_BYTES_MAX {
            return Err(format!("the model has more than {STATE_BYTES_MAX} bytes"));
        }
        serde_json::from_str(&self.model).map_err(|it| it.to_string())
    }

    /// What it is, for people, e.g. `spot of outflow 0x…`.
    pub fn title(&self) -> String {
        let model = self.state().map_or("model", |it| it.name());
        let metric = match self.metric {
            Metric::Entries => "entries",
            Metric::Gas => "gas",
            Metric::Outflow => "outflow",
            Metric::All => "all metrics",
        };
        match self.asset {
            Some(asset) => format!("{model} of {metric} {asset}"),
            None => format!("{model} of {metric}"),
        }
    }
}

/// The models that a history of this length can carry, empty; `row` is the width, `spread` the standard
/// deviation of the metric, `seed` that of the trees.
pub(crate) fn candidates(
    metric: Metric,
    width: usize,
    blocks: usize,
    spread: f64,
    seed: u64,
) -> Result<Vec<Box<dyn Model>>, ModelError> {
    let mut out: Vec<Box<dyn Model>> = Vec::new();
    let warm_up = (blocks / 2).min(500);
    if blocks < BLOCKS_MIN {
        return Ok(out);
    }
    if metric == Metric::All {
        let window = u16::try_from(blocks / 4).unwrap_or(u16::MAX).min(250);
        let settings =
            HalfSpaceSettings { width, trees: 10, height: 8, window, threshold: 1.0, seed };
        out.push(Box::new(HalfSpaceTrees::new(settings)?));
        return Ok(out);
    }
    let warm = warm_up as u64;
    out.push(Box::new(Ewma::new(EwmaSettings { alpha: 0.05, limit: 6.0, warm_up: warm })?));
    // Run length without cause about 10^6 blocks for values that are normal (`risk.md` §9.7).
    out.push(Box::new(Cusum::new(CusumSettings { k: 0.5, h: 11.964_08, warm_up: warm })?));
    if spread > 0.0 {
        let settings =
            PageHinkleySettings { delta: 0.1 * spread, threshold: 50.0 * spread, warm_up: warm };
        out.push(Box::new(PageHinkley::new(settings)?));
    }
    if blocks >= TAIL_BLOCKS_MIN {
        let spot =
            SpotSettings { q: 1e-4, level: 0.98, warm_up: TAIL_BLOCKS_MIN / 2, excesses: 200 };
        out.push(Box::new(Spot::new(spot)?));
        let depth = 50;
        let spot = SpotSettings { warm_up: TAIL_BLOCKS_MIN / 2 - depth, ..spot };
        out.push(Box::new(Dspot::new(DspotSettings { depth, spot })?));
    }
    Ok(out)
}
