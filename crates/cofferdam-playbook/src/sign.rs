//! Signatures as the standard's own example defines them: all signatures are taken out, the one in
//! question is put back without its `value`, the playbook is made canonical (RFC 8785), hashed, and
//! what is signed are the *hex digits* of the hash.
//!
//! Signing the canonical text itself, as the formula in the prose reads, does not verify against the
//! OASIS example.
//!
//! **Invariant:** a key that stands inside a signature proves nothing. Only a key that the caller
//! trusts makes a signature count.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use cofferdam_core::Timestamp;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::{
    jcs,
    json::{Node, Value},
    model::{Playbook, SignatureInfo},
};

/// Keys that count: who they belong to → the public key (SubjectPublicKeyInfo, DER).
pub type Trusted = BTreeMap<String, Vec<u8>>;

/// What became of one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Its identifier.
    pub id: String,
    /// Who says to have signed.
    pub signee: String,
    /// What follows.
    pub result: Result<String, Unproved>,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unproved {
    /// The signature does not fit the document: one of them was changed.
    #[error("the document is not what was signed")]
    Wrong,
    /// It fits, but nobody trusts its key.
    #[error("it fits, but its key is not among the trusted ones")]
    Untrusted,
    /// Its time is over or has not come.
    #[error("it is not valid at {0}")]
    OutOfTime(Timestamp),
    /// It was withdrawn.
    #[error("it was revoked")]
    Revoked,
    /// It is for another playbook or another version.
    #[error("it is for another playbook or version")]
    OtherVersion,
    /// Its algorithm, hash or kind of key is not one that we verify.
    #[error("it cannot be verified here: {0}")]
    Unsupported(String),
}

/// Every signature of `document`, judged at `now`. A signature that counts names whose key it was.
pub fn verify(
    document: &Node,
    playbook: &Playbook,
    trusted: &Trusted,
    now: Timestamp,
) -> Vec<Verdict> {
    let nodes: &[Node] = match document.get("signatures").map(|it| &it.value) {
        Some(Value::Array(items)) => items,
        _ => &[],
    };
    let of = |it: &SignatureInfo| {
        nodes.iter().find(|node| node.get("id").and_then(Node::as_str) == Some(it.id.as_str()))
    };
    playbook
        .signatures
        .iter()
        .map(|info| Verdict {
            id: info.id.clone(),
            signee: info.signee.clone(),
            result: of(info)
                .ok_or(Unproved::Wrong)
                .and_then(|node| judge(document, playbook, node, info, trusted, now)),
        })
        .collect()
}

fn judge(
    document: &Node,
    playbook: &Playbook,
    node: &Node,
    info: &SignatureInfo,
    trusted: &Trusted,
    now: Timestamp,
) -> Result<String, Unproved> {
    let text = |key: &str| node.get(key).and_then(Node::as_str);
    let key = text("public_key")
        .and_then(|it| STANDARD.decode(pem_body(it)).ok())
        .ok_or_else(|| Unproved::Unsupported("it does not carry its public key".into()))?;
    let value = text("value").and_then(|it| URL_SAFE_NO_PAD.decode(it.trim_end_matches('=')).ok());
    let value = value.ok_or(Unproved::Wrong)?;
    let hash = text("hash_algorithm").unwrap_or_default();
    let signed = to_sign(document, node, hash)?;
    let algorithm = algorithm(&info.algorithm)?;
    let bits = key_bits(&key, &info.algorithm)
        .ok_or_else(|| Unproved::Unsupported("its public key cannot be read".into()))?;
    UnparsedPublicKey::new(algorithm, bits)
        .verify(signed.as_bytes(), &value)
        .map_err(|_| Unproved::Wrong)?;
    if info.revoked {
        return Err(Unproved::Revoked);
    }
    if info.related_to != playbook.id || info.related_version != playbook.modified {
        return Err(Unproved::OtherVersion);
    }
    let early = info.valid_from.is_some_and(|it| now < it);
    let late = info.valid_until.is_some_and(|it| now >= it);
    if early || late {
        return Err(Unproved::OutOfTime(now));
    }
    let owner = trusted.iter().find(|(_, it)| **it == key).map(|(name, _)| name.clone());
    owner.ok_or(Unproved::Untrusted)
}

/// The text that is signed: hex digits of the hash of the canonical playbook.
///
/// # Errors
///
/// A hash that we do not have.
pub fn to_sign(document: &Node, signature: &Node, hash: &str) -> Result<String, Unproved> {
    let text = canonical(document, signature);
    Ok(match hash {
        "sha-256" => hex(&Sha256::digest(text)),
        "sha-384" => hex(&Sha384::digest(text)),
        "sha-512" => hex(&Sha512::digest(text)),
        other => {
            return Err(Unproved::Unsupported(format!("hash `{}`", crate::fields::clip(other))));
        }
    })
}

/// The canonical playbook with `signature` alone, without its `value`.
pub fn canonical(document: &Node, signature: &Node) -> String {
    let mut bare = signature.clone();
    if let Value::Object(members) = &mut bare.value {
        members.retain(|it| it.key != "value");
    }
    let mut whole = document.clone();
    if let Value::Object(members) = &mut whole.value {
        for it in members.iter_mut().filter(|it| it.key == "signatures") {
            it.value.value = Value::Array(vec![bare.clone()]);
        }
    }
    jcs::canonical(&whole)
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}

fn algorithm(name: &str) -> Result<&'static dyn VerificationAlgorithm, Unproved> {
    Ok(match name {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
        "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
        "Ed25519" => &signature::ED25519,
        other => {
            let name = crate::fields::clip(other);
            return Err(Unproved::Unsupported(format!("algorithm `{name}`")));
        }
    })
}

/// Base64 of a key that may stand between PEM lines.
fn pem_body(text: &str) -> String {
    text.lines().filter(|it| !it.starts_with("-----")).flat_map(str::split_whitespace).collect()
}

/// Object identifiers of the kinds of key that an algorithm may be used with.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The bit string of a SubjectPublicKeyInfo (RFC 5280, §4.1), if its kind fits the algorithm.
fn key_bits<'a>(spki: &'a [u8], algorithm: &str) -> Option<&'a [u8]> {
    let (outer, rest) = element(spki, 0x30)?;
    if !rest.is_empty() {
        return None;
    }
    let (kind, rest) = element(outer, 0x30)?;
    let (oid, _) = element(kind, 0x06)?;
    let fits = match algorithm.get(..2)? {
        "RS" | "PS" => oid == RSA,
        "ES" => oid == EC,
        _ => oid == ED25519,
    };
    let (bits, rest) = element(rest, 0x03)?;
    // The first byte counts unused bits; a key has none.
    let (unused, bits) = bits.split_first()?;
    (fits && *unused == 0 && rest.is_empty()).then_some(bits)
}

/// The content of the DER element with `tag` at the start of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (digits.iter().fold(0, |sum, it| sum << 8 | usize::from(*it)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}
