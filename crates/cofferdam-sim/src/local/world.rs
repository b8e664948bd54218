//! State after a block of the local chain, immutable and cheap to keep for every block.
//!
//! **Invariant:** a world never changes; a reorganisation picks an older one. Reads walk a bounded
//! number of layers.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use cofferdam_core::ports::{AccountState, StateError, StateSource};
use revm::{primitives::AddressMap, state::AccountInfo};

use crate::overlay::AccountChange;

/// Layers above the merged one; reaching it merges them all.
const LAYERS_MAX: usize = 32;
/// Block hashes that BLOCKHASH can ask for.
const HASHES_MAX: usize = 256;

/// Changes of one block.
pub(crate) type Layer = AddressMap<AccountChange>;

/// State after a block of the local chain.
#[derive(Clone)]
pub struct World {
    base: Arc<dyn StateSource>,
    merged: Arc<AddressMap<Arc<AccountChange>>>,
    /// Newest last.
    layers: Vec<Arc<Layer>>,
    /// The last hashes, newest last.
    hashes: Arc<Vec<(u64, B256)>>,
}

impl World {
    pub(crate) fn new(base: Arc<dyn StateSource>) -> Self {
        Self { base, merged: Arc::default(), layers: Vec::new(), hashes: Arc::default() }
    }

    /// This world with `layer` on top.
    pub(crate) fn with(&self, layer: Layer) -> Self {
        let mut next = self.clone();
        next.layers.push(Arc::new(layer));
        if next.layers.len() > LAYERS_MAX {
            let mut merged = (*next.merged).clone();
            for layer in next.layers.drain(..) {
                for (address, change) in layer.iter() {
                    merge(Arc::make_mut(merged.entry(*address).or_default()), change);
                }
            }
            next.merged = Arc::new(merged);
        }
        next
    }

    /// This world after block `number` with `hash`.
    pub(crate) fn after(mut self, number: u64, hash: B256) -> Self {
        let skip = (self.hashes.len() + 1).saturating_sub(HASHES_MAX);
        let mut hashes: Vec<_> = self.hashes.iter().skip(skip).copied().collect();
        hashes.push((number, hash));
        self.hashes = Arc::new(hashes);
        self
    }

    /// Every layer that knows `address`, newest first.
    fn changes(&self, address: Address) -> impl Iterator<Item = &AccountChange> {
        let newer = self.layers.iter().rev().filter_map(move |it| it.get(&address));
        newer.chain(self.merged.get(&address).map(AsRef::as_ref))
    }
}

impl StateSource for World {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        match self.changes(address).next() {
            None => self.base.account(address),
            Some(change) if !change.known => Err(StateError::Missing),
            Some(change) => Ok(change.info.as_ref().map(state)),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        for change in self.changes(address) {
            if let Some(value) = change.storage.get(&slot) {
                return value.ok_or(StateError::Missing);
            }
            if change.wiped {
                return Ok(U256::ZERO);
            }
        }
        self.base.storage(address, slot)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        match self.hashes.iter().rfind(|it| it.0 == number) {
            Some((_, hash)) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

fn merge(into: &mut AccountChange, change: &AccountChange) {
    if change.wiped {
        into.storage.clear();
        into.wiped = true;
    }
    into.storage.extend(change.storage.iter().map(|(slot, value)| (*slot, *value)));
    (into.info, into.known) = (change.info.clone(), change.known);
}

fn state(info: &AccountInfo) -> AccountState {
    let code = info.code.as_ref().map(|it| it.original_bytes()).unwrap_or_default();
    AccountState { balance: info.balance, nonce: info.nonce, code }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::{Address, U256};
    use cofferdam_core::{
        ports::{StateError, StateSource},
        snapshot::Snapshot,
    };
    use revm::state::AccountInfo;

    use super::{LAYERS_MAX, Layer, World};
    use crate::overlay::AccountChange;

    fn layer(address: Address, slot: u64, value: Option<u64>, wiped: bool) -> Layer {
        let storage = [(U256::from(slot), value.map(U256::from))].into_iter().collect();
        let info = Some(AccountInfo::default());
        Layer::from_iter([(address, AccountChange { info, known: true, wiped, storage })])
    }

    #[test]
    fn older_worlds_stay_readable_and_merging_changes_nothing() {
        let it = Address::repeat_byte(1);
        let mut worlds = vec![World::new(Arc::new(Snapshot::empty()))];
        for n in 0..3 * LAYERS_MAX as u64 {
            let wiped = n == LAYERS_MAX as u64 / 2;
            let next = worlds.last().map(|last| last.with(layer(it, n % 7, Some(n + 1), wiped)));
            worlds.extend(next);
        }
        for (height, world) in worlds.iter().enumerate() {
            for slot in 0..7 {
                let wiped_at = if height > LAYERS_MAX / 2 { LAYERS_MAX as u64 / 2 } else { 0 };
                let last = (wiped_at..height as u64).rev().find(|n| n % 7 == slot);
                let expected = U256::from(last.map_or(0, |n| n + 1));
                let found = world.storage(it, U256::from(slot));
                assert!(found.is_ok_and(|found| found == expected), "{height} {slot}");
            }
        }
    }

    #[test]
    fn an_unknown_value_stays_unknown() {
        let it = Address::repeat_byte(1);
        let world = World::new(Arc::new(Snapshot::empty())).with(layer(it, 3, None, false));
        assert!(matches!(world.storage(it, U256::from(3)), Err(StateError::Missing)));
        assert!(matches!(world.storage(it, U256::from(4)), Ok(U256::ZERO)));
    }
}
