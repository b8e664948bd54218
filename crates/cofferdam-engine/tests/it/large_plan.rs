//! A plan of a thousand detectors, of every kind that needs no settings.

use std::fmt::Write as _;

use cofferdam_core::plan;
use cofferdam_detect::DETECTORS;
use cofferdam_engine::{Engine, Limits};

/// Detectors that cannot do without settings.
const SET: [&str; 4] = ["bridge", "expression", "governance", "oracle-price"];

#[test]
fn a_plan_of_a_thousand_detectors_builds_every_one_of_them() {
    let mut text = String::from(
        "version = 1\nname = \"large\"\nchains = [{ id = \"eip155:1\", endpoints = [\"env:NODE\"] }]\n",
    );
    for at in 0..100 {
        let entity = format!(
            "[[entities]]\nid = \"e{at}\"\naccounts = [\"eip155:1:0x{:040x}\"]\nvalue-at-risk = \"1 usd\"\n\
             assets = [{{ token = \"0x{:040x}\", symbol = \"T\", decimals = 18, price = \"1 usd\" }}]\n",
            at + 4_096,
            at + 8_192
        );
        text.push_str(&entity);
    }
    let kinds: Vec<&str> =
        DETECTORS.iter().map(|it| it.meta.id).filter(|it| !SET.contains(it)).collect();
    for at in 0..1_000 {
        let kind = kinds[at % kinds.len()];
        writeln!(
            text,
            "[[rules]]\nid = \"r{at}\"\ndetector = \"{kind}\"\nentities = [\"e{}\"]",
            at % 100
        )
        .expect("writing to a string cannot fail");
    }
    let plan = plan::parse(&text, "plan.toml").expect("a plan");
    let engine = Engine::new(plan, Limits::default()).expect("rules that build");
    assert_eq!(engine.detectors(), 1_000);
}
