//! The red-flag list as code: everything known to have preceded a stolen Safe, and everything that could not be looked
//! at.
//!
//! **Invariant:** absence of an answer is a refusal. Each check that needs something it was not given says so with the
//! weight of the worst it could have found.

mod calls;
mod chain;
mod effects;

use cofferdam_core::Timestamp;

use crate::{
    Hashes,
    calls::{Node, Reader},
    clear::Registry,
    evidence::Evidence,
    flag::{Flag, Flags},
    policy::Policy,
    proposal::Proposal,
};

/// Everything a transaction is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The proposal.
    pub proposal: &'a Proposal,
    /// What governance laid down.
    pub policy: Option<&'a Policy>,
    /// What the chain says.
    pub evidence: Option<&'a Evidence>,
    /// Descriptors of contracts.
    pub registry: Option<&'a Registry>,
    /// The time.
    pub now: Timestamp,
}

impl<'a> Case<'a> {
    /// The tree of its calls.
    pub fn calls(&self) -> Node {
        let reader = Reader {
            safe: self.proposal.safe,
            chain: self.proposal.chain.0,
            policy: self.policy,
            registry: self.registry,
        };
        reader.read(&self.proposal.transaction)
    }

    /// Its red flags, worst first. `calls` is [`Self::calls`].
    pub fn flags(&self, calls: &Node) -> Vec<Flag> {
        let mut flags = Flags::default();
        self.hashes(&self.proposal.hashes(), &mut flags);
        match self.policy {
            Some(policy) => chain::policy(self, policy, &mut flags),
            None => flags.refuse(
                "no-policy",
                "no policy was given: nothing is known to be allowed, and no name can be trusted",
            ),
        }
        self.refund(&mut flags);
        calls::check(self, calls, &mut flags);
        match self.evidence {
            Some(evidence) => {
                chain::check(self, evidence, &mut flags);
                effects::check(self, evidence, calls, &mut flags);
            }
            None => flags.refuse(
                "no-evidence",
                "the Safe's state was not read: nonce, owners, threshold, guard and modules are unknown, and nothing was simulated",
            ),
        }
        self.provenance(calls, &mut flags);
        flags.finish()
    }

    fn hashes(&self, ours: &Hashes, flags: &mut Flags) {
        let claimed = &self.proposal.claimed;
        let pairs = [
            ("domain hash", claimed.domain, ours.domain),
            ("message hash", claimed.message, ours.message),
            ("safeTxHash", claimed.safe_tx_hash, ours.signed),
        ];
        for (name, claimed, ours) in pairs {
            match claimed {
                None => flags.refuse(
                    "hash-missing",
                    format!("the proposal states no {name}: there is nothing to compare ours with"),
                ),
                Some(it) if it != ours => flags.refuse(
                    "hash-mismatch",
                    format!("the proposal states {name} {it}, its own content gives {ours}"),
                ),
                Some(_) => {}
            }
        }
        if !self.proposal.version.binds_chain() {
            flags.warn(
                "every-chain",
                "before release 1.3.0 signatures hold no chain: they count on every chain where this Safe's address exists",
            );
        }
    }

    fn refund(&self, flags: &mut Flags) {
        let tx = &self.proposal.transaction;
        if tx.has_refund() {
            flags.refuse(
                "gas-refund",
                format!(
                    "the Safe would pay for gas: gasPrice {}, baseGas {}, gasToken {}, refundReceiver {}. That is a payment nobody sees as one; propose with all of them zero",
                    tx.gas_price, tx.base_gas, tx.gas_token, tx.refund_receiver
                ),
            );
        }
        if !tx.safe_tx_gas.is_zero() {
            flags.warn(
                "inner-failure",
                "safeTxGas is set: if the call fails the nonce is used up all the same, without an error",
            );
        }
        flags.note(
            "no-expiry",
            "a Safe signature does not expire: only using the nonce up revokes it",
        );
    }

    fn provenance(&self, calls: &Node, flags: &mut Flags) {
        let provenance = &self.proposal.provenance;
        if provenance.proposer.is_none() {
            flags.warn("no-proposer", "the proposal does not say who proposes it");
        }
        match (&provenance.action, &calls.action) {
            (Some(claimed), Some(actual)) if claimed == actual => {
                if let Some(action) =
                    self.policy.and_then(|it| it.actions.iter().find(|it| it.id == *actual))
                {
                    flags.note(
                        "approved-action",
                        format!(
                            "this equals action {} approved on {} (approval {})",
                            crate::text::plain(&action.id),
                            crate::text::plain(&action.approved_on),
                            action.approval
                        ),
                    );
                }
            }
            (Some(claimed), _) => flags.refuse(
                "not-the-action",
                format!(
                    "the proposal claims to be action {}, and its bytes are not those that were approved",
                    crate::text::plain(claimed)
                ),
            ),
            (None, Some(actual)) => flags.note(
                "approved-action",
                format!("its bytes are those of action {}", crate::text::plain(actual)),
            ),
            (None, None) => flags.note(
                "not-pre-approved",
                "governance has approved no action with these bytes: compare it with the incident",
            ),
        }
    }
}
