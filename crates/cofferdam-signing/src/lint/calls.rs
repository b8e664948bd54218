//! Flags of the calls themselves: operation, targets, functions, value.

use alloy_primitives::KECCAK256_EMPTY;

use super::Case;
use crate::{
    Operation,
    calls::Node,
    flag::{Flags, Weight},
    known::{self, Class},
};

pub(super) fn check(case: &Case<'_>, root: &Node, flags: &mut Flags) {
    let cancels = case.proposal.transaction.is_cancel(case.proposal.safe);
    if cancels {
        flags.note("cancel", "it does nothing but use its nonce up: a cancellation");
        return;
    }
    // A leaf of an approved action is approved with it.
    walk(case, root, root.action.is_some(), flags);
    let leaves: Vec<&Node> = root.walk().into_iter().filter(|it| it.calls.is_empty()).collect();
    let contains = leaves.iter().any(|it| it.class() == Some(Class::Containment));
    let others = leaves.iter().filter(|it| it.class() != Some(Class::Containment)).count();
    if contains && others > 0 {
        flags.warn(
            "mixed",
            format!("it stops something and makes {others} other calls as well: containment should stand alone"),
        );
    }
}

fn walk(case: &Case<'_>, node: &Node, approved: bool, flags: &mut Flags) {
    let approved = approved || node.action.is_some();
    operation(case, node, flags);
    content(node, approved, flags);
    if let Some(decoded) = &node.decoded {
        power(case, node, decoded.class, approved, flags);
        let named = decoded.in_policy || approved || node.to == case.proposal.safe;
        // A batch by delegatecall stands or falls with the pin of its code; by call, it only claims to be one.
        let pinned = decoded.class == Class::Batch && node.operation == Operation::DelegateCall;
        if !named && !pinned {
            flags.add(
                Weight::Refuse,
                "not-in-policy",
                Some(&node.path),
                format!(
                    "the policy does not name {} on {}: anybody can deploy a contract with such a function",
                    decoded.function, node.to
                ),
            );
        }
    }
    code(case, node, flags);
    node.calls.iter().for_each(|it| walk(case, it, approved, flags));
}

fn operation(case: &Case<'_>, node: &Node, flags: &mut Flags) {
    if node.operation == Operation::Call {
        return;
    }
    let call = Some(node.path.as_str());
    let built_in = known::CALL_ONLY.iter().any(|it| it.0 == node.to);
    let pinned = case.policy.and_then(|it| it.delegates.iter().find(|it| it.address == node.to));
    let code = case.evidence.and_then(|it| it.codes.get(&node.to).copied());
    match (pinned, built_in) {
        (Some(pin), _) if code == Some(pin.code_hash) => {
            flags.add(
                Weight::Note,
                "delegatecall-pinned",
                call,
                format!("DELEGATECALL to {}, which governance has pinned with its code", node.to),
            );
        }
        (Some(pin), _) => {
            let actual = code.map_or("unknown".to_owned(), |it| it.to_string());
            flags.add(
                Weight::Refuse,
                "delegatecall-code",
                call,
                format!(
                    "DELEGATECALL to {}, whose code hash is {actual} and not the pinned {}",
                    node.to, pin.code_hash
                ),
            );
        }
        (None, true) if node.selector() == Some(crate::multisend::SELECTOR) => {
            flags.add(
                Weight::Note,
                "delegatecall-batch",
                call,
                "DELEGATECALL to the Safe project's MultiSendCallOnly: the batch below can hold calls only",
            );
        }
        _ => flags.add(
            Weight::Refuse,
            "delegatecall",
            call,
            format!(
                "DELEGATECALL to {}, which governance has not pinned: its code would run as the Safe and can replace the Safe itself, whatever the calldata looks like (Bybit, 2025)",
                node.to
            ),
        ),
    }
}

fn content(node: &Node, approved: bool, flags: &mut Flags) {
    let call = Some(node.path.as_str());
    if let Some(problem) = &node.problem {
        let code = if node.decoded.is_some() { "unreadable-batch" } else { "unknown-call" };
        flags.add(Weight::Refuse, code, call, format!("what it does is not known: {problem}"));
    }
    if !node.value.is_zero() {
        let weight = if approved { Weight::Warn } else { Weight::Refuse };
        let text = format!("it sends {} wei to {}", node.value, node.to);
        flags.add(weight, "value", call, text);
    }
    if node.data.is_empty() && node.value.is_zero() {
        flags.add(Weight::Warn, "empty-call", call, format!("it calls {} with nothing", node.to));
    }
}

/// Powers that an attacker wants: refused unless governance approved these very bytes.
fn power(case: &Case<'_>, node: &Node, class: Class, approved: bool, flags: &mut Flags) {
    let of_this_safe = node.to == case.proposal.safe;
    let (code, text) = match class {
        Class::SafeOwners => ("safe-owners", "it changes owners or threshold of a Safe"),
        Class::SafeModule => {
            ("safe-module", "it changes the modules of a Safe: they act without any signature")
        }
        Class::SafeGuard => ("safe-guard", "it changes the guard of a Safe"),
        Class::SafeFallback => (
            "safe-fallback",
            "it changes the fallback handler of a Safe, which answers for its signature",
        ),
        Class::SafeSingleton => ("safe-singleton", "it changes the code of a Safe"),
        Class::BlindApproval => (
            "blind-approval",
            "it agrees to a hash or message whose content nobody can see here; review and sign that content itself",
        ),
        Class::Approval => ("approval", "it lets somebody else take tokens of the Safe"),
        Class::Transfer => ("transfer", "it moves tokens"),
        Class::Upgrade => ("upgrade", "it replaces a contract's code"),
        Class::Role => ("role", "it changes who may do what"),
        Class::Delay => ("delay", "it changes how long something must wait"),
        Class::Reopening => ("reopening", "it lets something run again"),
        Class::Containment | Class::Batch | Class::Other => {
            if of_this_safe && class == Class::Other {
                let text = "it calls a function of the Safe itself that is not known";
                flags.add(Weight::Refuse, "self-call", Some(&node.path), text);
            }
            return;
        }
    };
    let in_policy = node.decoded.as_ref().is_some_and(|it| it.in_policy);
    let routine = in_policy && matches!(class, Class::Transfer | Class::Reopening);
    let weight = if approved || routine { Weight::Warn } else { Weight::Refuse };
    flags.add(weight, code, Some(&node.path), text);
}

/// A call to an account without code succeeds and does nothing; a call of unknown code is a guess.
fn code(case: &Case<'_>, node: &Node, flags: &mut Flags) {
    let Some(evidence) = case.evidence else { return };
    let call = Some(node.path.as_str());
    match evidence.codes.get(&node.to) {
        None => flags.add(
            Weight::Refuse,
            "code-unknown",
            call,
            format!("the code of {} was not read", node.to),
        ),
        Some(it) if *it == KECCAK256_EMPTY && !node.data.is_empty() => flags.add(
            Weight::Refuse,
            "no-code",
            call,
            format!("{} has no code: the call would succeed and do nothing", node.to),
        ),
        Some(_) => {}
    }
}
