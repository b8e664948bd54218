//! Signatures of a Safe's owners: their four kinds, how they are packed, and what each is worth.
//!
//! **Invariant:** nothing is packed that was not recovered to its owner first, twice by one owner, or out of order; an
//! ECDSA signature that names an owner by assertion alone does not exist here.
//!
//! Source: `checkNSignatures` of `Safe.sol` 1.3.0 to 1.5.0.

use alloy_primitives::{Address, B256, Bytes, Signature, U256, eip191_hash_message};
use serde::{Deserialize, Serialize};

/// Most signatures packed or read; Safes have fewer owners.
pub const SIGNATURES_MAX: usize = 100;
/// Largest signature of a contract, in bytes.
pub const CONTRACT_SIGNATURE_BYTES_MAX: usize = 16_384;
/// Static bytes of one signature.
const STATIC_BYTES: usize = 65;

/// A signature by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// ECDSA over the hash itself (`v` 27 or 28), as `eth_signTypedData` makes it.
    Eip712 {
        /// `r ‖ s ‖ v`, 65 bytes.
        signature: Bytes,
    },
    /// ECDSA over the hash as an EIP-191 message (`v` 31 or 32 when packed), as `eth_sign` makes it.
    EthSign {
        /// `r ‖ s ‖ v`, 65 bytes; `v` is 27, 28, 31 or 32.
        signature: Bytes,
    },
    /// The owner has called `approveHash`, or is the one who executes.
    ApprovedHash,
    /// The owner is a contract and answers EIP-1271; also a nested Safe.
    Contract {
        /// What the contract is asked with.
        signature: Bytes,
    },
}

/// A signature with its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSignature {
    /// The owner.
    pub owner: Address,
    /// The signature.
    #[serde(flatten)]
    pub kind: Kind,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Another length.
    #[error("signature of {owner} has {bytes} bytes, not 65")]
    Length {
        /// The owner.
        owner: Address,
        /// Its length.
        bytes: usize,
    },
    /// `v`, `r` or `s` is out of range, or `s` is in the upper half.
    #[error("signature of {owner} is malformed: {what}")]
    Malformed {
        /// The owner.
        owner: Address,
        /// What is wrong.
        what: &'static str,
    },
    /// It was made by another key, or over another hash.
    #[error("signature in the name of {owner} was made by {actual}, or over something else")]
    NotTheirs {
        /// The alleged owner.
        owner: Address,
        /// Whom it recovers to.
        actual: Address,
    },
    /// One owner twice.
    #[error("{0} has signed twice")]
    Twice(Address),
    /// Too many.
    #[error("{0} signatures, at most {SIGNATURES_MAX}")]
    TooMany(usize),
    /// Packed bytes that are no signatures.
    #[error("packed signatures are malformed at byte {at}: {what}")]
    Packed {
        /// Offset in bytes.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl OwnerSignature {
    /// An EIP-712 signature as a signer returns it.
    pub fn eip712(owner: Address, signature: &Signature) -> Self {
        Self { owner, kind: Kind::Eip712 { signature: signature.as_bytes().into() } }
    }

    /// Checks it against the hash that was to be signed, as far as that can be without asking the chain: the key of an
    /// ECDSA signature is recovered; approved hashes and contracts' signatures are the chain's to confirm.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, hash: B256) -> Result<(), SignatureError> {
        let (bytes, signed, shift) = match &self.kind {
            Kind::Eip712 { signature } => (signature, hash, 0),
            Kind::EthSign { signature } => (signature, eip191_hash_message(hash), 4),
            Kind::ApprovedHash => return Ok(()),
            Kind::Contract { signature } => {
                let fits = signature.len() <= CONTRACT_SIGNATURE_BYTES_MAX;
                let what = "a contract's signature is larger than 16 KiB";
                let long = SignatureError::Malformed { owner: self.owner, what };
                return if fits { Ok(()) } else { Err(long) };
            }
        };
        let (r, s, v) = self.split(bytes)?;
        let v = if v > 28 { v.saturating_sub(shift) } else { v };
        let malformed = |what| SignatureError::Malformed { owner: self.owner, what };
        let parity = match v {
            27 => false,
            28 => true,
            _ => return Err(malformed("v is not one of its kind")),
        };
        let signature = Signature::new(r, s, parity);
        if signature.normalize_s().is_some() {
            return Err(malformed("s is in the upper half of the order"));
        }
        let actual = signature
            .recover_address_from_prehash(&signed)
            .map_err(|_| malformed("no key can have made it"))?;
        if actual != self.owner {
            return Err(SignatureError::NotTheirs { owner: self.owner, actual });
        }
        Ok(())
    }

    fn split(&self, bytes: &[u8]) -> Result<(U256, U256, u8), SignatureError> {
        let length = SignatureError::Length { owner: self.owner, bytes: bytes.len() };
        let whole: &[u8; STATIC_BYTES] = bytes.try_into().map_err(|_| length)?;
        let (r, rest) = whole.split_at(32);
        let (s, v) = rest.split_at(32);
        let v = v.first().copied().unwrap_or_default();
        Ok((U256::from_be_slice(r), U256::from_be_slice(s), v))
    }

    /// The 65 static bytes; `offset` is where a contract's own bytes begin.
    fn head(&self, offset: usize) -> Result<[u8; STATIC_BYTES], SignatureError> {
        let (r, s, v) = match &self.kind {
            Kind::Eip712 { signature } => self.split(signature)?,
            Kind::EthSign { signature } => {
                let (r, s, v) = self.split(signature)?;
                (r, s, if v < 31 { v.saturating_add(4) } else { v })
            }
            Kind::ApprovedHash => (U256::from_be_bytes(self.owner.into_word().0), U256::ZERO, 1),
            Kind::Contract { .. } => {
                (U256::from_be_bytes(self.owner.into_word().0), U256::from(offset), 0)
            }
        };
        let mut out = [0u8; STATIC_BYTES];
        let bytes = r.to_be_bytes::<32>().into_iter().chain(s.to_be_bytes::<32>()).chain([v]);
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Ok(out)
    }
}

/// Packs signatures as `execTransaction` takes them: sorted by owner, contracts' bytes behind the static part. Each is
/// verified against `hash` first.
///
/// # Errors
/// [`SignatureError`].
pub fn pack(signatures: &[OwnerSignature], hash: B256) -> Result<Bytes, SignatureError> {
    if signatures.len() > SIGNATURES_MAX {
        return Err(SignatureError::TooMany(signatures.len()));
    }
    let mut sorted: Vec<&OwnerSignature> = signatures.iter().collect();
    sorted.sort_by_key(|it| it.owner);
    if let Some([one, _]) = sorted.array_windows().find(|[a, b]| a.owner == b.owner) {
        return Err(SignatureError::Twice(one.owner));
    }
    let mut head = Vec::with_capacity(sorted.len() * STATIC_BYTES);
    let mut tail = Vec::new();
    for it in &sorted {
        it.verify(hash)?;
        head.extend_from_slice(&it.head(sorted.len() * STATIC_BYTES + tail.len())?);
        if let Kind::Contract { signature } = &it.kind {
            tail.extend_from_slice(&U256::from(signature.len()).to_be_bytes::<32>());
            tail.extend_from_slice(signature);
        }
    }
    head.append(&mut tail);
    Ok(head.into())
}

/// Reads packed signatures back, each recovered over `hash`. `count` is how many there are; the bytes do not tell.
///
/// # Errors
/// [`SignatureError::Packed`] for everything that [`pack`] would not have written.
pub fn unpack(
    packed: &[u8],
    count: usize,
    hash: B256,
) -> Result<Vec<OwnerSignature>, SignatureError> {
    if count > SIGNATURES_MAX {
        return Err(SignatureError::TooMany(count));
    }
    let mut out = Vec::with_capacity(count);
    for index in 0..count {
        let at = index * STATIC_BYTES;
        let bad = |what| SignatureError::Packed { at, what };
        let head = packed.get(at..at + STATIC_BYTES).ok_or_else(|| bad("it ends too early"))?;
        out.push(read(packed, head, count, hash).map_err(bad)?);
    }
    match pack(&out, hash) {
        Ok(again) if *again == *packed => Ok(out),
        Ok(_) => Err(SignatureError::Packed { at: 0, what: "not in order, or with bytes besides" }),
        Err(error) => Err(error),
    }
}

fn read(
    packed: &[u8],
    head: &[u8],
    count: usize,
    hash: B256,
) -> Result<OwnerSignature, &'static str> {
    let (r, rest) = head.split_at(32);
    let (s, v) = rest.split_at(32);
    let v = v.first().copied().unwrap_or_default();
    let named = || Address::from_word(B256::from_slice(r));
    let recover = |v: u8, hash: B256| {
        let (r, s) = (U256::from_be_slice(r), U256::from_be_slice(s));
        let signature = Signature::new(r, s, v == 28);
        signature.recover_address_from_prehash(&hash).map_err(|_| "no key can have made it")
    };
    match v {
        0 => {
            let start =
                usize::try_from(U256::from_be_slice(s)).map_err(|_| "offset is too large")?;
            if start < count * STATIC_BYTES {
                return Err("offset points into the static part");
            }
            let body = packed.get(start..).ok_or("offset is behind the end")?;
            let (length, body) = body.split_at_checked(32).ok_or("length is missing")?;
            let length = usize::try_from(U256::from_be_slice(length)).map_err(|_| "too long")?;
            let body = body.get(..length).ok_or("it ends too early")?;
            Ok(OwnerSignature {
                owner: named(),
                kind: Kind::Contract { signature: Bytes::copy_from_slice(body) },
            })
        }
        1 => Ok(OwnerSignature { owner: named(), kind: Kind::ApprovedHash }),
        27 | 28 => Ok(OwnerSignature {
            owner: recover(v, hash)?,
            kind: Kind::Eip712 { signature: Bytes::copy_from_slice(head) },
        }),
        31 | 32 => Ok(OwnerSignature {
            owner: recover(v - 4, eip191_hash_message(hash))?,
            kind: Kind::EthSign { signature: Bytes::copy_from_slice(head) },
        }),
        _ => Err("v names no kind of signature"),
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
