//! JSON whose every value knows its place in the text.
//!
//! **Invariant:** no number is ever turned into a float here, no object has a key twice, and nothing
//! deeper, larger or longer than the named limits gets in.

use std::ops::Range;

/// Largest document, in bytes.
pub const BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 40;
/// Most values in a document.
pub const VALUES_MAX: usize = 200_000;

/// A place, in bytes of the text.
pub type Span = Range<usize>;

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A string, with its escapes undone.
    String(String),
    /// A list.
    Array(Vec<Node>),
    /// An object, in the order of the text.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

/// Why a text is not JSON that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    /// Where, in bytes of the text.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl Node {
    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Object(members) => members.iter().find(|it| it.key == key).map(|it| &it.value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(it) => Some(it),
            _ => None,
        }
    }

    /// The same value for `serde`; numbers beyond 64 bits become the nearest double.
    pub fn to_serde(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(it) => (*it).into(),
            Value::Number(it) => {
                serde_json::from_str(it).unwrap_or_else(|_| serde_json::Value::String(it.clone()))
            }
            Value::String(it) => it.clone().into(),
            Value::Array(items) => items.iter().map(Self::to_serde).collect(),
            Value::Object(members) => serde_json::Value::Object(
                members.iter().map(|it| (it.key.clone(), it.value.to_serde())).collect(),
            ),
        }
    }
}

/// Reads a whole document.
///
/// # Errors
///
/// What is not JSON (RFC 8259), has a key twice, or is beyond [`BYTES_MAX`], [`DEPTH_MAX`] or
/// [`VALUES_MAX`].
pub fn parse(text: &str) -> Result<Node, JsonError> {
    if text.len() > BYTES_MAX {
        let message = format!("larger than {BYTES_MAX} bytes");
        return Err(JsonError { at: 0, message });
    }
    let mut parser = Parser { text, at: 0, values: 0 };
    parser.blank();
    let node = parser.value(0)?;
    parser.blank();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.error("text after the end of the document")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl Parser<'_> {
    fn error(&self, message: impl Into<String>) -> JsonError {
        JsonError { at: self.at.min(self.text.len()), message: message.into() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(self.error(format!("more than {VALUES_MAX} values")));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => {
                return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
            }
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.error("a value was expected here")),
            None => return Err(self.error("the document ends here, but a value was expected")),
        };
        Ok(Node { span: start..self.at, value })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error(format!("`{word}` was expected here")));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut keys = std::collections::HashSet::new();
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.blank();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.error("a name in quotes was expected here"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            if !keys.insert(key.clone()) {
                return Err(JsonError { at: start, message: format!("`{key}` stands here twice") });
            }
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.error("`:` was expected here"));
            }
            self.at += 1;
            self.blank();
            let value = self.value(depth + 1)?;
            members.push(Member { key, key_span, value });
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(self.error("`,` or `}` was expected here")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.blank();
            items.push(self.value(depth + 1)?);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.error("`,` or `]` was expected here")),
            }
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.error("a digit was expected here")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.one_digit()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.one_digit()?;
        }
        Ok(Value::Number(self.text[start..self.at].to_owned()))
    }

    fn one_digit(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error("a digit was expected here"));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        let mut plain = self.at;
        loop {
            match self.peek() {
                None => return Err(self.error("the string does not end")),
                Some(b'"') => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                Some(0..=0x1f) => return Err(self.error("a control character inside a string")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let letter = self.peek().ok_or_else(|| self.error("the string does not end"))?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error("no such escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                return Err(self.error("half of a surrogate pair"));
            }
            self.at += 2;
            let second = self.hex4()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.error("half of a surrogate pair"));
            }
            0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let text = digits.and_then(|it| std::str::from_utf8(it).ok());
        let code = text
            .filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))
            .and_then(|it| u32::from_str_radix(it, 16).ok())
            .ok_or_else(|| self.error("four hex digits were expected here"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DEPTH_MAX, Value, parse};

    #[test]
    fn a_value_knows_its_place() {
        let text = r#"{"a": [1, "zwei", {"b": null}]}"#;
        let node = parse(text).unwrap();
        let Some(Value::Array(items)) = node.get("a").map(|it| it.value.clone()) else { panic!() };
        assert_eq!(&text[items[1].span.clone()], "\"zwei\"");
        assert_eq!(&text[items[2].get("b").unwrap().span.clone()], "null");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("{\"a\":1,\"a\":2}", 7),
            ("[1,]", 3),
            ("{\"a\" 1}", 5),
            ("01", 1),
            ("\"\\ud800\"", 7),
            ("\"\\ud800\\u0041\"", 13),
            ("\"a\nb\"", 2),
            ("tru", 0),
            ("1 2", 2),
            ("-", 1),
            ("1.e5", 2),
            ("\"\\u00g0\"", 3),
        ] {
            assert_eq!(parse(text).map_err(|it| it.at), Err(at), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert!(parse(&deep(DEPTH_MAX + 1)).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn it_agrees_with_serde(text in r#"[\[\]{}",:0-9eE+.\\u a-c-]{0,24}"#) {
            // Ours refuses repeated keys, and depth is no question at this length.
            if let Ok(node) = parse(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|it| it == node.to_serde()));
            } else if let Ok(it) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert!(it.is_object() || text.contains('{') , "{text}");
            }
        }
    }
}
