//! The gates before reopening.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use alloy_primitives::{B256, U256, keccak256};
use clap::Args;
use cofferdam_recovery::{
    Figures, Gate, Gates, RecoveryEvent, Refusal, State, Status, checklist::Passed,
};
use cofferdam_respond::{CaseId, Cases};
use cofferdam_statements::minute;

use super::{CliError, Output};
use crate::{
    cli::desk::{self, Desk, DeskArgs, find_case, word},
    runtime::now,
};

/// Largest file of evidence, in bytes.
const EVIDENCE_BYTES_MAX: u64 = 64 << 20;

/// A case.
#[derive(Debug, Args)]
pub(crate) struct CaseArgs {
    /// The case: the first digits of its id or of an incident's.
    #[arg(long)]
    case: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// A proof.
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The gate, as the checklist names it.
    #[arg(value_parser = word::<Gate>)]
    gate: Gate,
    /// Hash of the evidence.
    #[arg(long, required_unless_present = "evidence_file", conflicts_with = "evidence_file")]
    evidence: Option<B256>,
    /// The evidence as a file; its Keccak-256 is recorded.
    #[arg(long, value_name = "FILE")]
    evidence_file: Option<PathBuf>,
    /// What the evidence is.
    #[arg(long)]
    what: String,
    /// For cause-gone: hash of the patched runtime code that the attack was replayed on.
    #[arg(long, requires = "variants")]
    codehash: Option<B256>,
    /// For cause-gone: how many mutated variants failed as well.
    #[arg(long, requires = "codehash")]
    variants: Option<u32>,
    /// For code-matches: hash of the runtime code on chain.
    #[arg(long, requires = "audited")]
    runtime: Option<B256>,
    /// For code-matches: hash of what the audited build gives.
    #[arg(long, requires = "runtime")]
    audited: Option<B256>,
    /// For accounting: the sum of claims, in base units.
    #[arg(long, requires = "assets")]
    claims: Option<U256>,
    /// For accounting: the assets, in base units.
    #[arg(long, requires = "claims")]
    assets: Option<U256>,
    /// For limits-lowered: what is left of ordinary capacity, in basis points.
    #[arg(long, requires = "limit_hours")]
    limit_bps: Option<u32>,
    /// For limits-lowered: for how long, in hours.
    #[arg(long, requires = "limit_bps")]
    limit_hours: Option<u32>,
    /// Who proves it.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    of: CaseArgs,
}

/// A gate that does not apply.
#[derive(Debug, Args)]
pub(crate) struct DismissArgs {
    /// The gate.
    #[arg(value_parser = word::<Gate>)]
    gate: Gate,
    /// Why.
    #[arg(long)]
    because: String,
    /// Who says so.
    #[arg(long)]
    by: String,
    /// Who agrees: another person.
    #[arg(long)]
    agreed: String,
    #[command(flatten)]
    of: CaseArgs,
}

/// A proof to be taken back.
#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// The gate.
    #[arg(value_parser = word::<Gate>)]
    gate: Gate,
    /// Why.
    #[arg(long)]
    because: String,
    /// Who says so.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    of: CaseArgs,
}

/// Reopening.
#[derive(Debug, Args)]
pub(crate) struct ReopenArgs {
    /// Who asks.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    of: CaseArgs,
}

impl ProveArgs {
    fn figures(&self) -> Result<Option<Figures>, CliError> {
        let all = [
            self.codehash
                .zip(self.variants)
                .map(|(codehash, variants)| Figures::Replay { codehash, variants }),
            self.runtime
                .zip(self.audited)
                .map(|(runtime, audited)| Figures::Code { runtime, audited }),
            self.claims
                .zip(self.assets)
                .map(|(claims, assets)| Figures::Balance { claims, assets }),
            self.limit_bps.zip(self.limit_hours).map(|(bps, hours)| Figures::Limit { bps, hours }),
        ];
        let mut given = all.into_iter().flatten();
        let first = given.next();
        if given.next().is_some() {
            return Err(CliError::new("figures of several gates are given")
                .hint("prove one gate at a time"));
        }
        Ok(first)
    }

    fn hash(&self) -> Result<B256, CliError> {
        let Some(path) = &self.evidence_file else { return Ok(self.evidence.unwrap_or_default()) };
        let what = format!("read {}", path.display());
        let size = std::fs::metadata(path).map_err(|it| CliError::io(&what, it))?.len();
        if size > EVIDENCE_BYTES_MAX {
            return Err(CliError::new(format!("{} has {size} bytes", path.display())).hint(
                format!("at most {EVIDENCE_BYTES_MAX} are read; give its hash with --evidence"),
            ));
        }
        Ok(keccak256(std::fs::read(path).map_err(|it| CliError::io(&what, it))?))
    }
}

async fn read(args: &CaseArgs) -> Result<(Cases, Gates), CliError> {
    let (mut cases, mut gates) = (Cases::default(), Gates::default());
    desk::read(&args.desk, |at, record| {
        cases.apply(at, record);
        gates.apply(at, record);
    })
    .await?;
    Ok((cases, gates))
}

pub(super) async fn checklist(args: &CaseArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (cases, gates) = read(args).await?;
    let case = find_case(&cases, &args.case)?;
    let states = gates.states(&case.id, now());
    let open = gates.open(&case.id, now()).len();
    let mut text = format!("case {}  {}\n\n", case.id.short(), case.state.word());
    text.extend(states.iter().map(line));
    let allowed = gates.allowed(&case.id);
    // Writing to a String cannot fail.
    let _ = match (open, allowed) {
        (0, Some(at)) => writeln!(text, "\nreopening was allowed at {}", minute(at)),
        (0, None) => {
            writeln!(text, "\nevery gate is passed: `cofferdam recovery reopen` allows it")
        }
        (open, _) => writeln!(text, "\n{open} gates are open: do not reopen"),
    };
    let value =
        serde_json::json!({ "case": case.id, "gates": states, "open": open, "allowed": allowed });
    output.result(&value, &text);
    Ok(if open == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(it: &State) -> String {
    let status = match it.status {
        Status::Open => "OPEN",
        Status::Stale => "STALE",
        Status::Passed => "passed",
        Status::NotApplicable => "n/a",
    };
    let head = format!("{status:<7} {:<19} ", it.gate.word());
    let Some(deed) = &it.deed else {
        return format!("{head}{} ({})\n", it.gate.proof(), it.gate.who());
    };
    let how = match &deed.passed {
        Passed::Proved { what, evidence, .. } => {
            format!("{what} [{}]", alloy_primitives::hex::encode(&evidence[..4]))
        }
        Passed::Dismissed { because, agreed } => format!("{because}; {agreed} agrees"),
    };
    format!("{head}{how}, {} {}\n", deed.by, minute(deed.at))
}

/// Asks for an event and makes it durable.
async fn put(
    args: &CaseArgs,
    output: &Output,
    command: impl FnOnce(&Gates, &Cases, CaseId) -> Result<RecoveryEvent, Refusal>,
    text: &str,
) -> Result<ExitCode, CliError> {
    let (mut cases, mut gates) = (Cases::default(), Gates::default());
    let desk = Desk::open(&args.desk, |at, record| {
        cases.apply(at, record);
        gates.apply(at, record);
    })
    .await?;
    let case = find_case(&cases, &args.case)?.id;
    let event = command(&gates, &cases, case).map_err(refused)?;
    let record = event.record(case).map_err(|it| {
        CliError::caused("the record cannot be written", it).hint("report this as a defect")
    })?;
    desk.keep(now(), record).await?;
    desk.close().await;
    output.result(&event, text);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn prove(args: &ProveArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (figures, hash) = (args.figures()?, args.hash()?);
    let text = format!("gate {} is proved\n", args.gate.word());
    let command = |gates: &Gates, cases: &Cases, case| {
        gates.prove(cases, case, &args.by, args.gate, (hash, &args.what, figures))
    };
    put(&args.of, output, command, &text).await
}

pub(super) async fn dismiss(args: &DismissArgs, output: &Output) -> Result<ExitCode, CliError> {
    let text = format!("gate {} does not apply\n", args.gate.word());
    let command = |gates: &Gates, cases: &Cases, case| {
        gates.dismiss(cases, case, (&args.by, &args.agreed), args.gate, &args.because)
    };
    put(&args.of, output, command, &text).await
}

pub(super) async fn withdraw(args: &WithdrawArgs, output: &Output) -> Result<ExitCode, CliError> {
    let text = format!("gate {} is open again\n", args.gate.word());
    let command =
        |gates: &Gates, _: &Cases, case| gates.withdraw(case, &args.by, args.gate, &args.because);
    put(&args.of, output, command, &text).await
}

pub(super) async fn reopen(args: &ReopenArgs, output: &Output) -> Result<ExitCode, CliError> {
    let command = |gates: &Gates, cases: &Cases, case| gates.reopen(cases, now(), case, &args.by);
    let text = "reopening is allowed: `cofferdam recovery plan` lays it out\n";
    put(&args.of, output, command, text).await
}

fn refused(why: Refusal) -> CliError {
    let hints: Vec<String> = match &why {
        Refusal::Open(open) => open
            .iter()
            .map(|it| format!("{}: {} ({})", it.gate.word(), it.gate.proof(), it.gate.who()))
            .collect(),
        Refusal::NoCase => vec!["`cofferdam incident list` shows incidents".into()],
        Refusal::Merged(into) => vec![format!("name case {} with --case", into.short())],
        Refusal::NotContained(_) => vec!["gates are proved about a loss that is stopped".into()],
        Refusal::Falls(_) => {
            vec!["`cofferdam recovery prove --help` names the figures of each gate".into()]
        }
        Refusal::NoEvidence => vec!["give --evidence HASH or --evidence-file FILE".into()],
        Refusal::Applies(_) => vec!["prove it with `cofferdam recovery prove`".into()],
        Refusal::OnePerson => vec!["name another person with --agreed".into()],
        Refusal::IsOpen(_) => vec!["`cofferdam recovery checklist` shows what is passed".into()],
        Refusal::Text(_) => vec!["texts are plain and on one line".into()],
    };
    hints.into_iter().fold(CliError::caused("this is refused", why), CliError::hint)
}
