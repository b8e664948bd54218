//! Benchmarks beside their peers: `benches <id>` prints one JSON report. Run it by `cargo xtask bench`,
//! which builds it in release and judges it.

mod arena;
mod cpu;
mod feeder;
mod g1;
mod g11;
mod g12;
mod g3;
mod g4;
mod g8;
mod ipc;
mod peers;
mod pool_watch;
mod race;
mod report;
mod soak;

use std::{path::Path, process::ExitCode};

/// What went wrong, for people.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::print_stderr, reason = "a chore talks to the terminal")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    let quick = words.last() == Some(&"--quick");
    if quick {
        words.pop();
    }
    let outcome = match words[..] {
        ["g1"] => g1::run(),
        ["g3"] => g3::run(quick),
        ["g4"] => g4::pending(quick),
        ["g4b"] => g4::mined(quick),
        ["g8"] => g8::run(quick),
        ["g8-first", folder, address, topic] => g8::first(folder, address, topic),
        ["g11"] => g11::run(quick),
        ["g12"] => g12::run(),
        ["g11-child", path] => g11::child(path),
        ["race"] => race::run(quick, None),
        ["race", picture] => race::run(quick, Some(Path::new(picture))),
        ["soak"] => soak::run(quick),
        _ => Err("usage: benches g1|g3|g4|g4b|g8|g11|g12|race [PICTURE]|soak [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
