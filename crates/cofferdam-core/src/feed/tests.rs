//! What feeds say is read, bounded or refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

use super::{FeedError, Report, read};
use crate::{
    BlockRef, ChainId, Class, Severity, Timestamp, Usd,
    plan::{Feed, Plan},
};

const VAULT: &str = "0x00000000000000000000000000000000000000aa";
const PLAN: &str = r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:1"
[[entities]]
id = "vault"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
[[entities]]
id = "other"
accounts = ["eip155:1:0x00000000000000000000000000000000000000bb"]
[[rules]]
id = "told"
detector = "external"
entities = ["vault"]
[[feeds]]
id = "own"
rule = "told"
from = { via = "webhook", secret-env = "SECRET" }
[[feeds]]
id = "forta"
rule = "told"
from = { via = "webhook", secret-env = "SECRET" }
weight-millinats = 6000
[feeds.map]
each = "/alerts"
only = [{ at = "/alertId", is = ["AD-1", "AD-2"] }]
chain = "/source/block/chainId"
block = "/source/block/hash"
tx = "/source/transactionHash"
subjects = ["/addresses"]
actors = ["/metadata/attacker"]
severity = "/severity"
severities = { CRITICAL = "critical", HIGH = "high", LOW = "low" }
summary = "/description"
loss-usd = "/metadata/loss"
evidence = { alert = "/alertId" }
"#;

fn plan() -> Plan {
    crate::plan::read(PLAN, "plan.toml").unwrap().0
}

fn feed<'a>(plan: &'a Plan, id: &str) -> &'a Feed {
    plan.feeds.iter().find(|it| it.id == id).unwrap()
}

fn head() -> BlockRef {
    let (hash, parent) = (B256::repeat_byte(7), B256::repeat_byte(6));
    BlockRef { chain: ChainId(1), number: 9, hash, parent, time: Timestamp(0) }
}

fn alert() -> Value {
    json!({
        "alertId": "AD-1", "severity": "Critical", "description": "funds\u{7} drained",
        "addresses": ["0x00000000000000000000000000000000000000ff", VAULT],
        "source": {
            "block": {"chainId": 1, "hash": B256::repeat_byte(5)},
            "transactionHash": B256::repeat_byte(4),
        },
        "metadata": {"attacker": "0x00000000000000000000000000000000000000ee", "loss": 1234.56789012},
    })
}

fn alerts(alerts: Value) -> Vec<u8> {
    json!({ "alerts": alerts }).to_string().into_bytes()
}

#[test]
fn a_foreign_alert_is_mapped_and_bounded() {
    let plan = plan();
    let forta = feed(&plan, "forta");
    let reports = read(forta, &plan, &alerts(json!([alert()]))).unwrap();
    let [report] = &reports[..] else { panic!("one report: {reports:?}") };
    assert_eq!(report.block, Some(B256::repeat_byte(5)));
    let finding = report.clone().finding(forta, &plan, head()).unwrap();
    assert_eq!(finding.entity, "vault");
    assert_eq!((finding.severity, finding.class), (Severity::High, Class::Suspicion));
    assert_eq!(finding.llr_millinats, 6_000);
    assert_eq!(finding.loss, Usd(1_234_567_890));
    assert_eq!(finding.summary, "funds  drained");
    assert_eq!(finding.actors, [Address::with_last_byte(0xee)]);
    let again = read(forta, &plan, &alerts(json!([alert()]))).unwrap();
    let again = again[0].clone().finding(forta, &plan, head()).unwrap();
    assert_eq!(again.id, finding.id, "told twice, it is one finding");
}

#[test]
fn what_is_not_wanted_or_not_watched_is_left_out() {
    let plan = plan();
    let forta = feed(&plan, "forta");
    let mut other = alert();
    other["alertId"] = "NOISE".into();
    let mut elsewhere = alert();
    elsewhere["addresses"] = json!(["0x00000000000000000000000000000000000000bb"]);
    let mut chain = alert();
    chain["source"]["block"]["chainId"] = 2.into();
    let told = read(forta, &plan, &alerts(json!([other, elsewhere, chain])));
    assert_eq!(told, Ok(vec![]));
}

#[test]
fn a_part_that_is_not_what_it_should_be_is_an_error_that_says_where() {
    let plan = plan();
    let forta = feed(&plan, "forta");
    for (pointer, value, says) in [
        ("/severity", json!("APOCALYPTIC"), "severity at `/severity`"),
        ("/source/transactionHash", json!("0x12"), "transaction at `/source/transactionHash`"),
        ("/source/block/chainId", json!({}), "chain at `/source/block/chainId`"),
        ("/metadata/loss", json!("-5"), "loss at `/metadata/loss`"),
    ] {
        let mut wrong = alert();
        *wrong.pointer_mut(pointer).unwrap() = value;
        let error = read(forta, &plan, &alerts(json!([wrong]))).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    let many = alerts(Value::Array(vec![alert(); 101]));
    assert!(matches!(read(forta, &plan, &many), Err(FeedError::TooLarge { .. })));
    assert!(matches!(read(forta, &plan, b"{"), Err(FeedError::Unreadable { .. })));
}

#[test]
fn our_own_format_cannot_claim_more_than_the_plan_allows() {
    let plan = plan();
    let own = feed(&plan, "own");
    let told = json!({
        "chain": "eip155:1", "subject": VAULT, "summary": "it burns", "severity": "critical",
        "llr-millinats": 1_000_000, "loss": "5 usd",
        "evidence": [{"label": "why", "value": "because"}],
    });
    let report = read(own, &plan, told.to_string().as_bytes()).unwrap().remove(0);
    let finding = report.finding(own, &plan, head()).unwrap();
    assert_eq!((finding.severity, finding.llr_millinats), (Severity::High, 4_000));
    assert_eq!(finding.class, Class::Suspicion);
    let mut more = told.clone();
    more["class"] = "damage".into();
    let refused = read(own, &plan, more.to_string().as_bytes());
    assert!(matches!(refused, Err(FeedError::Unreadable { .. })), "{refused:?}");
    let mut negative = told;
    negative["llr-millinats"] = (-9_000).into();
    let report: Report = read(own, &plan, negative.to_string().as_bytes()).unwrap().remove(0);
    assert_eq!(report.finding(own, &plan, head()).unwrap().llr_millinats, 0, "no feed acquits");
}

/// Every message with some bytes changed is read or refused, and nothing else.
#[test]
fn mangled_messages_do_no_harm() {
    let plan = plan();
    let message = alerts(json!([alert(), alert()]));
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut mangled = message.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            let at = (seed >> 33) as usize % mangled.len();
            mangled[at] = (seed >> 17) as u8;
        }
        for feed in &plan.feeds {
            for report in read(feed, &plan, &mangled).unwrap_or_default() {
                let finding = report.finding(feed, &plan, head()).unwrap();
                assert_eq!(finding.entity, "vault");
                assert!(finding.llr_millinats <= feed.weight_millinats);
            }
        }
    }
}
