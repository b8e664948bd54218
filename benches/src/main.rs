//! Benchmarks beside their peers: `benches <id>` prints one JSON report. Run it by `cargo xtask bench`.
fn main() {}
