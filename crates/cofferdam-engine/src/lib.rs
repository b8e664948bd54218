//! One deterministic state machine: step(now, input) -> effects.
