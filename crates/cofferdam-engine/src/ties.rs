//! Who created and who funded whom: the notes by which accounts are told to be one attacker's.
//!
//! **Invariant:** a note is written by a block of its chain and undone with it. Only what a sender paid or created
//! himself joins anybody: a service, such as an exchange's wallet, a bundler or a relayer, joins nobody.
//!
//! The notes of a chain: `t/ACCOUNT` the accounts it is tied to; `c/HASH` the first contract with that code;
//! `x/TIME/…` what is to be forgotten when.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, keccak256};
use cofferdam_core::{Fact, Observation, Tx, plan::Plan, record::Memo, tx::CallKind};
use cofferdam_decide::Ties;
use cofferdam_detect::is_service;
use serde::Deserialize;

use crate::state::{ChainView, State};

/// Prefix of the notes.
const TIE_KEY: &str = "engine/ties/";
/// How long a tie is remembered, in milliseconds: an attacker's money is seldom older when he uses it
/// (`onchain.md` S07).
const AGE_MS: u64 = 48 * 3_600_000;
/// Notes kept per chain, with their dates; the oldest is forgotten first.
const NOTES_MAX: usize = 16_384;
/// Notes that one block adds at most.
const NOTES_PER_BLOCK_MAX: usize = 128;
/// Notes that one block forgets at most.
const FORGOTTEN_PER_BLOCK_MAX: usize = 512;
/// Contracts of one transaction that are noted.
const CREATED_PER_TX_MAX: usize = 8;
/// Code shorter than this, in bytes, is a proxy or a stub, and makes no family.
const CODE_BYTES_MIN: usize = 256;
/// How far up the ties of an account are followed: funder of the deployer of a contract, and one more.
const STEPS_MAX: usize = 3;

/// What the block of `observation` adds to and takes from the notes of its chain.
pub(crate) fn notes(
    plan: &Plan,
    view: Option<&ChainView>,
    observation: &Observation,
) -> Vec<(String, Memo)> {
    let empty = ChainView::default();
    let view = view.unwrap_or(&empty);
    let mut notes = Notes { view, time: observation.block.time.0, memos: BTreeMap::new() };
    notes.forget();
    let chain = observation.block.chain;
    let ours: BTreeSet<Address> = plan.entities.iter().flat_map(|it| it.addresses(chain)).collect();
    let most = notes.memos.len() + NOTES_PER_BLOCK_MAX;
    for tx in observation.txs.iter().filter(|it| it.succeeded && !is_service(it)) {
        if notes.memos.len() >= most {
            break;
        }
        if !ours.contains(&tx.from) {
            notes.created(tx, &ours);
            notes.funded(tx, &ours);
        }
    }
    notes.memos.into_iter().collect()
}

/// The accounts that each of `actors` is tied to, on any chain.
pub(crate) fn of<'a>(state: &State, actors: impl Iterator<Item = &'a Address>) -> Ties {
    let up = |account: &Address| -> Vec<Address> {
        let key = tie_key(*account);
        let notes = state.chains.values().filter_map(|it| it.memos.get(&key));
        notes.filter_map(|it| Vec::deserialize(it).ok()).flatten().collect()
    };
    let mut ties = Ties::new();
    for actor in actors {
        let mut known = BTreeSet::new();
        let mut edge = vec![*actor];
        for _ in 0..STEPS_MAX {
            edge = edge.iter().flat_map(up).filter(|it| known.insert(*it)).collect();
        }
        if !known.is_empty() {
            ties.insert(*actor, known);
        }
    }
    ties
}

fn tie_key(account: Address) -> String {
    format!("{TIE_KEY}t/{account:x}")
}

/// The notes under way.
struct Notes<'a> {
    view: &'a ChainView,
    time: u64,
    memos: BTreeMap<String, Memo>,
}

impl Notes<'_> {
    fn known(&self, key: &str) -> Option<&Memo> {
        self.memos.get(key).or_else(|| self.view.memos.get(key)).filter(|it| !it.is_null())
    }

    /// The first tie of an account stays: nobody can take it from another.
    fn note(&mut self, rest: String, memo: Memo) {
        let key = format!("{TIE_KEY}{rest}");
        if self.known(&key).is_none() {
            self.memos.insert(key, memo);
            let date = format!("{TIE_KEY}x/{:016x}/{rest}", self.time);
            self.memos.insert(date, Memo::Bool(true));
        }
    }

    fn tie(&mut self, account: Address, to: &[Address]) {
        let to: Vec<String> = to.iter().map(|it| format!("{it:#x}")).collect();
        self.note(format!("t/{account:x}"), Memo::from(to));
    }

    /// A contract belongs to who made its transaction, to a contract made lately that made it, and to the first
    /// with the same code.
    fn created(&mut self, tx: &Tx, ours: &BTreeSet<Address>) {
        let made = tx.facts.iter().filter_map(|it| match it {
            Fact::Created { contract, creator } => Some((*contract, *creator)),
            _ => None,
        });
        let strange = made.filter(|it| !ours.contains(&it.0) && !ours.contains(&it.1));
        for (contract, creator) in strange.take(CREATED_PER_TX_MAX) {
            let mut to = vec![tx.from];
            if creator != tx.from && self.known(&tie_key(creator)).is_some() {
                to.push(creator);
            }
            to.extend(code_of(tx, contract).and_then(|it| self.family(it, contract)));
            self.tie(contract, &to);
        }
    }

    /// The first contract with this code, if that is another one.
    fn family(&mut self, code: B256, contract: Address) -> Option<Address> {
        let rest = format!("c/{code:x}");
        let first = self.known(&format!("{TIE_KEY}{rest}"));
        let first = first.and_then(|it| Address::deserialize(it).ok());
        if first.is_none() {
            self.note(rest, Memo::from(format!("{contract:#x}")));
        }
        first.filter(|it| *it != contract)
    }

    /// A plain payment to an account that had nothing: its first money.
    fn funded(&mut self, tx: &Tx, ours: &BTreeSet<Address>) {
        let Some(to) = tx.to.filter(|it| *it != tx.from && !ours.contains(it)) else { return };
        let plain = tx.input.is_empty() && !tx.value.is_zero() && tx.tracing.is_evidence();
        let first =
            |it: &cofferdam_core::tx::BalanceChange| it.address == to && it.before.is_zero();
        if plain && tx.diff.balances.iter().any(first) {
            self.tie(to, &[tx.from]);
        }
    }

    /// Forgets what is too old, and the oldest if there are too many.
    fn forget(&mut self) {
        let prefix = format!("{TIE_KEY}x/");
        let oldest = format!("{prefix}{:016x}", self.time.saturating_sub(AGE_MS));
        let dates = || {
            let from = self.view.memos.range(prefix.clone()..);
            from.map(|it| it.0).take_while(|it| it.starts_with(&prefix))
        };
        // Each note has its date.
        let over = match self.view.memos.len() > NOTES_MAX {
            true => dates().count().saturating_sub(NOTES_MAX / 2),
            false => 0,
        };
        let gone = dates().enumerate().take_while(|(at, it)| *at < over || **it < oldest);
        let gone: Vec<String> = gone.take(FORGOTTEN_PER_BLOCK_MAX).map(|it| it.1.clone()).collect();
        for date in gone {
            let rest = date.strip_prefix(&prefix).and_then(|it| it.split_once('/'));
            if let Some((_, rest)) = rest {
                self.memos.insert(format!("{TIE_KEY}{rest}"), Memo::Null);
            }
            self.memos.insert(date, Memo::Null);
        }
    }
}

/// The hash of the code that `tx` gave to `contract`.
fn code_of(tx: &Tx, contract: Address) -> Option<B256> {
    let made = |it: &&cofferdam_core::tx::Frame| it.kind == CallKind::Create && it.to == contract;
    let frame = tx.tracing.is_evidence().then(|| tx.calls().find(made)).flatten()?;
    (frame.output.len() >= CODE_BYTES_MIN).then(|| keccak256(&frame.output))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use alloy_primitives::{Bytes, U256};
    use cofferdam_core::{
        BlockEnv, BlockRef, ChainId, Stage, Timestamp,
        evidence::Tracing,
        tx::{BalanceChange, Frame},
    };

    use super::*;

    const FUNDER: Address = Address::repeat_byte(0xf0);
    const ONE: Address = Address::repeat_byte(0xe1);
    const TWO: Address = Address::repeat_byte(0xe2);

    fn block(number: u64, txs: Vec<Tx>) -> Observation {
        let time = Timestamp::from_secs(12 * number);
        let block =
            BlockRef { chain: ChainId(1), number, hash: B256::ZERO, parent: B256::ZERO, time };
        Observation {
            block,
            env: BlockEnv::default(),
            stage: Stage::Provisional,
            witnesses: 1,
            txs,
            readings: Default::default(),
        }
    }

    fn paid(to: Address, held: u64) -> Tx {
        let balance =
            BalanceChange { address: to, before: U256::from(held), after: U256::from(held + 5) };
        let mut tx = Tx { from: FUNDER, to: Some(to), value: U256::from(5), ..traced() };
        tx.diff.balances.push(balance);
        tx
    }

    fn traced() -> Tx {
        Tx { succeeded: true, tracing: Tracing::Node, ..Tx::default() }
    }

    fn deployed(by: Address, contract: Address, code: usize) -> Tx {
        let frame = Frame {
            parent: None,
            depth: 0,
            kind: CallKind::Create,
            from: by,
            to: contract,
            value: U256::ZERO,
            input: Bytes::new(),
            output: vec![0x5b; code].into(),
            succeeded: true,
            undone: false,
        };
        let facts = vec![Fact::Created { contract, creator: by }];
        Tx { from: by, frames: vec![frame], facts, ..traced() }
    }

    /// A state that took these blocks.
    fn after(blocks: &[Observation]) -> State {
        let plan: Plan = toml::from_str("version = 1\nname = \"x\"").expect("a plan");
        let mut state = State::default();
        for it in blocks {
            let memos = notes(&plan, state.chains.get(&1), it);
            let view = state.chain_mut(ChainId(1));
            for (key, memo) in memos {
                match memo.is_null() {
                    true => view.memos.remove(&key),
                    false => view.memos.insert(key, memo),
                };
            }
        }
        state
    }

    fn tied(state: &State, account: Address) -> Vec<Address> {
        of(state, [account].iter()).into_values().flatten().collect()
    }

    #[test]
    fn a_contract_is_tied_to_its_deployer_and_to_who_funded_him() {
        let contract = Address::repeat_byte(0xc1);
        let state = after(&[
            block(1, vec![paid(ONE, 0), paid(TWO, 0)]),
            block(2, vec![deployed(ONE, contract, 300)]),
        ]);
        assert_eq!(tied(&state, contract), [ONE, FUNDER]);
        assert_eq!(tied(&state, TWO), [FUNDER]);
    }

    #[test]
    fn the_same_code_is_a_family_and_a_stub_is_none() {
        let [a, b, c, d] = [0xc1, 0xc2, 0xc3, 0xc4].map(Address::repeat_byte);
        let state = after(&[block(
            1,
            vec![
                deployed(ONE, a, 300),
                deployed(TWO, b, 300),
                deployed(ONE, c, 45),
                deployed(TWO, d, 45),
            ],
        )]);
        assert_eq!(tied(&state, b), [a, ONE, TWO]);
        assert_eq!(tied(&state, d), [TWO]);
    }

    #[test]
    fn who_had_money_before_and_whom_a_service_paid_is_tied_to_nobody() {
        let service = Tx { nonce: 10_000, ..paid(TWO, 0) };
        let state = after(&[block(1, vec![paid(ONE, 1), service])]);
        assert_eq!(tied(&state, ONE), [] as [Address; 0]);
        assert_eq!(tied(&state, TWO), [] as [Address; 0]);
    }

    #[test]
    fn ties_are_forgotten_after_two_days_and_leave_nothing_behind() {
        let old = block(1, vec![paid(ONE, 0), deployed(TWO, Address::repeat_byte(0xc1), 300)]);
        let state = after(&[old, block(1 + 48 * 300 + 1, vec![])]);
        assert_eq!(state.chains.get(&1).map(|it| it.memos.len()), Some(0));
    }
}
