//! Cards, lint and collection as a signer meets them; vectors of the shared data.
#![expect(clippy::unwrap_used, reason = "tests")]

mod approvals;
mod cards;
mod clear;
mod collecting;
mod fixture;
mod lint;
mod vectors;
