//! Texts that people give: what they may hold.
//!
//! **Invariant:** a text that passed [`line`] has no line break, and neither it nor one that passed
//! [`paragraphs`] has a control character, an invisible one, or braces that a template would read.

use cofferdam_core::Timestamp;

/// Longest title, name or other single line, in bytes.
pub const LINE_BYTES_MAX: usize = 300;
/// Longest body of a statement, in bytes.
pub const BODY_BYTES_MAX: usize = 8_192;

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// There is none.
    #[error("{0} is empty")]
    Empty(String),
    /// It is too long.
    #[error("{what} has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Which text.
        what: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// It holds a line break, a control character or an invisible one: in a title or a feed these would
    /// begin a header of their own, or show other words than were approved.
    #[error("{what} holds the character U+{code:04X}, which cannot be seen")]
    Hidden {
        /// Which text.
        what: String,
        /// Its code point.
        code: u32,
    },
    /// It holds what a template would take for a placeholder.
    #[error("{0} holds `{{{{` or `}}}}`: what is filled in is no template")]
    Braces(String),
}

/// A text of one line, trimmed.
///
/// # Errors
/// It is empty, longer than [`LINE_BYTES_MAX`], or holds what it must not.
pub fn line(what: &str, text: &str) -> Result<String, TextError> {
    check(what, text.trim(), LINE_BYTES_MAX, false)
}

/// A text of several lines, trimmed; line ends become `\n`.
///
/// # Errors
/// It is empty, longer than [`BODY_BYTES_MAX`], or holds what it must not.
pub fn paragraphs(what: &str, text: &str) -> Result<String, TextError> {
    check(what, text.replace("\r\n", "\n").trim(), BODY_BYTES_MAX, true)
}

fn check(what: &str, text: &str, max: usize, breaks: bool) -> Result<String, TextError> {
    let what = || what.to_owned();
    if text.is_empty() {
        return Err(TextError::Empty(what()));
    }
    if text.len() > max {
        return Err(TextError::TooLong { what: what(), bytes: text.len(), max });
    }
    if let Some(it) = text.chars().find(|it| hidden(*it) && !(breaks && *it == '\n')) {
        return Err(TextError::Hidden { what: what(), code: u32::from(it) });
    }
    if text.contains("{{") || text.contains("}}") {
        return Err(TextError::Braces(what()));
    }
    Ok(text.to_owned())
}

/// Whether a reader would not see this character.
pub(crate) fn hidden(it: char) -> bool {
    it.is_control()
        || matches!(
            u32::from(it),
            0xad | 0x61c
                | 0x180e
                | 0x200b..=0x200f
                | 0x2028..=0x202e
                | 0x2060..=0x206f
                | 0xfe00..=0xfe0f
                | 0xfeff
                | 0xfff9..=0xffff
                | 0xe0000..=0xe0fff
        )
}

/// Whether two names are one person's: spaces around and between, and capitals, make no other.
pub fn same_person(one: &str, other: &str) -> bool {
    let plain = |it: &str| it.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    plain(one) == plain(other)
}

/// `2026-11-26 19:05 UTC`, as statements give times.
pub fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    let date = text.get(..10).unwrap_or_default();
    format!("{date} {} UTC", text.get(11..16).unwrap_or_default())
}

/// `2026-11-26`.
pub fn day(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{TextError, line, minute, paragraphs, same_person};
    use cofferdam_core::Timestamp;

    #[test]
    fn a_line_has_no_second_line() {
        for it in ["a\nb", "a\rb", "a\r\nSet-Cookie: x", "a\u{2028}b", "a\u{202e}b", "a\tb", "\0a"]
        {
            assert!(matches!(line("the title", it), Err(TextError::Hidden { .. })), "{it:?}");
        }
        assert_eq!(line("x", "  a b ").as_deref(), Ok("a b"));
        assert_eq!(line("x", " \n "), Err(TextError::Empty("x".into())));
    }

    #[test]
    fn what_is_filled_in_is_no_template() {
        assert_eq!(paragraphs("x", "a {{loss}}"), Err(TextError::Braces("x".into())));
        assert_eq!(paragraphs("x", "a\r\n\r\nb").as_deref(), Ok("a\n\nb"));
        assert!(matches!(paragraphs("x", &"a".repeat(9_000)), Err(TextError::TooLong { .. })));
    }

    #[test]
    fn spaces_and_capitals_make_no_second_person() {
        assert!(same_person("Alice  Smith", " alice smith"));
        assert!(!same_person("alice", "bob"));
        assert_eq!(minute(Timestamp(1_709_210_096_789)), "2024-02-29 12:34 UTC");
    }
}
