//! Playbooks that run playbooks, through death at every record.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;
use cofferdam_playbook::{
    Answer, Effect, Entry, Input, Limits, Playbook, Profile,
    desk::{Desk, Desked, Library, Rules},
    read,
    run::{Outcome, RunId},
};

use crate::{
    pack::{NOW, folder},
    world::{RUN, allowance},
};

/// The golden playbook, and what it calls.
fn golden(forensics: bool) -> Option<(Library, Playbook)> {
    let text =
        std::fs::read_to_string(folder("defi-golden")?.join("emergency-pause.json")).unwrap();
    let playbook = read(&text, Profile::Strict).accepted().unwrap().clone();
    let mut library = Library::default();
    library.add(playbook.clone());
    if forensics {
        let base = folder("semantic-mutants")?.join("00-base.json");
        let text = std::fs::read_to_string(base).unwrap();
        let variables = r#""playbook_variables": {"__incident_id__": {"type": "uuid", "external": true}}, "workflow_start""#;
        let text = text
            .replace("fe85f68d-1960-4596-96a2-228113e143cf", "d46cff28-3510-5e11-90d0-d4f2f3f30f8e")
            .replace("2023-02-19T01:09:00.000Z", "2026-11-23T00:00:00.000Z")
            .replace("\"workflow_start\"", variables)
            .replace("\"ssh\"", "\"manual\"");
        let reading = read(&text, Profile::Strict);
        library.add(reading.accepted().unwrap_or_else(|| panic!("{:?}", reading.issues)).clone());
    }
    Some((library, playbook))
}

/// Runs to the end, dying once before record `death`; how the run ended, and how many runs there were.
fn live(library: &Library, playbook: &Playbook, death: usize) -> (Option<Outcome>, usize, usize) {
    let limits = Limits::default();
    let mut allowance = allowance(playbook);
    allowance.workers.insert("http-api".into());
    let rules = Rules { library, allowance: &allowance, limits: &limits };
    let mut durable: Vec<(RunId, Entry)> = Vec::new();
    let mut desk = Desk::default();
    let mut now = NOW;
    let mut pending = desk.start(&rules, now, RUN, playbook, "test", &BTreeMap::new()).unwrap();
    let (mut queue, mut died) = (Vec::new(), false);
    for _ in 0..2_000 {
        let Desked { records, effects } = std::mem::take(&mut pending);
        let mut dead = false;
        for (run, record) in records {
            if !died && durable.len() == death {
                (died, dead) = (true, true);
                break;
            }
            durable.push((run, Entry { at: now, record }));
        }
        if dead {
            queue.clear();
            desk = Desk::restore(&durable).unwrap();
            pending = if durable.is_empty() {
                desk.start(&rules, now, RUN, playbook, "test", &BTreeMap::new()).unwrap()
            } else {
                desk.resume(&rules, now)
            };
            continue;
        }
        queue.extend(effects);
        now = now.plus_ms(1_000);
        pending = match queue.pop() {
            Some((run, Effect::Do { job, .. })) => {
                let mut answer = Answer::worked("person", "test");
                answer.variables.insert("__paused__".into(), "true".into());
                let input = Input::Answer { job, answer };
                desk.step(&rules, now, run, input).unwrap()
            }
            Some(_) => Desked::default(),
            None if desk.runs()[&RUN].ended.is_some() => break,
            None => desk.tick(&rules, Timestamp(now.0 + 60_000)),
        };
    }
    (desk.runs()[&RUN].ended.clone(), desk.runs().len(), durable.len())
}

#[test]
fn a_called_playbook_is_run_once_through_any_death() {
    let Some((library, playbook)) = golden(true) else { return };
    let (outcome, runs, records) = live(&library, &playbook, usize::MAX);
    assert_eq!((outcome, runs), (Some(Outcome::Worked), 2));
    for death in 0..records {
        let (outcome, runs, again) = live(&library, &playbook, death);
        assert_eq!((outcome, runs, again), (Some(Outcome::Worked), 2, records), "{death}");
    }
}

#[test]
fn a_playbook_that_is_not_there_fails_the_step_that_calls_it() {
    let Some((library, playbook)) = golden(false) else { return };
    let (outcome, runs, _) = live(&library, &playbook, usize::MAX);
    assert_eq!(runs, 1);
    assert!(
        matches!(outcome, Some(Outcome::Failed { because }) if because.contains("there is no playbook"))
    );
}
