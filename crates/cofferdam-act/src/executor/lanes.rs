//! The state of the relayer lanes, for people and findings.

use alloy::primitives::U256;
use cofferdam_core::AccountId;
use futures_util::future::join_all;

use super::{Executor, Fees, book::Flight, next_base_fee, tally::words};

/// A lane that cannot pay for so many transactions at present fees is low.
const AFFORDS_MIN: u64 = 3;
/// A lane whose oldest transaction waits for so many blocks is stuck.
const STUCK_BLOCKS: u64 = 3;

/// How one lane stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// The relayer.
    pub relayer: AccountId,
    /// The nonce that the next transaction takes; `None` while it is to be read.
    pub next_nonce: Option<u64>,
    /// Transactions that wait for a block.
    pub in_flight: usize,
    /// Blocks since the oldest of them was sent or last replaced.
    pub waiting_blocks: u64,
    /// Balance in wei, if it could be read.
    pub balance: Option<U256>,
    /// How many transactions it can pay for at present fees, if that could be told.
    pub affords: Option<u64>,
    /// What to think of it.
    pub state: LaneState,
    /// Why, for people; empty if ready.
    pub because: String,
}

/// What to think of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaneState {
    /// It can carry an order.
    Ready,
    /// Its transactions are not included; it is replaced and another one joins.
    Stuck,
    /// It must be funded.
    Low,
    /// It could not be looked at.
    Blind,
}

impl Executor {
    /// Looks at every lane: balance, nonce, and what waits. `gas_limit` is that of the dearest action.
    /// A lane that cannot pay is used for orders only if there is no other, until it can again.
    pub async fn lanes(&self, gas_limit: u64) -> Vec<LaneStatus> {
        let price = self.book().head.map(|(_, base_fee)| {
            let next = next_base_fee(base_fee);
            // No budget: what one transaction costs as the policy would have it.
            Fees::choose(self.policy.fees, None, next, gas_limit, U256::MAX)
                .map_or(U256::MAX, |it| it.worst_case(gas_limit))
        });
        join_all((0..self.signers.len()).filter_map(|lane| {
            let relayer = self.account(lane)?;
            Some(self.lane(lane, relayer, price))
        }))
        .await
    }

    async fn lane(&self, lane: usize, relayer: AccountId, price: Option<U256>) -> LaneStatus {
        let told = self.account_of(relayer.address).await;
        let mut book = self.book();
        let height = book.head.map_or(0, |(head, _)| head.number);
        let waiting: Vec<&Flight> =
            book.flights.iter().filter(|it| it.lane == lane && it.live()).collect();
        let in_flight = waiting.len();
        let since = waiting.iter().map(|it| height.saturating_sub(it.at_height)).max();
        let bumps = waiting.iter().map(|it| u64::from(it.bumps)).max().unwrap_or_default();
        // Each replacement was a block in which it was not included.
        let waiting_blocks = since.unwrap_or_default().saturating_add(bumps);
        let mut status = LaneStatus {
            relayer,
            next_nonce: book.next.get(lane).copied().flatten(),
            in_flight,
            waiting_blocks,
            balance: None,
            affords: None,
            state: LaneState::Ready,
            because: String::new(),
        };
        match told {
            Err(error) => {
                status.state = LaneState::Blind;
                status.because = format!("balance cannot be read: {}", words(&error));
            }
            Ok((nonce, balance)) => {
                status.balance = Some(balance);
                status.affords = price.map(|it| (balance / it.max(U256::ONE)).saturating_to());
                let low = status.affords.is_some_and(|it| it < AFFORDS_MIN);
                if let Some(it) = book.low.get_mut(lane) {
                    *it = low;
                }
                // Somebody else used the key: the next order must not take a used nonce.
                if status.next_nonce.is_some_and(|ours| nonce > ours) {
                    book.set_next(lane, nonce);
                    status.next_nonce = book.next.get(lane).copied().flatten();
                }
                status.judge(low, balance);
            }
        }
        status
    }
}

impl LaneStatus {
    fn judge(&mut self, low: bool, balance: U256) {
        if low {
            self.state = LaneState::Low;
            let count = self.affords.unwrap_or_default();
            self.because = format!("balance of {balance} wei pays for {count} transactions");
        } else if self.in_flight > 0 && self.waiting_blocks >= STUCK_BLOCKS {
            self.state = LaneState::Stuck;
            self.because = format!("not included for {} blocks", self.waiting_blocks);
        }
    }
}
