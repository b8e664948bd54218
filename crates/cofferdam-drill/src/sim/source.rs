//! What the sources tell, and how late, how often and how truly.

use alloy_primitives::B256;
use cofferdam_core::{Stage, Tx};
use cofferdam_engine::Input;

use super::{
    Sometimes,
    chain::{PoolTx, word},
    plan::{HELD, REORG_BLOCKS_MAX, TAKEN, attack_tx, observe},
    world::{Event, World},
};

impl World<'_> {
    pub(crate) fn mine(&mut self, at: usize) {
        let lazy = self.faulty();
        let Some(chain) = self.chains.get_mut(at) else { return };
        let (next, hung) = (chain.block_ms, chain.hung_until > self.t);
        let height = chain.canonical_from(0).len() as u64;
        let txs = chain.draw(&mut self.rng, lazy);
        let tip = chain.tip;
        if let Some(block) = chain.child(tip, &txs, &mut self.rng) {
            chain.tip = block;
            self.send(at, block);
        }
        self.after(next, Event::Mine(at));
        if self.mishap(60) {
            let depth = self.rng.between(1, 4).min(height);
            self.reorganise(at, depth);
        } else if height > REORG_BLOCKS_MAX + 4 && self.mishap(15) {
            self.note(Sometimes::DeepReorg);
            self.reorganise(at, REORG_BLOCKS_MAX + 2);
        }
        if self.mishap(40) {
            self.lie(at);
        }
        if !hung && self.mishap(40) {
            self.note(Sometimes::Hung);
            let ms = self.rng.between(5_000, 40_000);
            if let Some(chain) = self.chains.get_mut(at) {
                chain.hung_until = self.t + ms;
            }
            self.after(2_000, Event::Stall(at));
            self.after(6_000.min(ms), Event::Stall(at));
            self.after(ms, Event::Resume(at));
        }
    }

    fn reorganise(&mut self, at: usize, depth: u64) {
        let Some(chain) = self.chains.get_mut(at) else { return };
        let Some(branch) = chain.reorganise(depth, &mut self.rng) else { return };
        if depth > 0 {
            self.note(Sometimes::Reorged);
        }
        // A source that was not looking goes on with the new head alone.
        let skip = if self.mishap(300) { branch.len() - 1 } else { 0 };
        for block in branch.into_iter().skip(skip) {
            self.send(at, block);
        }
    }

    /// An endpoint serves a block that nobody else has, with an attack in it.
    fn lie(&mut self, at: usize) {
        let hash = word(&mut self.rng);
        let Some(chain) = self.chains.get_mut(at) else { return };
        let Some(parent) = chain.head().and_then(|it| it.parent) else { return };
        let Some(block) = chain.child(parent, &[PoolTx::Attack(hash)], &mut self.rng) else {
            return;
        };
        self.note(Sometimes::Lie);
        let lag = self.rng.between(50, 4_000);
        self.after(lag, Event::Deliver(at, block, 1));
    }

    /// Schedules the delivery of a new block.
    fn send(&mut self, at: usize, block: usize) {
        let mut lag = self.rng.between(50, 400);
        if self.mishap(80) {
            return self.note(Sometimes::Gap);
        }
        if self.mishap(120) {
            self.note(Sometimes::OutOfOrder);
            lag += self.rng.between(2_000, 12_000);
        }
        self.after(lag, Event::Deliver(at, block, 1));
        if self.mishap(100) {
            self.note(Sometimes::DeliveredTwice);
            let again = lag + self.rng.between(0, 9_000);
            self.after(again, Event::Deliver(at, block, 1));
        }
        if !self.mishap(300) {
            let later = lag + self.rng.between(100, 2_500);
            self.after(later, Event::Deliver(at, block, 2));
        }
    }

    pub(crate) fn deliver(&mut self, at: usize, block: usize, witnesses: u16) {
        let Some(engine) = &self.engine else { return };
        let Some(chain) = self.chains.get_mut(at) else { return };
        if chain.hung_until > self.t {
            return;
        }
        let Some(it) = chain.blocks.get_mut(block) else { return };
        it.witnesses = it.witnesses.max(witnesses);
        let txs: Vec<Tx> = it.attacks.iter().map(|it| attack_tx(it.hash, it.taken)).collect();
        let taken: u64 = it.attacks.iter().map(|it| it.taken).sum();
        let (reference, held) = (it.at, (it.held + taken, it.held));
        let it = observe(engine, reference, Stage::Provisional, (txs, witnesses), held);
        self.feed(Input::Block(it));
    }

    pub(crate) fn show_pending(&mut self, at: usize, hash: B256) {
        let (Some(engine), Some(chain)) = (&self.engine, self.chains.get(at)) else { return };
        let head = engine.state().head(chain.id);
        let block = head.and_then(|it| chain.blocks.get(chain.find(it.hash)?));
        let Some(block) = block.filter(|it| !it.paused && it.held >= TAKEN) else { return };
        let held = (block.held, block.held - TAKEN);
        let txs = vec![attack_tx(hash, TAKEN)];
        let it = observe(engine, block.at, Stage::Pending, (txs, 1), held);
        self.note(Sometimes::SeenPending);
        self.feed(Input::Pending(it));
    }

    pub(crate) fn stall(&mut self, at: usize) {
        let (Some(engine), Some(chain)) = (&self.engine, self.chains.get(at)) else { return };
        if chain.hung_until <= self.t {
            return;
        }
        let from = engine.state().head(chain.id).map_or(0, |it| it.number + 1);
        let because = "no endpoint answers".to_owned();
        self.feed(Input::Blind { chain: chain.id, from, because });
    }

    /// The source goes on from what the process knows.
    pub(crate) fn resume(&mut self, at: usize) {
        let (Some(engine), Some(chain)) = (&self.engine, self.chains.get(at)) else { return };
        let canonical = chain.canonical_from(0);
        let number = |it: &usize| chain.blocks.get(*it).map_or(0, |it| it.at.number);
        let known = |it: &usize| chain.blocks.get(*it).map(|it| it.at.hash);
        let view = engine.state().chains.get(&chain.id.0);
        let common = view.and_then(|view| {
            let trail = view.trail.iter().rev().map(|it| it.block);
            let mut on = trail.filter(|it| canonical.iter().any(|at| known(at) == Some(it.hash)));
            on.next().map(|it| it.number)
        });
        let from = common.map(|it| it + 1).or(view.and_then(|it| it.resume_at)).unwrap_or(0);
        let blocks: Vec<usize> = canonical.into_iter().filter(|it| number(it) >= from).collect();
        self.send_all(at, &blocks);
    }

    /// Delivers the canonical chain again from a block on.
    pub(crate) fn fetch(&mut self, at: usize, from: u64) {
        if self.mishap(100) {
            return;
        }
        let Some(chain) = self.chains.get(at) else { return };
        let blocks = chain.canonical_from(from);
        self.send_all(at, &blocks);
    }

    fn send_all(&mut self, at: usize, blocks: &[usize]) {
        let mut lag = self.rng.between(30, 300);
        for block in blocks {
            self.after(lag, Event::Deliver(at, *block, 1));
            lag += 5;
        }
        if let Some(last) = blocks.last() {
            let later = lag + self.rng.between(100, 2_000);
            self.after(later, Event::Deliver(at, *last, 2));
        }
    }

    /// Counts what the chains saw in the end.
    pub(crate) fn count_end(&mut self) {
        for at in 0..self.chains.len() {
            let Some(head) = self.chains.get(at).and_then(|it| it.head()) else { continue };
            let (attacked, paused) = (head.held < HELD, head.paused);
            if attacked {
                self.note(Sometimes::Attacked);
            }
            if attacked && paused {
                self.note(Sometimes::Contained);
            }
        }
    }
}
