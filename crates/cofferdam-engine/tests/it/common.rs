//! What the tests share: a plan, blocks, findings, and a run that keeps its journal.

use alloy_primitives::{Address, B256, Bytes};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Class, Finding, Observation, Record, Severity, Stage, Timestamp,
    Usd, incident::IncidentState, order::Prepared, plan::Plan, read::Readings, record::Entry,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};

pub(crate) const CHAIN: ChainId = ChainId(31337);
pub(crate) const PLAN: &str = r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:31337"
finality-blocks = 3
reorg-blocks-max = 8
[[entities]]
id = "vault"
accounts = ["eip155:31337:0x00000000000000000000000000000000000000aa"]
value-at-risk = "1000000 usd"
[[rules]]
id = "drain"
detector = "external"
mode = "automatic"
[[rules]]
id = "hint"
detector = "external"
mode = "one-click"
[[notifiers]]
id = "pager"
channel = { to = "webhook", url = "env:PAGER", secret-env = "PAGER_KEY" }
stage = "provisional"
[[notifiers]]
id = "channel"
channel = { to = "slack", url = "env:CHANNEL" }
severity = "low"
[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000aa", function = "pause-for", relayer = "one" }
autonomy = { level = "act" }
cost = { fixed = "2000 usd", per-hour = "500 usd", duration = "4h" }
"#;

pub(crate) fn plan() -> Plan {
    let mut plan: Plan = toml::from_str(PLAN).expect("a plan");
    // The rules stand for findings that come from outside; no detector of ours feeds them here.
    plan.rules.iter_mut().for_each(|it| it.detector = "external".into());
    plan
}

pub(crate) fn engine() -> Engine {
    Engine::new(plan(), Limits::default()).expect("rules that build")
}

pub(crate) fn block(number: u64, branch: u8) -> Observation {
    let hash = |number: u64, branch: u8| {
        let mut hash = B256::ZERO;
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash[31] = branch;
        hash
    };
    let parent_branch = if number > 3 { branch } else { 0 };
    let block = BlockRef {
        chain: CHAIN,
        number,
        hash: hash(number, branch),
        parent: hash(number - 1, parent_branch),
        time: Timestamp::from_secs(number * 12),
    };
    Observation {
        block,
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: vec![],
        readings: Readings::default(),
    }
}

pub(crate) fn finding(rule: &str, at: &BlockRef, stage: Stage) -> Finding {
    Finding {
        id: Finding::id_of(CHAIN, rule, B256::repeat_byte(9), Address::repeat_byte(0xaa)),
        detector: "external".into(),
        rule: rule.into(),
        entity: "vault".into(),
        severity: Severity::Critical,
        class: Class::Damage,
        stage,
        block: *at,
        tx: Some(B256::repeat_byte(9)),
        subject: Address::repeat_byte(0xaa),
        actors: vec![Address::repeat_byte(0xee)],
        llr_millinats: 22_000,
        group: "value".into(),
        loss: Usd::whole(300_000),
        summary: "net outflow of 30 %".into(),
        evidence: vec![],
    }
}

/// Runs inputs one second apart and keeps the journal.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) now: u64,
    pub(crate) journal: Vec<Entry>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self { engine: engine(), now: 100_000, journal: vec![] }
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now += 1_000;
        let effects = self.engine.step(Timestamp(self.now), input);
        for effect in &effects {
            if let Effect::Record(record) = effect {
                let seq = self.journal.len() as u64;
                let at = Timestamp(self.now);
                self.journal.push(Entry {
                    seq,
                    at,
                    prev: B256::ZERO,
                    hash: B256::ZERO,
                    record: record.clone(),
                });
            }
        }
        effects
    }

    pub(crate) fn attack(&mut self) -> Vec<Effect> {
        self.step(Input::Block(block(1, 0)));
        let at = block(1, 0).block;
        self.step(Input::External(Box::new(finding("drain", &at, Stage::Provisional))))
    }

    pub(crate) fn incident(&self) -> IncidentState {
        self.engine.state().incidents.values().next().expect("an incident").state
    }
}

pub(crate) fn names(effects: &[Effect]) -> String {
    let name = |it: &Effect| match it {
        Effect::Record(Record::Issued { alert, to }) => {
            let text = alert.text.split_once(": ").map_or(alert.text.as_str(), |it| it.1);
            format!("{} for {}: {text}", alert.kind, to.join(" "))
        }
        Effect::Record(record) => {
            let json = serde_json::to_value(record).expect("a record");
            json["record"].as_str().expect("a tag").to_owned()
        }
        Effect::Dispatch { attempt, .. } => format!("DISPATCH {attempt}"),
        Effect::Outbid { bid, .. } => format!("OUTBID {}", bid.max_priority_fee_per_gas),
        Effect::Settle { .. } => "SETTLE".into(),
        Effect::Fetch { from, .. } => format!("FETCH {from}"),
        Effect::Deliver { sink, alert, attempt } => {
            format!("DELIVER {} {} {attempt}", sink, alert.kind)
        }
    };
    effects.iter().map(|it| name(it) + "\n").collect()
}

pub(crate) fn dispatched(effects: &[Effect]) -> Option<&cofferdam_core::order::Order> {
    effects.iter().find_map(|it| match it {
        Effect::Dispatch { order, .. } => Some(&**order),
        _ => None,
    })
}

pub(crate) fn prepared(key: cofferdam_core::OrderKey) -> Prepared {
    let to = Address::repeat_byte(0xaa);
    Prepared {
        key,
        to,
        data: Bytes::new(),
        gas_limit: 1,
        simulated_on: None,
        effect_simulated: None,
    }
}

/// Something that could not be looked at; each number is another transaction.
pub(crate) fn blind_finding(number: u8) -> Finding {
    let at = block(1, 0).block;
    let id = Finding::id_of(CHAIN, "hint", B256::repeat_byte(number), Address::ZERO);
    let (class, summary) = (Class::Blind, format!("transaction {number} could not be traced"));
    Finding { id, class, summary, ..finding("hint", &at, Stage::Provisional) }
}
