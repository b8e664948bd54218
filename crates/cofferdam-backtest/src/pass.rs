//! One pass: the engine of live operation over one strand of blocks, in order, with every detector at once.
//!
//! **Invariant:** what the engine wants to read is asked of the state of that very block; what was answered
//! beforehand and is not wanted any more is dropped. The engine never sees more than it would live.
//!
//! **Invariant:** at every seam the engine is written down and restored, also when nobody interrupts it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use cofferdam_core::{
    ChainId, Finding, Observation, Record, Timestamp, Usd,
    plan::{Autonomy, Mode, Plan},
    read::{Answer, Reading, StateRead},
    record::Entry,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_risk::{logit, progress::group_millinats};
use serde::{Deserialize, Serialize};

use crate::{
    BacktestError, BlockRow, DecidedRow, Label, Labels, OrderedRow, Row, RuleScore, TxRow,
    link::Linker,
};

/// Answers to state reads around a block: before it and after it.
pub type Asked = BTreeMap<StateRead, Reading>;

/// Longest summary kept, in characters.
const SUMMARY_CHARS_MAX: usize = 240;

/// The engine on its way through a strand.
#[derive(Debug)]
pub struct Pass {
    strand: String,
    plan: Plan,
    engine: Engine,
    modes: BTreeMap<String, Mode>,
    linker: Linker,
    places: BTreeMap<u64, u64>,
    priced: BTreeMap<B256, Usd>,
}

/// Everything that goes over a seam.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seam {
    state: serde_json::Value,
    version: u32,
    linker: Linker,
    places: BTreeMap<u64, u64>,
    at: Timestamp,
}

/// What is known of the entities after a step.
#[derive(Default)]
struct Step {
    findings: Vec<Finding>,
    /// Posterior by entity, only of incidents that something new was found about.
    posteriors: BTreeMap<String, u32>,
}

impl Pass {
    /// A pass over `strand` under `plan`, at its beginning. `priced` are losses by transaction that the data tells.
    ///
    /// # Errors
    /// If the plan's rules cannot be built.
    pub fn new(
        strand: &str,
        plan: Plan,
        priced: BTreeMap<B256, Usd>,
    ) -> Result<Self, BacktestError> {
        let engine = Engine::new(plan.clone(), limits()).map_err(BacktestError::Plan)?;
        let modes = plan.rules.iter().map(|it| (it.id.clone(), it.mode)).collect();
        let strand = strand.to_owned();
        let (linker, places) = (Linker::default(), BTreeMap::new());
        Ok(Self { strand, plan, engine, modes, linker, places, priced })
    }

    /// What the rules want to know around `block`, whose facts are decoded, beyond what `known` answers.
    pub fn wanted(&self, block: &Observation, known: &Asked) -> Vec<StateRead> {
        let mut wanted = self.engine.wanted_reads(block);
        wanted.retain(|it| !known.contains_key(it));
        wanted
    }

    /// Folds the next block, whose facts are decoded and which has `txs` transactions, some of which may have been
    /// left out. `answered` holds an answer to whatever is wanted; what has none is unavailable.
    pub fn see(
        &mut self,
        mut block: Observation,
        txs: u32,
        mut answered: Asked,
        labels: &Labels,
        out: &mut Vec<Row>,
    ) {
        let mut unanswered = 0_u32;
        for read in self.engine.wanted_reads(&block) {
            let none = || Reading { before: Answer::Unavailable, after: Answer::Unavailable };
            let reading = answered.remove(&read).unwrap_or_else(none);
            unanswered = unanswered.saturating_add(u32::from(reading.after == Answer::Unavailable));
            block.readings.insert(read, reading);
        }
        let chain = block.block.chain;
        let number = block.block.number;
        block.block = self.linker.link(block.block);
        let place = self.places.entry(chain.0).or_default();
        let at = *place;
        *place = place.saturating_add(1);
        let time = block.block.time;
        let known: Vec<(B256, Option<Label>)> =
            block.txs.iter().map(|it| (it.hash, labels.get(&it.hash).cloned())).collect();
        let effects = self.engine.step(time, Input::Block(block));
        let place = Place { chain, number, at, time };
        let mut decided = Vec::new();
        let step = self.read(effects, &place, &mut decided);
        let blind = step.findings.iter().filter(|it| it.is_blind()).count();
        out.push(Row::Block(BlockRow {
            strand: self.strand.clone(),
            chain,
            number,
            time: time.0,
            txs,
            blind: u32::try_from(blind).unwrap_or(u32::MAX),
            unanswered,
        }));
        self.tx_rows(&place, &known, &step, out);
        out.extend(decided);
    }

    /// Ends a range: writes the state down, and goes on from what was written.
    ///
    /// # Errors
    /// If the state cannot be written or read.
    pub fn seam(self) -> Result<(Self, Seam), BacktestError> {
        let record = self.engine.snapshot().map_err(|it| BacktestError::Seam(it.into()))?;
        let Record::Snapshot { version, state } = record else {
            return Err(BacktestError::Seam("a snapshot of the engine is no snapshot".into()));
        };
        let at = self.engine.state().chains.values().filter_map(|it| it.trail.back());
        let at = at.map(|it| it.block.time).max().unwrap_or_default();
        let (linker, places) = (self.linker, self.places);
        let seam = Seam { state, version, linker, places, at };
        let pass = Self::resume(&self.strand, self.plan, self.priced, seam.clone())?;
        Ok((pass, seam))
    }

    /// Goes on behind a seam.
    ///
    /// # Errors
    /// If the plan's rules cannot be built, or the state is not one of theirs.
    pub fn resume(
        strand: &str,
        plan: Plan,
        priced: BTreeMap<B256, Usd>,
        seam: Seam,
    ) -> Result<Self, BacktestError> {
        let record = Record::Snapshot { version: seam.version, state: seam.state };
        let entry = Entry { seq: 0, at: seam.at, prev: B256::ZERO, hash: B256::ZERO, record };
        let engine = Engine::restore(plan.clone(), limits(), [entry])
            .map_err(|it| BacktestError::Seam(it.into()))?;
        let modes = plan.rules.iter().map(|it| (it.id.clone(), it.mode)).collect();
        let (strand, linker, places) = (strand.to_owned(), seam.linker, seam.places);
        Ok(Self { strand, plan, engine, modes, linker, places, priced })
    }

    /// Sorts what a step did into findings, decisions and orders.
    fn read(&self, effects: Vec<Effect>, place: &Place, out: &mut Vec<Row>) -> Step {
        let mut step = Step::default();
        let mut fresh = BTreeSet::new();
        let records: Vec<Record> = effects
            .into_iter()
            .filter_map(|it| if let Effect::Record(it) = it { Some(it) } else { None })
            .collect();
        for record in records {
            match record {
                Record::Found { finding } => step.findings.push(finding),
                Record::Attached { incident, .. } => {
                    fresh.insert(incident);
                }
                // Incidents that are only looked at again, as at a seam, are no news.
                Record::Decided { incident, ledger } if fresh.contains(&incident) => {
                    let entity = self.entity(incident);
                    let known = step.posteriors.entry(entity.clone()).or_default();
                    *known = (*known).max(ledger.posterior.0);
                    let options = ledger.options.iter();
                    let thresholds = options.map(|it| (it.action.clone(), it.threshold.0));
                    out.push(Row::Decided(DecidedRow {
                        thresholds: thresholds.collect(),
                        strand: self.strand.clone(),
                        chain: place.chain,
                        number: place.number,
                        place: place.at,
                        time: place.time.0,
                        incident: incident.short(),
                        entity,
                        posterior: ledger.posterior.0,
                        chosen: ledger.chosen,
                    }));
                }
                Record::Intended { order } => {
                    let action = self.plan.action(&order.action);
                    out.push(Row::Ordered(OrderedRow {
                        strand: self.strand.clone(),
                        chain: place.chain,
                        number: place.number,
                        place: place.at,
                        time: place.time.0,
                        entity: self.entity(order.incident),
                        action: order.action,
                        automatic: order.autonomy == Autonomy::Act,
                        effect_blocks: action.map_or(1, |it| it.effect_blocks),
                    }));
                }
                _ => {}
            }
        }
        step
    }

    fn entity(&self, incident: cofferdam_core::IncidentId) -> String {
        let known = self.engine.state().incidents.get(&incident);
        known.map(|it| it.entity.clone()).unwrap_or_default()
    }

    fn tx_rows(
        &self,
        place: &Place,
        known: &[(B256, Option<Label>)],
        step: &Step,
        out: &mut Vec<Row>,
    ) {
        let mut by_tx: BTreeMap<Option<B256>, Vec<&Finding>> = BTreeMap::new();
        for it in step.findings.iter().filter(|it| !it.is_blind()) {
            by_tx.entry(it.tx).or_default().push(it);
        }
        for (hash, label) in known {
            let found = by_tx.remove(&Some(*hash)).unwrap_or_default();
            if !found.is_empty() || label.is_some() {
                out.push(Row::Tx(self.tx_row(place, Some(*hash), label.clone(), &found, step)));
            }
        }
        // What is about a block as a whole counts for the attack that is in it.
        let label = known.iter().find_map(|it| it.1.clone()).map(|it| Label { loss: None, ..it });
        for (tx, found) in by_tx {
            let recorded = found.first().map_or(place.number, |it| self.linker.recorded(&it.block));
            let place = Place { number: recorded, ..*place };
            out.push(Row::Tx(self.tx_row(&place, tx, label.clone(), &found, step)));
        }
    }

    fn tx_row(
        &self,
        place: &Place,
        tx: Option<B256>,
        label: Option<Label>,
        found: &[&Finding],
        step: &Step,
    ) -> TxRow {
        let mut rules: Vec<RuleScore> = found.iter().map(|it| score_of(it)).collect();
        rules.sort();
        let prior = millinats(self.plan.decision.prior_ppb);
        let entities: BTreeSet<&str> = found.iter().map(|it| it.entity.as_str()).collect();
        let scored = entities.iter().map(|entity| {
            let own = prior.saturating_add(self.evidence(found, entity));
            let posterior = step.posteriors.get(*entity).map(|it| millinats(*it));
            (posterior.unwrap_or(own), *entity)
        });
        let best = scored.max_by_key(|it| (it.0, std::cmp::Reverse(it.1)));
        let (score, entity) = best.unwrap_or((prior, ""));
        let losses = entities.iter().map(|entity| {
            let of = found.iter().filter(|it| it.entity == *entity).map(|it| it.loss);
            of.max().unwrap_or(Usd::ZERO)
        });
        let told = tx.and_then(|it| self.priced.get(&it).copied());
        let loudest = found.iter().max_by_key(|it| it.severity);
        TxRow {
            strand: self.strand.clone(),
            chain: place.chain,
            number: place.number,
            place: place.at,
            time: place.time.0,
            tx,
            entity: entity.to_owned(),
            score,
            severity: loudest.map(|it| it.severity),
            rules,
            loss: told.unwrap_or_else(|| losses.fold(Usd::ZERO, Usd::plus)),
            label,
            summary: loudest
                .map(|it| it.summary.chars().take(SUMMARY_CHARS_MAX).collect())
                .unwrap_or_default(),
        }
    }

    /// The evidence of findings about one entity, in thousandths of a nat: by group, capped, as live. What a
    /// shadow rule says does not count.
    fn evidence(&self, found: &[&Finding], entity: &str) -> i64 {
        let decision = &self.plan.decision;
        let mut groups: BTreeMap<&str, BTreeMap<&str, i32>> = BTreeMap::new();
        for it in found.iter().filter(|it| it.entity == entity) {
            if self.modes.get(&it.rule).copied().unwrap_or_default() == Mode::Shadow {
                continue;
            }
            let best = groups.entry(&it.group).or_default().entry(&it.rule).or_insert(i32::MIN);
            *best = (*best).max(it.llr_millinats);
        }
        let correlation = u32::try_from(decision.correlation.0).unwrap_or(1_000_000);
        let weigh = |rules: BTreeMap<&str, i32>| {
            let llrs: Vec<i32> = rules.into_values().collect();
            i64::from(group_millinats(&llrs, correlation, decision.group_cap_millinats))
        };
        groups.into_values().map(weigh).fold(0, i64::saturating_add)
    }
}

/// Where a step stands.
#[derive(Clone, Copy)]
struct Place {
    chain: ChainId,
    number: u64,
    at: u64,
    time: Timestamp,
}

fn score_of(it: &Finding) -> RuleScore {
    RuleScore {
        rule: it.rule.clone(),
        detector: it.detector.clone(),
        entity: it.entity.clone(),
        severity: it.severity,
        class: it.class,
        llr: it.llr_millinats,
    }
}

/// Log-odds in thousandths of a nat; certainty counts as half a part per billion short of it.
pub(crate) fn millinats(ppb: u32) -> i64 {
    let p = (f64::from(ppb) / 1e9).clamp(5e-10, 1.0 - 5e-10);
    (logit(p) * 1_000.0).round() as i64
}

/// Nobody answers dispatches here and no journal grows: only the state between seams is kept.
fn limits() -> Limits {
    Limits { snapshot_records: u64::MAX, ..Limits::default() }
}
