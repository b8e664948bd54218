//! `cofferdam statement draft | approve | publish | correct | embargo | list | show`.

mod show;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use cofferdam_core::Timestamp;
use cofferdam_respond::Cases;
use cofferdam_statements::{
    Audience, Draft, Impact, Phase, Refusal, Statement, StatementEvent, StatementId, Statements,
    Template, Tlp, document::Format, fill::fill,
};

use super::{
    CliError, Output,
    desk::{self, Desk, DeskArgs, find_case, pairs, text_file, word},
};
use crate::runtime::now;

/// Largest file of a template or a text, in bytes.
const TEXT_BYTES_MAX: u64 = 65_536;

/// What to do with statements.
#[derive(Debug, Subcommand)]
pub(crate) enum StatementCommand {
    /// Writes a statement from a template; nobody sees it yet.
    Draft(DraftArgs),
    /// Agrees to a statement as it stands. Another person than the author has to.
    Approve(DeedArgs),
    /// Publishes a statement that was approved.
    Publish(DeedArgs),
    /// Writes a correction of what was published; it is approved and published like any statement.
    Correct(CorrectArgs),
    /// Forbids, or with `--lift` allows, that anything is said about a case.
    Embargo(EmbargoArgs),
    /// Every statement, one a line.
    List {
        /// Only those about this case: the first digits of its id or of an incident's.
        #[arg(long)]
        case: Option<String>,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// One statement, with its mark; a draft says that it is one.
    Show {
        /// The first digits of its id.
        id: String,
        /// How a published one is written.
        #[arg(long, value_enum, default_value_t)]
        format: FormatArg,
        #[command(flatten)]
        desk: DeskArgs,
    },
}

/// A new statement.
#[derive(Debug, Args)]
pub(crate) struct DraftArgs {
    /// The case: the first digits of its id or of an incident's.
    #[arg(long)]
    case: String,
    /// To whom: liquidity-providers, traders, integrators, exchanges, public.
    #[arg(long, value_parser = word::<Audience>)]
    audience: Audience,
    /// How far the response is: holding, contained, recovering, resolved.
    #[arg(long, value_parser = word::<Phase>)]
    phase: Phase,
    /// How bad it is for users: none, minor, major, critical.
    #[arg(long, value_parser = word::<Impact>, default_value = "major")]
    impact: Impact,
    /// Who may see it (TLP 2.0).
    #[arg(long, default_value = "TLP:CLEAR")]
    tlp: Tlp,
    /// A template of your own instead of the one for this audience and phase.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// What the case does not know, e.g. scope='new deposits'.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// What proves a claim: the hash of a finding, a transaction or a document.
    #[arg(long)]
    evidence: Vec<String>,
    /// Who writes it.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// A correction.
#[derive(Debug, Args)]
pub(crate) struct CorrectArgs {
    /// What it corrects: the first digits of its id.
    id: String,
    /// The title; left out, that of what it corrects.
    #[arg(long)]
    title: Option<String>,
    /// A file with the text: plain, paragraphs parted by an empty line.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// How far the response is; left out, as in what it corrects.
    #[arg(long, value_parser = word::<Phase>)]
    phase: Option<Phase>,
    /// How bad it is for users; left out, as in what it corrects.
    #[arg(long, value_parser = word::<Impact>)]
    impact: Option<Impact>,
    /// What proves a claim.
    #[arg(long)]
    evidence: Vec<String>,
    /// Who writes it.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// An approval or a publication.
#[derive(Debug, Args)]
pub(crate) struct DeedArgs {
    /// The first digits of the statement's id.
    id: String,
    /// Who does it.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// An embargo.
#[derive(Debug, Args)]
pub(crate) struct EmbargoArgs {
    /// The case: the first digits of its id or of an incident's.
    #[arg(long)]
    case: String,
    /// What has to happen first.
    #[arg(long)]
    until: String,
    /// It has happened, or need not be waited for.
    #[arg(long, requires = "because")]
    lift: bool,
    /// Why it is lifted.
    #[arg(long)]
    because: Option<String>,
    /// Who says so.
    #[arg(long)]
    by: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// How a statement is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum FormatArg {
    /// Plain text.
    #[default]
    Text,
    /// Markdown.
    Markdown,
    /// HTML.
    Html,
    /// XML.
    Xml,
}

impl From<FormatArg> for Format {
    fn from(it: FormatArg) -> Self {
        match it {
            FormatArg::Text => Self::Text,
            FormatArg::Markdown => Self::Markdown,
            FormatArg::Html => Self::Html,
            FormatArg::Xml => Self::Xml,
        }
    }
}

pub(crate) async fn run(command: StatementCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        StatementCommand::Draft(args) => draft(&args, output).await,
        StatementCommand::Approve(args) => {
            deed(&args, "approved", output, |statements, cases, id, by| {
                statements.approve(cases, id, by)
            })
            .await
        }
        StatementCommand::Publish(args) => {
            deed(&args, "published", output, |statements, cases, id, by| {
                statements.publish(cases, id, by)
            })
            .await
        }
        StatementCommand::Correct(args) => correct(&args, output).await,
        StatementCommand::Embargo(args) => embargo(&args, output).await,
        StatementCommand::List { case, desk } => show::list(case.as_deref(), &desk, output).await,
        StatementCommand::Show { id, format, desk } => {
            show::one(&id, format.into(), &desk, output).await
        }
    }
}

/// Opens the desk, with the cases and statements of both journals.
pub(super) async fn open(args: &DeskArgs) -> Result<(Desk, Cases, Statements), CliError> {
    let (mut cases, mut statements) = (Cases::default(), Statements::default());
    let desk = Desk::open(args, |at, record| {
        cases.apply(at, record);
        statements.apply(at, record);
    })
    .await?;
    Ok((desk, cases, statements))
}

/// The cases and statements of both journals.
pub(super) async fn read(args: &DeskArgs) -> Result<(Cases, Statements), CliError> {
    let (mut cases, mut statements) = (Cases::default(), Statements::default());
    desk::read(args, |at, record| {
        cases.apply(at, record);
        statements.apply(at, record);
    })
    .await?;
    Ok((cases, statements))
}

async fn draft(args: &DraftArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (desk, cases, statements) = open(&args.desk).await?;
    let case = find_case(&cases, &args.case)?;
    let template = match &args.template {
        Some(path) => Template::read(&text_file(path, TEXT_BYTES_MAX)?),
        None => Template::builtin(args.audience, args.phase),
    };
    let template = template.map_err(|it| {
        CliError::caused("the template cannot be used", it)
            .hint("a template is a title line, an empty line, and a body with `{{names}}`; see docs/guides/statements.md")
    })?;
    let filled = fill(&template, case, &statements, &pairs(&args.set)?).map_err(|it| {
        CliError::caused("the template cannot be filled", it)
            .hint("give what only people know with --set NAME=VALUE; `contained` is known once the case is")
    })?;
    let draft = Draft {
        audience: args.audience,
        phase: args.phase,
        impact: args.impact,
        tlp: args.tlp,
        title: filled.title,
        body: filled.body,
        evidence: args.evidence.clone(),
        corrects: None,
    };
    let at = now();
    let event = statements.draft(&cases, at, case.id, &args.by, draft).map_err(refused)?;
    keep(desk, at, case.id, event, statements, output).await
}

async fn correct(args: &CorrectArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (desk, cases, statements) = open(&args.desk).await?;
    let earlier = show::find(&statements, &args.id)?;
    let (id, case, was) = (earlier.id, earlier.case, &earlier.draft);
    let draft = Draft {
        audience: was.audience,
        phase: args.phase.unwrap_or(was.phase),
        impact: args.impact.unwrap_or(was.impact),
        tlp: was.tlp,
        title: args.title.clone().unwrap_or_else(|| was.title.clone()),
        body: text_file(&args.text, TEXT_BYTES_MAX)?,
        evidence: args.evidence.clone(),
        corrects: Some(id),
    };
    let at = now();
    let event = statements.draft(&cases, at, case, &args.by, draft).map_err(refused)?;
    keep(desk, at, case, event, statements, output).await
}

async fn deed(
    args: &DeedArgs,
    done: &str,
    output: &Output,
    command: impl Fn(&Statements, &Cases, StatementId, &str) -> Result<StatementEvent, Refusal>,
) -> Result<ExitCode, CliError> {
    let (desk, cases, mut statements) = open(&args.desk).await?;
    let it = show::find(&statements, &args.id)?;
    let (id, case) = (it.id, it.case);
    let event = command(&statements, &cases, id, &args.by).map_err(refused)?;
    let at = now();
    let record = event.record(case).map_err(unwritable)?;
    statements.apply(at, &record);
    desk.keep(at, record).await?;
    desk.close().await;
    let text = format!("statement {} is {done} by {}\n", id.short(), args.by.trim());
    output.result(&statements.get(&id), &text);
    Ok(ExitCode::SUCCESS)
}

async fn embargo(args: &EmbargoArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (desk, cases, statements) = open(&args.desk).await?;
    let case = find_case(&cases, &args.case)?.id;
    let because = args.because.as_deref().unwrap_or_default();
    let event = if args.lift {
        statements.lift_embargo(&cases, case, &args.by, &args.until, because)
    } else {
        statements.set_embargo(&cases, case, &args.by, &args.until)
    };
    let event = event.map_err(refused)?;
    desk.keep(now(), event.record(case).map_err(unwritable)?).await?;
    desk.close().await;
    let text = if args.lift { "lifted" } else { "set" };
    output.result(&event, &format!("the embargo until {} is {text}\n", args.until.trim()));
    Ok(ExitCode::SUCCESS)
}

/// Makes a draft durable and shows it.
async fn keep(
    desk: Desk,
    at: Timestamp,
    case: cofferdam_respond::CaseId,
    event: StatementEvent,
    mut statements: Statements,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let record = event.record(case).map_err(unwritable)?;
    statements.apply(at, &record);
    desk.keep(at, record).await?;
    desk.close().await;
    let StatementEvent::StatementDrafted { statement, .. } = event else {
        return Ok(ExitCode::SUCCESS);
    };
    let it: Option<&Statement> = statements.get(&statement);
    let text = it.map(cofferdam_statements::document::preview).unwrap_or_default();
    let next = format!(
        "\nstatement {} is drafted; another person approves it with\n  cofferdam statement approve {} --by NAME\n",
        statement.short(),
        statement.short()
    );
    output.result(&it, &(text + &next));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn unwritable(error: serde_json::Error) -> CliError {
    CliError::caused("the record cannot be written", error).hint("report this as a defect")
}

/// A refusal with what to do.
pub(super) fn refused(why: Refusal) -> CliError {
    let hint = match &why {
        Refusal::NoCase => "`cofferdam incident list` shows incidents",
        Refusal::NoStatement => "`cofferdam statement list` shows them",
        Refusal::NotContained { .. } => {
            "contain it first; a draft can be written meanwhile and is ready then"
        }
        Refusal::Embargo { .. } => {
            "wait for it, or lift it with `cofferdam statement embargo --lift --because …`"
        }
        Refusal::TipsOff(_) => "draft it anew without these words, or wait until the cause is gone",
        Refusal::OwnApproval(_) | Refusal::Again(_) | Refusal::NotApproved => {
            "have another person run `cofferdam statement approve`"
        }
        Refusal::Published => "write a correction with `cofferdam statement correct`",
        Refusal::Unpublished => {
            "publish it first; `cofferdam statement show` shows a draft as text"
        }
        Refusal::NotPublished => "write it with `cofferdam statement draft`",
        Refusal::OtherReaders | Refusal::Mark { .. } => "choose another audience or mark",
        Refusal::Unproved(_) => "draft it anew with --evidence, or leave the claim out",
        Refusal::NoEmbargo(_) => "give the text with which it was set",
        Refusal::NoReason => "name the case with --case",
        Refusal::TooMany { .. } => "leave some out",
        Refusal::Text(_) => "texts are plain: no control characters, nothing invisible, no braces",
    };
    CliError::caused("this is refused", why).hint(hint)
}
