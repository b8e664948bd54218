//! Expression: a rule in the plan's own words over facts, logs, calls, state and windows.
//!
//! A condition that holds is a finding; a condition that cannot be evaluated is a *blind* finding,
//! once per rule and block, never silence.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use cofferdam_core::{
    AccountId, Class, Finding, Severity, Tx, finding::Evidence, plan::AssetId, record::Memo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::Error as _};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    expr::{
        Entity, Module, Price, Signature, Spec,
        error::{ExprError, Fault, Trap},
        event::Trigger,
        facts::{KINDS, kind},
        filter::{Filter, Signed},
        instance::{Hit, Instance, Verdict},
        module::speaks_of_self,
        Int, WindowMemo,
    },
    report::{About, LLR_MAX, Voice, group, llr},
};

/// The registry entry.
pub(super) static ENTRY: Entry = Entry {
    meta: Meta {
        id: ID,
        signal: "custom",
        summary: "a condition of the plan over facts, state and windows",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("expression.md"),
    },
    build: |cx| Ok(Box::new(Expression::build(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

const ID: &str = "expression";

/// The most contracts that one rule is compiled for.
const INSTANCES_MAX: usize = 256;

/// The most faults whose text is kept for the finding of one block.
const FAULTS_LISTED_MAX: usize = 4;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// What makes the rule look: a kind of fact (`transfer`, `approval`, `paused`, …), `log`, `call`,
    /// `transaction`, `touched` (once per block that touches a contract) or `block` (every block).
    #[serde(default = "default_when")]
    when: String,
    /// For `when = "log"`: the event as declared in Solidity, with `indexed` and names.
    #[serde(default)]
    event: Option<String>,
    /// For `when = "call"`: the function as declared in Solidity, with names.
    #[serde(default)]
    function: Option<String>,
    /// The contracts looked at; left out, the accounts of the entities.
    #[serde(default)]
    contracts: Vec<AccountId>,
    /// Tokens whose transfers are believed, besides the assets of the entities.
    #[serde(default)]
    tokens: Vec<AccountId>,
    /// The condition.
    #[serde(rename = "if")]
    condition: String,
    /// Names for parts of the condition.
    #[serde(default, rename = "let")]
    lets: BTreeMap<String, String>,
    /// The loss in dollars that a finding states, e.g. `usd(amount, token)`.
    #[serde(default)]
    loss: Option<String>,
    /// How bad it is, if true.
    #[serde(default = "default_severity")]
    severity: Severity,
    /// What kind of belief it is; not `blind`.
    #[serde(default = "default_class")]
    class: Class,
    /// Findings of one group share a cause; left out, the usual group of the class.
    #[serde(default)]
    group: Option<String>,
    /// The weight in thousandths of a nat, from a back-test; left out, the usual one of the severity.
    #[serde(default)]
    llr_millinats: Option<i32>,
    /// One sentence for people; `{amount}`, `{amount:18}` and `{usd(amount, token):usd}` are values.
    #[serde(default)]
    summary: Option<String>,
}

/// The detector.
#[derive(Debug)]
struct Expression {
    voice: Voice,
    trigger: Trigger,
    signed: Signed,
    severity: Severity,
    class: Class,
    group: String,
    llr_millinats: i32,
    interests: Vec<Interest>,
    /// Accounts whose touch makes the state reads worth asking; empty: always.
    touched: Vec<Address>,
    instances: Vec<Instance>,
    faults: Faults,
}

/// The faults of the observation at hand.
#[derive(Debug, Default)]
struct Faults {
    listed: Vec<(usize, Trap, Option<alloy_primitives::B256>)>,
    count: u64,
}

/// What an instance remembers.
#[derive(Debug, Serialize, Deserialize)]
struct InstanceMemo {
    entity: String,
    contract: Address,
    windows: Vec<(String, WindowMemo)>,
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

impl Expression {
    fn build(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let refuse = |what: String, hint: &str| {
            Err(BuildError::Unusable { rule: cx.rule.id.clone(), what, hint: hint.into() })
        };
        if settings.class == Class::Blind {
            let what = "findings of class `blind` are made by the detector itself".into();
            return refuse(what, "choose `damage`, `control`, `suspicion` or `defence`");
        }
        if settings.llr_millinats.is_some_and(|it| !(-LLR_MAX..=LLR_MAX).contains(&it)) {
            let what = format!("`llr-millinats` is beyond ±{LLR_MAX}");
            return refuse(what, "no single rule can claim more (risk model, evidence cap)");
        }
        let trigger = trigger(cx, &settings)?;
        let signed = match &trigger {
            Trigger::Log(signature) | Trigger::Call(signature) => Signed::of(signature),
            _ => Signed::default(),
        };
        let instances = instances(cx, &settings, &trigger)?;
        if instances.is_empty() {
            let what = "it looks at no contract on this chain".into();
            return refuse(what, "name `contracts`, or entities with accounts here");
        }
        let mut touched: Vec<Address> = watched(cx, &settings, &trigger);
        touched.sort_unstable();
        touched.dedup();
        let mut interests: Vec<_> = touched.iter().copied().map(Interest::Account).collect();
        if trigger.is_every_block() {
            interests = vec![Interest::EveryBlock];
            touched.clear();
        }
        let usual = match settings.class {
            Class::Damage => group::VALUE,
            Class::Control => group::CONTROL,
            Class::Defence => group::DEFENCE,
            Class::Suspicion | Class::Blind => group::SUSPICION,
        };
        Ok(Self {
            voice: Voice::new(ID, cx),
            trigger,
            signed,
            severity: settings.severity,
            class: settings.class,
            group: settings.group.unwrap_or_else(|| usual.into()),
            llr_millinats: settings.llr_millinats.unwrap_or(match settings.class {
                Class::Defence => 0,
                _ => llr(settings.severity),
            }),
            interests,
            touched,
            instances,
            faults: Faults::default(),
        })
    }

    fn conclude(
        &mut self,
        cx: &Context<'_>,
        tx: Option<&Tx>,
        at: usize,
        verdict: Verdict,
        out: &mut Vec<Finding>,
    ) {
        if let Some((trap, count)) = verdict.fault {
            self.faults.note(at, trap, tx.map(|it| it.hash), count);
        }
        if let (Some(hit), Some(instance)) = (verdict.hit, self.instances.get(at)) {
            out.push(self.finding(cx, tx, instance, hit));
        }
    }

    fn finding(&self, cx: &Context<'_>, tx: Option<&Tx>, of: &Instance, hit: Hit) -> Finding {
        let about = About { tx, entity: &of.entity, subject: hit.subject };
        let mut it = self.voice.finding(cx, about, self.severity, self.class, &self.group);
        it.llr_millinats = self.llr_millinats;
        it.loss = hit.loss;
        it.summary = hit.summary;
        it.evidence = hit.evidence;
        if hit.count > 1 {
            it.evidence.push(Evidence::new("events", hit.count));
        }
        it
    }

    /// One *blind* finding for all faults of the observation.
    fn blind(&self, cx: &Context<'_>) -> Option<Finding> {
        let (first, trap, _) = self.faults.listed.first()?;
        let instance = self.instances.get(*first)?;
        let about = About { tx: None, entity: &instance.entity, subject: instance.subject };
        let severity = match trap.fault {
            Fault::Unavailable | Fault::Untraced => Severity::Medium,
            _ => Severity::High,
        };
        let mut it = self.voice.finding(cx, about, severity, Class::Blind, "blind");
        // Apart from a finding of the rule itself about the same block and contract.
        let rule = format!("{}#fault", it.rule);
        it.id = Finding::id_of(it.block.chain, &rule, it.block.hash, it.subject);
        it.llr_millinats = 0;
        it.summary = format!("rule could not be evaluated: {}", trap.fault);
        for (at, trap, tx) in &self.faults.listed {
            let Some(instance) = self.instances.get(*at) else { continue };
            let text = instance.module.describe(trap.place);
            let place = if text.is_empty() { String::new() } else { format!(" at {text}") };
            let tx = tx.map_or(String::new(), |it| format!(", transaction {it}"));
            let value = format!("{}{place}, {} {}{tx}", trap.fault, instance.entity, instance.subject);
            it.evidence.push(Evidence::new("fault", value));
        }
        it.evidence.push(Evidence::new("faults", self.faults.count));
        if self.instances.iter().any(|it| it.module.has_windows()) {
            let note = "windows lack the events that faulted until these would have left them";
            it.evidence.push(Evidence::new("windows", note));
        }
        Some(it)
    }

    fn forget(&mut self) {
        self.instances.iter_mut().for_each(Instance::clear);
        self.faults = Faults::default();
    }

    fn restore(&mut self, memo: &Memo) -> Result<(), serde_json::Error> {
        let memos = Vec::<InstanceMemo>::deserialize(memo)?;
        let other = |what| Err(serde_json::Error::custom(what));
        if memos.len() != self.instances.len() {
            return other("another number of contracts");
        }
        for (instance, memo) in self.instances.iter_mut().zip(&memos) {
            if (&instance.entity, instance.subject) != (&memo.entity, memo.contract) {
                return other("another contract");
            }
            let recalled = instance.module.recall(&mut instance.machine, &memo.windows);
            recalled.or_else(other)?;
        }
        Ok(())
    }
}

impl Detector for Expression {
    fn interests(&self) -> Vec<Interest> {
        self.interests.clone()
    }

    fn questions(&self) -> Vec<Question> {
        let reads = self.instances.iter().flat_map(|it| it.module.reads());
        reads.map(|it| Question { read: it.clone(), touched: self.touched.clone() }).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for at in 0..self.instances.len() {
            let Some(instance) = self.instances.get_mut(at) else { continue };
            let verdict = instance.on_tx(&self.trigger, &self.signed, cx.observation, tx);
            self.conclude(cx, Some(tx), at, verdict, out);
        }
    }

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for at in 0..self.instances.len() {
            let Some(instance) = self.instances.get_mut(at) else { continue };
            let verdict = instance.on_block(&self.trigger, cx.observation);
            self.conclude(cx, None, at, verdict, out);
        }
        out.extend(self.blind(cx));
        self.faults = Faults::default();
    }

    fn memo(&self) -> Option<Memo> {
        let remembers = self.instances.iter().any(|it| it.module.has_windows());
        let memos = self.instances.iter().map(|it| InstanceMemo {
            entity: it.entity.clone(),
            contract: it.subject,
            windows: it.module.memo(&it.machine),
        });
        let memos: Vec<InstanceMemo> = if remembers { memos.collect() } else { return None };
        serde_json::to_value(memos).ok()
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.forget();
        let Some(memo) = memo else { return Ok(()) };
        self.restore(memo).map_err(|error| {
            self.forget();
            MemoError(error)
        })
    }
}

impl Faults {
    fn note(&mut self, at: usize, trap: Trap, tx: Option<alloy_primitives::B256>, count: u64) {
        self.count = self.count.saturating_add(count);
        if self.listed.len() < FAULTS_LISTED_MAX {
            self.listed.push((at, trap, tx));
        }
    }
}

fn unusable(cx: &BuildCx<'_>, error: ExprError) -> BuildError {
    let hint = error.hint.clone().unwrap_or_else(|| "see the page of the detector".into());
    BuildError::Unusable { rule: cx.rule.id.clone(), what: error.to_string(), hint }
}

fn trigger(cx: &BuildCx<'_>, settings: &Settings) -> Result<Trigger, BuildError> {
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
                return refuse("an event has at most three indexed parameters".into(), event.canonical);
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
fn watched(cx: &BuildCx<'_>, settings: &Settings, trigger: &Trigger) -> Vec<Address> {
    let here = |list: &[AccountId]| -> Vec<Address> {
        list.iter().filter(|it| it.chain == cx.chain).map(|it| it.address).collect()
    };
    let mut all = here(&settings.contracts);
    if all.is_empty() {
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

fn instances(
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
        tokens.extend(settings.tokens.iter().filter(|it| it.chain == cx.chain).map(|it| it.address));
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
        .map(|it| {
            let token = match it.token {
                AssetId::Native => Int::ZERO,
                AssetId::Token(token) => Int::from(token),
            };
            Price { token, decimals: it.decimals, price: it.price.0 }
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
