//! One rule on one contract (or on all contracts of one entity): its filter, its compiled expressions
//! and what they remember.

use alloy_primitives::Address;
use cofferdam_core::{Observation, Tx, Usd, finding::Evidence};

use super::{
    Int, Machine, Module,
    error::{Fault, Trap},
    event::{Called, Event, Trigger, What},
    filter::{Filter, Signed},
    module::unplaced,
};
use crate::watch::VALUE_MAX;

/// The rule on one contract.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Name of the entity.
    pub(crate) entity: String,
    /// The contract called `self`, else the first of the filter.
    pub(crate) subject: Address,
    pub(crate) filter: Filter,
    pub(crate) module: Module,
    pub(crate) machine: Machine,
    /// Whether the answers to the state reads of this observation were taken over.
    begun: bool,
    touched: bool,
}

/// What the events of one transaction or block led to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The first event for which the condition holds.
    pub(crate) hit: Option<Hit>,
    /// The first fault, and how many there were.
    pub(crate) fault: Option<(Trap, u64)>,
}

/// An event for which the condition holds.
#[derive(Debug)]
pub(crate) struct Hit {
    /// The contract it concerns.
    pub(crate) subject: Address,
    pub(crate) loss: Usd,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<Evidence>,
    /// How many events of the transaction or block it holds for; `loss` is over all of them.
    pub(crate) count: u64,
}

impl Instance {
    pub(crate) fn new(entity: String, subject: Address, filter: Filter, module: Module) -> Self {
        let machine = module.machine();
        Self { entity, subject, filter, module, machine, begun: false, touched: false }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.machine.clear();
        (self.begun, self.touched) = (false, false);
    }

    /// Looks at the events of one transaction.
    pub(crate) fn on_tx(
        &mut self,
        trigger: &Trigger,
        signed: &Signed,
        observation: &Observation,
        tx: &Tx,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let event = |what| Event { observation, tx: Some(tx), what };
        match trigger {
            Trigger::Fact(kind) => {
                for fact in tx.facts.iter().filter(|it| (kind.is)(it)) {
                    if let Some(subject) = self.filter.of_fact(kind, fact) {
                        self.judge(trigger, &event(What::Fact(kind, fact)), subject, &mut verdict);
                    }
                }
            }
            Trigger::Log(signature) if tx.succeeded => {
                for log in &tx.logs {
                    if let Some(subject) = self.filter.of_log(signed, log) {
                        self.judge(
                            trigger,
                            &event(What::Log(signature, log)),
                            subject,
                            &mut verdict,
                        );
                    }
                }
            }
            Trigger::Call(signature) => {
                let frames: &[_] = if tx.tracing.is_evidence() { &tx.frames } else { &[] };
                let own = if frames.is_empty() { Called::of_tx(tx) } else { None };
                for call in frames.iter().filter_map(Called::of_frame).chain(own) {
                    if let Some(subject) = self.filter.of_call(signed, &call) {
                        self.judge(
                            trigger,
                            &event(What::Call(signature, call)),
                            subject,
                            &mut verdict,
                        );
                    }
                }
            }
            Trigger::Transaction => {
                if let Some(subject) = self.filter.of_tx(tx) {
                    self.judge(trigger, &event(What::Nothing), subject, &mut verdict);
                }
            }
            Trigger::Touched => self.touched |= self.filter.of_tx(tx).is_some(),
            Trigger::Log(_) | Trigger::Block => {}
        }
        let blind = trigger.needs_tracing() && tx.succeeded && !tx.tracing.is_evidence();
        if blind && self.filter.of_tx(tx).is_some() {
            verdict.note(unplaced(Fault::Untraced));
        }
        verdict
    }

    /// Looks at the block as a whole and ends the observation.
    pub(crate) fn on_block(&mut self, trigger: &Trigger, observation: &Observation) -> Verdict {
        let mut verdict = Verdict::default();
        let due = match trigger {
            Trigger::Block => true,
            Trigger::Touched => self.touched,
            _ => false,
        };
        if due {
            let event = Event { observation, tx: None, what: What::Nothing };
            self.judge(trigger, &event, self.subject, &mut verdict);
        }
        (self.begun, self.touched) = (false, false);
        verdict
    }

    fn judge(
        &mut self,
        trigger: &Trigger,
        event: &Event<'_>,
        subject: Address,
        verdict: &mut Verdict,
    ) {
        if !self.begun {
            self.module.begin(&mut self.machine, &event.observation.readings);
            self.begun = true;
        }
        if !event.what.is_shaped() {
            return verdict.note(unplaced(Fault::Shape));
        }
        if self.module.has_windows() {
            let time = event.observation.block.time.0;
            self.module.update(&mut self.machine, event, time, |trap| verdict.note(trap));
        }
        match self.module.holds(&mut self.machine, event) {
            Ok(false) => {}
            Ok(true) => {
                let loss = self.loss(event, verdict);
                let hit = match verdict.hit.take() {
                    Some(hit) => hit,
                    None => self.hit(trigger, event, subject),
                };
                let (loss, count) =
                    (hit.loss.plus(loss).min(VALUE_MAX), hit.count.saturating_add(1));
                verdict.hit = Some(Hit { loss, count, ..hit });
            }
            Err(trap) => verdict.note(trap),
        }
    }

    /// The loss of one event; a fault is noted and counts as none.
    fn loss(&mut self, event: &Event<'_>, verdict: &mut Verdict) -> Usd {
        let loss = self.module.loss(&mut self.machine, event).unwrap_or_else(|trap| {
            verdict.note(trap);
            None
        });
        let loss = loss.filter(|it| !it.is_negative()).map(Int::magnitude).unwrap_or_default();
        Usd(i128::try_from(loss).unwrap_or(i128::MAX)).min(VALUE_MAX)
    }

    /// Works out what to say. Only done for a first hit; a miss allocates nothing.
    fn hit(&mut self, trigger: &Trigger, event: &Event<'_>, subject: Address) -> Hit {
        let Self { module, machine, .. } = self;
        let mut evidence = trigger.shown(event);
        evidence.extend(module.named(machine, event));
        let evidence = evidence.into_iter().map(|(label, value)| Evidence::new(label, value));
        let summary = module.summary(machine, event);
        Hit { subject, loss: Usd::ZERO, summary, evidence: evidence.collect(), count: 0 }
    }
}

impl Verdict {
    fn note(&mut self, trap: Trap) {
        match &mut self.fault {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.fault = Some((trap, 1)),
        }
    }
}
