//! The contracts of the ports as suites that every implementation runs: the suite *is* the contract.
//!
//! A case panics nowhere: it returns what is broken, for people. An implementation's test calls
//! [`journal`] or [`bus`] with a factory of fresh, empty instances and asserts `Ok`.

mod bus_cases;
mod journal_cases;
pub mod samples;

use std::{fmt::Debug, sync::Arc};

use cofferdam_core::ports::{Boxed, Bus, Journal};

/// Makes a fresh, empty journal.
pub type MakeJournal<'a> = &'a (dyn Fn() -> Boxed<'static, Arc<dyn Journal>> + Sync);

/// Makes a fresh bus whose subscribers may be `queue` messages behind.
pub type MakeBus<'a> = &'a (dyn Fn(usize) -> Boxed<'static, Arc<dyn Bus>> + Sync);

/// What a case returns: what is broken, for people.
pub type Outcome = Result<(), String>;

/// Runs every case of the journal's contract.
///
/// # Errors
/// One line per broken case.
pub async fn journal(make: MakeJournal<'_>) -> Outcome {
    let mut broken = Vec::new();
    for (name, case) in journal_cases::CASES {
        if let Err(what) = case(make().await).await {
            broken.push(format!("{name}: {what}"));
        }
    }
    report(&broken)
}

/// Runs every case of the bus's contract.
///
/// # Errors
/// One line per broken case.
pub async fn bus(make: MakeBus<'_>) -> Outcome {
    let mut broken = Vec::new();
    for (name, queue, case) in bus_cases::CASES {
        if let Err(what) = case(make(*queue).await).await {
            broken.push(format!("{name}: {what}"));
        }
    }
    report(&broken)
}

fn report(broken: &[String]) -> Outcome {
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// Fails with both values unless they are equal.
fn same<T: PartialEq + Debug>(what: &str, got: &T, want: &T) -> Outcome {
    if got == want { Ok(()) } else { Err(format!("{what}: got {got:?}, want {want:?}")) }
}

/// Fails unless `holds`.
fn holds(what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Turns a port's error into what a case returns.
fn told(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
