//! The response plan: what is protected, what counts as an attack, who may do what without asking.
//!
//! One folder in the protocol's own git: `plan.toml` plus playbooks and templates. The doc comment of
//! a field is its reference page and its description in the JSON Schema.
//!
//! **Architecture invariant:** a plan holds no secret. Keys come from keystore files, the environment
//! or a KMS; the plan names them. Nothing here reads a file: text comes in, a plan or errors with
//! their place come out.

mod asset_id;
pub mod card;
mod chain;
mod check;
pub mod containment;
mod decision;
mod error;
mod explain;
mod feed;
mod hash;
mod model;
mod nearest;
mod parse;
mod people;
mod reach;
mod schema;
mod shape;
mod source;
mod template;
mod text;

pub use asset_id::AssetId;
pub use card::{CardError, EvidenceCard};
pub use chain::Chain;
pub use check::{LEARNED, SHADOW_SECONDS_MIN, check};
pub use decision::{ActionCost, Budget, Decision, Expiry, Outlet, Policy};
pub use error::{ERRORS_SHOWN_MAX, PlanError, PlanErrors};
pub use explain::explain;
pub use feed::{Feed, FeedMap, FeedSource, Only, Signed};
pub use hash::hash;
pub use model::*;
pub use nearest::nearest;
pub use parse::{PLAN_BYTES_MAX, VERSION, parse, read};
pub use people::{Console, Machine, MachineMay, Person, Quorum, SIGNER};
pub use reach::*;
pub use schema::schema;
pub use source::{SourceMap, Step};
pub use template::template;
pub use text::{BasisPoints, DurationText, TextError, TokenAmount, UsdText, WeiText};
