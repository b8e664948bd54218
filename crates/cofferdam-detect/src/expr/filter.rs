//! Which events concern a contract.
//!
//! **Invariant:** a log is believed only if a contract of the filter, or a token it trusts, emitted
//! it; a machine's own account of a transfer is always believed.

use alloy_primitives::{Address, Log};
use cofferdam_core::{Fact, Tx};

use super::{
    Int, Signature,
    event::Called,
    facts::{Kind, Whose},
};
use crate::index::touched;

/// The contracts of one instance of a rule, and the tokens whose claims about them are believed.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// Sorted, as numbers.
    accounts: Vec<Int>,
    tokens: Vec<Int>,
}

impl Filter {
    pub(crate) fn new(accounts: &[Address], tokens: &[Address]) -> Self {
        let sorted = |list: &[Address]| {
            let mut list: Vec<Int> = list.iter().copied().map(Int::from).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        Self { accounts: sorted(accounts), tokens: sorted(tokens) }
    }

    /// The contract that `fact`, which is of `kind`, concerns.
    pub(crate) fn of_fact(&self, kind: &Kind, fact: &Fact) -> Option<Address> {
        let mut addresses = kind.addresses(fact);
        let found = match kind.whose {
            Whose::First => addresses.next().filter(|it| self.has(*it)),
            Whose::Any => addresses.find(|it| self.has(*it)),
            Whose::Token => {
                let token = addresses.next()?;
                let own = self.has(token);
                let party = addresses.find(|it| self.has(*it));
                let trusted = own || self.tokens.binary_search(&token).is_ok();
                party.filter(|_| trusted).or(own.then_some(token))
            }
        };
        found.map(Int::address)
    }

    /// The contract that emitted `log`, if the log has this signature.
    pub(crate) fn of_log(&self, signature: &Signed, log: &Log) -> Option<Address> {
        let signed = log.data.topics().first() == Some(&signature.topic);
        (signed && self.has(Int::from(log.address))).then_some(log.address)
    }

    /// The contract called by `call`, if it calls this function.
    pub(crate) fn of_call(&self, signature: &Signed, call: &Called<'_>) -> Option<Address> {
        let signed = call.input.first_chunk::<4>() == Some(&signature.selector);
        (signed && self.has(Int::from(call.to))).then_some(call.to)
    }

    /// The first contract that `tx` touches.
    pub(crate) fn of_tx(&self, tx: &Tx) -> Option<Address> {
        let mut found = None;
        touched(tx, |address| {
            if found.is_none() && self.has(Int::from(address)) {
                found = Some(address);
            }
        });
        found
    }

    fn has(&self, account: Int) -> bool {
        match self.accounts.as_slice() {
            [only] => *only == account,
            many => many.binary_search(&account).is_ok(),
        }
    }
}

/// What a signature hashes to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signed {
    pub(crate) topic: alloy_primitives::B256,
    pub(crate) selector: [u8; 4],
}

impl Signed {
    pub(crate) fn of(signature: &Signature) -> Self {
        Self { topic: signature.topic(), selector: signature.selector() }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use cofferdam_core::Fact;

    use super::{super::facts::kind, Filter};

    const VAULT: Address = Address::with_last_byte(1);
    const TOKEN: Address = Address::with_last_byte(2);
    const FAKE: Address = Address::with_last_byte(3);
    const THIEF: Address = Address::with_last_byte(4);

    fn concerns(token: Address, from: Address, to: Address) -> Option<Address> {
        let fact = Fact::Transfer { token, from, to, amount: U256::from(1) };
        Filter::new(&[VAULT], &[TOKEN]).of_fact(kind("transfer").unwrap(), &fact)
    }

    #[test]
    fn a_transfer_concerns_its_parties_if_the_token_is_trusted() {
        assert_eq!(concerns(TOKEN, VAULT, THIEF), Some(VAULT));
        assert_eq!(concerns(TOKEN, THIEF, VAULT), Some(VAULT));
        assert_eq!(concerns(VAULT, THIEF, THIEF), Some(VAULT));
    }

    #[test]
    fn a_token_that_nobody_trusts_cannot_speak_of_a_contract() {
        assert_eq!(concerns(FAKE, VAULT, THIEF), None);
        assert_eq!(concerns(TOKEN, THIEF, FAKE), None);
    }
}
