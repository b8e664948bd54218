//! A world in which runs happen: it does what it is given, once for each key, and can die anywhere.

use std::collections::{BTreeMap, VecDeque};

use cofferdam_core::Timestamp;
use cofferdam_playbook::{
    Allowance, Answer, Context, Effect, Entry, Input, JobId, Limits, Perform, Playbook, Run, RunId,
    run::{Outcome, RunRecord, StepResult, Work},
};

/// How the world answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Everything works at once.
    Kind,
    /// The first order of each step fails, and the first two readings say it is not in effect.
    Stubborn,
    /// Machines work, people say no.
    Unwilling,
}

/// Where the process dies, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Never,
    /// Before this record becomes durable.
    Record(usize),
    /// After this effect, counting from 0, and before anybody learns of it.
    Effect(usize),
}

pub(crate) struct World<'a> {
    cx: Context<'a>,
    mood: Mood,
    death: Death,
    now: Timestamp,
    /// What became durable.
    pub(crate) records: Vec<Entry>,
    /// What was done, and the answer to it. Doing it again under its key is looking it up.
    pub(crate) done: BTreeMap<JobId, Answer>,
    readings: u32,
    effects: usize,
    pub(crate) deaths: u32,
}

struct Died;

pub(crate) const RUN: RunId = RunId(alloy_primitives::B256::repeat_byte(7));

impl<'a> World<'a> {
    pub(crate) fn new(cx: Context<'a>, mood: Mood, death: Death) -> Self {
        Self {
            cx,
            mood,
            death,
            now: crate::pack::NOW,
            records: Vec::new(),
            done: BTreeMap::new(),
            readings: 0,
            effects: 0,
            deaths: 0,
        }
    }

    /// Lives through a run to its end, whatever happens.
    pub(crate) fn live(&mut self) -> Run {
        for _ in 0..4 {
            if let Ok(run) = self.life() {
                return run;
            }
            // Memory is gone; what is durable and what was done remain.
            self.deaths += 1;
            self.death = Death::Never;
        }
        panic!("it died more than once")
    }

    fn life(&mut self) -> Result<Run, Died> {
        let mut queue = VecDeque::new();
        let mut run = if self.records.is_empty() {
            let (run, stepped) =
                Run::start(&self.cx, self.now, RUN, "test", None, &BTreeMap::new()).unwrap();
            self.persist(stepped.records)?;
            queue.extend(stepped.effects);
            run
        } else {
            let run = Run::restore(&self.records).unwrap();
            queue.extend(run.outstanding());
            run
        };
        let mut inputs = vec![Input::Tick];
        loop {
            for input in inputs.drain(..) {
                let stepped = run.step(&self.cx, self.now, input).unwrap();
                self.persist(stepped.records)?;
                queue.extend(stepped.effects);
            }
            if run.ended.is_some() {
                return Ok(run);
            }
            self.now = self.now.plus_ms(1_000);
            match queue.pop_front() {
                Some(Effect::Do { job, work, .. }) => {
                    let answer = self.carry_out(job, &work)?;
                    // A question needs as many people as it asks for; who agreed before is not asked.
                    let people = match work.quorum() {
                        Some((quorum, _)) if answer.failed.is_none() => quorum,
                        _ => 1,
                    };
                    let agreed = &run.jobs[&job].agreed;
                    let names = (0..people).map(|it| format!("person-{it}"));
                    inputs.extend(
                        names.filter(|it| !agreed.contains(it)).map(|by| Input::Answer {
                            job,
                            answer: Answer { by, ..answer.clone() },
                        }),
                    );
                }
                Some(_) => inputs.push(Input::Tick),
                None => {
                    let wake = run.wake(&self.cx).expect("a run that waits for something");
                    self.now = self.now.max(wake);
                    inputs.push(Input::Tick);
                }
            }
        }
    }

    fn persist(&mut self, records: Vec<RunRecord>) -> Result<(), Died> {
        for record in records {
            if self.death == Death::Record(self.records.len()) {
                return Err(Died);
            }
            self.records.push(Entry { at: self.now, record });
        }
        Ok(())
    }

    fn carry_out(&mut self, job: JobId, work: &Work) -> Result<Answer, Died> {
        if let Some(it) = self.done.get(&job) {
            return Ok(it.clone());
        }
        let answer = self.decide(work);
        self.done.insert(job, answer.clone());
        self.effects += 1;
        if self.death == Death::Effect(self.effects - 1) {
            return Err(Died);
        }
        Ok(answer)
    }

    fn decide(&mut self, work: &Work) -> Answer {
        let mut answer = Answer::worked("person-0", "test");
        match work {
            Work::Perform { perform: Perform::Order { .. } } if self.mood == Mood::Stubborn => {
                answer.failed = Some("the relayer is out of funds".into());
            }
            Work::Perform { perform: Perform::Verify { .. } } => {
                self.readings += 1;
                let holds = self.mood != Mood::Stubborn || self.readings > 2;
                for it in ["__contained__", "__released__"] {
                    answer.variables.insert(it.into(), holds.to_string());
                }
            }
            Work::Perform { perform: Perform::Approval { roles, .. } } => {
                answer.role = roles.first().cloned();
                if self.mood == Mood::Unwilling {
                    answer.failed = Some("no".into());
                }
            }
            Work::Perform { perform: Perform::Statement { .. } }
                if self.mood == Mood::Unwilling =>
            {
                answer.failed = Some("it says too much".into());
            }
            Work::Manual { text } if text.starts_with("Trace the funds") => {
                self.readings += 1;
                answer.variables.insert("__route__".into(), "exchange".into());
                answer.variables.insert("__moving__".into(), (self.readings < 3).to_string());
            }
            _ => {}
        }
        answer
    }

    /// What happened, without when and in which order of branches: each step with how it ended, and
    /// each visit.
    pub(crate) fn history(&self) -> (Vec<String>, Option<Outcome>) {
        let mut lines = Vec::new();
        let mut outcome = None;
        for it in &self.records {
            match &it.record {
                RunRecord::Entered { step, visit, .. } => lines.push(format!("{step} {visit}")),
                RunRecord::Done { step, result, .. } => {
                    let result = match result {
                        StepResult::Worked => "worked".to_owned(),
                        StepResult::Failed(it) => format!("failed: {it}"),
                    };
                    lines.push(format!("{step} {result}"));
                }
                RunRecord::Ended { outcome: it } => outcome = Some(it.clone()),
                _ => {}
            }
        }
        lines.sort();
        (lines, outcome)
    }
}

/// Allows everything that a playbook of ours could name.
pub(crate) fn allowance(playbook: &Playbook) -> Allowance {
    let values = playbook.variables.values().filter_map(|it| it.value.clone());
    Allowance { actions: values.collect(), ..Allowance::default() }
}

pub(crate) fn context<'a>(
    playbook: &'a Playbook,
    allowance: &'a Allowance,
    limits: &'a Limits,
) -> Context<'a> {
    Context { playbook, allowance, limits }
}
