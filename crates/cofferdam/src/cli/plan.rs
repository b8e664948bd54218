//! `cofferdam plan new | check | explain | schema | hash`.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use alloy_primitives::B256;
use clap::Subcommand;
use cofferdam_core::plan::{self, Plan, PlanErrors};
use cofferdam_engine::{Engine, Limits};

use super::{CliError, Output, card};

/// Files of a plan folder, and their sizes, that are read at most.
const FILES_MAX: usize = 1_000;
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What to do with a plan.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Lays a commented plan in a new folder.
    New {
        /// The folder.
        folder: PathBuf,
        /// Name of the protocol.
        #[arg(long, default_value = "My protocol")]
        name: String,
    },
    /// Checks a plan: format, references, rules and their settings.
    Check {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Says in plain words what a plan protects and who may do what without asking.
    Explain {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Prints the JSON Schema of `plan.toml`.
    Schema,
    /// Prints the hash of a plan folder, as the journal records it.
    Hash {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
}

pub(crate) fn run(command: PlanCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        PlanCommand::New { folder, name } => {
            let path = folder.join("plan.toml");
            if path.exists() {
                return Err(CliError::new(format!("{} exists already", path.display()))
                    .hint("choose another folder"));
            }
            std::fs::create_dir_all(&folder).map_err(|it| CliError::io("create the folder", it))?;
            std::fs::write(&path, plan::template(&name))
                .map_err(|it| CliError::io("write the plan", it))?;
            let value = serde_json::json!({ "plan": path.display().to_string() });
            output.result(
                &value,
                &format!(
                    "wrote {}; next: cofferdam plan check {}\n",
                    path.display(),
                    folder.display()
                ),
            );
        }
        PlanCommand::Check { folder } => {
            let (began, held) = (Instant::now(), resident());
            let (plan, engine, hash) = build(&folder)?;
            let evidence = card::checked(&plan)?;
            let load_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let memory = held.and_then(|held| Some(resident()?.saturating_sub(held)));
            let value = serde_json::json!({
                "valid": true,
                "hash": hash,
                "rules": plan.rules.len(),
                "detectors": engine.detectors(),
                "actions": plan.actions.len(),
                "evidence": evidence,
                "load_ms": load_ms,
                "memory_bytes": memory,
            });
            let text = format!(
                "{} is a valid plan: {} entities, {} rules, {} actions\n{evidence}\nhash {hash}\n",
                plan.name,
                plan.entities.len(),
                plan.rules.len(),
                plan.actions.len()
            );
            output.result(&value, &text);
        }
        PlanCommand::Explain { folder } => {
            let (plan, _) = load(&folder)?;
            let text = plan::explain(&plan);
            output.result(&serde_json::json!({ "text": text }), &text);
        }
        PlanCommand::Schema => {
            let schema = plan::schema();
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            output.text(&(text + "\n"));
        }
        PlanCommand::Hash { folder } => {
            let (_, hash) = load(&folder)?;
            output.result(&serde_json::json!({ "hash": hash }), &format!("{hash}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks the plan in `folder`; its rules are built once to check their settings.
pub(crate) fn load(folder: &Path) -> Result<(Plan, B256), CliError> {
    build(folder).map(|(plan, _, hash)| (plan, hash))
}

/// As [`load`], with the engine that its rules were built in.
fn build(folder: &Path) -> Result<(Plan, Engine, B256), CliError> {
    let path = folder.join("plan.toml");
    let text = std::fs::read_to_string(&path).map_err(|it| {
        CliError::io(&format!("read {}", path.display()), it)
            .hint("`cofferdam plan new FOLDER` lays a plan")
    })?;
    let name = path.display().to_string();
    let mut plan = plan::parse(&text, &name).map_err(|it| refused(&text, &it))?;
    card::attach(&mut plan, folder)?;
    let engine = Engine::new(plan.clone(), Limits::default()).map_err(|it| {
        CliError::caused(format!("{name}: a rule cannot be built"), it)
            .hint("docs/reference/detectors.md names detectors and their settings")
    })?;
    Ok((plan, engine, plan::hash(&files(folder)?)))
}

/// Bytes of memory that the process holds, where the system tells (Linux).
fn resident() -> Option<u64> {
    const PAGE_BYTES: u64 = 4_096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(PAGE_BYTES)
}

/// Every error with its place, the line itself and a caret.
fn refused(text: &str, errors: &PlanErrors) -> CliError {
    let mut out = String::from("the plan is wrong");
    for it in &errors.errors {
        // A line that holds a secret is named, never shown.
        let line =
            text.lines().nth(it.line.saturating_sub(1)).filter(|_| !it.sensitive).unwrap_or("…");
        let caret = " ".repeat(it.column.saturating_sub(1));
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n{}:{}:{}: {}\n    {line}\n    {caret}^",
            errors.file, it.line, it.column, it.message
        );
        if let Some(hint) = &it.hint {
            let _ = write!(out, "\n    hint: {hint}");
        }
    }
    CliError::new(out).hint("`cofferdam plan schema` describes every field")
}

/// The files of the folder by relative path; hidden ones are left out.
fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let mut out = BTreeMap::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let entries =
            std::fs::read_dir(&dir).map_err(|it| CliError::io("read the plan's folder", it))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let size = entry.metadata().map(|it| it.len()).unwrap_or(u64::MAX);
            if out.len() >= FILES_MAX || size > FILE_BYTES_MAX {
                return Err(CliError::new("the plan's folder is too large")
                    .hint("keep plan.toml, playbooks and templates there, nothing else"));
            }
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let content =
                std::fs::read(&path).map_err(|it| CliError::io(&format!("read {name}"), it))?;
            out.insert(name, content);
        }
    }
    Ok(out)
}
