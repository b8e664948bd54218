//! A typed language over facts, state reads and windows, with exact 256-bit integers.
//!
//! Text is read by `lexer` and `parse`, given names and types by `check` and `functions`, made into
//! a flat program by `compile` and evaluated by `eval`; `window` holds what must be remembered.
//!
//! **Invariant:** an expression that loads cannot go wrong except by a [`Fault`](error::Fault), and
//! a fault is reported, never read as *false*. Time and memory per event are bounded at load.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")
)]

mod abi;
mod ast;
mod check;
mod compile;
pub(crate) mod error;
mod eval;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod filter;
mod functions;
pub(crate) mod instance;
mod int;
mod lexer;
pub(crate) mod module;
mod parse;
pub(crate) mod settings;
mod template;
mod typed;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use abi::Signature;
pub(crate) use int::Int;
pub(crate) use module::{Machine, Module, Spec};
pub(crate) use typed::{Entity, Price};
pub(crate) use window::WindowMemo;
