//! A person's answer to a job of a playbook, signed with their wallet.
//!
//! **Invariant:** it binds the run, the job and everything that is said; nobody can turn it into an answer to anything
//! else.

use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use cofferdam_core::{ChainId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{DOMAIN_TYPE, REASON_BYTES_MAX};

const ANSWER_TYPE: &str = "Answer(bytes32 run,bytes32 job,string role,string failed,bytes32 evidence,bytes32 variables,uint64 at,uint64 expires)";
/// How long an answer may count, in milliseconds.
pub const ANSWER_LIFE_MS_MAX: u64 = 900_000;
/// How far the clock of who signs may be ahead, in milliseconds.
const CLOCK_AHEAD_MS_MAX: u64 = 60_000;

/// A signed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedAnswer {
    /// The chain that the wallet signs for.
    pub chain: ChainId,
    /// The run.
    pub run: B256,
    /// The job.
    pub job: B256,
    /// In which role; empty: in none.
    pub role: String,
    /// Why it failed or is refused; empty: it worked or is agreed to.
    pub failed: String,
    /// Hash of what proves it; zero without.
    pub evidence: B256,
    /// [`variables_hash`] of what it sets.
    pub variables: B256,
    /// When, in milliseconds.
    pub at: Timestamp,
    /// Until when it is taken, in milliseconds.
    pub expires: Timestamp,
    /// Who says so.
    pub signer: Address,
    /// EIP-712 signature, `r ‖ s ‖ v`.
    pub signature: Bytes,
}

/// Keccak-256 of the variables as JSON, names in order.
///
/// # Errors
/// Never in practice: texts can be written as JSON.
pub fn variables_hash(
    variables: &std::collections::BTreeMap<String, String>,
) -> Result<B256, serde_json::Error> {
    serde_json::to_vec(variables).map(keccak256)
}

impl SignedAnswer {
    /// The hash that is signed.
    pub fn hash(&self) -> B256 {
        let text = |it: &str| keccak256(it);
        let number = |it: u64| B256::from(U256::from(it));
        let domain = [text(DOMAIN_TYPE), text("Cofferdam"), text("1"), number(self.chain.0)];
        let message = [
            text(ANSWER_TYPE),
            self.run,
            self.job,
            text(&self.role),
            text(&self.failed),
            self.evidence,
            self.variables,
            number(self.at.0),
            number(self.expires.0),
        ];
        let (domain, message) = (keccak256(domain.concat()), keccak256(message.concat()));
        keccak256([&[0x19, 0x01], domain.as_slice(), message.as_slice()].concat())
    }

    /// Whether it is in time and signed by its signer. Who that is, and what they may say, is for the caller.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(&self, now: Timestamp) -> Result<(), &'static str> {
        if self.failed.len() > REASON_BYTES_MAX {
            return Err("its reason is too long");
        }
        if self.at.0 > now.0.saturating_add(CLOCK_AHEAD_MS_MAX) {
            return Err("it is from the future");
        }
        let life = self.expires.since_ms(self.at);
        if life == 0 || life > ANSWER_LIFE_MS_MAX {
            return Err("it must count for a quarter of an hour at most");
        }
        if now >= self.expires {
            return Err("it has expired");
        }
        let signature = Signature::from_raw(&self.signature).map_err(|_| "it is not signed")?;
        if signature.normalize_s().is_some() {
            return Err("its signature is malleable");
        }
        let signer = signature.recover_address_from_prehash(&self.hash());
        if signer.ok() == Some(self.signer) {
            Ok(())
        } else {
            Err("it was signed by somebody else, or about something else")
        }
    }
}
