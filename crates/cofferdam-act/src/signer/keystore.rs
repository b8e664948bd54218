//! Keystore files: Web3 Secret Storage, version 3.
//!
//! **Invariant:** a file is checked before it reaches the decryption, whose work and memory it
//! would otherwise choose, and which indexes without looking. No text of the file gets into an error.

use std::{fs::File, io::Read as _, path::Path};

use alloy::{primitives::hex, signers::local::PrivateKeySigner};
use cofferdam_core::secret::Secret;
use serde::Deserialize;

use super::KeyError;

/// Largest keystore file, in bytes; real ones have about 500.
const FILE_BYTES_MAX: u64 = 65_536;
/// Largest scrypt cost (N); common files use 2^13 to 2^18.
const SCRYPT_N_MAX: u32 = 1 << 20;
/// Largest memory that scrypt may ask for, in bytes (128·N·r).
const SCRYPT_BYTES_MAX: u64 = 1 << 30;
/// Largest scrypt parallelism.
const SCRYPT_P_MAX: u32 = 16;
/// Most PBKDF2 rounds; common files use 262,144.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;

/// Opens the keystore at `path`.
pub(super) fn open(
    path: &Path,
    password: &Secret,
    password_env: &str,
) -> Result<PrivateKeySigner, KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
    let malformed = |what| KeyError::Malformed { path: path.to_owned(), what };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(malformed("it is larger than 64 KiB"));
    }
    check(&text).map_err(malformed)?;
    let wrong = |_| KeyError::WrongPassword {
        path: path.to_owned(),
        password_env: password_env.to_owned(),
    };
    PrivateKeySigner::decrypt_keystore(path, password.expose()).map_err(wrong)
}

#[derive(Deserialize)]
struct Store {
    version: u8,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    dklen: u32,
    salt: String,
    n: Option<u32>,
    r: Option<u32>,
    p: Option<u32>,
    c: Option<u32>,
    prf: Option<String>,
}

fn check(text: &[u8]) -> Result<(), &'static str> {
    let store: Store = serde_json::from_slice(text)
        .map_err(|_| "it is not a Web3 Secret Storage file (JSON with `version` and `crypto`)")?;
    let bytes = |text: &str| hex::decode(text).map(|it| it.len()).ok();
    let crypto = &store.crypto;
    let rules = [
        (store.version == 3, "its version is not 3"),
        (crypto.cipher == "aes-128-ctr", "its cipher is not aes-128-ctr"),
        (bytes(&crypto.cipherparams.iv) == Some(16), "its iv is not 16 bytes of hex"),
        (bytes(&crypto.ciphertext) == Some(32), "its ciphertext is not 32 bytes of hex"),
        (bytes(&crypto.mac) == Some(32), "its mac is not 32 bytes of hex"),
        (crypto.kdfparams.dklen == 32, "its derived key is not 32 bytes long"),
        (bytes(&crypto.kdfparams.salt).is_some(), "its salt is not hex"),
    ];
    if let Some((_, what)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(what);
    }
    match crypto.kdf.as_str() {
        "scrypt" => check_scrypt(&crypto.kdfparams),
        "pbkdf2" => check_pbkdf2(&crypto.kdfparams),
        _ => Err("its kdf is neither scrypt nor pbkdf2"),
    }
}

fn check_scrypt(params: &KdfParams) -> Result<(), &'static str> {
    let (Some(n), Some(r), Some(p)) = (params.n, params.r, params.p) else {
        return Err("its scrypt parameters are not complete");
    };
    // The decryption picks PBKDF2 if `c` and `prf` are there, whatever `kdf` says.
    if params.c.is_some() || params.prf.is_some() {
        return Err("its parameters mix scrypt and pbkdf2");
    }
    let memory = 128 * u64::from(n) * u64::from(r);
    let sound = n.is_power_of_two()
        && (2..=SCRYPT_N_MAX).contains(&n)
        && r >= 1
        && memory <= SCRYPT_BYTES_MAX
        && (1..=SCRYPT_P_MAX).contains(&p);
    if sound { Ok(()) } else { Err("its scrypt parameters ask for more work than is allowed") }
}

fn check_pbkdf2(params: &KdfParams) -> Result<(), &'static str> {
    let rounds = params.c.ok_or("its pbkdf2 parameters are not complete")?;
    if params.prf.as_deref() != Some("hmac-sha256") {
        return Err("its pbkdf2 function is not hmac-sha256");
    }
    let sound = (1..=PBKDF2_ROUNDS_MAX).contains(&rounds);
    if sound { Ok(()) } else { Err("its pbkdf2 parameters ask for more work than is allowed") }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use cofferdam_core::secret::Secret;

    use super::{KeyError, check, open};

    // Key 0x42…42 under password "correct horse", scrypt N = 16.
    const GOOD: &str = include_str!("../../tests/data/keystore.json");

    fn file(name: &str, text: &[u8]) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("cofferdam-act-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_keystore_opens_with_its_password_only() {
        let path = file("good.json", GOOD.as_bytes());
        let key = open(&path, &Secret::new("correct horse"), "PW").unwrap();
        assert_eq!(key.to_bytes().0, [0x42; 32]);
        let error = open(&path, &Secret::new("battery staple"), "PW").unwrap_err();
        assert!(matches!(error, KeyError::WrongPassword { .. }));
        assert!(!format!("{error}{error:?}").contains("battery"));
        let absent = open(Path::new("absent.json"), &Secret::new(""), "PW");
        assert!(matches!(absent, Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn hostile_keystores_are_refused_before_any_work() {
        let change = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            GOOD.replacen(from, to, 1)
        };
        let iv = "00112233445566778899aabbccddeeff";
        for text in [
            change("\"dklen\": 32", "\"dklen\": 8"),
            change("\"n\": 16", "\"n\": 2147483648"),
            change("\"n\": 16", "\"n\": 0"),
            change("\"n\": 16", "\"n\": 17"),
            change("\"r\": 8", "\"r\": 4294967295"),
            change("\"p\": 1", "\"p\": 1000000"),
            change("\"p\": 1", "\"p\": 1, \"c\": 4294967295, \"prf\": \"hmac-sha256\""),
            change(iv, "00"),
            change("aes-128-ctr", "none"),
            change("\"version\": 3", "\"version\": 1"),
            change("scrypt", "rot13"),
            "[".repeat(60_000),
            String::new(),
            "{}".into(),
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        let path = file("huge.json", &vec![b' '; 70_000]);
        let error = open(&path, &Secret::new(""), "PW").unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }));
    }
}
