//! The mock chain: accounts, pool, bundles, blocks.

use std::{collections::BTreeMap, fmt};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{BlockRef, ChainId, Timestamp};

use super::{
    Block, Included, Pool, PoolTx, Refusal,
    build::{Bundle, Draft, Private},
};

/// Seconds between blocks.
const BLOCK_SECS: u64 = 12;
/// Most transactions of a bundle (Flashbots).
const BUNDLE_TXS_MAX: usize = 100;

/// Nonce and balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The next nonce.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
}

/// What a transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Gas used.
    pub gas_used: u64,
}

/// Whether what a transaction does is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only asked: a builder tries a bundle.
    Dry,
    /// It is in a block.
    Real,
}

/// Runs a transaction in a block of the given number.
pub type Execute = Box<dyn FnMut(&PoolTx, u64, Mode) -> Ran + Send>;

/// The mock chain.
pub struct Chain {
    pub(super) id: ChainId,
    pub(super) accounts: BTreeMap<Address, Account>,
    pub(super) pool: Pool,
    pub(super) bundles: Vec<Bundle>,
    pub(super) private: Vec<Private>,
    pub(super) block_gas: u64,
    first: Block,
    /// Each with the accounts before it.
    blocks: Vec<(Block, BTreeMap<Address, Account>)>,
    execute: Execute,
    arrivals: u64,
    forks: u64,
}

impl Chain {
    /// A chain whose head is block 100 at `time`, with a base fee in wei.
    pub fn new(id: ChainId, base_fee: u64, time: Timestamp) -> Self {
        let parent = keccak256("the block before the first");
        let hash = keccak256("the first block");
        let at = BlockRef { chain: id, number: 100, hash, parent, time };
        let first = Block { at, base_fee, gas_used: 15_000_000, txs: Vec::new() };
        let ordinary = |tx: &PoolTx, _: u64, _: Mode| {
            let gas_used = (tx.gas_limit * 10 / 13).max(21_000);
            Ran { succeeded: true, gas_used }
        };
        Self {
            id,
            accounts: BTreeMap::new(),
            pool: Pool::default(),
            bundles: Vec::new(),
            private: Vec::new(),
            block_gas: 30_000_000,
            first,
            blocks: Vec::new(),
            execute: Box::new(ordinary),
            arrivals: 0,
            forks: 0,
        }
    }

    /// The pool.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// The account of `address`.
    pub fn account(&self, address: Address) -> Account {
        self.accounts.get(&address).copied().unwrap_or_default()
    }

    /// Sets the account of `address`.
    pub fn set_account(&mut self, address: Address, account: Account) {
        self.accounts.insert(address, account);
    }

    /// Replaces what transactions do.
    pub fn set_execute(&mut self, execute: Execute) {
        self.execute = execute;
    }

    /// The last block.
    pub fn head(&self) -> &Block {
        self.blocks.last().map_or(&self.first, |(block, _)| block)
    }

    /// Every block, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        std::iter::once(&self.first).chain(self.blocks.iter().map(|(block, _)| block))
    }

    /// The base fee of the next block (EIP-1559).
    pub fn next_base_fee(&self) -> u64 {
        let head = self.head();
        let (target, base) = (u128::from(self.block_gas / 2), u128::from(head.base_fee));
        let used = u128::from(head.gas_used);
        let delta = base * used.abs_diff(target) / target / 8;
        let next = if used > target { base + delta.max(1) } else { base - delta };
        u64::try_from(next).unwrap_or(u64::MAX)
    }

    /// Where a transaction is included.
    pub fn find(&self, hash: B256) -> Option<(&Block, &Included)> {
        self.blocks().find_map(|block| {
            let found = block.txs.iter().find(|it| it.tx.hash == hash)?;
            Some((block, found))
        })
    }

    /// Takes signed bytes into the pool.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn submit(&mut self, raw: &Bytes) -> Result<B256, Refusal> {
        let tx = self.read(raw)?;
        if self.find(tx.hash).is_some() {
            return Err(Refusal("already known".into()));
        }
        let (hash, account) = (tx.hash, self.account(tx.from));
        self.pool.add(tx, account, self.block_gas)?;
        Ok(hash)
    }

    /// Takes a bundle for `block`. What cannot be in it is told now; whether it is included, never.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn submit_bundle(
        &mut self,
        raws: &[Bytes],
        block: u64,
        may_revert: Vec<B256>,
    ) -> Result<B256, Refusal> {
        if raws.is_empty() || raws.len() > BUNDLE_TXS_MAX {
            return Err(Refusal("bundle must hold 1 to 100 transactions".into()));
        }
        if block <= self.head().at.number {
            return Err(Refusal("block number already passed".into()));
        }
        let txs: Vec<_> = raws.iter().map(|it| self.read(it)).collect::<Result<_, _>>()?;
        txs.iter().try_for_each(|it| it.sound(self.block_gas))?;
        let hashes: Vec<u8> = txs.iter().flat_map(|it| it.hash.0).collect();
        self.bundles.push(Bundle { block, txs, may_revert });
        Ok(keccak256(hashes))
    }

    /// Takes a transaction that nobody else sees, for blocks up to `last_block`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn submit_private(&mut self, raw: &Bytes, last_block: u64) -> Result<B256, Refusal> {
        let tx = self.read(raw)?;
        tx.sound(self.block_gas)?;
        let hash = tx.hash;
        self.private.retain(|it| it.tx.hash != hash);
        self.private.push(Private { tx, last_block });
        Ok(hash)
    }

    /// Builds the next block.
    pub fn mine(&mut self) -> Block {
        let (parent, base_fee) = (self.head().at, self.next_base_fee());
        let number = parent.number + 1;
        let before = self.accounts.clone();
        let mut draft = Draft::new(self, number, base_fee);
        draft.fill();
        let (accounts, gas_used) = (std::mem::take(&mut draft.accounts), draft.gas_used);
        let txs = std::mem::take(&mut draft.txs);
        self.accounts = accounts;
        let seed = [&parent.hash.0[..], &number.to_be_bytes(), &self.forks.to_be_bytes()].concat();
        let (hash, time) = (keccak256(seed), parent.time.plus_ms(BLOCK_SECS * 1_000));
        let at = BlockRef { chain: self.id, number, hash, parent: parent.hash, time };
        let block = Block { at, base_fee, gas_used, txs };
        self.blocks.push((block.clone(), before));
        let accounts = &self.accounts;
        self.pool.sweep(|it| accounts.get(&it).map_or(0, |it| it.nonce));
        self.bundles.retain(|it| it.block > number);
        block
    }

    /// Takes the last `depth` blocks back; their transactions return to the pool. What a hook did
    /// is not undone.
    pub fn reorganise(&mut self, depth: usize) {
        self.forks += 1;
        for _ in 0..depth {
            let Some((block, before)) = self.blocks.pop() else { return };
            self.accounts = before;
            block.txs.into_iter().for_each(|it| self.pool.restore(it.tx));
        }
    }

    pub(super) fn run(&mut self, tx: &PoolTx, number: u64, mode: Mode) -> Ran {
        (self.execute)(tx, number, mode)
    }

    pub(super) fn dry_run(&mut self, tx: &PoolTx, number: u64) -> Ran {
        self.run(tx, number, Mode::Dry)
    }

    fn read(&mut self, raw: &Bytes) -> Result<PoolTx, Refusal> {
        self.arrivals += 1;
        PoolTx::read(raw, self.id.0, self.arrivals)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("id", &self.id)
            .field("head", &self.head().at.number)
            .field("pool", &self.pool.len())
            .finish_non_exhaustive()
    }
}
