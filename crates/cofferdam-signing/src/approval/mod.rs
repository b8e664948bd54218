//! Approvals: people agree, refuse or veto with their wallets, and anybody can check it afterwards without us.
//!
//! **Invariant:** a vote binds the exact thing it is about: the question, the bytes that would be done, and the rules by
//! which it is counted. Change one of them and no vote counts.

mod answer;
mod tally;

use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use cofferdam_core::{ChainId, Timestamp};
use serde::{Deserialize, Serialize};

pub use answer::{ANSWER_LIFE_MS_MAX, SignedAnswer, variables_hash};
pub use tally::{Export, ExportError, State, Tally, tally};

/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1_000;
/// Most votes of one question.
pub const VOTES_MAX: usize = 1_000;
/// Most roles, persons in all, or keys of a person.
pub const PEOPLE_MAX: usize = 200;

const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId)";
const VOTE_TYPE: &str = "Vote(bytes32 question,bytes32 subject,bytes32 rules,string verdict,string reason,uint64 at,uint64 expires)";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// Its identity.
    pub id: B256,
    /// The chain of the wallets' accounts.
    pub chain: ChainId,
    /// For people: the incident and the action.
    pub text: String,
    /// Hash of exactly what would be done, e.g. the safeTxHash.
    pub subject: B256,
    /// Who asks, by name; may be nobody.
    pub proposer: Option<String>,
    /// Since when, in milliseconds.
    pub opened: Timestamp,
    /// Until when votes count, in milliseconds.
    pub closes: Timestamp,
}

/// By which rules votes count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// Everybody who may vote.
    pub people: Vec<Person>,
    /// Roles with their quorum. One person fills one place in one role.
    pub roles: Vec<Role>,
    /// Least number of persons who approve, whatever the roles say.
    pub persons_min: usize,
    /// Whether the one who asks may not approve.
    pub proposer_excluded: bool,
    /// How many refusals close the question; 0: none do.
    pub denials_max: usize,
    /// How long after the quorum a veto is waited for, in milliseconds.
    pub veto_window_ms: u64,
    /// Whether the plan lets one person alone be enough.
    #[serde(default, skip_serializing_if = "is_false")]
    pub alone: bool,
}

fn is_false(it: &bool) -> bool {
    !*it
}

/// A person with their keys: two keys of one person are one voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their accounts.
    pub keys: Vec<Address>,
    /// Roles they can fill.
    pub roles: Vec<String>,
    /// Whether they may veto.
    pub veto: bool,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// How many of it must approve.
    pub quorum: usize,
}

/// What somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Do it.
    Approve,
    /// Do not, for my part.
    Deny,
    /// It must not be done.
    Veto,
}

impl Verdict {
    /// As it is signed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Veto => "veto",
        }
    }
}

/// A signed vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vote {
    /// What is said.
    pub verdict: Verdict,
    /// Why; a refusal or veto needs one.
    pub reason: String,
    /// When, in milliseconds.
    pub at: Timestamp,
    /// Until when it counts, in milliseconds.
    pub expires: Timestamp,
    /// Who says so.
    pub voter: Address,
    /// EIP-712 signature, `r ‖ s ‖ v`.
    pub signature: alloy_primitives::Bytes,
}

impl Rules {
    /// What a vote binds of them.
    ///
    /// # Errors
    /// Never in practice: every part can be written as JSON.
    pub fn digest(&self) -> Result<B256, serde_json::Error> {
        serde_json::to_vec(self).map(keccak256)
    }

    /// The person of a key.
    pub fn person(&self, key: Address) -> Option<&Person> {
        self.people.iter().find(|it| it.keys.contains(&key))
    }

    /// Whether they can be followed: no key of two persons, no role that nobody has, and one person alone
    /// only where the plan says so.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        let large = self.people.len() > PEOPLE_MAX
            || self.roles.len() > PEOPLE_MAX
            || self.people.iter().any(|it| it.keys.len() > PEOPLE_MAX);
        if large {
            return Err(format!("there are more than {PEOPLE_MAX} people, roles or keys"));
        }
        let mut keys: Vec<Address> = self.people.iter().flat_map(|it| &it.keys).copied().collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        if keys.len() < all {
            return Err("one key belongs to two persons".into());
        }
        if self.persons_min < if self.alone { 1 } else { 2 } {
            return Err("one person alone must not be enough".into());
        }
        if self.persons_min > self.people.len() {
            return Err("more persons must approve than there are".into());
        }
        for role in &self.roles {
            let able = self.people.iter().filter(|it| it.roles.contains(&role.name)).count();
            if able < role.quorum {
                return Err(format!("role {} wants {} of {able}", role.name, role.quorum));
            }
        }
        Ok(())
    }
}

impl Question {
    /// The hash that a voter signs.
    pub fn hash(&self, rules: B256, vote: &Vote) -> B256 {
        let text = |it: &str| keccak256(it);
        let number = |it: u64| B256::from(U256::from(it));
        let domain = [text(DOMAIN_TYPE), text("Cofferdam"), text("1"), number(self.chain.0)];
        let message = [
            text(VOTE_TYPE),
            self.id,
            self.subject,
            rules,
            text(vote.verdict.as_str()),
            text(&vote.reason),
            number(vote.at.0),
            number(vote.expires.0),
        ];
        let (domain, message) = (keccak256(domain.concat()), keccak256(message.concat()));
        keccak256([&[0x19, 0x01], domain.as_slice(), message.as_slice()].concat())
    }

    /// Whether a vote is whole, in time and signed by its voter, who is somebody.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(&self, rules: &Rules, digest: B256, vote: &Vote) -> Result<(), &'static str> {
        if rules.person(vote.voter).is_none() {
            return Err("its voter is nobody the rules name");
        }
        if vote.reason.len() > REASON_BYTES_MAX {
            return Err("its reason is too long");
        }
        if vote.verdict != Verdict::Approve && vote.reason.trim().is_empty() {
            return Err("a refusal needs a reason");
        }
        if vote.at < self.opened || vote.at >= self.closes {
            return Err("it was not given while the question was open");
        }
        if vote.expires <= vote.at {
            return Err("it expired before it was given");
        }
        let signature = Signature::from_raw(&vote.signature).map_err(|_| "it is not signed")?;
        if signature.normalize_s().is_some() {
            return Err("its signature is malleable");
        }
        let signer = signature.recover_address_from_prehash(&self.hash(digest, vote));
        if signer.ok() == Some(vote.voter) {
            Ok(())
        } else {
            Err("it was signed by somebody else, or about something else")
        }
    }
}
