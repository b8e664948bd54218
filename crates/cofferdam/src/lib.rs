//! The cofferdam binary: CLI, configuration, wiring and the runtime loop.
