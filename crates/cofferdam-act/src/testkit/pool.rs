//! The pool: geth's rules of admission and replacement, with its words. Pure.

use std::collections::BTreeMap;

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{Address, B256, Bytes, U256},
};

use super::Account;

/// Least rise of both caps for a replacement, in per cent (geth `PriceBump`).
const BUMP_PER_CENT: u128 = 10;
/// Most gas of one transaction (EIP-7825).
const TX_GAS_MAX: u64 = 16_777_216;
/// Gas of a transaction that does nothing.
const TX_GAS_MIN: u64 = 21_000;
/// Most transactions in the pool (geth `GlobalSlots`).
const POOL_MAX: usize = 5_120;

/// A transaction as pools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTx {
    /// Its hash.
    pub hash: B256,
    /// Who signed it.
    pub from: Address,
    /// Callee; `None` creates a contract.
    pub to: Option<Address>,
    /// Nonce.
    pub nonce: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// Fee cap per gas, in wei.
    pub max_fee: u128,
    /// Tip cap per gas, in wei.
    pub tip: u128,
    /// Value, in wei.
    pub value: U256,
    /// Calldata.
    pub input: Bytes,
    /// The signed bytes.
    pub raw: Bytes,
    /// Counts arrivals; equal tips go in this order.
    pub arrival: u64,
}

/// Why a transaction is not taken, in geth's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Transactions by sender and nonce.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    txs: BTreeMap<(Address, u64), PoolTx>,
}

impl PoolTx {
    /// Reads signed bytes for `chain`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn read(raw: &Bytes, chain: u64, arrival: u64) -> Result<Self, Refusal> {
        let no = |text: &str| Refusal(text.to_owned());
        let envelope = TxEnvelope::decode_2718_exact(raw.as_ref())
            .map_err(|_| no("rlp: value size exceeds available input length"))?;
        if envelope.chain_id().is_some_and(|it| it != chain) {
            return Err(no("invalid chain id for signer"));
        }
        let hash = envelope.signature_hash();
        let from = envelope.signature().recover_address_from_prehash(&hash);
        let from = from.map_err(|_| no("invalid sender"))?;
        let max_fee = envelope.max_fee_per_gas();
        Ok(Self {
            hash: *envelope.tx_hash(),
            from,
            to: envelope.to(),
            nonce: envelope.nonce(),
            gas_limit: envelope.gas_limit(),
            max_fee,
            tip: envelope.max_priority_fee_per_gas().unwrap_or(max_fee),
            value: envelope.value(),
            input: envelope.input().clone(),
            raw: raw.clone(),
            arrival,
        })
    }

    /// What it leaves to the builder per gas; `None` if it does not pay the base fee.
    pub fn effective_tip(&self, base_fee: u64) -> Option<u128> {
        Some(self.tip.min(self.max_fee.checked_sub(u128::from(base_fee))?))
    }

    /// The most it can cost, in wei.
    pub fn cost(&self) -> U256 {
        U256::from(self.gas_limit) * U256::from(self.max_fee) + self.value
    }

    /// Whether it stands by itself.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn sound(&self, block_gas: u64) -> Result<(), Refusal> {
        let gas = self.gas_limit;
        let no = |text: String| Err(Refusal(text));
        match () {
            () if gas > block_gas => no("exceeds block gas limit".into()),
            () if gas > TX_GAS_MAX => {
                no(format!("transaction gas limit too high (cap: {TX_GAS_MAX}, tx: {gas})"))
            }
            () if gas < TX_GAS_MIN => {
                no(format!("intrinsic gas too low: gas {gas}, minimum needed 21000"))
            }
            () if self.tip > self.max_fee => {
                no("max priority fee per gas higher than max fee per gas".into())
            }
            () => Ok(()),
        }
    }
}

impl Pool {
    /// Takes `tx`, or replaces what stands on its nonce.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn add(&mut self, tx: PoolTx, account: Account, block_gas: u64) -> Result<(), Refusal> {
        let no = |text: String| Err(Refusal(text));
        tx.sound(block_gas)?;
        if self.txs.values().any(|it| it.hash == tx.hash) {
            return no("already known".into());
        }
        if tx.tip == 0 {
            return no("transaction underpriced: gas tip cap 0, minimum needed 1".into());
        }
        let Account { nonce: next, balance } = account;
        if tx.nonce < next {
            return no(format!("nonce too low: next nonce {next}, tx nonce {}", tx.nonce));
        }
        let others = self.of(tx.from).filter(|it| it.nonce != tx.nonce);
        let cost = others.map(PoolTx::cost).fold(tx.cost(), U256::saturating_add);
        if cost > balance {
            let over = cost - balance;
            return no(format!(
                "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {over}"
            ));
        }
        let key = (tx.from, tx.nonce);
        if let Some(old) = self.txs.get(&key) {
            let least = |it: u128| (it * (100 + BUMP_PER_CENT) / 100).max(it + 1);
            if tx.max_fee < least(old.max_fee) || tx.tip < least(old.tip) {
                return no("replacement transaction underpriced".into());
            }
        } else if self.txs.len() >= POOL_MAX {
            return no("txpool is full".into());
        }
        self.txs.insert(key, tx);
        Ok(())
    }

    /// The transaction with this hash.
    pub fn get(&self, hash: B256) -> Option<&PoolTx> {
        self.txs.values().find(|it| it.hash == hash)
    }

    /// All, by sender and nonce. Those above a nonce gap are in it too.
    pub fn iter(&self) -> impl Iterator<Item = &PoolTx> {
        self.txs.values()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.txs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.txs.is_empty()
    }

    /// Forgets a transaction, as pools do under pressure.
    pub fn drop_tx(&mut self, hash: B256) {
        self.txs.retain(|_, it| it.hash != hash);
    }

    /// Forgets what can never be included: nonces below the account's.
    pub(super) fn sweep(&mut self, next: impl Fn(Address) -> u64) {
        self.txs.retain(|(from, nonce), _| *nonce >= next(*from));
    }

    /// Puts back what a reorganisation took out of a block, unless something else stands there.
    pub(super) fn restore(&mut self, tx: PoolTx) {
        self.txs.entry((tx.from, tx.nonce)).or_insert(tx);
    }

    fn of(&self, from: Address) -> impl Iterator<Item = &PoolTx> {
        self.txs.range((from, 0)..=(from, u64::MAX)).map(|(_, it)| it)
    }
}
