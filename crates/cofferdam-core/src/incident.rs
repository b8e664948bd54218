//! Incidents and the decision ledger: the reasoning as lines a person can check.

use std::collections::BTreeSet;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::{ChainId, FindingId, IncidentId, OrderKey, Probability, Timestamp, Usd, plan::Rung};

/// Findings that a responder treats as one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Stable id.
    pub id: IncidentId,
    /// Name of the protected entity in the plan.
    pub entity: String,
    /// The chain it was first seen on.
    pub chain: ChainId,
    /// Where it stands.
    pub state: IncidentState,
    /// When its first finding was made.
    pub opened_at: Timestamp,
    /// Value the entity held just before it opened; `None` if it could not be read.
    pub held: Option<Usd>,
    /// The findings that count now (retracted ones are removed).
    pub findings: BTreeSet<FindingId>,
    /// Accounts that act for the attacker, as far as known.
    pub actors: BTreeSet<Address>,
    /// Orders decided for it, in order of decision.
    pub orders: Vec<OrderKey>,
    /// The latest decision.
    pub ledger: Option<Ledger>,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// Findings exist; nothing decided beyond watching.
    Detected,
    /// An order is decided or under way.
    Responding,
    /// An order had its effect on chain.
    Contained,
    /// A person closed it.
    Closed,
    /// Its findings were retracted or a person judged it benign.
    FalseAlarm,
}

/// One decision, line by line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// When it was made.
    pub at: Timestamp,
    /// Probability of an attack before the evidence.
    pub prior: Probability,
    /// Probability after it.
    pub posterior: Probability,
    /// Every number that went in, with unit and source.
    pub terms: Vec<Term>,
    /// Every action that was weighed, in ladder order.
    pub options: Vec<OptionLine>,
    /// Id of the chosen action; `None` means watch and notify only.
    pub chosen: Option<String>,
    /// What would change the decision, for people.
    pub flips: Vec<String>,
}

/// One number of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What it is, e.g. `value at risk`.
    pub name: String,
    /// The value.
    pub value: Quantity,
    /// Lower and upper bound, where known.
    pub interval: Option<(Quantity, Quantity)>,
    /// Where it came from: a plan field, a finding, a reading.
    pub source: String,
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Money.
    Usd(Usd),
    /// Probability.
    Probability(Probability),
    /// Evidence weight in thousandths of a nat.
    Millinats(i32),
    /// Blocks.
    Blocks(u64),
    /// Milliseconds.
    Ms(u64),
    /// A plain count.
    Count(u64),
}

/// One action weighed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionLine {
    /// Id of the action in the plan.
    pub action: String,
    /// Its step on the ladder.
    pub rung: Rung,
    /// Loss avoided by acting now instead of at the next decision time, if the attack is real.
    pub avoided: Usd,
    /// Cost of acting, attack or not.
    pub cost: Usd,
    /// Probability above which acting is worth its cost.
    pub threshold: Probability,
    /// Expected net benefit: posterior × what it saves in all − (1 − posterior) × cost.
    pub net: Usd,
    /// What follows.
    pub verdict: Verdict,
    /// What the verdict has to spare.
    #[serde(default)]
    pub room: Room,
}

/// How far a verdict is from turning. Ledgers written before it existed have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// All that acting now saves if the attack is real, this block and later.
    pub saves: Usd,
    /// What waiting one more block costs over acting now; negative if waiting is better.
    pub waiting: Usd,
    /// Posterior below which an order for it is given up again.
    pub exit: Probability,
    /// Its cost at the low and the high end of its figures.
    pub costs: (Usd, Usd),
    /// Cost at which the verdict turns.
    pub cost_turns_at: Usd,
    /// Loss avoided in the next block at which the verdict turns, later blocks in proportion.
    pub loss_turns_at: Usd,
}

/// What follows for one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Act.
    Act,
    /// Propose to a person (autonomy or mode of the rules does not allow more).
    Propose,
    /// The posterior is below the threshold.
    BelowThreshold,
    /// Worth it, but another action is better.
    Dominated,
    /// Budget, cooldown, stage or quorum forbids it; the text says which.
    Withheld(String),
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usd(it) => it.fmt(f),
            Self::Probability(it) => it.fmt(f),
            Self::Millinats(it) => {
                let sign = if *it < 0 { '-' } else { '+' };
                write!(
                    f,
                    "{sign}{}.{:03} nat",
                    it.unsigned_abs() / 1_000,
                    it.unsigned_abs() % 1_000
                )
            }
            Self::Blocks(it) => write!(f, "{it} blocks"),
            Self::Ms(it) => write!(f, "{it} ms"),
            Self::Count(it) => it.fmt(f),
        }
    }
}
