//! Flags of the Safe's state against the proposal and the policy.

use alloy_primitives::{Address, U256};

use super::Case;
use crate::{SafeVersion, evidence::Evidence, flag::Flags, known, policy::Policy};

/// What can be compared without the chain.
pub(super) fn policy(case: &Case<'_>, policy: &Policy, flags: &mut Flags) {
    if let Err(error) = policy.check() {
        flags.refuse("policy", format!("the policy cannot be used: {error}"));
    }
    let proposal = case.proposal;
    if policy.safe.address != proposal.safe {
        flags.refuse(
            "other-safe",
            format!(
                "the policy is that of {}, the proposal is for {}",
                policy.safe.address, proposal.safe
            ),
        );
    }
    if policy.safe.chain != proposal.chain {
        flags.refuse(
            "chain-mismatch",
            format!(
                "the policy's Safe is on {}, the proposal is for {}",
                policy.safe.chain, proposal.chain
            ),
        );
    }
    if policy.version != proposal.version {
        flags.refuse(
            "version-mismatch",
            format!(
                "the policy's Safe is release {}, the proposal hashes for {}",
                policy.version, proposal.version
            ),
        );
    }
}

pub(super) fn check(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    identity(case, evidence, flags);
    age(case, evidence, flags);
    nonce(case, evidence, flags);
    signers(case, evidence, flags);
    extensions(case, evidence, flags);
    history(case, evidence, flags);
}

fn identity(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    let proposal = case.proposal;
    if evidence.chain != proposal.chain || evidence.safe != proposal.safe {
        flags.refuse(
            "chain-mismatch",
            format!(
                "what was read is of {}:{}, the proposal is for {}:{}",
                evidence.chain, evidence.safe, proposal.chain, proposal.safe
            ),
        );
    }
    match evidence.state.version.parse::<SafeVersion>() {
        Ok(version) if version == proposal.version => {}
        Ok(version) => flags.refuse(
            "version-mismatch",
            format!(
                "the Safe says it is release {version}, the proposal hashes for {}",
                proposal.version
            ),
        ),
        Err(error) => flags.refuse("version-unknown", error.to_string()),
    }
    let ours = proposal.hashes().signed;
    match evidence.own_hash {
        Some(it) if it == ours => {}
        Some(it) => flags.refuse(
            "hash-mismatch",
            format!("the Safe itself computes {it}, we compute {ours}: one of the two hashes something else"),
        ),
        None => flags.refuse("hash-missing", "the Safe did not say which hash it computes"),
    }
    let singleton = evidence.state.singleton;
    let known = known::SINGLETONS.contains(&(singleton, proposal.version));
    let singletons = case.policy.map(|it| it.singletons.as_slice()).unwrap_or_default();
    let pinned = singletons
        .iter()
        .any(|it| it.address == singleton && it.code_hash == evidence.state.singleton_code);
    if !known && !pinned {
        flags.refuse(
            "singleton",
            format!(
                "the Safe's code is {singleton}, neither a release of the Safe project for {} nor pinned in the policy",
                proposal.version
            ),
        );
    }
}

fn age(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    let Some(policy) = case.policy else { return };
    let seconds = case.now.0.saturating_sub(evidence.time.0) / 1_000;
    let ahead = evidence.time.0.saturating_sub(case.now.0) / 1_000;
    let most = policy.evidence_age_max_seconds;
    if seconds > most || ahead > most {
        let which = if ahead > most {
            format!("{ahead} s in the future")
        } else {
            format!("{seconds} s old")
        };
        flags.refuse(
            "stale",
            format!("the block that was read is {which}, the policy allows {most} s: read again"),
        );
    }
}

fn nonce(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    let (theirs, ours) = (evidence.state.nonce, case.proposal.transaction.nonce);
    if ours < theirs {
        flags.refuse("nonce-used", format!("nonce {ours} is used up; the Safe is at {theirs}"));
    }
    if ours <= theirs {
        return;
    }
    let gap = ours - theirs;
    match &case.proposal.provenance.ladder {
        Some(rung) if rung.first <= theirs && ours <= rung.last => flags.warn(
            "signed-ahead",
            format!("rung {gap} of a ladder: it can be executed once {gap} earlier transactions have been"),
        ),
        _ => flags.refuse(
            "nonce-gap",
            format!(
                "nonce {ours} is {gap} ahead of the Safe's {theirs}: a signature for later use, without a ladder that says why (Drift, 2026)"
            ),
        ),
    }
}

fn signers(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    let state = &evidence.state;
    let owners = U256::from(state.owners.len());
    if state.threshold.is_zero() || state.threshold > owners {
        flags.refuse(
            "threshold",
            format!("threshold {} of {owners} owners is no threshold", state.threshold),
        );
    }
    if let Some(policy) = case.policy {
        if state.threshold < U256::from(policy.threshold_min) {
            flags.refuse(
                "threshold-low",
                format!(
                    "the threshold is {}, governance wants at least {}: it was lowered (Drift, 2026)",
                    state.threshold, policy.threshold_min
                ),
            );
        }
        let unknown: Vec<String> = state
            .owners
            .iter()
            .filter(|it| policy.name(**it).is_none())
            .map(ToString::to_string)
            .collect();
        if !unknown.is_empty() {
            flags.refuse(
                "owner-unknown",
                format!("the policy does not know these owners: {}", unknown.join(", ")),
            );
        }
    }
}

fn extensions(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    let state = &evidence.state;
    let known = |it: Address| case.policy.is_some_and(|policy| policy.name(it).is_some());
    let parts = [
        ("guard", state.guard),
        ("module guard", state.module_guard),
        ("fallback handler", state.fallback_handler),
    ];
    for (what, address) in parts.into_iter().filter(|it| !it.1.is_zero() && !known(it.1)) {
        flags.warn("extension-unknown", format!("the policy does not name the {what} {address}"));
    }
    for module in state.modules.iter().filter(|it| !known(**it)) {
        flags.refuse(
            "module-unknown",
            format!("module {module} can act without signatures, and the policy does not name it"),
        );
    }
}

fn history(case: &Case<'_>, evidence: &Evidence, flags: &mut Flags) {
    match &evidence.history {
        None => flags.refuse("history-unknown", "recent changes of the Safe could not be read"),
        Some(history) => {
            for change in &history.changes {
                flags.warn(
                    "recent-change",
                    format!("block {}: {}", change.block, crate::text::plain(&change.what)),
                );
            }
        }
    }
    for delay in case.policy.map(|it| it.delays.as_slice()).unwrap_or_default() {
        match evidence.delays.get(&delay.address).copied().flatten() {
            None => flags.refuse("timelock-unknown", format!("the delay of {} was not read", delay.name)),
            Some(it) if it < delay.seconds_min => flags.refuse(
                "timelock-low",
                format!(
                    "{} delays by {it} s, governance wants at least {} s: it was shortened or removed (Drift, 2026)",
                    delay.name, delay.seconds_min
                ),
            ),
            Some(_) => {}
        }
    }
}
