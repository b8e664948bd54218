//! The page: every example on it builds.

use cofferdam_core::ChainId;

use crate::{
    RuleSet,
    expr::{facts::KINDS, functions::FUNCTIONS},
    fixture::plan,
};

const PAGE: &str = include_str!("../../detectors/expression.md");

/// The addresses that the examples use.
const ENTITY: &str = r#"
    [[entities]]
    id = "vault"
    accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
    assets = [
        { token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 18, price = "1 usd" },
        { token = "native", symbol = "ETH", decimals = 18, price = "2000 usd" },
    ]
    value-at-risk = "1000000 usd"
"#;

#[test]
fn every_example_on_the_page_builds() {
    let mut count = 0;
    for block in PAGE.split("```toml\n").skip(1) {
        let example = block.split("```").next().unwrap_or_default();
        let plan = plan(&format!("{ENTITY}\n{example}"));
        if let Err(error) = RuleSet::build(&plan, ChainId(1)) {
            panic!("{example}\n{error:?}");
        }
        count += 1;
    }
    assert!(count >= 8, "only {count} examples");
}

#[test]
fn the_page_names_every_function_and_every_kind_of_fact() {
    for (name, _) in FUNCTIONS {
        assert!(PAGE.contains(&format!("`{name}(")), "{name}");
    }
    for kind in KINDS {
        assert!(PAGE.contains(&format!("`{}`", kind.name)), "{}", kind.name);
        for (field, _) in kind.fields {
            assert!(PAGE.contains(&format!("`{field}`")), "{field} of {}", kind.name);
        }
    }
}
