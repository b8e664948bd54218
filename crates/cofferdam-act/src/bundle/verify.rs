//! Checks an authorisation without a chain: shape, window, order of signers, every key's signature.
//!
//! **Invariant:** what passes here is refused by the contract only for what the chain alone knows
//! (epoch, signer expiry, quorum, burnt nonces, charges, answers of contract signers).

use alloy::primitives::{Address, B256, Signature};
use cofferdam_core::ChainId;

use super::{Authorisation, DATA_BYTES_MAX, Endorsement, SIGNERS_MAX, Scope, TIME_MAX};

/// What is wrong with an authorisation, whatever the chain's state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nobody signed.
    #[error("it has no signature")]
    NoSigner,
    /// Too many signed.
    #[error("it has {count} signatures, more than {SIGNERS_MAX}")]
    TooManySigners {
        /// How many.
        count: usize,
    },
    /// The contract wants ascending addresses.
    #[error("signer {signer} is not above the signer before it")]
    Order {
        /// The first one out of order.
        signer: Address,
    },
    /// The signature is not 65 bytes with v 27 or 28 and s in the lower half of the order.
    #[error("signature of {signer} is not 65 bytes r, s, v in canonical form")]
    SignatureShape {
        /// Whose.
        signer: Address,
    },
    /// The signature was made by another key, or for other terms, chain or contract.
    #[error("signature of {signer} was made by another key, or for other terms, chain or contract")]
    WrongSigner {
        /// Whose it should be.
        signer: Address,
    },
    /// A contract's signature is too long.
    #[error("signature of contract {signer} is longer than {DATA_BYTES_MAX} bytes")]
    SignatureLength {
        /// Whose.
        signer: Address,
    },
    /// A time does not fit the contract's 48 bits.
    #[error("a time is above 2^48 - 1 seconds")]
    Time,
    /// The window is empty.
    #[error("it expires at {deadline}, before it begins at {not_before} (Unix seconds)")]
    Window {
        /// Start, Unix seconds.
        not_before: u64,
        /// End, Unix seconds.
        deadline: u64,
    },
    /// There are two tiers.
    #[error("tier {tier} is neither 0 nor 1")]
    Tier {
        /// What was given.
        tier: u8,
    },
    /// A contract address is zero, or a Safe would call itself or the module.
    #[error("an address of its scope is zero or calls its own authority")]
    Scope,
    /// The calldata is too short for a selector or too long.
    #[error("its calldata has {bytes} bytes, not 4 to {DATA_BYTES_MAX}")]
    Data {
        /// Its length.
        bytes: usize,
    },
    /// The same terms are there twice.
    #[error("the same authorisation is there twice")]
    Duplicate,
    /// The contract burns a nonce per signer: using one authorisation would void the other.
    #[error("signer {signer} uses its nonce in two authorisations of one contract")]
    NonceShared {
        /// Whose.
        signer: Address,
    },
}

impl Authorisation {
    /// Checks everything that can be checked without a chain.
    ///
    /// # Errors
    /// The first [`Invalid`] found.
    pub fn verify(&self, chain: ChainId) -> Result<(), Invalid> {
        check_terms(self)?;
        check_scope(&self.scope)?;
        let digest = self.digest(chain);
        let mut previous = Address::ZERO;
        for endorsement in &self.signatures {
            if endorsement.signer <= previous {
                return Err(Invalid::Order { signer: endorsement.signer });
            }
            previous = endorsement.signer;
            check_signature(endorsement, digest)?;
        }
        Ok(())
    }
}

fn check_terms(it: &Authorisation) -> Result<(), Invalid> {
    let (not_before, deadline) = (it.not_before(), it.deadline);
    if not_before > TIME_MAX || deadline > TIME_MAX {
        return Err(Invalid::Time);
    }
    if deadline < not_before {
        return Err(Invalid::Window { not_before, deadline });
    }
    match it.signatures.len() {
        0 => Err(Invalid::NoSigner),
        1..=SIGNERS_MAX => Ok(()),
        count => Err(Invalid::TooManySigners { count }),
    }
}

fn check_scope(scope: &Scope) -> Result<(), Invalid> {
    match scope {
        Scope::Guardian { tier, .. } if *tier > 1 => Err(Invalid::Tier { tier: *tier }),
        Scope::Guardian { guardian, .. } if guardian.is_zero() => Err(Invalid::Scope),
        Scope::Guardian { .. } => Ok(()),
        Scope::SafeModule { module, safe, to, data } => {
            let zero = [module, safe, to].into_iter().any(|it| it.is_zero());
            if zero || to == safe || to == module {
                return Err(Invalid::Scope);
            }
            match data.len() {
                4..=DATA_BYTES_MAX => Ok(()),
                bytes => Err(Invalid::Data { bytes }),
            }
        }
    }
}

// As OpenZeppelin's ECDSA.tryRecover: 65 bytes, v is 27 or 28, s in the lower half.
fn check_signature(it: &Endorsement, digest: B256) -> Result<(), Invalid> {
    let signer = it.signer;
    if it.contract {
        let short = it.signature.len() <= DATA_BYTES_MAX;
        return if short { Ok(()) } else { Err(Invalid::SignatureLength { signer }) };
    }
    let shape = Invalid::SignatureShape { signer };
    if it.signature.len() != 65 || !matches!(it.signature.last(), Some(27 | 28)) {
        return Err(shape);
    }
    let Ok(signature) = Signature::from_raw(&it.signature) else { return Err(shape) };
    if signature.normalize_s().is_some() {
        return Err(shape);
    }
    match signature.recover_address_from_prehash(&digest) {
        Ok(recovered) if recovered == signer => Ok(()),
        Ok(_) => Err(Invalid::WrongSigner { signer }),
        // No key can have made it.
        Err(_) => Err(shape),
    }
}
