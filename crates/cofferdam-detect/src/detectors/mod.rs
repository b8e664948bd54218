//! The registry: closed, sorted, greppable. One more detector is one file, one page and one line.

mod control_change;
mod expression;
mod outflow;

use crate::Entry;

/// Every detector, sorted by name.
pub static DETECTORS: &[&Entry] = &[&control_change::ENTRY, &expression::ENTRY, &outflow::ENTRY];
