//! Receivers of alerts: slow, double, silent, refusing.

use std::collections::BTreeMap;

use cofferdam_core::{Alert, AlertId};
use cofferdam_engine::{Input, schedule::Deliver};

use super::{
    Sometimes,
    world::{Event, World},
};

/// A receiver that de-duplicates by id.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) name: &'static str,
    /// How often it took each alert.
    pub(crate) taken: BTreeMap<AlertId, u32>,
    /// What it took, each alert once, in order.
    pub(crate) shown: Vec<Alert>,
}

impl Sink {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, taken: BTreeMap::new(), shown: Vec::new() }
    }

    /// Takes an alert; true if it had it already.
    fn take(&mut self, alert: &Alert) -> bool {
        let count = self.taken.entry(alert.id).or_default();
        *count += 1;
        if *count == 1 {
            self.shown.push(alert.clone());
        }
        *count > 1
    }
}

impl World<'_> {
    pub(crate) fn offer(&mut self, it: &Deliver) {
        let found = self.check.delivery(it);
        self.expect(found);
        let Some(at) = self.sinks.iter().position(|sink| sink.name == it.sink) else {
            return self.fail(format!("{} is not a receiver of the plan", it.sink));
        };
        let quick = self.rng.between(20, 300);
        if !self.faulty() {
            self.take(at, it);
            return self.acknowledge(it, quick);
        }
        match self.rng.below(100) {
            0..8 => self.note(Sometimes::NoAnswer),
            8..18 => {
                self.take(at, it);
                self.note(Sometimes::AnswerLost);
            }
            18..30 => {
                self.note(Sometimes::RefusedForNow);
                let after_ms = self.rng.chance(300).then(|| self.rng.between(100, 20_000));
                self.refuse(it, quick, (false, after_ms));
            }
            30..33 if at == 2 => {
                self.note(Sometimes::RefusedForGood);
                self.refuse(it, quick, (true, None));
            }
            33..40 => {
                self.take(at, it);
                self.note(Sometimes::AnsweredTwice);
                self.acknowledge(it, quick);
                self.acknowledge(it, quick + 700);
            }
            40..48 => {
                self.take(at, it);
                let slow = self.rng.between(3_000, 15_000);
                self.acknowledge(it, slow);
            }
            _ => {
                self.take(at, it);
                self.acknowledge(it, quick);
            }
        }
    }

    fn take(&mut self, at: usize, it: &Deliver) {
        let again = self.sinks.get_mut(at).is_some_and(|sink| sink.take(&it.alert));
        self.note(if again { Sometimes::TakenAgain } else { Sometimes::Taken });
        let found = self.sinks.get(at).map_or(Ok(()), |sink| self.check.shown(sink, &it.alert));
        self.expect(found);
    }

    fn acknowledge(&mut self, it: &Deliver, after: u64) {
        let input = Input::Delivered { sink: it.sink.clone(), alert: it.alert.id };
        self.after(after, Event::Answer(self.epoch, Box::new(input)));
    }

    fn refuse(&mut self, it: &Deliver, after: u64, (permanent, after_ms): (bool, Option<u64>)) {
        let (sink, alert, because) = (it.sink.clone(), it.alert.id, "not now".to_owned());
        let input = Input::DeliveryFailed { sink, alert, because, permanent, after_ms };
        self.after(after, Event::Answer(self.epoch, Box::new(input)));
    }
}
