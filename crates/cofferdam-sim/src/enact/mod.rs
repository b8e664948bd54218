//! Re-enacts recorded attacks: the victims run their own code on recorded state, the attacker's contracts
//! play what was recorded of them.
//!
//! **Invariant:** a re-enactment that read state the snapshot does not hold is `Incomplete`. What was
//! recorded and what happened are compared frame by frame, never assumed equal.

mod actor;
mod endow;
mod fresh;
mod script;
mod vary;

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    ports::StateSource,
    read::{Answer, Readings, StateRead},
    snapshot::Snapshot,
    trace::AttackTrace,
    tx::{CallKind, Frame},
};

pub(crate) use self::actor::Actor;
pub use self::{
    script::Script,
    vary::{scale, substitute, swap},
};
use crate::{
    SimError,
    execute::step,
    local::{BaseFee, LocalConfig, Unsigned, World},
    machine::{Leniency, Machine},
    rules::Rules,
    simulate::{CALL, On, answers},
};

/// Gas of a re-enacted transaction: enough for any; the recordings hold no gas.
pub const ENACT_GAS: u64 = 1 << 40;
/// A re-enacted transaction is nobody's block's.
const LENIENCY: Leniency =
    Leniency { nonce: false, base_fee: true, sender_code: true, funds: false, gas_limit: true };

/// An attack ready to be played, in one transaction or several.
#[derive(Clone, Debug)]
pub struct Act {
    /// What the attacker's contracts do.
    pub script: Arc<Script>,
    /// The transactions, in order, unsigned and at no fee.
    pub txs: Vec<Tx>,
    /// The rules they run under.
    pub rules: Rules,
    trace: AttackTrace,
}

/// How far apart the transactions of an attack are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Blocks that the first is late, compared with the recording.
    pub late: u64,
    /// Blocks from one to the next; 0 puts all into one block.
    pub apart: u64,
    /// Seconds per block.
    pub seconds: u64,
}

/// How a re-enactment compares with the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames recorded.
    pub frames: usize,
    /// Frames equal in kind, depth, caller, callee, value, input and success, counted up to the first
    /// difference.
    pub frames_equal: usize,
    /// Of these, frames whose output is equal too.
    pub outputs_equal: usize,
    /// Whether all logs are equal.
    pub logs_equal: bool,
    /// Whether all frames are equal but for values that follow from the attacker's new addresses: equal in
    /// kind, depth, caller, callee, selector and success, with as many logs of the same emitters but for
    /// those of the attacker's own contracts.
    pub same_shape: bool,
    /// Reads that the snapshot could not answer.
    pub missing_reads: u64,
}

/// A re-enacted attack.
#[derive(Clone, Debug)]
pub struct Enacted {
    /// The blocks with the attack's transactions; facts are not decoded.
    pub blocks: Vec<Observation>,
    /// How it compares with the recording.
    pub report: Report,
}

impl Act {
    /// The attack of `trace`, cut before the given calls of its root into several transactions (none: as
    /// recorded).
    ///
    /// # Errors
    /// [`SimError::Unsupported`] if the trace has no root or names rules we do not know.
    pub fn of(trace: &AttackTrace, cuts: &[usize]) -> Result<Self, SimError> {
        let rules = Rules::named(&trace.rules);
        let (Some(root), Some(rules)) = (trace.frames.first(), rules) else {
            let what = format!("trace `{}` under rules `{}`", trace.case, trace.rules);
            return Err(SimError::Unsupported { what });
        };
        let script = Arc::new(Script::of(trace, cuts));
        let several = script.parts() > 1;
        let txs = (0..script.parts()).zip(0..).map(|(part, nonce)| Tx {
            hash: keccak256(format!("{}/{part}/{}", trace.case, trace.eoa)),
            from: trace.eoa,
            to: Some(root.to),
            nonce,
            value: if part == 0 { root.value } else { U256::ZERO },
            input: if several { with_part(&root.input, part) } else { root.input.clone() },
            gas_limit: ENACT_GAS,
            ..Tx::default()
        });
        let txs = txs.collect();
        Ok(Self { script, txs, rules, trace: trace.clone() })
    }

    /// The attacker's accounts, sender included.
    pub fn attackers(&self) -> &[Address] {
        &self.script.addresses
    }

    /// `fork` with the attacker's accounts added: known to be fresh, contracts showing some code, each with
    /// the native value that it spends before it gets any.
    pub fn state(&self, fork: &Snapshot) -> Snapshot {
        let mut state = fork.clone();
        let created: Vec<Address> = self.script.creations.values().flatten().copied().collect();
        let funds = self.funds();
        let wei = |it: &Address| funds.get(it).copied().unwrap_or_default();
        state.add_fresh(self.trace.eoa, wei(&self.trace.eoa), Bytes::new());
        for contract in &self.trace.contracts {
            let code = if created.contains(contract) { &[][..] } else { &script::SHOWN_CODE };
            state.add_fresh(*contract, wei(contract), Bytes::copy_from_slice(code));
        }
        state
    }

    /// A local chain on `fork` whose next block, a second after its head, is the recorded attack's. There
    /// the attack can be played transaction by transaction: [`crate::LocalChain::impersonate`] each of
    /// [`Act::unsigned`].
    pub fn chain(&self, fork: &Snapshot) -> LocalConfig {
        let config = LocalConfig::default();
        let mut state = self.state(fork);
        state.add_fresh(config.beneficiary, U256::ZERO, Bytes::new());
        LocalConfig {
            chain: self.trace.chain,
            rules: self.rules.clone(),
            first: self.trace.evm_block.saturating_sub(1),
            time: Timestamp(self.trace.time.0.saturating_sub(1_000)),
            state: Arc::new(state),
            gas_limit: ENACT_GAS.saturating_mul(4),
            base_fee: BaseFee::Fixed(0),
            script: Some(Arc::clone(&self.script)),
            ..config
        }
    }

    /// The transactions as the local chain takes them, at no fee.
    pub fn unsigned(&self) -> impl Iterator<Item = Unsigned> {
        self.txs.iter().map(|it| Unsigned {
            from: it.from,
            to: it.to,
            value: it.value,
            input: it.input.clone(),
            gas_limit: it.gas_limit,
            max_fee_per_gas: Some(0),
            nonce: Some(it.nonce),
            ..Unsigned::default()
        })
    }

    /// Plays the attack on `fork`, whose header fields are `env`.
    ///
    /// # Errors
    /// [`SimError`] if it cannot be executed at all; that it reverts is no error.
    pub fn play(&self, fork: &Snapshot, env: &BlockEnv, pace: Pace) -> Result<Enacted, SimError> {
        let state = self.state(fork);
        let env = BlockEnv {
            base_fee: 0,
            gas_limit: ENACT_GAS,
            gas_used: None,
            logs_bloom: None,
            receipts_root: None,
            ..env.clone()
        };
        let mut blocks: Vec<Observation> = Vec::new();
        let mut world = World::new(Arc::new(state));
        let mut at = pace.late;
        let mut queue = self.txs.iter().peekable();
        while queue.peek().is_some() {
            let together = if pace.apart == 0 { self.txs.len() } else { 1 };
            let txs: Vec<Tx> = queue.by_ref().take(together).cloned().collect();
            let block = self.block(at, pace.seconds, blocks.last().map(|it| it.block.hash));
            let (txs, next) = self.run(&world, &block, &env, &txs)?;
            world = next;
            let (env, readings) = (env.clone(), Readings::default());
            let stage = Stage::Provisional;
            blocks.push(Observation { block, env, stage, witnesses: 1, txs, readings });
            at = at.saturating_add(pace.apart);
        }
        let report = self.compare(&blocks);
        Ok(Enacted { blocks, report })
    }

    /// Answers `reads` in order, as [`crate::answer_reads`]; but what can only be stored under one of the
    /// attacker's fresh addresses is known to be zero.
    ///
    /// # Errors
    /// [`SimError::Unavailable`] if the source failed.
    pub fn answer_reads(&self, reads: &[StateRead], on: On<'_>) -> Result<Vec<Answer>, SimError> {
        let actor = Actor::new(Arc::clone(&self.script));
        let mut machine =
            Machine::with_inspector(actor, on.state, on.block, on.env, on.rules, CALL)?;
        answers(&mut machine, reads)
    }

    /// What each of the attacker's accounts must own at the start, in wei, to make its recorded payments.
    fn funds(&self) -> BTreeMap<Address, U256> {
        let mut needed = BTreeMap::<Address, U256>::new();
        let mut owned = BTreeMap::<Address, U256>::new();
        let moves = |kind| matches!(kind, CallKind::Call | CallKind::Create);
        for it in self.trace.frames.iter().filter(|it| !it.undone && moves(it.kind)) {
            let from = owned.entry(it.from).or_default();
            let lacking = it.value.saturating_sub(*from);
            *from = from.saturating_add(lacking).saturating_sub(it.value);
            let so_far = needed.entry(it.from).or_default();
            *so_far = so_far.saturating_add(lacking);
            let to = owned.entry(it.to).or_default();
            *to = to.saturating_add(it.value);
        }
        needed
    }

    fn run(
        &self,
        world: &World,
        block: &BlockRef,
        env: &BlockEnv,
        txs: &[Tx],
    ) -> Result<(Vec<Tx>, World), SimError> {
        let actor = Actor::new(Arc::clone(&self.script));
        let state: &dyn StateSource = world;
        let mut machine = Machine::with_inspector(actor, state, block, env, &self.rules, LENIENCY)?;
        let mut done = Vec::with_capacity(txs.len());
        for (tx, index) in txs.iter().zip(0..) {
            let (mut tx, _) = step(&mut machine, tx, false)?;
            tx.index = index;
            if tx.tracing == Tracing::Simulated {
                tx.tracing = Tracing::Reexecuted;
            }
            done.push(tx);
        }
        let next = world.with(machine.into_changes()).after(block.number, block.hash);
        Ok((done, next))
    }

    fn block(&self, at: u64, seconds: u64, parent: Option<B256>) -> BlockRef {
        let trace = &self.trace;
        let hash = |at: u64| keccak256(format!("{}/{}/block/{at}", trace.case, trace.eoa));
        BlockRef {
            chain: trace.chain,
            number: trace.evm_block.saturating_add(at),
            hash: hash(at.saturating_add(1)),
            parent: parent.unwrap_or_else(|| hash(at)),
            time: trace.time.plus_ms(at.saturating_mul(seconds).saturating_mul(1_000)),
        }
    }

    fn compare(&self, blocks: &[Observation]) -> Report {
        let txs = || blocks.iter().flat_map(|it| &it.txs);
        let ran = txs().flat_map(|it| &it.frames).filter(|it| it.kind != CallKind::SelfDestruct);
        let recorded = &self.trace.frames;
        let pairs = || recorded.iter().zip(ran.clone()).take_while(|(a, b)| same(a, b));
        let outputs = pairs().filter(|(a, b)| a.kind == CallKind::Create || a.output == b.output);
        let surplus = ran.clone().count() > recorded.len();
        let missing = txs().map(|it| match &it.tracing {
            Tracing::Incomplete { count, .. } => *count,
            _ => 0,
        });
        let shapes = ran.clone().map(shape).eq(recorded.iter().map(shape));
        // What the attacker's contracts themselves emitted is in no script.
        let others = |it: &Address| !self.script.is_attackers(*it);
        let emitters = txs().flat_map(|it| &it.logs).map(|it| it.address);
        let emitted = emitters.eq(self.trace.logs.iter().map(|it| it.address).filter(others));
        Report {
            same_shape: shapes && emitted,
            frames: recorded.len(),
            frames_equal: pairs().count().saturating_sub(usize::from(surplus)),
            outputs_equal: outputs.count(),
            logs_equal: txs().flat_map(|it| &it.logs).eq(&self.trace.logs),
            missing_reads: missing.sum(),
        }
    }
}

impl Report {
    /// Whether every frame, output and log is as recorded.
    pub fn is_complete(&self) -> bool {
        self.frames_equal == self.frames && self.outputs_equal == self.frames && self.logs_equal
    }

    /// Whether the recorded attack took place: all is as recorded, or differs only where hashes of the
    /// attacker's new addresses must differ.
    pub fn is_faithful(&self) -> bool {
        self.is_complete() || (self.same_shape && self.missing_reads == 0)
    }
}

/// A transaction made of recorded frames and logs alone, for traces that cannot be replayed. Without missing
/// reads it counts as served by a node; there is no state diff.
pub fn tx_from_trace(trace: &AttackTrace) -> Tx {
    let root = trace.frames.first();
    Tx {
        hash: keccak256(format!("{}/trace/{}", trace.case, trace.eoa)),
        from: trace.eoa,
        to: root.map(|it| it.to),
        value: trace.root_value(),
        input: root.map(|it| it.input.clone()).unwrap_or_default(),
        gas_limit: ENACT_GAS,
        succeeded: root.is_some_and(|it| it.succeeded),
        logs: trace.logs.clone(),
        frames: trace.frames.clone(),
        tracing: match trace.missing_reads {
            0 => Tracing::Node,
            count => Tracing::Incomplete { missing: Vec::new(), count },
        },
        ..Tx::default()
    }
}

/// Input and output of creations were not recorded.
fn same(recorded: &Frame, ran: &Frame) -> bool {
    let key = |it: &Frame| (it.depth, it.kind, it.from, it.to, it.value, it.succeeded);
    key(recorded) == key(ran) && (recorded.kind == CallKind::Create || recorded.input == ran.input)
}

/// What must be the same of a frame whatever the attacker's addresses.
fn shape(it: &Frame) -> (u16, CallKind, Address, Address, Option<[u8; 4]>, bool) {
    let selector = it.selector().filter(|_| it.kind != CallKind::Create);
    (it.depth, it.kind, it.from, it.to, selector, it.succeeded)
}

/// The entry selector, then the part's number.
fn with_part(input: &Bytes, part: usize) -> Bytes {
    let selector = input.first_chunk::<4>().copied().unwrap_or_default();
    [&selector[..], &U256::from(part).to_be_bytes::<32>()].concat().into()
}
