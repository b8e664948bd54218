//! Ladders: one transaction signed in advance for several nonces, for the day when nobody can be reached.
//!
//! **Invariant:** a rung is ready only for the Safe's present nonce, only with enough signatures of its present owners,
//! and only while its last simulation, newer than the Safe's last change, succeeded.

use alloy_primitives::{Address, Bytes, U256};
use serde::Serialize;

use crate::{
    SafeDomain, SafeTx,
    abi::AbiError,
    exec::exec_transaction,
    proposal::{Proposal, Provenance, Rung},
};

/// Most rungs.
pub const RUNGS_MAX: u64 = 32;

/// A rung as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Its nonce.
    #[serde(with = "crate::quantity")]
    pub nonce: U256,
    /// What it is good for.
    pub state: State,
    /// Its signatures.
    pub signatures: usize,
}

/// What a rung is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It can be executed now.
    Ready,
    /// Its turn comes after this many others.
    Later(String),
    /// Its nonce is used up.
    Spent,
    /// Signatures are missing.
    Unsigned,
    /// It has not been simulated, or fails.
    Fails(String),
}

/// What is known of a rung.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its nonce.
    pub nonce: U256,
    /// Valid signatures of present owners.
    pub signatures: usize,
    /// How its simulation at the present nonce ended; `None` if there was none.
    pub simulated: Option<Result<(), String>>,
}

/// Why a ladder cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// Too many rungs or none.
    #[error("a ladder has 1 to {RUNGS_MAX} rungs, not {0}")]
    Rungs(u64),
    /// Nonces end before it does.
    #[error("nonce {0} leaves no room for the ladder")]
    Nonce(U256),
}

/// Proposals of the same call for nonces `first` to `first + rungs - 1`.
///
/// # Errors
/// [`LadderError`].
pub fn plan(
    domain: SafeDomain,
    call: &SafeTx,
    first: U256,
    rungs: u64,
    provenance: &Provenance,
) -> Result<Vec<Proposal>, LadderError> {
    if !(1..=RUNGS_MAX).contains(&rungs) {
        return Err(LadderError::Rungs(rungs));
    }
    let last = first.checked_add(U256::from(rungs - 1)).ok_or(LadderError::Nonce(first))?;
    let one = |index: u64| {
        let transaction = SafeTx { nonce: first + U256::from(index), ..call.clone() };
        let provenance = Provenance { ladder: Some(Rung { first, last }), ..provenance.clone() };
        Proposal::new(domain, transaction, provenance)
    };
    Ok((0..rungs).map(one).collect())
}

/// How each rung stands while the Safe is at `nonce` and wants `threshold` signatures.
pub fn standing(rungs: &[Known], nonce: U256, threshold: U256) -> Vec<Standing> {
    let one = |it: &Known| {
        let state = if it.nonce < nonce {
            State::Spent
        } else if U256::from(it.signatures) < threshold || threshold.is_zero() {
            State::Unsigned
        } else if it.nonce > nonce {
            State::Later((it.nonce - nonce).to_string())
        } else {
            match &it.simulated {
                Some(Ok(())) => State::Ready,
                Some(Err(why)) => State::Fails(why.clone()),
                None => State::Fails("it was not simulated".into()),
            }
        };
        Standing { nonce: it.nonce, state, signatures: it.signatures }
    };
    rungs.iter().map(one).collect()
}

/// Whether the present nonce has a rung that works; if not, somebody must be told.
pub fn is_covered(standing: &[Standing]) -> bool {
    standing.iter().any(|it| it.state == State::Ready)
}

/// A command that executes a transaction without this program: `cast send` of Foundry, on one line.
///
/// # Errors
/// Never in practice: the signature is ours.
pub fn fallback(safe: Address, tx: &SafeTx, packed: &Bytes) -> Result<String, AbiError> {
    let data = exec_transaction(tx, packed)?;
    Ok(format!("cast send --rpc-url \"$ETH_RPC_URL\" --interactive {safe} {data}"))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256, hex};
    use cofferdam_core::ChainId;

    use super::{Known, LadderError, State, fallback, is_covered, plan, standing};
    use crate::{SafeDomain, SafeTx, SafeVersion, proposal::Provenance};

    fn known(nonce: u64, signatures: usize, simulated: Option<Result<(), String>>) -> Known {
        Known { nonce: U256::from(nonce), signatures, simulated }
    }

    #[test]
    fn rungs_differ_in_their_nonce_alone_and_know_their_ladder() {
        let domain = SafeDomain {
            version: SafeVersion::V1_5_0,
            chain: ChainId(1),
            safe: Address::repeat_byte(1),
        };
        let first = U256::from(7);
        let rungs = plan(domain, &SafeTx::default(), first, 3, &Provenance::default()).unwrap();
        let nonces: Vec<U256> = rungs.iter().map(|it| it.transaction.nonce).collect();
        assert_eq!(nonces, [7, 8, 9].map(U256::from));
        let ladder = rungs[2].provenance.ladder.clone().unwrap();
        assert_eq!((ladder.first, ladder.last), (first, U256::from(9)));
        let plan =
            |first, count| plan(domain, &SafeTx::default(), first, count, &Provenance::default());
        assert_eq!(plan(first, 0), Err(LadderError::Rungs(0)));
        assert_eq!(plan(U256::MAX, 2), Err(LadderError::Nonce(U256::MAX)));
    }

    #[test]
    fn only_the_present_nonce_signed_and_simulated_is_ready() {
        let rungs = [
            known(4, 3, Some(Ok(()))),
            known(5, 3, Some(Ok(()))),
            known(6, 3, None),
            known(7, 2, Some(Ok(()))),
        ];
        let at = |nonce: u64| standing(&rungs, U256::from(nonce), U256::from(3));
        let states: Vec<State> = at(5).into_iter().map(|it| it.state).collect();
        assert_eq!(states, [State::Spent, State::Ready, State::Later("1".into()), State::Unsigned]);
        assert!(is_covered(&at(5)));
        assert!(!is_covered(&at(6)), "not simulated");
        assert!(!is_covered(&at(7)), "not signed");
        assert!(!is_covered(&at(8)), "no rung left");
        assert!(!is_covered(&standing(&rungs, U256::from(5), U256::from(4))), "threshold raised");
    }

    #[test]
    fn the_fallback_is_one_line_without_a_key() {
        let line = fallback(Address::repeat_byte(2), &SafeTx::default(), &Bytes::from(hex!("01")))
            .unwrap();
        assert!(line.starts_with("cast send --rpc-url \"$ETH_RPC_URL\" --interactive 0x0202"));
        assert!(line.contains(" 0x6a761202") && line.lines().count() == 1);
    }
}
