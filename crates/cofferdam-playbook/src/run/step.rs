//! The way in: inputs become records and effects.
//!
//! **Invariant:** an effect is given out with the record that says so in the same step, so that a shell
//! that writes records before it acts never does what a restart would not know of.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::Timestamp;

use super::{
    Context, Entry, Job, JobId, JobState, Outcome, Run, RunId, RunRecord, StepResult, Work,
};
use crate::{
    check::{self, NotNow, runnable},
    variable,
};

/// Longest name, reason or channel that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A worker takes a job.
    Take {
        /// Which.
        job: JobId,
        /// Who.
        worker: String,
    },
    /// A worker is still at it.
    Keep {
        /// Which job.
        job: JobId,
        /// Who.
        worker: String,
    },
    /// A worker or a person answers a job. For a question one *no* is enough.
    Answer {
        /// Which.
        job: JobId,
        /// What.
        answer: Answer,
    },
    /// A person holds the run.
    Hold {
        /// Who.
        by: String,
    },
    /// A person lets it go on.
    Resume {
        /// Who.
        by: String,
    },
    /// A person ends it.
    Stop {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
}

/// What somebody says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who.
    pub by: String,
    /// In which role, for a question that asks for one.
    pub role: Option<String>,
    /// Through which channel.
    pub channel: String,
    /// Hash of what proves it, or of what the person saw.
    pub evidence: Option<B256>,
    /// Why it failed; `None` if it worked.
    pub failed: Option<String>,
    /// Variables that it sets.
    pub variables: BTreeMap<String, String>,
}

impl Answer {
    /// It worked, and sets nothing.
    pub fn worked(by: impl Into<String>, channel: impl Into<String>) -> Self {
        Self {
            by: by.into(),
            role: None,
            channel: channel.into(),
            evidence: None,
            failed: None,
            variables: BTreeMap::new(),
        }
    }

    /// It failed.
    pub fn failed(
        by: impl Into<String>,
        channel: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        Self { failed: Some(because.into()), ..Self::worked(by, channel) }
    }
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a step gives few, and they do not live long")]
pub enum Effect {
    /// Have a job done. Its id is the idempotency key.
    Do {
        /// Which.
        job: JobId,
        /// Counts from 1.
        attempt: u32,
        /// What is to be done.
        work: Work,
    },
    /// A job is not wanted any more.
    Withdraw {
        /// Which.
        job: JobId,
    },
    /// The run ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// What a step gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stepped {
    /// To be made durable, in order, before any effect is carried out.
    pub records: Vec<RunRecord>,
    /// To be carried out then.
    pub effects: Vec<Effect>,
}

/// Why an input was not taken. The run is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The playbook may not be run now.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// A variable was given that is not the caller's to set.
    #[error("`{name}`: {why}")]
    Variable {
        /// Which.
        name: String,
        /// Why not.
        why: String,
    },
    /// The run has ended.
    #[error("the run has ended")]
    Over,
    /// There is no such job.
    #[error("there is no job {0}")]
    NoJob(JobId),
    /// The job is not open, or another worker has it.
    #[error("the job is not theirs: {0}")]
    NotTheirs(String),
    /// Who it was has to be said.
    #[error("nobody is named")]
    Nameless,
    /// The same person has agreed before.
    #[error("{0} has agreed already; another person has to")]
    SamePerson(String),
    /// The question asks for another role.
    #[error("one of these roles is asked for: {0}")]
    Role(String),
    /// The playbook is not the one that the run was begun with.
    #[error("the playbook was changed since the run began")]
    OtherPlaybook,
}

/// Why records do not restore a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There are none.
    #[error("there are no records")]
    Empty,
    /// They do not begin with the run's beginning.
    #[error("the first record does not begin a run")]
    Headless,
}

impl Run {
    /// Begins a run. `given` are values for variables that the playbook leaves to its caller.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: the playbook may not be run now, or a variable is not the caller's to set.
    pub fn start(
        cx: &Context<'_>,
        now: Timestamp,
        id: RunId,
        by: &str,
        parent: Option<JobId>,
        given: &BTreeMap<String, String>,
    ) -> Result<(Self, Stepped), Refusal> {
        runnable(cx.playbook, now)?;
        let mut variables = cx.playbook.variables.clone();
        for (name, value) in given {
            let refused = |why: String| Refusal::Variable { name: name.clone(), why };
            let it = variables
                .get_mut(name)
                .ok_or_else(|| refused("the playbook has no such variable".into()))?;
            if !it.external {
                return Err(refused("it is not marked as external".into()));
            }
            if it.constant {
                return Err(refused("it is constant".into()));
            }
            variable::unfit(&it.kind, value).map_or(Ok(()), |why| Err(refused(why)))?;
            it.value = Some(value.clone());
        }
        if by.is_empty() {
            return Err(Refusal::Nameless);
        }
        let record = RunRecord::Started {
            run: id,
            playbook: cx.playbook.id.clone(),
            modified: cx.playbook.modified,
            digest: cx.playbook.digest,
            by: clip(by),
            parent,
            variables,
        };
        let mut run = Self::begun(now, &record).ok_or(Refusal::Over)?;
        let mut out = Stepped { records: vec![record], effects: Vec::new() };
        run.go_on(cx, now, &mut out);
        Ok((run, out))
    }

    /// The run that `records` leave. Any prefix of a run's records is such a list.
    ///
    /// # Errors
    ///
    /// There are none, or the first does not begin a run.
    pub fn restore<'a>(records: impl IntoIterator<Item = &'a Entry>) -> Result<Self, RestoreError> {
        let mut records = records.into_iter();
        let first = records.next().ok_or(RestoreError::Empty)?;
        let mut run = Self::begun(first.at, &first.record).ok_or(RestoreError::Headless)?;
        for it in records {
            run.apply(it.at, &it.record);
        }
        Ok(run)
    }

    /// Takes an input.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; the run is as before.
    pub fn step(
        &mut self,
        cx: &Context<'_>,
        now: Timestamp,
        input: Input,
    ) -> Result<Stepped, Refusal> {
        if cx.playbook.digest != self.digest {
            return Err(Refusal::OtherPlaybook);
        }
        let mut out = Stepped::default();
        let records = self.take_in(cx, now, input)?;
        for it in records {
            self.push(now, it, &mut out);
        }
        self.go_on(cx, now, &mut out);
        Ok(out)
    }

    /// What has to be given out again after a restart. Who was given it before knows its key.
    pub fn outstanding(&self) -> Vec<Effect> {
        self.open_jobs()
            .filter(|(_, job)| match job.state {
                JobState::Offered => true,
                JobState::Taken { .. } => job.work.repeatable(),
                _ => false,
            })
            .map(|(id, job)| Effect::Do { job: *id, attempt: job.attempt, work: job.work.clone() })
            .collect()
    }

    /// When [`Input::Tick`] would change something, if nothing else happens before.
    pub fn wake(&self, cx: &Context<'_>) -> Option<Timestamp> {
        if self.ended.is_some() || self.held.is_some() {
            return None;
        }
        let strands = self.strands.values().flat_map(|it| {
            let begins = matches!(it.phase, super::Phase::Ready).then_some(it.not_before);
            [begins, it.due]
        });
        let jobs = self.jobs.values().map(|it| match &it.state {
            JobState::Taken { until, .. } => Some(*until),
            JobState::Unknown { since, .. } => Some(since.plus_ms(cx.limits.unknown_ms)),
            _ => None,
        });
        strands.chain(jobs).flatten().min()
    }

    fn take_in(
        &self,
        cx: &Context<'_>,
        now: Timestamp,
        input: Input,
    ) -> Result<Vec<RunRecord>, Refusal> {
        let over = self.ended.is_some();
        Ok(match input {
            Input::Tick => Vec::new(),
            Input::Take { job, worker } => {
                let found = self.open(&job, &worker)?;
                if !matches!(found.state, JobState::Offered) {
                    return Err(Refusal::NotTheirs("it was taken".into()));
                }
                let until = now.plus_ms(cx.limits.lease_ms);
                vec![RunRecord::Taken { job, worker: clip(&worker), until }]
            }
            Input::Keep { job, worker } => {
                let found = self.open(&job, &worker)?;
                if !matches!(&found.state, JobState::Taken { worker: it, .. } if *it == worker) {
                    return Err(Refusal::NotTheirs("another worker has it, or nobody".into()));
                }
                vec![RunRecord::Kept { job, until: now.plus_ms(cx.limits.lease_ms) }]
            }
            Input::Answer { job, answer } => self.answer(cx, job, answer)?,
            Input::Hold { .. } | Input::Resume { .. } | Input::Stop { .. } if over => {
                return Err(Refusal::Over);
            }
            Input::Hold { by } if self.held.is_none() => vec![RunRecord::Held { by: named(&by)? }],
            Input::Resume { by } if self.held.is_some() => {
                vec![RunRecord::Resumed { by: named(&by)? }]
            }
            Input::Hold { .. } | Input::Resume { .. } => Vec::new(),
            Input::Stop { by, because } => {
                let outcome = Outcome::Stopped { by: named(&by)?, because: clip(&because) };
                vec![RunRecord::Ended { outcome }]
            }
        })
    }

    fn open(&self, job: &JobId, worker: &str) -> Result<&Job, Refusal> {
        let found = self.jobs.get(job).ok_or(Refusal::NoJob(*job))?;
        if worker.is_empty() {
            return Err(Refusal::Nameless);
        }
        if !found.state.is_open() {
            return Err(Refusal::NotTheirs("it is not open any more".into()));
        }
        Ok(found)
    }

    fn answer(
        &self,
        cx: &Context<'_>,
        id: JobId,
        answer: Answer,
    ) -> Result<Vec<RunRecord>, Refusal> {
        let job = self.jobs.get(&id).ok_or(Refusal::NoJob(id))?;
        let by = named(&answer.by)?;
        let result = match &answer.failed {
            None => StepResult::Worked,
            Some(because) => StepResult::Failed(clip(because)),
        };
        if !job.state.is_open() {
            // The same answer again, as after a lost acknowledgement, is no news.
            let same = matches!(&job.state, JobState::Answered(it) if *it == result);
            return Ok(if same {
                Vec::new()
            } else {
                vec![RunRecord::Late { job: id, by, result }]
            });
        }
        if let JobState::Taken { worker, .. } = &job.state
            && *worker != by
        {
            return Err(Refusal::NotTheirs(format!("{worker} has it")));
        }
        if let (Some((_, roles)), StepResult::Worked) = (job.work.quorum(), &result) {
            if job.agreed.contains(&by) {
                return Err(Refusal::SamePerson(by));
            }
            let fits = |role: &String| roles.contains(role);
            if !roles.is_empty() && !answer.role.as_ref().is_some_and(fits) {
                return Err(Refusal::Role(roles.join(", ")));
            }
            // Whether it is enough is decided from the state.
            return Ok(vec![RunRecord::Agreed {
                job: id,
                by,
                channel: clip(&answer.channel),
                evidence: answer.evidence,
            }]);
        }
        let (result, variables, ignored) = self.judge_variables(cx, job, &answer, result);
        Ok(vec![RunRecord::Answered {
            job: id,
            by,
            channel: clip(&answer.channel),
            evidence: answer.evidence,
            result,
            variables,
            ignored,
        }])
    }

    /// Only what the step says to write is written; a value of the wrong type fails the step.
    fn judge_variables(
        &self,
        cx: &Context<'_>,
        job: &Job,
        answer: &Answer,
        result: StepResult,
    ) -> (StepResult, BTreeMap<String, String>, Vec<String>) {
        let step = cx.playbook.workflow.get(&job.step);
        let (mut set, mut ignored) = (BTreeMap::new(), Vec::new());
        for (name, value) in &answer.variables {
            let found = step
                .filter(|it| it.out_args().contains(name))
                .and_then(|it| check::find(cx.playbook, it, name))
                .filter(|it| !it.constant);
            let Some(found) = found else {
                ignored.push(clip(name));
                continue;
            };
            if let Some(why) = variable::unfit(&found.kind, value) {
                return (StepResult::Failed(format!("`{name}`: {why}")), BTreeMap::new(), ignored);
            }
            set.insert(name.clone(), value.clone());
        }
        (result, set, ignored)
    }

    fn go_on(&mut self, cx: &Context<'_>, now: Timestamp, out: &mut Stepped) {
        while let Some(record) = self.next(cx, now) {
            self.push(now, record, out);
        }
    }

    fn push(&mut self, now: Timestamp, record: RunRecord, out: &mut Stepped) {
        let withdrawn = self.apply(now, &record);
        for job in withdrawn {
            // What was given out in this very step was not handed to anybody yet.
            let before = out.effects.len();
            out.effects.retain(|it| !matches!(it, Effect::Do { job: it, .. } if *it == job));
            if out.effects.len() == before {
                out.effects.push(Effect::Withdraw { job });
            }
        }
        match &record {
            RunRecord::Offered { job, attempt, work, .. } => {
                out.effects.push(Effect::Do { job: *job, attempt: *attempt, work: work.clone() })
            }
            RunRecord::Ended { outcome } => {
                out.effects.push(Effect::Ended { outcome: outcome.clone() });
            }
            _ => {}
        }
        out.records.push(record);
    }
}

fn named(by: &str) -> Result<String, Refusal> {
    if by.trim().is_empty() { Err(Refusal::Nameless) } else { Ok(clip(by)) }
}

fn clip(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
