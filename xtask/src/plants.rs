//! `cargo xtask plants`: bugs planted on purpose, which the simulation must find.
//!
//! Each patch under `drills/plants` is applied to a scratch copy of the sources; the lives of that
//! engine must break. A patch that does not apply any more is a failure, too.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Outcome, fail, root, say};

/// Lives that a planted bug may stay hidden for, tried in turn: most show within the first few. They
/// are lived in a debug build: building an optimised one for each bug would take longer.
const LIVES: [&str; 2] = ["400", "10000"];

/// A scratch copy of the sources; removed when dropped.
struct Copy(PathBuf);

/// Plants each bug, or those whose name contains a word, and expects to see it caught.
pub(crate) fn run(word: &str) -> Outcome {
    let copy = Copy::new()?;
    say(&format!("{:<28} {:<8} {:>6}  what broke", "planted bug", "caught", "seed"));
    let mut missed = Vec::new();
    for patch in patches()? {
        let name = patch.file_stem().map(|it| it.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if !name.contains(word) {
            continue;
        }
        let mut caught = None;
        for lives in LIVES {
            caught = caught.or(copy.plant(&patch, lives)?);
            if caught.is_some() {
                break;
            }
        }
        match caught {
            Some((seed, what)) => say(&format!("{name:<28} {:<8} {seed:>6}  {what}", "yes")),
            None => {
                say(&format!("{name:<28} {:<8}", "NO"));
                missed.push(format!("{name} was not caught in {} lives", LIVES[1]));
            }
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed) }
}

fn patches() -> Result<Vec<PathBuf>, Vec<String>> {
    let folder = root().join("drills/plants");
    let entries = std::fs::read_dir(&folder).map_err(|it| fail("drills/plants", it))?;
    let mut out: Vec<PathBuf> = entries.filter_map(|it| it.ok().map(|it| it.path())).collect();
    out.retain(|it| it.extension().is_some_and(|it| it == "patch"));
    out.sort();
    Ok(out)
}

impl Copy {
    /// The sources as they are now, changes that are not committed included.
    fn new() -> Result<Self, Vec<String>> {
        let path = std::env::temp_dir().join(format!("cofferdam-plants-{}", std::process::id()));
        let copy = Self(path);
        let place = copy.0.display().to_string();
        git(&root(), &["worktree", "add", "--quiet", "--detach", &place, "HEAD"])?;
        let changes = git(&root(), &["diff", "--binary", "HEAD"])?;
        if !changes.is_empty() {
            let file = copy.0.join("changes.diff");
            std::fs::write(&file, changes).map_err(|it| fail("changes.diff", it))?;
            git(&copy.0, &["apply", "changes.diff"])?;
        }
        Ok(copy)
    }

    /// Applies a patch, lives, and takes it back. The first seed that broke with what broke.
    fn plant(&self, patch: &Path, lives: &str) -> Result<Option<(String, String)>, Vec<String>> {
        let patch = patch.display().to_string();
        git(&self.0, &["apply", &patch])?;
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "xtask", "--"])
            .args(["drill", "--here", "--seeds", lives])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target())
            .output()
            .map_err(|it| fail("cargo run", it))?;
        git(&self.0, &["apply", "--reverse", &patch])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.contains("seeds/s") {
            return Err(fail(&patch, String::from_utf8_lossy(&output.stderr)));
        }
        let first = text.lines().find_map(|it| it.strip_prefix("seed ")?.split_once(": "));
        Ok(first.map(|(seed, what)| (seed.to_owned(), what.to_owned())))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let place = self.0.display().to_string();
        // Left behind, it is only a folder in the temporary directory.
        let _ = git(&root(), &["worktree", "remove", "--force", &place]);
    }
}

/// One build folder for all plants: only what a patch touches is built again. Not the tree's own: cargo
/// takes a crate at another path for the same one, and would run a planted bug in its place.
fn target() -> PathBuf {
    let own = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    own.unwrap_or_else(|| root().join("target")).join("plants")
}

fn git(folder: &Path, args: &[&str]) -> Result<Vec<u8>, Vec<String>> {
    let output = Command::new("git").args(args).current_dir(folder).output();
    let output = output.map_err(|it| fail("git", it))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(fail(&args.join(" "), String::from_utf8_lossy(&output.stderr))),
    }
}
