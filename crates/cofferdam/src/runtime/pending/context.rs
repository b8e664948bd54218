//! Where a pending transaction is simulated: in the block to come, and once more elsewhere.
//!
//! Code that behaves in a simulation and bites in a block asks who builds the block, when, or at what
//! price (`onchain.md` §3, anti-evasion). Harm in either context counts.
//!
//! **Invariant:** both contexts are blocks that could come: the second one's builder was seen lately, its
//! base fee is one that a block away could have and the transaction pays.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::{Address, B256, keccak256};
use cofferdam_core::{BlockEnv, BlockRef, Tx, ports::StateSource};
use cofferdam_sim::{On, Rules, Surroundings, next_block};

/// Builders remembered.
const BUILDERS_MAX: usize = 16;
/// What used no more gas than this is cheap to repeat.
const CHEAP_GAS: u64 = 1_000_000;

/// Where a pending transaction is simulated.
#[derive(Clone)]
pub struct Ground {
    /// The head.
    pub head: BlockRef,
    /// Its header.
    pub env: BlockEnv,
    /// State at the head.
    pub state: Arc<dyn StateSource>,
    /// The block it is simulated in.
    block: BlockRef,
    /// That block's header.
    next: BlockEnv,
    /// What is told of it with a finding; nothing for the next block.
    context: Option<String>,
}

impl Ground {
    /// The same ground with another view of its state.
    pub(super) fn on_state(&self, state: Arc<dyn StateSource>) -> Self {
        Self { state, ..self.clone() }
    }

    /// The next block, `seconds` after `head`: same builder, same base fee.
    pub fn next(head: BlockRef, env: BlockEnv, state: Arc<dyn StateSource>, seconds: u64) -> Self {
        let (block, next) = next_block(&head, &env, seconds);
        Self { head, env, state, block, next, context: None }
    }

    /// The block after the next one by another builder, with another random number, and the highest
    /// base fee that can follow the head's and that `tx` pays.
    pub(crate) fn elsewhere(&self, builder: Option<Address>, tx: &Tx, seconds: u64) -> Self {
        let mut it = self.clone();
        it.block.number = it.block.number.saturating_add(1);
        it.block.time = it.block.time.plus_ms(seconds.max(1).saturating_mul(1_000));
        let random = keccak256([self.head.hash.as_slice(), b"elsewhere"].concat());
        let unknown = || Address::from_word(random);
        it.next.beneficiary = builder.unwrap_or_else(unknown);
        let paid = u64::try_from(tx.max_fee_per_gas).unwrap_or(u64::MAX);
        let base = self.env.base_fee;
        it.next.base_fee = base.saturating_add(base / 8).min(paid).max(base);
        it.next.prev_randao = it.next.prev_randao.map(|_| B256::from(random));
        it.context = Some(format!(
            "block {} by {}, base fee {} wei, dated {}",
            it.block.number, it.next.beneficiary, it.next.base_fee, it.block.time
        ));
        it
    }

    /// What is told of it with a finding; nothing for the next block.
    pub(crate) fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    pub(super) fn rules(&self) -> Rules {
        Rules::of(self.head.chain)
    }

    pub(super) fn on<'a>(&'a self, rules: &'a Rules) -> On<'a> {
        On { block: &self.block, env: &self.next, state: &*self.state, rules }
    }
}

/// Whether what was harmless is worth a look in another context: it asked what differs there, or a
/// look costs little.
pub(crate) fn worth_repeating(asked: Surroundings, gas_used: u64) -> bool {
    asked.can_tell() || gas_used <= CHEAP_GAS
}

/// Who built the latest blocks, each once, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Builders(VecDeque<Address>);

impl Builders {
    /// `builder` built a block.
    pub(crate) fn note(&mut self, builder: Address) {
        self.0.retain(|it| *it != builder);
        self.0.push_back(builder);
        if self.0.len() > BUILDERS_MAX {
            self.0.pop_front();
        }
    }

    /// The latest other than `than`.
    pub(crate) fn other(&self, than: Address) -> Option<Address> {
        self.0.iter().rfind(|it| **it != than).copied()
    }
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").field("head", &self.head).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::{Address, B256};
    use cofferdam_core::{BlockEnv, BlockRef, ChainId, Timestamp, Tx, snapshot::Snapshot};

    use super::{Builders, CHEAP_GAS, Ground, worth_repeating};

    fn ground(base_fee: u64) -> Ground {
        let (hash, parent) = (B256::repeat_byte(1), B256::ZERO);
        let time = Timestamp::from_secs(1_000);
        let head = BlockRef { chain: ChainId(1), number: 9, hash, parent, time };
        let prev_randao = Some(B256::repeat_byte(7));
        let env = BlockEnv { base_fee, prev_randao, ..BlockEnv::default() };
        Ground::next(head, env, Arc::new(Snapshot::default()), 12)
    }

    #[test]
    fn everything_that_code_could_ask_differs_elsewhere() {
        let next = ground(800);
        assert_eq!((next.block.number, next.block.time), (10, Timestamp::from_secs(1_012)));
        assert_eq!(next.context(), None);
        let builder = Address::repeat_byte(0xb1);
        let rich = Tx { max_fee_per_gas: 5_000, ..Tx::default() };
        let other = next.elsewhere(Some(builder), &rich, 12);
        assert_eq!((other.block.number, other.block.time), (11, Timestamp::from_secs(1_024)));
        assert_eq!((other.next.beneficiary, other.next.base_fee), (builder, 900));
        assert_ne!(other.next.prev_randao, next.next.prev_randao);
        assert!(other.context().is_some_and(|it| it.contains("base fee 900 wei")));
        assert_eq!((other.head, &other.env), (next.head, &next.env), "findings name the head");
        // A chain that tells no second apart still moves on.
        assert!(ground(8).elsewhere(None, &rich, 0).block.time > next.block.time);
    }

    #[test]
    fn the_base_fee_elsewhere_is_one_that_the_transaction_pays() {
        for (paid, base) in [(5_000, 900), (850, 850), (100, 800)] {
            let tx = Tx { max_fee_per_gas: paid, ..Tx::default() };
            assert_eq!(ground(800).elsewhere(None, &tx, 12).next.base_fee, base);
        }
    }

    #[test]
    fn a_builder_seen_lately_is_preferred_to_an_invented_one() {
        let mut builders = Builders::default();
        let address = Address::repeat_byte;
        assert_eq!(builders.other(address(1)), None);
        for it in [1, 2, 3, 2] {
            builders.note(address(it));
        }
        assert_eq!(builders.other(address(2)), Some(address(3)));
        assert_eq!(builders.other(address(9)), Some(address(2)));
        (10..40).for_each(|it| builders.note(address(it)));
        assert_eq!(builders.0.len(), super::BUILDERS_MAX);
    }

    #[test]
    fn dear_code_that_asks_nothing_is_not_repeated() {
        let nothing = Default::default();
        assert!(worth_repeating(nothing, CHEAP_GAS));
        assert!(!worth_repeating(nothing, CHEAP_GAS + 1));
    }
}
