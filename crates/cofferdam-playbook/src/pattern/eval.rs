//! Deciding a condition.
//!
//! **Invariant:** every test is decided from the variable's text and type alone; what cannot be
//! decided is a fault.

use std::{
    cmp::Ordering,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Condition, Expr, Literal, Op, Operand};
use crate::{
    number::Number,
    variable::{Variable, is_numeric},
};

/// Why a condition cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody defines the variable.
    #[error("`{0}` is defined nowhere")]
    Undefined(String),
    /// It has no value yet.
    #[error("`{0}` has no value")]
    NoValue(String),
    /// Its value and what it is compared with do not go together.
    #[error("`{variable}` of type `{kind}` cannot be compared with {with}")]
    Mismatch {
        /// Name of the variable.
        variable: String,
        /// Its type.
        kind: String,
        /// What it was to be compared with.
        with: &'static str,
    },
    /// The comparison would need more than 256 bits.
    #[error("`{0}` is too large to be compared exactly")]
    TooLarge(String),
}

impl Condition {
    /// Whether it holds for the variables that `lookup` finds.
    ///
    /// # Errors
    ///
    /// [`Fault`]: it cannot be decided.
    pub fn holds<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Variable>) -> Result<bool, Fault> {
        decide(&self.expr, lookup)
    }

    /// Tests that can never be decided, whatever the values will be, given the variables' types.
    pub fn mismatches<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Variable>) -> Vec<Fault> {
        let mut out = Vec::new();
        mismatches(&self.expr, lookup, &mut out);
        out
    }
}

fn decide<'a>(expr: &Expr, lookup: &dyn Fn(&str) -> Option<&'a Variable>) -> Result<bool, Fault> {
    match expr {
        Expr::And(items) => join(items, lookup, false),
        Expr::Or(items) => join(items, lookup, true),
        Expr::Not(it) => Ok(!decide(it, lookup)?),
        Expr::Exists(name) => Ok(lookup(name).is_some_and(|it| it.value.is_some())),
        Expr::Test { variable, op, operand } => {
            let found = lookup(variable).ok_or_else(|| Fault::Undefined(variable.clone()))?;
            let value = found.value.as_deref().ok_or_else(|| Fault::NoValue(variable.clone()))?;
            test(variable, &found.kind, value, *op, operand)
        }
    }
}

/// One part that is `decides` decides, in whatever order they stand; else a fault is a fault. So
/// `EXISTS a AND a = 1` guards, and no order of writing hides a fault that matters.
fn join<'a>(
    items: &[Expr],
    lookup: &dyn Fn(&str) -> Option<&'a Variable>,
    decides: bool,
) -> Result<bool, Fault> {
    let mut fault = None;
    for item in items {
        match decide(item, lookup) {
            Ok(it) if it == decides => return Ok(decides),
            Ok(_) => {}
            Err(it) => fault = fault.or(Some(it)),
        }
    }
    fault.map_or(Ok(!decides), Err)
}

fn test(name: &str, kind: &str, value: &str, op: Op, operand: &Operand) -> Result<bool, Fault> {
    match operand {
        Operand::Set(items) => {
            let mut found = false;
            for it in items {
                found |= compare(name, kind, value, it)? == Ordering::Equal;
            }
            Ok(found)
        }
        Operand::Regex(regex) => Ok(regex.is_match(value)),
        Operand::One(literal) => match (op, literal) {
            (Op::Like, Literal::Text(pattern)) => Ok(like(pattern, value)),
            (Op::Subset, Literal::Text(net)) => within(name, kind, value, net),
            (Op::Superset, Literal::Text(net)) => within(name, kind, net, value),
            _ => {
                let order = compare(name, kind, value, literal)?;
                Ok(match op {
                    Op::Unequal => order.is_ne(),
                    Op::Less => order.is_lt(),
                    Op::LessEqual => order.is_le(),
                    Op::Greater => order.is_gt(),
                    Op::GreaterEqual => order.is_ge(),
                    _ => order.is_eq(),
                })
            }
        },
    }
}

/// Numbers compare as numbers, everything else as text.
fn compare(name: &str, kind: &str, value: &str, with: &Literal) -> Result<Ordering, Fault> {
    let mismatch = |with| Fault::Mismatch { variable: name.into(), kind: kind.into(), with };
    let number = match with {
        Literal::Bool(it) if kind == "bool" => {
            return Ok(value.cmp(if *it { "true" } else { "false" }));
        }
        Literal::Bool(_) => return Err(mismatch("true or false")),
        Literal::Text(text) if !is_numeric(kind) => return Ok(value.cmp(text.as_str())),
        Literal::Text(text) => Number::parse(text).ok_or_else(|| mismatch("a text"))?,
        Literal::Number(_) if !is_numeric(kind) => return Err(mismatch("a number")),
        Literal::Number(it) => *it,
    };
    let value = Number::parse(value).ok_or_else(|| mismatch("a number"))?;
    value.compare(&number).ok_or_else(|| Fault::TooLarge(name.to_owned()))
}

fn mismatches<'a>(
    expr: &Expr,
    lookup: &dyn Fn(&str) -> Option<&'a Variable>,
    out: &mut Vec<Fault>,
) {
    match expr {
        Expr::And(items) | Expr::Or(items) => {
            items.iter().for_each(|it| mismatches(it, lookup, out));
        }
        Expr::Not(it) => mismatches(it, lookup, out),
        Expr::Exists(_) => {}
        Expr::Test { variable, op, operand } => {
            let Some(found) = lookup(variable) else { return };
            let kind = found.kind.as_str();
            let mismatch =
                |with| Fault::Mismatch { variable: variable.clone(), kind: kind.to_owned(), with };
            let ordered = matches!(
                op,
                Op::Equal | Op::Unequal | Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual
            );
            let literals: &[Literal] = match operand {
                Operand::One(it) if ordered => std::slice::from_ref(it),
                Operand::Set(items) => items,
                _ => &[],
            };
            for it in literals {
                match it {
                    Literal::Bool(_) if kind != "bool" => out.push(mismatch("true or false")),
                    Literal::Number(_) if !is_numeric(kind) => out.push(mismatch("a number")),
                    Literal::Text(text) if is_numeric(kind) && Number::parse(text).is_none() => {
                        out.push(mismatch("a text"));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// `%` stands for any text, `_` for one letter. At most the product of both lengths, which are bounded.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p, t));
                p += 1;
            }
            Some(it) if *it == '_' || *it == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|it| *it == '%')
}

/// Whether the network or address `inner` lies in `outer`.
fn within(name: &str, kind: &str, inner: &str, outer: &str) -> Result<bool, Fault> {
    let read = |text: &str| {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let (value, width): (u128, u8) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(it) => (u128::from(u32::from(it)) << 96, Ipv4Addr::BITS as u8),
            IpAddr::V6(it) => (u128::from(it), Ipv6Addr::BITS as u8),
        };
        let bits = bits.map_or(Some(width), |it| it.parse().ok()).filter(|it| *it <= width)?;
        Some((value, width, bits))
    };
    let mismatch = |with| Fault::Mismatch { variable: name.into(), kind: kind.into(), with };
    let inner = read(inner).ok_or_else(|| mismatch("a network"))?;
    let outer = read(outer).ok_or_else(|| mismatch("a network"))?;
    let mask = u128::MAX.checked_shl(128 - u32::from(outer.2)).unwrap_or(0);
    Ok(inner.1 == outer.1 && inner.2 >= outer.2 && inner.0 & mask == outer.0 & mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::parse, Fault, like};
    use crate::variable::Variable;

    fn holds(condition: &str) -> Result<bool, Fault> {
        let variable = |kind: &str, value: Option<&str>| Variable {
            kind: kind.into(),
            description: None,
            value: value.map(str::to_owned),
            constant: false,
            external: false,
        };
        let max = alloy_primitives::U256::MAX.to_string();
        let variables = [
            ("__n__", variable("integer", Some("42"))),
            ("__u__", variable("uint256", Some(&max))),
            ("__f__", variable("float", Some("-1.50"))),
            ("__s__", variable("string", Some("It's P1"))),
            ("__b__", variable("bool", Some("false"))),
            ("__ip__", variable("ipv4-addr", Some("10.1.2.3"))),
            ("__none__", variable("string", None)),
        ];
        parse(condition)
            .unwrap_or_else(|it| panic!("{condition}: {it}"))
            .holds(&|name: &str| variables.iter().find(|it| it.0 == name).map(|it| &it.1))
    }

    #[test]
    fn conditions_are_decided() {
        for (condition, holds_) in [
            ("__n__:value = 42", true),
            ("[__n__:value == 42]", true),
            ("__n__:value >= 42.0 AND __n__:value < 43", true),
            ("__n__:value = '42'", true),
            (
                "__u__:value > 115792089237316195423570985008687907853269984665640564039457584007913129639934",
                true,
            ),
            ("__u__:value <= 9223372036854775807", false),
            ("__f__:value = -1.5", true),
            ("__s__:value = 'It\\'s P1'", true),
            ("__s__:value LIKE '%P_'", true),
            ("__s__:value NOT LIKE 'P%'", true),
            ("__s__:value MATCHES 'P[0-9]$'", true),
            ("__s__:value IN ('a', 'It\\'s P1')", true),
            ("__n__:value NOT IN (1, 2, 3)", true),
            ("__b__:value = 'false'", true),
            ("__b__:value = false AND NOT (__n__:value = 1 OR __n__:value = 2)", true),
            ("EXISTS __none__:value AND __none__:value = 'a'", false),
            ("__none__:value = 'a' OR __n__:value = 42", true),
            ("EXISTS __s__:value AND NOT EXISTS __none__:value", true),
            ("__ip__:value ISSUBSET '10.0.0.0/8'", true),
            ("__ip__:value ISSUBSET '10.1.2.3/32'", true),
            ("__ip__:value ISSUBSET '0.0.0.0/0'", true),
            ("__ip__:value ISSUBSET '10.2.0.0/16'", false),
            ("__ip__:value ISSUPERSET '10.1.2.3'", true),
            // AND binds tighter than OR.
            ("__n__:value = 42 OR __n__:value = 1 AND __n__:value = 2", true),
        ] {
            assert_eq!(holds(condition), Ok(holds_), "{condition}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_a_fault() {
        for condition in [
            "__none__:value = 'a'",
            "__missing__:value = 'a'",
            "__s__:value > 5",
            "__n__:value = true",
            "__n__:value = 'many'",
            "__s__:value ISSUBSET '10.0.0.0/8'",
            "__n__:value = 1 OR __none__:value = 'a'",
            "__none__:value = 'a' AND __n__:value = 42",
        ] {
            assert!(holds(condition).is_err(), "{condition}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_its_place() {
        for (text, at, part) in [
            ("", 1, "variable"),
            ("__n__:value", 12, "comparison"),
            ("__n__ = 1", 1, "__name__:value"),
            ("file:name = 'a'", 1, "only variables"),
            ("__n__:value = 'a", 15, "quote"),
            ("__n__:value = 1 FOLLOWEDBY __n__:value = 2", 17, "over time"),
            ("(__n__:value = 1", 17, "`)`"),
            ("__n__:value IN 1", 16, "set"),
            ("__n__:value LIKE 1", 18, "quotes"),
            ("__s__:value MATCHES '('", 21, "regular expression"),
            ("__n__:value = 1 ; 2", 17, "means nothing"),
            ("__n__:value = 1.2.3", 15, "decimal"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
        assert!(parse(&"(".repeat(2_000)).is_err());
        assert!(parse(&"NOT ".repeat(1_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn like_without_wildcards_is_equality(a in "[a-c]{0,4}", b in "[a-c]{0,4}") {
            prop_assert_eq!(like(&a, &b), a == b);
            let around = like(&format!("%{a}%"), &b);
            prop_assert_eq!(around, b.contains(&a));
        }
    }
}
