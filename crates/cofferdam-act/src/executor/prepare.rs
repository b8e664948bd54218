//! From an order to exact bytes: picks an authorisation, simulates, and checks the effect.
//!
//! **Invariant:** nothing is sent here, and what comes out succeeded on the head it names: a call
//! that reverts or succeeds without its effect is an error.

use std::fmt;

use alloy::{
    primitives::{Address, B256, Bytes, aliases::U48},
    sol_types::SolCall,
};
use cofferdam_core::{
    BlockRef, ChainId, OrderKey, Timestamp,
    order::{EffectCheck, Order, OrderCall, Prepared},
    ports::{BroadcastError, Broadcaster, Call, Simulated},
    read::{Answer, StateRead},
};

use crate::{
    abi,
    bundle::{Authorisation, Authorisations, Scope},
    revert::Revert,
};

/// Most gas one transaction may have (EIP-7825).
pub const TX_GAS_MAX: u64 = 16_777_216;
/// Most authorisations tried in one preparation.
const TRIES_MAX: usize = 8;
/// An authorisation that expires sooner than this is not sent any more, in seconds.
const EXPIRY_MARGIN_SECS: u64 = 60;

/// What a preparation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// The order can be sent.
    Ready(Ready),
    /// The effect holds already; nothing needs to be sent.
    AlreadyEffective {
        /// The head it was read on.
        on: BlockRef,
    },
}

/// An order that can be sent.
///
/// Its calldata holds authorisation signatures, which whoever reads them could use; until it is handed
/// to a network they are a secret. So this type prints none of it and cannot be serialised; what the
/// journal takes, a [`Prepared`], comes out of a dispatch only.
#[derive(Clone, PartialEq, Eq)]
pub struct Ready {
    pub(super) key: OrderKey,
    pub(super) to: Address,
    pub(super) data: Bytes,
    /// Gas limit: 1.3 times what the simulation used.
    pub gas_limit: u64,
    /// The head it was simulated on.
    pub simulated_on: BlockRef,
    /// Whether every effect check held after the simulation; `None` if the node could not tell.
    pub effect_simulated: Option<bool>,
    /// Relayers that may send it: all for an authorised call, the holders of the role for a direct one.
    pub relayers: Vec<Address>,
    /// Whether the effect held before (a longer pause on top of a shorter one). Then only the
    /// inclusion of our transaction tells that it worked.
    pub held_before: bool,
    /// Last second at which its authorisation can be used, Unix time.
    pub usable_until: Option<u64>,
}

impl Ready {
    /// The order it was prepared for.
    pub fn key(&self) -> OrderKey {
        self.key
    }

    /// The same call for another order.
    #[must_use]
    pub fn for_order(mut self, key: OrderKey) -> Self {
        self.key = key;
        self
    }

    /// What the journal keeps, from the moment on that the network has it.
    pub(super) fn revealed(&self) -> Prepared {
        Prepared {
            key: self.key,
            to: self.to,
            data: self.data.clone(),
            gas_limit: self.gas_limit,
            simulated_on: Some(self.simulated_on),
            effect_simulated: self.effect_simulated,
        }
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("key", &self.key)
            .field("to", &self.to)
            .field("gas_limit", &self.gas_limit)
            .field("simulated_on", &self.simulated_on.number)
            .field("effect_simulated", &self.effect_simulated)
            .field("relayers", &self.relayers)
            .finish_non_exhaustive()
    }
}

/// Why an order cannot be sent now.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The caller mixed chains up.
    #[error("order is for {order}, the network is {network}")]
    WrongChain {
        /// The order's chain.
        order: ChainId,
        /// The network's chain.
        network: ChainId,
    },
    /// The plan does not say how to see the effect.
    #[error("order has no effect check, so its effect could not be verified")]
    NoEffectCheck,
    /// There is no relayer.
    #[error("no relayer is configured for {chain}")]
    NoRelayer {
        /// The chain.
        chain: ChainId,
    },
    /// People must sign.
    #[error("no authorisation can be used: {because}")]
    NoAuthorisation {
        /// What was found, for people.
        because: String,
    },
    /// The call would revert.
    #[error("simulation on block {on} reverts: {revert}", on = on.number)]
    Reverted {
        /// Why.
        revert: Box<Revert>,
        /// The head it was simulated on.
        on: BlockRef,
    },
    /// The call would succeed without having its effect.
    #[error("simulation on block {on} succeeds without the effect of the order", on = on.number)]
    WithoutEffect {
        /// The head it was simulated on.
        on: BlockRef,
    },
    /// No block can hold it.
    #[error("call needs {gas} gas, more than the {TX_GAS_MAX} of one transaction")]
    TooMuchGas {
        /// Gas used in simulation.
        gas: u64,
    },
    /// Trying again, or another endpoint, may succeed.
    #[error("order cannot be simulated")]
    Network(#[from] BroadcastError),
}

/// Prepares `order`: exact calldata, simulated on the head, effect checked after the call.
///
/// # Errors
/// [`PrepareError`].
pub async fn prepare(
    order: &Order,
    authorisations: &Authorisations,
    relayers: &[Address],
    network: &dyn Broadcaster,
    now: Timestamp,
) -> Result<Preparation, PrepareError> {
    let intent = Intent {
        chain: order.chain,
        call: &order.call,
        effect: &order.effect,
        label: order.incident.0,
        now,
    };
    let mut found = intent.prepare(authorisations, relayers, network).await?;
    if let Preparation::Ready(ready) = &mut found {
        ready.key = order.key;
    }
    Ok(found)
}

/// What is to be done, without an order around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intent<'a> {
    pub(crate) chain: ChainId,
    pub(crate) call: &'a OrderCall,
    pub(crate) effect: &'a [EffectCheck],
    /// Incident id for the guardian's event; not signed.
    pub(crate) label: B256,
    pub(crate) now: Timestamp,
}

/// What the contracts say before the call.
pub(crate) struct Before {
    pub(crate) on: BlockRef,
    /// Whether the effect holds; `None` if the network could not tell.
    pub(crate) effective: Option<bool>,
    /// The registered action of a guardian call.
    pub(crate) action: Option<abi::GuardianAction>,
    /// The epoch of the guardian, or of the Safe in the module.
    pub(crate) epoch: Option<u32>,
}

impl Intent<'_> {
    pub(crate) async fn prepare(
        &self,
        authorisations: &Authorisations,
        relayers: &[Address],
        network: &dyn Broadcaster,
    ) -> Result<Preparation, PrepareError> {
        let before = self.before(relayers, network).await?;
        if before.effective == Some(true) && !extends(self.call) {
            return Ok(Preparation::AlreadyEffective { on: before.on });
        }
        let candidates = self.candidates(authorisations, before.epoch)?;
        let mut refusal = None;
        for authorisation in candidates.into_iter().take(TRIES_MAX) {
            match self.attempt(authorisation, relayers, &before, network).await {
                Err(PrepareError::Reverted { revert, on }) if revert.blames_authorisation() => {
                    refusal = Some(PrepareError::Reverted { revert, on });
                }
                Err(PrepareError::Reverted { revert, on })
                    if revert.says_paused() && before.effective == Some(true) =>
                {
                    return Ok(Preparation::AlreadyEffective { on });
                }
                Err(other) => return Err(other),
                Ok(ready) => return Ok(Preparation::Ready(ready)),
            }
        }
        Err(refusal.unwrap_or(PrepareError::NoRelayer { chain: self.chain }))
    }

    /// Reads what holds on the head. A call without data from an account to itself changes nothing,
    /// so what is read after it is the head's state.
    pub(crate) async fn before(
        &self,
        relayers: &[Address],
        network: &dyn Broadcaster,
    ) -> Result<Before, PrepareError> {
        if network.chain() != self.chain {
            let (order, network) = (self.chain, network.chain());
            return Err(PrepareError::WrongChain { order, network });
        }
        if self.effect.is_empty() {
            return Err(PrepareError::NoEffectCheck);
        }
        let from = *relayers.first().ok_or(PrepareError::NoRelayer { chain: self.chain })?;
        let mut then: Vec<_> = self.effect.iter().map(|it| it.read.clone()).collect();
        let effects = then.len();
        then.extend(self.authority_reads());
        let idle = Call { from, to: from, data: Bytes::new(), then };
        let Simulated { on, then, .. } = network.simulate(&idle).await?;
        let (effect, authority) = then.split_at(effects.min(then.len()));
        let mut before =
            Before { on, effective: holds(self.effect, effect), action: None, epoch: None };
        before.epoch = authority.first().and_then(|it| it.word(0)).map(|it| it.saturating_to());
        if let Some(Answer::Bytes(data)) = authority.get(1) {
            let decoded = abi::Guardian::getActionCall::abi_decode_returns(data);
            before.action = decoded.ok();
        }
        Ok(before)
    }

    /// The authorisations that may work, soonest expiry first; `None` stands for needing none.
    fn candidates<'a>(
        &self,
        authorisations: &'a Authorisations,
        epoch: Option<u32>,
    ) -> Result<Vec<Option<&'a Authorisation>>, PrepareError> {
        if let OrderCall::Direct { .. } = self.call {
            return Ok(vec![None]);
        }
        let covering = authorisations.covering(self.chain, self.call);
        let usable = |it: &&&Authorisation| {
            let later = self.now.plus_ms(EXPIRY_MARGIN_SECS * 1_000);
            it.usable(self.now, epoch).and_then(|()| it.usable(later, epoch))
        };
        let good: Vec<_> = covering.iter().filter(|it| usable(it).is_ok()).collect();
        if !good.is_empty() {
            return Ok(good.into_iter().copied().map(Some).collect());
        }
        let because = match covering.last() {
            None => "none covers the call".to_owned(),
            Some(last) => {
                let why = usable(&last).err().map(|it| it.to_string()).unwrap_or_default();
                format!("{} cover the call, of the last one: {why}", covering.len())
            }
        };
        Err(PrepareError::NoAuthorisation { because })
    }

    async fn attempt(
        &self,
        authorisation: Option<&Authorisation>,
        relayers: &[Address],
        before: &Before,
        network: &dyn Broadcaster,
    ) -> Result<Ready, PrepareError> {
        let (to, data) = encode(self.call, authorisation, self.label);
        let then: Vec<_> = self.effect.iter().map(|it| it.read.clone()).collect();
        // Anyone may bring an authorisation; a direct call needs the relayer that holds the role.
        let asked =
            if authorisation.is_some() { &relayers[..1.min(relayers.len())] } else { relayers };
        let mut worked: Vec<(Address, Simulated)> = Vec::new();
        let mut failure = PrepareError::NoRelayer { chain: self.chain };
        for from in asked {
            let call = Call { from: *from, to, data: data.clone(), then: then.clone() };
            let done = network.simulate(&call).await?;
            if !done.succeeded {
                let revert = Box::new(Revert::of(&done.output));
                failure = PrepareError::Reverted { revert, on: done.on };
            } else if holds(self.effect, &done.then) == Some(false) {
                failure = PrepareError::WithoutEffect { on: done.on };
            } else {
                worked.push((*from, done));
            }
        }
        let Some((_, first)) = worked.first() else { return Err(failure) };
        let gas = worked.iter().map(|(_, it)| it.gas_used).max().unwrap_or_default();
        let reserve = before.action.as_ref().map_or(0, |it| it.minGas);
        let direct = authorisation.is_none();
        let holders = worked.iter().map(|(from, _)| *from).collect();
        Ok(Ready {
            key: OrderKey(B256::ZERO),
            to,
            data,
            gas_limit: gas_limit(gas, reserve)?,
            simulated_on: first.on,
            effect_simulated: holds(self.effect, &first.then),
            relayers: if direct { holders } else { relayers.to_vec() },
            held_before: before.effective == Some(true),
            usable_until: authorisation.map(|it| it.deadline),
        })
    }

    fn authority_reads(&self) -> Vec<StateRead> {
        let read = |to: Address, data: Vec<u8>| StateRead::Call { to, data: data.into() };
        match self.call {
            OrderCall::Guardian { guardian, action_id, .. } => vec![
                read(*guardian, abi::Guardian::epochCall {}.abi_encode()),
                read(*guardian, abi::Guardian::getActionCall { id: *action_id }.abi_encode()),
            ],
            OrderCall::SafeModule { module, safe, .. } => {
                vec![read(*module, abi::SafeModule::epochCall { safe: *safe }.abi_encode())]
            }
            OrderCall::Direct { .. } => Vec::new(),
        }
    }
}

/// A tier-1 pause extends one of tier 0, so a pause in force does not make it needless.
pub(super) fn extends(call: &OrderCall) -> bool {
    matches!(call, OrderCall::Guardian { tier, .. } if *tier > 0)
}

/// Whether every check holds; `None` if none fails but one could not be told.
pub(crate) fn holds(effect: &[EffectCheck], answers: &[Answer]) -> Option<bool> {
    let mut all = Some(true);
    for (index, check) in effect.iter().enumerate() {
        match answers.get(index) {
            None | Some(Answer::Unavailable) => all = None,
            Some(answer) if check.holds(answer) => {}
            Some(_) => return Some(false),
        }
    }
    all
}

/// 1.3 times what was used, and for a guardian the gas it wants in reserve before it calls the target
/// (`minGas`, which EIP-150 lets it keep 1/64 of).
fn gas_limit(used: u64, reserve: u32) -> Result<u64, PrepareError> {
    if used > TX_GAS_MAX {
        return Err(PrepareError::TooMuchGas { gas: used });
    }
    let reserve = u64::from(reserve) * 64 / 63;
    Ok((used.saturating_mul(13).div_ceil(10) + reserve).min(TX_GAS_MAX))
}

/// Contract and calldata of `call`.
fn encode(call: &OrderCall, with: Option<&Authorisation>, label: B256) -> (Address, Bytes) {
    let signers = || with.iter().flat_map(|it| &it.signatures).map(|it| it.signer).collect();
    let signatures =
        || with.iter().flat_map(|it| &it.signatures).map(|it| it.signature.clone()).collect();
    let nonce = with.map(|it| it.nonce).unwrap_or_default();
    let deadline = U48::saturating_from(with.map_or(0, |it| it.deadline));
    match call {
        OrderCall::Direct { target, data } => (*target, data.clone()),
        OrderCall::Guardian { guardian, action_id, tier } => {
            let not_before = match with.map(|it| &it.scope) {
                Some(Scope::Guardian { not_before, .. }) => *not_before,
                _ => 0,
            };
            let terms = abi::PauseAuth {
                actionId: *action_id,
                tier: *tier,
                nonce,
                notBefore: U48::saturating_from(not_before),
                deadline,
                epoch: with.map_or(0, |it| it.epoch),
            };
            let call = abi::Guardian::pauseCall {
                a: terms,
                signersAsc: signers(),
                sigs: signatures(),
                incidentId: label,
            };
            (*guardian, call.abi_encode().into())
        }
        OrderCall::SafeModule { module, safe, target, data } => {
            let call = abi::SafeModule::execCall {
                safe: *safe,
                to: *target,
                data: data.clone(),
                nonce,
                deadline,
                signersAsc: signers(),
                sigs: signatures(),
            };
            (*module, call.abi_encode().into())
        }
    }
}
