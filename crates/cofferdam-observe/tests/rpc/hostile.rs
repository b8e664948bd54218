//! Whatever a node answers, decoding it returns.

use cofferdam_observe::rpc::{Checks, decode_block};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{CHAIN, chain::Chain};

const OFF: Checks = Checks { header_hash: false, logs_bloom: false, receipts_root: false };

fn honest() -> (Value, Value) {
    let mut chain = Chain::new();
    let hash = chain.mine(2);
    (chain.by_hash(hash, true), chain.receipts(hash))
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "0x[0-9a-f]{0,66}".prop_map(Value::from),
        Just(json!(format!("0x{}", "ff".repeat(32)))),
        Just(json!("0xffffffffffffffff")),
        Just(json!(format!("0x{}", "f".repeat(33)))),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z]{1,12}", inner), 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Every place in `value`, as a path.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                places(value, &format!("{at}/{key}"), all);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

fn decode(block: &Value, receipts: &Value) {
    for checks in [OFF, Checks::default()] {
        let _ = decode_block(CHAIN, &block.to_string(), &receipts.to_string(), checks);
    }
}

#[test]
fn an_honest_block_decodes_and_each_byte_of_its_logs_counts() {
    let (block, receipts) = honest();
    let decode = |receipts: &Value| {
        decode_block(CHAIN, &block.to_string(), &receipts.to_string(), Checks::default())
    };
    assert_eq!(decode(&receipts).unwrap().txs.len(), 2);
    let mut changed = receipts.clone();
    changed[0]["logs"][0]["data"] = json!("0x64617462");
    assert!(decode(&changed).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_json_never_panics_the_decoder(block in any_json(), receipts in any_json()) {
        decode(&block, &receipts);
    }

    #[test]
    fn a_block_with_anything_changed_never_panics_the_decoder(
        which in any::<prop::sample::Index>(),
        other in any_json(),
        in_receipts: bool,
    ) {
        let (mut block, mut receipts) = honest();
        let victim = if in_receipts { &mut receipts } else { &mut block };
        let mut all = Vec::new();
        places(victim, "", &mut all);
        let place = which.get(&all);
        *victim.pointer_mut(place).unwrap() = other;
        decode(&block, &receipts);
    }

    #[test]
    fn a_cut_or_garbled_text_never_panics_the_decoder(
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut: bool,
    ) {
        let (block, receipts) = honest();
        let mut text = block.to_string().into_bytes();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        let text = String::from_utf8_lossy(&text);
        let _ = decode_block(CHAIN, &text, &receipts.to_string(), OFF);
    }
}
