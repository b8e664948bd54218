//! `cofferdam playbook check | show | run`.

mod dry;
mod live;
mod say;
mod workers;

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Subcommand, ValueEnum};
use cofferdam_playbook::{
    Issue, Level, Playbook, Profile, Reading, against_plan, json, read, runnable, show,
    sign::{self, Trusted},
};

use super::{CliError, Output};
use crate::runtime::now;

/// What to do with playbooks.
#[derive(Debug, Subcommand)]
pub enum PlaybookCommand {
    /// Checks playbooks: format, references, ways through them, variables, conditions.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How strictly.
        #[arg(long, value_enum, default_value_t)]
        profile: ProfileArg,
        /// A plan's folder: every command must be one that it allows.
        #[arg(long)]
        plan: Option<PathBuf>,
    },
    /// Says in plain words what a playbook does, and whose signatures on it count.
    Show {
        /// The file.
        file: PathBuf,
        /// How strictly it is read.
        #[arg(long, value_enum, default_value_t)]
        profile: ProfileArg,
        /// A key that counts: a name, `=`, and a file with the public key (PEM or base64).
        #[arg(long, value_name = "NAME=FILE")]
        trust: Vec<String>,
    },
    /// Runs a playbook: as a rehearsal with `--dry-run`, or for workers and people that connect.
    Run(RunArgs),
}

/// How a playbook is run.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The file.
    file: PathBuf,
    /// How strictly it is read.
    #[arg(long, value_enum, default_value_t)]
    profile: ProfileArg,
    /// A plan's folder: nothing is done that it does not allow.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Rehearse it: everything is answered at once, nothing is done.
    #[arg(long)]
    dry_run: bool,
    /// In a rehearsal, a step that fails, by its name.
    #[arg(long, value_name = "STEP")]
    fail: Vec<String>,
    /// In a rehearsal, what a step sets: `STEP:__name__=value`; repeated, one value for each visit.
    #[arg(long, value_name = "STEP:NAME=VALUE")]
    answer: Vec<String>,
    /// A variable that the playbook leaves to its caller.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Who sets it off, as the record says.
    #[arg(long, default_value = "operator")]
    by: String,
    /// A command type that workers may be given.
    #[arg(long, value_name = "TYPE")]
    worker: Vec<String>,
    /// Where workers and people connect. The token that workers register with stands in COFFERDAM_FIN_TOKEN; people are
    /// those of the plan.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The journal of the run; one that is there is gone on with.
    #[arg(long, default_value = ".cofferdam/playbook-run")]
    journal: PathBuf,
}

/// How strictly a playbook is judged.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ProfileArg {
    /// The text of the standard.
    #[default]
    Strict,
    /// What SOARCA writes as well, with warnings.
    Soarca,
}

impl From<ProfileArg> for Profile {
    fn from(it: ProfileArg) -> Self {
        match it {
            ProfileArg::Strict => Self::Strict,
            ProfileArg::Soarca => Self::Soarca,
        }
    }
}

pub(crate) async fn run(command: PlaybookCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        PlaybookCommand::Check { files, profile, plan } => {
            check(&files, profile.into(), plan.as_deref(), output)
        }
        PlaybookCommand::Show { file, profile, trust } => {
            show_one(&file, profile.into(), &trust, output)
        }
        PlaybookCommand::Run(args) => {
            let playbook = accepted(&args.file, args.profile.into())?;
            if args.dry_run {
                return dry::run(&args, &playbook, output);
            }
            let Some(listen) = args.listen.clone() else {
                return Err(CliError::new("nobody could carry it out")
                    .hint("rehearse it with --dry-run")
                    .hint("or let workers and people connect with --listen 127.0.0.1:8080"));
            };
            live::run(&args, &listen, playbook, output).await
        }
    }
}

/// A file and its reading.
fn load(file: &Path, profile: Profile) -> Result<(String, Reading), CliError> {
    let what = format!("read {}", file.display());
    let size = std::fs::metadata(file).map_err(|it| CliError::io(&what, it))?.len();
    if size > json::BYTES_MAX as u64 {
        return Err(CliError::new(format!(
            "{} is larger than {} bytes",
            file.display(),
            json::BYTES_MAX
        ))
        .hint("a playbook of that size is none that a person reviewed"));
    }
    let text = std::fs::read_to_string(file).map_err(|it| CliError::io(&what, it))?;
    let reading = read(&text, profile);
    Ok((text, reading))
}

/// The playbook in `file`, or everything that is wrong with it.
fn accepted(file: &Path, profile: Profile) -> Result<Playbook, CliError> {
    let (text, reading) = load(file, profile)?;
    match reading.accepted() {
        Some(it) => Ok(it.clone()),
        None => {
            let issues: String = reading
                .issues
                .iter()
                .filter(|it| it.level == Level::Error)
                .map(|it| issue_text(file, &text, it))
                .collect();
            Err(CliError::new(format!(
                "{} is not a playbook that can be run\n{}",
                file.display(),
                issues.trim_end()
            ))
            .hint("`cofferdam playbook check` shows warnings as well"))
        }
    }
}

fn check(
    files: &[PathBuf],
    profile: Profile,
    plan: Option<&Path>,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let plan = plan.map(super::plan::load).transpose()?.map(|it| it.0);
    let (mut text, mut values, mut sound) = (String::new(), Vec::new(), true);
    for file in files {
        let (source, reading) = load(file, profile)?;
        for it in &reading.issues {
            text.push_str(&issue_text(file, &source, it));
        }
        if reading.more > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}: and {} more", file.display(), reading.more);
        }
        let mut lacks = Vec::new();
        if let (Some(plan), Some(playbook)) = (&plan, &reading.playbook) {
            for (step, why) in against_plan(playbook, plan) {
                let name = playbook.workflow.get(&step).map_or("?", |it| it.title());
                let _ = writeln!(text, "{}: error[not-in-plan]: `{name}`: {why}", file.display());
                let _ = writeln!(
                    text,
                    "    hint: add it to the plan, or set the variable it comes from"
                );
                lacks.push(serde_json::json!({ "step": step, "why": why }));
            }
        }
        let good = reading.accepted().is_some() && lacks.is_empty();
        sound &= good;
        let verdict = match reading.accepted() {
            Some(it) if good => {
                let warnings = reading.issues.len();
                let note = match runnable(it, now()) {
                    Ok(()) => String::new(),
                    Err(why) => format!("; it is not run: {why}"),
                };
                format!("{} steps, {warnings} warnings{note}", it.workflow.len())
            }
            _ => "NOT taken".to_owned(),
        };
        let _ = writeln!(text, "{}: {verdict}", file.display());
        values.push(serde_json::json!({
            "file": file.display().to_string(),
            "valid": good,
            "issues": reading.issues,
            "more": reading.more,
            "not_in_plan": lacks,
        }));
    }
    output.result(&values, &text);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `file:line:column: level[rule]: message`, the line itself with a caret, and the hint.
fn issue_text(file: &Path, source: &str, it: &Issue) -> String {
    /// Longest piece of a line that is shown, in characters.
    const SHOWN_MAX: usize = 100;
    let line = source.lines().nth(it.line.saturating_sub(1)).unwrap_or_default();
    let skip = it.column.saturating_sub(SHOWN_MAX / 2);
    let shown: String = line
        .chars()
        .skip(skip)
        .take(SHOWN_MAX)
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    // A line that holds a secret is named, never shown.
    let (shown, caret) = if it.sensitive {
        ("…".to_owned(), 0)
    } else {
        (shown, it.column.saturating_sub(skip + 1))
    };
    let mut out = format!("{}:{it}\n    {shown}\n    {}^\n", file.display(), " ".repeat(caret));
    if let Some(hint) = &it.hint {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "    hint: {hint}");
    }
    out
}

fn show_one(
    file: &Path,
    profile: Profile,
    trust: &[String],
    output: &Output,
) -> Result<ExitCode, CliError> {
    let trusted = keys(trust)?;
    let (_, reading) = load(file, profile)?;
    let playbook = accepted(file, profile)?;
    let mut text = show::playbook(&playbook);
    let verdicts = match &reading.document {
        Some(it) => sign::verify(it, &playbook, &trusted, now()),
        None => Vec::new(),
    };
    if !verdicts.is_empty() {
        text.push_str("\nsignatures\n");
    }
    for it in &verdicts {
        let judged = match &it.result {
            Ok(owner) => format!("good, with the key of {owner}"),
            Err(why) => format!("does not count: {why}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}: {judged}", it.signee);
    }
    if let Err(why) = runnable(&playbook, now()) {
        let _ = writeln!(text, "\nit is not run: {why}");
    }
    let value = serde_json::json!({ "playbook": playbook, "signatures": verdicts });
    output.result(&value, &text);
    Ok(ExitCode::SUCCESS)
}

/// `NAME=FILE` with a public key in PEM or base64.
fn keys(trust: &[String]) -> Result<Trusted, CliError> {
    let mut out = Trusted::new();
    for it in trust {
        let (name, file) = pair(it)?;
        let text = std::fs::read_to_string(&file)
            .map_err(|it| CliError::io(&format!("read {file}"), it))?;
        let body: String = text
            .lines()
            .filter(|it| !it.starts_with("-----"))
            .flat_map(str::split_whitespace)
            .collect();
        let key = STANDARD.decode(body).map_err(|it| {
            CliError::caused(format!("{file} holds no public key"), it)
                .hint("PEM (`BEGIN PUBLIC KEY`) or the same in base64 alone")
        })?;
        out.insert(name, key);
    }
    Ok(out)
}

fn pair(text: &str) -> Result<(String, String), CliError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(CliError::new(format!("`{text}` is not NAME=VALUE"))
            .hint("for example --set __containment__=pause-vault")),
    }
}

fn given(args: &RunArgs) -> Result<BTreeMap<String, String>, CliError> {
    args.set.iter().map(|it| pair(it)).collect()
}
