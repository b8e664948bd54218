//! Where results and messages go.

use std::{io::Write, process::ExitCode};

use serde::Serialize;

use super::CliError;

/// Results to stdout, the rest to stderr.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// With `json`, results are JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A result: `value` as JSON, or `text`.
    pub fn result(&self, value: &impl Serialize, text: &str) {
        if self.json {
            match serde_json::to_string_pretty(value) {
                Ok(json) => self.text(&(json + "\n")),
                Err(error) => {
                    self.note(&format!("error: result cannot be written as JSON: {error}"))
                }
            }
        } else {
            self.text(text);
        }
    }

    /// Plain text to stdout. A closed pipe ends the output, not the program.
    pub fn text(&self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// A line to stderr.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A line to stderr that the next one overwrites.
    pub fn status(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }

    /// Prints an error with its causes and hints.
    pub fn fail(&self, error: &CliError) -> ExitCode {
        self.note(&error.render());
        ExitCode::FAILURE
    }
}
