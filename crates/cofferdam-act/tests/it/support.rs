//! A scripted network: nonces, pool and replacement as a real node's, answers as told.
#![allow(unreachable_pub, reason = "one test binary")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{Address, B256, Bytes, U256, address, b256, keccak256},
};
use cofferdam_act::{Authorisation, Authorisations, Bundle, LocalKey, Scope, Signer, Terms};
use cofferdam_core::{
    BlockRef, ChainId, IncidentId, OrderKey, Stage, Timestamp,
    order::{EffectCheck, Expectation, Order, OrderCall},
    plan::{Autonomy, Rung},
    ports::{
        Boxed, BroadcastError, Broadcaster, Call, Inclusion, Simulated, SourceError, StateReader,
    },
    read::{Answer, StateRead},
    secret::Secret,
};

pub const CHAIN: ChainId = ChainId(31_337);
pub const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub const GUARDIAN: Address = address!("00000000000000000000000000000000000000a1");
pub const TARGET: Address = address!("00000000000000000000000000000000000000b2");
pub const ACTION: B256 = b256!("00000000000000000000000000000000000000000000000000000000000000c3");
pub const GWEI: u128 = 1_000_000_000;

/// What the network does with the next transaction.
pub enum Script {
    /// Takes it, but the answer is lost.
    LoseAnswer,
    /// Does not hear it.
    Deaf,
    Refuse(BroadcastError),
}

pub struct Tx {
    pub nonce: u64,
    pub hash: B256,
    pub max_fee: u128,
    pub tip: u128,
    pub gas_limit: u64,
    pub to: Address,
    pub chain: Option<u64>,
}

pub struct State {
    pub head: u64,
    pub base_fee: u64,
    pub nonces: BTreeMap<Address, u64>,
    pub broke: Vec<Address>,
    pub pool: BTreeMap<(Address, u64), Tx>,
    pub mined: BTreeMap<B256, Inclusion>,
    pub script: VecDeque<Script>,
    pub sends: Vec<B256>,
    pub account_reads: usize,
    pub simulations: usize,
    /// Revert data of every call with data.
    pub revert: Option<Bytes>,
    /// Accounts whose calls succeed, if not all.
    pub role: Option<Address>,
    pub paused: bool,
    pub pause_works: bool,
    pub tells_after: bool,
    /// Whether mined transactions succeed.
    pub succeed: bool,
}

pub struct Net {
    pub chain: ChainId,
    pub state: Mutex<State>,
}

impl Net {
    pub fn new() -> Arc<Self> {
        let state = State {
            head: 100,
            base_fee: 10_000_000_000,
            nonces: BTreeMap::new(),
            broke: Vec::new(),
            pool: BTreeMap::new(),
            mined: BTreeMap::new(),
            script: VecDeque::new(),
            sends: Vec::new(),
            account_reads: 0,
            simulations: 0,
            revert: None,
            role: None,
            paused: false,
            pause_works: true,
            tells_after: true,
            succeed: true,
        };
        Arc::new(Self { chain: CHAIN, state: Mutex::new(state) })
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    pub fn at(&self, number: u64) -> BlockRef {
        let hash = |it: u64| keccak256(it.to_be_bytes());
        let time = Timestamp(NOW.0 + number * 1_000 - 100_000);
        BlockRef { chain: self.chain, number, hash: hash(number), parent: hash(number - 1), time }
    }

    /// Mines a block with those pool transactions that `pick` wants.
    pub fn mine(&self, pick: impl Fn(&Tx) -> bool) -> (BlockRef, u64) {
        let block = self.at(self.with(|it| it.head) + 1);
        self.with(|state| {
            state.head += 1;
            let keys: Vec<_> = state.pool.keys().copied().collect();
            for key in keys {
                let next = state.nonces.get(&key.0).copied().unwrap_or_default();
                if key.1 != next || !pick(&state.pool[&key]) {
                    continue;
                }
                let tx = state.pool.remove(&key).unwrap();
                state.nonces.insert(key.0, next + 1);
                // The first to land pauses; the others revert with AlreadyPaused.
                let succeeded = state.succeed && !state.paused;
                state.paused |= succeeded && state.pause_works;
                state.mined.insert(tx.hash, Inclusion { block, succeeded, gas_used: 80_000 });
            }
        });
        (block, self.with(|it| it.base_fee))
    }

    fn take(&self, raw: &Bytes) -> Result<B256, BroadcastError> {
        let envelope = TxEnvelope::decode_2718(&mut raw.as_ref()).expect("a valid transaction");
        let from = envelope.signature().recover_address_from_prehash(&envelope.signature_hash());
        let from = from.expect("a valid signature");
        let tx = Tx {
            nonce: envelope.nonce(),
            hash: *envelope.tx_hash(),
            max_fee: envelope.max_fee_per_gas(),
            tip: envelope.max_priority_fee_per_gas().unwrap_or_default(),
            gas_limit: envelope.gas_limit(),
            to: envelope.to().unwrap_or_default(),
            chain: envelope.chain_id(),
        };
        let mut state = self.state.lock().unwrap();
        state.sends.push(tx.hash);
        let script = state.script.pop_front();
        match script {
            Some(Script::Deaf) => return Err(BroadcastError::Unavailable("deaf".into())),
            Some(Script::Refuse(error)) => return Err(error),
            _ => {}
        }
        if state.broke.contains(&from) {
            return Err(BroadcastError::InsufficientFunds);
        }
        if tx.nonce < state.nonces.get(&from).copied().unwrap_or_default() {
            return Err(BroadcastError::NonceTooLow);
        }
        if let Some(old) = state.pool.get(&(from, tx.nonce)) {
            if old.hash == tx.hash {
                return Err(BroadcastError::AlreadyKnown);
            }
            // Both caps must rise by 10 %, as in geth and reth.
            let dear = |new: u128, old: u128| new * 10 >= old * 11;
            if !dear(tx.max_fee, old.max_fee) || !dear(tx.tip, old.tip) {
                return Err(BroadcastError::Underpriced);
            }
        }
        let hash = tx.hash;
        state.pool.insert((from, tx.nonce), tx);
        match script {
            Some(Script::LoseAnswer) => Err(BroadcastError::Unavailable("answer lost".into())),
            _ => Ok(hash),
        }
    }

    fn run(&self, call: &Call) -> Simulated {
        let mut state = self.state.lock().unwrap();
        state.simulations += 1;
        let on = self.at(state.head);
        let idle = call.data.is_empty();
        let allowed = state.role.is_none_or(|it| it == call.from);
        let succeeded = idle || (state.revert.is_none() && allowed);
        let output =
            if succeeded { Bytes::new() } else { state.revert.clone().unwrap_or_default() };
        let paused = state.paused || (!idle && succeeded && state.pause_works);
        let answer = |it: &StateRead| match it {
            _ if !idle && !state.tells_after => Answer::Unavailable,
            StateRead::Call { to, .. } if *to == TARGET => Answer::of(U256::from(paused)),
            _ => Answer::Unavailable,
        };
        let then = call.then.iter().map(answer).collect();
        Simulated { succeeded, output, gas_used: 80_000, on, then }
    }
}

impl Broadcaster for Net {
    fn chain(&self) -> ChainId {
        self.chain
    }
    fn send(&self, raw: Bytes) -> Boxed<'_, Result<B256, BroadcastError>> {
        let taken = self.take(&raw);
        Box::pin(async move { taken })
    }
    fn simulate<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Simulated, BroadcastError>> {
        let run = self.run(call);
        Box::pin(async move { Ok(run) })
    }
    fn account(&self, address: Address) -> Boxed<'_, Result<(u64, U256), BroadcastError>> {
        let nonce = self.with(|it| {
            it.account_reads += 1;
            it.nonces.get(&address).copied().unwrap_or_default()
        });
        Box::pin(async move { Ok((nonce, U256::from(10u128.pow(18)))) })
    }
    fn head(&self) -> Boxed<'_, Result<(BlockRef, u64), BroadcastError>> {
        let head = self.with(|it| (it.head, it.base_fee));
        Box::pin(async move { Ok((self.at(head.0), head.1)) })
    }
    fn inclusion(&self, tx: B256) -> Boxed<'_, Result<Option<Inclusion>, BroadcastError>> {
        let found = self.with(|it| it.mined.get(&tx).cloned());
        Box::pin(async move { Ok(found) })
    }
}

impl StateReader for Net {
    fn read<'a>(
        &'a self,
        _: &'a BlockRef,
        reads: &'a [StateRead],
    ) -> Boxed<'a, Result<Vec<Answer>, SourceError>> {
        let paused = self.with(|it| it.paused);
        let answers = vec![Answer::of(U256::from(paused)); reads.len()];
        Box::pin(async move { Ok(answers) })
    }
}

pub fn key(seed: u8) -> Arc<dyn Signer> {
    Arc::new(LocalKey::from_hex(&Secret::new(format!("{:064x}", seed))).unwrap())
}

pub fn relayers(count: u8) -> Vec<Arc<dyn Signer>> {
    (1..=count).map(key).collect()
}

pub fn guardian_scope() -> Scope {
    Scope::Guardian { guardian: GUARDIAN, action_id: ACTION, tier: 0, not_before: 0 }
}

/// `count` authorisations for the guardian's action, with nonces from 0 on, valid for a day.
pub async fn authorisations(count: u64) -> Authorisations {
    let signer = key(0x51);
    let mut made = Vec::new();
    for nonce in 0..count {
        let terms = Terms { nonce: U256::from(nonce), deadline: NOW.0 / 1_000 + 86_400, epoch: 0 };
        let one = Authorisation::sign(CHAIN, guardian_scope(), terms, &[signer.as_ref()]).await;
        made.push(one.unwrap());
    }
    Authorisations::from_bundles(vec![Bundle::new(CHAIN, made)]).unwrap()
}

pub fn guardian_call() -> OrderCall {
    OrderCall::Guardian { guardian: GUARDIAN, action_id: ACTION, tier: 0 }
}

pub fn order(seed: u8, call: OrderCall) -> Order {
    let paused = Bytes::from_static(&[0x5c, 0x97, 0x5a, 0xbb]);
    let read = StateRead::Call { to: TARGET, data: paused };
    Order {
        key: OrderKey(B256::repeat_byte(seed)),
        incident: IncidentId(B256::repeat_byte(0x1c)),
        action: "pause".into(),
        rung: Rung::PauseProtocol,
        chain: CHAIN,
        call,
        effect: vec![EffectCheck { read, expect: Expectation::Word(U256::from(1)) }],
        stage: Stage::Provisional,
        self_expiring: true,
        autonomy: Autonomy::Act,
        decided_at: NOW,
        expires_at: NOW.plus_ms(600_000),
        fee_budget_wei: U256::from(5 * 10u128.pow(17)),
        outbid: None,
    }
}
