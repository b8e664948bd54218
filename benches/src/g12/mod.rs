//! G12: half-space trees of `cofferdam-learn` against river's, over the Shuttle data that river bundles, with
//! the same settings and in the same order, each row scored and then learned.
//!
//! Both sides' scores are ranked by the same function. Times are CPU times of one thread per row; river's
//! rows are scaled before its clock starts, ours within it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use cofferdam_learn::stream::{HalfSpaceSettings, HalfSpaceTrees};
use cofferdam_risk::calibration::roc_auc;

use crate::{
    Failure,
    cpu::thread_ns,
    report::{Report, Row},
};

/// The peer.
const RIVER: &str = "river==0.26.1";
/// Rows of a window, as river's default and `risk.md` §13.
const WINDOW: u16 = 250;
/// How much lower our area under the curve may be.
const AUC_BELOW: f64 = 0.005;
/// Runs of ours per setting, one seed each.
const SEEDS: u64 = 10;

/// Trees, height and river's runs: river's default, and the setting of `performance.md` §5.
const SETTINGS: [(u32, u32, u64); 2] = [(10, 8, 5), (25, 15, 2)];

/// Runs all of it.
pub(crate) fn run() -> Result<(), Failure> {
    let mut report = Report::new();
    let folder = tempfile::tempdir()?;
    let python = match python(folder.path()) {
        Ok(it) => it,
        Err(error) => {
            report.note(format!("river cannot be installed, no bar is judged: {error}"));
            return report.print();
        }
    };
    for (trees, height, runs) in SETTINGS {
        let theirs = river(&python, folder.path(), trees, height, runs)?;
        let (rows, labels) = rows(&folder.path().join("rows.txt"))?;
        let (mut times, mut areas) = (Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let (ns, scores) = ours(&rows, trees, height, seed)?;
            times.push(ns);
            areas.push(roc_auc(&scores, &labels)?);
        }
        let mut their_areas = Vec::new();
        for seed in 0..runs {
            let text = std::fs::read_to_string(folder.path().join(format!("scores-{seed}.txt")))?;
            let scores: Result<Vec<f64>, _> = text.lines().map(str::parse).collect();
            their_areas.push(roc_auc(&scores?, &labels)?);
        }
        let what = format!("half-space trees, {trees} of height {height}");
        let peer = format!("river {}", theirs.version);
        let (best, least) = (median(&times), median(&theirs.ns_per_row));
        let row = Row::rate(what.clone(), "ns/row", best).faster_than(&peer, least);
        report.row(row.at_least(40.0));
        let (area, their_area) = (mean(&areas), mean(&their_areas));
        let row = Row::rate(format!("{what}: AUC"), "", area).beside(&peer, their_area);
        report.row(row.at_least(1.0 - AUC_BELOW / their_area));
        report.note(format!(
            "{trees} × {height}: {} rows; ours over {SEEDS} seeds AUC {}, river over {runs} {}",
            rows.len(),
            range(&areas),
            range(&their_areas),
        ));
    }
    report.print()
}

/// River's figures.
#[derive(serde::Deserialize)]
struct Theirs {
    version: String,
    ns_per_row: Vec<f64>,
}

/// The interpreter named by `PYTHON`, or one of a new virtual environment with river in it.
fn python(folder: &Path) -> Result<PathBuf, Failure> {
    if let Some(given) = std::env::var_os("PYTHON") {
        return Ok(given.into());
    }
    let environment = folder.join("venv");
    let interpreter = environment.join("bin/python");
    run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    run_quietly(Command::new(&interpreter).args(["-m", "pip", "install", "--quiet", RIVER]))?;
    Ok(interpreter)
}

fn run_quietly(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    Ok(output.stdout)
}

fn river(python: &Path, out: &Path, trees: u32, height: u32, runs: u64) -> Result<Theirs, Failure> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/river/stream.py");
    let mut command = Command::new(python);
    command.arg(script).arg(out);
    command.args([trees.to_string(), height.to_string(), WINDOW.to_string()]);
    command.args((0..runs).map(|it| it.to_string()));
    Ok(serde_json::from_slice(&run_quietly(&mut command)?)?)
}

fn rows(path: &Path) -> Result<(Vec<Vec<f64>>, Vec<bool>), Failure> {
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(path)?.lines() {
        let mut words = line.split(' ');
        labels.push(words.next() == Some("1"));
        let row: Result<Vec<f64>, _> = words.map(str::parse).collect();
        rows.push(row?);
    }
    Ok((rows, labels))
}

/// CPU nanoseconds per row, and the scores.
fn ours(rows: &[Vec<f64>], trees: u32, height: u32, seed: u64) -> Result<(f64, Vec<f64>), Failure> {
    let width = rows.first().map_or(0, Vec::len);
    let settings = HalfSpaceSettings { width, trees, height, window: WINDOW, threshold: 1.0, seed };
    let mut model = HalfSpaceTrees::new(settings)?;
    let mut scores = Vec::with_capacity(rows.len());
    let begun = thread_ns();
    for row in rows {
        // River gives zero while there is no reference.
        scores.push(model.score(std::hint::black_box(row))?.unwrap_or(0.0));
    }
    let ns = (thread_ns() - begun) as f64 / rows.len() as f64;
    Ok((ns, scores))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn range(values: &[f64]) -> String {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(a, b), it| (a.min(*it), b.max(*it)));
    format!("{low:.4} to {high:.4}")
}
