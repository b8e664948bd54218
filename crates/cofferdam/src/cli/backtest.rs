//! `cofferdam backtest`: a plan over history, on every core, in one pass; and `cofferdam backtest export`.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use cofferdam_backtest::Options;
use cofferdam_columns::Packing;

use super::{CliError, Output, plan};
use crate::backtest::{
    self, Failure, Job, Keep, Progress, export, fingerprint, outcome, page, run as go, scan,
    scanned, strands,
};

/// Goes over history with a plan's detectors and decisions.
#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    #[command(subcommand)]
    command: Option<BacktestCommand>,
    #[command(flatten)]
    run: RunArgs,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
enum BacktestCommand {
    /// Writes recorded blocks and NDJSON facts as Parquet in the layout of cryo.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Folder of the plan. Left out, each recorded block and attack has a generic plan around who it concerns.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Folder with the data: recorded blocks, `*.ndjson` facts, Parquet files as cryo writes them; `labels.json`
    /// beside them says which transactions are attacks.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Folder of the results; a run that was interrupted goes on from what is there.
    #[arg(long, default_value = ".cofferdam/backtest")]
    out: PathBuf,
    /// Begin anew, whatever is there.
    #[arg(long)]
    fresh: bool,
    /// Seed of attackers' addresses and of resampling.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Threads; left out, one per CPU. They do not change the results.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Pieces of a range, after which the state is written down.
    #[arg(long, hide = true)]
    range: Option<NonZeroUsize>,
    /// Milliseconds between two states that are written down.
    #[arg(long, hide = true, default_value_t = 500)]
    keep_ms: u64,
    /// Walk-forward folds.
    #[arg(long, default_value_t = 4)]
    folds: usize,
    /// Weight of a missed attack against a false alarm in walk-forward, 0 to 1.
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    miss_weight: f64,
    /// Vary each recorded exploit: split, delayed, scaled, reordered.
    #[arg(long)]
    variations: bool,
    /// Only the detectors, without incidents and decisions, over Parquet files: the fastest way through much history.
    #[arg(long, requires = "plan")]
    detectors: bool,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Folder with the data.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Folder of the files.
    #[arg(long)]
    out: PathBuf,
    /// How pages are packed.
    #[arg(long, value_enum, default_value_t = Pack::Lz4)]
    compression: Pack,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pack {
    Lz4,
    Zstd,
    Snappy,
    None,
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|it| (0.0..=1.0).contains(it));
    value.ok_or_else(|| "a weight is between 0 and 1".into())
}

pub(crate) fn run(args: &BacktestArgs, output: &Output) -> Result<ExitCode, CliError> {
    match &args.command {
        Some(BacktestCommand::Export(it)) => run_export(it, output),
        None => run_backtest(&args.run, output),
    }
}

fn run_backtest(args: &RunArgs, output: &Output) -> Result<ExitCode, CliError> {
    if !args.data.is_dir() {
        let error = CliError::new(format!("there is no data at {}", args.data.display()));
        return Err(error.hint("name its folder with --data"));
    }
    let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = args.threads.map_or(cpus, NonZeroUsize::get);
    let loaded = args.plan.as_deref().map(plan::load).transpose()?;
    if args.detectors
        && let Some((plan, _)) = &loaded
    {
        let found = scan(&args.data, plan, threads, &mut |done, of| {
            output.status(&format!("slices {done} of {of}"));
        });
        output.note("");
        let found = found.map_err(failed)?;
        output.result(&found, &scanned(&found));
        return Ok(ExitCode::SUCCESS);
    }
    let plan = loaded.as_ref().map(|it| &it.0);
    let chosen = strands(&args.data, plan, args.seed, args.variations).map_err(failed)?;
    chosen.notes.iter().for_each(|it| output.note(&format!("note: {it}")));
    if chosen.strands.is_empty() {
        return Err(CliError::new(format!("there is nothing to go over in {}", args.data.display()))
            .hint("it reads mainnet-blocks/, mev-inspect-blocks/, exploit-traces/, bridge-nomad-ronin/, *.ndjson and *.parquet"));
    }
    let prior_ppb = plan.map_or_else(
        || cofferdam_core::plan::Decision::default().prior_ppb,
        |it| it.decision.prior_ppb,
    );
    let options =
        Options { seed: args.seed, folds: args.folds, miss_weight: args.miss_weight, prior_ppb };
    let hash = loaded.as_ref().map(|it| it.1).unwrap_or_default();
    let settings =
        format!("{options:?} {} {:?} {}", args.variations, args.range, env!("CARGO_PKG_VERSION"));
    let key = fingerprint(&args.data, &[hash.as_slice(), settings.as_bytes()]).map_err(failed)?;
    let (mut keep, at) =
        Keep::open(&args.out, &key, args.fresh, Duration::from_millis(args.keep_ms))
            .map_err(failed)?;
    let range = args.range.map(NonZeroUsize::get);
    let job = Job { strands: &chosen.strands, labels: &chosen.labels, options, threads, range };
    let result = go(&job, &mut keep, at, &mut |it| output.status(&bar(it)));
    output.note("");
    let result = result.map_err(failed)?;
    let json = serde_json::to_vec_pretty(&result)
        .map_err(|it| CliError::caused("the result cannot be written", it))?;
    keep.replace("outcome.json", &json).map_err(failed)?;
    keep.replace("report.html", page(&result).as_bytes()).map_err(failed)?;
    let text = format!(
        "{}wrote outcome.json, rows.ndjson and report.html to {}\n",
        outcome(&result),
        args.out.display()
    );
    output.result(&result, &text);
    Ok(ExitCode::SUCCESS)
}

/// `[######----] 60 %  27 of 45, 1034 blocks, 0:41 left`
fn bar(it: Progress) -> String {
    const WIDTH: usize = 24;
    let filled = WIDTH * it.done / it.of.max(1);
    let (pieces, seconds) = it.here;
    let left = (seconds / pieces.max(1) as f64 * (it.of - it.done) as f64).round() as u64;
    format!(
        "[{}{}] {:>3} %  {} of {}, {} blocks, {}:{:02} left",
        "#".repeat(filled),
        "-".repeat(WIDTH - filled),
        100 * it.done / it.of.max(1),
        it.done,
        it.of,
        it.blocks,
        left / 60,
        left % 60
    )
}

fn run_export(args: &ExportArgs, output: &Output) -> Result<ExitCode, CliError> {
    let packing = match args.compression {
        Pack::Lz4 => Packing::Lz4,
        Pack::Zstd => Packing::Zstd,
        Pack::Snappy => Packing::Snappy,
        Pack::None => Packing::None,
    };
    let files = export(&args.data, &args.out, packing, &mut |done| {
        output.status(&format!("pieces {done}"));
    });
    output.note("");
    let files = files.map_err(failed)?;
    if files.is_empty() {
        return Err(CliError::new(format!("there is nothing to write in {}", args.data.display()))
            .hint("it writes mainnet-blocks/ and *.ndjson"));
    }
    let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
    let text = names.iter().map(|it| format!("wrote {it}\n")).collect::<String>();
    output.result(&serde_json::json!({ "files": names }), &text);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn failed(error: Failure) -> CliError {
    match error {
        backtest::Failure::Other { .. } => CliError::caused("the results cannot go on", error)
            .hint("name another folder with --out, or begin anew with --fresh"),
        error => CliError::caused("the back-test cannot be run", error)
            .hint("docs/guides/backtest.md names the layouts that it reads"),
    }
}

#[cfg(test)]
mod tests {
    use super::bar;
    use crate::backtest::Progress;

    #[test]
    fn the_bar_tells_how_far_it_is_and_how_long_it_takes() {
        let it = Progress { done: 6, of: 10, blocks: 1_034, here: (4, 20.0) };
        expect_test::expect!["[##############----------]  60 %  6 of 10, 1034 blocks, 0:20 left"]
            .assert_eq(&bar(it));
    }
}
