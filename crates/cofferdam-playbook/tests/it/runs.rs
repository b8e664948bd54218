//! What a run does when things go wrong.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;
use cofferdam_playbook::{
    Allowance, Answer, Effect, Entry, Input, JobId, Level, Limits, Playbook, Profile, Run, read,
    run::{JobState, Outcome, Refusal, RunRecord, StepResult, Stepped, Work},
};
use proptest::prelude::*;

use crate::{
    pack::NOW,
    starters::starters,
    world::{RUN, allowance, context},
};

const ID: &str = "0971eaa5-68b2-4c51-a59e-97a7192fdd0";

/// A playbook of `steps`, as `(digit, JSON)`; digits stand for identifiers.
fn playbook(variables: &str, steps: &[(&str, &str)]) -> Playbook {
    let mut workflow: Vec<String> = Vec::new();
    for (id, body) in steps {
        workflow.push(format!("\"{}\": {}", name(id), expand(body)));
    }
    let text = format!(
        r#"{{"type": "playbook", "spec_version": "cacao-2.0", "id": "playbook--{ID}0", "name": "Test",
        "created_by": "identity--{ID}0", "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z", "playbook_variables": {variables},
        "workflow_start": "start--{ID}0", "workflow_exception": {}, "workflow": {{{}}},
        "agent_definitions": {{"group--{ID}0": {{"type": "group", "name": "People"}}}}}}"#,
        if steps.iter().any(|it| it.0 == "action:9") {
            format!("\"{}\"", name("action:9"))
        } else {
            format!("\"{}\"", name("end:1"))
        },
        workflow.join(", ")
    );
    let reading = read(&text, Profile::Strict);
    let errors: Vec<String> = reading
        .issues
        .iter()
        .filter(|it| it.level == Level::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{}\n{text}", errors.join("\n"));
    reading.playbook.unwrap()
}

fn name(short: &str) -> String {
    let (kind, digit) = short.split_once(':').unwrap();
    format!("{kind}--{ID}{digit}")
}

/// `@kind:digit` stands for an identifier.
fn expand(body: &str) -> String {
    let mut out = String::new();
    let mut parts = body.split('@');
    out.push_str(parts.next().unwrap());
    for part in parts {
        let end = part.find('"').unwrap();
        out.push_str(&name(&part[..end]));
        out.push_str(&part[end..]);
    }
    out
}

const START: (&str, &str) = ("start:0", r#"{"type": "start", "on_completion": "@action:1"}"#);
const END: (&str, &str) = ("end:1", r#"{"type": "end"}"#);

fn manual(then: &str) -> String {
    format!(
        r#"{{"type": "action", "commands": [{{"type": "manual", "command": "do it"}}], "agent": "@group:0", {then}}}"#
    )
}

struct Bench {
    playbook: Playbook,
    allowance: Allowance,
    limits: Limits,
    run: Option<Run>,
    now: Timestamp,
    log: Vec<Entry>,
}

impl Bench {
    fn new(playbook: Playbook, workers: &[&str]) -> Self {
        let mut allowance = allowance(&playbook);
        allowance.workers = workers.iter().map(|it| (*it).to_owned()).collect();
        let limits = Limits::default();
        Self { playbook, allowance, limits, run: None, now: NOW, log: Vec::new() }
    }

    fn start(&mut self) -> Vec<(JobId, Work)> {
        let cx = context(&self.playbook, &self.allowance, &self.limits);
        let (run, stepped) =
            Run::start(&cx, self.now, RUN, "test", None, &BTreeMap::new()).unwrap();
        self.run = Some(run);
        self.keep(stepped)
    }

    fn keep(&mut self, stepped: Stepped) -> Vec<(JobId, Work)> {
        let now = self.now;
        self.log.extend(stepped.records.into_iter().map(|record| Entry { at: now, record }));
        let jobs = stepped.effects.into_iter().filter_map(|it| match it {
            Effect::Do { job, work, .. } => Some((job, work)),
            _ => None,
        });
        jobs.collect()
    }

    fn step(&mut self, input: Input) -> Result<Vec<(JobId, Work)>, Refusal> {
        let cx = context(&self.playbook, &self.allowance, &self.limits);
        let stepped = self.run.as_mut().unwrap().step(&cx, self.now, input)?;
        Ok(self.keep(stepped))
    }

    fn answer(&mut self, job: JobId, answer: Answer) -> Vec<(JobId, Work)> {
        self.step(Input::Answer { job, answer }).unwrap()
    }

    fn wait(&mut self, ms: u64) -> Vec<(JobId, Work)> {
        self.now = self.now.plus_ms(ms);
        self.step(Input::Tick).unwrap()
    }

    fn ended(&self) -> Option<&Outcome> {
        self.run.as_ref().unwrap().ended.as_ref()
    }
}

#[test]
fn a_command_that_the_plan_does_not_allow_fails_its_step() {
    let ssh = manual(r#""on_success": "@end:1", "on_failure": "@action:2""#)
        .replace(r#""type": "manual""#, r#""type": "ssh""#);
    let after = manual(r#""on_completion": "@end:1""#);
    let it = playbook("{}", &[START, ("action:1", &ssh), ("action:2", &after), END]);
    let mut bench = Bench::new(it.clone(), &[]);
    let jobs = bench.start();
    assert!(matches!(&jobs[..], [(_, Work::Manual { .. })]), "{jobs:?}");
    let refused = bench.log.iter().any(|it| {
        matches!(&it.record, RunRecord::Done { result: StepResult::Failed(because), .. }
            if because == "no worker may be given `ssh` commands")
    });
    assert!(refused, "{:?}", bench.log);
    let mut bench = Bench::new(it, &["ssh"]);
    assert!(matches!(&bench.start()[..], [(_, Work::Command { .. })]));
}

#[test]
fn a_silent_worker_leaves_its_job_unknown_and_a_person_says_what_became_of_it() {
    let ssh = manual(r#""on_completion": "@end:1", "timeout": 7200000"#)
        .replace(r#""type": "manual""#, r#""type": "ssh""#);
    let it = playbook("{}", &[START, ("action:1", &ssh), END]);
    for (says, ends) in [(true, true), (false, false)] {
        let mut bench = Bench::new(it.clone(), &["ssh"]);
        let job = bench.start()[0].0;
        bench.step(Input::Take { job, worker: "w1".into() }).unwrap();
        bench.now = bench.now.plus_ms(50_000);
        bench.step(Input::Keep { job, worker: "w1".into() }).unwrap();
        let other = bench.step(Input::Keep { job, worker: "w2".into() });
        assert!(matches!(other, Err(Refusal::NotTheirs(_))));
        assert_eq!(bench.wait(50_000), [], "the lease was kept");
        assert_eq!(bench.wait(10_000), [], "not given out twice: ssh is not repeatable");
        assert_eq!(bench.run.as_ref().unwrap().unknown().count(), 1);
        let answer = if says {
            Answer::worked("alice", "console")
        } else {
            Answer::failed("alice", "console", "the host is as before")
        };
        bench.answer(job, answer);
        let worked = matches!(bench.ended(), Some(Outcome::Worked));
        assert_eq!(worked, ends, "{:?}", bench.ended());
    }
    // Nobody says anything: the step fails by itself, the run is not stuck.
    let mut bench = Bench::new(it, &["ssh"]);
    let job = bench.start()[0].0;
    bench.step(Input::Take { job, worker: "w1".into() }).unwrap();
    bench.wait(60_000);
    bench.wait(bench.limits.unknown_ms);
    assert!(
        matches!(bench.ended(), Some(Outcome::Failed { because }) if because.contains("nobody can say"))
    );
}

#[test]
fn what_may_be_repeated_is_given_out_again_under_its_key_and_then_unknown() {
    let it = starters().remove(0).1;
    let mut bench = Bench::new(it, &[]);
    let jobs = bench.start();
    let (job, _) = jobs
        .iter()
        .find(|it| matches!(&it.1, Work::Perform { perform } if matches!(perform, cofferdam_playbook::Perform::Order { .. })))
        .unwrap();
    for _ in 1..bench.limits.attempts_max {
        bench.step(Input::Take { job: *job, worker: "lane".into() }).unwrap();
        let again = bench.wait(bench.limits.lease_ms);
        assert!(again.iter().any(|it| it.0 == *job), "{again:?}");
    }
    bench.step(Input::Take { job: *job, worker: "lane".into() }).unwrap();
    bench.wait(bench.limits.lease_ms);
    assert!(matches!(bench.run.as_ref().unwrap().jobs[job].state, JobState::Unknown { .. }));
}

#[test]
fn a_timeout_takes_on_failure_and_a_late_answer_changes_nothing() {
    let first = manual(r#""timeout": 5000, "on_success": "@end:1", "on_failure": "@action:2""#);
    let second = manual(r#""on_completion": "@end:1""#);
    let it = playbook("{}", &[START, ("action:1", &first), ("action:2", &second), END]);
    let mut bench = Bench::new(it, &[]);
    let job = bench.start()[0].0;
    assert_eq!(bench.wait(4_999), []);
    let second = bench.wait(1)[0].0;
    assert_eq!(bench.answer(job, Answer::worked("bob", "chat")), []);
    assert!(matches!(bench.log.last().unwrap().record, RunRecord::Late { .. }));
    bench.answer(second, Answer::worked("bob", "chat"));
    assert_eq!(bench.ended(), Some(&Outcome::Worked));
    let run = bench.run.as_mut().unwrap();
    assert_eq!(&Run::restore(&bench.log).unwrap(), run);
}

#[test]
fn an_unhandled_failure_raises_the_exception_at_once_and_spares_other_branches() {
    let start = ("start:0", r#"{"type": "start", "on_completion": "@parallel:1"}"#);
    let parallel = (
        "parallel:1",
        r#"{"type": "parallel", "next_steps": ["@action:1", "@action:2"], "on_completion": "@end:1"}"#,
    );
    let a = manual(r#""on_completion": "@end:2""#);
    let b = manual(r#""on_completion": "@end:3""#);
    let x = manual(r#""on_completion": "@end:4""#);
    let ends = ["end:2", "end:3", "end:4"].map(|it| (it, r#"{"type": "end"}"#));
    let it = playbook(
        "{}",
        &[
            start,
            parallel,
            ("action:1", &a),
            ("action:2", &b),
            ("action:9", &x),
            END,
            ends[0],
            ends[1],
            ends[2],
        ],
    );
    let mut bench = Bench::new(it, &[]);
    let jobs = bench.start();
    assert_eq!(jobs.len(), 2);
    let exception = bench.answer(jobs[0].0, Answer::failed("eve", "chat", "cannot"));
    assert_eq!(exception.len(), 1, "the exception path begins while the other branch goes on");
    bench.answer(exception[0].0, Answer::worked("bob", "chat"));
    assert_eq!(bench.ended(), None);
    bench.answer(jobs[1].0, Answer::worked("bob", "chat"));
    assert!(
        matches!(bench.ended(), Some(Outcome::Failed { because }) if because.ends_with("cannot"))
    );
}

#[test]
fn a_loop_ends_at_its_bound() {
    let start = ("start:0", r#"{"type": "start", "on_completion": "@while-condition:1"}"#);
    let whole = r#"{"type": "while-condition", "condition": "__go__:value = true", "on_true": "@action:1", "on_completion": "@end:1"}"#;
    let body = manual(r#""on_completion": "@end:2""#);
    let it = playbook(
        r#"{"__go__": {"type": "bool", "value": "true"}}"#,
        &[
            start,
            ("while-condition:1", whole),
            ("action:1", &body),
            END,
            ("end:2", r#"{"type": "end"}"#),
        ],
    );
    let mut bench = Bench::new(it, &[]);
    let mut jobs = bench.start();
    let mut rounds = 0;
    while let Some((job, _)) = jobs.pop() {
        rounds += 1;
        jobs = bench.answer(job, Answer::worked("bob", "chat"));
    }
    assert_eq!(rounds, bench.limits.rounds_max);
    assert!(
        matches!(bench.ended(), Some(Outcome::Failed { because }) if because.contains("more than 100 rounds"))
    );
}

#[test]
fn a_quorum_is_of_different_people_in_their_roles() {
    let (_, it) = starters().into_iter().find(|it| it.0.starts_with("d10")).unwrap();
    let step =
        it.workflow.values().find(|it| it.name.as_deref() == Some("Lift the embargo")).unwrap();
    let Some(cofferdam_playbook::Perform::Approval { quorum, roles, .. }) = &step.perform else {
        panic!("an approval")
    };
    assert_eq!((*quorum, roles.join(" ")), (2, "commander counsel".to_owned()));
    let mut bench = Bench::new(it, &[]);
    let mut jobs = bench.start();
    let embargo =
        loop {
            let Some((job, work)) = jobs.pop() else { panic!("the embargo is never asked for") };
            let mut answer = Answer::worked("alice", "console");
            match &work {
                Work::Perform {
                    perform: cofferdam_playbook::Perform::Approval { question, .. },
                } if question.starts_with("Freezes are placed") => break job,
                Work::Perform { perform: cofferdam_playbook::Perform::Approval { roles, .. } } => {
                    answer.role = roles.first().cloned();
                }
                Work::Manual { text } if text.starts_with("Trace") => {
                    answer.variables.insert("__moving__".into(), "false".into());
                    answer.variables.insert("__route__".into(), "mixer".into());
                    answer.variables.insert("__incident__".into(), "not theirs to write".into());
                }
                _ => {}
            }
            jobs.extend(bench.answer(job, answer));
        };
    let say = |by: &str, role: &str| Input::Answer {
        job: embargo,
        answer: Answer { role: Some(role.into()), ..Answer::worked(by, "console") },
    };
    assert!(matches!(bench.step(say("alice", "scribe")), Err(Refusal::Role(_))));
    assert!(matches!(bench.step(say(" ", "counsel")), Err(Refusal::Nameless)));
    assert_eq!(bench.step(say("alice", "commander")).unwrap(), []);
    assert!(matches!(bench.step(say("alice", "counsel")), Err(Refusal::SamePerson(_))));
    let next = bench.step(say("carol", "counsel")).unwrap();
    assert!(matches!(&next[..], [(_, Work::Perform { .. })]), "the statement follows: {next:?}");
    let ignored = bench.log.iter().any(|it| {
        matches!(&it.record, RunRecord::Answered { ignored, .. } if ignored == &["__incident__"])
    });
    assert!(ignored, "a variable that the step does not say to write is told and not written");
    assert_eq!(bench.run.unwrap().variables["__incident__"].value.as_deref(), Some("unknown"));
}

#[test]
fn a_held_run_begins_nothing_and_its_deadlines_wait() {
    let first = manual(r#""timeout": 5000, "on_completion": "@end:1""#);
    let it = playbook("{}", &[START, ("action:1", &first), END]);
    let mut bench = Bench::new(it, &[]);
    let job = bench.start()[0].0;
    bench.step(Input::Hold { by: "alice".into() }).unwrap();
    bench.wait(60_000);
    assert_eq!(bench.ended(), None);
    bench.step(Input::Resume { by: "alice".into() }).unwrap();
    bench.wait(4_000);
    bench.answer(job, Answer::worked("bob", "chat"));
    assert_eq!(bench.ended(), Some(&Outcome::Worked));
    assert_eq!(
        bench.step(Input::Stop { by: "alice".into(), because: "".into() }),
        Err(Refusal::Over)
    );
}

#[test]
fn a_changed_playbook_does_not_go_on_with_an_old_run() {
    let first = manual(r#""on_completion": "@end:1""#);
    let it = playbook("{}", &[START, ("action:1", &first), END]);
    let mut bench = Bench::new(it, &[]);
    bench.start();
    bench.playbook.digest = alloy_primitives::B256::ZERO;
    assert_eq!(bench.step(Input::Tick), Err(Refusal::OtherPlaybook));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever anybody answers, takes, drops or forgets: a run ends, and nothing stays open.
    #[test]
    fn no_run_is_ever_stuck(which in 0_usize..10, dice in proptest::collection::vec(0_u8..8, 1..60)) {
        let it = starters().swap_remove(which).1;
        let mut bench = Bench::new(it, &[]);
        let mut jobs = bench.start();
        let mut dice = dice.into_iter().cycle();
        for _ in 0..20_000 {
            if bench.ended().is_some() {
                break;
            }
            let Some((job, work)) = jobs.pop() else {
                let cx = context(&bench.playbook, &bench.allowance, &bench.limits);
                let wake = bench.run.as_ref().unwrap().wake(&cx);
                let wake = wake.expect("a run that has not ended waits for a time");
                bench.now = bench.now.max(wake);
                jobs.extend(bench.step(Input::Tick).unwrap());
                continue;
            };
            let mut answer = Answer::worked("alice", "chat");
            answer.role = work.quorum().and_then(|it| it.1.first().cloned());
            let input = match dice.next().unwrap() {
                0 => continue,
                1 => Input::Take { job, worker: "w".into() },
                2 => Input::Answer { job, answer: Answer::failed("bob", "chat", "no") },
                3 => {
                    answer.variables.insert("__contained__".into(), "perhaps".into());
                    Input::Answer { job, answer }
                }
                4 => {
                    answer.variables.insert("__contained__".into(), "true".into());
                    answer.variables.insert("__moving__".into(), "false".into());
                    answer.variables.insert("__route__".into(), "bridge".into());
                    Input::Answer { job, answer }
                }
                _ => Input::Answer { job, answer },
            };
            bench.now = bench.now.plus_ms(100);
            if let Ok(more) = bench.step(input) {
                jobs.extend(more);
            }
        }
        prop_assert!(bench.ended().is_some(), "still running");
        let run = bench.run.as_ref().unwrap();
        prop_assert_eq!(run.open_jobs().count(), 0);
        prop_assert_eq!(&Run::restore(&bench.log).unwrap(), run);
    }
}
