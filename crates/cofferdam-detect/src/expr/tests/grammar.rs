//! What a person sees who does not know the grammar.

use expect_test::expect;

use super::errors::refuses;

#[test]
fn the_grammar_is_explained() {
    refuses(
        "",
        expect![[r#"
        expected a value, found the end
         --> if, line 1, column 1
          |
        1 | 
          | ^"#]],
    );
    refuses(
        "a > 5 && p",
        expect![[r#"
        `&&` is not an operator
         --> if, line 1, column 7
          |
        1 | a > 5 && p
          |       ^^
        hint: write `and`"#]],
    );
    refuses(
        "a = 5",
        expect![[r#"
        `=` is not an operator
         --> if, line 1, column 3
          |
        1 | a = 5
          |   ^
        hint: write `==`"#]],
    );
    refuses(
        "1 < a < 5",
        expect![[r#"
        comparisons do not chain
         --> if, line 1, column 7
          |
        1 | 1 < a < 5
          |       ^
        hint: join two comparisons with `and`"#]],
    );
    refuses(
        "a > (5",
        expect![[r#"
        expected `)`
         --> if, line 1, column 7
          |
        1 | a > (5
          |       ^"#]],
    );
    refuses(
        "a > 5 5",
        expect![[r#"
        unexpected value
         --> if, line 1, column 7
          |
        1 | a > 5 5
          |       ^
        hint: an operator is missing before it"#]],
    );
}

#[test]
fn numbers_and_text_are_explained() {
    refuses(
        "a > 5 bps",
        expect![[r#"
        a share needs what it is a share of
         --> if, line 1, column 7
          |
        1 | a > 5 bps
          |       ^^^
        hint: write `50 bps of x`"#]],
    );
    refuses(
        "a > 5eth",
        expect![[r#"
        a unit stands apart from its number
         --> if, line 1, column 5
          |
        1 | a > 5eth
          |     ^^^^
        hint: write a blank before `eth`"#]],
    );
    refuses(
        "a > 1.5",
        expect![[r#"
        the number is not whole
         --> if, line 1, column 5
          |
        1 | a > 1.5
          |     ^^^
        hint: all values are integers"#]],
    );
    refuses(
        "a > 1e78",
        expect![[r#"
        the number has more than 256 bits
         --> if, line 1, column 5
          |
        1 | a > 1e78
          |     ^^^^"#]],
    );
    refuses(
        "a > 'x",
        expect![[r#"
        text without closing quote
         --> if, line 1, column 5
          |
        1 | a > 'x
          |     ^^"#]],
    );
    refuses(
        "a > é",
        expect![[r#"
        unexpected character 'é'
         --> if, line 1, column 5
          |
        1 | a > é
          |     ^"#]],
    );
}
