//! What a bridge issued on one chain, held against what it locked on the other: the sum, whatever single messages
//! say.
//!
//! **Invariant:** both sides are compared at times that both have been seen up to. What is locked before it is issued
//! and taken back before it is released is covered at every moment; `settle` allows for the order and the clocks.

use alloy_primitives::{Address, U256, U512, keccak256};
use cofferdam_core::{
    AccountId, BlockRef, ChainId, Class, Finding, Observation, Severity, Stage, Timestamp, Usd,
    finding::Evidence,
    plan::{AssetId, BasisPoints, DurationText, Entity, Plan},
    read::StateRead,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BRIDGE, Settings};
use crate::{
    BuildCx, BuildError, Question,
    ratio::{ONE, percent, ppm},
    reads,
    report::{group, llr},
    watch::VALUE_MAX,
};

/// What is issued on one chain against what is locked on another. The other direction is another table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct BackingSettings {
    /// For people, e.g. `USDC on the side chain`.
    name: String,
    /// The account that holds what is locked.
    vault: AccountId,
    /// What it holds: a token of its chain, or `native`.
    locked: AssetId,
    /// The token that is issued on the other chain.
    issued: AccountId,
    /// Decimals of what is locked.
    #[serde(default = "default_decimals")]
    locked_decimals: u8,
    /// Decimals of what is issued.
    #[serde(default = "default_decimals")]
    issued_decimals: u8,
    /// How much more may be issued than is locked, e.g. fees that are paid in tokens.
    #[serde(default)]
    tolerance: BasisPoints,
    /// For how long more must be issued than is locked before it is told: the differences of clocks, and messages
    /// that are paid before they are locked.
    #[serde(default = "default_settle")]
    settle: DurationText,
}

fn default_decimals() -> u8 {
    18
}

fn default_settle() -> DurationText {
    DurationText(60_000)
}

/// One asset that a bridge issues against another.
#[derive(Debug)]
pub struct Backing {
    /// Unique in the plan: rule and position.
    pub id: String,
    /// The chain where it is locked.
    pub vault: ChainId,
    /// The chain where it is issued.
    pub issuer: ChainId,
    /// In milliseconds.
    pub settle: u64,
    name: String,
    rule: String,
    entity: String,
    locked: Question,
    issued: Question,
    subject: Address,
    /// Decimals of what is issued less those of what is locked.
    shift: i16,
    tolerance: u64,
    critical: Usd,
    /// Decimals and price of what is locked, if the plan has one.
    price: Option<(u8, Usd)>,
}

/// Which side of a backing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is locked.
    Locked,
    /// What is issued.
    Issued,
}

/// An amount, and since when it was that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Base units.
    pub amount: U256,
    /// Since when.
    pub since: Timestamp,
    /// The block that changed it, or that tells what its parent left.
    pub block: BlockRef,
}

/// Every backing of the plan.
///
/// # Errors
/// The first that cannot be built.
pub fn backings(plan: &Plan) -> Result<Vec<Backing>, BuildError> {
    let mut out = Vec::new();
    for rule in plan.rules.iter().filter(|it| it.detector == BRIDGE) {
        let chain = plan.chains.first().map_or(ChainId(0), |it| it.id);
        out.extend(of_rule(&BuildCx { rule, plan, chain })?);
    }
    Ok(out)
}

/// The backings of one rule.
pub(crate) fn of_rule(cx: &BuildCx<'_>) -> Result<Vec<Backing>, BuildError> {
    let settings: Settings = cx.settings()?;
    let all = settings.backing.iter().enumerate();
    all.map(|(at, it)| it.build(cx, at, settings.critical_loss.0)).collect()
}

impl BackingSettings {
    fn build(&self, cx: &BuildCx<'_>, at: usize, critical: Usd) -> Result<Backing, BuildError> {
        let (vault, issuer) = (self.vault.chain, self.issued.chain);
        for chain in [vault, issuer] {
            if !cx.plan.chains.iter().any(|it| it.id == chain) {
                return Err(BuildError::Unusable {
                    rule: cx.rule.id.clone(),
                    what: format!("backing `{}`: {chain} is not watched", self.name),
                    hint: "add the chain to [[chains]]: both sides must be watched".into(),
                });
            }
        }
        let named = |it: &&Entity| cx.rule.entities.is_empty() || cx.rule.entities.contains(&it.id);
        let entities = || cx.plan.entities.iter().filter(named);
        let held = entities().flat_map(|it| &it.assets).find(|it| it.token == self.locked);
        let (vault_account, token) = (self.vault.address, self.issued.address);
        Ok(Backing {
            id: format!("{}/{at}", cx.rule.id),
            vault,
            issuer,
            settle: self.settle.0,
            name: self.name.clone(),
            rule: cx.rule.id.clone(),
            entity: entities().next().map_or(String::new(), |it| it.id.clone()),
            locked: Question {
                read: reads::holding(self.locked, vault_account),
                touched: vec![vault_account],
            },
            issued: Question {
                read: reads::view(token, reads::TOTAL_SUPPLY),
                touched: vec![token],
            },
            subject: token,
            shift: i16::from(self.issued_decimals) - i16::from(self.locked_decimals),
            tolerance: self.tolerance.0,
            critical,
            price: held.map(|it| (it.decimals, it.price.0)),
        })
    }
}

impl Backing {
    /// What is to be read on `chain`, by side.
    pub fn sides(&self, chain: ChainId) -> impl Iterator<Item = (Side, &StateRead)> {
        let sides = [
            (Side::Locked, self.vault, &self.locked.read),
            (Side::Issued, self.issuer, &self.issued.read),
        ];
        sides.into_iter().filter(move |it| it.1 == chain).map(|it| (it.0, it.2))
    }

    /// As questions of a rule on `chain`.
    pub(crate) fn questions(&self, chain: ChainId) -> Vec<Question> {
        let sides = [(self.vault, &self.locked), (self.issuer, &self.issued)];
        sides.into_iter().filter(|it| it.0 == chain).map(|it| it.1.clone()).collect()
    }

    /// The amounts that `observation` tells of, by side: those before its block, and those after it.
    pub fn told(&self, observation: &Observation) -> Vec<(Side, Option<U256>, U256)> {
        let told = |(side, read): (Side, &StateRead)| {
            let reading = observation.readings.get(read)?;
            Some((side, reading.before.word(0), reading.after.word(0)?))
        };
        self.sides(observation.block.chain).filter_map(told).collect()
    }

    /// Whether more was issued than was locked: by the most that was locked and the least that was issued over a
    /// while, and the last block that changed either.
    pub fn judge(&self, locked: U256, issued: U256, changed: BlockRef) -> Option<Finding> {
        let covered = scaled(locked, self.shift);
        let most = covered
            .saturating_add(covered.saturating_mul(U512::from(self.tolerance)) / U512::from(ONE));
        let over: U256 = U512::from(issued).saturating_sub(most).saturating_to();
        // What the smaller unit cannot express is nothing.
        if over <= U256::ONE {
            return None;
        }
        let lacking: U256 = scaled(over, -self.shift).saturating_to();
        let value = self.price.map(|(decimals, price)| Usd::of(lacking, decimals, price));
        let loss = value.unwrap_or_default().min(VALUE_MAX);
        let severity = if loss >= self.critical { Severity::Critical } else { Severity::High };
        let share =
            ppm(over, issued).map_or(String::new(), |it| format!(", {} of it", percent(it)));
        let place = keccak256([self.id.as_bytes(), changed.hash.as_slice()].concat());
        Some(Finding {
            id: Finding::id_of(changed.chain, &self.rule, place, self.subject),
            detector: BRIDGE.into(),
            rule: self.rule.clone(),
            entity: self.entity.clone(),
            severity,
            class: Class::Damage,
            stage: Stage::Provisional,
            block: changed,
            tx: None,
            subject: self.subject,
            actors: Vec::new(),
            llr_millinats: llr(severity),
            group: group::VALUE.into(),
            loss,
            summary: format!("{}: more is issued than is locked{share}", self.name),
            evidence: vec![
                Evidence::new("issued, base units", issued),
                Evidence::new("locked, base units", locked),
                Evidence::new("not covered, base units of what is issued", over),
            ],
        })
    }
}

/// `amount` in units with so many more decimals, rounded down.
fn scaled(amount: U256, shift: i16) -> U512 {
    let scale = U512::from(10u8).saturating_pow(U512::from(shift.unsigned_abs()));
    let amount = U512::from(amount);
    if shift < 0 { amount / scale } else { amount.saturating_mul(scale) }
}
