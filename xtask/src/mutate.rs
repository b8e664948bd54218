//! Mutation testing of the pricing kernel and the decision with `cargo-mutants`, in a workspace of that crate alone.
//!
//! **Invariant:** the working tree is never changed: mutants live in a copy below the target folder.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Outcome, fail, root, say};

/// What is mutated.
const FILES: [&str; 14] = [
    "decision.rs",
    "door.rs",
    "fusion.rs",
    "stopping.rs",
    "pricing/batch.rs",
    "pricing/black.rs",
    "pricing/block.rs",
    "pricing/greeks.rs",
    "pricing/implied.rs",
    "pricing/lanes.rs",
    "pricing/linear.rs",
    "pricing/normal.rs",
    "pricing/settlement.rs",
    "scenario/sweep.rs",
];
/// What must kill them.
const TESTS: [&str; 4] = ["golden_pricing", "golden_decision", "metamorphic", "mutants"];
/// Share that must be killed, per cent.
const KILLED_MIN: usize = 85;
/// Longest run of the tests under one mutant, seconds.
const SECONDS_MAX: &str = "120";

pub(crate) fn run(what: &str, shard: Option<&str>) -> Outcome {
    if what != "risk" {
        return Err(vec![format!("there is nothing to mutate in `{what}`: try `risk`")]);
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder = target.join("mutants");
    let workspace = folder.join("workspace");
    lay(&workspace)?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("mutants").current_dir(&workspace).env_remove("CARGO_TARGET_DIR");
    // Copies of the copy belong below the target folder too; recorded data is found where it is.
    cargo.env("TMPDIR", &folder).env("PROPTEST_CASES", "48");
    if std::env::var_os("COFFERDAM_SHARED").is_none() {
        cargo.env("COFFERDAM_SHARED", root().join("../shared"));
    }
    cargo.args(["--sharding", "round-robin", "--timeout", SECONDS_MAX, "--output"]).arg(&folder);
    if let Some(shard) = shard {
        cargo.args(["--shard", shard]);
    }
    for file in FILES {
        cargo.args(["--file", &format!("crates/cofferdam-risk/src/{file}")]);
    }
    cargo.args(["--", "--lib"]);
    for test in TESTS {
        cargo.args(["--test", test]);
    }
    // It fails when a mutant lives; what counts is the share.
    let status = cargo.status().map_err(|it| fail("cargo mutants", it))?;
    let lines = |name: &str| {
        let path = folder.join("mutants.out").join(name);
        std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
    };
    let killed = lines("caught.txt") + lines("timeout.txt");
    let tried = killed + lines("missed.txt");
    if tried == 0 {
        let mut out = vec![format!("cargo mutants tried nothing ({status})")];
        out.push("hint: cargo install --locked cargo-mutants".to_owned());
        return Err(out);
    }
    let share = 100.0 * killed as f64 / tried as f64;
    let (low, high) = crate::accept::interval(killed as u64, tried as u64);
    let of = shard.map_or(String::new(), |it| format!(", shard {it} of all, taken evenly"));
    let (low, high) = (low * 100.0, high * 100.0);
    say(&format!(
        "{killed} of {tried} mutants killed: {share:.1} % [{low:.1}, {high:.1}], bar {KILLED_MIN} %{of}"
    ));
    if killed * 100 >= tried * KILLED_MIN {
        return Ok(());
    }
    let missed = std::fs::read_to_string(folder.join("mutants.out/missed.txt"));
    Err(missed.unwrap_or_default().lines().map(str::to_owned).collect())
}

/// A workspace that holds one crate, so that one mutant costs one small build.
fn lay(workspace: &Path) -> Outcome {
    let written = |it: std::io::Error| fail("lay the workspace", it);
    if workspace.exists() {
        std::fs::remove_dir_all(workspace).map_err(written)?;
    }
    copy(&root().join("crates/cofferdam-risk"), &workspace.join("crates/cofferdam-risk"))
        .map_err(written)?;
    for name in ["Cargo.lock", "clippy.toml"] {
        std::fs::copy(root().join(name), workspace.join(name)).map_err(written)?;
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).map_err(written)?;
    std::fs::write(workspace.join("Cargo.toml"), alone(&manifest)).map_err(written)
}

/// The root manifest with one member and none of the other crates or profiles.
fn alone(manifest: &str) -> String {
    let shared = manifest.split("\n[profile").next().unwrap_or(manifest);
    let mut out = String::new();
    for line in shared.lines() {
        if line.starts_with("members = ") {
            out.push_str("members = [\"crates/cofferdam-risk\"]\n");
        } else if !line.starts_with("default-members")
            && (!line.starts_with("cofferdam-") || line.starts_with("cofferdam-risk "))
        {
            out.push_str(line);
            out.push('\n');
        }
    }
    // Tests of random inputs are slow without optimisation, builds with much of it.
    out + "\n[profile.dev]\ndebug = false\nopt-level = 1\n"
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::alone;

    #[test]
    fn a_workspace_of_one_crate_keeps_shared_dependencies_and_lints() {
        let manifest = "[workspace]\nmembers = [\"crates/*\"]\ndefault-members = [\"x\"]\n\n[workspace.dependencies]\ncofferdam-core = { path = \"a\" }\ncofferdam-risk = { path = \"b\" }\nlibm = \"0.2\"\n\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n\n[profile.dev]\nopt-level = 3\n";
        let text = alone(manifest);
        for kept in
            ["members = [\"crates/cofferdam-risk\"]", "cofferdam-risk = ", "libm", "unsafe_code"]
        {
            assert!(text.contains(kept), "{kept}: {text}");
        }
        for gone in ["default-members", "cofferdam-core", "opt-level = 3"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
    }
}
