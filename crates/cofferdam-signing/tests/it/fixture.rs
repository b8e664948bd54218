//! A Safe of five owners that may pause a vault, and everything known about it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use cofferdam_core::{AccountId, ChainId, Timestamp};
use cofferdam_signing::{
    Case, Evidence, Flag, Policy, Proposal, Provenance, SafeDomain, SafeTx, SafeVersion, Weight,
    evidence::{Effect, History, Outcome, SafeState, Simulation},
    known::SINGLETONS,
    policy::{Action, Contract, Named},
};

pub(crate) const SAFE: Address = Address::repeat_byte(0x5a);
pub(crate) const VAULT: Address = Address::repeat_byte(0xaa);
pub(crate) const STRANGER: Address = Address::repeat_byte(0xee);
pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

pub(crate) fn owner(index: u8) -> Address {
    Address::with_last_byte(index)
}

/// `pauseFor(7 days)`.
pub(crate) fn pause() -> Bytes {
    let mut data = hex!("f3f449c7").to_vec();
    data.extend(U256::from(604_800).to_be_bytes::<32>());
    data.into()
}

pub(crate) fn policy() -> Policy {
    let named = |name: &str, address| Named { name: name.into(), address };
    Policy {
        safe: AccountId { chain: ChainId(1), address: SAFE },
        version: SafeVersion::V1_4_1,
        threshold_min: 3,
        evidence_age_max_seconds: 900,
        accounts: (1..=5).map(|it| named(&format!("owner {it}"), owner(it))).collect(),
        contracts: vec![Contract {
            name: "vault".into(),
            address: VAULT,
            functions: vec!["pauseFor(uint256 duration)".into()],
        }],
        delegates: Vec::new(),
        singletons: Vec::new(),
        tokens: Vec::new(),
        actions: vec![Action {
            id: "vault/pause".into(),
            to: VAULT,
            value: U256::ZERO,
            data: pause(),
            operation: cofferdam_signing::Operation::Call,
            approved_on: "2026-09-01".into(),
            approval: keccak256("vote 17"),
            effect: None,
        }],
        delays: Vec::new(),
    }
}

pub(crate) fn domain() -> SafeDomain {
    SafeDomain { version: SafeVersion::V1_4_1, chain: ChainId(1), safe: SAFE }
}

pub(crate) fn transaction() -> SafeTx {
    SafeTx { to: VAULT, data: pause(), nonce: U256::from(7), ..SafeTx::default() }
}

pub(crate) fn proposal(transaction: SafeTx) -> Proposal {
    let provenance = Provenance {
        proposer: Some("alice".into()),
        reason: Some("withdrawals exceed deposits".into()),
        incident: Some("INC-1".into()),
        step: Some("contain".into()),
        ..Provenance::default()
    };
    Proposal::new(domain(), transaction, provenance)
}

pub(crate) fn evidence(proposal: &Proposal) -> Evidence {
    let (singleton, _) = SINGLETONS.iter().find(|it| it.1 == SafeVersion::V1_4_1).unwrap();
    let code = keccak256("code");
    let simulation = |context: &str| Simulation {
        context: context.into(),
        outcome: Outcome::Succeeds,
        effects: vec![Effect::Storage { contract: VAULT, slots: 1 }],
    };
    Evidence {
        chain: ChainId(1),
        safe: SAFE,
        block: 23_000_000,
        block_hash: B256::repeat_byte(0xb1),
        time: Timestamp(NOW.0 - 12_000),
        source: "node.example".into(),
        state: SafeState {
            version: "1.4.1".into(),
            singleton: *singleton,
            singleton_code: code,
            owners: (1..=5).map(owner).collect(),
            threshold: U256::from(3),
            nonce: U256::from(7),
            guard: Address::ZERO,
            module_guard: Address::ZERO,
            fallback_handler: Address::ZERO,
            modules: Vec::new(),
        },
        own_hash: Some(proposal.hashes().signed),
        codes: BTreeMap::from([(VAULT, code), (STRANGER, code), (SAFE, code)]),
        delays: BTreeMap::new(),
        history: Some(History { from_block: 22_949_600, changes: Vec::new() }),
        simulations: ["next block", "in an hour", "another builder"].map(simulation).into(),
    }
}

/// Flags of a proposal under the ordinary policy, after `change` has been at the evidence.
pub(crate) fn flags(proposal: &Proposal, change: impl FnOnce(&mut Evidence)) -> Vec<Flag> {
    let (policy, mut evidence) = (policy(), evidence(proposal));
    change(&mut evidence);
    let case = Case {
        proposal,
        policy: Some(&policy),
        evidence: Some(&evidence),
        registry: None,
        now: NOW,
    };
    case.flags(&case.calls())
}

/// Codes of the flags that refuse.
pub(crate) fn refusals(flags: &[Flag]) -> Vec<&str> {
    let refused = flags.iter().filter(|it| it.weight == Weight::Refuse);
    refused.map(|it| it.code.as_str()).collect()
}
