//! What comes next: one record at a time, decided from the state alone.
//!
//! **Invariant:** the same state, playbook and time give the same record. Asking again after the record
//! was applied makes progress, so that asking until there is nothing more ends.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;

use super::{
    Context, Job, JobId, JobState, Outcome, Phase, Run, RunRecord, StepResult, Strand, Work,
};
use crate::{
    model::{Command, Id, Step, StepKind},
    variable::{self, Variable},
};

impl Run {
    /// The next record at `now`; `None` if the run waits or has ended.
    pub(super) fn next(&self, cx: &Context<'_>, now: Timestamp) -> Option<RunRecord> {
        if self.ended.is_some() || self.held.is_some() {
            return None;
        }
        if self.steps >= cx.limits.steps_max {
            let because = format!("more than {} steps", cx.limits.steps_max);
            return Some(RunRecord::Ended { outcome: Outcome::Failed { because } });
        }
        if self.next_strand == 0 {
            return Some(self.enter(cx, now, 0, None, &cx.playbook.start, false));
        }
        if let (Some(raised), Some(step)) = (&self.raised, &cx.playbook.exception)
            && !raised.begun
        {
            return Some(self.enter(cx, now, self.next_strand, None, step, true));
        }
        if self.strands.is_empty() {
            return Some(RunRecord::Ended { outcome: self.outcome() });
        }
        self.strands.iter().find_map(|(id, it)| self.next_of(cx, now, *id, it))
    }

    fn outcome(&self) -> Outcome {
        let because = self.raised.as_ref().map(|it| it.because.clone());
        match because.or_else(|| self.root_failed.clone()) {
            Some(because) => Outcome::Failed { because },
            None => Outcome::Worked,
        }
    }

    fn next_of(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        id: u32,
        strand: &Strand,
    ) -> Option<RunRecord> {
        let Some(step) = cx.playbook.workflow.get(&strand.step) else {
            let because = format!("there is no step `{}`", strand.step);
            return Some(RunRecord::Closed { strand: id, failed: Some(because) });
        };
        let done = |result| Some(RunRecord::Done { strand: id, step: strand.step.clone(), result });
        if let Phase::Done(result) = &strand.phase {
            return Some(self.route(cx, now, id, strand, step, result));
        }
        if now < strand.not_before {
            return None;
        }
        if let Some(late) = strand.due.filter(|it| now >= *it) {
            // An answer that was recorded in time counts, even if it is looked at only now.
            let settled = |it: &Job| !it.state.is_open() || it.agreed();
            let answered = self.job_of(strand).is_some_and(settled);
            if !answered {
                let ms = late.since_ms(strand.not_before);
                return done(StepResult::Failed(format!("timeout: not done within {ms} ms")));
            }
        }
        match &strand.phase {
            Phase::Ready => self.begin(cx, now, id, strand, step),
            Phase::Working { index, job } => {
                self.working(cx, now, id, strand, step, (*index, *job))
            }
            Phase::Branching { waiting, open, failed, round } => {
                if let Some((branch, entry)) = waiting.first_key_value() {
                    return Some(self.enter(cx, now, *branch, Some(id), entry, false));
                }
                if !open.is_empty() {
                    return None;
                }
                match failed {
                    Some(because) => {
                        done(StepResult::Failed(format!("a branch failed: {because}")))
                    }
                    None if matches!(step.kind, StepKind::While { .. }) => {
                        self.again(cx, id, strand, step, *round)
                    }
                    None => done(StepResult::Worked),
                }
            }
            Phase::Done(_) => None,
        }
    }

    fn job_of(&self, strand: &Strand) -> Option<&Job> {
        match &strand.phase {
            Phase::Working { job, .. } => self.jobs.get(job),
            _ => None,
        }
    }

    /// A step begins.
    fn begin(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        id: u32,
        strand: &Strand,
        step: &Step,
    ) -> Option<RunRecord> {
        let done = |result| Some(RunRecord::Done { strand: id, step: strand.step.clone(), result });
        match &step.kind {
            StepKind::Start => done(StepResult::Worked),
            StepKind::End => Some(RunRecord::Closed { strand: id, failed: None }),
            StepKind::Action(_) | StepKind::PlaybookAction { .. } => {
                self.offer(cx, now, id, strand, step, 0)
            }
            StepKind::Parallel { branches } => self.branch(id, 1, branches.iter()),
            StepKind::While { .. } => self.again(cx, id, strand, step, 0),
            StepKind::If { condition, on_true, on_false } => {
                match condition.holds(&|name: &str| self.lookup(strand, name)) {
                    Ok(true) => self.branch(id, 1, std::iter::once(on_true)),
                    Ok(false) => match on_false {
                        Some(it) => self.branch(id, 1, std::iter::once(it)),
                        None => done(StepResult::Worked),
                    },
                    Err(fault) => done(StepResult::Failed(fault.to_string())),
                }
            }
            StepKind::Switch { variable, cases } => {
                let value = self.lookup(strand, variable).and_then(|it| it.value.as_deref());
                let Some(value) = value else {
                    return done(StepResult::Failed(format!("`{variable}` has no value")));
                };
                match cases.get(value).or_else(|| cases.get("default")) {
                    Some(it) => self.branch(id, 1, std::iter::once(it)),
                    None => done(StepResult::Worked),
                }
            }
        }
    }

    fn branch<'a>(
        &self,
        strand: u32,
        round: u32,
        entries: impl Iterator<Item = &'a Id>,
    ) -> Option<RunRecord> {
        let branches = (self.next_strand..).zip(entries.cloned()).collect();
        Some(RunRecord::Branched { strand, round, branches })
    }

    /// A loop looks at its condition, after `round` rounds.
    fn again(
        &self,
        cx: &Context<'_>,
        id: u32,
        strand: &Strand,
        step: &Step,
        round: u32,
    ) -> Option<RunRecord> {
        let StepKind::While { condition, on_true } = &step.kind else { return None };
        let result = match condition.holds(&|name: &str| self.lookup(strand, name)) {
            Ok(true) if round >= cx.limits.rounds_max => {
                StepResult::Failed(format!("more than {} rounds", cx.limits.rounds_max))
            }
            Ok(true) => return self.branch(id, round + 1, std::iter::once(on_true)),
            Ok(false) => StepResult::Worked,
            Err(fault) => StepResult::Failed(fault.to_string()),
        };
        Some(RunRecord::Done { strand: id, step: strand.step.clone(), result })
    }

    fn working(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        id: u32,
        strand: &Strand,
        step: &Step,
        (index, job_id): (u32, JobId),
    ) -> Option<RunRecord> {
        let job = self.jobs.get(&job_id)?;
        let done = |result| Some(RunRecord::Done { strand: id, step: strand.step.clone(), result });
        if job.state.is_open() && job.agreed() {
            // Its own record, so that a death after the last agreement does not lose the quorum.
            return Some(RunRecord::Answered {
                job: job_id,
                by: job.agreed.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
                channel: "quorum".into(),
                evidence: None,
                result: StepResult::Worked,
                variables: BTreeMap::new(),
                ignored: Vec::new(),
            });
        }
        match &job.state {
            JobState::Answered(StepResult::Worked) if index + 1 < commands(step) => {
                self.offer(cx, now, id, strand, step, index + 1)
            }
            JobState::Answered(result) => done(result.clone()),
            JobState::Withdrawn => done(StepResult::Failed("it was withdrawn".into())),
            JobState::Taken { worker, until } if now >= *until => {
                if job.work.repeatable() && job.attempt < cx.limits.attempts_max {
                    return Some(RunRecord::Offered {
                        job: job_id,
                        strand: id,
                        index,
                        attempt: job.attempt + 1,
                        work: job.work.clone(),
                        due: strand.due.unwrap_or(now),
                    });
                }
                let because = format!("nothing was heard of {worker} since its lease ran out");
                Some(RunRecord::Unknown { job: job_id, because })
            }
            JobState::Unknown { since, because } if now >= since.plus_ms(cx.limits.unknown_ms) => {
                done(StepResult::Failed(format!("nobody can say whether it was done: {because}")))
            }
            _ => None,
        }
    }

    /// Gives out a command of a step, or says why it must not be.
    fn offer(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        id: u32,
        strand: &Strand,
        step: &Step,
        index: u32,
    ) -> Option<RunRecord> {
        let work = match self.work(cx, strand, step, index) {
            Ok(it) => it,
            Err(because) => {
                let result = StepResult::Failed(because);
                return Some(RunRecord::Done { strand: id, step: strand.step.clone(), result });
            }
        };
        let limit =
            if work.for_people() { cx.limits.person_timeout_ms } else { cx.limits.step_timeout_ms };
        let due = strand.due.unwrap_or_else(|| now.plus_ms(limit));
        let job = JobId::derive(&[
            self.id.0.as_slice(),
            strand.step.as_bytes(),
            &strand.visit.to_be_bytes(),
            &index.to_be_bytes(),
        ]);
        Some(RunRecord::Offered { job, strand: id, index, attempt: 1, work, due })
    }

    fn work(
        &self,
        cx: &Context<'_>,
        strand: &Strand,
        step: &Step,
        index: u32,
    ) -> Result<Work, String> {
        let value = |name: &str| self.lookup(strand, name).and_then(|it| it.value.as_deref());
        let fill = |text: &str| {
            variable::substitute(text, value).map_err(|it| format!("`{it}` has no value"))
        };
        if let Some(perform) = &step.perform {
            let perform = perform.map(fill)?;
            cx.allowance.allows_perform(&perform)?;
            return Ok(Work::Perform { perform });
        }
        match &step.kind {
            StepKind::Action(action) => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                let command = action.commands.get(index).ok_or("the step has no command")?;
                cx.allowance.allows_command(command)?;
                let filled = |it: &Option<String>| it.as_deref().map(fill).transpose();
                let command = Command {
                    command: filled(&command.command)?,
                    content: filled(&command.content)?,
                    ..command.clone()
                };
                if command.kind == "manual" {
                    return Ok(Work::Manual { text: manual_text(&command)? });
                }
                Ok(Work::Command {
                    command,
                    agent: action.agent.clone(),
                    targets: action.targets.clone(),
                })
            }
            StepKind::PlaybookAction { playbook, version, in_args, .. } => {
                let given = |name: &String| {
                    let value = value(name).ok_or_else(|| format!("`{name}` has no value"))?;
                    Ok::<_, String>((name.clone(), value.to_owned()))
                };
                Ok(Work::Playbook {
                    playbook: playbook.clone(),
                    version: *version,
                    variables: in_args.iter().map(given).collect::<Result<_, _>>()?,
                })
            }
            _ => Err("the step has no command".into()),
        }
    }

    /// Where a strand goes from a step that has ended.
    fn route(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        id: u32,
        strand: &Strand,
        step: &Step,
        result: &StepResult,
    ) -> RunRecord {
        let to = match result {
            StepResult::Worked => step.on_success.as_ref().or(step.on_completion.as_ref()),
            // `on_completion` is for a step that did what it says; a failure nobody provides for is an
            // exception.
            StepResult::Failed(_) => step.on_failure.as_ref(),
        };
        if let Some(to) = to {
            return self.enter(cx, now, id, strand.parent, to, false);
        }
        let StepResult::Failed(because) = result else {
            return RunRecord::Closed { strand: id, failed: None };
        };
        let because = match self.raised.as_ref().map(|it| &it.because) {
            // A step around the one that raised it fails for the same reason.
            Some(first) if because.ends_with(first.as_str()) => first.clone(),
            _ => format!("{}: {because}", step.title()),
        };
        if self.raised.is_none() && !self.provided_above(cx, strand) {
            return RunRecord::Raised { step: strand.step.clone(), because };
        }
        RunRecord::Closed { strand: id, failed: Some(because) }
    }

    /// Whether a step around `strand` says where to go on when it fails.
    fn provided_above(&self, cx: &Context<'_>, strand: &Strand) -> bool {
        let mut above = strand.parent;
        while let Some(it) = above.and_then(|it| self.strands.get(&it)) {
            let step = cx.playbook.workflow.get(&it.step);
            if step.is_some_and(|it| it.on_failure.is_some()) {
                return true;
            }
            above = it.parent;
        }
        false
    }

    fn enter(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        strand: u32,
        parent: Option<u32>,
        step: &Id,
        exception: bool,
    ) -> RunRecord {
        let found = cx.playbook.workflow.get(step);
        let not_before = now.plus_ms(found.map_or(0, |it| it.delay_ms));
        let variables: BTreeMap<String, Variable> =
            found.map(|it| it.variables.clone()).unwrap_or_default();
        RunRecord::Entered {
            strand,
            parent,
            step: step.clone(),
            visit: self.visits.get(step).copied().unwrap_or(0) + 1,
            not_before,
            due: found.and_then(|it| it.timeout_ms).map(|it| not_before.plus_ms(it)),
            variables,
            exception,
        }
    }
}

/// How many jobs a step has.
fn commands(step: &Step) -> u32 {
    match &step.kind {
        StepKind::Action(it) if step.perform.is_none() => {
            u32::try_from(it.commands.len()).unwrap_or(u32::MAX)
        }
        _ => 1,
    }
}

/// What a person is to do, in words.
fn manual_text(command: &Command) -> Result<String, String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    match (&command.command, &command.command_b64) {
        (Some(it), _) => Ok(it.clone()),
        (None, Some(it)) => STANDARD
            .decode(it)
            .ok()
            .and_then(|it| String::from_utf8(it).ok())
            .ok_or_else(|| "the command is no text".to_owned()),
        (None, None) => Err("the command is empty".into()),
    }
}
