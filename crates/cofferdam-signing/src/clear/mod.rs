//! Clear signing by ERC-7730 descriptors: what a contract's authors say its calls mean.
//!
//! **Invariant:** a descriptor adds text and takes nothing away: whoever shows a [`Clear`] shows the raw arguments beside
//! it, and no flag is raised or dropped because of one. A descriptor that cannot be applied in full is not applied.
//!
//! Source: ERC-7730, schema v2 of the clear-signing registry.

mod describe;
mod format;
mod load;
mod path;
mod tree;
mod typed;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::abi::Function;

pub use describe::Subject;
pub use load::{FILES_MAX, LoadError};
pub use typed::{Member, TypedData};

/// Text for a call or a typed message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clear {
    /// What it wants, e.g. `Repay loan`.
    pub intent: String,
    /// The same as a sentence with its values, if the descriptor has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpolated_intent: Option<String>,
    /// Whose contract it is, as the descriptor says.
    pub owner: String,
    /// Labelled values.
    pub fields: Vec<Field>,
}

/// A labelled value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its label.
    pub label: String,
    /// Its value.
    pub value: Shown,
}

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// Text.
    Text(String),
    /// A call inside of the call.
    Call(Box<Clear>),
}

/// Why a descriptor could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClearError {
    /// A path leads nowhere, or to something of another kind.
    #[error("path `{0}` leads to nothing that can be shown")]
    Path(String),
    /// A parameter is missing or of another kind.
    #[error("format `{format}` cannot use its parameter `{parameter}`")]
    Parameter {
        /// The format.
        format: String,
        /// The parameter.
        parameter: &'static str,
    },
    /// The format is unknown, or the value is not of its kind.
    #[error("format `{0}` cannot show this value")]
    Format(String),
    /// The descriptor says that a value must be another one.
    #[error("`{0}` is not what the descriptor says it must be")]
    MustMatch(String),
    /// More than can be shown.
    #[error("it has more fields, or deeper ones, than can be shown")]
    Many,
    /// The message is not of the types it names.
    #[error("the message is not of its types: {0}")]
    Types(String),
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Token {
    /// Ticker.
    pub symbol: String,
    /// Decimals.
    pub decimals: u8,
}

/// Names that descriptors refer to and do not hold; each comes from whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Tokens by address.
    pub tokens: BTreeMap<Address, Token>,
    /// Names the signer knows.
    pub local: BTreeMap<Address, String>,
    /// Names of the Ethereum Name Service.
    pub ens: BTreeMap<Address, String>,
    /// Names of collections.
    pub collections: BTreeMap<Address, String>,
    /// Times of blocks, in seconds.
    pub blocks: BTreeMap<U256, u64>,
}

/// Descriptors that have been read.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    descriptors: Vec<Descriptor>,
    names: Names,
}

#[derive(Clone, Debug)]
struct Descriptor {
    /// Its file.
    path: String,
    owner: String,
    deployments: Vec<(u64, Address)>,
    /// The whole document, includes merged, for `$.` paths.
    document: Json,
    calls: Vec<(Function, Json)>,
    /// By the encoded type, without spaces.
    messages: Vec<(String, Json)>,
}

impl Registry {
    /// The same descriptors with these names.
    #[must_use]
    pub fn with(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// How many descriptors there are.
    pub fn len(&self) -> usize {
        self.descriptors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }

    /// The file of the descriptor for a contract, if there is one.
    pub fn source(&self, chain: u64, contract: Address) -> Option<&str> {
        self.bound(chain, contract).next().map(|it| it.path.as_str())
    }

    /// The function of this selector that a descriptor knows on this contract.
    pub fn function(&self, chain: u64, to: Address, selector: [u8; 4]) -> Option<Function> {
        self.format(chain, to, selector).map(|it| it.1.clone())
    }

    fn bound(&self, chain: u64, contract: Address) -> impl Iterator<Item = &Descriptor> {
        self.descriptors.iter().filter(move |it| it.deployments.contains(&(chain, contract)))
    }

    fn format(
        &self,
        chain: u64,
        to: Address,
        selector: [u8; 4],
    ) -> Option<(&Descriptor, &Function, &Json)> {
        self.bound(chain, to).find_map(|descriptor| {
            let found = descriptor.calls.iter().find(|it| it.0.selector() == selector)?;
            Some((descriptor, &found.0, &found.1))
        })
    }
}
