//! Foreign clients from npm, installed into a folder that goes away, at test time only.

use std::{
    path::Path,
    process::{Command, Output},
};

/// A folder with `packages`, or why there is none.
pub(crate) fn installed(packages: &[&str]) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix"]);
    match npm.arg(folder.path()).args(packages).output() {
        Ok(it) if it.status.success() => Some(folder),
        Ok(it) => {
            skipped(&format!("npm cannot install {packages:?}: {}", text(&it.stderr)));
            None
        }
        Err(error) => {
            skipped(&format!("npm is not here: {error}"));
            None
        }
    }
}

/// Says why a test, or a part of one, was not run.
#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
pub(crate) fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// Runs `script` as a module beside the packages of `folder`.
pub(crate) fn node(folder: &Path, script: &str, args: &[&str]) -> Output {
    std::fs::write(folder.join("test.mjs"), script).expect("a file");
    Command::new("node")
        .arg("test.mjs")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("node beside npm")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
