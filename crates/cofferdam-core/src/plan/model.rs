//! The types of `plan.toml`, version 1.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ActionCost, AssetId, BasisPoints, Budget, Chain, Console, Decision, DurationText, EvidenceCard,
    Feed, Machine, Notifier, Outlet, Person, Quorum, Relayer, UsdText, WeiText,
};
use crate::{AccountId, ChainId, Stage};

/// The response plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Format version of this file; this release reads version 1.
    pub version: u32,
    /// Name of the protocol, shown in every view.
    pub name: String,
    /// The chains watched.
    #[serde(default)]
    pub chains: Vec<Chain>,
    /// What is protected.
    #[serde(default)]
    pub entities: Vec<Entity>,
    /// What counts as an attack: configured detectors.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What may be done about it.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The accounts that pay for and send containment transactions.
    #[serde(default)]
    pub relayers: Vec<Relayer>,
    /// Who is told, and how.
    #[serde(default)]
    pub notifiers: Vec<Notifier>,
    /// Findings that other programs make.
    #[serde(default)]
    pub feeds: Vec<Feed>,
    /// How findings become a decision.
    #[serde(default)]
    pub decision: Decision,
    /// Changes that are expected; control-plane rules stay silent about them.
    #[serde(default)]
    pub calendar: Vec<ScheduledChange>,
    /// Who responds.
    #[serde(default)]
    pub people: Vec<Person>,
    /// Programs that use the API.
    #[serde(default)]
    pub machines: Vec<Machine>,
    /// Where people reach the running program; left out, it serves no console and no API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<Console>,
    /// The card that `decision.evidence` names, once it is read; `None`: expert judgement.
    #[serde(skip)]
    pub evidence: Option<EvidenceCard>,
}

/// A protected entity: contracts that hold or control users' money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entity {
    /// Short name, unique in the plan.
    pub id: String,
    /// Its contracts in CAIP-10 notation.
    pub accounts: Vec<AccountId>,
    /// The assets these contracts hold, with a price for valuing a loss.
    #[serde(default)]
    pub assets: Vec<Asset>,
    /// Money that an attack can reach. Left out, it is the value of the assets held at the head.
    #[serde(default)]
    pub value_at_risk: Option<UsdText>,
    /// A limiter on chain that bounds how fast value can leave.
    #[serde(default)]
    pub outlet: Option<Outlet>,
}

/// An asset held by an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Asset {
    /// Token contract, or `native`.
    pub token: AssetId,
    /// Symbol shown to people.
    pub symbol: String,
    /// Decimals of the token.
    pub decimals: u8,
    /// Price of one whole token. Reviewed with the plan; live prices come with an oracle rule.
    pub price: UsdText,
}

/// A configured detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Short name, unique in the plan.
    pub id: String,
    /// Registered name of the detector, e.g. `outflow`.
    pub detector: String,
    /// Ids of the entities it watches; empty means all.
    #[serde(default)]
    pub entities: Vec<String>,
    /// How far its findings may go.
    #[serde(default)]
    pub mode: Mode,
    /// Settings of the detector; see its page.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub settings: toml::Table,
}

/// How far the findings of a rule may go.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Recorded only.
    Shadow,
    /// People are told.
    #[default]
    Alert,
    /// An order is proposed for one person to release.
    OneClick,
    /// An order may be dispatched without asking, if the action allows it too.
    Automatic,
}

/// One containment action, authorised in advance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Action {
    /// Short name, unique in the plan.
    pub id: String,
    /// Its step on the ladder.
    pub rung: Rung,
    /// Ids of the entities whose loss it stops.
    pub contains: Vec<String>,
    /// What it calls.
    pub call: ActionCall,
    /// How free the program is to dispatch it.
    #[serde(default)]
    pub autonomy: Autonomy,
    /// The least stage its findings must have.
    #[serde(default = "default_stage")]
    pub stage: Stage,
    /// Share of the remaining loss that it stops once effective.
    #[serde(default = "default_stops")]
    pub stops: BasisPoints,
    /// Probability that an order for it has its effect. Readiness proves it each minute: `100 %` unless
    /// you know better.
    #[serde(default = "default_stops")]
    pub success: BasisPoints,
    /// Blocks from the decision to the effect; what leaves before is lost whatever is decided.
    #[serde(default = "default_effect_blocks")]
    pub effect_blocks: u64,
    /// What acting costs, attack or not.
    pub cost: ActionCost,
    /// The posterior from which on it is worth it, in parts per billion: what `cofferdam calibrate` proposes from a
    /// back-test. Left out, it follows from the cost and from what acting saves, block by block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_ppb: Option<u32>,
    /// How often it may be used.
    #[serde(default)]
    pub budget: Budget,
    /// What may be spent on fees for one order, however little is at risk.
    #[serde(default = "default_fee_budget")]
    pub fee_budget: WeiText,
    /// Share of the value at risk that may be spent on fees, if that is more than `fee-budget` and the
    /// plan has a price of the chain's native asset.
    #[serde(default = "default_fee_share")]
    pub fee_share: BasisPoints,
    /// How long an undispatched order stays valid.
    #[serde(default = "default_order_ttl")]
    pub valid_for: DurationText,
    /// Whether governance has to undo it. An irreversible action needs two independent rules.
    #[serde(default)]
    pub irreversible: bool,
    /// How many different people must approve a proposed order before it goes out.
    #[serde(default = "default_approvals")]
    pub approvals: u16,
    /// Of which roles they must be, one person in one place. Left out: as many of the role `signer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quorum: Vec<Quorum>,
    /// How to see on chain that it worked. Left out, the usual check of its kind is used.
    #[serde(default)]
    pub verify: Vec<Verify>,
}

/// What an action calls. No variant takes free calldata, value or a delegatecall at incident time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "via",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum ActionCall {
    /// `EmergencyGuardian.pause` with a pre-signed authorisation.
    Guardian {
        /// The guardian contract.
        guardian: AccountId,
        /// The action registered in the guardian.
        #[schemars(with = "String", extend("format" = "hash"))]
        action_id: B256,
        /// 0: one signer, short; 1: quorum, long.
        #[serde(default)]
        tier: u8,
        /// The contract that is paused, for verification.
        target: AccountId,
        /// Whether the action is registered there with `selfExpiring = false`: its pause lasts until
        /// somebody lifts it, so that an order for it is written down before it goes out.
        #[serde(default)]
        legacy: bool,
        /// Folder with the pre-signed authorisations, relative to the plan.
        authorisations: String,
    },
    /// A call by a scoped key that holds the role on the target.
    Direct {
        /// The contract called.
        target: AccountId,
        /// One of the known containment functions.
        function: ContainmentFunction,
        /// The relayer that holds the role.
        relayer: String,
    },
    /// `SafeEmergencyModule.exec` with pre-signed responder signatures.
    SafeModule {
        /// The module.
        module: AccountId,
        /// The Safe acted through.
        safe: AccountId,
        /// The contract the Safe calls.
        target: AccountId,
        /// One of the known containment functions.
        function: ContainmentFunction,
        /// Folder with the pre-signed authorisations, relative to the plan.
        authorisations: String,
    },
}

/// Containment functions of existing protocols, with fixed arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContainmentFunction {
    /// OpenZeppelin `pause()` 0x8456cb59.
    Pause,
    /// Venus `_setProtocolPaused(true)` 0x2a6a6065.
    VenusSetProtocolPaused,
    /// Compound v2 `_setTransferPaused(true)` 0x8ebf6364.
    CompoundSetTransferPaused,
    /// Compound v2 `_setSeizePaused(true)` 0x2d70db78.
    CompoundSetSeizePaused,
    /// Aave v3 `setPoolPause(true)` 0x7641f3d9.
    AaveSetPoolPause,
    /// Lido-style and our own `pauseFor(uint256)` 0xf3f449c7 with the longest duration allowed.
    PauseFor,
}

/// How free the program is to dispatch an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "level", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Autonomy {
    /// A person must release it.
    #[default]
    Propose,
    /// It goes out unless a person vetoes it in time.
    Veto {
        /// How long people have.
        window: DurationText,
    },
    /// It goes out at once.
    Act,
}

/// The ladder (`risk.md` §9.5), least harm to users first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Look closer.
    Watch,
    /// Tell people.
    Notify,
    /// Lower limits.
    Limit,
    /// Pause one market or pool.
    PauseMarket,
    /// Pause the protocol.
    PauseProtocol,
    /// Ask governance.
    Governance,
}

/// A state read that proves an action's effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verify {
    /// The contract read.
    pub contract: AccountId,
    /// Calldata in hex, e.g. `0x5c975abb` for `paused()`.
    #[schemars(with = "String", extend("format" = "hex"))]
    pub data: alloy_primitives::Bytes,
    /// The expected first word as a decimal number, or `reverts`.
    pub expect: String,
}

/// An expected change of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScheduledChange {
    /// The contract that changes.
    pub contract: AccountId,
    /// From when, in seconds since the Unix epoch.
    pub not_before: u64,
    /// Until when, in seconds since the Unix epoch.
    pub not_after: u64,
    /// The new implementation, owner or module, if the change names one.
    #[serde(default)]
    pub to: Option<AccountId>,
    /// Why, for people.
    pub reason: String,
}

impl Plan {
    /// The entity named `id`.
    pub fn entity(&self, id: &str) -> Option<&Entity> {
        self.entities.iter().find(|it| it.id == id)
    }

    /// The action named `id`.
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.iter().find(|it| it.id == id)
    }

    /// The rule named `id`.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|it| it.id == id)
    }

    /// The entities that `rule` watches, on `chain`.
    pub fn watched<'a>(
        &'a self,
        rule: &'a Rule,
        chain: ChainId,
    ) -> impl Iterator<Item = &'a Entity> {
        let named = move |it: &&Entity| rule.entities.is_empty() || rule.entities.contains(&it.id);
        let here = move |it: &&Entity| it.accounts.iter().any(|account| account.chain == chain);
        self.entities.iter().filter(named).filter(here)
    }
}

impl Action {
    /// Whether its effect ends by itself, on chain, by time. Only then is doing it twice as good as
    /// once, and doing it wrongly soon over.
    pub fn expires_by_itself(&self) -> bool {
        let expires = match &self.call {
            ActionCall::Guardian { legacy, .. } => !legacy,
            ActionCall::Direct { function, .. } | ActionCall::SafeModule { function, .. } => {
                *function == ContainmentFunction::PauseFor
            }
        };
        expires && !self.irreversible
    }
}

impl Entity {
    /// Its contracts on `chain`.
    pub fn addresses(&self, chain: ChainId) -> impl Iterator<Item = Address> + '_ {
        self.accounts.iter().filter(move |it| it.chain == chain).map(|it| it.address)
    }
}

impl ActionCall {
    /// The chain it runs on.
    pub fn chain(&self) -> ChainId {
        match self {
            Self::Guardian { guardian, .. } => guardian.chain,
            Self::Direct { target, .. } => target.chain,
            Self::SafeModule { module, .. } => module.chain,
        }
    }
}

fn default_stage() -> Stage {
    Stage::Provisional
}
fn default_approvals() -> u16 {
    1
}
fn default_stops() -> BasisPoints {
    BasisPoints(1_000_000)
}
fn default_effect_blocks() -> u64 {
    1
}
fn default_fee_budget() -> WeiText {
    WeiText(alloy_primitives::U256::from(500_000_000_000_000_000u64))
}
fn default_fee_share() -> BasisPoints {
    BasisPoints(1_000)
}
fn default_order_ttl() -> DurationText {
    DurationText(600_000)
}
