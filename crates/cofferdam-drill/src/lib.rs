//! Drills: scenarios as data, their arguments and scorecards; and the simulator, in which the engine
//! lives through seeded misfortune.
//!
//! **Architecture invariant:** nothing here runs a chain or opens a file. A scenario says what is
//! deployed and who does what; the shell plays it on a chain, once defended and once not; the
//! scorecard compares the two.
//!
//! **Architecture invariant:** a scenario knows the victim and the attack, the defence does not. What
//! the defence knows is the plan template in the scenario, written as a protocol would write it.

pub mod args;
pub mod keys;
pub mod scenario;
pub mod score;
pub mod sim;

pub use args::{ArgError, Names};
pub use scenario::{Scenario, ScenarioError};
pub use score::{Control, Scorecard};
