//! `cofferdam safe propose | card | hash | lint | sign | collect | status | exec | ladder`.
//!
//! **Invariant:** nothing is signed or executed whose card is refused, and there is no switch that changes this.

mod args;
mod exec;
mod ladder;
mod propose;
mod sign;
mod status;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use cofferdam_core::AccountId;
use cofferdam_signing::{
    SafeDomain, SafeVersion, Weight,
    card::flags_text,
    text::{grouped, spoken},
};

use self::args::Facts;
use super::{CliError, Output};

/// What to do with a Safe's transactions.
#[derive(Debug, Subcommand)]
pub(crate) enum SafeCommand {
    /// Writes a proposal for the other owners.
    Propose(propose::ProposeArgs),
    /// The signer card: red flags, hashes, decoded calls, effects. Fails if it must not be signed.
    Card(JudgeArgs),
    /// The red flags alone. Fails if one of them refuses.
    Lint(JudgeArgs),
    /// Domain, message and transaction hash, to compare with a device.
    Hash(HashArgs),
    /// Shows the card and signs, unless it is refused.
    Sign(sign::SignArgs),
    /// Who has signed. Fails while signatures are missing.
    Collect(sign::CollectArgs),
    /// The Safe's state, and how far each proposal is.
    Status(status::StatusArgs),
    /// Judges the card again, executes, and verifies the effect.
    Exec(exec::ExecArgs),
    /// The same transaction signed in advance for several nonces.
    #[command(subcommand)]
    Ladder(ladder::LadderCommand),
}

/// A proposal to judge.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// The proposal's file.
    proposal: PathBuf,
    #[command(flatten)]
    facts: Facts,
}

/// What to hash.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// The proposal's file.
    #[arg(required_unless_present = "message")]
    proposal: Option<PathBuf>,
    /// A text that the Safe would sign.
    #[arg(long, requires_all = ["safe", "release"], conflicts_with = "proposal")]
    message: Option<String>,
    /// The Safe, as CAIP-10.
    #[arg(long)]
    safe: Option<AccountId>,
    /// The Safe's release.
    #[arg(long)]
    release: Option<SafeVersion>,
}

pub(crate) async fn run(command: SafeCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        SafeCommand::Propose(it) => propose::run(it, output).await,
        SafeCommand::Card(it) => {
            let (proposal, _) = args::proposal(&it.proposal)?;
            let card = it.facts.load(proposal).await?.card();
            output.result(&card, &card.text());
            Ok(verdict(card.accepted))
        }
        SafeCommand::Lint(it) => {
            let (proposal, _) = args::proposal(&it.proposal)?;
            let card = it.facts.load(proposal).await?.card();
            let refused = card.flags.iter().filter(|it| it.weight == Weight::Refuse).count();
            let text = format!(
                "{}{refused} of {} flags refuse\n",
                flags_text(&card.flags),
                card.flags.len()
            );
            output.result(&card.flags, &text);
            Ok(verdict(card.accepted))
        }
        SafeCommand::Hash(it) => hash(&it, output),
        SafeCommand::Sign(it) => sign::run(it, output).await,
        SafeCommand::Collect(it) => sign::collect(it, output).await,
        SafeCommand::Status(it) => status::run(it, output).await,
        SafeCommand::Exec(it) => exec::run(it, output).await,
        SafeCommand::Ladder(it) => ladder::run(it, output).await,
    }
}

fn verdict(accepted: bool) -> ExitCode {
    if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hash(args: &HashArgs, output: &Output) -> Result<ExitCode, CliError> {
    let hashes = match (&args.proposal, &args.message, args.safe, args.release) {
        (Some(path), ..) => args::proposal(path)?.0.hashes(),
        (None, Some(message), Some(safe), Some(version)) => {
            let domain = SafeDomain { version, chain: safe.chain, safe: safe.address };
            domain.text(message.as_bytes())
        }
        _ => return Err(CliError::new("name a proposal, or --message with --safe and --release")),
    };
    let text = format!(
        "domain hash     {}\nmessage hash    {}\nto be signed    {}\nread aloud      {}\n",
        grouped(hashes.domain),
        grouped(hashes.message),
        hashes.signed,
        spoken(hashes.signed)
    );
    output.result(&hashes, &text);
    Ok(ExitCode::SUCCESS)
}
