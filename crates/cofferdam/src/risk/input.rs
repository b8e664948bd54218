//! What a person gives beside the book: the parameters file, JSON, every section optional until a view needs it.

use std::collections::BTreeMap;

use cofferdam_risk::{
    book::QualityRules,
    contagion::backing::BackingRule,
    cost::ActionCost,
    limiters::optimise::{Candidate, Weights},
    threshold::{AttackPath, QuietWindow},
    vol::MertonJumps,
};
use serde::Deserialize;

/// Parameters of the views.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Params {
    /// Law of the underlying during a pause.
    pub(super) market: MertonJumps,
    /// Seed of every simulation.
    pub(super) seed: u64,
    /// Lengths of a pause, hours; the first is shown large.
    pub(super) hours: Vec<f64>,
    /// Simulated paths.
    pub(super) paths: usize,
    /// Insurance fund, USD; the book's own if absent.
    pub(super) fund_usd: Option<f64>,
    /// Treasury behind it, USD.
    pub(super) treasury_usd: f64,
    /// Accounts whose Greeks and profit are shown (the pool's own, or those it guarantees); all if empty. Shortfall is
    /// always that of every account.
    pub(super) own: Vec<String>,
    /// Limits of the data-quality gates.
    pub(super) quality: QualityRules,
    /// Settlement averages and the oracle's outage, for expiries inside the pause.
    pub(super) settlement: Option<Settlement>,
    /// The incident.
    pub(super) incident: Option<Incident>,
    /// Who holds what of whom.
    pub(super) contagion: Option<Contagion>,
    /// Outflows and candidate limits.
    pub(super) limits: Option<Limits>,
    /// A back-test, for the threshold curve.
    pub(super) backtest: Option<Backtest>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            market: MertonJumps { sigma: 0.55, intensity: 12.0, jump_mean: -0.03, jump_sd: 0.06 },
            seed: 2_041,
            hours: vec![6.0, 1.0, 24.0, 72.0],
            paths: 20_000,
            fund_usd: None,
            treasury_usd: 0.0,
            own: Vec::new(),
            quality: QualityRules::default(),
            settlement: None,
            incident: None,
            contagion: None,
            limits: None,
            backtest: None,
        }
    }
}

/// Settlement inside a pause.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settlement {
    /// Published average or its forecast, USD.
    pub(super) published: f64,
    /// Average attested off chain, USD.
    pub(super) attested: f64,
    /// Hours the oracle is down from now.
    pub(super) oracle_down_hours: f64,
}

/// The incident a decision is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Incident {
    /// Its number.
    pub(super) id: String,
    /// The chain.
    pub(super) chain: String,
    /// Where it stands, in words.
    pub(super) stage: String,
    /// Probability of an attack per block before any evidence.
    pub(super) prior: f64,
    /// Lowest and highest plausible prior.
    pub(super) prior_range: (f64, f64),
    /// Evidence by group of detectors with one cause.
    pub(super) evidence: Vec<Group>,
    /// Value an attacker can reach, USD.
    pub(super) at_risk_usd: f64,
    /// Already lost, USD.
    #[serde(default)]
    pub(super) lost_usd: f64,
    /// Blocks a drain takes from here.
    pub(super) drain_blocks: usize,
    /// Separation of the evidence a block brings, standard deviations.
    pub(super) evidence_per_block: f64,
    /// What can be done.
    pub(super) actions: Vec<Action>,
    /// False alarms left this quarter, and the budget.
    #[serde(default)]
    pub(super) false_alarm_budget: Option<(u32, u32)>,
}

/// Evidence of one cause.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Group {
    /// The cause.
    pub(super) cause: String,
    /// Most it may count, nats.
    pub(super) cap: f64,
    /// Log-likelihood ratios, nats, by detector.
    pub(super) llr: BTreeMap<String, f64>,
}

/// One action.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Action {
    /// Its name.
    pub(super) name: String,
    /// What it costs.
    pub(super) cost: ActionCost,
    /// Share of the drain it stops.
    pub(super) stops: f64,
    /// Users it hits.
    pub(super) users: u64,
    /// Whether it can be undone.
    pub(super) reversible: bool,
    /// Hours until it ends by itself.
    pub(super) expires_hours: f64,
    /// Who must approve.
    pub(super) approvals: String,
    /// Blocks until it works.
    pub(super) in_effect_blocks: u32,
    /// Whether the pause risk of the book is added to its cost.
    #[serde(default)]
    pub(super) pauses_the_book: bool,
}

/// A network of protocols.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Contagion {
    /// Value of each node, USD.
    pub(super) nodes: BTreeMap<String, f64>,
    /// Who loses when whom does.
    pub(super) edges: Vec<Link>,
    /// Share of each node's value lost at first.
    pub(super) shock: BTreeMap<String, f64>,
    /// Wrapped assets and what is locked for them.
    #[serde(default)]
    pub(super) wrapped: Vec<Wrapped>,
    /// When the collateral breaker trips.
    #[serde(default)]
    pub(super) rule: BackingRule,
}

/// One edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Link {
    /// Source of the loss.
    pub(super) from: String,
    /// Who bears it.
    pub(super) to: String,
    /// Share of the target's value lost when the source is wiped out.
    pub(super) weight: f64,
    /// Collateral, lp, bridge, wrap, oracle, insurance, custody.
    pub(super) kind: String,
}

/// A wrapped asset.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Wrapped {
    /// Its name and chain.
    pub(super) name: String,
    /// Locked at home, base units.
    pub(super) locked: u128,
    /// Minted elsewhere, base units.
    pub(super) minted: u128,
    /// Seconds since the two could last be compared.
    #[serde(default)]
    pub(super) blind_seconds: u64,
    /// Who attests messages, such as `1-of-1`.
    #[serde(default)]
    pub(super) verifiers: String,
}

/// A limiter to choose.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Limits {
    /// Gross outflow per step, USD, oldest first.
    pub(super) outflows: Vec<f64>,
    /// Seconds per step.
    pub(super) step_seconds: f64,
    /// Limits to compare.
    pub(super) candidates: Vec<Candidate>,
    /// The one in force.
    pub(super) current: Option<Candidate>,
    /// Weights of the objective.
    pub(super) weights: Weights,
    /// Longest wait an ordinary user was promised, seconds.
    pub(super) wait_seconds: f64,
    /// Share of ordinary withdrawals that may wait longer.
    pub(super) late_share: f64,
}

/// A back-test.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Backtest {
    /// Quiet stretches.
    pub(super) quiet: Vec<QuietWindow>,
    /// Attacks.
    pub(super) attacks: Vec<AttackPath>,
    /// Years behind the quiet stretches.
    pub(super) years: f64,
    /// Attacks expected a year.
    pub(super) attacks_per_year: f64,
    /// Threshold in force, a probability.
    pub(super) current: Option<f64>,
}
