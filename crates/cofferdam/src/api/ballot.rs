//! What an order asks of people, and what their wallets sign.
//!
//! **Invariant:** the question of an order is a function of the order and the plan. Whoever signs it signs exactly what
//! would be done, and by which rules it is counted.

use alloy_primitives::{B256, keccak256};
use cofferdam_core::{
    ChainId, Timestamp,
    order::Order,
    plan::{Action, Plan, SIGNER},
};
use cofferdam_signing::approval::{Person, Question, Role, Rules, Verdict};
use serde_json::{Value, json};

use super::{ApiError, Fault};

/// The rules by which orders for `action` are released.
pub(crate) fn rules(plan: &Plan, action: &Action) -> Rules {
    let roles: Vec<Role> = match action.quorum.is_empty() {
        true => vec![Role { name: SIGNER.to_owned(), quorum: action.approvals.max(1).into() }],
        false => {
            let role = |it: &cofferdam_core::plan::Quorum| Role {
                name: it.role.clone(),
                quorum: it.count.into(),
            };
            action.quorum.iter().map(role).collect()
        }
    };
    let counts = |it: &&cofferdam_core::plan::Person| {
        !it.accounts.is_empty() && (it.veto || roles.iter().any(|role| it.has(&role.name)))
    };
    let people = plan.people.iter().filter(counts).map(|it| {
        let mut keys: Vec<_> = it.accounts.iter().map(|it| it.address).collect();
        keys.sort();
        keys.dedup();
        Person { name: it.id.clone(), keys, roles: it.roles.clone(), veto: it.veto }
    });
    let persons_min = usize::from(action.approvals.max(1));
    Rules {
        people: people.collect(),
        roles,
        persons_min,
        proposer_excluded: false,
        denials_max: 0,
        // The plan's own veto window runs in the engine.
        veto_window_ms: 0,
        alone: persons_min == 1,
    }
}

/// What an order asks of people whose wallets are on `chain`.
///
/// # Errors
/// Never in practice: an order can be written as JSON.
pub(crate) fn question(chain: ChainId, order: &Order) -> Result<Question, ApiError> {
    let (incident, action) = (order.incident.short(), &order.action);
    Ok(Question {
        id: order.key.0,
        chain,
        text: format!("incident {incident}: {action} on {}", order.chain),
        subject: subject(order)?,
        proposer: None,
        opened: order.decided_at,
        closes: order.expires_at,
    })
}

/// Hash of exactly what would be done: the order without what changes nothing about it.
fn subject(order: &Order) -> Result<B256, ApiError> {
    let whole = json!({
        "key": order.key,
        "incident": order.incident,
        "action": order.action,
        "chain": order.chain,
        "call": order.call,
        "effect": order.effect,
        "expires": order.expires_at,
    });
    let bytes = serde_json::to_vec(&whole);
    bytes.map(keccak256).map_err(|it| ApiError::new(Fault::Refused, it.to_string()))
}

/// What a wallet is given to sign, for `eth_signTypedData_v4`.
pub(crate) fn typed(
    question: &Question,
    rules: B256,
    (verdict, reason): (Verdict, &str),
    (at, expires): (Timestamp, Timestamp),
) -> Value {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    json!({
        "types": {
            "EIP712Domain": [
                field("name", "string"),
                field("version", "string"),
                field("chainId", "uint256"),
            ],
            "Vote": [
                field("question", "bytes32"),
                field("subject", "bytes32"),
                field("rules", "bytes32"),
                field("verdict", "string"),
                field("reason", "string"),
                field("at", "uint64"),
                field("expires", "uint64"),
            ],
        },
        "primaryType": "Vote",
        "domain": { "name": "Cofferdam", "version": "1", "chainId": question.chain.0 },
        "message": {
            "question": question.id,
            "subject": question.subject,
            "rules": rules,
            "verdict": verdict.as_str(),
            "reason": reason,
            "at": at.0.to_string(),
            "expires": expires.0.to_string(),
        },
    })
}

/// Rules that nothing can be approved by.
pub(crate) fn nobody() -> Rules {
    Rules {
        people: Vec::new(),
        roles: Vec::new(),
        persons_min: 1,
        proposer_excluded: false,
        denials_max: 0,
        veto_window_ms: 0,
        alone: true,
    }
}
