//! Gives the attacker's fresh accounts the tokens that the recorded ones held beforehand.
//!
//! **Invariant:** only slots that a balance of the attacker stands in are written, and only if the token
//! itself then shows at least the balance.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256, b256, hex};
use cofferdam_core::{
    BlockEnv,
    evidence::{MissingRead, Tracing},
    read::{Answer, StateRead},
    snapshot::Snapshot,
};

use super::{Act, Actor};
use crate::{
    SimError,
    machine::{Machine, NotRun},
    simulate::{CALL, On, READ_GAS_MAX, view},
};

/// `Transfer(address,address,uint256)`
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `balanceOf(address)`
const BALANCE_OF: [u8; 4] = hex!("70a08231");

impl Act {
    /// `fork` with the tokens that the attacker's accounts spend in the recording before they get any.
    /// What a token does not show as a balance of theirs is left out.
    ///
    /// # Errors
    /// [`SimError::Unavailable`] if state cannot be read at all.
    pub fn endow(&self, fork: &Snapshot, env: &BlockEnv) -> Result<Snapshot, SimError> {
        let mut endowed = fork.clone();
        for ((token, account), amount) in self.lacking() {
            for (at, slot) in self.places(&endowed, env, token, account)? {
                let mut tried = endowed.clone();
                let mut set = |value| tried.account_mut(at).storage.insert(slot, value);
                set(amount);
                let shown = self.balance(&tried, env, token, account)?;
                if shown.is_zero() {
                    continue;
                }
                if shown < amount {
                    // A token that keeps shares shows them at a rate.
                    let scaled = amount.checked_mul(amount).map(|it| it / shown);
                    let Some(scaled) = scaled.and_then(|it| it.checked_add(U256::from(1u8))) else {
                        continue;
                    };
                    tried.account_mut(at).storage.insert(slot, scaled);
                }
                if self.balance(&tried, env, token, account)? >= amount {
                    endowed = tried;
                    break;
                }
            }
        }
        Ok(endowed)
    }

    /// By token and account of the attacker: the least balance at the start with which every recorded
    /// transfer is covered.
    fn lacking(&self) -> BTreeMap<(Address, Address), U256> {
        let mut lacking = BTreeMap::<(Address, Address), U256>::new();
        let mut owned = BTreeMap::<(Address, Address), U256>::new();
        for log in &self.trace.logs {
            let [TRANSFER, from, to] = log.topics() else { continue };
            let Some(amount) = log.data.data.get(..32).map(U256::from_be_slice) else { continue };
            let (from, to) = (Address::from_word(*from), Address::from_word(*to));
            if self.script.is_attackers(from) {
                let has = owned.entry((log.address, from)).or_default();
                let short = amount.saturating_sub(*has);
                *has = has.saturating_add(short).saturating_sub(amount);
                let so_far = lacking.entry((log.address, from)).or_default();
                *so_far = so_far.saturating_add(short);
            }
            let has = owned.entry((log.address, to)).or_default();
            *has = has.saturating_add(amount);
        }
        lacking.retain(|_, it| !it.is_zero());
        lacking
    }

    /// The slots that `token` reads for the balance of `account` and that no snapshot holds.
    fn places(
        &self,
        state: &Snapshot,
        env: &BlockEnv,
        token: Address,
        account: Address,
    ) -> Result<Vec<(Address, U256)>, SimError> {
        let (state, block) = (self.readable(state, env), self.block(0, 0, None));
        let actor = Actor::strict(Arc::clone(&self.script));
        let mut machine = Machine::with_inspector(actor, &state, &block, env, &self.rules, CALL)?;
        let tx = view(Address::ZERO, token, &balance_of(account), READ_GAS_MAX);
        let missing = match machine.run(&tx) {
            Ok(ran) => ran.missing.tracing(),
            Err(NotRun::Invalid { missing, .. }) => missing.tracing(),
            Err(NotRun::Failed(error)) => return Err(error),
        };
        let Tracing::Incomplete { missing, .. } = missing else { return Ok(Vec::new()) };
        let slots = missing.into_iter().filter_map(|it| match it {
            MissingRead::Slot(at, slot) => Some((at, slot)),
            _ => None,
        });
        Ok(slots.collect())
    }

    fn balance(
        &self,
        state: &Snapshot,
        env: &BlockEnv,
        token: Address,
        account: Address,
    ) -> Result<U256, SimError> {
        let (state, block) = (self.readable(state, env), self.block(0, 0, None));
        let on = On { block: &block, env, state: &state, rules: &self.rules };
        let read = StateRead::Call { to: token, data: balance_of(account) };
        let answers = self.answer_reads(&[read], on)?;
        Ok(answers.first().and_then(|it: &Answer| it.word(0)).unwrap_or_default())
    }

    /// The state of the attack in which view calls are possible.
    fn readable(&self, fork: &Snapshot, env: &BlockEnv) -> Snapshot {
        let mut state = self.state(fork);
        state.add_fresh(Address::ZERO, U256::ZERO, Bytes::new());
        state.add_fresh(env.beneficiary, U256::ZERO, Bytes::new());
        state
    }
}

fn balance_of(account: Address) -> Bytes {
    [&BALANCE_OF[..], account.into_word().as_slice()].concat().into()
}
