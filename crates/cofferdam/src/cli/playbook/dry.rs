//! A rehearsal: the same run, with a world in which everything works but what the caller lets fail.

use std::{
    collections::{BTreeMap, VecDeque},
    process::ExitCode,
};

use cofferdam_core::Timestamp;
use cofferdam_playbook::{
    Allowance, Answer, Context, Effect, Entry, Input, JobId, Limits, Perform, Playbook, Run, RunId,
    RunRecord,
    run::{Outcome, Work},
    show,
};

use super::{CliError, Output, RunArgs, given};

/// How long every answer takes in a rehearsal, in milliseconds.
const ANSWER_MS: u64 = 30_000;

pub(super) fn run(
    args: &RunArgs,
    playbook: &Playbook,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let allowance = allowance(args, playbook)?;
    let limits = Limits::default();
    let cx = Context { playbook, allowance: &allowance, limits: &limits };
    let mut world = World::new(args)?;
    let now = crate::runtime::now();
    let entries = world.live(&cx, now, &args.by, &given(args)?)?;
    let outcome = entries.iter().rev().find_map(|it| match &it.record {
        RunRecord::Ended { outcome } => Some(outcome.clone()),
        _ => None,
    });
    let worked = matches!(outcome, Some(Outcome::Worked));
    let text = format!(
        "rehearsal of {}: nothing is done, every answer takes {} s\n{}",
        playbook.name,
        ANSWER_MS / 1_000,
        show::timeline(playbook, &entries)
    );
    output.result(&serde_json::json!({ "outcome": outcome, "records": entries }), &text);
    Ok(if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the plan allows; without a plan, what the playbook itself names.
pub(super) fn allowance(args: &RunArgs, playbook: &Playbook) -> Result<Allowance, CliError> {
    let mut allowance = match &args.plan {
        Some(folder) => Allowance::of(&super::super::plan::load(folder)?.0),
        None => named(args, playbook)?,
    };
    allowance.workers.extend(args.worker.iter().cloned());
    Ok(allowance)
}

fn named(args: &RunArgs, playbook: &Playbook) -> Result<Allowance, CliError> {
    let given = given(args)?;
    let mut allowance = Allowance::default();
    let value = |name: &str| {
        let given = given.get(name).map(String::as_str);
        given.or_else(|| playbook.variables.get(name).and_then(|it| it.value.as_deref()))
    };
    for perform in playbook.workflow.values().filter_map(|it| it.perform.as_ref()) {
        let filled = perform.map(|it| cofferdam_playbook::variable::substitute(it, value));
        match filled {
            Ok(Perform::Order { action } | Perform::Verify { action }) => {
                allowance.actions.insert(action);
            }
            Ok(Perform::Notify { to, .. }) => allowance.notifiers.extend(to),
            _ => {}
        }
    }
    Ok(allowance)
}

/// What steps fail, and what they set, by their names.
struct World<'a> {
    fail: &'a [String],
    answers: BTreeMap<String, VecDeque<(String, String)>>,
}

impl<'a> World<'a> {
    fn new(args: &'a RunArgs) -> Result<Self, CliError> {
        let mut answers: BTreeMap<String, VecDeque<(String, String)>> = BTreeMap::new();
        for it in &args.answer {
            let parts = it.split_once(":__").and_then(|(step, rest)| {
                let (name, value) = rest.split_once('=')?;
                Some((step.to_owned(), (format!("__{name}"), value.to_owned())))
            });
            let (step, pair) = parts.ok_or_else(|| {
                CliError::new(format!("`{it}` is not STEP:NAME=VALUE"))
                    .hint("for example --answer 'Read it back:__contained__=false'")
            })?;
            answers.entry(step).or_default().push_back(pair);
        }
        Ok(Self { fail: &args.fail, answers })
    }

    fn live(
        &mut self,
        cx: &Context<'_>,
        mut now: Timestamp,
        by: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Vec<Entry>, CliError> {
        let id = RunId::derive(&[cx.playbook.digest.as_slice(), b"rehearsal"]);
        let (mut run, stepped) = Run::start(cx, now, id, by, None, given).map_err(|it| {
            CliError::caused("the run cannot begin", it)
                .hint("`cofferdam playbook show` lists what the caller sets")
        })?;
        let mut entries: Vec<Entry> =
            stepped.records.into_iter().map(|record| Entry { at: now, record }).collect();
        let mut queue: VecDeque<Effect> = stepped.effects.into();
        while run.ended.is_none() {
            let inputs = match queue.pop_front() {
                Some(Effect::Do { job, work, .. }) => {
                    now = now.plus_ms(ANSWER_MS);
                    self.inputs(&run, cx.playbook, job, &work)
                }
                Some(_) => continue,
                None => {
                    now = now.max(run.wake(cx).unwrap_or(now.plus_ms(1)));
                    vec![Input::Tick]
                }
            };
            for input in inputs {
                let stepped = run
                    .step(cx, now, input)
                    .map_err(|it| CliError::caused("the rehearsal cannot go on", it))?;
                entries.extend(stepped.records.into_iter().map(|record| Entry { at: now, record }));
                queue.extend(stepped.effects);
            }
        }
        Ok(entries)
    }

    fn inputs(&mut self, run: &Run, playbook: &Playbook, job: JobId, work: &Work) -> Vec<Input> {
        let step = run.jobs.get(&job).and_then(|it| playbook.workflow.get(&it.step));
        let name = step.map_or("", |it| it.title());
        let people = work.for_people();
        let mut answer = Answer::worked(if people { "person 1" } else { "world" }, "rehearsal");
        if self.fail.iter().any(|it| it == name) {
            answer.failed = Some("let fail in the rehearsal".into());
        }
        if let Some(values) = self.answers.get_mut(name)
            && let Some((name, value)) =
                if values.len() > 1 { values.pop_front() } else { values.front().cloned() }
        {
            answer.variables.insert(name, value);
        } else if matches!(work, Work::Perform { perform: Perform::Verify { .. } }) {
            let outs = step.map_or(&[][..], |it| it.out_args());
            answer.variables.extend(outs.iter().map(|it| (it.clone(), "true".to_owned())));
        }
        let Some((quorum, roles)) = work.quorum().filter(|_| answer.failed.is_none()) else {
            return vec![Input::Answer { job, answer }];
        };
        answer.role = roles.first().cloned();
        (1..=quorum)
            .map(|it| Input::Answer {
                job,
                answer: Answer { by: format!("person {it}"), ..answer.clone() },
            })
            .collect()
    }
}
