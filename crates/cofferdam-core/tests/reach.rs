//! The parts of a plan that reach outside: builders, notifiers, and what fees may cost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use alloy_primitives::U256;
use cofferdam_core::{
    Usd,
    plan::{self, BasisPoints, BuilderMethod, Channel, KeySource},
};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn with(more: &str) -> String {
    format!("{}\n{more}\n", plan::template("Example"))
}

fn errors(more: &str) -> String {
    plan::parse(&with(more), "plan.toml").unwrap_err().to_string()
}

#[test]
fn builders_and_notifiers_are_read() {
    let text = with(
        r#"
[[chains.builders]]
id = "one"
endpoint = "env:BUILDER"
identity = { from = "env", name = "SEARCHER" }
[[chains.builders]]
id = "two"
endpoint = "https://relay.example"
method = "private-transaction"
[[notifiers]]
id = "duty"
channel = { to = "pagerduty", routing-key-env = "PD" }
[[notifiers]]
id = "am"
channel = { to = "alertmanager", url = "http://am.internal:9093" }
"#,
    );
    let plan = plan::parse(&text, "plan.toml").unwrap_or_else(|it| panic!("{it}"));
    let builders = &plan.chains[0].builders;
    assert_eq!(builders[0].method, BuilderMethod::Bundle);
    assert_eq!(builders[0].identity, Some(KeySource::Env { name: "SEARCHER".into() }));
    assert_eq!(builders[1].method, BuilderMethod::PrivateTransaction);
    let Channel::Pagerduty { url, .. } = &plan.notifier("duty").unwrap().channel else { panic!() };
    assert_eq!(url, "https://events.pagerduty.com/v2/enqueue");
    let Channel::Alertmanager { heartbeat, .. } = &plan.notifier("am").unwrap().channel else {
        panic!()
    };
    assert_eq!(heartbeat.0, 30_000);
}

#[test]
fn what_would_give_access_or_reach_nobody_is_refused_without_being_repeated() {
    let cases = [
        format!(
            "[[notifiers]]\nid = \"a\"\nchannel = {{ to = \"slack\", url = \"https://x.example/{KEY}\" }}"
        ),
        format!(
            "[[notifiers]]\nid = \"a\"\nchannel = {{ to = \"pagerduty\", routing-key-env = \"{KEY}\" }}"
        ),
        format!("[[chains.builders]]\nid = \"a\"\nendpoint = \"https://x.example/{KEY}\""),
        format!(
            "[[chains.builders]]\nid = \"a\"\nendpoint = \"https://x.example\"\nidentity = {{ from = \"env\", name = \"{KEY}\" }}"
        ),
    ];
    for case in cases {
        let told = errors(&case);
        assert!(!told.contains(KEY), "{told}");
    }
    let slow = "[[notifiers]]\nid = \"a\"\nchannel = { to = \"alertmanager\", url = \"http://a\", heartbeat = \"2h\" }";
    assert!(errors(slow).contains("heartbeat"), "{}", errors(slow));
    let socket = "[[notifiers]]\nid = \"a\"\nchannel = { to = \"webhook\", url = \"ws://a\", secret-env = \"S\" }";
    assert!(errors(socket).contains("over HTTP only"), "{}", errors(socket));
    let twice = "[[notifiers]]\nid = \"a\"\nchannel = { to = \"syslog\", address = \"l:514\" }\n";
    assert!(errors(&twice.repeat(2)).contains("`a` is the name of another"));
}

#[test]
fn what_fees_may_cost_grows_with_the_value_at_risk() {
    let mut plan = plan::parse(&with(""), "plan.toml").unwrap_or_else(|it| panic!("{it}"));
    let mut action = plan.actions[0].clone();
    let eth = |tenths: u64| U256::from(tenths) * U256::from(10u64.pow(17));
    assert_eq!(action.fee_budget.0, eth(5));
    // 0.1 % of 10 M dollars at 2,500 dollars.
    assert_eq!(plan.fee_cap(&action, Usd::whole(10_000_000)), eth(40));
    assert_eq!(plan.fee_cap(&action, Usd::whole(1_000)), eth(5), "the budget is always there");
    assert_eq!(plan.fee_cap(&action, Usd(-1)), eth(5));
    action.fee_share = BasisPoints(u64::MAX);
    assert_eq!(plan.fee_cap(&action, Usd::whole(2_500)), eth(10), "a share is at most the whole");
    plan.entities.iter_mut().for_each(|it| it.assets.clear());
    assert_eq!(plan.fee_cap(&action, Usd::whole(10_000_000)), eth(5), "without a price");
}
