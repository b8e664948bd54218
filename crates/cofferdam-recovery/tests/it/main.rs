//! Recovery: gates, plans, restitution, post-mortems.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod gates;
mod post_mortem;
mod restitution;
