//! Readiness: proves against the head that an action of the plan could be taken right now.
//!
//! **Invariant:** *ready* is only said after the whole call was simulated to its effect; what could
//! not be looked at counts as not ready.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use cofferdam_core::{
    BlockRef, Timestamp,
    order::OrderCall,
    plan::{Action, containment},
    ports::{BroadcastError, Broadcaster, Call},
    read::{Answer, StateRead},
};
use serde::Serialize;

use crate::{
    abi,
    bundle::{Authorisation, Authorisations, rule_id},
    executor::{FeePolicy, Fees, Intent, Preparation, Ready, next_base_fee},
};

/// A relayer must hold so many times what the transaction costs at present fees.
const FUNDED_TIMES: u64 = 3;
/// Authorisations that expire sooner than this are pointed at, in milliseconds: a week.
const EXPIRY_WARN_MS: u64 = 7 * 86_400_000;
/// Signatures looked at per action.
const SIGNERS_CHECKED_MAX: usize = 64;

/// Whether one action could be taken on the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Readiness {
    /// Id of the action in the plan.
    pub action: String,
    /// Whether everything it needs was proved.
    pub ready: bool,
    /// What is missing, in words; empty if ready.
    pub because: Vec<String>,
    /// What was proved, and what to mind soon.
    pub proved: Vec<String>,
    /// The head it was proved on.
    pub on: Option<BlockRef>,
}

/// Proves `action`: the call simulates to its effect on the head, the effect does not hold already,
/// an authorisation is inside its window and epoch with unused nonces and valid signers, charges are
/// left, and a relayer that may send it is funded.
pub async fn prove(
    action: &Action,
    authorisations: &Authorisations,
    relayers: &[Address],
    network: &dyn Broadcaster,
    fees: FeePolicy,
    now: Timestamp,
) -> Readiness {
    let mut it = Readiness {
        action: action.id.clone(),
        ready: false,
        because: Vec::new(),
        proved: Vec::new(),
        on: None,
    };
    let call = containment::order_call(action);
    let effect = containment::effect_checks(action);
    let intent = Intent {
        chain: action.call.chain(),
        call: &call,
        effect: &effect,
        label: Default::default(),
        now,
    };
    match intent.before(relayers, network).await {
        Err(error) => it.lacks(with_cause(&error)),
        Ok(before) => {
            it.on = Some(before.on);
            if before.effective == Some(true) {
                it.lacks("its effect holds already, so it cannot be proved until that is lifted");
            }
            it.guardian(before.action.as_ref(), &call, action);
            it.authorisations(&intent, authorisations, before.epoch, relayers, network).await;
            it.simulation(&intent, authorisations, relayers, network, fees, action).await;
        }
    }
    it.ready = it.because.is_empty();
    it
}

impl Readiness {
    fn lacks(&mut self, what: impl Into<String>) {
        self.because.push(what.into());
    }

    fn has(&mut self, what: impl Into<String>) {
        self.proved.push(what.into());
    }

    /// Registration and charges.
    fn guardian(
        &mut self,
        on_chain: Option<&abi::GuardianAction>,
        call: &OrderCall,
        plan: &Action,
    ) {
        let OrderCall::Guardian { tier, .. } = call else { return };
        let Some(registered) = on_chain else {
            return self.lacks("the guardian's registered action could not be read");
        };
        let quorum = if *tier == 0 { registered.shortQuorum } else { registered.longQuorum };
        if let cofferdam_core::plan::ActionCall::Guardian { target, .. } = &plan.call
            && registered.target != target.address
        {
            let (on_chain, plan) = (registered.target, target.address);
            self.lacks(format!("the guardian would pause {on_chain}, the plan says {plan}"));
        }
        match (quorum, registered.charges) {
            (0, _) => self.lacks(format!("tier {tier} is not registered for the action")),
            (_, 0) => self.lacks("no charge is left; governance must re-arm the action"),
            (quorum, left) => self.has(format!("{left} charges left, {quorum} signatures needed")),
        }
    }

    /// Windows, epoch, nonces, signers.
    async fn authorisations(
        &mut self,
        intent: &Intent<'_>,
        held: &Authorisations,
        epoch: Option<u32>,
        relayers: &[Address],
        network: &dyn Broadcaster,
    ) {
        if matches!(intent.call, OrderCall::Direct { .. }) {
            return;
        }
        let covering = held.covering(intent.chain, intent.call);
        let mut usable = Vec::new();
        for it in &covering {
            match it.usable(intent.now, epoch) {
                Ok(()) => usable.push(*it),
                Err(why) => self.has(format!("to mind: authorisation {}: {why}", it.nonce)),
            }
        }
        let Some(last) = usable.last() else {
            let count = covering.len();
            return self.lacks(format!("none of {count} authorisations can be used now"));
        };
        let until = Timestamp::from_secs(last.deadline);
        if until.since_ms(intent.now) < EXPIRY_WARN_MS {
            self.has(format!("to mind: the last authorisation expires at {until}"));
        }
        match live(&usable, intent, relayers, network).await {
            Ok(0) => {
                self.lacks("every usable authorisation has a burnt nonce or an expired signer")
            }
            Ok(count) => {
                self.has(format!("{count} of {} authorisations can be used", covering.len()))
            }
            Err(Some(error)) => self.lacks(with_cause(&error)),
            // The simulation below still tells whether one works.
            Err(None) => self.has("to mind: nonces and signers could not be read one by one"),
        }
    }

    /// The whole call, and who pays for it.
    async fn simulation(
        &mut self,
        intent: &Intent<'_>,
        held: &Authorisations,
        relayers: &[Address],
        network: &dyn Broadcaster,
        fees: FeePolicy,
        action: &Action,
    ) {
        let ready = match intent.prepare(held, relayers, network).await {
            // Said above already.
            Ok(Preparation::AlreadyEffective { .. }) => return,
            Ok(Preparation::Ready(ready)) => ready,
            Err(error) => return self.lacks(with_cause(&error)),
        };
        let gas = ready.gas_limit;
        match ready.effect_simulated {
            Some(true) => self.has(format!("the call simulates to its effect, gas limit {gas}")),
            _ => self.lacks("the call succeeds, but the network cannot tell its effect"),
        }
        let rules = matches!(intent.call, OrderCall::SafeModule { .. });
        if rules {
            self.safe_rule(intent, relayers, network).await;
        }
        self.funding(&ready, network, fees, action).await;
    }

    async fn funding(
        &mut self,
        ready: &Ready,
        network: &dyn Broadcaster,
        fees: FeePolicy,
        action: &Action,
    ) {
        let gas = ready.gas_limit;
        let base_fee = match network.head().await {
            Ok((_, base_fee)) => next_base_fee(base_fee),
            Err(error) => return self.lacks(with_cause(&error)),
        };
        let price = match Fees::choose(fees, None, base_fee, gas, action.fee_budget.0) {
            Ok(price) => price,
            Err(error) => return self.lacks(error.to_string()),
        };
        let needed = price.worst_case(gas).saturating_mul(U256::from(FUNDED_TIMES));
        let mut funded = 0usize;
        for relayer in &ready.relayers {
            match network.account(*relayer).await {
                Ok((_, balance)) if balance >= needed => funded += 1,
                Ok((_, balance)) => {
                    self.has(format!("to mind: relayer {relayer} holds {balance} of {needed} wei"));
                }
                Err(error) => {
                    self.has(format!("to mind: relayer {relayer}: {}", with_cause(&error)))
                }
            }
        }
        match funded {
            0 => self.lacks(format!("no relayer holds the {needed} wei that three attempts cost")),
            count => self.has(format!("{count} of {} relayers funded", ready.relayers.len())),
        }
    }

    /// Charges and expiry of the Safe's rule.
    async fn safe_rule(
        &mut self,
        intent: &Intent<'_>,
        relayers: &[Address],
        network: &dyn Broadcaster,
    ) {
        let OrderCall::SafeModule { module, safe, target, data } = intent.call else { return };
        let rule = rule_id(*target, data);
        let call = abi::SafeModule::rulesCall { safe: *safe, ruleId: rule };
        let read = StateRead::Call { to: *module, data: call.abi_encode().into() };
        let answers = read_head(vec![read], relayers, network).await;
        let Ok(Some(Answer::Bytes(bytes))) = answers.map(|it| it.into_iter().next()) else {
            return;
        };
        if let Ok(rule) = abi::SafeModule::rulesCall::abi_decode_returns(&bytes) {
            let ends = Timestamp::from_secs(rule.expiresAt.saturating_to());
            self.has(format!("{} charges left, the Safe's rule ends at {ends}", rule.charges));
        }
    }
}

/// How many of `usable` have unused nonces and, on a guardian, signers that have not expired;
/// `Err(None)` if the network cannot tell.
async fn live(
    usable: &[&Authorisation],
    intent: &Intent<'_>,
    relayers: &[Address],
    network: &dyn Broadcaster,
) -> Result<usize, Option<BroadcastError>> {
    let mut reads = Vec::new();
    let mut owners = Vec::new();
    for (index, it) in usable.iter().enumerate() {
        for signer in it.signatures.iter().map(|it| it.signer) {
            for (to, data, kind) in signer_reads(intent.call, it, signer) {
                reads.push(StateRead::Call { to, data });
                owners.push((index, kind));
            }
        }
        if reads.len() >= SIGNERS_CHECKED_MAX {
            break;
        }
    }
    let answers = read_head(reads, relayers, network).await.map_err(Some)?;
    let mut dead = vec![false; usable.len()];
    let mut checked = vec![false; usable.len()];
    for ((index, kind), answer) in owners.into_iter().zip(answers) {
        let word = answer.word(0).ok_or(None)?;
        let bad = match kind {
            Kind::NonceUsed => !word.is_zero(),
            Kind::SignerExpiry => Timestamp::from_secs(word.saturating_to()) < intent.now,
        };
        checked[index] = true;
        dead[index] |= bad;
    }
    Ok(checked.iter().zip(&dead).filter(|(checked, dead)| **checked && !**dead).count())
}

enum Kind {
    NonceUsed,
    SignerExpiry,
}

fn signer_reads(
    call: &OrderCall,
    it: &Authorisation,
    signer: Address,
) -> Vec<(Address, Bytes, Kind)> {
    let nonce = it.nonce;
    match call {
        OrderCall::Guardian { guardian, .. } => {
            let used = abi::Guardian::nonceUsedCall { signer, nonce }.abi_encode();
            let expiry = abi::Guardian::signerExpiryCall { signer }.abi_encode();
            vec![
                (*guardian, used.into(), Kind::NonceUsed),
                (*guardian, expiry.into(), Kind::SignerExpiry),
            ]
        }
        OrderCall::SafeModule { module, safe, .. } => {
            let used = abi::SafeModule::nonceUsedCall { safe: *safe, signer, nonce }.abi_encode();
            vec![(*module, used.into(), Kind::NonceUsed)]
        }
        OrderCall::Direct { .. } => Vec::new(),
    }
}

async fn read_head(
    then: Vec<StateRead>,
    relayers: &[Address],
    network: &dyn Broadcaster,
) -> Result<Vec<Answer>, BroadcastError> {
    let from = relayers.first().copied().unwrap_or_default();
    let idle = Call { from, to: from, data: Bytes::new(), then };
    Ok(network.simulate(&idle).await?.then)
}

fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        text = format!("{text}: {it}");
        cause = it.source();
    }
    text
}
