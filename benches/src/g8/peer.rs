//! DuckDB and polars in a Python process of their own, asked line by line.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;

use crate::Failure;

/// The peers.
const PACKAGES: [&str; 3] = ["duckdb==2.0.1", "polars==1.44.2", "numpy"];

/// Count and sum of places by detector.
pub(super) type Found = BTreeMap<u32, (u64, u64)>;

/// What a query came to.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) seconds: f64,
    pub(super) hits: Found,
}

#[derive(Debug, Deserialize)]
struct Versions {
    duckdb: String,
    polars: String,
}

/// The process.
pub(super) struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    versions: Versions,
    python: PathBuf,
    _environment: Option<tempfile::TempDir>,
}

impl Peer {
    /// Starts it over the files of `folder`; installs the packages unless `PYTHON` names an interpreter that has them.
    pub(super) fn start(folder: &Path, threads: usize) -> Result<Self, Failure> {
        let (python, environment) = python()?;
        let mut child = Command::new(&python)
            .arg(script("query.py"))
            .arg(folder)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().ok_or("no standard input")?;
        let mut from = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        from.read_line(&mut line)?;
        let versions = serde_json::from_str(&line)?;
        Ok(Self { child, to, from, versions, python, _environment: environment })
    }

    /// Asks one question.
    pub(super) fn ask(&mut self, question: &str) -> Result<Answer, Failure> {
        writeln!(self.to, "{question}")?;
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(format!("the peer died over `{question}`").into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// The version of a peer.
    pub(super) fn version(&self, name: &str) -> &str {
        if name == "DuckDB" { &self.versions.duckdb } else { &self.versions.polars }
    }

    /// The command of a cold start, without its last arguments.
    pub(super) fn first(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(script("first.py")).arg(name);
        command
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It is only asked to go; whether it was there still does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/columns").join(name)
}

fn python() -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    if let Some(given) = std::env::var_os("PYTHON") {
        return Ok((given.into(), None));
    }
    let folder = tempfile::tempdir()?;
    let environment = folder.path().join("venv");
    let interpreter = environment.join("bin/python");
    quietly(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    quietly(Command::new(&interpreter).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    Ok((interpreter, Some(folder)))
}

fn quietly(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into()),
    }
}
