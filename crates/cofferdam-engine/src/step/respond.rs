//! From findings to incidents and from incidents to orders.

use std::collections::BTreeSet;

use cofferdam_core::{
    AlertKind, ChainId, Class, Finding, IncidentId, OrderKey, Probability, Record, Severity, Stage,
    Timestamp, Usd,
    incident::{Incident, IncidentState, Ledger, Verdict},
    order::{Order, Outcome},
    plan::{Action, Autonomy, Mode, Plan, containment},
};
use cofferdam_decide::{Case, Choice, Decided, PastOrder, Waiting, Weighed, decide};

use super::{
    Step,
    alert::{Note, finding_thread},
};
use crate::{Effect, OrderState, apply::closed, state::State, ties};

impl Step<'_> {
    /// Takes in findings: records what is new, and groups what concerns an entity into an incident.
    pub(super) fn on_findings(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let known = self.engine.state.findings.get(&finding.id);
            let news = known.is_none_or(|it| {
                it.finding.stage < finding.stage
                    || (it.finding.stage == finding.stage && it.finding.block != finding.block)
            });
            let attached = known.and_then(|it| it.incident);
            if news {
                self.record(Record::Found { finding: finding.clone() });
            }
            // What is known may still lack its incident or its alert, if a write was torn.
            let told = |it: &str| self.engine.state.outbox.threads.contains_key(it);
            match finding.class {
                Class::Blind | Class::Defence if !news && told(&finding_thread(&finding)) => {}
                Class::Blind | Class::Defence => self.tell_finding(&finding),
                _ if !news && attached.is_some_and(|it| told(&it.to_string())) => {}
                Class::Damage | Class::Control | Class::Suspicion => {
                    self.attach(&finding, attached)
                }
            }
        }
    }

    fn attach(&mut self, finding: &Finding, attached: Option<IncidentId>) {
        let mode = mode_of(self, finding);
        if mode == Mode::Shadow {
            return;
        }
        let known = attached.filter(|id| self.is_open(*id));
        let open = |it: &&Incident| it.entity == finding.entity && !closed(it.state);
        let known =
            known.or_else(|| self.engine.state.incidents.values().find(open).map(|it| it.id));
        let incident = match known {
            Some(id) => id,
            None => match self.reopen_incident(finding) {
                Some(id) => id,
                None => self.open_incident(finding),
            },
        };
        if attached != Some(incident) {
            self.record(Record::Attached { incident, finding: finding.id });
        }
        self.touched.insert(incident);
        if known.is_none() {
            let text =
                format!("incident {} at {}: {}", incident.short(), finding.entity, finding.summary);
            self.tell_incident(incident, finding.severity, AlertKind::Raised, text);
        } else if self.is_worse(incident, finding.severity) {
            let text = format!("incident {} is worse: {}", incident.short(), finding.summary);
            self.tell_incident(incident, finding.severity, AlertKind::Raised, text);
        } else {
            self.tell_newly_reached(incident, &finding.summary);
        }
    }

    fn is_open(&self, id: IncidentId) -> bool {
        self.engine.state.incidents.get(&id).is_some_and(|it| !closed(it.state))
    }

    fn is_worse(&self, id: IncidentId, severity: Severity) -> bool {
        let thread = self.engine.state.outbox.open_thread(&id.to_string());
        thread.is_none_or(|it| severity > it.severity)
    }

    fn open_incident(&mut self, finding: &Finding) -> IncidentId {
        let id = self.next_incident_id(finding);
        let held = self.held.get(&finding.entity).copied();
        let incident = Incident {
            id,
            entity: finding.entity.clone(),
            chain: finding.block.chain,
            state: IncidentState::Detected,
            opened_at: self.now,
            held: held.or_else(|| self.engine.state.held(&finding.entity)),
            findings: BTreeSet::new(),
            actors: BTreeSet::new(),
            orders: Vec::new(),
            ledger: None,
        };
        self.record(Record::IncidentOpened { incident });
        id
    }

    /// The id depends on the evidence alone, not on the clock or the block: if the process dies before
    /// this is durable, or the transaction moves to another block, the same evidence makes the same
    /// incident, and its orders keep their keys.
    fn incident_id(finding: &Finding, occurrence: u64) -> IncidentId {
        IncidentId::derive(&[
            finding.entity.as_bytes(),
            finding.id.0.as_slice(),
            &occurrence.to_be_bytes(),
        ])
    }

    fn next_incident_id(&self, finding: &Finding) -> IncidentId {
        let known = |id: &IncidentId| self.engine.state.incidents.contains_key(id);
        let mut occurrence = 0;
        loop {
            let id = Self::incident_id(finding, occurrence);
            if !known(&id) {
                return id;
            }
            occurrence += 1;
        }
    }

    /// The incident that this very evidence opened before it was taken back, or one of the entity whose
    /// order is still on its way, opened again: a second order would do the same.
    fn reopen_incident(&mut self, finding: &Finding) -> Option<IncidentId> {
        let state = &self.engine.state;
        // What is not withdrawn with its incident is out, or may be.
        let out = |it: &OrderKey| state.orders.get(it).is_some_and(|it| it.outcome.is_none());
        let emptied = |it: &&Incident| {
            it.state == IncidentState::FalseAlarm
                && it.findings.is_empty()
                && it.entity == finding.entity
        };
        let mut live = state.incidents.values().filter(emptied);
        let live = live.rfind(|it| it.orders.iter().any(out));
        let known =
            live.or_else(|| state.incidents.get(&Self::incident_id(finding, 0)).filter(emptied))?;
        let id = known.id;
        let orders = known.orders.iter().filter_map(|it| self.engine.state.orders.get(it));
        let worth = |it: &OrderState| match &it.outcome {
            Some(Outcome::Effective { .. }) => IncidentState::Contained,
            None => IncidentState::Responding,
            Some(_) => IncidentState::Detected,
        };
        let state = orders.map(worth).max().unwrap_or(IncidentState::Detected);
        let because = "what opened it is back".to_owned();
        self.record(Record::IncidentMoved { incident: id, state, because });
        Some(id)
    }

    /// Tells of a finding that belongs to no incident.
    fn tell_finding(&mut self, finding: &Finding) {
        let text = format!("{}: {}", finding.rule, finding.summary);
        let (kind, dedup) = (AlertKind::Raised, finding_thread(finding));
        let note = Note::of(finding.severity, kind, dedup, text);
        self.tell(Note { stage: finding.stage, ..note });
    }

    /// Decides upon every incident whose evidence changed in this step.
    pub(super) fn decide_touched(&mut self) {
        let taken_up = std::mem::take(&mut self.taken_up);
        let touched = std::mem::take(&mut self.touched);
        for id in &touched {
            self.decide_incident(*id, same_decision);
        }
        // A restart alone is no news: what fades with each block is not recorded because of it.
        for id in taken_up.difference(&touched) {
            self.decide_incident(*id, same_outcome);
        }
    }

    /// Decides upon `id`. A ledger that is the `same` as the last one is not recorded again.
    fn decide_incident(&mut self, id: IncidentId, same: fn(&Ledger, &Ledger) -> bool) {
        if self.decide_by_chain(id) {
            return;
        }
        let decided = self.weigh(id, &self.engine.plan);
        let Some(Decided { ledger, choice, withdraw }) = decided else { return };
        let Some(incident) = self.engine.state.incidents.get(&id) else { return };
        let same = incident.ledger.as_ref().is_some_and(|it| same(it, &ledger));
        if same && choice.is_none() && withdraw.is_empty() {
            return;
        }
        self.record(Record::Decided { incident: id, ledger });
        for action in withdraw {
            self.withdraw_faded(id, &action);
        }
        if let Some(choice) = choice {
            self.intend(id, &choice);
        }
    }

    /// An entity that can be contained on several chains gets one order on each, those under attack
    /// first: what is stopped on one chain goes on on the others. `false` if nothing was ordered.
    fn decide_by_chain(&mut self, id: IncidentId) -> bool {
        let Some(incident) = self.engine.state.incidents.get(&id) else { return false };
        let known = incident.findings.iter().filter_map(|it| self.engine.state.findings.get(it));
        let mut chains: Vec<ChainId> = known.map(|it| it.finding.block.chain).collect();
        let plan = &self.engine.plan;
        let actions = plan.actions.iter().filter(|it| it.contains.contains(&incident.entity));
        let reached: BTreeSet<ChainId> = actions.map(|it| it.call.chain()).collect();
        if reached.len() < 2 {
            return false;
        }
        chains.retain(|it| reached.contains(it));
        chains.extend(reached);
        let mut seen = BTreeSet::new();
        chains.retain(|it| seen.insert(*it));
        let mut ordered = false;
        for chain in chains {
            let mut plan = self.engine.plan.clone();
            plan.actions.retain(|it| it.call.chain() == chain);
            let Some(decided) = self.weigh(id, &plan) else { continue };
            let Decided { ledger, choice: Some(choice), .. } = decided else { continue };
            self.record(Record::Decided { incident: id, ledger });
            self.intend(id, &choice);
            ordered = true;
        }
        ordered
    }

    /// Orders of the incident for `action` that are not out yet are not worth it any more.
    fn withdraw_faded(&mut self, incident: IncidentId, action: &str) {
        let keys: Vec<OrderKey> = self
            .not_out(incident)
            .filter(|it| it.order.action == action)
            .map(|it| it.order.key)
            .collect();
        for key in keys {
            let reason = "the evidence for it has faded".to_owned();
            self.record(Record::Settled { key, outcome: Outcome::Failed { reason } });
            let text = format!(
                "incident {}: {action} is given up, the evidence for it has faded",
                incident.short()
            );
            self.tell_incident(incident, Severity::High, AlertKind::Update, text);
        }
    }

    /// Orders of the incident that are decided and cannot have gone out yet.
    fn not_out(&self, incident: IncidentId) -> impl Iterator<Item = &OrderState> {
        let orders = self.engine.state.orders.values();
        orders.filter(move |it| {
            it.order.incident == incident
                && it.outcome.is_none()
                && it.attempts == 0
                && !self.engine.may_be_out(&it.order.key)
        })
    }

    /// With each block what is undecided is decided anew: a drain goes on or stops, evidence fades, a
    /// cooldown is over.
    pub(super) fn decide_anew(&mut self) {
        let Some(chain) = self.advanced else { return };
        // Where nothing can be done there is nothing to decide, however many incidents are open.
        let actions = &self.engine.plan.actions;
        let can_act = |entity: &String| actions.iter().any(|it| it.contains.contains(entity));
        let undecided = |it: &&Incident| {
            it.chain == chain
                && it.ledger.is_some()
                && can_act(&it.entity)
                && matches!(it.state, IncidentState::Detected | IncidentState::Responding)
        };
        let ids = self.engine.state.incidents.values().filter(undecided).map(|it| it.id);
        let ids: Vec<IncidentId> = ids.filter(|it| !self.touched.contains(it)).collect();
        for id in ids {
            self.decide_incident(id, same_outcome);
        }
    }

    /// Weighs the actions of `plan`, which is ours or a part of it.
    fn weigh(&self, id: IncidentId, plan: &Plan) -> Option<Decided> {
        let state = &self.engine.state;
        let incident = state.incidents.get(&id).filter(|it| !closed(it.state))?;
        let entity = self.engine.plan.entity(&incident.entity)?;
        let findings: Vec<Weighed<'_>> = incident
            .findings
            .iter()
            .filter_map(|it| state.findings.get(it))
            .map(|it| Weighed {
                finding: &it.finding,
                mode: mode_of(self, &it.finding),
                age: age(state, &it.finding),
            })
            .collect();
        if findings.is_empty() {
            return None;
        }
        let ties = ties::of(state, findings.iter().flat_map(|it| &it.finding.actors));
        let under_way = self.under_way(incident);
        let past = past_orders(state, self.now);
        let since = |it: &OrderState| Waiting {
            action: it.order.action.clone(),
            since: it.order.decided_at,
        };
        let waiting: Vec<Waiting> = self.not_out(id).map(since).collect();
        let held = incident.held.map(|it| (it, "read at the parent of its first block".to_owned()));
        Some(decide(&Case {
            now: self.now,
            plan,
            tables: &self.engine.tables,
            entity,
            chain: incident.chain,
            holdings: held,
            findings: &findings,
            ties: &ties,
            past: &past,
            under_way: &under_way,
            waiting: &waiting,
        }))
    }

    fn intend(&mut self, incident: IncidentId, choice: &Choice) {
        let Some(action) = self.engine.plan.action(&choice.action).cloned() else { return };
        // What came to nothing once goes out again only if a person says so.
        let automatic = choice.automatic && self.failed_orders(incident, &action.id) == 0;
        let order = self.order(incident, &action, automatic);
        let text = match (automatic, &order.autonomy) {
            (false, _) => format!(
                "incident {}: {} is proposed, a person must release it",
                incident.short(),
                action.id
            ),
            (_, Autonomy::Veto { window }) => {
                format!(
                    "incident {}: {} goes out in {window} unless vetoed",
                    incident.short(),
                    action.id
                )
            }
            _ => format!("incident {}: {} goes out now", incident.short(), action.id),
        };
        self.record(Record::Intended { order });
        let moves = self
            .engine
            .state
            .incidents
            .get(&incident)
            .is_some_and(|it| it.state == IncidentState::Detected);
        if moves {
            let because = format!("{} ordered", action.id);
            self.record(Record::IncidentMoved {
                incident,
                state: IncidentState::Responding,
                because,
            });
        }
        // Nothing stands between the intent and its dispatch; people are told right after.
        self.release_orders();
        self.tell_incident(incident, Severity::Critical, AlertKind::Update, text);
    }

    /// What the incident's entity has at stake: the plan's figure, else what it was seen to hold.
    fn at_risk(&self, incident: IncidentId) -> Usd {
        let incident = self.engine.state.incidents.get(&incident);
        let entity = incident.and_then(|it| self.engine.plan.entity(&it.entity));
        let planned = entity.and_then(|it| it.value_at_risk).map(|it| it.0);
        planned.or_else(|| incident.and_then(|it| it.held)).unwrap_or(Usd::ZERO)
    }

    fn order(&self, incident: IncidentId, action: &Action, automatic: bool) -> Order {
        let of_action = self.engine.state.orders.values();
        let occurrence = of_action
            .filter(|it| it.order.incident == incident && it.order.action == action.id)
            .count();
        let key = OrderKey::derive(&[
            incident.0.as_slice(),
            action.id.as_bytes(),
            &(occurrence as u64).to_be_bytes(),
        ]);
        Order {
            key,
            incident,
            action: action.id.clone(),
            rung: action.rung,
            chain: action.call.chain(),
            call: containment::order_call(action),
            effect: containment::effect_checks(action),
            stage: action.stage,
            self_expiring: action.expires_by_itself(),
            autonomy: if automatic { action.autonomy } else { Autonomy::Propose },
            decided_at: self.now,
            expires_at: self.now.plus_ms(action.valid_for.0),
            fee_budget_wei: self.engine.plan.fee_cap(action, self.at_risk(incident)),
            outbid: self.bid,
        }
    }

    pub(super) fn on_close(&mut self, incident: IncidentId, by: String, false_alarm: bool) {
        let known = self.engine.state.incidents.get(&incident);
        if known.is_none_or(|it| closed(it.state)) {
            return;
        }
        self.withdraw_orders(incident, "its incident was closed");
        let state = if false_alarm { IncidentState::FalseAlarm } else { IncidentState::Closed };
        let because = format!("closed by {by}");
        let text = format!("incident {}: {because}", incident.short());
        self.record(Record::IncidentMoved { incident, state, because });
        let kind = if false_alarm { AlertKind::Retracted } else { AlertKind::Resolved };
        self.tell_incident(incident, Severity::High, kind, text);
    }

    /// Orders that are not out yet are not sent any more; those that are out are followed to their end.
    pub(super) fn withdraw_orders(&mut self, incident: IncidentId, because: &str) {
        // What this very step was about to hand out is not out.
        let engine = &mut *self.engine;
        self.effects.retain(|it| match it {
            Effect::Dispatch { order, .. } if order.incident == incident => {
                engine.in_flight.remove(&order.key);
                false
            }
            _ => true,
        });
        let waiting =
            self.engine.state.orders.values().filter(|it| {
                it.order.incident == incident && it.outcome.is_none() && it.attempts == 0
            });
        let keys = waiting.map(|it| it.order.key);
        let keys: Vec<OrderKey> = keys.filter(|it| !self.engine.may_be_out(it)).collect();
        for key in keys {
            let outcome = Outcome::Failed { reason: because.to_owned() };
            self.record(Record::Settled { key, outcome });
        }
    }

    /// Actions that are not ordered for this incident again: under way, effective, refused, or failed
    /// too often.
    fn under_way(&self, incident: &Incident) -> BTreeSet<String> {
        let orders = incident.orders.iter().filter_map(|key| self.engine.state.orders.get(key));
        let max = self.engine.limits.orders_failed_max;
        orders
            .filter(|it| {
                !it.came_to_nothing() || self.failed_orders(incident.id, &it.order.action) >= max
            })
            .map(|it| it.order.action.clone())
            .collect()
    }
}

/// How far the finding's rule may go. A rule that is not in the plan (an external finding, say) only
/// alerts.
fn mode_of(step: &Step<'_>, finding: &Finding) -> Mode {
    step.engine.plan.rule(&finding.rule).map_or(Mode::Alert, |it| it.mode)
}

/// Orders that are out, about to go, or had an effect. What came to nothing uses up no cooldown.
fn past_orders(state: &State, now: Timestamp) -> Vec<PastOrder> {
    let used = |it: &&OrderState| match &it.outcome {
        None => it.attempts > 0 || it.is_released(now),
        Some(Outcome::Effective { .. }) => true,
        Some(_) => false,
    };
    let past = |it: &OrderState| PastOrder {
        action: it.order.action.clone(),
        at: it.order.decided_at,
        automatic: it.order.autonomy != Autonomy::Propose,
        doubt: doubt(state, it),
    };
    state.orders.values().filter(used).map(past).collect()
}

/// Probability that an order was for nothing: as it was decided, until its incident is closed.
fn doubt(state: &State, it: &OrderState) -> Probability {
    match state.incidents.get(&it.order.incident).map(|it| it.state) {
        Some(IncidentState::FalseAlarm) => Probability::CERTAIN,
        Some(IncidentState::Closed) => Probability::NEVER,
        _ => it.doubt,
    }
}

/// Blocks between the finding's block and the head of its chain.
fn age(state: &State, finding: &Finding) -> u64 {
    if finding.stage == Stage::Pending {
        return 0;
    }
    let head = state.head(finding.block.chain);
    head.map_or(0, |head| head.number.saturating_sub(finding.block.number))
}

/// Whether two ledgers come to the same: posterior and verdicts.
fn same_decision(a: &Ledger, b: &Ledger) -> bool {
    let verdicts = |it: &Ledger| -> Vec<(String, Verdict)> {
        it.options.iter().map(|line| (line.action.clone(), line.verdict.clone())).collect()
    };
    a.posterior == b.posterior && a.chosen == b.chosen && verdicts(a) == verdicts(b)
}

/// Whether two ledgers order the same, and hold the same back: what fades with each block is no news.
fn same_outcome(a: &Ledger, b: &Ledger) -> bool {
    let kinds = |it: &Ledger| -> Vec<std::mem::Discriminant<Verdict>> {
        it.options.iter().map(|line| std::mem::discriminant(&line.verdict)).collect()
    };
    a.chosen == b.chosen && kinds(a) == kinds(b)
}
