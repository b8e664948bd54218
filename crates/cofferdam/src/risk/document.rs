//! The incident view as one JSON document: what a responder needs on one screen. The schema is part of the product
//! and snapshot-tested; a field's name ends in its unit.

use schemars::JsonSchema;
use serde::Serialize;

/// Version of the schema; it changes when a field does.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The whole screen.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct IncidentView {
    /// Version of this schema.
    pub(super) schema: u32,
    /// The incident, if one is asked about.
    pub(super) incident: Option<IncidentLine>,
    /// The decision in money.
    pub(super) money: Option<MoneyLine>,
    /// Actions, cheapest threshold first.
    pub(super) actions: Vec<ActionLine>,
    /// The book.
    pub(super) book: BookLine,
    /// If the venue were paused, shortest first.
    pub(super) pauses: Vec<PauseLine>,
    /// Who pays.
    pub(super) solvency: SolvencyLine,
    /// Cells of spot by volatility.
    pub(super) grid: Vec<GridCell>,
    /// Where it spreads.
    pub(super) contagion: Option<ContagionLine>,
    /// Data quality, one line each.
    pub(super) data: DataLine,
    /// What would change the decision.
    pub(super) reversals: Vec<Reversal>,
}

/// A number with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Ranged {
    /// Best estimate.
    pub(super) value: f64,
    /// Lower end.
    pub(super) low: f64,
    /// Upper end.
    pub(super) high: f64,
}

/// Which incident, and how likely.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct IncidentLine {
    /// Number.
    pub(super) id: String,
    /// Pool.
    pub(super) pool: String,
    /// Chain.
    pub(super) chain: String,
    /// Probability that an exploit is in progress.
    pub(super) probability: Ranged,
    /// Where it stands.
    pub(super) stage: String,
    /// Sum of the capped evidence, nats.
    pub(super) evidence_nats: f64,
    /// Log-odds of the prior, nats.
    pub(super) prior_nats: f64,
    /// Evidence by cause.
    pub(super) evidence: Vec<EvidenceLine>,
    /// False alarms left this quarter.
    pub(super) false_alarms_left: Option<u32>,
}

/// Evidence of one cause.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct EvidenceLine {
    /// The cause.
    pub(super) cause: String,
    /// Before the cap, nats.
    pub(super) raw_nats: f64,
    /// What counts, nats.
    pub(super) counted_nats: f64,
    /// Detectors.
    pub(super) detectors: Vec<String>,
}

/// Expected loss and the verdict.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MoneyLine {
    /// Expected loss now.
    pub(super) expected_loss_usd: Ranged,
    /// Value an attacker can reach.
    pub(super) at_risk_usd: f64,
    /// More expected loss if we wait one block.
    pub(super) next_block_usd: f64,
    /// Probability at which the best action pays, sequential rule.
    pub(super) threshold: f64,
    /// Value of waiting one block: negative when waiting costs.
    pub(super) value_of_waiting_usd: f64,
    /// `act` or `wait`.
    pub(super) verdict: String,
    /// The action, if any.
    pub(super) action: Option<String>,
}

/// One action.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ActionLine {
    /// Name.
    pub(super) name: String,
    /// Probability at which it breaks even, one shot.
    pub(super) threshold: f64,
    /// Expected net benefit now.
    pub(super) net_benefit_usd: f64,
    /// Cost if there is no attack.
    pub(super) cost_if_false_usd: Ranged,
    /// Of which risk of the pause itself.
    pub(super) pause_risk_usd: f64,
    /// Share of the drain it stops.
    pub(super) stops: f64,
    /// Users hit.
    pub(super) users: u64,
    /// Whether it can be undone.
    pub(super) reversible: bool,
    /// Hours until it ends by itself.
    pub(super) expires_hours: f64,
    /// Who must approve.
    pub(super) approvals: String,
    /// Blocks until it works.
    pub(super) in_effect_blocks: u32,
    /// Inputs by how far they move the cost: name, low, high.
    pub(super) tornado: Vec<(String, f64, f64)>,
}

/// Greeks in both numeraires.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BookLine {
    /// Pool.
    pub(super) pool: String,
    /// Underlying.
    pub(super) asset: String,
    /// Index, USD.
    pub(super) index_usd: f64,
    /// Value.
    pub(super) value_usd: Ranged,
    /// Value in coins.
    pub(super) value_coin: f64,
    /// Delta of a book measured in USD, coins.
    pub(super) delta_usd_measure_coin: Ranged,
    /// Delta of a book measured in coins, coins.
    pub(super) delta_coin_measure_coin: f64,
    /// Change of delta when the price moves 1 %, coins.
    pub(super) gamma_per_percent_coin: f64,
    /// Per volatility point.
    pub(super) vega_per_point_usd: Ranged,
    /// Per day.
    pub(super) theta_per_day_usd: f64,
    /// Change of delta per volatility point, coins.
    pub(super) vanna_per_point_coin: f64,
    /// Change of vega per point.
    pub(super) volga_per_point_usd: f64,
    /// Herfindahl index of the accounts, 0 to 1.
    pub(super) concentration: f64,
    /// Largest accounts: name, equity in USD, share.
    pub(super) top_accounts: Vec<(String, f64, f64)>,
}

/// A pause of some hours.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PauseLine {
    /// Hours.
    pub(super) hours: f64,
    /// Mean profit of the book.
    pub(super) pnl_mean_usd: f64,
    /// Its 1 % and 99 % quantiles.
    pub(super) pnl_range_usd: (f64, f64),
    /// Mean of the worst 2.5 %.
    pub(super) es_975_usd: f64,
    /// Mean of the worst 0.1 %.
    pub(super) es_999_usd: f64,
    /// Expected shortfall of accounts.
    pub(super) shortfall_usd: Ranged,
    /// Probability that the fund is empty.
    pub(super) fund_empty: f64,
    /// Options that expire inside: name, hours, net quantity, at the strike.
    pub(super) expiries: Vec<(String, f64, f64, bool)>,
    /// Accounts by expected shortfall, USD.
    pub(super) top_accounts: Vec<(String, f64)>,
    /// Paths by profit: lower edge in USD, share.
    pub(super) histogram: Vec<(f64, f64)>,
}

/// Who pays when accounts are under water.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SolvencyLine {
    /// Shortfall now.
    pub(super) shortfall_now_usd: f64,
    /// At the worst cell of the regular grid.
    pub(super) shortfall_worst_usd: f64,
    /// That cell: spot move and volatility.
    pub(super) worst_cell: String,
    /// Insurance fund.
    pub(super) fund_usd: f64,
    /// Share of the fund that the worst cell uses.
    pub(super) fund_used: f64,
    /// Smallest move that empties the fund, a signed fraction.
    pub(super) distance_to_depletion: Option<f64>,
    /// Waterfalls by move.
    pub(super) waterfalls: Vec<WaterfallLine>,
}

/// One waterfall.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct WaterfallLine {
    /// Move of the price.
    pub(super) spot: f64,
    /// Sum of negative equity, micro-USD as text: an integer beyond what JSON numbers hold.
    pub(super) shortfall_micro_usd: String,
    /// Paid by the fund.
    pub(super) fund_micro_usd: String,
    /// Taken from winners.
    pub(super) haircuts_micro_usd: String,
    /// Paid by the treasury.
    pub(super) treasury_micro_usd: String,
    /// Nobody pays this.
    pub(super) uncovered_micro_usd: String,
    /// Who is cut, largest first: name and micro-USD.
    pub(super) cut: Vec<(String, String)>,
}

/// A cell of the grid.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct GridCell {
    /// Spot move.
    pub(super) spot: f64,
    /// `up`, `same` or `down`.
    pub(super) vol: String,
    /// Hours elapsed.
    pub(super) hours: f64,
    /// Weight, one for a regular cell.
    pub(super) weight: f64,
    /// Profit.
    pub(super) pnl_usd: f64,
    /// Profit in coins.
    pub(super) pnl_coin: f64,
    /// Accounts under water.
    pub(super) insolvent: usize,
    /// Their shortfall.
    pub(super) shortfall_usd: f64,
    /// Left of the fund.
    pub(super) fund_left_usd: f64,
}

/// Where a loss spreads.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ContagionLine {
    /// Value lost in all, the shock included.
    pub(super) loss_usd: f64,
    /// Value lost beyond the shock.
    pub(super) spread_usd: f64,
    /// Nodes: name, value in USD, share lost.
    pub(super) nodes: Vec<(String, f64, f64)>,
    /// Edges: from, to, kind, weight.
    pub(super) edges: Vec<(String, String, String, f64)>,
    /// Value saved by cutting each edge alone: from, to, USD.
    pub(super) cuts: Vec<(String, String, f64)>,
    /// Wrapped assets: name, backing ratio, alarm, verifiers.
    pub(super) backing: Vec<(String, f64, Option<String>, String)>,
}

/// How far the data can be trusted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DataLine {
    /// Age of the index, milliseconds.
    pub(super) index_age_ms: u64,
    /// Age of the chain state, milliseconds.
    pub(super) chain_age_ms: u64,
    /// Block of the chain state.
    pub(super) block: Option<u64>,
    /// Share of quotes that are not two-sided.
    pub(super) one_sided: f64,
    /// Gates that fired, one line each.
    pub(super) flags: Vec<String>,
    /// What that adds to every spot move, as a fraction.
    pub(super) widened_spot: f64,
    /// What that adds to every volatility, as a fraction.
    pub(super) widened_vol: f64,
    /// What that adds to every quantity, as a fraction.
    pub(super) widened_quantity: f64,
    /// Model and version.
    pub(super) model: String,
    /// Keccak-256 of the inputs.
    pub(super) input_hash: String,
}

/// What would turn the decision.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Reversal {
    /// Which number.
    pub(super) input: String,
    /// What it is.
    pub(super) now: f64,
    /// Where the decision turns.
    pub(super) turns_at: f64,
    /// Its unit.
    pub(super) unit: String,
}
