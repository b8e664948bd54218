//! How detectors speak: one shape of finding, one table of weights.
//!
//! The weights are expert values for the log-likelihood ratio of a severity, in thousandths of a nat,
//! until a back-test replaces them (`risk.md` §9.2: a detector seen without a false alarm on N windows
//! can claim at most ln(N/3)). A *critical* finding stands just below the default cap of a group:
//! against a prior of 18 nats it makes an attack about as likely as not, and a second group decides.

use alloy_primitives::{Address, map::AddressSet};
use cofferdam_core::{Class, Finding, Severity, Tx, Usd};

use crate::{BuildCx, Context, watch};

/// Cap of a rule's weight in thousandths of a nat.
pub(crate) const LLR_MAX: i32 = 20_000;

/// Groups: findings of one group share a cause.
pub(crate) mod group {
    /// Money left.
    pub(crate) const VALUE: &str = "value";
    /// A price, rate or invariant moved.
    pub(crate) const PRICE: &str = "price";
    /// Control changed hands.
    pub(crate) const CONTROL: &str = "control";
    /// Preparation or manipulation without damage yet.
    pub(crate) const SUSPICION: &str = "suspicion";
    /// Our own defence.
    pub(crate) const DEFENCE: &str = "defence";
}

/// The name under which a configured detector speaks.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    detector: &'static str,
    rule: String,
    ours: AddressSet,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// The transaction to blame, if one is.
    pub(crate) tx: Option<&'a Tx>,
    /// Name of the entity.
    pub(crate) entity: &'a str,
    /// The contract affected.
    pub(crate) subject: Address,
}

/// The weight of a finding of `severity`, in thousandths of a nat.
pub(crate) fn llr(severity: Severity) -> i32 {
    let weight = match severity {
        Severity::Info => 0,
        Severity::Low => 1_500,
        Severity::Medium => 4_000,
        Severity::High => 9_000,
        Severity::Critical => 19_000,
    };
    weight.min(LLR_MAX)
}

impl Voice {
    /// The voice of the rule being built, by the registered name of its detector.
    pub(crate) fn new(detector: &'static str, cx: &BuildCx<'_>) -> Self {
        Self { detector, rule: cx.rule.id.clone(), ours: watch::ours(cx) }
    }

    /// Whether a finding is this rule's.
    pub(crate) fn spoke(&self, finding: &Finding) -> bool {
        finding.rule == self.rule && !finding.is_blind()
    }

    /// Whether the plan names `address` as an account of an entity.
    pub(crate) fn is_ours(&self, address: Address) -> bool {
        self.ours.contains(&address)
    }

    /// A finding without summary, loss and evidence. Our own defence weighs nothing: it is no sign of
    /// an attack.
    pub(crate) fn finding(
        &self,
        cx: &Context<'_>,
        about: About<'_>,
        severity: Severity,
        class: Class,
        group: &str,
    ) -> Finding {
        let block = cx.observation.block;
        let place = about.tx.map_or(block.hash, |it| it.hash);
        let llr_millinats = if class == Class::Defence { 0 } else { llr(severity) };
        Finding {
            id: Finding::id_of(block.chain, &self.rule, place, about.subject),
            detector: self.detector.into(),
            rule: self.rule.clone(),
            entity: about.entity.into(),
            severity,
            class,
            stage: cx.observation.stage,
            block,
            tx: about.tx.map(|it| it.hash),
            subject: about.subject,
            actors: about.tx.map(|it| self.actors(it)).unwrap_or_default(),
            llr_millinats,
            group: group.into(),
            loss: Usd::ZERO,
            summary: String::new(),
            evidence: Vec::new(),
        }
    }

    /// The sender, then what it called or created, without what is ours.
    fn actors(&self, tx: &Tx) -> Vec<Address> {
        let mut actors = vec![tx.from];
        for address in tx.to.into_iter().chain(tx.created) {
            if !actors.contains(&address) && !self.is_ours(address) {
                actors.push(address);
            }
        }
        actors
    }
}
