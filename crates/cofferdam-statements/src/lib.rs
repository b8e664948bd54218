//! Statements: what is said to the outside about a case, and the status page made of it.
//!
//! **Architecture invariant:** this crate performs no I/O, reads no clock, draws no randomness. All state
//! is a fold over the journal ([`Statements::apply`]).
//!
//! **Architecture invariant:** there is no way to a public page but [`Public`], and that is only had from a
//! statement that was approved by a second person, published, marked TLP:CLEAR and meant for anybody.
//! Nothing that was published is ever changed; a correction stands beside it.

pub mod command;
pub mod document;
pub mod escape;
pub mod event;
pub mod fill;
pub mod page;
pub mod statement;
pub mod statements;
pub mod template;
pub mod texts;
mod tips;
pub mod tlp;
mod words;

pub use command::Refusal;
pub use event::{Draft, StatementEvent, StatementId};
pub use fill::{FillError, Placeholder};
pub use page::{Page, PageError};
pub use statement::{Audience, ComponentState, Impact, Phase, Public, Statement};
pub use statements::Statements;
pub use template::{Template, TemplateError};
pub use tlp::Tlp;
pub use words::{
    BODY_BYTES_MAX, LINE_BYTES_MAX, TextError, day, line, minute, paragraphs, same_person,
};
