//! What a person sees who made a mistake.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{load, load_int};

pub(super) fn refuses(condition: &str, expected: Expect) {
    refuses_with(condition, &[], expected);
}

fn refuses_with(condition: &str, lets: &[(&str, &str)], expected: Expect) {
    let error = load(condition, lets).map(|_| ()).expect_err("the expression is refused");
    let hint = error.hint.as_ref().map_or(String::new(), |it| format!("\nhint: {it}"));
    expected.assert_eq(&format!("{error}{hint}"));
}

#[test]
fn an_unknown_name_gets_the_nearest_one_as_a_hint() {
    refuses(
        "a > 5 and whoo == self",
        expect![[r#"
        unknown name `whoo`
         --> if, line 1, column 11
          |
        1 | a > 5 and whoo == self
          |           ^^^^
        hint: did you mean `who`?"#]],
    );
    refuses(
        "liquidity > 5",
        expect![[r#"
        unknown name `liquidity`
         --> if, line 1, column 1
          |
        1 | liquidity > 5
          | ^^^^^^^^^
        hint: known here: a, b, c, p, q, who, hash, f, block.number, block.time, block.base_fee, block.pending, tx.from, tx.to, tx.creates, tx.value, tx.nonce, tx.index, tx.hash, tx.selector, tx.gas_used, tx.succeeded"#]],
    );
    refuses(
        "abs_dif(a, b) > 5",
        expect![[r#"
        unknown function `abs_dif`
         --> if, line 1, column 1
          |
        1 | abs_dif(a, b) > 5
          | ^^^^^^^
        hint: did you mean `abs_diff`?"#]],
    );
}

#[test]
fn types_are_checked_with_the_place_of_the_operand() {
    refuses(
        "a + who > 5",
        expect![[r#"
        `+` needs integers, this is an address
         --> if, line 1, column 5
          |
        1 | a + who > 5
          |     ^^^
        hint: convert it with `int(…)`"#]],
    );
    refuses(
        "who == 5",
        expect![[r#"
        cannot compare an address with an integer
         --> if, line 1, column 1
          |
        1 | who == 5
          | ^^^^^^^^
        hint: convert it with `address(…)`"#]],
    );
    refuses(
        "a and p",
        expect![[r#"
        expected a truth value, found an integer
         --> if, line 1, column 1
          |
        1 | a and p
          | ^"#]],
    );
    refuses(
        "a",
        expect![[r#"
        expected a truth value, found an integer
         --> if, line 1, column 1
          |
        1 | a
          | ^"#]],
    );
    refuses(
        "who in [self, 5]",
        expect![[r#"
        expected an address, found an integer
         --> if, line 1, column 15
          |
        1 | who in [self, 5]
          |               ^
        hint: convert it with `address(…)`"#]],
    );
    refuses(
        "not a == 5 or if p then a else q",
        expect![[r#"
        expected an integer, found a truth value
         --> if, line 1, column 32
          |
        1 | not a == 5 or if p then a else q
          |                                ^"#]],
    );
}

#[test]
fn an_error_in_a_later_line_shows_that_line() {
    refuses(
        "a > 5\n  and b >\n  who",
        expect![[r#"
        `>` needs integers, this is an address
         --> if, line 3, column 3
          |
        3 |   who
          |   ^^^
        hint: convert it with `int(…)`"#]],
    );
}

#[test]
fn an_error_in_a_name_is_shown_where_the_name_is_defined() {
    refuses_with(
        "tvl > 5",
        &[("tvl", "balance(self) + who")],
        expect![[r#"
        `+` needs integers, this is an address
         --> let.tvl, line 1, column 17
          |
        1 | balance(self) + who
          |                 ^^^
        hint: convert it with `int(…)`"#]],
    );
    refuses_with(
        "x > 5",
        &[("x", "y + 1"), ("y", "x + 1")],
        expect![[r#"
        `x` is defined by itself
         --> let.y, line 1, column 1
          |
        1 | x + 1
          | ^"#]],
    );
    refuses_with(
        "p",
        &[("a", "1")],
        expect![[r#"
        `a` is already the name of a field
         --> let.a, line 1, column 1
          |
        1 | 1
          | ^"#]],
    );
}

#[test]
fn constants_are_checked() {
    refuses(
        "who == 0xc02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
        expect![[r#"
        the address has a wrong EIP-55 checksum
         --> if, line 1, column 8
          |
        1 | who == 0xc02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: did you mean `0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2`?"#]],
    );
    refuses(
        "who == 0x1234",
        expect![[r#"
        a hexadecimal value of 4 digits has no type
         --> if, line 1, column 8
          |
        1 | who == 0x1234
          |        ^^^^^^
        hint: 8 digits are a selector, 40 an address, 64 a bytes32; integers are decimal"#]],
    );
    refuses(
        "a / (2 - 2) > 1",
        expect![[r#"
        this always divides by zero
         --> if, line 1, column 1
          |
        1 | a / (2 - 2) > 1
          | ^^^^^^^^^^^"#]],
    );
    refuses(
        "1 / 0 > a",
        expect![[r#"
        this always faults: division by zero
         --> if, line 1, column 1
          |
        1 | 1 / 0 > a
          | ^^^^^"#]],
    );
    refuses(
        "1 > 0",
        expect![[r#"
        this is always true
         --> if, line 1, column 1
          |
        1 | 1 > 0
          | ^^^^^"#]],
    );
}

#[test]
fn state_reads_must_be_known_beforehand() {
    refuses(
        "balance(who) > 5",
        expect![[r#"
        a state read needs arguments that are known when the plan is loaded
         --> if, line 1, column 9
          |
        1 | balance(who) > 5
          |         ^^^
        hint: use constants, `self` or `entity.account`: state is asked for beforehand"#]],
    );
    refuses(
        "call(self, 'f(uint8)', 300) > 5",
        expect![[r#"
        the value does not fit its parameter
         --> if, line 1, column 24
          |
        1 | call(self, 'f(uint8)', 300) > 5
          |                        ^^^"#]],
    );
    refuses(
        "call(self, 'f(uint7)', 3) > 5",
        expect![[r#"
        `uint7` is not a type
         --> if, line 1, column 15
          |
        1 | call(self, 'f(uint7)', 3) > 5
          |               ^^^^^
        hint: such as `uint256`"#]],
    );
    refuses(
        "call(self, 'f(uint8)') > 5",
        expect![[r#"
        expected 1 arguments, found 0
         --> if, line 1, column 1
          |
        1 | call(self, 'f(uint8)') > 5
          | ^^^^^^^^^^^^^^^^^^^^^^
        hint: calls `f(uint8)`"#]],
    );
}

#[test]
fn what_is_read_must_have_a_value() {
    refuses(
        "call(self, 'f()(uint256,string)')[1] > 5",
        expect![[r#"
        the returned type has no value here
         --> if, line 1, column 12
          |
        1 | call(self, 'f()(uint256,string)')[1] > 5
          |            ^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    refuses(
        "call(self, 'f()(uint256)')[1] > 5",
        expect![[r#"
        no value is returned at position 1
         --> if, line 1, column 12
          |
        1 | call(self, 'f()(uint256)')[1] > 5
          |            ^^^^^^^^^^^^^^
        hint: name the returned types, such as "f()(uint256,address)""#]],
    );
    refuses(
        "before(a) > 5",
        expect![[r#"
        nothing in here is read from the state
         --> if, line 1, column 8
          |
        1 | before(a) > 5
          |        ^
        hint: `before` looks at the parent block; an event has no value there"#]],
    );
    refuses(
        "reverted(balance(self) + 1)",
        expect![[r#"
        only a `call(…)` can revert
         --> if, line 1, column 10
          |
        1 | reverted(balance(self) + 1)
          |          ^^^^^^^^^^^^^^^^^"#]],
    );
    refuses(
        "usd(a, 0x3333333333333333333333333333333333333333) > 5",
        expect![[r#"
        the plan has no price for this token
         --> if, line 1, column 8
          |
        1 | usd(a, 0x3333333333333333333333333333333333333333) > 5
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: list it under the entity's `assets`"#]],
    );
}

#[test]
fn windows_are_bounded_and_flat() {
    refuses(
        "sum(a) > 5",
        expect![[r#"
        wrong number of arguments for `sum`
         --> if, line 1, column 1
          |
        1 | sum(a) > 5
          | ^^^^^^
        hint: write `sum(integer, 10m)`"#]],
    );
    refuses(
        "sum(sum(a, 10m), 10m) > 5",
        expect![[r#"
        a window cannot stand within another window
         --> if, line 1, column 5
          |
        1 | sum(sum(a, 10m), 10m) > 5
          |     ^^^^^^^^^^^"#]],
    );
    refuses(
        "sum(a, 31d) > 5",
        expect![[r#"
        a window is longer than nothing and at most 30 days long
         --> if, line 1, column 8
          |
        1 | sum(a, 31d) > 5
          |        ^^^"#]],
    );
    refuses(
        "before(balance(self) + sum(a, 10m)) > 5",
        expect![[r#"
        a window cannot stand within `before`
         --> if, line 1, column 24
          |
        1 | before(balance(self) + sum(a, 10m)) > 5
          |                        ^^^^^^^^^^^"#]],
    );
    refuses(
        "max(a, b) by who > 5",
        expect![[r#"
        `by` belongs to a window, such as `sum(x, 10m)`
         --> if, line 1, column 14
          |
        1 | max(a, b) by who > 5
          |              ^^^"#]],
    );
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let deep = format!("{}a > 5{}", "(".repeat(80), ")".repeat(80));
    let error = load(&deep, &[]).map(|_| ()).unwrap_err();
    assert!(error.what.contains("nested"), "{error}");
    let chain = vec!["a"; 80].join(" + ");
    let error = load_int(&chain).map(|_| ()).unwrap_err();
    assert!(error.what.contains("nested"), "{error}");
    // Each name doubles the one before it.
    let names: Vec<String> = (0..20).map(|it| format!("n{it:02}")).collect();
    let mut lets: Vec<(&str, String)> = vec![(&names[0], "a + b".into())];
    for pair in names.windows(2) {
        lets.push((&pair[1], format!("{} + {}", pair[0], pair[0])));
    }
    let lets: Vec<(&str, &str)> = lets.iter().map(|(name, it)| (*name, it.as_str())).collect();
    let error = load("n19 > 5", &lets).map(|_| ()).unwrap_err();
    assert!(error.what.contains("costs too much"), "{error}");
    let right = format!("a{} > 5", " - (b * c".repeat(40)) + &")".repeat(40);
    assert!(load(&right, &[]).is_err());
}

/// Text made of words of the language, to get past the lexer.
fn soup() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "a",
        "b",
        "p",
        "who",
        "self",
        "1",
        "0",
        "2e3",
        "10m",
        "5 %",
        "of",
        "bps",
        "eth",
        "(",
        ")",
        "[",
        "]",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "<",
        "in",
        "and",
        "or",
        "not",
        "if",
        "then",
        "else",
        "by",
        "sum(",
        "max(",
        "count(",
        "call(",
        "'f()(uint256)'",
        "before(",
        "usd(",
        "balance(",
        "0x8456cb59",
        "entity.accounts",
        "reverted(",
        "bits(",
        "mul_div(",
        "native",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|it| it.join(" "))
}

proptest! {
    #[test]
    fn any_text_loads_or_is_refused_with_a_place_in_it(text in soup()) {
        for result in [load(&text, &[]), load_int(&text), load("x > 1", &[("x", &text)])] {
            if let Err(error) = result {
                prop_assert!(error.text.get(error.span.start..error.span.end).is_some());
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn arbitrary_characters_never_panic(text in "\\PC*") {
        let _ = load(&text, &[]);
        let _ = load_int(&text);
    }
}
