//! Repository chores: `cargo xtask <chore>`. Nothing here is part of the product.

mod accept;
mod bench;
mod codegen;
mod crosscheck;
mod drill;
mod layers;
mod mutate;
mod plants;
mod scaffold;
mod services;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  tidy                          layers, file and function lengths, documentation headings, forbidden words
  codegen [--check]             write (or compare) what is generated under docs/reference
  new detector|action|drill ID  lay the files of one more plug-in
  services                      install what tests run against (npm packages of contracts/)
  drill --seeds COUNT           live simulated lives on every core, print what happened in them
  drill --seed N                live one, with its story
  plants [WORD]                 plant each known bug in a scratch copy and expect to see it caught
  accept loop                   run the acceptance lines of the closed loop and print the table
  accept load                   load a plan of a thousand detectors and print time and memory
  accept risk                   run the acceptance lines of decisions in money and print the table
  accept detection [--quick]    run the adversarial corpus beside 3 million ordinary transactions and print the table
  corpus [--quick]              the same as `accept detection`
  accept faults [--runs N]      break one thing after the other around the program and print the table
  bench ID [--json] [--quick]   measure beside the peers, in release, and judge against the bars
  mutate risk [K/N]             change the kernel and the decision line by line and expect a test to fail (shard K of N)
  crosscheck risk               compare prices and Greeks with QuantLib and vollib (needs both from PyPI)
  crosscheck safe               compare Safe hashes and calldata with safe-eth-py (needs it from PyPI)
";

/// What a chore ends with: nothing, or what is wrong, one line each.
pub(crate) type Outcome = Result<(), Vec<String>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["tidy"] => tidy::run(),
        ["codegen"] => codegen::run(false),
        ["codegen", "--check"] => codegen::run(true),
        ["new", kind, id] => scaffold::run(kind, id),
        ["services"] => services::run(),
        ["drill", ref args @ ..] => drill::run(args),
        ["plants"] => plants::run(""),
        ["plants", word] => plants::run(word),
        ["mutate", what] => mutate::run(what, None),
        ["mutate", what, shard] => mutate::run(what, Some(shard)),
        ["crosscheck", what] => crosscheck::run(what),
        ["corpus", ref more @ ..] => accept::run("detection", more),
        ["accept", suite, ref more @ ..] => accept::run(suite, more),
        ["bench", id, ref flags @ ..] => bench::run(id, flags),
        _ => Err(vec![USAGE.to_owned()]),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(lines) => {
            say(&lines.join("\n"));
            ExitCode::FAILURE
        }
    }
}

/// Prints for the person who ran the chore.
#[expect(clippy::print_stdout, reason = "a chore talks to the terminal")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// The root of the repository.
pub(crate) fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A failed read or command as a line for people.
pub(crate) fn fail(what: &str, error: impl std::fmt::Display) -> Vec<String> {
    vec![format!("{what}: {error}")]
}
