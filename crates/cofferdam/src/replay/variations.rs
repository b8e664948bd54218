//! Variations of the exploits that re-enact completely: what no list of known attacks contains.
//!
//! **Invariant:** whether a variation works is told by execution and by the victim's balances, never by
//! a finding. One that no longer executes, reads state that was not recorded, or no longer takes a
//! tenth of what the recorded attack took, is neither a hit nor a miss.

mod edits;

use std::path::Path;

use cofferdam_core::{
    Finding, Observation, Severity, Usd, evidence::Tracing, plan::Plan, snapshot::Snapshot,
};
use cofferdam_observe::recorded::RecordedFork;
use cofferdam_sim::enact::{Act, Pace};
use serde::Serialize;

use self::edits::Varied;
use super::{
    ReplayError,
    exploits::{enact, remark},
    readable, state_after,
    victims::{Victim, victims},
    watcher::{Watcher, World},
    worst,
};

/// Share of the recorded loss, one in so many, that a variation must cause to be an attack still.
const HARM_PART: i128 = 10;

/// One variation of one exploit.
#[derive(Clone, Debug, Serialize)]
pub struct VariationLine {
    /// The exploit.
    pub case: String,
    /// What was varied.
    pub variation: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// The worst finding, if it ran.
    pub worst: Option<Severity>,
    /// How many transactions it took.
    pub txs: usize,
    /// The transaction by whose block the first critical finding was raised, counted from 1.
    pub found_at: Option<usize>,
    /// What the victim lost or the attacker gained, whichever is more, in micro-dollars.
    pub lost: Usd,
    /// What it lost in the attack as recorded.
    pub recorded: Usd,
    /// The loudest finding, or why it does not count.
    pub remark: String,
}

/// What became of a variation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did harm and raised a critical finding.
    Found,
    /// It did harm and raised none.
    Missed,
    /// It ran and did no harm worth the name.
    Harmless,
    /// It no longer executes on the recorded state.
    Stops,
    /// It reads state that the recording does not hold.
    Incomplete,
    /// The attack has too few calls to be varied like that.
    Impossible,
}

impl Outcome {
    /// One word for people.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missed => "MISSED",
            Self::Harmless => "harmless",
            Self::Stops => "stops",
            Self::Incomplete => "incomplete",
            Self::Impossible => "impossible",
        }
    }
}

/// A variation as it ran.
struct Played {
    findings: Vec<Finding>,
    /// Transactions run so far when the first critical finding came.
    found_at: Option<usize>,
    txs: usize,
    lost: Usd,
    gained: Usd,
    /// Why it does not count, if it does not.
    fault: Option<Outcome>,
}

/// A block of an attack with the state around it, and what moved in it.
pub(crate) struct StagedBlock {
    pub(crate) block: Observation,
    pub(crate) before: Snapshot,
    pub(crate) after: Snapshot,
    /// What the victim lost.
    pub(crate) lost: Usd,
    /// What the attacker gained.
    pub(crate) gained: Usd,
}

/// A variation, ready to be looked at.
pub(crate) struct StagedVariation {
    pub(crate) plan: Plan,
    pub(crate) act: Act,
    pub(crate) blocks: Vec<StagedBlock>,
}

/// The stage of one exploit: state before it and who is protected.
struct Stage<'a> {
    victim: &'a Victim,
    fork: RecordedFork,
    /// Whether the attacker needs tokens beforehand.
    endowed: bool,
}

/// How many variations there are, and their names.
pub(crate) fn names() -> Vec<&'static str> {
    edits::ALL.iter().map(|it| it.name()).collect()
}

/// The `number`-th variation of `case`; `None` if the case does not re-enact completely, or the variation is
/// impossible or does no harm.
///
/// # Errors
/// If a file cannot be read or executed at all.
pub(crate) fn stage(
    data: &Path,
    case: &str,
    number: usize,
    seed: u64,
) -> Result<Option<StagedVariation>, ReplayError> {
    let (victims, edit) = (victims()?, edits::ALL.get(number).copied());
    let (Some(victim), Some(edit)) = (victims.get(case), edit) else { return Ok(None) };
    let failed = |it| ReplayError::new(case, it);
    let act = Act::of(&victim.trace(data, case, seed)?, &[]).map_err(failed)?;
    let played = enact(&act, victim.fork(data)?).map_err(failed)?;
    if !played.enacted.report.is_faithful() {
        return Ok(None);
    }
    let stage = Stage { victim, fork: victim.fork(data)?, endowed: played.how == "endowed" };
    let recorded = stage.run(&act, Pace::default())?.lost;
    let seed = seed.saturating_add(1).saturating_add(number as u64);
    let trace = victim.trace(data, case, seed)?;
    let varied = edits::vary(edit, &trace, |it| stage.works(it, recorded))?;
    let Some(Varied { act, pace }) = varied else { return Ok(None) };
    let (blocks, fault) = stage.blocks(&act, pace)?;
    let lost = blocks.iter().map(|it| it.lost).fold(Usd::ZERO, Usd::plus);
    let gained = blocks.iter().map(|it| it.gained).fold(Usd::ZERO, Usd::plus);
    let counts = fault.is_none() && harms(lost.max(gained), recorded);
    Ok(counts.then_some(StagedVariation { plan: victim.plan()?, act, blocks }))
}

/// Plays every variation of every exploit of `data` that re-enacts completely.
///
/// # Errors
/// If a file cannot be read or executed at all.
pub fn variations(data: &Path, seed: u64) -> Result<Vec<VariationLine>, ReplayError> {
    let mut out = Vec::new();
    for (case, victim) in &victims()? {
        let trace = victim.trace(data, case, seed)?;
        let failed = |it| ReplayError::new(case.clone(), it);
        let act = Act::of(&trace, &[]).map_err(failed)?;
        let played = enact(&act, victim.fork(data)?).map_err(failed)?;
        if !played.enacted.report.is_faithful() {
            continue;
        }
        let endowed = played.how == "endowed";
        let stage = Stage { victim, fork: victim.fork(data)?, endowed };
        let whole = stage.run(&act, Pace::default())?;
        let recorded = whole.lost;
        out.push(line(case, "as recorded", Some(whole), recorded));
        for (edit, seed) in edits::ALL.iter().zip(seed.saturating_add(1)..) {
            let trace = victim.trace(data, case, seed)?;
            let played = match edits::vary(*edit, &trace, |it| stage.works(it, recorded))? {
                Some(Varied { act, pace }) => Some(stage.run(&act, pace)?),
                None => None,
            };
            out.push(line(case, edit.name(), played, recorded));
        }
    }
    Ok(out)
}

impl Stage<'_> {
    /// Plays `act` block by block under the generic plan.
    fn run(&self, act: &Act, pace: Pace) -> Result<Played, ReplayError> {
        let (blocks, fault) = self.blocks(act, pace)?;
        let mut watcher = Watcher::new(self.victim.plan()?, World::Act(act))?;
        let mut played = Played {
            findings: Vec::new(),
            found_at: None,
            txs: 0,
            lost: Usd::ZERO,
            gained: Usd::ZERO,
            fault,
        };
        for it in blocks {
            played.txs += it.block.txs.len();
            played.lost = played.lost.plus(it.lost);
            played.gained = played.gained.plus(it.gained);
            let findings = watcher.see(it.block, &it.before, &it.after)?;
            if played.found_at.is_none() && worst(&findings) == Some(Severity::Critical) {
                played.found_at = Some(played.txs);
            }
            played.findings.extend(findings);
        }
        // Tokens that come from nowhere are a loss of all who hold them: what the attacker gained tells.
        played.lost = played.lost.max(played.gained);
        Ok(played)
    }

    /// The blocks of `act` with the state around each, and why they do not count, if they do not.
    fn blocks(
        &self,
        act: &Act,
        pace: Pace,
    ) -> Result<(Vec<StagedBlock>, Option<Outcome>), ReplayError> {
        let failed = |it| ReplayError::new("a variation cannot be run", it);
        let endowed = match self.endowed {
            true => Some(act.endow(&self.fork.state, &self.fork.env).map_err(failed)?),
            false => None,
        };
        let fork = endowed.as_ref().unwrap_or(&self.fork.state);
        let enacted = act.play(fork, &self.fork.env, pace).map_err(failed)?;
        let mut before = act.state(fork);
        readable(&mut before, self.fork.env.beneficiary);
        let (mut out, mut fault) = (Vec::new(), None);
        for block in enacted.blocks {
            for tx in &block.txs {
                if matches!(tx.tracing, Tracing::Incomplete { .. }) {
                    fault = Some(Outcome::Incomplete);
                } else if !tx.succeeded && fault.is_none() {
                    fault = Some(Outcome::Stops);
                }
            }
            let after = state_after(&before, &block.txs);
            let (lost, gained) = self.victim.moved(&block, &before, &after, act)?;
            let next = after.clone();
            out.push(StagedBlock { block, before, after, lost, gained });
            before = next;
        }
        Ok((out, fault))
    }

    /// Whether a variation executes and does harm.
    fn works(&self, varied: &Varied, recorded: Usd) -> Result<bool, ReplayError> {
        let played = self.run(&varied.act, varied.pace)?;
        Ok(played.fault.is_none() && harms(played.lost, recorded))
    }
}

fn harms(lost: Usd, recorded: Usd) -> bool {
    lost > Usd::ZERO && lost.0.saturating_mul(HARM_PART) >= recorded.0
}

fn line(
    case: &str,
    variation: &'static str,
    played: Option<Played>,
    recorded: Usd,
) -> VariationLine {
    let case = case.to_owned();
    let Some(it) = played else {
        let remark = "the attack has too few calls that change state".to_owned();
        let (outcome, worst, lost) = (Outcome::Impossible, None, Usd::ZERO);
        let (txs, found_at) = (0, None);
        return VariationLine {
            case,
            variation,
            outcome,
            worst,
            txs,
            found_at,
            lost,
            recorded,
            remark,
        };
    };
    let worst = worst(&it.findings);
    let harm = harms(it.lost, recorded);
    let outcome = match it.fault {
        Some(fault) => fault,
        None if !harm => Outcome::Harmless,
        None if worst == Some(Severity::Critical) => Outcome::Found,
        None => Outcome::Missed,
    };
    let remark = match outcome {
        Outcome::Found | Outcome::Missed => remark(&it.findings),
        Outcome::Stops => "a call that succeeded in the recording fails".to_owned(),
        Outcome::Incomplete => "reads state that was not recorded".to_owned(),
        Outcome::Harmless | Outcome::Impossible => "the victim keeps what it had".to_owned(),
    };
    let (txs, found_at, lost) = (it.txs, it.found_at, it.lost);
    VariationLine { case, variation, outcome, worst, txs, found_at, lost, recorded, remark }
}
