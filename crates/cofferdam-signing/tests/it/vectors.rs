//! The hash vectors of the shared standards pack, which another implementation has checked.

use std::{fs::File, io::Read as _, path::Path};

use alloy_primitives::{Address, B256};
use cofferdam_core::ChainId;
use cofferdam_signing::{SafeDomain, SafeTx, SafeVersion};
use serde::Deserialize;
use serde_json::Value;

const VECTORS: &str = "../../../shared/data/standards/safe-tx/vectors.json.zst";

#[derive(Deserialize)]
struct Vector {
    safe_version: SafeVersion,
    chain_id: u64,
    safe: Address,
    domain_hash: B256,
    message_hash: B256,
    safe_tx_hash: B256,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that skips says why")]
fn every_vector_of_the_pack_is_hashed_alike() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(VECTORS);
    let Ok(file) = File::open(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let mut text = String::new();
    let mut stream = ruzstd::decoding::StreamingDecoder::new(file).unwrap();
    stream.read_to_string(&mut text).unwrap();
    let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
    assert_eq!(vectors.len(), 300);
    for (index, mut it) in vectors.into_iter().enumerate() {
        it.rest.remove("call");
        let tx: SafeTx = serde_json::from_value(Value::Object(it.rest)).unwrap();
        let domain =
            SafeDomain { version: it.safe_version, chain: ChainId(it.chain_id), safe: it.safe };
        let hashes = domain.transaction(&tx);
        let ours = (hashes.domain, hashes.message, hashes.signed);
        assert_eq!(ours, (it.domain_hash, it.message_hash, it.safe_tx_hash), "vector {index}");
    }
}
