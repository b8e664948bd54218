//! Setting the stage: balances, code and storage by decree, and transactions without a signature.
//!
//! **Invariant:** decrees change the state after the head and are seen by no source; they vanish with
//! the head in a reorganisation.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    Tx,
    ports::{BroadcastError, StateError, StateSource},
};
use revm::state::AccountInfo;

use super::{Inner, LocalChain, LocalError, shown, world::Layer};
use crate::{
    SimError, code,
    machine::{Leniency, Machine, NotRun},
    overlay::AccountChange,
};

/// A decree is not a transaction of the block.
const LENIENCY: Leniency =
    Leniency { nonce: true, base_fee: true, sender_code: true, funds: false, gas_limit: true };
/// Gas of a setup call.
const SETUP_GAS: u64 = 1 << 36;

/// A transaction without a signature, from whatever address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// Sender.
    pub from: Address,
    /// Callee, `None` for a creation.
    pub to: Option<Address>,
    /// Native value in wei.
    pub value: U256,
    /// Calldata or init code.
    pub input: Bytes,
    /// Gas limit.
    pub gas_limit: u64,
    /// Fee cap in wei per gas; `None` for twice the base fee. The sender pays.
    pub max_fee_per_gas: Option<u128>,
    /// Tip in wei per gas.
    pub max_priority_fee_per_gas: u128,
    /// Nonce; `None` for the next one of the head.
    pub nonce: Option<u64>,
    /// Told to nobody before it is mined.
    pub private: bool,
}

impl Default for Unsigned {
    /// From and to the zero address with a million gas.
    fn default() -> Self {
        Self {
            from: Address::ZERO,
            to: Some(Address::ZERO),
            value: U256::ZERO,
            input: Bytes::new(),
            gas_limit: 1_000_000,
            max_fee_per_gas: None,
            max_priority_fee_per_gas: 0,
            nonce: None,
            private: false,
        }
    }
}

impl LocalChain {
    /// Accepts a transaction into the pool without a signature. Returns its (made-up) hash.
    ///
    /// # Errors
    /// As [`LocalChain::submit`].
    pub fn impersonate(&self, it: Unsigned) -> Result<B256, BroadcastError> {
        let private = it.private;
        let tx = self.lock().unsigned(it)?;
        self.accept(tx, private)
    }

    /// Sets a native balance in wei.
    ///
    /// # Errors
    /// [`LocalError::Sim`] if the account cannot be read.
    pub fn set_balance(&self, address: Address, wei: U256) -> Result<(), LocalError> {
        self.decree(address, |it| {
            it.info.get_or_insert_default().balance = wei;
        })
    }

    /// Adds to a native balance, in wei.
    ///
    /// # Errors
    /// As [`Self::set_balance`].
    pub fn fund(&self, address: Address, wei: U256) -> Result<(), LocalError> {
        self.decree(address, |it| {
            let info = it.info.get_or_insert_default();
            info.balance = info.balance.saturating_add(wei);
        })
    }

    /// Sets a nonce.
    ///
    /// # Errors
    /// As [`Self::set_balance`].
    pub fn set_nonce(&self, address: Address, nonce: u64) -> Result<(), LocalError> {
        self.decree(address, |it| {
            it.info.get_or_insert_default().nonce = nonce;
        })
    }

    /// Sets the code of an account.
    ///
    /// # Errors
    /// As [`Self::set_balance`].
    pub fn set_code(&self, address: Address, bytes: &Bytes) -> Result<(), LocalError> {
        self.decree(address, |it| {
            let info = it.info.get_or_insert_default();
            let (hash, analysed) = code::analysed(bytes);
            (info.code_hash, info.code) = (hash, Some(analysed));
            info.nonce = info.nonce.max(1);
        })
    }

    /// Sets a storage slot.
    ///
    /// # Errors
    /// As [`Self::set_balance`].
    pub fn set_storage(&self, address: Address, slot: U256, value: U256) -> Result<(), LocalError> {
        self.decree(address, |it| {
            it.storage.insert(slot, Some(value));
        })
    }

    /// Runs a creation by `from` outside of any block and for free. Returns the new contract.
    ///
    /// # Errors
    /// [`LocalError::Setup`] if it does not succeed.
    pub fn deploy(&self, from: Address, init_code: Bytes) -> Result<Address, LocalError> {
        let it = Unsigned { from, to: None, input: init_code, ..Unsigned::default() };
        let (_, created) = self.change(|inner| inner.setup(it))?;
        created.ok_or_else(|| LocalError::Setup { what: "nothing was created".to_owned() })
    }

    /// Runs a call by `from` outside of any block and for free. Returns its return data.
    ///
    /// # Errors
    /// [`LocalError::Setup`] if it does not succeed.
    pub fn setup_call(
        &self,
        from: Address,
        to: Address,
        value: U256,
        data: Bytes,
    ) -> Result<Bytes, LocalError> {
        let it = Unsigned { from, to: Some(to), value, input: data, ..Unsigned::default() };
        Ok(self.change(|inner| inner.setup(it))?.0)
    }

    fn decree(
        &self,
        address: Address,
        decree: impl FnOnce(&mut AccountChange),
    ) -> Result<(), LocalError> {
        self.change(|inner| {
            let info = match inner.head().world.account(address) {
                Ok(found) => found,
                Err(StateError::Missing) => None,
                Err(StateError::Unavailable(cause)) => return Err(SimError::Unavailable(cause)),
            };
            let info = info.map(|it| {
                let (hash, analysed) = code::analysed(&it.code);
                AccountInfo::new(it.balance, it.nonce, hash, analysed)
            });
            let mut change = AccountChange { info, known: true, ..AccountChange::default() };
            decree(&mut change);
            inner.lay(Layer::from_iter([(address, change)]));
            Ok(())
        })?;
        Ok(())
    }
}

impl Inner {
    fn unsigned(&self, it: Unsigned) -> Result<Tx, BroadcastError> {
        let nonce = match it.nonce {
            Some(nonce) => nonce,
            None => self.account(it.from)?.0,
        };
        let (_, env) = self.next_block(self.head().seen.block.time.plus_ms(1_000));
        let fee = it.max_fee_per_gas.unwrap_or(u128::from(env.base_fee) * 2);
        let mut tx = Tx {
            from: it.from,
            to: it.to,
            nonce,
            value: it.value,
            input: it.input,
            gas_limit: it.gas_limit,
            max_fee_per_gas: fee.max(it.max_priority_fee_per_gas),
            max_priority_fee_per_gas: it.max_priority_fee_per_gas,
            ..Tx::default()
        };
        tx.envelope.kind = 2;
        let (to, numbers) = (tx.to.unwrap_or_default(), [tx.nonce, tx.gas_limit, self.branch]);
        tx.hash = keccak256(
            [
                tx.from.as_slice(),
                to.as_slice(),
                &tx.value.to_be_bytes::<32>(),
                &numbers.map(u64::to_be_bytes).concat(),
                &tx.max_fee_per_gas.to_be_bytes(),
                &tx.max_priority_fee_per_gas.to_be_bytes(),
                &tx.input,
            ]
            .concat(),
        );
        Ok(tx)
    }

    fn setup(&mut self, it: Unsigned) -> Result<(Bytes, Option<Address>), LocalError> {
        let tx = Tx {
            from: it.from,
            to: it.to,
            value: it.value,
            input: it.input,
            gas_limit: SETUP_GAS,
            ..Tx::default()
        };
        let world = self.head().world.clone();
        let (block, env) = self.next_block(self.head().seen.block.time.plus_ms(1_000));
        let mut machine = Machine::new(&world, &block, &env, &self.config.rules, LENIENCY)?;
        let nonce = world.account(tx.from).ok().flatten().map_or(0, |it| it.nonce);
        match machine.run(&Tx { nonce, ..tx }) {
            Ok(ran) if ran.result.is_success() => {
                let created = ran.result.created_address();
                let output = ran.result.into_output().unwrap_or_default();
                let trusted = ran.missing.is_empty();
                machine.commit(ran.state, trusted);
                let layer = machine.into_changes();
                self.lay(layer);
                Ok((output, created))
            }
            Ok(ran) => Err(LocalError::Setup {
                what: match ran.result.output() {
                    Some(data) => format!("reverted with {}", shown(data)),
                    None => ran.result.to_string(),
                },
            }),
            Err(NotRun::Invalid { reason, .. }) => Err(LocalError::Setup { what: reason }),
            Err(NotRun::Failed(error)) => Err(error.into()),
        }
    }

    /// Puts `layer` onto the state after the head.
    fn lay(&mut self, layer: Layer) {
        if let Some(head) = self.blocks.back_mut() {
            head.world = head.world.with(layer);
        }
    }
}
