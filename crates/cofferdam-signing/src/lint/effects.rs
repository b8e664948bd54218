//! Flags of what the simulations showed.

use super::Case;
use crate::{
    calls::Node,
    evidence::{Effect, Evidence, Outcome},
    flag::Flags,
};

/// Least number of contexts: a payload can look at block, time or fee and behave.
const CONTEXTS_MIN: usize = 3;

pub(super) fn check(case: &Case<'_>, evidence: &Evidence, calls: &Node, flags: &mut Flags) {
    if evidence.simulations.len() < CONTEXTS_MIN {
        flags.refuse(
            "not-simulated",
            format!(
                "it was simulated in {} contexts, at least {CONTEXTS_MIN} are needed",
                evidence.simulations.len()
            ),
        );
        return;
    }
    for simulation in &evidence.simulations {
        let context = crate::text::plain(&simulation.context);
        match &simulation.outcome {
            Outcome::Succeeds => {}
            Outcome::Fails(why) => flags.refuse(
                "simulation-fails",
                format!("it would fail ({context}): {}", crate::text::plain(why)),
            ),
            Outcome::Incomplete(why) => flags.refuse(
                "simulation-incomplete",
                format!("what it does is not known ({context}): {}", crate::text::plain(why)),
            ),
        }
    }
    let mut sets = evidence.simulations.iter().map(|it| (&it.outcome, &it.effects));
    let first = sets.next();
    if !sets.all(|it| Some(it) == first) {
        flags.refuse(
            "context-dependent",
            "it does different things in different contexts: it may look harmless only where it is tried",
        );
    }
    let approved = calls.is_approved();
    let mut effects: Vec<&Effect> =
        evidence.simulations.iter().flat_map(|it| &it.effects).collect();
    effects.sort();
    effects.dedup();
    for effect in effects {
        judge(case, effect, approved, flags);
    }
    flags.note("simulation", "a simulation is evidence, not proof");
}

fn judge(case: &Case<'_>, effect: &Effect, approved: bool, flags: &mut Flags) {
    let mut raise = |code: &str, text: String| {
        if approved {
            flags.warn(code, text);
        } else {
            flags.refuse(code, text);
        }
    };
    match effect {
        Effect::SafeStorage { slot, before, after } => raise(
            "safe-storage",
            format!(
                "it changes the Safe itself: {} (slot {slot}) from {before} to {after}",
                Effect::slot_name(*slot)
            ),
        ),
        Effect::Allowance { token, spender } => {
            raise("allowance", format!("{spender} could take {token} from the Safe afterwards"));
        }
        Effect::Outflow { token, to, amount } => {
            let token = if token.is_zero() { "wei".to_owned() } else { format!("of {token}") };
            raise("outflow", format!("{amount} {token} leave the Safe for {to}"));
        }
        Effect::Storage { contract, .. } => {
            let known = case.policy.is_some_and(|it| it.name(*contract).is_some());
            if !known {
                let text = format!("it changes {contract}, which the policy does not name");
                flags.warn("foreign-storage", text);
            }
        }
    }
}
