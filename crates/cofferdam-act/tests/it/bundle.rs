//! Authorisation bundles: made, written, read, and refused when hostile.

use crate::support::{CHAIN, NOW, guardian_call, guardian_scope, key};
use alloy::primitives::{Address, Bytes, U256, hex};
use cofferdam_act::{
    Authorisation, Authorisations, Bundle, BundleError, Scope, Signer, Terms,
    bundle::{Invalid, Unusable},
};
use cofferdam_core::{ChainId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const TERMS: Terms = Terms { nonce: U256::ZERO, deadline: 1_790_086_400, epoch: 3 };

async fn signed() -> Authorisation {
    let signers = [key(0x51), key(0x52), key(0x53)];
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    Authorisation::sign(CHAIN, guardian_scope(), TERMS, &signers).await.unwrap()
}

fn safe_scope() -> Scope {
    let at = Address::repeat_byte;
    let data = Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]);
    Scope::SafeModule { module: at(1), safe: at(2), to: at(3), data }
}

#[tokio::test]
async fn a_bundle_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let signer = key(0x51);
    let safe = Authorisation::sign(CHAIN, safe_scope(), TERMS, &[signer.as_ref()]).await.unwrap();
    let bundle = Bundle::new(CHAIN, vec![signed().await, safe]);
    let path = folder.path().join("pause.json");
    bundle.write(&path).unwrap();
    assert_eq!(Bundle::read(&path).unwrap(), bundle);
    let all = Authorisations::load(folder.path()).unwrap();
    assert_eq!((all.len(), all.covering(CHAIN, &guardian_call()).len()), (2, 1));
    assert!(all.covering(ChainId(1), &guardian_call()).is_empty());
    assert!(matches!(bundle.write(&path), Err(BundleError::Io { .. })), "never overwritten");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_signature_is_shown_nowhere() {
    let it = signed().await;
    let signature = hex::encode(&it.signatures[0].signature);
    let bundle = Bundle::new(CHAIN, vec![it]);
    let all = Authorisations::from_bundles(vec![bundle.clone()]).unwrap();
    let shown = format!("{bundle:?} {all:?}").to_lowercase();
    assert!(shown.contains("pause") || shown.contains("guardian"));
    assert!(!shown.contains(&signature[..16]));
    // Neither by the error about a file that has it in the wrong place.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.json");
    let text = serde_json::to_string(&bundle)
        .unwrap()
        .replace("\"epoch\":3", &format!("\"epoch\":\"{signature}\""));
    std::fs::write(&path, text).unwrap();
    let error = Bundle::read(&path).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&signature[..16]), "{error}");
}

#[tokio::test]
async fn every_change_of_what_was_signed_is_noticed() {
    let good = signed().await;
    let check = |change: &dyn Fn(&mut Authorisation)| {
        let mut it = good.clone();
        change(&mut it);
        it.verify(CHAIN).unwrap_err()
    };
    let wrong = |it: Invalid| assert!(matches!(it, Invalid::WrongSigner { .. }), "{it}");
    wrong(check(&|it| it.nonce += U256::from(1)));
    wrong(check(&|it| it.deadline += 1));
    wrong(check(&|it| it.epoch += 1));
    wrong(check(&|it| it.scope = safe_scope()));
    wrong(good.verify(ChainId(1)).unwrap_err());
    assert!(matches!(check(&|it| it.signatures.swap(0, 1)), Invalid::Order { .. }));
    assert!(matches!(
        check(&|it| it.signatures[1] = it.signatures[0].clone()),
        Invalid::Order { .. }
    ));
    assert!(matches!(check(&|it| it.signatures.clear()), Invalid::NoSigner));
    assert!(matches!(check(&|it| it.deadline = 1 << 48), Invalid::Time));
    let shape = |change: &dyn Fn(&mut Vec<u8>)| {
        let it = check(&|it| {
            let mut bytes = it.signatures[0].signature.to_vec();
            change(&mut bytes);
            it.signatures[0].signature = bytes.into();
        });
        assert!(matches!(it, Invalid::SignatureShape { .. }), "{it}");
    };
    shape(&|it| it.truncate(64));
    shape(&|it| it.clear());
    shape(&|it| it[64] -= 27);
    shape(&|it| it[32..64].fill(0xff));
    shape(&|it| it[..64].fill(0));
}

#[tokio::test]
async fn windows_and_epochs_are_kept_to_the_second() {
    let it = signed().await;
    let at = |secs: u64, ms: u64| Timestamp(secs * 1_000 + ms);
    assert_eq!(it.usable(at(TERMS.deadline, 999), Some(3)), Ok(()));
    assert!(matches!(it.usable(at(TERMS.deadline + 1, 0), None), Err(Unusable::Expired { .. })));
    let wrong = Unusable::WrongEpoch { signed: 3, actual: 4 };
    assert_eq!(it.usable(NOW, Some(4)), Err(wrong));
    let scope = match guardian_scope() {
        Scope::Guardian { guardian, action_id, tier, .. } => {
            Scope::Guardian { guardian, action_id, tier, not_before: NOW.0 / 1_000 }
        }
        other => other,
    };
    let signer = key(1);
    let it = Authorisation::sign(CHAIN, scope, TERMS, &[signer.as_ref()]).await.unwrap();
    assert_eq!(it.usable(NOW, None), Ok(()));
    assert!(matches!(it.usable(Timestamp(NOW.0 - 1), None), Err(Unusable::TooEarly { .. })));
    let backwards = Terms { deadline: 5, ..TERMS };
    assert!(Authorisation::sign(CHAIN, it.scope, backwards, &[signer.as_ref()]).await.is_err());
}

#[tokio::test]
async fn duplicates_and_shared_nonces_are_refused() {
    let signer = key(0x51);
    let sign = async |terms, scope| {
        Authorisation::sign(CHAIN, scope, terms, &[signer.as_ref()]).await.unwrap()
    };
    let one = sign(TERMS, guardian_scope()).await;
    let load =
        |list: Vec<Authorisation>| Authorisations::from_bundles(vec![Bundle::new(CHAIN, list)]);
    let error = load(vec![one.clone(), one.clone()]).unwrap_err();
    assert!(matches!(error, BundleError::Invalid { index: 2, source: Invalid::Duplicate, .. }));
    let longer = sign(Terms { deadline: TERMS.deadline + 1, ..TERMS }, guardian_scope()).await;
    let error = load(vec![one.clone(), longer]).unwrap_err();
    let shared = |it: &BundleError| {
        matches!(it, BundleError::Invalid { source: Invalid::NonceShared { .. }, .. })
    };
    assert!(shared(&error));
    // The same nonce at another contract is another nonce.
    let elsewhere = sign(TERMS, safe_scope()).await;
    let mut all = load(vec![one.clone(), elsewhere]).unwrap();
    all.join(load(vec![one]).unwrap()).unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn contract_signers_are_left_to_the_chain() {
    let mut it = signed().await;
    it.signatures[1].signature = Bytes::from_static(b"whatever the contract wants");
    it.signatures[1].contract = true;
    assert_eq!(it.verify(CHAIN), Ok(()));
    it.signatures[1].signature = vec![0; 20_000].into();
    assert!(matches!(it.verify(CHAIN), Err(Invalid::SignatureLength { .. })));
}

async fn file(change: impl FnOnce(&mut Value)) -> BundleError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.json");
    let mut value = serde_json::to_value(Bundle::new(CHAIN, vec![signed().await])).unwrap();
    change(&mut value);
    std::fs::write(&path, value.to_string()).unwrap();
    Authorisations::load(folder.path()).unwrap_err()
}

#[tokio::test]
async fn hostile_files_are_errors_that_say_where() {
    let error = file(|it| it["authorisations"][0]["call"] = json!("0x00")).await;
    assert!(error.to_string().contains("unknown field `call`"), "{error}");
    let error = file(|it| it["authorisations"][0]["scope"]["value"] = json!("1")).await;
    assert!(error.to_string().contains("unknown field `value`"), "{error}");
    let error = file(|it| it["version"] = json!(2)).await;
    assert!(matches!(error, BundleError::Version { version: 2, .. }));
    let error = file(|it| it["authorisations"][0]["deadline"] = json!(-1)).await;
    assert!(matches!(error, BundleError::Malformed { .. }));
    let error = file(|it| it["authorisations"][0]["nonce"] = json!("0x1")).await;
    assert!(matches!(error, BundleError::Invalid { index: 1, .. }));
    let many = |it: &mut Value| {
        let one = it["authorisations"][0].clone();
        it["authorisations"] = json!(vec![one; 1_025]);
    };
    assert!(matches!(file(many).await, BundleError::TooLarge { .. }));
    let folder = tempfile::tempdir().unwrap();
    assert!(Authorisations::load(folder.path()).unwrap().is_empty());
    assert!(Authorisations::load(&folder.path().join("absent")).is_err());
    for text in ["", "[", "{}", "null", &"[".repeat(100_000), "\u{feff}{}"] {
        std::fs::write(folder.path().join("b.json"), text).unwrap();
        assert!(matches!(Authorisations::load(folder.path()), Err(BundleError::Malformed { .. })));
    }
    std::fs::write(folder.path().join("b.json"), vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(matches!(Authorisations::load(folder.path()), Err(BundleError::TooLarge { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_file_with_any_byte_changed_never_loads_as_something_else(at in 0usize..4_000, to in any::<u8>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bundle = Bundle::new(CHAIN, vec![runtime.block_on(signed())]);
        let mut text = serde_json::to_vec(&bundle).unwrap();
        let at = at % text.len();
        text[at] = to;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.json");
        std::fs::write(&path, text).unwrap();
        if let Ok(read) = Bundle::read(&path) {
            prop_assert_eq!(read, bundle);
        }
    }
}
