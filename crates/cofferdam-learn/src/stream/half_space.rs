//! Half-space trees (Tan, Ting and Liu 2011): random axis-parallel trees whose nodes count the rows of the
//! last window. A row that falls where few fell is strange.
//!
//! **Invariant:** the trees are a function of settings and seed; only counts are state. A row is scored and
//! learned in one walk per tree, and the end of a window costs nothing: a node notes in which window it
//! counted, and whoever meets it later turns its count into the reference, or into zero if it is older.

use cofferdam_risk::numeric::random::Philox;
use serde::{Deserialize, Serialize};

use super::{Model, ModelError, State, Step, exact, fits, setting};

/// Share of a node's range at each end in which it is not cut.
const PADDING: f64 = 0.15;
/// Most nodes of all trees together.
pub(crate) const NODES_MAX: usize = 1 << 24;
/// Widest row.
pub(crate) const WIDTH_MAX: usize = 64;

/// Settings of [`HalfSpaceTrees`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HalfSpaceSettings {
    /// Values of a row.
    pub width: usize,
    /// Trees.
    pub trees: u32,
    /// Levels below the root.
    pub height: u32,
    /// Rows of a window.
    pub window: u16,
    /// Score in [0, 1] above which a row is an alarm.
    #[serde(with = "exact")]
    pub threshold: f64,
    /// From which the trees are drawn.
    pub seed: u64,
}

/// A node; the tree of height h is an array of 2^(h+1) - 1 of them, children of i at 2i+1 and 2i+2.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    threshold: f32,
    feature: u16,
    /// Rows of the window in `epoch`.
    fresh: u16,
    /// Rows of the window before it.
    reference: u16,
    /// The window it counted last.
    epoch: u32,
}

/// The model.
#[derive(Clone, Debug)]
pub struct HalfSpaceTrees {
    settings: HalfSpaceSettings,
    nodes: Vec<Node>,
    /// The present window, from 1.
    epoch: u32,
    /// Rows in it.
    count: u16,
    /// Whether there is a reference.
    judges: bool,
    /// Least and greatest value of each column so far.
    ranges: Vec<(f64, f64)>,
    /// The row scaled into [0, 1]; kept to save the allocation.
    scaled: Vec<f32>,
}

/// The state: settings and the counts that matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    settings: HalfSpaceSettings,
    count: u16,
    judges: bool,
    #[serde(with = "exact::list")]
    least: Vec<f64>,
    #[serde(with = "exact::list")]
    most: Vec<f64>,
    /// Node, fresh, reference; sorted by node.
    counts: Vec<(u32, u16, u16)>,
}

impl HalfSpaceTrees {
    /// An empty model. Columns are scaled by their range so far.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn new(settings: HalfSpaceSettings) -> Result<Self, ModelError> {
        let HalfSpaceSettings { width, trees, height, window, threshold, seed } = settings;
        setting((1..=WIDTH_MAX).contains(&width), "width", "[1, 64]")?;
        setting((1..=20).contains(&height), "height", "[1, 20]")?;
        setting(window >= 1, "window", "[1, 65535]")?;
        setting((0.0..=1.0).contains(&threshold), "threshold", "[0, 1]")?;
        let size = (2usize << height) - 1;
        let total = size.checked_mul(trees as usize).filter(|it| *it <= NODES_MAX);
        let total = total.filter(|it| *it > 0);
        setting(total.is_some(), "trees", "at least one, and at most 2^24 nodes in all")?;
        let mut nodes = vec![Node::default(); total.unwrap_or_default()];
        let rng = Philox::new(seed);
        for (stream, tree) in nodes.chunks_exact_mut(size).enumerate() {
            let mut limits = vec![(0.0, 1.0); width];
            grow(tree, 0, &mut limits, &|at| rng.uniform(stream as u64, at));
        }
        Ok(Self {
            nodes,
            epoch: 1,
            count: 0,
            judges: false,
            ranges: vec![(f64::INFINITY, f64::NEG_INFINITY); width],
            scaled: vec![0.0; width],
            settings,
        })
    }

    /// A model from its state.
    ///
    /// # Errors
    /// [`ModelError`] if the state is not one of its settings.
    pub fn restore(saved: Saved) -> Result<Self, ModelError> {
        let mut model = Self::new(saved.settings)?;
        fits(saved.count < model.settings.window, "rows of the window")?;
        let width = model.settings.width;
        fits(saved.least.len() == width && saved.most.len() == width, "ranges")?;
        (model.count, model.judges) = (saved.count, saved.judges);
        model.ranges = saved.least.into_iter().zip(saved.most).collect();
        fits(model.ranges.iter().all(|(a, b)| !a.is_nan() && !b.is_nan()), "ranges")?;
        for (at, fresh, reference) in saved.counts {
            let window = model.settings.window;
            let node = model.nodes.get_mut(at as usize);
            let node = node.filter(|_| fresh <= window && reference <= window);
            let node = node.ok_or(ModelError::State { what: "counts" })?;
            (node.fresh, node.reference, node.epoch) = (fresh, reference, model.epoch);
        }
        Ok(model)
    }

    /// The score of a row in [0, 1], then the row is counted. `None` during the first window.
    ///
    /// # Errors
    /// [`ModelError::Width`] or [`ModelError::NotFinite`]; the model is unchanged.
    pub fn score(&mut self, row: &[f64]) -> Result<Option<f64>, ModelError> {
        let settings = &self.settings;
        if row.len() != settings.width {
            return Err(ModelError::Width { got: row.len(), want: settings.width });
        }
        if let Some(index) = row.iter().position(|it| !it.is_finite()) {
            return Err(ModelError::NotFinite { index });
        }
        for ((value, range), scaled) in row.iter().zip(&mut self.ranges).zip(&mut self.scaled) {
            *range = (range.0.min(*value), range.1.max(*value));
            let span = range.1 - range.0;
            *scaled = if span > 0.0 { ((value - range.0) / span) as f32 } else { 0.0 };
        }
        let few = settings.window.div_ceil(10);
        let size = (2usize << settings.height) - 1;
        let mut mass = 0u64;
        for tree in self.nodes.chunks_exact_mut(size) {
            mass += walk(tree, &self.scaled, settings.height, self.epoch, few);
        }
        let most = f64::from(settings.trees) * f64::from(settings.window) * size as f64;
        let score = self.judges.then(|| 1.0 - mass as f64 / most);
        self.count += 1;
        if self.count == settings.window {
            (self.count, self.judges) = (0, true);
            self.epoch = self.epoch.saturating_add(1);
        }
        Ok(score)
    }

    fn saved(&self) -> Saved {
        let counts = (0u32..).zip(&self.nodes).filter_map(|(at, node)| {
            let node = node.in_epoch(self.epoch);
            (node.fresh > 0 || node.reference > 0).then_some((at, node.fresh, node.reference))
        });
        Saved {
            settings: self.settings.clone(),
            count: self.count,
            judges: self.judges,
            least: self.ranges.iter().map(|it| it.0).collect(),
            most: self.ranges.iter().map(|it| it.1).collect(),
            counts: counts.collect(),
        }
    }
}

impl Saved {
    /// Sets the score above which a row is an alarm, held within [0, 1].
    pub(crate) fn set_threshold(&mut self, threshold: f64) {
        self.settings.threshold = threshold.clamp(0.0, 1.0);
    }
}

impl Node {
    /// The node as it stands in a window.
    fn in_epoch(mut self, epoch: u32) -> Self {
        if self.epoch != epoch {
            let last = self.epoch.checked_add(1) == Some(epoch);
            self.reference = if last { self.fresh } else { 0 };
            (self.fresh, self.epoch) = (0, epoch);
        }
        self
    }
}

/// Walks a row down one tree: the mass it meets, until a node that had fewer than `few` rows.
fn walk(tree: &mut [Node], row: &[f32], height: u32, epoch: u32, few: u16) -> u64 {
    let (mut at, mut mass, mut counts) = (0usize, 0u64, true);
    for depth in 0..=height {
        let Some(slot) = tree.get_mut(at) else { break };
        let mut node = slot.in_epoch(epoch);
        node.fresh = node.fresh.saturating_add(1);
        *slot = node;
        if counts {
            mass += u64::from(node.reference) << depth;
            counts = node.reference >= few;
        }
        let value = row.get(usize::from(node.feature)).copied().unwrap_or_default();
        at = 2 * at + 1 + usize::from(value >= node.threshold);
    }
    mass
}

/// Cuts node `at` and what is below it: a column chosen in proportion to its range, at a place drawn
/// evenly from the middle of it.
fn grow(tree: &mut [Node], at: usize, limits: &mut [(f64, f64)], draw: &dyn Fn(u64) -> f64) {
    let (left, right) = (2 * at + 1, 2 * at + 2);
    if right >= tree.len() {
        return;
    }
    let total: f64 = limits.iter().map(|(a, b)| b - a).sum();
    let mut rest = draw(2 * at as u64) * total;
    let mut feature = 0;
    for (index, (a, b)) in limits.iter().enumerate() {
        feature = index;
        rest -= b - a;
        if rest < 0.0 {
            break;
        }
    }
    let (low, high) = limits[feature];
    let share = PADDING + (1.0 - 2.0 * PADDING) * draw(2 * at as u64 + 1);
    let cut = low + share * (high - low);
    (tree[at].threshold, tree[at].feature) = (cut as f32, feature as u16);
    limits[feature] = (low, cut);
    grow(tree, left, limits, draw);
    limits[feature] = (cut, high);
    grow(tree, right, limits, draw);
    limits[feature] = (low, high);
}

impl Model for HalfSpaceTrees {
    fn width(&self) -> usize {
        self.settings.width
    }

    fn step(&mut self, row: &[f64]) -> Result<Step, ModelError> {
        let score = self.score(row)?;
        Ok(Step { score, alarm: score.is_some_and(|it| it > self.settings.threshold) })
    }

    fn state(&self) -> State {
        State::HalfSpaceTrees(self.saved())
    }
}
