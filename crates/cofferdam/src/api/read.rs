//! Handlers that look.

use std::collections::BTreeSet;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use cofferdam_core::{FindingId, IncidentId, OrderKey, Timestamp, incident::Ledger};
use cofferdam_respond::{Case, CaseId, Moment, clocks};
use cofferdam_signing::approval::tally;
use serde::Serialize;
use serde_json::Value;

use super::{
    ApiError, Desk, Fault, ballot,
    book::{Book, Ordered, is_over},
    guard::Call,
    view::{
        CaseView, Decision, OrderLine, Overview, Page, Readiness, Room, Term, Weighed, case_line,
        count, finding_line, incident_line,
    },
};

/// Items of a list, without another wish and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 500;
/// The furthest place in a list.
const SKIP_MAX: usize = 10_000_000;

type Answer = Result<Response, ApiError>;

pub(crate) fn json<T: Serialize>(it: &T) -> Response {
    Json(it).into_response()
}

pub(crate) fn none(what: &str) -> ApiError {
    ApiError::new(Fault::NotFound, format!("there is no such {what}"))
}

/// What of a list is wanted: how many to pass over, and how many then.
fn window(call: &Call) -> Result<(usize, usize), ApiError> {
    Ok((call.asked("skip", 0, SKIP_MAX)?, call.asked("limit", LIMIT, LIMIT_MAX)?))
}

fn page<A, T>(all: &[A], (skip, limit): (usize, usize), line: impl Fn(&A) -> T) -> Page<T> {
    Page { total: all.len(), items: all.iter().skip(skip).take(limit).map(line).collect() }
}

pub(crate) async fn overview(call: Call) -> Answer {
    let desk = &call.desk;
    let health = desk.board.read();
    let book = desk.book()?;
    let readiness = desk.plan.actions.iter().map(|it| {
        let because = book.readiness.get(&it.id).cloned().unwrap_or_default();
        let contains = it.contains.clone();
        Readiness { action: it.id.clone(), contains, ready: because.is_empty(), because }
    });
    let mut open: Vec<_> = book.incidents.values().filter(|it| !is_over(it)).collect();
    open.sort_by_key(|it| std::cmp::Reverse((it.opened_at, it.id)));
    let incidents = open.iter().take(LIMIT).map(|it| incident_line(it, book.cases.of(&it.id)));
    let waits =
        |it: &&Ordered| it.outcome.is_none() && it.attempts == 0 && it.order.expires_at > call.now;
    let waiting = book.orders.values().filter(waits).take(LIMIT);
    let heads = desk.plan.chains.iter().map(|it| {
        let id = it.id.to_string();
        let head = health.heads.get(&id).copied();
        (id, head)
    });
    Ok(json(&Overview {
        name: desk.plan.name.clone(),
        now: call.now,
        seq: book.seq,
        healthy: health.healthy,
        blind: health.blind.clone(),
        degraded: health.degraded.clone(),
        heads: heads.collect(),
        readiness: readiness.collect(),
        incidents: incidents.collect(),
        waiting: waiting.map(|it| order_line(desk, it, call.now)).collect::<Result<_, _>>()?,
    }))
}

pub(crate) async fn incidents(call: Call) -> Answer {
    let book = call.desk.book()?;
    let mut all: Vec<_> = book.incidents.values().collect();
    all.sort_by_key(|it| std::cmp::Reverse((it.opened_at, it.id)));
    let line = |it: &&cofferdam_core::incident::Incident| incident_line(it, book.cases.of(&it.id));
    Ok(json(&page(&all, window(&call)?, line)))
}

pub(crate) async fn incident(call: Call) -> Answer {
    let id = IncidentId(call.id("incident")?);
    let book = call.desk.book()?;
    let it = book.incidents.get(&id).ok_or_else(|| none("incident"))?;
    let case = book.cases.of(&id);
    let mut findings: Vec<_> =
        book.findings.values().filter(|it| it.incident == Some(id)).collect();
    findings.sort_by_key(|it| std::cmp::Reverse((it.finding.block.time, it.finding.id)));
    let seen: BTreeSet<OrderKey> = it.orders.iter().copied().collect();
    let orders = seen.iter().filter_map(|it| book.orders.get(it));
    let orders = orders.map(|it| order_line(&call.desk, it, call.now));
    let ledger = book.ordered.get(&id).or(it.ledger.as_ref());
    Ok(json(&Room {
        line: incident_line(it, case),
        now: call.now,
        actors: it.actors.iter().map(ToString::to_string).collect(),
        findings: page(&findings, (0, LIMIT), |it| finding_line(it)),
        decision: ledger.map(decision),
        orders: orders.collect::<Result<_, _>>()?,
        case: case.map(|it| case_view(it, call.now, (0, LIMIT))),
    }))
}

pub(crate) async fn findings(call: Call) -> Answer {
    let book = call.desk.book()?;
    let mut all: Vec<_> = book.findings.values().collect();
    all.sort_by_key(|it| std::cmp::Reverse((it.finding.block.time, it.finding.id)));
    Ok(json(&page(&all, window(&call)?, |it| finding_line(it))))
}

pub(crate) async fn finding(call: Call) -> Answer {
    let id = FindingId(call.id("finding")?);
    let book = call.desk.book()?;
    let it = book.findings.get(&id).ok_or_else(|| none("finding"))?;
    Ok(json(&finding_line(it)))
}

pub(crate) async fn orders(call: Call) -> Answer {
    let book = call.desk.book()?;
    let mut all: Vec<_> = book.orders.values().collect();
    all.sort_by_key(|it| std::cmp::Reverse((it.order.decided_at, it.order.key)));
    let (skip, limit) = window(&call)?;
    let items = all.iter().skip(skip).take(limit);
    let items = items.map(|it| order_line(&call.desk, it, call.now));
    Ok(json(&Page { total: all.len(), items: items.collect::<Result<Vec<_>, _>>()? }))
}

pub(crate) async fn order(call: Call) -> Answer {
    let key = OrderKey(call.id("order")?);
    let book = call.desk.book()?;
    Ok(json(&order_line(&call.desk, found(&book, key)?, call.now)?))
}

/// An order of the book.
pub(crate) fn found(book: &Book, key: OrderKey) -> Result<&Ordered, ApiError> {
    book.orders.get(&key).ok_or_else(|| none("order"))
}

pub(crate) async fn cases(call: Call) -> Answer {
    let book = call.desk.book()?;
    let mut all: Vec<_> = book.cases.all().values().collect();
    all.sort_by_key(|it| std::cmp::Reverse((it.opened, it.id)));
    Ok(json(&page(&all, window(&call)?, |it| case_line(it))))
}

pub(crate) async fn case(call: Call) -> Answer {
    let id = CaseId(call.id("case")?);
    let book = call.desk.book()?;
    let it = book.cases.get(&id).ok_or_else(|| none("case"))?;
    Ok(json(&case_view(it, call.now, window(&call)?)))
}

pub(crate) fn case_view(case: &Case, now: Timestamp, window: (usize, usize)) -> CaseView {
    let mut moments: Vec<&Moment> = case.moments.iter().collect();
    moments.sort_by_key(|it| std::cmp::Reverse((it.at, it.seq)));
    let moment = |it: &&Moment| serde_json::to_value(it).unwrap_or(Value::Null);
    let roles = case.roles.iter().filter(|it| !it.1.is_empty());
    let roles = roles.map(|(role, who)| (role.word().to_owned(), who.iter().cloned().collect()));
    CaseView {
        line: case_line(case),
        now,
        roles: roles.collect(),
        tasks: case.tasks.values().cloned().collect(),
        clocks: clocks(case, now),
        timeline: page(&moments, window, moment),
    }
}

pub(crate) fn order_line(desk: &Desk, it: &Ordered, now: Timestamp) -> Result<OrderLine, ApiError> {
    let Ordered { order, .. } = it;
    let value = |it: serde_json::Result<Value>| it.unwrap_or(Value::Null);
    let question = ballot::question(desk.console.chain, order)?;
    let rules = desk.plan.action(&order.action).map(|it| ballot::rules(&desk.plan, it));
    // An action that is in the plan no more cannot be approved any more.
    let rules = rules.unwrap_or_else(ballot::nobody);
    let people = rules.people.iter().map(|it| it.name.clone()).collect();
    let counted = tally(&question, &rules, &it.votes, now);
    Ok(OrderLine {
        key: order.key.to_string(),
        incident: order.incident.to_string(),
        action: order.action.clone(),
        chain: order.chain.to_string(),
        call: value(serde_json::to_value(&order.call)),
        self_expiring: order.self_expiring,
        autonomy: value(serde_json::to_value(order.autonomy)),
        decided_at: order.decided_at,
        expires_at: order.expires_at,
        attempts: it.attempts,
        held: it.held.clone(),
        outcome: it.outcome.as_ref().map(|it| value(serde_json::to_value(it))),
        count: count(counted, people),
    })
}

fn decision(it: &Ledger) -> Decision {
    let term = |it: &cofferdam_core::incident::Term| Term {
        name: it.name.clone(),
        value: match &it.interval {
            Some((low, high)) => format!("{} ({low} to {high})", it.value),
            None => it.value.to_string(),
        },
        source: it.source.clone(),
    };
    let weighed = |it: &cofferdam_core::incident::OptionLine| Weighed {
        action: it.action.clone(),
        avoided: it.avoided.to_string(),
        cost: it.cost.to_string(),
        threshold: it.threshold.to_string(),
        net: it.net.to_string(),
        verdict: verdict(&it.verdict),
    };
    Decision {
        at: it.at,
        prior: it.prior.to_string(),
        posterior: it.posterior.to_string(),
        chosen: it.chosen.clone(),
        terms: it.terms.iter().map(term).collect(),
        options: it.options.iter().map(weighed).collect(),
        flips: it.flips.clone(),
    }
}

fn verdict(it: &cofferdam_core::incident::Verdict) -> String {
    use cofferdam_core::incident::Verdict;
    match it {
        Verdict::Act => "act".into(),
        Verdict::Propose => "propose".into(),
        Verdict::BelowThreshold => "below its threshold".into(),
        Verdict::Dominated => "another one is better".into(),
        Verdict::Withheld(why) => format!("withheld: {why}"),
    }
}
