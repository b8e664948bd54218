//! `cofferdam drill list | run | compare | live | faults`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use cofferdam_drill::Scorecard;

use super::{CliError, Output};
use crate::drill::{
    Backend, CatalogueError, Comparison, Drill, Played, RunOptions, StageError, catalogue,
    live::{LiveOptions, run_live},
    run_variant,
};
use crate::runtime::health::Health;

/// What to do with drills.
#[derive(Debug, Subcommand)]
pub enum DrillCommand {
    /// Every drill, one a line.
    List {
        /// Folder with more drills.
        #[arg(long, default_value = "drills")]
        drills: PathBuf,
    },
    /// Runs a drill: once without a defence, once with it, and compares.
    Run {
        /// The drill; left out, every drill that needs nothing but this binary.
        id: Option<String>,
        /// Every drill, those on protocol bytecode from npm too.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Only this variant.
        #[arg(long)]
        variant: Option<String>,
        /// The chain to run on.
        #[arg(long, value_enum, default_value_t = Chain::Local)]
        chain: Chain,
        /// Seed of the attacker's and everybody else's addresses.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder with more drills.
        #[arg(long, default_value = "drills")]
        drills: PathBuf,
        /// Folder with npm packages, for drills on protocol bytecode and for anvil.
        #[arg(long, default_value = "contracts/node_modules")]
        packages: PathBuf,
        /// Where journals and scorecards are stored.
        #[arg(long, default_value = ".cofferdam/drills")]
        out: PathBuf,
    },
    /// Runs every drill under the one-shot rule and under the full one, and tells the difference.
    Compare {
        /// Only this drill.
        id: Option<String>,
        /// Every drill, those on protocol bytecode from npm too.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Seed of the attacker's and everybody else's addresses.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder with more drills.
        #[arg(long, default_value = "drills")]
        drills: PathBuf,
        /// Folder with npm packages, for drills on protocol bytecode.
        #[arg(long, default_value = "contracts/node_modules")]
        packages: PathBuf,
        /// Where journals and scorecards are stored.
        #[arg(long, default_value = ".cofferdam/drills")]
        out: PathBuf,
    },
    /// Runs a drill against `cofferdam run` in a process of its own, on anvil, in wall time.
    Live(LiveArgs),
    /// Breaks one thing after the other around `cofferdam run` and looks at what comes of it.
    Faults(super::faults::FaultArgs),
}

/// What a live drill needs.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// The drill.
    id: String,
    /// Only this variant.
    #[arg(long)]
    variant: Option<String>,
    /// How often, each time on a fresh chain with other addresses.
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// Milliseconds between two blocks.
    #[arg(long, default_value_t = 1_000)]
    block_ms: u64,
    /// Seed of the first round.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder with more drills.
    #[arg(long, default_value = "drills")]
    drills: PathBuf,
    /// Folder with npm packages: anvil, protocol bytecode.
    #[arg(long, default_value = "contracts/node_modules")]
    packages: PathBuf,
    /// Where plan folders and journals are stored.
    #[arg(long, default_value = ".cofferdam/drills")]
    out: PathBuf,
}

/// The chain a drill runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chain {
    /// The in-process chain: no node, no network.
    Local,
    /// anvil from npm.
    Anvil,
}

pub(crate) async fn run(command: DrillCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        DrillCommand::List { drills } => list(&drills, output),
        DrillCommand::Run { id, all, variant, chain, seed, drills, packages, out } => {
            let backend = match chain {
                Chain::Local => Backend::Local,
                Chain::Anvil => Backend::Anvil,
            };
            let chosen = choose(&drills, id.as_deref(), all)?;
            let options = RunOptions { backend, seed, packages, out };
            run_all(&chosen, variant.as_deref(), &options, output).await
        }
        DrillCommand::Compare { id, all, seed, drills, packages, out } => {
            let chosen = choose(&drills, id.as_deref(), all)?;
            let options = RunOptions { backend: Backend::Local, seed, packages, out };
            compare(&chosen, &options, output).await
        }
        DrillCommand::Live(args) => live(&args, output).await,
        DrillCommand::Faults(args) => super::faults::run(&args, output).await,
    }
}

async fn live(args: &LiveArgs, output: &Output) -> Result<ExitCode, CliError> {
    let drill = catalogue::find(&args.drills, &args.id).map_err(unreadable)?;
    let program = std::env::current_exe().map_err(|it| CliError::io("find the program", it))?;
    let (mut cards, mut reactions) = (Vec::new(), Health::default());
    let variants = drill.scenario.variants.iter();
    let wanted = variants.filter(|it| args.variant.as_ref().is_none_or(|id| it.id == *id));
    for variant in wanted {
        for round in 0..args.rounds {
            output.note(&format!("running {} / {}, round {} …", args.id, variant.id, round + 1));
            let options = LiveOptions {
                run: RunOptions {
                    backend: Backend::Anvil,
                    seed: args.seed + round,
                    packages: args.packages.clone(),
                    out: args.out.clone(),
                },
                program: program.clone(),
                block_time: Duration::from_millis(args.block_ms),
            };
            let lived = run_live(&drill, variant, &options).await.map_err(failed)?;
            if !output.is_json() {
                let head = format!("\n{} / {}, round {}\n\n", args.id, variant.id, round + 1);
                let verdict = if lived.card.passed() { "  PASS\n" } else { "  FAIL\n" };
                output.text(&(head + &lived.card.render() + verdict));
            }
            reactions.reactions_us.extend(lived.reactions_us);
            cards.push(lived.card);
        }
    }
    let passed = cards.iter().filter(|it| it.passed()).count();
    let text = format!(
        "{passed} of {} passed\nseen → containment in the pool: {}\n",
        cards.len(),
        reactions.percentiles()
    );
    let value = serde_json::json!({
        "cards": cards,
        "reactions-us": reactions.reactions_us,
        "reaction-p50-us": reactions.reaction_us(50),
        "reaction-p99-us": reactions.reaction_us(99),
    });
    output.result(&value, &text);
    let all = passed == cards.len() && !cards.is_empty();
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(folder: &Path, output: &Output) -> Result<ExitCode, CliError> {
    let drills = catalogue::all(folder).map_err(unreadable)?;
    let line = |it: &Drill| {
        let variants: Vec<&str> = it.scenario.variants.iter().map(|it| it.id.as_str()).collect();
        let needs = if it.scenario.needs_npm { "npm" } else { "" };
        format!(
            "{:<24} {:<4} {:<52} {}\n",
            it.scenario.id,
            needs,
            it.scenario.title,
            variants.join(", ")
        )
    };
    let value: Vec<_> = drills
        .iter()
        .map(|it| serde_json::json!({ "id": it.scenario.id, "title": it.scenario.title, "class": it.scenario.class, "needs-npm": it.scenario.needs_npm }))
        .collect();
    output.result(&value, &drills.iter().map(line).collect::<String>());
    Ok(ExitCode::SUCCESS)
}

async fn run_all(
    drills: &[Drill],
    variant: Option<&str>,
    options: &RunOptions,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let mut cards: Vec<Scorecard> = Vec::new();
    for drill in drills {
        let wanted =
            |it: &&cofferdam_drill::scenario::Variant| variant.is_none_or(|id| it.id == id);
        for it in drill.scenario.variants.iter().filter(wanted) {
            output.note(&format!("running {} / {} …", drill.scenario.id, it.id));
            let played = run_variant(drill, it, options).await.map_err(failed)?;
            if !output.is_json() {
                output.text(&show(drill, &it.title, &played));
            }
            cards.push(played.card);
        }
    }
    if cards.is_empty() {
        return Err(
            CliError::new("no variant has this name").hint("`cofferdam drill list` names them")
        );
    }
    let passed = cards.iter().filter(|it| it.passed()).count();
    output.result(&cards, &format!("{passed} of {} passed\n", cards.len()));
    Ok(if passed == cards.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The drill named, else all that need nothing but this binary, else really all.
fn choose(folder: &Path, id: Option<&str>, all: bool) -> Result<Vec<Drill>, CliError> {
    if let Some(id) = id {
        return Ok(vec![catalogue::find(folder, id).map_err(unreadable)?]);
    }
    let known = catalogue::all(folder).map_err(unreadable)?;
    Ok(known.into_iter().filter(|it| all || !it.scenario.needs_npm).collect())
}

async fn compare(
    drills: &[Drill],
    options: &RunOptions,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let mut all = Vec::new();
    for drill in drills {
        for variant in &drill.scenario.variants {
            output.note(&format!("comparing {} / {} …", drill.scenario.id, variant.id));
            all.push(Comparison::of(drill, variant, options).await.map_err(failed)?);
        }
    }
    output.result(&all, &Comparison::table(&all));
    let holds = !all.is_empty() && all.iter().all(Comparison::holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(drill: &Drill, title: &str, played: &Played) -> String {
    let card = &played.card;
    let mut out =
        format!("\n{} / {} on {}: {title}\n\n", drill.scenario.id, card.variant, card.chain);
    for (at, text) in &played.timeline {
        out.push_str(&format!("  {at}  {text}\n"));
    }
    out.push('\n');
    out.push_str(&card.render());
    out.push_str(if card.passed() { "  PASS\n" } else { "  FAIL\n" });
    out
}

fn unreadable(error: CatalogueError) -> CliError {
    CliError::caused("drills cannot be read", error)
        .hint("`cofferdam drill list` names them; --drills names another folder")
}

fn failed(error: StageError) -> CliError {
    let hint = match &error {
        StageError::Artifact(it) => it.hint(),
        StageError::World(_) => "anvil is installed by `cargo xtask services`",
        _ => "the drill itself is wrong; run it with COFFERDAM_LOG=debug",
    };
    let hint = hint.to_owned();
    CliError::caused("drill cannot be run", error).hint(hint)
}
