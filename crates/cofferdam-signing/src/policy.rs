//! What governance has laid down about one Safe: names, pins, and actions approved in advance. A reviewed file.
//!
//! **Invariant:** a policy widens what a card accepts only by naming an exact thing: an address, a function of a
//! contract, the bytes of an action. There are no wildcards.

use alloy_primitives::{Address, B256, Bytes, U256};
use cofferdam_core::AccountId;
use serde::{Deserialize, Serialize};

use crate::{
    Operation, SafeVersion,
    abi::{AbiError, Function},
    clear::{Names, Token},
    quantity,
};

/// Most entries of a list.
pub const ENTRIES_MAX: usize = 1_000;

/// The policy of one Safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Policy {
    /// The Safe, as CAIP-10.
    pub safe: AccountId,
    /// Its release.
    pub version: SafeVersion,
    /// The least threshold that governance accepts.
    pub threshold_min: u64,
    /// How old what was read from the chain may be, in seconds.
    #[serde(default = "fifteen_minutes")]
    pub evidence_age_max_seconds: u64,
    /// Names of accounts: owners, modules, guards, handlers, recipients.
    #[serde(default)]
    pub accounts: Vec<Named>,
    /// Contracts with the functions that may be called.
    #[serde(default)]
    pub contracts: Vec<Contract>,
    /// Contracts whose code may run on the Safe's own storage.
    #[serde(default)]
    pub delegates: Vec<Pinned>,
    /// The Safe's own code, where it is not a release of the Safe project at its usual address.
    #[serde(default)]
    pub singletons: Vec<Pinned>,
    /// Tokens, for amounts in the text of descriptors.
    #[serde(default)]
    pub tokens: Vec<Coin>,
    /// Actions approved in advance.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Timelocks and their least delay.
    #[serde(default)]
    pub delays: Vec<Delay>,
}

fn fifteen_minutes() -> u64 {
    900
}

/// A name for an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Named {
    /// For people.
    pub name: String,
    /// The account.
    pub address: Address,
}

/// A contract that may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contract {
    /// For people.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// Signatures with parameters' names.
    pub functions: Vec<String>,
}

/// A contract that is trusted with its code as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pinned {
    /// For people.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// keccak256 of its code.
    pub code_hash: B256,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Coin {
    /// Its ticker.
    pub symbol: String,
    /// Its decimals.
    pub decimals: u8,
    /// Its address.
    pub address: Address,
}

/// An action approved in advance, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Action {
    /// Its name, as in the response plan.
    pub id: String,
    /// The target.
    pub to: Address,
    /// Wei.
    #[serde(default, with = "quantity")]
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
    /// Call or delegatecall.
    #[serde(default)]
    pub operation: Operation,
    /// The day governance approved it, e.g. `2026-09-01`.
    pub approved_on: String,
    /// Hash of the approval (a vote, a document).
    pub approval: B256,
    /// What its target answers once it has worked.
    #[serde(default)]
    pub effect: Option<Effect>,
}

/// How an action is known to have worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Effect {
    /// A view function of the target without parameters, e.g. `paused()`.
    pub read: String,
    /// What it returns then.
    pub result: Bytes,
}

/// A timelock that must not be shortened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Delay {
    /// For people.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// The view function that tells it, in seconds.
    pub read: String,
    /// The least delay, in seconds.
    pub seconds_min: u64,
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A list is too long.
    #[error("the policy has more than {ENTRIES_MAX} {0}")]
    TooMany(&'static str),
    /// A function's signature cannot be read.
    #[error("contract `{contract}` names a function that cannot be read")]
    Function {
        /// The contract's name.
        contract: String,
        /// The cause.
        #[source]
        source: AbiError,
    },
    /// A threshold of 0 or 1 is no multisig.
    #[error("threshold-min is {0}: one key alone must not be enough")]
    Threshold(u64),
    /// Two entries say different things of one address.
    #[error("{0} is named twice")]
    Twice(Address),
}

impl Policy {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn check(&self) -> Result<(), PolicyError> {
        let lists = [
            (self.accounts.len(), "accounts"),
            (self.contracts.len(), "contracts"),
            (self.delegates.len(), "delegates"),
            (self.singletons.len(), "singletons"),
            (self.tokens.len(), "tokens"),
            (self.actions.len(), "actions"),
            (self.delays.len(), "delays"),
        ];
        if let Some((_, name)) = lists.into_iter().find(|it| it.0 > ENTRIES_MAX) {
            return Err(PolicyError::TooMany(name));
        }
        if self.threshold_min < 2 {
            return Err(PolicyError::Threshold(self.threshold_min));
        }
        let mut seen = std::collections::BTreeSet::new();
        let named = self.accounts.iter().map(|it| it.address);
        let contracts = self.contracts.iter().map(|it| it.address);
        let pins = self.delegates.iter().chain(&self.singletons);
        let delegates = pins.map(|it| it.address);
        if let Some(twice) = named.chain(contracts).chain(delegates).find(|it| !seen.insert(*it)) {
            return Err(PolicyError::Twice(twice));
        }
        for contract in &self.contracts {
            for text in &contract.functions {
                Function::parse(text).map_err(|source| PolicyError::Function {
                    contract: contract.name.clone(),
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// The name of an address, if the policy has one.
    pub fn name(&self, address: Address) -> Option<&str> {
        let accounts = self.accounts.iter().map(|it| (it.address, &it.name));
        let contracts = self.contracts.iter().map(|it| (it.address, &it.name));
        let pins = self.delegates.iter().chain(&self.singletons);
        let delegates = pins.map(|it| (it.address, &it.name));
        let delays = self.delays.iter().map(|it| (it.address, &it.name));
        let mut all = accounts.chain(contracts).chain(delegates).chain(delays);
        all.find(|it| it.0 == address).map(|it| it.1.as_str())
    }

    /// Names and tokens for the text of descriptors.
    pub fn names(&self) -> Names {
        let accounts = self.accounts.iter().map(|it| (it.address, it.name.clone()));
        let contracts = self.contracts.iter().map(|it| (it.address, it.name.clone()));
        let token =
            |it: &Coin| (it.address, Token { symbol: it.symbol.clone(), decimals: it.decimals });
        Names {
            tokens: self.tokens.iter().map(token).collect(),
            local: accounts.chain(contracts).collect(),
            ..Names::default()
        }
    }

    /// The function of this selector that may be called on `to`.
    pub fn function(&self, to: Address, selector: [u8; 4]) -> Option<Function> {
        let contract = self.contracts.iter().find(|it| it.address == to)?;
        let functions = contract.functions.iter().filter_map(|it| Function::parse(it).ok());
        functions.into_iter().find(|it| it.selector() == selector)
    }

    /// The action that these bytes are, to the byte.
    pub fn action(
        &self,
        to: Address,
        value: U256,
        data: &[u8],
        operation: Operation,
    ) -> Option<&Action> {
        self.actions.iter().find(|it| {
            it.to == to && it.value == value && *it.data == *data && it.operation == operation
        })
    }
}
