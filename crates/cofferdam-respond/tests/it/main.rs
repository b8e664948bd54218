//! Cases over journals.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cases;
