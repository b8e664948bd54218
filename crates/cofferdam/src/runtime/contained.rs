//! Whether containment came before an attack or after it: two things that are never added up.
//!
//! **Invariant:** told from what is in blocks when the effect is read. An attack that was seen pending and
//! never got its effect into a block was pre-empted; nothing else was.

use cofferdam_core::{BlockRef, Class, OrderKey, Stage};
use cofferdam_engine::State;
use serde::{Deserialize, Serialize};

/// When containment had its effect, relative to the harm of its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contained {
    /// All harm was seen pending, and none of it is in a block.
    PreEmpted,
    /// In the block of the first harm (after it) or in the one right behind.
    NextBlock,
    /// Later.
    Later,
}

/// How often which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ContainedCounts {
    /// See [`Contained::PreEmpted`].
    pub pre_empted: u64,
    /// See [`Contained::NextBlock`].
    pub next_block: u64,
    /// See [`Contained::Later`].
    pub later: u64,
}

impl ContainedCounts {
    /// Counts one.
    pub fn count(&mut self, it: Contained) {
        match it {
            Contained::PreEmpted => self.pre_empted += 1,
            Contained::NextBlock => self.next_block += 1,
            Contained::Later => self.later += 1,
        }
    }
}

/// When the order `key`, whose effect was read at `effective`, contained the harm of its incident.
/// `None` if the incident holds no harm on the order's chain: what came elsewhere first is not measured
/// in blocks of this one.
pub fn contained(state: &State, key: OrderKey, effective: BlockRef) -> Option<Contained> {
    let incident = state.incidents.get(&state.orders.get(&key)?.order.incident)?;
    let findings = incident.findings.iter().filter_map(|it| state.findings.get(it));
    let harm = findings.map(|it| &it.finding).filter(|it| {
        matches!(it.class, Class::Damage | Class::Control)
            && it.block.chain == effective.chain
            && it.block.number <= effective.number
    });
    let (mut any, mut first) = (false, None);
    for it in harm {
        any = true;
        if it.stage > Stage::Pending {
            let number = it.block.number;
            first = Some(first.map_or(number, |known: u64| known.min(number)));
        }
    }
    match first {
        None => any.then_some(Contained::PreEmpted),
        Some(first) if effective.number - first <= 1 => Some(Contained::NextBlock),
        Some(_) => Some(Contained::Later),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use alloy_primitives::{Address, B256, U256};
    use cofferdam_core::{
        BlockEnv, BlockRef, ChainId, Class, Finding, Observation, OrderKey, Severity, Stage,
        Timestamp, Usd, plan::Plan, read::Readings,
    };
    use cofferdam_engine::{Engine, Input, Limits};

    use super::{Contained, ContainedCounts, contained};

    const PLAN: &str = r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:1"
[[entities]]
id = "vault"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
value-at-risk = "1000000 usd"
[[rules]]
id = "drain"
detector = "external"
mode = "automatic"
[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
stage = "pending"
call = { via = "direct", target = "eip155:1:0x00000000000000000000000000000000000000aa", function = "pause-for", relayer = "one" }
autonomy = { level = "act" }
cost = { fixed = "2000 usd", per-hour = "500 usd", duration = "4h" }
"#;

    fn block(number: u64) -> BlockRef {
        let hash = |it: u64| B256::from(U256::from(it));
        let time = Timestamp::from_secs(number * 12);
        let (hash, parent) = (hash(number), hash(number - 1));
        BlockRef { chain: ChainId(1), number, hash, parent, time }
    }

    fn finding(stage: Stage, at: BlockRef) -> Finding {
        let (tx, subject) = (B256::repeat_byte(9), Address::repeat_byte(0xaa));
        Finding {
            id: Finding::id_of(ChainId(1), "drain", tx, subject),
            detector: "external".into(),
            rule: "drain".into(),
            entity: "vault".into(),
            severity: Severity::Critical,
            class: Class::Damage,
            stage,
            block: at,
            tx: Some(tx),
            subject,
            actors: vec![],
            llr_millinats: 22_000,
            group: "value".into(),
            loss: Usd::whole(300_000),
            summary: "net outflow".into(),
            evidence: vec![],
        }
    }

    struct Run(Engine);

    impl Run {
        fn new() -> Self {
            let plan: Plan = toml::from_str(PLAN).expect("a plan");
            Self(Engine::new(plan, Limits::default()).expect("rules"))
        }

        fn block(&mut self, number: u64) {
            let observation = Observation {
                block: block(number),
                env: BlockEnv::default(),
                stage: Stage::Provisional,
                witnesses: 1,
                txs: vec![],
                readings: Readings::default(),
            };
            self.0.step(Timestamp::from_secs(number * 12), Input::Block(observation));
        }

        fn found(&mut self, stage: Stage, at: u64) {
            let finding = Box::new(finding(stage, block(at)));
            self.0.step(Timestamp::from_secs(at * 12), Input::External(finding));
        }

        fn contained(&self, at: u64) -> Option<Contained> {
            let key = *self.0.state().orders.keys().next().expect("an order");
            contained(self.0.state(), key, block(at))
        }
    }

    #[test]
    fn an_attack_that_never_got_into_a_block_was_pre_empted() {
        let mut run = Run::new();
        run.block(1);
        run.found(Stage::Pending, 1);
        run.block(2);
        assert_eq!(run.contained(2), Some(Contained::PreEmpted));
        // It came through all the same.
        run.found(Stage::Provisional, 2);
        assert_eq!(run.contained(2), Some(Contained::NextBlock));
    }

    #[test]
    fn an_attack_first_seen_in_a_block_is_contained_in_the_next_one_or_later() {
        let mut run = Run::new();
        (1..=4).for_each(|it| run.block(it));
        run.found(Stage::Provisional, 2);
        assert_eq!(run.contained(3), Some(Contained::NextBlock));
        assert_eq!(run.contained(4), Some(Contained::Later));
        assert_eq!(run.contained(1), None, "the effect was there before the harm");
        assert_eq!(contained(run.0.state(), OrderKey::derive(&[b"none"]), block(3)), None);
        let mut counts = ContainedCounts::default();
        [Contained::NextBlock, Contained::Later].into_iter().for_each(|it| counts.count(it));
        assert_eq!((counts.pre_empted, counts.next_block, counts.later), (0, 1, 1));
    }
}
