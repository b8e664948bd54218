//! Signing without blindness: what a Safe's owners are asked to sign, computed and explained locally.
//!
//! **Architecture invariant:** nothing here does I/O, reads a clock, or holds a key. Hashes come from our own code;
//! what the chain says comes in as [`Evidence`], what governance has allowed as [`Policy`]. What is unknown is a
//! refusal: no part of a card can be empty and the card still be accepted.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests"))]

pub mod abi;
pub mod approval;
pub mod calls;
pub mod card;
pub mod clear;
pub mod collect;
pub mod evidence;
pub mod exec;
pub mod flag;
pub mod known;
pub mod ladder;
pub mod lint;
pub mod multisend;
pub mod policy;
pub mod proposal;
pub mod quantity;
mod safe_tx;
pub mod signature;
pub mod siwe;
pub mod text;
mod time;
mod version;

pub use card::Card;
pub use evidence::Evidence;
pub use flag::{Flag, Weight};
pub use lint::Case;
pub use policy::Policy;
pub use proposal::{Proposal, Provenance};
pub use safe_tx::{Hashes, Operation, SafeDomain, SafeTx};
pub use signature::{Kind, OwnerSignature, SignatureError};
pub use version::{SafeVersion, UnknownVersion};
