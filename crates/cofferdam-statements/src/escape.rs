//! Plain text, written into other languages.
//!
//! **Invariant:** what comes out is text in that language, never markup, whatever went in.

/// For HTML, inside an element or a quoted attribute.
pub fn html(text: &str) -> String {
    markup(text)
}

/// For XML 1.0, inside an element or a quoted attribute. What XML cannot hold becomes U+FFFD.
pub fn xml(text: &str) -> String {
    markup(text)
}

fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(it),
            it if it.is_control() || matches!(it, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            it => out.push(it),
        }
    }
    out
}

/// For Markdown (CommonMark 0.31 with GitHub's tables): what begins something anywhere is taken literally
/// (section 2.4), and so is what begins something at the start of a line; no line begins with spaces.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        // Whether only digits stand before: `1.` would begin a list.
        let (mut first, mut digits) = (true, true);
        for it in line.trim_start().chars() {
            let anywhere = "\\`*_{}[]<>()#!|~&".contains(it);
            if anywhere || (first && "-+=:".contains(it)) || (digits && it == '.') {
                out.push('\\');
            }
            out.push(if it.is_control() { ' ' } else { it });
            first = false;
            digits &= it.is_ascii_digit();
        }
    }
    out
}

/// JSON that may also stand inside a page: no `<`, `>` or `&` is written as itself.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn json(value: &serde_json::Value) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string_pretty(value)?;
    // These only occur inside strings of a JSON text.
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026") + "\n")
}

#[cfg(test)]
mod tests {
    use super::{html, json, markdown, xml};

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(html("<b a=\"1\">'&"), "&lt;b a=&quot;1&quot;&gt;&#39;&amp;");
        assert_eq!(xml("]]>\u{1}"), "]]&gt;\u{fffd}");
        assert_eq!(
            markdown("# a\n    *b* [c](javascript:d) <i>"),
            "\\# a\n\\*b\\* \\[c\\]\\(javascript:d\\) \\<i\\>"
        );
        assert_eq!(markdown("1. one. 2"), "1\\. one. 2");
        assert_eq!(markdown("--- a-b\n=== |"), "\\--- a-b\n\\=== \\|");
        let value = serde_json::json!({ "a": "</script>&" });
        let text = json(&value).unwrap_or_default();
        assert!(!text.contains('<') && !text.contains('&'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }
}
