//! The API of the running program: what it is for, and what must not work.

mod abuse;
mod browser;
mod flow;
mod world;

pub(crate) use world::{now, wallet};
