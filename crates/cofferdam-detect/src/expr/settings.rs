//! The settings of a rule, and what is made of them: its trigger and one instance for each contract.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, keccak256};
use cofferdam_core::{AccountId, Class, Severity, plan::AssetId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Entity, Int, Module, Price, Signature, Spec,
    error::ExprError,
    event::Trigger,
    facts::{KINDS, kind},
    filter::Filter,
    instance::Instance,
    module::speaks_of_self,
};
use crate::{BuildCx, BuildError};

/// The most contracts that one rule is compiled for.
const INSTANCES_MAX: usize = 256;

/// Settings of `expression`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// What makes the rule look: a kind of fact (`transfer`, `approval`, `paused`, …), `log`, `call`,
    /// `transaction`, `touched` (once per block that touches a contract) or `block` (every block).
    #[serde(default = "default_when")]
    pub(crate) when: String,
    /// For `when = "log"`: the event as declared in Solidity, with `indexed` and names.
    #[serde(default)]
    pub(crate) event: Option<String>,
    /// For `when = "call"`: the function as declared in Solidity, with names.
    #[serde(default)]
    pub(crate) function: Option<String>,
    /// The contracts looked at; left out, the accounts of the entities.
    #[serde(default)]
    pub(crate) contracts: Vec<AccountId>,
    /// Tokens whose transfers are believed, besides the assets of the entities.
    #[serde(default)]
    pub(crate) tokens: Vec<AccountId>,
    /// The condition.
    #[serde(rename = "if")]
    pub(crate) condition: String,
    /// Names for parts of the condition.
    #[serde(default, rename = "let")]
    pub(crate) lets: BTreeMap<String, String>,
    /// The loss in dollars that a finding states, e.g. `usd(amount, token)`.
    #[serde(default)]
    pub(crate) loss: Option<String>,
    /// How bad it is, if true.
    #[serde(default = "default_severity")]
    pub(crate) severity: Severity,
    /// What kind of belief it is; not `blind`.
    #[serde(default = "default_class")]
    pub(crate) class: Class,
    /// Findings of one group share a cause; left out, the usual group of the class.
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// The weight in thousandths of a nat, from a back-test; left out, the usual one of the severity.
    #[serde(default)]
    pub(crate) llr_millinats: Option<i32>,
    /// One sentence for people; `{amount}`, `{amount:18}` and `{usd(amount, token):usd}` are values.
    #[serde(default)]
    pub(crate) summary: Option<String>,
}

fn unusable(cx: &BuildCx<'_>, error: ExprError) -> BuildError {
    let hint = error.hint.clone().unwrap_or_else(|| "see the page of the detector".into());
    BuildError::Unusable { rule: cx.rule.id.clone(), what: error.to_string(), hint }
}

/// What decides which events come and what the names in the windows stand for.
pub(crate) fn stream(settings: &Settings) -> B256 {
    let Settings { when, event, function, contracts, tokens, lets, .. } = settings;
    keccak256(format!("{:?}", (when, event, function, contracts, tokens, lets)))
}

pub(crate) fn trigger(cx: &BuildCx<'_>, settings: &Settings) -> Result<Trigger, BuildError> {
    let refuse = |what: String, hint: String| {
        Err(BuildError::Unusable { rule: cx.rule.id.clone(), what, hint })
    };
    let when = settings.when.as_str();
    for (key, given, of) in
        [("event", &settings.event, "log"), ("function", &settings.function, "call")]
    {
        if given.is_some() != (when == of) {
            let what = format!("`{key}` and `when = \"{of}\"` belong together");
            return refuse(what, format!("give both or neither; `when` is `{when}`"));
        }
    }
    let signature = |key: &str, text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        Signature::parse(text).map_err(|wrong| unusable(cx, wrong.within(key, text)))
    };
    match when {
        "log" => {
            let event = signature("event", &settings.event)?;
            if event.topics() > 4 {
                return refuse(
                    "an event has at most three indexed parameters".into(),
                    event.canonical,
                );
            }
            Ok(Trigger::Log(event))
        }
        "call" => signature("function", &settings.function).map(Trigger::Call),
        "transaction" => Ok(Trigger::Transaction),
        "touched" => Ok(Trigger::Touched),
        "block" => Ok(Trigger::Block),
        name => match kind(name) {
            Some(kind) => Ok(Trigger::Fact(kind)),
            None => {
                let facts: Vec<&str> = KINDS.iter().map(|it| it.name).collect();
                let more = "log, call, transaction, touched, block";
                let hint = format!("one of: {more}, {}", facts.join(", "));
                refuse(format!("`when = \"{name}\"` is nothing that happens"), hint)
            }
        },
    }
}

/// The accounts whose touch can make an event.
pub(crate) fn watched(cx: &BuildCx<'_>, settings: &Settings, trigger: &Trigger) -> Vec<Address> {
    let here = |list: &[AccountId]| -> Vec<Address> {
        list.iter().filter(|it| it.chain == cx.chain).map(|it| it.address).collect()
    };
    let mut all = here(&settings.contracts);
    if settings.contracts.is_empty() {
        all = cx.entities().flat_map(|it| it.addresses(cx.chain)).collect();
    }
    // The parties of an approval are not touched by it; the token is.
    if matches!(trigger, Trigger::Fact(kind) if kind.name == "approval") {
        all.extend(here(&settings.tokens));
        all.extend(cx.entities().flat_map(|it| &it.assets).filter_map(|it| match it.token {
            AssetId::Token(token) => Some(token),
            AssetId::Native => None,
        }));
    }
    all
}

pub(crate) fn instances(
    cx: &BuildCx<'_>,
    settings: &Settings,
    trigger: &Trigger,
) -> Result<Vec<Instance>, BuildError> {
    let fallback = format!("{}: {}", cx.rule.id, short(&settings.condition));
    let fallback = fallback.replace('{', "{{").replace('}', "}}");
    let spec = Spec {
        condition: &settings.condition,
        lets: &settings.lets,
        loss: settings.loss.as_deref(),
        summary: settings.summary.as_deref().unwrap_or(&fallback),
    };
    let own = speaks_of_self(spec);
    let mut out = Vec::new();
    for entity in cx.entities() {
        let accounts: Vec<Address> = entity.addresses(cx.chain).collect();
        let contracts = contracts_of(cx, settings, &accounts);
        let prices = prices(entity);
        let mut tokens: Vec<Address> = prices.iter().map(|it| it.token.address()).collect();
        tokens.retain(|it| !it.is_zero());
        tokens
            .extend(settings.tokens.iter().filter(|it| it.chain == cx.chain).map(|it| it.address));
        let groups: Vec<&[Address]> = match own {
            true => contracts.chunks(1).collect(),
            false => contracts.chunks(contracts.len().max(1)).collect(),
        };
        for group in groups {
            let Some(subject) = group.first().copied() else { continue };
            if out.len() == INSTANCES_MAX {
                return Err(BuildError::Unusable {
                    rule: cx.rule.id.clone(),
                    what: format!("it looks at more than {INSTANCES_MAX} contracts"),
                    hint: "split the rule".into(),
                });
            }
            let named = Entity {
                accounts: accounts.clone(),
                prices: prices.clone(),
                value_at_risk: entity.value_at_risk.map(|it| it.0),
                this: own.then_some(subject),
            };
            let module = Module::load(spec, trigger, &named).map_err(|it| unusable(cx, it))?;
            let filter = Filter::new(group, &tokens);
            out.push(Instance::new(entity.id.clone(), subject, filter, module));
        }
    }
    Ok(out)
}

/// A contract that belongs to entities counts for those alone, any other for every entity.
fn contracts_of(cx: &BuildCx<'_>, settings: &Settings, accounts: &[Address]) -> Vec<Address> {
    if settings.contracts.is_empty() {
        return accounts.to_vec();
    }
    let owned = |it: Address| cx.entities().any(|e| e.addresses(cx.chain).any(|own| own == it));
    let here = settings.contracts.iter().filter(|it| it.chain == cx.chain).map(|it| it.address);
    here.filter(|it| accounts.contains(it) || !owned(*it)).collect()
}

fn prices(entity: &cofferdam_core::plan::Entity) -> Vec<Price> {
    let mut prices: Vec<Price> = entity
        .assets
        .iter()
        .filter_map(|it| {
            let token = match it.token {
                AssetId::Native => Int::ZERO,
                AssetId::Token(token) => Int::from(token),
            };
            Price::new(token, it.decimals, it.price.0)
        })
        .collect();
    prices.sort_by_key(|it| it.token);
    prices.dedup_by_key(|it| it.token);
    prices
}

/// The first line, cut to a length that fits a message.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let line = text.trim().lines().next().unwrap_or_default();
    let cut: String = line.chars().take(CHARS_MAX).collect();
    if cut.len() < line.len() || text.trim().lines().count() > 1 { cut + " …" } else { cut }
}

fn default_when() -> String {
    "transfer".into()
}

fn default_severity() -> Severity {
    Severity::Medium
}

fn default_class() -> Class {
    Class::Suspicion
}
