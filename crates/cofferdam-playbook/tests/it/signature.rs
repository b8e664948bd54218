//! Signatures against the vector of the standard and a tampered twin.

use base64::{Engine, engine::general_purpose::STANDARD};
use cofferdam_core::Timestamp;
use cofferdam_playbook::{
    Profile, json, read,
    sign::{self, Trusted, Unproved},
};

use crate::pack::{NOW, folder};

#[test]
fn the_vector_of_the_standard_verifies() {
    let Some(path) = folder("signature-vector-rsa.json") else { return };
    let vector = json::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |key: &str| vector.get(key).unwrap().as_str().unwrap();
    let document = vector.get("to_sign").unwrap();
    let json::Value::Array(signatures) = &document.get("signatures").unwrap().value else {
        panic!("a list")
    };
    assert_eq!(sign::canonical(document, &signatures[0]), text("canonical"));
    assert_eq!(
        sign::to_sign(document, &signatures[0], "sha-256").as_deref(),
        Ok(text("sha256_hex"))
    );
    // The same playbook as received, with one and with two signatures.
    let trusted =
        Trusted::from([("ACME".to_owned(), STANDARD.decode(text("public_key_spki_b64")).unwrap())]);
    let then = Timestamp(1_677_000_000_000);
    for key in ["received_one_signature", "received_two_signatures"] {
        let received = vector.get(key).unwrap();
        let source = serde_json::to_string(&received.to_serde()).unwrap();
        let reading = read(&source, Profile::Strict);
        // The published example has no workflow and could not be run; its signatures are what they are.
        assert!(reading.accepted().is_none());
        let playbook = reading.playbook.as_ref().unwrap();
        let verdicts = sign::verify(received, playbook, &trusted, then);
        let ours = verdicts.iter().find(|it| it.signee == "ACME Cyber Company").unwrap();
        assert_eq!(ours.result, Ok("ACME".to_owned()), "{key}");
    }
}

#[test]
fn a_tampered_twin_does_not_verify_and_a_key_inside_proves_nothing() {
    let Some(folder) = folder("defi-golden") else { return };
    let judge = |file: &str, trust: bool, now| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let reading = read(&text, Profile::Strict);
        let document = reading.document.clone().unwrap();
        let key = match &document.get("signatures").unwrap().value {
            json::Value::Array(items) => {
                STANDARD.decode(items[0].get("public_key").unwrap().as_str().unwrap()).unwrap()
            }
            _ => panic!("a list"),
        };
        let trusted =
            if trust { Trusted::from([("owner".to_owned(), key)]) } else { Trusted::new() };
        let playbook = reading.accepted().expect("a good playbook").clone();
        sign::verify(&document, &playbook, &trusted, now).remove(0).result
    };
    assert_eq!(judge("emergency-pause.signed.json", true, NOW), Ok("owner".to_owned()));
    assert_eq!(judge("emergency-pause.signed.json", false, NOW), Err(Unproved::Untrusted));
    assert_eq!(judge("emergency-pause.tampered.json", true, NOW), Err(Unproved::Wrong));
}
