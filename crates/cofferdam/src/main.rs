//! The `cofferdam` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cofferdam::cli::main()
}
