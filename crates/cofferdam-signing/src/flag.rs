//! Red flags: what a signer must see before anything else.
//!
//! **Invariant:** a flag's weight is decided where it is raised and by nothing afterwards; there is no way to silence one
//! but to change the policy, the transaction or the facts.

use serde::{Deserialize, Serialize};

/// How much a flag weighs, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Must not be signed.
    Refuse,
    /// To be looked at.
    Warn,
    /// To be known.
    Note,
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flag {
    /// How much it weighs.
    pub weight: Weight,
    /// Its code, e.g. `delegatecall`.
    pub code: String,
    /// Which call of the tree it concerns, e.g. `1.2`.
    pub call: Option<String>,
    /// What is wrong and what to do.
    pub text: String,
}

/// Collects flags.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<Flag>);

impl Flags {
    pub(crate) fn add(
        &mut self,
        weight: Weight,
        code: &str,
        call: Option<&str>,
        text: impl Into<String>,
    ) {
        let call = call.map(str::to_owned);
        self.0.push(Flag { weight, code: code.to_owned(), call, text: text.into() });
    }

    pub(crate) fn refuse(&mut self, code: &str, text: impl Into<String>) {
        self.add(Weight::Refuse, code, None, text);
    }

    pub(crate) fn warn(&mut self, code: &str, text: impl Into<String>) {
        self.add(Weight::Warn, code, None, text);
    }

    pub(crate) fn note(&mut self, code: &str, text: impl Into<String>) {
        self.add(Weight::Note, code, None, text);
    }

    /// Worst first, in the order raised within a weight; each once.
    pub(crate) fn finish(self) -> Vec<Flag> {
        let mut seen = std::collections::BTreeSet::new();
        let mut out: Vec<Flag> = self.0.into_iter().filter(|it| seen.insert(it.clone())).collect();
        out.sort_by_key(|it| it.weight);
        out
    }
}
