//! The process: steps, the order of its effects, its death and its restoration.

use alloy_primitives::{Address, B256, Bytes};
use cofferdam_core::{
    AccountId, ChainId, OrderKey, Record, Timestamp,
    order::{Order, Outcome, Prepared, Sent},
    record::Entry,
};
use cofferdam_engine::{Engine, Input, RestoreError, Schedule, schedule, schedule::Dispatch};

use super::{
    Sometimes,
    chain::PoolTx,
    plan::{Setting, limits},
    world::{Event, World},
};

/// Deaths per 1,000 places where the process may die.
const DEATH_PERMILLE: u64 = 4;

impl World<'_> {
    /// One input through the engine, and everything it leads to.
    pub(crate) fn feed(&mut self, input: Input) {
        let now = self.now();
        let Some(engine) = &mut self.engine else { return };
        let effects = engine.step(now, input);
        let found = self.check.step(engine.state(), now);
        self.expect(found);
        self.carry_out(now, schedule(effects));
    }

    fn carry_out(&mut self, now: Timestamp, it: Schedule) {
        let early = self.rng.chance(500);
        if early {
            for it in &it.hot {
                if self.dies() {
                    return self.die(false);
                }
                self.dispatch(it, true);
            }
            if !it.hot.is_empty() && self.mishap(60) {
                self.note(Sometimes::DiedHot);
                return self.die(false);
            }
        }
        if !it.records.is_empty() && !self.append(now, it.records) {
            return;
        }
        let late = if early { &[][..] } else { &it.hot[..] };
        for it in late.iter().chain(&it.cold) {
            if self.dies() {
                return self.die(true);
            }
            self.dispatch(it, false);
        }
        for (order, _) in &it.outbids {
            if self.dies() {
                return self.die(true);
            }
            self.outbid(order.key);
        }
        for it in &it.settles {
            if self.dies() {
                return self.die(true);
            }
            self.ask(it);
        }
        for it in &it.deliveries {
            if self.dies() {
                return self.die(true);
            }
            self.tell(|| format!("deliver {} {} {:?}", it.sink, it.alert.kind, it.alert.text));
            self.offer(it);
        }
        for (chain, from) in it.fetches {
            if let Some(at) = self.chains.iter().position(|it| it.id == chain) {
                self.fetch(at, from);
            }
        }
    }

    fn dies(&mut self) -> bool {
        self.mishap(DEATH_PERMILLE)
    }

    /// Appends to the journal. False if the process is down now.
    fn append(&mut self, now: Timestamp, mut records: Vec<Record>) -> bool {
        if self.dies() {
            self.note(Sometimes::Refused);
            self.die(false);
            return false;
        }
        let torn = self.dies();
        if torn {
            self.note(Sometimes::Torn);
            let kept = self.rng.below(records.len() as u64) as usize;
            records.truncate(kept);
        }
        for record in records {
            self.tell(|| format!("record {record:?}"));
            let found = self.check.record(&record, &mut self.counters);
            self.expect(found);
            let (seq, at) = (self.journal.len() as u64, now);
            let (prev, hash) = (B256::ZERO, B256::ZERO);
            self.journal.push(Entry { seq, at, prev, hash, record });
        }
        if torn || self.dies() {
            self.die(!torn);
            return false;
        }
        true
    }

    /// The process dies; `whole` says whether all of its state was durable.
    fn die(&mut self, whole: bool) {
        self.tell(|| "the process dies".to_owned());
        self.note(Sometimes::Died);
        let engine = self.engine.take();
        self.left = engine.filter(|_| whole).map(|it| it.state().clone());
        self.epoch += 1;
        let down = self.rng.between(200, 12_000);
        self.after(down, Event::Start);
    }

    pub(crate) fn start(&mut self) {
        if self.engine.is_some() {
            return;
        }
        let snapshot = |it: &Entry| matches!(it.record, Record::Snapshot { .. });
        let last = self.journal.iter().rposition(snapshot).filter(|_| self.rng.chance(700));
        if last.is_some() {
            self.note(Sometimes::FromSnapshot);
        }
        let entries = self.journal.iter().skip(last.unwrap_or(0)).cloned();
        let Setting { plan, tables, .. } = self.setting;
        let fresh = Engine::with_tables(plan.clone(), tables.clone(), limits());
        match fresh.map_err(RestoreError::Plan).and_then(|it| it.after(entries)) {
            Ok(engine) => self.engine = Some(engine),
            Err(error) => return self.fail(format!("cannot restore: {error}")),
        }
        if let (Some(mut left), Some(engine)) = (self.left.take(), &self.engine) {
            left.records_since_snapshot = engine.state().records_since_snapshot;
            if left != *engine.state() {
                self.fail("the restored state is not the one that was durable".to_owned());
            }
        }
        let now = self.now();
        let started = self.engine.as_mut().map(|it| it.started(now, B256::ZERO, "simulated"));
        if let Some(record) = started
            && self.append(now, vec![record])
        {
            for chain in 0..self.chains.len() {
                self.resume(chain);
            }
        }
    }

    fn dispatch(&mut self, it: &Dispatch, early: bool) {
        self.tell(|| format!("dispatch {} attempt {}", it.order.action, it.attempt));
        let now = self.now();
        let Some(engine) = &self.engine else { return };
        let found = self.check.dispatch(it, early, now, engine, (&self.chains, self.setting));
        self.expect(found);
        self.note(if early { Sometimes::Hot } else { Sometimes::Cold });
        if it.attempt > 1 {
            self.note(Sometimes::DispatchedAgain);
        }
        let Some(at) = self.chains.iter().position(|chain| chain.id == it.order.chain) else {
            return self.fail("dispatched to a chain outside the plan".to_owned());
        };
        let key = it.order.key;
        let answer = self.rng.between(50, 900);
        let fate = if self.faulty() { self.rng.below(100) } else { 99 };
        let Some(chain) = self.chains.get_mut(at) else { return };
        if !chain.containable || (15..28).contains(&fate) {
            self.note(Sometimes::DispatchFailed);
            let reason = "it would revert".to_owned();
            let input = Input::DispatchFailed { key, reason };
            return self.after(answer, Event::Answer(self.epoch, Box::new(input)));
        }
        if fate < 15 {
            return self.note(Sometimes::DispatchLost);
        }
        let paused = chain.head().is_some_and(|it| it.paused);
        if !paused && !chain.pool.contains(&PoolTx::Pause(key)) {
            chain.pool.push(PoolTx::Pause(key));
        }
        if (28..45).contains(&fate) {
            return self.note(Sometimes::DispatchLost);
        }
        let input = Input::Dispatched { key, prepared: prepared(key), sent: Vec::new() };
        self.after(answer, Event::Answer(self.epoch, Box::new(input)));
    }

    /// What is out is replaced under the same key: twice is once.
    fn outbid(&mut self, key: OrderKey) {
        self.note(Sometimes::Outbid);
        let sent = vec![Sent {
            relayer: AccountId { chain: ChainId(1), address: Address::ZERO },
            nonce: 0,
            tx: key.0,
            max_fee_per_gas: 2,
            max_priority_fee_per_gas: 1,
        }];
        let answer = self.rng.between(50, 900);
        let input = Input::Replaced { key, sent };
        self.after(answer, Event::Answer(self.epoch, Box::new(input)));
    }

    /// What the chain says of an order at the head that the engine knows.
    fn ask(&mut self, order: &Order) {
        let Some(engine) = &self.engine else { return };
        let Some(head) = engine.state().head(order.chain) else { return };
        let chain = self.chains.iter().find(|it| it.id == order.chain);
        let block = chain.and_then(|it| it.blocks.get(it.find(head.hash)?));
        let paused = block.is_some_and(|it| it.paused);
        let lost = self.mishap(200);
        if paused && !lost {
            let outcome = Outcome::Effective { tx: None, block: head, gas_used: 0 };
            let answer = self.rng.between(20, 3_000);
            let input = Input::Settled { key: order.key, outcome };
            self.after(answer, Event::Answer(self.epoch, Box::new(input)));
        }
    }
}

fn prepared(key: OrderKey) -> Prepared {
    Prepared {
        key,
        to: Address::ZERO,
        data: Bytes::new(),
        gas_limit: 0,
        simulated_on: None,
        effect_simulated: None,
    }
}
