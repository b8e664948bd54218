//! Benchmarks beside their peers: `benches <id>` prints one JSON report. Run it by `cargo xtask bench`,
//! which builds it in release and judges it.

mod cpu;
mod g1;
mod g11;
mod g12;
mod report;

use std::process::ExitCode;

/// What went wrong, for people.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::print_stderr, reason = "a chore talks to the terminal")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["g1"] => g1::run(),
        ["g11"] => g11::run(),
        ["g12"] => g12::run(),
        ["g11-child", path] => g11::child(path),
        _ => Err("usage: benches g1|g11|g12".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
