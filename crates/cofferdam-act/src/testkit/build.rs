//! Building a block: bundles first, then by effective tip, nonces in order. Pure but for the hook.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use cofferdam_core::BlockRef;

use super::{Account, Chain, Mode, PoolTx, Ran};

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Which.
    pub tx: PoolTx,
    /// What it did.
    pub ran: Ran,
    /// What the builder got per gas, in wei.
    pub tip: u128,
}

/// A block of the mock chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its identity.
    pub at: BlockRef,
    /// Its base fee, in wei.
    pub base_fee: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Its transactions, in order.
    pub txs: Vec<Included>,
}

/// A bundle for one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    pub(super) block: u64,
    pub(super) txs: Vec<PoolTx>,
    /// These may revert.
    pub(super) may_revert: Vec<B256>,
}

/// A transaction that only we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Private {
    pub(super) tx: PoolTx,
    pub(super) last_block: u64,
}

/// A block in the making.
pub(super) struct Draft<'a> {
    chain: &'a mut Chain,
    number: u64,
    base_fee: u64,
    pub(super) accounts: BTreeMap<Address, Account>,
    pub(super) gas_used: u64,
    pub(super) txs: Vec<Included>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(chain: &'a mut Chain, number: u64, base_fee: u64) -> Self {
        let accounts = chain.accounts.clone();
        Self { chain, number, base_fee, accounts, gas_used: 0, txs: Vec::new() }
    }

    /// Fills it: bundles by what they pay per gas, then private and public transactions by tip.
    pub(super) fn fill(&mut self) {
        let mut bundles: Vec<Bundle> = self.chain.bundles.clone();
        bundles.retain(|it| it.block == self.number);
        bundles.sort_by_key(|it| std::cmp::Reverse(self.pays(it)));
        bundles.iter().for_each(|it| self.bundle(it));
        let mut waiting: Vec<(PoolTx, bool)> =
            self.chain.pool.iter().map(|it| (it.clone(), false)).collect();
        let alive = self.chain.private.iter().filter(|it| it.last_block >= self.number);
        waiting.extend(alive.map(|it| (it.tx.clone(), true)));
        loop {
            let heads = waiting.iter().enumerate().filter_map(|(index, (tx, private))| {
                self.fits(tx).map(|tip| (tip, std::cmp::Reverse(tx.arrival), index, *private))
            });
            let Some((_, _, index, private)) = heads.max() else { return };
            let (tx, _) = waiting.swap_remove(index);
            // Nobody pays for a private transaction that reverts.
            if private && !self.chain.dry_run(&tx, self.number).succeeded {
                continue;
            }
            self.put(tx);
        }
    }

    /// All of a bundle or nothing; nothing if something in it would revert.
    fn bundle(&mut self, bundle: &Bundle) {
        let mut next: BTreeMap<Address, u64> = BTreeMap::new();
        for tx in &bundle.txs {
            let due = next.get(&tx.from).copied().unwrap_or(self.account(tx.from).nonce);
            let paid = self.account(tx.from).balance >= tx.cost();
            let room = self.gas_used + tx.gas_limit <= self.chain.block_gas;
            let runs = self.chain.dry_run(tx, self.number).succeeded
                || bundle.may_revert.contains(&tx.hash);
            let priced = tx.effective_tip(self.base_fee).is_some();
            if tx.nonce != due || !paid || !room || !runs || !priced {
                return;
            }
            next.insert(tx.from, due + 1);
        }
        bundle.txs.iter().for_each(|it| self.put(it.clone()));
    }

    /// Tip per gas of a whole bundle.
    fn pays(&self, bundle: &Bundle) -> u128 {
        let tip = |it: &PoolTx| it.effective_tip(self.base_fee).unwrap_or_default();
        let gas: u128 = bundle.txs.iter().map(|it| u128::from(it.gas_limit)).sum();
        let paid: u128 =
            bundle.txs.iter().map(|it| tip(it).saturating_mul(u128::from(it.gas_limit))).sum();
        paid / gas.max(1)
    }

    /// The effective tip of `tx`, if it can be next.
    fn fits(&self, tx: &PoolTx) -> Option<u128> {
        let account = self.account(tx.from);
        let due = tx.nonce == account.nonce && account.balance >= tx.cost();
        let room = self.gas_used + tx.gas_limit <= self.chain.block_gas;
        tx.effective_tip(self.base_fee).filter(|_| due && room)
    }

    fn put(&mut self, tx: PoolTx) {
        let ran = self.chain.run(&tx, self.number, Mode::Real);
        let tip = tx.effective_tip(self.base_fee).unwrap_or_default();
        let price = alloy::primitives::U256::from(u128::from(self.base_fee) + tip);
        let account = self.accounts.entry(tx.from).or_default();
        account.nonce += 1;
        let fee = price * alloy::primitives::U256::from(ran.gas_used);
        let value = if ran.succeeded { tx.value } else { Default::default() };
        account.balance = account.balance.saturating_sub(fee).saturating_sub(value);
        if let Some(to) = tx.to {
            let to = self.accounts.entry(to).or_default();
            to.balance = to.balance.saturating_add(value);
        }
        self.gas_used += ran.gas_used;
        self.txs.push(Included { tx, ran, tip });
    }

    fn account(&self, of: Address) -> Account {
        self.accounts.get(&of).copied().unwrap_or_default()
    }
}
