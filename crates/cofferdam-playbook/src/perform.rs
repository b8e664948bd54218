//! What a step has one of our own commands do, written as an extension of the step.
//!
//! To a foreign engine such a step is a plain `manual` one, and it waits for a person: it degrades
//! safely.
//!
//! **Invariant:** nothing here names an address, a selector, calldata or a sum. An order is the id of
//! an action that the response plan authorises.

use serde::{Deserialize, Serialize};

use crate::json::Node;

/// Identifier of the extension.
pub const EXTENSION: &str = "extension-definition--7b5e1c9a-3f0d-5a84-9c61-2d4e8f0b6a13";

/// One of our commands. Texts may hold `__name__:value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Perform {
    /// Decide and dispatch an order for an action of the plan. Its autonomy there applies.
    Order {
        /// Id of the action.
        action: String,
    },
    /// Read on chain whether an action has its effect.
    Verify {
        /// Id of the action.
        action: String,
    },
    /// Tell people.
    Notify {
        /// Ids of notifiers in the plan; empty means all.
        #[serde(default)]
        to: Vec<String>,
        /// The message.
        message: String,
    },
    /// Ask people to agree.
    Approval {
        /// What they agree to.
        question: String,
        /// How many different people must agree.
        #[serde(default = "one")]
        quorum: u16,
        /// Roles that may agree; empty means anybody.
        #[serde(default)]
        roles: Vec<String>,
    },
    /// Prepare a statement from a template, and publish it once enough people agree.
    Statement {
        /// Name of the template.
        template: String,
        /// For whom.
        audience: String,
        /// How many different people must agree.
        #[serde(default = "two")]
        approvals: u16,
    },
}

fn one() -> u16 {
    1
}

fn two() -> u16 {
    2
}

/// Most people that a step may ask for.
const QUORUM_MAX: u16 = 100;

impl Perform {
    /// Reads the extension.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(crate) fn read(node: &Node) -> Result<Self, String> {
        let read: Self = serde_json::from_value(node.to_serde()).map_err(|it| it.to_string())?;
        match &read {
            Self::Approval { quorum: asked, .. } | Self::Statement { approvals: asked, .. }
                if *asked == 0 || *asked > QUORUM_MAX =>
            {
                Err(format!("1 to {QUORUM_MAX} people can be asked for, not {asked}"))
            }
            _ => Ok(read),
        }
    }

    /// Its texts, in which variables may stand.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Order { action } | Self::Verify { action } => vec![action],
            Self::Notify { to, message } => {
                to.iter().chain(std::iter::once(message)).map(String::as_str).collect()
            }
            Self::Approval { question, .. } => vec![question],
            Self::Statement { template, audience, .. } => vec![template, audience],
        }
    }

    /// The same with every text replaced by what `change` makes of it.
    ///
    /// # Errors
    ///
    /// The first that `change` gives.
    pub fn map<E>(&self, change: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Order { action } => Self::Order { action: change(action)? },
            Self::Verify { action } => Self::Verify { action: change(action)? },
            Self::Notify { to, message } => Self::Notify {
                to: to.iter().map(|it| change(it)).collect::<Result<_, E>>()?,
                message: change(message)?,
            },
            Self::Approval { question, quorum, roles } => Self::Approval {
                question: change(question)?,
                quorum: *quorum,
                roles: roles.clone(),
            },
            Self::Statement { template, audience, approvals } => Self::Statement {
                template: change(template)?,
                audience: change(audience)?,
                approvals: *approvals,
            },
        })
    }
}
