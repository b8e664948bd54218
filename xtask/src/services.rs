//! What tests run against: the npm packages that `contracts/package-lock.json` pins (forge, anvil,
//! solc, protocol bytecode).

use std::process::Command;

use crate::{Outcome, fail, root, say};

pub(crate) fn run() -> Outcome {
    let folder = root().join("contracts");
    if folder.join("node_modules").is_dir() {
        say("contracts/node_modules is present");
        return Ok(());
    }
    let status = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .status()
        .map_err(|it| fail("npm ci", it))?;
    if status.success() { Ok(()) } else { Err(fail("npm ci", status)) }
}
