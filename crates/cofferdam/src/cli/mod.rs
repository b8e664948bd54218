//! The command line. Results go to stdout (as JSON with `--json`), everything else to stderr; an
//! error ends with `hint:` lines that say what to do.

mod backtest;
mod calibrate;
mod card;
mod corpus;
mod desk;
pub mod drill;
pub mod error;
mod faults;
pub mod incident;
pub mod journal;
mod learn;
pub mod output;
pub mod plan;
pub mod playbook;
mod post_mortem;
mod readiness;
mod recovery;
mod replay;
pub mod risk;
mod run;
mod safe;
mod statement;
mod status_page;
#[cfg(test)]
mod sub_blocks;
mod wire;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

pub use error::CliError;
pub use output::Output;

/// Security incident response for DeFi protocols.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version, about, propagate_version = true)]
struct Cli {
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the plan's chains and respond, until told to stop.
    Run(run::RunArgs),
    /// Replay recorded exploits and ordinary blocks under one generic plan.
    Replay(replay::ReplayArgs),
    /// Go over history with a plan: every detector and decision in one pass.
    Backtest(backtest::BacktestArgs),
    /// Choose the thresholds of a plan's actions from a back-test.
    Calibrate(calibrate::CalibrateArgs),
    /// The adversarial corpus: exploit classes and ordinary traffic, executed and judged.
    #[command(subcommand)]
    Corpus(corpus::CorpusCommand),
    /// Learn guards from recorded blocks, or what evidence is worth from labelled scores, for review.
    Learn(learn::LearnArgs),
    /// Prove that every action of a plan would work now.
    Readiness(readiness::ReadinessArgs),
    /// The book in money: Greeks, pauses, solvency, contagion, limits, and what each action costs.
    #[command(subcommand)]
    Risk(risk::RiskCommand),
    /// Drills: simulated incidents on a local chain, scored.
    #[command(subcommand)]
    Drill(drill::DrillCommand),
    /// Response plans: lay one, check it, explain it.
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Playbooks (CACAO 2.0): check, show, run.
    #[command(subcommand)]
    Playbook(playbook::PlaybookCommand),
    /// Incidents in a journal, with the reasoning behind each decision.
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// What is said to the outside: drafted, approved by a second person, published, corrected.
    #[command(subcommand)]
    Statement(Box<statement::StatementCommand>),
    /// The public status page, as files.
    #[command(subcommand)]
    StatusPage(status_page::StatusPageCommand),
    /// After containment: the gates before reopening, the staged unpause, restitution.
    #[command(subcommand)]
    Recovery(Box<recovery::RecoveryCommand>),
    /// The post-mortem of a case, from its journal.
    PostMortem(post_mortem::PostMortemArgs),
    /// A Safe's transactions: explain, refuse, sign, collect, execute.
    #[command(subcommand)]
    Safe(Box<safe::SafeCommand>),
    /// The journal: verify, read, export.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the journal is unless told otherwise.
fn default_journal() -> PathBuf {
    // An earlier release wrote it to SQLite; what stands there is kept on with.
    let earlier = PathBuf::from(".cofferdam/journal.sqlite");
    if earlier.exists() { earlier } else { PathBuf::from(".cofferdam/journal") }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cofferdam_observe::install_tls_provider();
    let filter = tracing_subscriber::EnvFilter::try_from_env("COFFERDAM_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let output = Output::new(cli.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(it) => it,
        Err(source) => return output.fail(&CliError::io("start the runtime", source)),
    };
    let outcome = runtime.block_on(run(cli.command, &output));
    match outcome {
        Ok(code) => code,
        Err(error) => output.fail(&error),
    }
}

async fn run(command: Command, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        Command::Run(it) => run::run(it, output).await,
        Command::Replay(it) => replay::run(&it, output),
        Command::Backtest(it) => backtest::run(&it, output),
        Command::Calibrate(it) => calibrate::run(&it, output),
        Command::Corpus(it) => corpus::run(it, output),
        Command::Learn(it) => learn::run(&it, output),
        Command::Readiness(it) => readiness::run(it, output).await,
        Command::Risk(it) => risk::run(it, output).await,
        Command::Drill(it) => drill::run(it, output).await,
        Command::Plan(it) => plan::run(it, output),
        Command::Playbook(it) => playbook::run(it, output).await,
        Command::Incident(it) => incident::run(it, output).await,
        Command::Statement(it) => statement::run(*it, output).await,
        Command::StatusPage(it) => status_page::run(it, output).await,
        Command::Recovery(it) => recovery::run(*it, output).await,
        Command::PostMortem(it) => post_mortem::run(it, output).await,
        Command::Safe(it) => safe::run(*it, output).await,
        Command::Journal(it) => journal::run(it, output).await,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cofferdam", &mut text);
            output.text(&String::from_utf8_lossy(&text));
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
