//! Safes: reading their state, simulating what is proposed, the folder in which signers exchange files.
//!
//! **Invariant:** nothing here judges. It reads what `cofferdam_signing` judges, and what it could not read it leaves out,
//! which is a refusal there.

mod folder;
mod node;
mod read;
mod simulate;

pub use folder::{Folder, FolderError, descriptor_files};
pub use node::{Head, Node, NodeError};
pub use read::{approvals, evidence, signers};
