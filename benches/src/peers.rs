//! Peers from npm, installed beside the build output when they are first needed.

use std::{path::PathBuf, process::Command};

use crate::Failure;

/// Copies `files` of `benches/peers/<name>` and installs its packages; `package` is the one that shows
/// whether they are there. Returns the folder.
pub(crate) fn install(name: &str, files: &[&str], package: &str) -> Result<PathBuf, Failure> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers").join(name);
    let build = std::env::current_exe()?;
    let folder = build.parent().ok_or("no build folder")?.join("peers").join(name);
    std::fs::create_dir_all(&folder)?;
    for file in files {
        std::fs::copy(source.join(file), folder.join(file))?;
    }
    if !folder.join("node_modules").join(package).is_dir() {
        let npm = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&folder)
            .output()?;
        if !npm.status.success() {
            return Err(String::from_utf8_lossy(&npm.stderr).trim().to_owned().into());
        }
    }
    Ok(folder)
}
