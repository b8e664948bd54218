//! The response plan: what is protected, what counts as an attack, who may do what without asking.
//!
//! One folder in the protocol's own git: `plan.toml` plus playbooks and templates. The doc comment of
//! a field is its reference page and its description in the JSON Schema.
//!
//! **Architecture invariant:** a plan holds no secret. Keys come from keystore files, the environment
//! or a KMS; the plan names them.

pub mod containment;
mod model;
mod text;

pub use model::*;
pub use text::{BasisPoints, DurationText, TextError, TokenAmount, UsdText, WeiText};
