//! Position adapters: which state to ask of a protocol, what the answers mean for its solvency, and what a pause
//! freezes.
//!
//! **Invariant:** pure. An adapter asks ([`Adapter::questions`]) and interprets ([`Adapter::interpret`]); somebody
//! else reads the chain. An answer that is missing or malformed is an error with its question, never a zero.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test should panic"))]

mod abi;
pub mod adapters;
pub mod book;
mod semantics;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use cofferdam_core::read::{Answer, StateRead};

pub use adapters::ADAPTERS;
pub use semantics::{Effect, Semantics};
pub use snapshot::{Backstop, HeldLeg, Holder, Holding, MarginRule, Price, Snapshot};

/// Most rounds of questions.
pub const ROUNDS_MAX: usize = 8;
/// Most reads of one snapshot.
pub const READS_MAX: usize = 20_000;
/// Most entries of any list a contract returns.
pub const LIST_MAX: usize = 2_000;

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The protocol's main contract, as its page says.
    pub contract: Address,
    /// A second contract, where its page asks for one.
    pub helper: Address,
    /// Accounts to read.
    pub holders: Vec<Address>,
    /// Position, account or vault numbers, where its page asks for them.
    pub ids: Vec<U256>,
    /// Prices of tokens that the protocol itself does not price.
    pub prices: BTreeMap<Address, Price>,
    /// Volatility per square-root year that options are valued at until quotes are known.
    pub vol: f64,
    /// Unix seconds of the block.
    pub now: u64,
}

/// What has been answered so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers(BTreeMap<StateRead, Answer>);

impl Answers {
    /// The answer to a question, if it was asked.
    #[must_use]
    pub fn get(&self, read: &StateRead) -> Option<&Answer> {
        self.0.get(read)
    }

    /// Records an answer.
    pub fn insert(&mut self, read: StateRead, answer: Answer) {
        self.0.insert(read, answer);
    }
}

/// One protocol.
pub trait Adapter: Sync {
    /// Its name: lower-case, the name of its file and page.
    fn id(&self) -> &'static str;
    /// One line for the list.
    fn summary(&self) -> &'static str;
    /// Its page.
    fn page(&self) -> &'static str;
    /// What is asked next, given what is known. Questions already answered may be among them.
    ///
    /// # Errors
    /// An answer that cannot be what was asked.
    fn questions(&self, request: &Request, known: &Answers)
    -> Result<Vec<StateRead>, AdapterError>;
    /// What the answers mean.
    ///
    /// # Errors
    /// An answer that is missing or malformed, or amounts out of range.
    fn interpret(&self, request: &Request, known: &Answers) -> Result<Snapshot, AdapterError>;
    /// What each way of pausing freezes.
    fn semantics(&self) -> &'static [Semantics];
}

/// Why a snapshot could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdapterError {
    /// State was not available: ask again, at this block or another source.
    #[error("{what} could not be read")]
    Unavailable {
        /// What was asked.
        what: String,
    },
    /// The contract refused: it is probably not what the request says it is.
    #[error("{what} reverted")]
    Reverted {
        /// What was asked.
        what: String,
    },
    /// The answer is not what the function returns.
    #[error("{what} answered something else: {why}")]
    Malformed {
        /// What was asked.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody told the price of a token.
    #[error("there is no price of {token}")]
    NoPrice {
        /// The token.
        token: Address,
    },
    /// More than a limit allows.
    #[error("{what} are more than {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A model refuses the numbers.
    #[error("numbers cannot be used")]
    Numbers(#[from] cofferdam_risk::RiskError),
}

impl AdapterError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "try another endpoint, or a block it still holds",
            Self::Reverted { .. } | Self::Malformed { .. } => {
                "check the address and that it is the contract the adapter's page names"
            }
            Self::NoPrice { .. } => "add the token to the prices of the request",
            Self::TooMany { .. } => "name fewer holders or positions",
            Self::Numbers(_) => "check decimals and prices of the tokens involved",
        }
    }
}

/// The adapter with this name.
#[must_use]
pub fn adapter(id: &str) -> Option<&'static dyn Adapter> {
    ADAPTERS.iter().copied().find(|a| a.id() == id)
}

/// Asks until the adapter has no more questions, answering each round with `read`, then interprets.
///
/// # Errors
/// As [`Adapter::interpret`]; more than [`ROUNDS_MAX`] rounds or [`READS_MAX`] reads.
pub fn take_snapshot(
    adapter: &dyn Adapter,
    request: &Request,
    mut read: impl FnMut(&[StateRead]) -> Vec<Answer>,
) -> Result<Snapshot, AdapterError> {
    let mut known = Answers::default();
    for _ in 0..ROUNDS_MAX {
        let asked: BTreeSet<StateRead> = adapter
            .questions(request, &known)?
            .into_iter()
            .filter(|q| known.get(q).is_none())
            .collect();
        if asked.is_empty() {
            return adapter.interpret(request, &known);
        }
        if asked.len() + known.0.len() > READS_MAX {
            return Err(AdapterError::TooMany { what: "state reads", limit: READS_MAX });
        }
        let asked: Vec<StateRead> = asked.into_iter().collect();
        let mut answers = read(&asked).into_iter();
        for question in asked {
            known.insert(question, answers.next().unwrap_or(Answer::Unavailable));
        }
    }
    Err(AdapterError::TooMany { what: "rounds of questions", limit: ROUNDS_MAX })
}
