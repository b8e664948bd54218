//! One EVM on one overlay: turns our types into revm's and back.
//!
//! **Invariant:** the only place where revm is configured, so that re-execution, simulation, the local
//! chain and re-enactment cannot differ in their rules.

use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, RecoveredAuthority, RecoveredAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use cofferdam_core::{BlockEnv, BlockRef, Tx, ports::StateSource, tx::StateDiff};
use revm::{
    Context, InspectEvm, Inspector, MainBuilder, MainContext, MainnetEvm, SystemCallEvm,
    context::{
        BlockEnv as EvmBlock, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult},
    },
    context_interface::block::BlobExcessGasAndPrice,
    handler::MainnetContext,
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
    state::EvmState,
};

use crate::{
    SimError,
    diff::state_diff,
    heap,
    overlay::{AccountChange, After, Missing, Overlay, Unavailable},
    rules::Rules,
    tracer::{Trace, Tracer},
};

/// Excess blob gas above this is nonsense: it would put the blob fee above 10^19 wei, and the
/// exponential of EIP-4844 out of range.
const EXCESS_BLOB_GAS_MAX: u64 = 150_000_000;

/// Checks to leave out, for simulations that are not transactions of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leniency {
    /// Any nonce will do.
    pub(crate) nonce: bool,
    /// A fee below the base fee will do.
    pub(crate) base_fee: bool,
    /// The sender may be a contract.
    pub(crate) sender_code: bool,
    /// The sender need not be able to pay.
    pub(crate) funds: bool,
    /// The gas limit may exceed the block's and EIP-7825's.
    pub(crate) gas_limit: bool,
}

/// An inspector that builds the call tree.
pub(crate) trait Traces {
    /// The tree of the transaction that just ran.
    fn take(&mut self) -> Trace;

    /// Takes out of `missing` what is absent and rightly zero.
    fn forgive(&self, missing: &mut Missing) {
        let _ = missing;
    }
}

/// What a [`Machine`] can be watched by.
pub(crate) trait Watch<'a>: Inspector<Ctx<'a>, EthInterpreter> + Traces {}

impl<'a, I: Inspector<Ctx<'a>, EthInterpreter> + Traces> Watch<'a> for I {}

impl Traces for Tracer {
    fn take(&mut self) -> Trace {
        Self::take(self)
    }
}

/// The context that the EVM runs in.
pub(crate) type Ctx<'a> = MainnetContext<Overlay<'a>>;

/// An EVM at one block.
pub(crate) struct Machine<'a, I = Tracer> {
    pub(crate) evm: MainnetEvm<Ctx<'a>, I>,
    pub(crate) spec: SpecId,
    beneficiary: Address,
}

/// What running one transaction gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) result: ExecutionResult,
    pub(crate) trace: Trace,
    pub(crate) diff: StateDiff,
    pub(crate) missing: Missing,
    pub(crate) state: EvmState,
}

/// Why a transaction did not run.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It is invalid on this state; `missing` says whether that state was all there.
    Invalid { reason: String, missing: Missing },
    /// Nothing can be said.
    Failed(SimError),
}

impl<'a> Machine<'a> {
    /// An EVM at `block` on `state`.
    pub(crate) fn new(
        state: &'a dyn StateSource,
        block: &BlockRef,
        env: &BlockEnv,
        rules: &Rules,
        leniency: Leniency,
    ) -> Result<Self, SimError> {
        Self::with_inspector(Tracer::default(), state, block, env, rules, leniency)
    }
}

impl<'a, I: Watch<'a>> Machine<'a, I> {
    /// An EVM at `block` on `state`, watched by `inspector`.
    pub(crate) fn with_inspector(
        inspector: I,
        state: &'a dyn StateSource,
        block: &BlockRef,
        env: &BlockEnv,
        rules: &Rules,
        leniency: Leniency,
    ) -> Result<Self, SimError> {
        heap::keep();
        let spec = rules.at(block);
        let mut cfg = CfgEnv::new_with_spec(spec).with_chain_id(block.chain.0);
        let fraction = rules.blob_fraction(block);
        cfg.blob_base_fee_update_fraction = Some(fraction);
        let evm_block = evm_block(block, env, spec, fraction)?;
        let context = Context::mainnet().with_db(Overlay::new(state)).with_block(evm_block);
        let evm = context.with_cfg(cfg).build_mainnet_with_inspector(inspector);
        let mut machine = Self { evm, spec, beneficiary: env.beneficiary };
        machine.relax(leniency);
        Ok(machine)
    }

    /// Leaves out the checks that `leniency` names from now on, and no others.
    pub(crate) fn relax(&mut self, leniency: Leniency) {
        let cfg = &mut self.evm.ctx.cfg;
        cfg.disable_nonce_check = leniency.nonce;
        cfg.disable_base_fee = leniency.base_fee;
        cfg.disable_eip3607 = leniency.sender_code;
        cfg.disable_balance_check = leniency.funds;
        cfg.disable_block_gas_limit = leniency.gas_limit;
        cfg.tx_gas_limit_cap = leniency.gas_limit.then_some(u64::MAX);
    }

    /// The state as the committed transactions left it.
    pub(crate) fn overlay(&mut self) -> &mut Overlay<'a> {
        &mut self.evm.ctx.journaled_state.database
    }

    /// Everything the committed transactions changed.
    pub(crate) fn into_changes(self) -> revm::primitives::AddressMap<AccountChange> {
        self.evm.ctx.journaled_state.database.into_changes()
    }

    /// What the committed transactions left behind.
    pub(crate) fn into_after(self) -> After {
        self.evm.ctx.journaled_state.database.into_after()
    }

    /// Runs `tx` without committing its effects.
    pub(crate) fn run(&mut self, tx: &Tx) -> Result<Ran, NotRun> {
        let chain = self.evm.ctx.cfg.chain_id;
        self.overlay().take_missing();
        let outcome = self.evm.inspect_tx(tx_env(tx, chain));
        let trace = self.evm.inspector.take();
        let mut missing = self.overlay().take_missing();
        self.evm.inspector.forgive(&mut missing);
        match outcome {
            Ok(ran) => {
                let diff = state_diff(self.overlay(), &ran.state);
                Ok(Ran { result: ran.result, trace, diff, missing, state: ran.state })
            }
            Err(EVMError::Transaction(reason)) => {
                Err(NotRun::Invalid { reason: reason.to_string(), missing })
            }
            Err(EVMError::Database(Unavailable(cause))) => {
                Err(NotRun::Failed(SimError::Unavailable(cause)))
            }
            Err(other) => Err(NotRun::Failed(SimError::Unsupported { what: other.to_string() })),
        }
    }

    /// Takes over the effects of a transaction that ran.
    pub(crate) fn commit(&mut self, state: EvmState, trusted: bool) {
        let exempt = self.beneficiary;
        self.overlay().commit(state, trusted, exempt);
    }

    /// The system calls at the start of a block: parent beacon root (EIP-4788) and parent hash
    /// (EIP-2935). A chain without the contracts is left as it is.
    pub(crate) fn begin_block(&mut self, block: &BlockRef, env: &BlockEnv) -> Result<(), SimError> {
        if let Some(root) = env.parent_beacon_root
            && self.spec.is_enabled_in(SpecId::CANCUN)
        {
            self.system_call(alloy_eips::eip4788::BEACON_ROOTS_ADDRESS, root)?;
        }
        if self.spec.is_enabled_in(SpecId::PRAGUE) {
            self.system_call(alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS, block.parent)?;
        }
        Ok(())
    }

    fn system_call(&mut self, to: Address, word: B256) -> Result<(), SimError> {
        match self.evm.system_call(to, Bytes::copy_from_slice(word.as_slice())) {
            Ok(ran) => {
                // What it writes does not depend on what was there before.
                self.overlay().take_missing();
                self.commit(ran.state, true);
                Ok(())
            }
            Err(EVMError::Database(Unavailable(cause))) => Err(SimError::Unavailable(cause)),
            Err(other) => Err(SimError::Unsupported { what: other.to_string() }),
        }
    }
}

impl<I> std::fmt::Debug for Machine<'_, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("spec", &self.spec).finish_non_exhaustive()
    }
}

fn evm_block(
    block: &BlockRef,
    env: &BlockEnv,
    spec: SpecId,
    fraction: u64,
) -> Result<EvmBlock, SimError> {
    let excess = env.excess_blob_gas.unwrap_or_default();
    if excess > EXCESS_BLOB_GAS_MAX {
        return Err(SimError::Unsupported { what: format!("excess blob gas of {excess}") });
    }
    Ok(EvmBlock {
        number: U256::from(block.number),
        beneficiary: env.beneficiary,
        timestamp: U256::from(block.time.0 / 1_000),
        gas_limit: env.gas_limit,
        basefee: env.base_fee,
        difficulty: env.difficulty,
        // After the Merge the EVM insists on a value; a recording without one gets zero.
        prevrandao: match spec.is_enabled_in(SpecId::MERGE) {
            true => Some(env.prev_randao.unwrap_or_default()),
            false => None,
        },
        blob_excess_gas_and_price: spec
            .is_enabled_in(SpecId::CANCUN)
            .then(|| BlobExcessGasAndPrice::new(excess, fraction)),
        slot_num: 0,
    })
}

fn tx_env(tx: &Tx, chain: u64) -> TxEnv {
    let envelope = &tx.envelope;
    let item =
        |it: &(Address, Vec<B256>)| AccessListItem { address: it.0, storage_keys: it.1.clone() };
    let authorization = |it: &cofferdam_core::tx::Authorization| {
        let inner = Authorization { chain_id: it.chain_id, address: it.address, nonce: it.nonce };
        let authority = it.authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
    };
    TxEnv {
        tx_type: envelope.kind,
        caller: tx.from,
        gas_limit: tx.gas_limit,
        gas_price: tx.max_fee_per_gas,
        kind: tx.to.map_or(TxKind::Create, TxKind::Call),
        value: tx.value,
        data: tx.input.clone(),
        nonce: tx.nonce,
        chain_id: Some(chain),
        access_list: AccessList(envelope.access_list.iter().map(item).collect()),
        gas_priority_fee: (envelope.kind >= 2).then_some(tx.max_priority_fee_per_gas),
        blob_hashes: envelope.blob_hashes.clone(),
        max_fee_per_blob_gas: envelope.max_fee_per_blob_gas,
        authorization_list: envelope.authorizations.iter().map(authorization).collect(),
    }
}
