//! Golden values of the rate limiters, equal to the unit.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use cofferdam_risk::limiters::{CcipBucket, CcipConfig, CcipVersion, LayerZeroLimit, LimitError};
use common::json;

fn int(v: &serde_json::Value, key: &str) -> u128 {
    u128::from(v[key].as_u64().unwrap_or_else(|| panic!("{key} in {v}")))
}

#[test]
fn rate_limiters() {
    let g = json("rate_limiters.json");
    for version in [CcipVersion::Clamping, CcipVersion::Refilling] {
        let c = &g["ccip"];
        let config =
            CcipConfig { enabled: true, capacity: int(c, "capacity"), rate: int(c, "rate") };
        let mut bucket = CcipBucket::new(version, config, 0).unwrap();
        for e in c["events"].as_array().unwrap() {
            let now = e["t"].as_u64().unwrap();
            let got = bucket.consume(int(e, "amount"), now);
            assert_eq!(got.is_ok(), e["ok"].as_bool().unwrap(), "{e}");
            match (got, e["reason"].as_str()) {
                (Ok(()), None) => {}
                (Err(LimitError::ExceedsCapacity { .. }), Some("exceeds capacity")) => {}
                (Err(LimitError::RateLimited { wait_seconds, .. }), Some("rate limit")) => {
                    assert_eq!(wait_seconds, Some(int(e, "wait_s")), "{e}");
                }
                other => panic!("{e}: {other:?}"),
            }
            assert_eq!(bucket.tokens(now).unwrap(), int(e, "tokens_after"), "{e}");
        }
    }
    let l = &g["layerzero"];
    let mut limit = LayerZeroLimit::new(int(l, "limit"), l["window"].as_u64().unwrap(), 0);
    for e in l["events"].as_array().unwrap() {
        let now = e["t"].as_u64().unwrap();
        assert_eq!(limit.state(now).unwrap().1, int(e, "available_before"), "{e}");
        assert_eq!(limit.send(int(e, "amount"), now).is_ok(), e["ok"].as_bool().unwrap(), "{e}");
        assert_eq!(limit.state(now).unwrap().0, int(e, "in_flight_after"), "{e}");
    }
}
