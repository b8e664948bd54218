//! Sentences with values in them: `{amount:18} tokens left for {to}`.

use alloy_primitives::B256;
use cofferdam_core::Usd;

use super::{
    compile::Program,
    error::{Span, Wrong},
    int::Int,
    typed::Ty,
};

/// The most values in one sentence.
const HOLES_MAX: usize = 16;

/// A sentence with values in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
}

/// A part of a sentence.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Value(Program, Format),
}

/// A part as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// The expression, where it stands, and how it is shown.
    Hole(String, Span, Format),
}

/// How an integer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As its type is.
    Plain,
    /// With so many decimals.
    Decimals(u8),
    /// As dollars.
    Usd,
}

/// Splits a sentence into text and expressions. `{{` and `}}` stand for braces.
///
/// # Errors
/// A brace without its partner, an unknown format, or too many values.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, Wrong> {
    let (mut out, mut plain, mut at, mut holes) = (Vec::new(), String::new(), 0, 0);
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        let Some(brace) = rest.find(['{', '}']) else {
            plain.push_str(rest);
            break;
        };
        let (before, from) = rest.split_at(brace);
        plain.push_str(before);
        at += brace;
        if from.starts_with("{{") || from.starts_with("}}") {
            plain.extend(from.chars().next());
            at += 2;
            continue;
        }
        let open = Span::new(at, at + 1);
        let end = from.find('}').filter(|_| from.starts_with('{'));
        let Some(end) = end else {
            return Err(Wrong::new(open, "a brace without its partner").hint("double it: `{{`"));
        };
        holes += 1;
        if holes > HOLES_MAX {
            return Err(Wrong::new(open, format!("more than {HOLES_MAX} values")));
        }
        let inside = from.get(1..end).unwrap_or_default();
        let (expr, format) = inside.split_once(':').map_or((inside, None), |it| (it.0, Some(it.1)));
        let span = Span::new(at + 1, at + 1 + expr.len());
        let format = match format.map(str::trim) {
            None => Format::Plain,
            Some("usd") => Format::Usd,
            Some(digits) => {
                let places = digits.parse::<u8>().ok().filter(|it| *it <= 77);
                let at = Span::new(span.end, at + end);
                let wrong = || Wrong::new(at, "unknown format").hint("such as `:18` or `:usd`");
                Format::Decimals(places.ok_or_else(wrong)?)
            }
        };
        if !plain.is_empty() {
            out.push(Piece::Text(std::mem::take(&mut plain)));
        }
        out.push(Piece::Hole(expr.to_owned(), span, format));
        at += end + 1;
    }
    if !plain.is_empty() {
        out.push(Piece::Text(plain));
    }
    Ok(out)
}

/// `value` for people.
pub(crate) fn show(value: Int, ty: Ty, format: Format) -> String {
    match (ty, format) {
        (Ty::Int, Format::Plain) => value.to_string(),
        (Ty::Int, Format::Decimals(places)) => value.decimal(places),
        (Ty::Int, Format::Usd) => {
            let magnitude = i128::try_from(value.magnitude()).unwrap_or(i128::MAX);
            Usd(if value.is_negative() { -magnitude } else { magnitude }).to_string()
        }
        (Ty::Bool, _) => value.is_true().to_string(),
        (Ty::Address, _) => value.address().to_string(),
        (Ty::Bytes32, _) => B256::from(value.magnitude()).to_string(),
        (Ty::Bytes4, _) => format!("{:#010x}", value.magnitude()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::int::Int, Format, Piece, Ty, pieces, show};

    #[test]
    fn a_sentence_splits_into_text_and_values() {
        let found = pieces("{{{amount:18}}} left {from}").unwrap();
        let texts: Vec<&str> = found
            .iter()
            .map(|it| match it {
                Piece::Text(text) => text.as_str(),
                Piece::Hole(text, ..) => text.as_str(),
            })
            .collect();
        assert_eq!(texts, ["{", "amount", "} left ", "from"]);
        assert!(pieces("a } b").is_err());
        assert!(pieces("a { b").is_err());
        assert!(pieces("{a:x}").is_err());
        assert!(pieces(&"{a}".repeat(17)).is_err());
    }

    #[test]
    fn values_are_shown_as_their_type() {
        let show = |value: u64, ty, format| show(Int::from(value), ty, format);
        assert_eq!(show(1_500, Ty::Int, Format::Decimals(3)), "1.5");
        assert_eq!(show(12_340_000, Ty::Int, Format::Usd), "$12.34");
        assert_eq!(show(1, Ty::Bool, Format::Plain), "true");
        assert_eq!(show(255, Ty::Bytes4, Format::Plain), "0x000000ff");
        let address = "0x00000000000000000000000000000000000000ff";
        assert_eq!(show(255, Ty::Address, Format::Plain), address);
    }

    proptest! {
        #[test]
        fn any_sentence_splits_or_is_refused(text in "[{}a:\\PC]{0,30}") {
            let _ = pieces(&text);
        }
    }
}
