//! The plan that a new protocol starts with.

/// The text of the starter plan, with a place for the protocol's name.
const TEXT: &str = include_str!("template.toml");
/// Stands for the protocol's name in [`TEXT`].
const NAME: &str = "\"PROTOCOL\"";

/// A commented starter plan for `protocol`. It passes [`super::parse`]; its addresses are examples.
pub fn template(protocol: &str) -> String {
    let clean = |it: char| if it.is_control() { ' ' } else { it };
    let name: String = protocol.chars().map(clean).take(100).collect();
    let name = if name.trim().is_empty() { "My protocol" } else { name.trim() };
    TEXT.replacen(NAME, &toml::Value::from(name).to_string(), 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::template;
    use crate::plan::parse;

    #[test]
    fn the_starter_plan_is_a_plan() {
        let plan = parse(&template("Example Lending"), "plan.toml");
        assert_eq!(plan.map(|it| it.name), Ok("Example Lending".to_owned()));
    }

    proptest! {
        #[test]
        fn the_starter_plan_is_a_plan_whatever_the_name(name in any::<String>()) {
            prop_assert!(parse(&template(&name), "plan.toml").is_ok());
        }
    }
}
