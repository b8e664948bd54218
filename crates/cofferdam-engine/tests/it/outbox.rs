//! Alerts reach everybody they are for, at least once, in order, and no repeat drowns them.

use cofferdam_core::{AlertId, AlertKind, Record, Severity, Timestamp, plan::Plan};
use cofferdam_engine::{Command, Effect, Engine, Input, Limits};
use proptest::prelude::*;

use crate::common::*;

/// Deliveries of one step: receiver, alert, kind.
fn offers(effects: &[Effect]) -> Vec<(String, AlertId, AlertKind)> {
    let offer = |it: &Effect| match it {
        Effect::Deliver { sink, alert, .. } => Some((sink.clone(), alert.id, alert.kind)),
        _ => None,
    };
    effects.iter().filter_map(offer).collect()
}

fn took(run: &mut Run, offers: &[(String, AlertId, AlertKind)]) -> Vec<Effect> {
    let take = |(sink, alert, _): &(String, AlertId, AlertKind)| Input::Delivered {
        sink: sink.clone(),
        alert: *alert,
    };
    offers.iter().flat_map(|it| run.step(take(it))).collect()
}

fn refused(sink: &str, alert: AlertId, permanent: bool) -> Input {
    let because = "no".to_owned();
    Input::DeliveryFailed { sink: sink.into(), alert, because, permanent, after_ms: None }
}

/// Takes everything that is offered until nothing is.
fn settle(run: &mut Run, effects: &[Effect]) -> Vec<(String, AlertId, AlertKind)> {
    let mut all = offers(effects);
    let mut at = 0;
    while at < all.len() {
        let next = took(run, &all[at..=at]);
        all.extend(offers(&next));
        at += 1;
    }
    all
}

#[test]
fn an_alert_is_durable_before_it_is_offered_and_is_offered_until_it_is_taken() {
    let mut run = Run::new();
    let effects = run.attack();
    let first = offers(&effects);
    assert_eq!(first.len(), 2, "{first:?}");
    let issued = effects.iter().position(|it| matches!(it, Effect::Record(Record::Issued { .. })));
    let offered = effects.iter().position(|it| matches!(it, Effect::Deliver { .. }));
    assert!(issued < offered);
    assert!(offers(&run.step(Input::Tick)).is_empty(), "under way");
    run.now += 30_000;
    let again = offers(&run.step(Input::Tick));
    assert_eq!(again, first, "an unanswered delivery is repeated under the same id");
    settle(&mut run, &[]);
    let next = took(&mut run, &first);
    settle(&mut run, &next);
    assert!(run.engine.state().outbox.waiting.is_empty());
}

#[test]
fn a_restart_offers_what_was_not_acknowledged() {
    let mut run = Run::new();
    let first = offers(&run.attack());
    took(&mut run, &first[..1]);
    let mut again =
        Engine::restore(plan(), Limits::default(), run.journal.clone()).expect("a journal");
    let offered = offers(&again.step(Timestamp(run.now), Input::Tick));
    assert!(offered.contains(&first[1]), "{offered:?}");
    assert!(!offered.contains(&first[0]), "{offered:?}");
}

#[test]
fn a_receiver_that_hangs_delays_no_other() {
    let mut run = Run::new();
    let first = offers(&run.attack());
    let channel: Vec<_> = first.iter().filter(|it| it.0 == "channel").cloned().collect();
    let next = took(&mut run, &channel);
    assert!(!offers(&next).is_empty(), "the next alert of the thread follows");
    assert!(offers(&next).iter().all(|it| it.0 == "channel"));
    settle(&mut run, &next);
    assert_eq!(run.engine.state().outbox.waiting_for("channel"), 0);
    assert_eq!(run.engine.state().outbox.waiting_for("pager"), 2);
}

#[test]
fn a_refused_alert_waits_longer_each_time_and_the_others_are_told() {
    let mut run = Run::new();
    let pager = offers(&run.attack()).into_iter().find(|it| it.0 == "pager").expect("a page");
    let mut waits = Vec::new();
    for _ in 0..8 {
        run.step(refused("pager", pager.1, false));
        let begun = run.now;
        while !offers(&run.step(Input::Tick)).contains(&pager) {}
        waits.push(run.now - begun);
    }
    assert!(waits.windows(2).skip(2).all(|it| it[0] < it[1]), "{waits:?}");
    let outbox = &run.engine.state().outbox;
    let thread = outbox.open_thread("notifier/pager").expect("the others know");
    assert_eq!(thread.told.iter().map(String::as_str).collect::<Vec<_>>(), ["channel"]);
    let effects = run.step(Input::Delivered { sink: "pager".into(), alert: pager.1 });
    assert!(names(&effects).contains("resolved for channel: pager takes messages again"));
}

#[test]
fn an_undeliverable_alert_is_on_record_and_told_to_the_others() {
    let mut run = Run::new();
    let pager = offers(&run.attack()).into_iter().find(|it| it.0 == "pager").expect("a page");
    let effects = run.step(refused("pager", pager.1, true));
    let told = names(&effects);
    assert!(told.contains("undeliverable\nraised for channel: "), "{told}");
    assert!(told.contains("net outflow of 30 %") || told.contains("incident"), "{told}");
    assert_eq!(run.engine.state().outbox.sinks["pager"].given_up, 1);
}

#[test]
fn two_receivers_that_refuse_everything_do_not_tell_of_each_other_for_ever() {
    let mut run = Run::new();
    let mut waiting = offers(&run.attack());
    for _ in 0..50 {
        let Some((sink, alert, _)) = waiting.pop() else { break };
        waiting.extend(offers(&run.step(refused(&sink, alert, true))));
    }
    assert!(waiting.is_empty(), "{waiting:?}");
    assert!(run.engine.state().outbox.waiting.is_empty());
}

#[test]
fn repeats_are_throttled_on_record_and_critical_ones_never() {
    let mut run = Run::new();
    run.step(Input::Block(block(1, 0)));
    for severity in [Severity::Medium, Severity::Critical] {
        let (mut issued, mut throttled) = (0, 0);
        for number in 0..20_u8 {
            let mut it = blind_finding(number + 20 * u8::from(severity == Severity::Critical));
            it.severity = severity;
            for effect in run.step(Input::External(Box::new(it))) {
                match effect {
                    Effect::Record(Record::Issued { .. }) => issued += 1,
                    Effect::Record(Record::Throttled { .. }) => throttled += 1,
                    _ => {}
                }
            }
        }
        match severity {
            Severity::Critical => assert_eq!((issued, throttled), (20, 0)),
            _ => assert_eq!((issued, throttled), (4, 16)),
        }
    }
}

#[test]
fn a_receiver_that_left_the_plan_is_not_waited_for() {
    let mut run = Run::new();
    run.attack();
    let mut smaller: Plan = plan();
    smaller.notifiers.retain(|it| it.id == "channel");
    let mut again =
        Engine::restore(smaller, Limits::default(), run.journal.clone()).expect("a journal");
    again.step(Timestamp(run.now), Input::Tick);
    assert_eq!(again.state().outbox.waiting_for("pager"), 0);
    assert!(again.state().outbox.waiting_for("channel") > 0);
}

#[test]
fn a_pager_that_asks_for_blocks_hears_of_a_pending_attack_once_it_is_in_one() {
    let mut run = Run::new();
    run.step(Input::Block(block(1, 0)));
    let at = block(1, 0).block;
    let pending = finding("drain", &at, cofferdam_core::Stage::Pending);
    let effects = run.step(Input::External(Box::new(pending)));
    assert!(offers(&effects).iter().all(|it| it.0 == "channel"));
    let mined = finding("drain", &at, cofferdam_core::Stage::Provisional);
    let effects = run.step(Input::External(Box::new(mined)));
    assert!(names(&effects).contains("raised for pager channel"), "{}", names(&effects));
}

#[test]
fn closing_an_incident_closes_its_page_at_whoever_was_told() {
    let mut run = Run::new();
    let effects = run.attack();
    settle(&mut run, &effects);
    let incident = *run.engine.state().incidents.keys().next().expect("an incident");
    for false_alarm in [true, false] {
        let by = "alice".to_owned();
        let close = Input::Command(Command::Close { incident, by, false_alarm });
        let told = names(&run.step(close));
        match false_alarm {
            true => assert!(told.contains("retracted for pager channel"), "{told}"),
            false => assert_eq!(told, "", "closed already"),
        }
    }
}

proptest! {
    /// Whatever receivers answer and however often the process dies, an alert is taken or given up on
    /// record, and a thread reaches each receiver in order.
    #[test]
    fn every_alert_ends(answers in proptest::collection::vec((0..4_u8, any::<bool>()), 1..80)) {
        let mut run = Run::new();
        let mut open = offers(&run.attack());
        let mut taken: Vec<(String, AlertId)> = Vec::new();
        for (answer, dies) in answers {
            run.now += 20_000;
            let effects = match open.pop() {
                None => run.step(Input::Tick),
                Some((sink, alert, _)) => match answer {
                    0 => run.step(Input::Tick),
                    1 => run.step(refused(&sink, alert, false)),
                    2 => run.step(refused(&sink, alert, true)),
                    _ => {
                        taken.push((sink.clone(), alert));
                        run.step(Input::Delivered { sink, alert })
                    }
                },
            };
            open.extend(offers(&effects));
            if dies {
                run.engine = Engine::restore(plan(), Limits::default(), run.journal.clone()).expect("a journal");
            }
        }
        for _ in 0..2_000 {
            run.now += 20_000;
            for (sink, alert, _) in offers(&run.step(Input::Tick)) {
                taken.push((sink.clone(), alert));
                run.step(Input::Delivered { sink, alert });
            }
            if run.engine.state().outbox.waiting.is_empty() { break }
        }
        prop_assert!(run.engine.state().outbox.waiting.is_empty());
        let mut owed = Vec::new();
        for entry in &run.journal {
            match &entry.record {
                Record::Issued { alert, to } => owed.extend(to.iter().map(|it| (it.clone(), alert.id))),
                Record::Delivered { alert, sink, .. } | Record::Undeliverable { alert, sink, .. } => {
                    let at = owed.iter().position(|it| it == &(sink.clone(), *alert));
                    prop_assert!(at.is_some(), "ended twice or never issued");
                    owed.remove(at.expect("checked"));
                }
                _ => {}
            }
        }
        prop_assert!(owed.is_empty(), "{owed:?}");
    }
}
