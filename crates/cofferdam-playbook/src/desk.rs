//! Several runs at once, and playbooks that run playbooks.
//!
//! **Invariant:** the run that does a `playbook-action` has an id derived from the job it does, so that
//! it is begun once however often the job is given out, and restored like any other.

use std::collections::{BTreeMap, VecDeque};

use cofferdam_core::Timestamp;

use crate::{
    allowance::Allowance,
    model::{Id, Playbook},
    run::{
        Answer, Context, Effect, Entry, Input, JobId, JobState, Limits, Outcome, Refusal,
        RestoreError, Run, RunId, RunRecord, Work,
    },
};

/// Deepest nesting of playbooks.
pub const CALL_DEPTH_MAX: usize = 4;
/// Who answers for a playbook that was run.
const BY: &str = "playbook";

/// Playbooks that may be run, by identifier and version.
#[derive(Clone, Debug, Default)]
pub struct Library {
    playbooks: BTreeMap<(Id, Timestamp), Playbook>,
}

impl Library {
    /// Adds an accepted playbook.
    pub fn add(&mut self, playbook: Playbook) {
        self.playbooks.insert((playbook.id.clone(), playbook.modified), playbook);
    }

    /// The playbook `id` in `version`, or its latest.
    pub fn find(&self, id: &str, version: Option<Timestamp>) -> Option<&Playbook> {
        let all = (id.to_owned(), Timestamp(0))..=(id.to_owned(), Timestamp(u64::MAX));
        let mut found = self.playbooks.range(all).map(|it| it.1);
        match version {
            Some(version) => found.find(|it| it.modified == version),
            None => found.next_back(),
        }
    }

    /// The very playbook that `run` was begun with.
    fn of(&self, run: &Run) -> Option<&Playbook> {
        self.playbooks.values().find(|it| it.id == run.playbook && it.digest == run.digest)
    }
}

/// What the runs of a desk are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Playbooks that may be run.
    pub library: &'a Library,
    /// What the plan allows.
    pub allowance: &'a Allowance,
    /// Bounds.
    pub limits: &'a Limits,
}

impl<'a> Rules<'a> {
    fn context(&self, playbook: &'a Playbook) -> Context<'a> {
        Context { playbook, allowance: self.allowance, limits: self.limits }
    }
}

/// What a step of a desk gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desked {
    /// To be made durable, in order, before any effect is carried out.
    pub records: Vec<(RunId, RunRecord)>,
    /// To be carried out then. Playbooks are not among them: the desk runs them itself.
    pub effects: Vec<(RunId, Effect)>,
}

/// Runs under way, and those that have ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desk {
    runs: BTreeMap<RunId, Run>,
}

impl Desk {
    /// The runs by id.
    pub fn runs(&self) -> &BTreeMap<RunId, Run> {
        &self.runs
    }

    /// Begins a run of `playbook`.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: it may not be run now, or a variable is not the caller's to set.
    pub fn start(
        &mut self,
        rules: &Rules<'_>,
        now: Timestamp,
        id: RunId,
        playbook: &Playbook,
        by: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Desked, Refusal> {
        let mut out = Desked::default();
        if self.runs.contains_key(&id) {
            return Ok(out);
        }
        let cx = rules.context(playbook);
        let (run, stepped) = Run::start(&cx, now, id, by, None, given)?;
        self.runs.insert(id, run);
        out.records.extend(stepped.records.into_iter().map(|it| (id, it)));
        let todo = stepped.effects.into_iter().map(|it| (id, it)).collect();
        self.settle(rules, now, todo, &mut out);
        Ok(out)
    }

    /// Takes an input for run `id`.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; all runs are as before.
    pub fn step(
        &mut self,
        rules: &Rules<'_>,
        now: Timestamp,
        id: RunId,
        input: Input,
    ) -> Result<Desked, Refusal> {
        let mut out = Desked::default();
        let todo = self.step_one(rules, now, id, input, &mut out)?;
        self.settle(rules, now, todo, &mut out);
        Ok(out)
    }

    /// Lets time pass for every run.
    pub fn tick(&mut self, rules: &Rules<'_>, now: Timestamp) -> Desked {
        let mut out = Desked::default();
        let mut todo = VecDeque::new();
        for id in self.runs.keys().copied().collect::<Vec<_>>() {
            // A run whose playbook is gone waits for it.
            if let Ok(more) = self.step_one(rules, now, id, Input::Tick, &mut out) {
                todo.extend(more);
            }
        }
        self.settle(rules, now, todo, &mut out);
        out
    }

    /// The desk that `records` leave. Any prefix of what a desk recorded is such a list.
    ///
    /// # Errors
    ///
    /// The records of a run do not begin with its beginning.
    pub fn restore(records: &[(RunId, Entry)]) -> Result<Self, RestoreError> {
        let mut of: BTreeMap<RunId, Vec<&Entry>> = BTreeMap::new();
        for (run, entry) in records {
            of.entry(*run).or_default().push(entry);
        }
        let runs = of
            .into_iter()
            .map(|(id, entries)| Ok((id, Run::restore(entries)?)))
            .collect::<Result<_, RestoreError>>()?;
        Ok(Self { runs })
    }

    /// Goes on after a restart: what has to be given out again, and what was about to happen.
    pub fn resume(&mut self, rules: &Rules<'_>, now: Timestamp) -> Desked {
        let mut out = Desked::default();
        let mut todo: VecDeque<(RunId, Effect)> = VecDeque::new();
        for (id, run) in &self.runs {
            todo.extend(run.outstanding().into_iter().map(|it| (*id, it)));
            // Its end may not have reached the run that it was done for.
            if let Some(outcome) = &run.ended {
                todo.push_back((*id, Effect::Ended { outcome: outcome.clone() }));
            }
        }
        self.settle(rules, now, todo, &mut out);
        let Desked { records, effects } = self.tick(rules, now);
        out.records.extend(records);
        out.effects.extend(effects);
        out
    }

    fn step_one(
        &mut self,
        rules: &Rules<'_>,
        now: Timestamp,
        id: RunId,
        input: Input,
        out: &mut Desked,
    ) -> Result<VecDeque<(RunId, Effect)>, Refusal> {
        let run = self.runs.get_mut(&id).ok_or(Refusal::Over)?;
        let playbook = rules.library.of(run).ok_or(Refusal::OtherPlaybook)?;
        let stepped = run.step(&rules.context(playbook), now, input)?;
        out.records.extend(stepped.records.into_iter().map(|it| (id, it)));
        Ok(stepped.effects.into_iter().map(|it| (id, it)).collect())
    }

    /// Carries out what concerns playbooks; the rest is for the shell.
    fn settle(
        &mut self,
        rules: &Rules<'_>,
        now: Timestamp,
        mut todo: VecDeque<(RunId, Effect)>,
        out: &mut Desked,
    ) {
        while let Some((id, effect)) = todo.pop_front() {
            match &effect {
                Effect::Do {
                    job, work: Work::Playbook { playbook, version, variables }, ..
                } => {
                    let wanted = (playbook.as_str(), *version, variables);
                    todo.extend(self.call(rules, now, (id, *job), wanted, out));
                }
                Effect::Withdraw { job } if self.runs.contains_key(&child(*job)) => {
                    let stop = Input::Stop { by: BY.into(), because: "its step has ended".into() };
                    if let Ok(more) = self.step_one(rules, now, child(*job), stop, out) {
                        todo.extend(more);
                    }
                }
                Effect::Ended { outcome } => {
                    todo.extend(self.report(rules, now, id, outcome, out));
                    out.effects.push((id, effect));
                }
                _ => out.effects.push((id, effect)),
            }
        }
    }

    /// Begins the run that a job asks for, or answers the job with why not.
    fn call(
        &mut self,
        rules: &Rules<'_>,
        now: Timestamp,
        (caller, job): (RunId, JobId),
        (playbook, version, variables): (&str, Option<Timestamp>, &BTreeMap<String, String>),
        out: &mut Desked,
    ) -> VecDeque<(RunId, Effect)> {
        let id = child(job);
        if self.runs.contains_key(&id) {
            return VecDeque::new();
        }
        let begun = if self.depth(caller) >= CALL_DEPTH_MAX {
            Err(format!("playbooks are nested deeper than {CALL_DEPTH_MAX}"))
        } else {
            match rules.library.find(playbook, version) {
                None => Err(format!("there is no playbook `{playbook}` in that version")),
                Some(it) => {
                    let cx = rules.context(it);
                    Run::start(&cx, now, id, BY, Some(job), variables).map_err(|it| it.to_string())
                }
            }
        };
        match begun {
            Ok((run, stepped)) => {
                self.runs.insert(id, run);
                out.records.extend(stepped.records.into_iter().map(|it| (id, it)));
                stepped.effects.into_iter().map(|it| (id, it)).collect()
            }
            Err(because) => {
                let answer = Answer::failed(BY, BY, because);
                let input = Input::Answer { job, answer };
                self.step_one(rules, now, caller, input, out).unwrap_or_default()
            }
        }
    }

    /// Tells the run that `id` was done for how it ended.
    fn report(
        &mut self,
        rules: &Rules<'_>,
        now: Timestamp,
        id: RunId,
        outcome: &Outcome,
        out: &mut Desked,
    ) -> VecDeque<(RunId, Effect)> {
        let Some(run) = self.runs.get(&id) else { return VecDeque::new() };
        let Some(job) = run.parent else { return VecDeque::new() };
        let caller = self
            .runs
            .iter()
            .find(|it| it.1.jobs.get(&job).is_some_and(|it| matches!(it.state, JobState::Offered)));
        let Some((caller, _)) = caller else { return VecDeque::new() };
        let mut answer = match outcome {
            Outcome::Worked => Answer::worked(BY, BY),
            Outcome::Failed { because } => Answer::failed(BY, BY, because.clone()),
            Outcome::Stopped { by, because } => {
                Answer::failed(BY, BY, format!("stopped by {by}: {because}"))
            }
        };
        answer.variables = run
            .variables
            .iter()
            .filter_map(|(name, it)| Some((name.clone(), it.value.clone()?)))
            .collect();
        let (caller, input) = (*caller, Input::Answer { job, answer });
        self.step_one(rules, now, caller, input, out).unwrap_or_default()
    }

    /// How many runs are around `id`, itself included.
    fn depth(&self, id: RunId) -> usize {
        let mut depth = 1;
        let mut at = self.runs.get(&id);
        while let Some(job) = at.and_then(|it| it.parent) {
            depth += 1;
            at = self.runs.values().find(|it| it.jobs.contains_key(&job));
            if depth > CALL_DEPTH_MAX {
                break;
            }
        }
        depth
    }
}

/// The run that does `job`.
fn child(job: JobId) -> RunId {
    RunId::derive(&[b"called by", job.0.as_slice()])
}
