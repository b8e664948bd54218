//! The plans of simulated lives: one protected vault per chain, each with one action of its own kind.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, b256};
use cofferdam_core::{
    BlockRef, ChainId, Observation, Stage, Tx,
    plan::Plan,
    read::{Answer, Reading, Readings, StateRead},
};
use cofferdam_engine::{Engine, Limits, Tables};

use super::rng::Rng;

/// Blocks that a branch may be deep in these plans.
pub(crate) const REORG_BLOCKS_MAX: u64 = 6;
/// Blocks on top after which a finding is final in these plans.
pub(crate) const FINALITY_BLOCKS: u64 = 3;
/// How long we may be blind before somebody is paged.
pub(crate) const BLIND_PAGE_AFTER_MS: u64 = 15_000;
/// What a vault holds at first, in whole tokens of one dollar.
pub(crate) const HELD: u64 = 10_000_000;
/// What one attack transaction takes.
pub(crate) const TAKEN: u64 = 3_000_000;
/// The names of the receivers.
pub(crate) const SINKS: [&str; 3] = ["pager", "channel", "hook"];

/// How an action is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Expires by itself, at once, also for a pending transaction.
    Reflex,
    /// Expires by itself, unless vetoed within the window.
    Veto,
    /// Lasts, at once, for what two endpoints vouch for.
    Lasting,
    /// Lasts, for what is final.
    Final,
    /// Expires by itself; two people must approve.
    TwoPeople,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Reflex, Self::Veto, Self::Lasting, Self::Final, Self::TwoPeople];

    pub(crate) fn self_expiring(self) -> bool {
        !matches!(self, Self::Lasting | Self::Final)
    }

    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Reflex => Stage::Pending,
            Self::Final => Stage::Final,
            _ => Stage::Provisional,
        }
    }

    pub(crate) fn approvals(self) -> usize {
        if self == Self::TwoPeople { 2 } else { 1 }
    }

    pub(crate) fn veto_window_ms(self) -> u64 {
        if self == Self::Veto { 10_000 } else { 0 }
    }

    fn table(self, chain: u64) -> String {
        let function = if self.self_expiring() { "pause-for" } else { "pause" };
        let stage = match self.stage() {
            Stage::Pending => "pending",
            Stage::Provisional => "provisional",
            Stage::Final => "final",
        };
        let autonomy = match self {
            Self::Veto => r#"{ level = "veto", window = "10s" }"#,
            Self::TwoPeople => r#"{ level = "propose" }"#,
            _ => r#"{ level = "act" }"#,
        };
        format!(
            r#"
[[actions]]
id = "pause-{chain}"
rung = "pause-market"
contains = ["vault-{chain}"]
call = {{ via = "direct", target = "eip155:{chain}:{vault}", function = "{function}", relayer = "r" }}
autonomy = {autonomy}
stage = "{stage}"
approvals = {approvals}
valid-for = "60s"
budget = {{ automatic-max = 9, window = "1h", cooldown = "1ms" }}
cost = {{ fixed = "2000 usd", per-hour = "500 usd", duration = "4h" }}
"#,
            vault = vault(),
            approvals = self.approvals(),
        )
    }
}

/// The limits of simulated lives: short enough that each is reached within a life.
pub(crate) fn limits() -> Limits {
    Limits {
        snapshot_records: 150,
        dispatch_timeout_ms: 8_000,
        dispatch_retry_ms: 4_000,
        dispatch_attempts_max: 4,
        orders_failed_max: 2,
        delivery_timeout_ms: 8_000,
        delivery_retry_max_ms: 8_000,
        delivery_late_ms: 10_000,
        repeats_max: 2,
        ..Limits::default()
    }
}

/// A plan, what is solved from it, and what binds each vault's action.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) plan: Plan,
    pub(crate) tables: Tables,
    pub(crate) kinds: Vec<Kind>,
}

/// Every setting, made once and shared by all lives.
pub(crate) fn settings() -> Result<Vec<Setting>, toml::de::Error> {
    let mut out = Vec::new();
    for (at, first) in Kind::ALL.into_iter().enumerate() {
        out.push(Setting::of(vec![first])?);
        for second in Kind::ALL.into_iter().skip(at) {
            out.push(Setting::of(vec![first, second])?);
        }
    }
    Ok(out)
}

impl Setting {
    pub(crate) fn pick<'a>(all: &'a [Self], rng: &mut Rng) -> Option<&'a Self> {
        all.get(rng.below(all.len() as u64) as usize)
    }

    fn of(kinds: Vec<Kind>) -> Result<Self, toml::de::Error> {
        let mut text = String::from("version = 1\nname = \"Simulated\"\n");
        for (at, kind) in kinds.iter().enumerate() {
            let chain = at as u64 + 1;
            text += &format!(
                r#"
[[chains]]
id = "eip155:{chain}"
endpoints = ["env:A", "env:B", "env:C"]
finality-blocks = {FINALITY_BLOCKS}
reorg-blocks-max = {REORG_BLOCKS_MAX}
witnesses-min = 2
blind-page-after = "{BLIND_PAGE_AFTER_MS}ms"
[[entities]]
id = "vault-{chain}"
accounts = ["eip155:{chain}:{vault}"]
assets = [{{ token = "{token}", symbol = "T", decimals = 0, price = "1 usd" }}]
[[rules]]
id = "drain-{chain}"
detector = "outflow"
entities = ["vault-{chain}"]
mode = "automatic"
"#,
                vault = vault(),
                token = token(),
            );
            text += &kind.table(chain);
        }
        for (sink, stage) in SINKS.into_iter().zip(["provisional", "pending", "pending"]) {
            text += &format!(
                "\n[[notifiers]]\nid = \"{sink}\"\nchannel = {{ to = \"webhook\", url = \"env:X\", secret-env = \"X_SECRET\" }}\nseverity = \"low\"\nstage = \"{stage}\"\n"
            );
        }
        let plan: Plan = toml::from_str(&text)?;
        Ok(Self { tables: Tables::of(&plan.decision), plan, kinds })
    }
}

pub(crate) fn vault() -> Address {
    Address::repeat_byte(0xaa)
}
pub(crate) fn token() -> Address {
    Address::repeat_byte(0x70)
}
pub(crate) fn attacker() -> Address {
    Address::repeat_byte(0xee)
}

/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// An attack transaction that took `taken` tokens; one that took none reverted.
pub(crate) fn attack_tx(hash: B256, taken: u64) -> Tx {
    let topics =
        vec![TRANSFER, B256::from(vault().into_word()), B256::from(attacker().into_word())];
    let amount = Bytes::from(U256::from(taken).to_be_bytes::<32>().to_vec());
    let log = Log { address: token(), data: LogData::new_unchecked(topics, amount) };
    Tx {
        hash,
        from: attacker(),
        to: Some(vault()),
        succeeded: taken > 0,
        logs: if taken > 0 { vec![log] } else { Vec::new() },
        gas_limit: 1_000_000,
        // Attackers bid differently.
        max_fee_per_gas: 1_000,
        max_priority_fee_per_gas: hash.0[31].into(),
        ..Tx::default()
    }
}

/// An observation with its facts and the reads that the engine wants.
pub(crate) fn observe(
    engine: &Engine,
    block: BlockRef,
    stage: Stage,
    (txs, witnesses): (Vec<Tx>, u16),
    (before, after): (u64, u64),
) -> Observation {
    let env = Default::default();
    let mut it = Observation { block, env, stage, witnesses, txs, readings: Readings::default() };
    if it.txs.is_empty() {
        return it;
    }
    it.decode_facts();
    let word = |it: u64| Answer::Bytes(Bytes::from(U256::from(it).to_be_bytes::<32>().to_vec()));
    for read in engine.wanted_reads(&it) {
        let reading = match &read {
            StateRead::Call { to, .. } if *to == token() => {
                Reading { before: word(before), after: word(after) }
            }
            _ => Reading { before: word(0), after: word(0) },
        };
        it.readings.insert(read, reading);
    }
    it
}

pub(crate) fn chain_id(at: usize) -> ChainId {
    ChainId(at as u64 + 1)
}
