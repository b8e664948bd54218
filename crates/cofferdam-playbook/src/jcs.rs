//! The JSON Canonicalization Scheme (RFC 8785): what is hashed and signed.
//!
//! **Invariant:** the canonical text depends on the values only, never on order, blanks or escapes of
//! the text they came from.

use crate::json::{Member, Node, Value};

/// The canonical text of `node`.
pub fn canonical(node: &Node) -> String {
    let mut out = String::new();
    write(&mut out, node);
    out
}

fn write(out: &mut String, node: &Node) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(it) => out.push_str(&number(it)),
        Value::String(it) => string(out, it),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => object(out, members),
    }
}

/// Members are sorted by the UTF-16 code units of their names (§3.2.3).
fn object(out: &mut String, members: &[Member]) {
    let mut sorted: Vec<(Vec<u16>, &Member)> =
        members.iter().map(|it| (it.key.encode_utf16().collect(), it)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    out.push('{');
    for (index, (_, member)) in sorted.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, &member.key);
        out.push(':');
        write(out, &member.value);
    }
    out.push('}');
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for it in text.chars() {
        match it {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(it))),
            _ => out.push(it),
        }
    }
    out.push('"');
}

/// A number as ECMAScript prints the nearest double (ECMA-262, `Number::toString`). One beyond the
/// range of a double stays as written: it has no canonical form, so that no signature can cover it
/// by accident.
fn number(text: &str) -> String {
    let Some(value) = text.parse::<f64>().ok().filter(|it| it.is_finite()) else {
        return text.to_owned();
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rust prints the shortest digits that read back as the same double, as ECMAScript asks; of two
    // that are equally near ECMAScript takes the even one, which is how Rust rounds to given digits.
    let short = format!("{value:e}");
    let places = short.bytes().filter(u8::is_ascii_digit).count();
    let places = places.saturating_sub(
        short.split_once('e').map_or(0, |it| it.1.bytes().filter(u8::is_ascii_digit).count()),
    );
    let even = format!("{value:.*e}", places.saturating_sub(1));
    let same = even.parse::<f64>().is_ok_and(|it| it.to_bits() == value.to_bits());
    let shown = if same { even } else { short };
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let body = if count <= point && point <= 21 {
        let zeros = usize::try_from(point - count).unwrap_or(0);
        digits + &"0".repeat(zeros)
    } else if 0 < point && point <= 21 {
        let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{rest}")
    } else if -6 < point && point <= 0 {
        let zeros = usize::try_from(-point).unwrap_or(0);
        format!("0.{}{digits}", "0".repeat(zeros))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{:+}", point - 1)
    };
    format!("{sign}{body}")
}

#[cfg(test)]
mod tests {
    use super::{canonical, number};
    use crate::json::parse;

    /// RFC 8785, appendix B, where the doubles are given by their bits.
    #[test]
    fn numbers_are_those_of_the_rfc() {
        for (bits, text) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(number(&format!("{:e}", f64::from_bits(bits))), text);
        }
    }

    /// RFC 8785, §3.2.2 and §3.2.3.
    #[test]
    fn the_example_of_the_rfc_is_canonical() {
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        assert_eq!(
            canonical(&parse(text).unwrap()),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        let keys = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            canonical(&parse(keys).unwrap()),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
    }
}
