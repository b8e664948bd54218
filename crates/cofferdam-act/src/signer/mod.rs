//! Signers: who can sign a containment transaction or an authorisation.
//!
//! **Invariant:** a key never leaves its signer. Nothing here has a `Display`, a `Serialize` or a
//! `Debug` that shows key material, and no error holds any part of a key, a password or a file's text.

mod keystore;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::{
    primitives::{Address, B256, Signature, hex},
    signers::{SignerSync, local::PrivateKeySigner},
};
use cofferdam_core::{
    plan::{KeySource, Relayer},
    ports::{Boxed, Cause},
    secret::Secret,
};

/// Signs 32-byte hashes with a secp256k1 key: a key in memory, a KMS, a hardware wallet.
///
/// The same hash must always give the same signature (RFC 6979) or at least a valid one: a
/// transaction that is signed again then keeps its hash.
pub trait Signer: Send + Sync {
    /// The account whose key this is.
    fn address(&self) -> Address;
    /// Signs `hash`. `s` is in the lower half of the order (EIP-2).
    fn sign_hash(&self, hash: B256) -> Boxed<'_, Result<Signature, SignError>>;
}

/// Why a signer did not sign.
#[derive(Debug, thiserror::Error)]
#[error("signer {address} did not sign")]
pub struct SignError {
    /// Whose key it is.
    pub address: Address,
    /// The cause.
    #[source]
    pub source: Cause,
}

/// Why a key could not be loaded. No variant holds key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operator must set the variable.
    #[error("environment variable {name} is not set")]
    EnvMissing {
        /// Its name.
        name: String,
    },
    /// The operator must put a key into the variable.
    #[error("environment variable {name} does not hold a private key of 64 hex digits")]
    EnvMalformed {
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("keystore {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is no keystore that this release reads.
    #[error("keystore {} is refused: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The password does not open the file, or the file is damaged.
    #[error("keystore {} does not open with the password in {password_env}", path.display())]
    WrongPassword {
        /// The file.
        path: PathBuf,
        /// The variable that holds the password.
        password_env: String,
    },
    /// The key belongs to another account than the plan says.
    #[error("key of relayer {id} belongs to {actual}, the plan says {expected}")]
    WrongAccount {
        /// The relayer's name in the plan.
        id: String,
        /// The account in the plan.
        expected: Address,
        /// The account of the key.
        actual: Address,
    },
}

/// Looks a variable of the environment up; given by the caller, so that nothing here reads it.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Loads the key that `source` names. Relative paths start at `plan_dir`.
///
/// Opening a keystore takes its work factor of time (about a second): not on an async thread.
///
/// # Errors
/// [`KeyError`] says what the operator must change; it never holds key material.
pub fn load_signer(
    source: &KeySource,
    plan_dir: &Path,
    env: Env<'_>,
) -> Result<Arc<dyn Signer>, KeyError> {
    let read = |name: &str| {
        let text = env(name).ok_or_else(|| KeyError::EnvMissing { name: name.to_owned() })?;
        Ok(Secret::new(text.into_bytes()))
    };
    match source {
        KeySource::Env { name } => {
            let key = LocalKey::from_hex(&read(name)?)
                .ok_or_else(|| KeyError::EnvMalformed { name: name.clone() })?;
            Ok(Arc::new(key))
        }
        KeySource::Keystore { path, password_env } => {
            let password = read(password_env)?;
            let key = keystore::open(&plan_dir.join(path), &password, password_env)?;
            Ok(Arc::new(LocalKey(key)))
        }
    }
}

/// As [`load_signer`], for a relayer of the plan: its key must belong to its account.
///
/// # Errors
/// [`KeyError`], [`KeyError::WrongAccount`] included.
pub fn load_relayer(
    relayer: &Relayer,
    plan_dir: &Path,
    env: Env<'_>,
) -> Result<Arc<dyn Signer>, KeyError> {
    let signer = load_signer(&relayer.key, plan_dir, env)?;
    let (expected, actual) = (relayer.account.address, signer.address());
    if expected != actual {
        return Err(KeyError::WrongAccount { id: relayer.id.clone(), expected, actual });
    }
    Ok(signer)
}

/// A key held in memory.
pub struct LocalKey(PrivateKeySigner);

impl LocalKey {
    /// A key from 64 hex digits, with or without `0x`; `None` if it is none.
    pub fn from_hex(text: &Secret) -> Option<Self> {
        let mut bytes = [0u8; 32];
        let decoded = hex::decode_to_slice(text.expose().trim_ascii(), &mut bytes);
        let bytes = Secret::new(bytes);
        decoded.ok()?;
        PrivateKeySigner::from_slice(bytes.expose()).ok().map(Self)
    }
}

impl Signer for LocalKey {
    fn address(&self) -> Address {
        self.0.address()
    }

    fn sign_hash(&self, hash: B256) -> Boxed<'_, Result<Signature, SignError>> {
        let signed = self.0.sign_hash_sync(&hash);
        let signed =
            signed.map_err(|it| SignError { address: self.address(), source: Box::new(it) });
        Box::pin(std::future::ready(signed))
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKey({})", self.0.address())
    }
}

impl fmt::Debug for dyn Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cofferdam_core::{plan::KeySource, secret::Secret};

    use super::{KeyError, LocalKey, load_signer};

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    fn from_env(value: Option<&str>) -> Result<std::sync::Arc<dyn super::Signer>, KeyError> {
        let source = KeySource::Env { name: "RELAYER".into() };
        let value = value.map(str::to_owned);
        load_signer(&source, Path::new("."), &|name| value.clone().filter(|_| name == "RELAYER"))
    }

    #[test]
    fn a_key_comes_from_the_environment_with_or_without_prefix() {
        for text in [KEY.to_owned(), format!("0x{KEY}"), format!(" {KEY}\n")] {
            let signer = from_env(Some(&text)).unwrap();
            let address = signer.address().to_string();
            assert_eq!(address, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        }
    }

    #[test]
    fn a_bad_key_is_refused_and_not_repeated() {
        let short = &KEY[..62];
        for text in ["", "0x", short, "zz0974", &"f".repeat(64), &"0".repeat(64)] {
            let error = from_env(Some(text)).unwrap_err();
            assert!(matches!(error, KeyError::EnvMalformed { .. }), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(text.len() < 3 || !shown.contains(text), "{shown}");
        }
        assert!(matches!(from_env(None), Err(KeyError::EnvMissing { .. })));
    }

    #[test]
    fn a_key_does_not_print() {
        let key = LocalKey::from_hex(&Secret::new(KEY)).unwrap();
        assert!(!format!("{key:?}").contains("0974"));
    }
}
