//! Goes through the strands: pieces are loaded and their questions answered on every core, then folded in order.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use cofferdam_backtest::{
    Asked, BacktestError, Labels, Options, Outcome, Pass, Range, Row, judge, ranges,
};
use cofferdam_core::plan::Plan;
use cofferdam_engine::{Engine, Limits};

use super::{
    Failure, Keep, Strand,
    keep::At,
    order::in_order,
    source::{Loaded, Piece},
};
use crate::replay::ReplayError;

/// A back-test to run.
pub(crate) struct Job<'a> {
    /// What it goes over.
    pub(crate) strands: &'a [Strand],
    /// What is known of transactions.
    pub(crate) labels: &'a Labels,
    /// How it is judged.
    pub(crate) options: Options,
    /// Threads.
    pub(crate) threads: usize,
    /// Pieces of a range; `None`: by the number of pieces.
    pub(crate) range: Option<usize>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Pieces done.
    pub(crate) done: usize,
    /// Pieces in all.
    pub(crate) of: usize,
    /// Blocks so far in this process.
    pub(crate) blocks: u64,
    /// Pieces done in this process, and the seconds they took.
    pub(crate) here: (usize, f64),
}

/// A piece whose questions are answered.
struct Prepared {
    plan: Option<Plan>,
    blocks: Vec<(Loaded, Asked)>,
    labels: Labels,
}

/// Where a piece stands.
#[derive(Clone, Copy)]
struct Place {
    strand: usize,
    piece: usize,
    /// Whether a strand, or a range, ends with it.
    last: bool,
    seam: bool,
}

/// Runs `job`, keeping what is done in `keep`, from `at` on.
///
/// # Errors
/// If data, plan or folder cannot be used.
pub(crate) fn run(
    job: &Job<'_>,
    keep: &mut Keep,
    at: At,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, Failure> {
    let places = places(job);
    let askers: BTreeMap<usize, Mutex<Option<Engine>>> =
        (0..job.strands.len()).map(|it| (it, Mutex::new(None))).collect();
    let make = |number: usize| {
        let place = places.get(number).ok_or(Failure::Lost)?;
        let strand = job.strands.get(place.strand).ok_or(Failure::Lost)?;
        let asker = askers.get(&place.strand).ok_or(Failure::Lost)?;
        prepare(strand, place.piece, asker)
    };
    let mut pass: Option<Pass> = None;
    if let (Some(seam), Some(place)) = (at.seam, places.get(at.piece)) {
        let strand = job.strands.get(place.strand).ok_or(Failure::Lost)?;
        let plan = strand.plan.clone().ok_or(Failure::Lost)?;
        pass = Some(Pass::resume(&strand.line.name, plan, strand.priced.clone(), seam)?);
    }
    let (begun, first) = (Instant::now(), at.piece);
    let mut blocks = 0;
    in_order((at.piece, places.len()), job.threads, &make, &mut |number, piece| {
        let place = places.get(number).ok_or(Failure::Lost)?;
        let strand = job.strands.get(place.strand).ok_or(Failure::Lost)?;
        let plan = piece.plan.clone().or_else(|| strand.plan.clone());
        let mut now = match (pass.take(), plan) {
            (Some(it), _) => it,
            (None, Some(plan)) => Pass::new(&strand.line.name, plan, strand.priced.clone())?,
            // There is nothing in it.
            (None, None) => {
                keep.seam(number + 1, None, number + 1 == places.len())?;
                return Ok(());
            }
        };
        blocks += piece.blocks.len() as u64;
        let mut rows = Vec::new();
        fold(&mut now, piece, job.labels, &mut rows)?;
        keep.append(&rows)?;
        if place.last {
            keep.seam(number + 1, None, number + 1 == places.len())?;
        } else if place.seam {
            let (next, seam) = now.seam()?;
            keep.seam(number + 1, Some(&seam), false)?;
            pass = Some(next);
        } else {
            pass = Some(now);
        }
        let here = (number + 1 - first, begun.elapsed().as_secs_f64());
        progress(Progress { done: number + 1, of: places.len(), blocks, here });
        Ok(())
    })?;
    let strands = job.strands.iter().map(|it| it.line.clone()).collect();
    Ok(judge(keep.rows()?, strands, job.options.clone())?)
}

fn places(job: &Job<'_>) -> Vec<Place> {
    let mut out = Vec::new();
    for (strand, it) in job.strands.iter().enumerate() {
        let pieces = it.source.pieces();
        for Range { from, to } in ranges(pieces, job.range) {
            out.extend((from..to).map(|piece| Place {
                strand,
                piece,
                last: piece + 1 == pieces,
                seam: piece + 1 == to,
            }));
        }
    }
    out
}

/// Loads a piece and answers what the rules ask whatever happened before. An engine as it is built asks that.
fn prepare(
    strand: &Strand,
    piece: usize,
    asker: &Mutex<Option<Engine>>,
) -> Result<Prepared, Failure> {
    let build =
        |plan: &Plan| Engine::new(plan.clone(), Limits::default()).map_err(BacktestError::Plan);
    let Piece { plan, blocks: loaded, labels } = strand.source.load(piece)?;
    let own = plan.as_ref().map(build).transpose()?;
    let mut blocks = Vec::new();
    for it in loaded {
        let wanted = match (&own, &strand.plan) {
            (Some(engine), _) => engine.wanted_reads(&it.block),
            (None, Some(plan)) => {
                let mut asker = asker.lock().unwrap_or_else(PoisonError::into_inner);
                let engine = match asker.take() {
                    Some(engine) => engine,
                    None => build(plan)?,
                };
                asker.insert(engine).wanted_reads(&it.block)
            }
            (None, None) => Vec::new(),
        };
        let asked = it.known.answer(&wanted, &it.block)?;
        blocks.push((it, asked));
    }
    Ok(Prepared { plan, blocks, labels })
}

fn fold(
    pass: &mut Pass,
    piece: Prepared,
    labels: &Labels,
    rows: &mut Vec<Row>,
) -> Result<(), ReplayError> {
    let labels = if piece.labels.is_empty() { labels } else { &piece.labels };
    for (loaded, mut asked) in piece.blocks {
        // What only what came before makes worth asking.
        let late = pass.wanted(&loaded.block, &asked);
        if !late.is_empty() {
            asked.extend(loaded.known.answer(&late, &loaded.block)?);
        }
        pass.see(loaded.block, loaded.txs, asked, labels, rows);
    }
    Ok(())
}
