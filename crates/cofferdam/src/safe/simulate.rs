//! What a proposed transaction would do, executed here on the node's state with the approvals of the owners supposed.
//!
//! **Invariant:** nothing of the Safe is changed for the simulation but its owners' approvals of this very hash and, for
//! a rung of a ladder, the nonce. Threshold, guard and modules act as they would. Of everything else only the purse of
//! whoever executes is changed, so that the fee can be paid.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, Fact, Tx, decode,
    ports::{AccountState, StateError, StateSource},
};
use cofferdam_observe::rpc::{EndpointPool, RpcState, RpcStates};
use cofferdam_signing::{
    Kind, OwnerSignature, Proposal,
    evidence::{Effect, Outcome, SLOT_NONCE, SLOT_THRESHOLD, SafeState, Simulation},
    exec::exec_transaction,
    signature,
};
use cofferdam_sim::{On, Rules, next_block, simulate_pending};

use super::{Head, Node};

/// Gas of the simulated transaction.
const GAS: u64 = 15_000_000;
/// Somebody who is no owner, and executes all the same.
const STRANGER: Address = Address::repeat_byte(0x57);
/// Wei that whoever executes has besides.
const PURSE: u128 = 1_000_000_000_000_000_000_000;
/// Slot of `approvedHashes`.
const SLOT_APPROVED: u64 = 8;
/// Time limit of one state request.
const STATE_LIMIT: Duration = Duration::from_secs(10);
/// Most effects listed of one simulation.
const EFFECTS_MAX: usize = 200;

/// The transaction in three contexts, or none if the chain's state cannot be had.
pub(super) async fn simulations(
    node: &Node,
    head: &Head,
    proposal: &Proposal,
    state: &SafeState,
) -> Vec<Simulation> {
    let Ok(pool) = EndpointPool::new(head.block.chain, [node.url()]) else { return Vec::new() };
    let Ok(states) = RpcStates::start(&pool, STATE_LIMIT) else { return Vec::new() };
    let source = Supposed {
        state: states.at(head.block),
        safe: proposal.safe,
        hash: proposal.hashes().signed,
        owners: state.owners.clone(),
        nonce: proposal.transaction.nonce,
    };
    let (head, proposal, threshold) = (head.clone(), proposal.clone(), state.threshold);
    // The EVM waits for state.
    let run = tokio::task::spawn_blocking(move || all(&source, &head, &proposal, threshold));
    run.await.unwrap_or_default()
}

fn all(source: &Supposed, head: &Head, proposal: &Proposal, threshold: U256) -> Vec<Simulation> {
    let needed = usize::try_from(threshold).unwrap_or(usize::MAX);
    let mut owners = source.owners.clone();
    owners.sort();
    let approvals: Vec<OwnerSignature> = owners
        .iter()
        .take(needed)
        .map(|it| OwnerSignature { owner: *it, kind: Kind::ApprovedHash })
        .collect();
    let Ok(packed) = signature::pack(&approvals, source.hash) else { return Vec::new() };
    let Ok(input) = exec_transaction(&proposal.transaction, &packed) else { return Vec::new() };
    let (block, env) = next_block(&head.block, &head.env, 12);
    let (later, _) = next_block(&head.block, &head.env, 3_600);
    let other = BlockEnv {
        beneficiary: Address::repeat_byte(0xb1),
        base_fee: env.base_fee.saturating_mul(3),
        prev_randao: Some(keccak256(head.block.hash)),
        ..env.clone()
    };
    let executor = owners.first().copied().unwrap_or_default();
    [
        ("next block", block, env.clone(), executor),
        ("in an hour", later, env, executor),
        ("other builder, fee, sender", block, other, STRANGER),
    ]
    .into_iter()
    .map(|(context, block, env, from)| {
        let (outcome, effects) = one(source, proposal.safe, &input, &block, &env, from);
        Simulation { context: context.into(), outcome, effects }
    })
    .collect()
}

fn one(
    source: &Supposed,
    safe: Address,
    input: &Bytes,
    block: &BlockRef,
    env: &BlockEnv,
    from: Address,
) -> (Outcome, Vec<Effect>) {
    let fee = u128::from(env.base_fee).saturating_mul(2);
    let mut tx = Tx {
        from,
        to: Some(safe),
        input: input.clone(),
        gas_limit: GAS.min(env.gas_limit),
        max_fee_per_gas: fee,
        ..Tx::default()
    };
    tx.envelope.kind = 2;
    let rules = Rules::of(block.chain);
    let on = On { block, env, state: source, rules: &rules };
    let done = match simulate_pending(&tx, on) {
        Ok(it) => it,
        Err(error) => return (Outcome::Incomplete(crate::runtime::chain_of(&error)), Vec::new()),
    };
    if !done.tracing.is_evidence() {
        return (Outcome::Incomplete("state was missing".into()), Vec::new());
    }
    if !done.succeeded {
        return (Outcome::Fails("the transaction reverts".into()), Vec::new());
    }
    let failure = keccak256("ExecutionFailure(bytes32,uint256)");
    let failed = |it: &alloy_primitives::Log| {
        it.address == safe && it.data.topics().first() == Some(&failure)
    };
    if done.logs.iter().any(failed) {
        return (Outcome::Fails("the Safe's call fails".into()), Vec::new());
    }
    (Outcome::Succeeds, effects(&done, safe))
}

fn effects(tx: &Tx, safe: Address) -> Vec<Effect> {
    let mut out = Vec::new();
    let mut others = std::collections::BTreeMap::<Address, u64>::new();
    for change in &tx.diff.storage {
        if change.address != safe {
            *others.entry(change.address).or_default() += 1;
        } else if change.slot != U256::from(SLOT_NONCE) {
            out.push(Effect::SafeStorage {
                slot: change.slot.into(),
                before: change.before.into(),
                after: change.after.into(),
            });
        }
    }
    out.extend(decode::facts(tx).iter().filter_map(|it| of_fact(it, safe)));
    let storage = |(contract, slots)| Effect::Storage { contract, slots };
    out.extend(others.into_iter().map(storage));
    out.truncate(EFFECTS_MAX);
    out
}

fn of_fact(fact: &Fact, safe: Address) -> Option<Effect> {
    let outflow = |token: Address, to: Address, amount: U256| Effect::Outflow { token, to, amount };
    match *fact {
        Fact::Approval { token, owner, spender, amount } if owner == safe && !amount.is_zero() => {
            Some(Effect::Allowance { token, spender })
        }
        Fact::Transfer { token, from, to, amount } if from == safe => {
            Some(outflow(token, to, amount))
        }
        Fact::NftTransfer { token, from, to, id } if from == safe => Some(outflow(token, to, id)),
        Fact::MultiTransfer { token, from, to, amount, .. } if from == safe => {
            Some(outflow(token, to, amount))
        }
        Fact::NativeTransfer { from, to, amount } if from == safe && !amount.is_zero() => {
            Some(outflow(Address::ZERO, to, amount))
        }
        _ => None,
    }
}

/// The chain's state with the owners' approvals.
struct Supposed {
    state: RpcState,
    safe: Address,
    hash: B256,
    owners: Vec<Address>,
    nonce: U256,
}

impl StateSource for Supposed {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        let account = self.state.account(address)?;
        let executes = address == STRANGER || self.owners.iter().min() == Some(&address);
        if !executes {
            return Ok(account);
        }
        let mut account = account.unwrap_or_default();
        account.balance = account.balance.saturating_add(U256::from(PURSE));
        Ok(Some(account))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        if address == self.safe {
            if slot == U256::from(SLOT_NONCE) {
                return Ok(self.nonce);
            }
            let approved = |owner: &Address| approval_slot(*owner, self.hash) == slot;
            if slot > U256::from(SLOT_THRESHOLD) && self.owners.iter().any(approved) {
                return Ok(U256::from(1));
            }
        }
        self.state.storage(address, slot)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.state.block_hash(number)
    }
}

/// `approvedHashes[owner][hash]`.
fn approval_slot(owner: Address, hash: B256) -> U256 {
    let base = B256::from(U256::from(SLOT_APPROVED));
    let outer = keccak256([owner.into_word(), base].concat());
    keccak256([hash, outer].concat()).into()
}
