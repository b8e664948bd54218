//! Death at every step of every starter playbook: memory is dropped, the run restored from what was
//! durable, and nothing is lost or done twice.

use cofferdam_playbook::{Limits, Run, run::Outcome};

use crate::{
    starters::starters,
    world::{Death, Mood, World, allowance, context},
};

const MOODS: [Mood; 3] = [Mood::Kind, Mood::Stubborn, Mood::Unwilling];

#[test]
fn death_before_any_record_and_after_any_effect_changes_nothing() {
    let limits = Limits::default();
    let (mut lives, mut kills) = (0, 0);
    for (name, playbook) in starters() {
        let allowance = allowance(&playbook);
        let cx = context(&playbook, &allowance, &limits);
        for mood in MOODS {
            let mut calm = World::new(cx, mood, Death::Never);
            let end = calm.live();
            assert_eq!(end.open_jobs().count(), 0, "{name}");
            let text = serde_json::to_string(&calm.records).unwrap();
            let read: Vec<cofferdam_playbook::Entry> = serde_json::from_str(&text).unwrap();
            assert_eq!(read, calm.records, "records are read back as they were written");
            let (history, outcome) = calm.history();
            let keys: Vec<_> = calm.done.keys().copied().collect();
            lives += 1;
            let records = (0..calm.records.len()).map(Death::Record);
            for death in records.chain((0..keys.len()).map(Death::Effect)) {
                let mut world = World::new(cx, mood, death);
                let run = world.live();
                assert_eq!(world.deaths, 1, "{name} {mood:?} {death:?}");
                kills += 1;
                let (lived, ended) = world.history();
                assert_eq!(lived, history, "{name} {mood:?} {death:?}");
                assert_eq!(ended, outcome, "{name} {mood:?} {death:?}");
                let done: Vec<_> = world.done.keys().copied().collect();
                assert_eq!(done, keys, "{name} {mood:?} {death:?}: a job was lost or doubled");
                assert_eq!(run.variables, end.variables, "{name} {mood:?} {death:?}");
                // The run in memory is the fold over what it left.
                assert_eq!(Run::restore(&world.records).unwrap(), run);
            }
        }
    }
    println!("{lives} runs, each killed everywhere: {kills} deaths");
    assert!(kills > 1_000, "{kills}");
}

#[test]
fn a_run_goes_well_when_the_world_does() {
    let limits = Limits::default();
    let mut table = String::new();
    for (name, playbook) in starters() {
        let allowance = allowance(&playbook);
        for mood in MOODS {
            let mut world = World::new(context(&playbook, &allowance, &limits), mood, Death::Never);
            let run = world.live();
            let outcome = match run.ended {
                Some(Outcome::Worked) => "worked".to_owned(),
                Some(Outcome::Failed { because }) => format!("failed: {because}"),
                other => format!("{other:?}"),
            };
            table.push_str(&format!(
                "{name} {mood:?}: {} records, {} jobs, {outcome}\n",
                world.records.len(),
                world.done.len()
            ));
        }
    }
    expect_test::expect_file!["snapshots/starter-runs.txt"].assert_eq(&table);
}
