//! Errors as a person at a terminal reads them.

use std::error::Error;

/// What went wrong and what to do.
#[derive(Debug)]
pub struct CliError {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

impl CliError {
    /// An error without a cause.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None, hints: Vec::new() }
    }

    /// An error with its cause.
    pub fn caused(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { what: what.into(), source: Some(source.into()), hints: Vec::new() }
    }

    /// A failed read or write.
    pub fn io(what: &str, source: std::io::Error) -> Self {
        Self::caused(format!("cannot {what}"), source)
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }

    /// `error: …`, one `because:` line per cause, one `hint:` line per hint.
    pub fn render(&self) -> String {
        let mut out = format!("error: {}", self.what);
        let mut cause = self.source.as_deref().map(|it| it as &dyn Error);
        while let Some(it) = cause {
            out.push_str(&format!("\n  because: {it}"));
            cause = it.source();
        }
        for hint in &self.hints {
            out.push_str(&format!("\nhint: {hint}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::CliError;

    #[test]
    fn causes_and_hints_have_their_own_lines() {
        let source = std::io::Error::other("disk on fire");
        let error = CliError::io("open the journal", source).hint("put it out");
        expect_test::expect![[r#"
            error: cannot open the journal
              because: disk on fire
            hint: put it out"#]]
        .assert_eq(&error.render());
    }
}
