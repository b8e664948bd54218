//! Handlers by which people release or refuse an order.
//!
//! **Invariant:** a vote is the signature of the person who is signed in, about the order as it stands, given just now
//! and never before; it is in the journal, whole, before it counts or is answered.

use alloy_primitives::{Address, Bytes};
use axum::response::Response;
use cofferdam_core::{OrderKey, Record, Timestamp, plan::Person};
use cofferdam_engine::Command;
use cofferdam_respond::CaseEvent;
use cofferdam_signing::approval::{
    Question, REASON_BYTES_MAX, Rules, State, VOTES_MAX, Verdict, Vote, tally,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApiError, Desk, Fault, ballot,
    book::{Book, Ordered, Signed},
    guard::Call,
    read,
};

/// How long after it was given a vote may arrive, in milliseconds.
const VOTE_AGE_MS_MAX: u64 = 300_000;

/// What a person says.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    Approve,
    Deny,
    Veto,
}

/// What somebody is about to say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    verdict: Word,
    /// Why; a refusal or veto needs one. One line of at most 1000 bytes.
    #[serde(default)]
    reason: String,
}

/// What to sign, with `eth_signTypedData_v4`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Asked {
    /// What it is about, for people.
    text: String,
    /// To be sent back with the signature.
    at: u64,
    /// To be sent back with the signature.
    expires: u64,
    /// What the wallet signs.
    typed: Value,
}

/// A signed vote.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Say {
    verdict: Word,
    #[serde(default)]
    reason: String,
    at: u64,
    expires: u64,
    /// The account that signed: `0x` and 40 hex digits.
    #[schemars(with = "String")]
    voter: Address,
    /// `0x` and 130 hex digits.
    #[schemars(with = "String")]
    signature: Bytes,
}

impl Word {
    fn verdict(self) -> Verdict {
        match self {
            Self::Approve => Verdict::Approve,
            Self::Deny => Verdict::Deny,
            Self::Veto => Verdict::Veto,
        }
    }
}

/// An order that is still open, with what is asked of people.
struct Open<'a> {
    ordered: &'a Ordered,
    question: Question,
    rules: Rules,
}

fn open<'a>(
    desk: &Desk,
    book: &'a Book,
    key: OrderKey,
    now: Timestamp,
) -> Result<Open<'a>, ApiError> {
    let refused = |text: &str| Err(ApiError::new(Fault::Refused, text));
    let ordered = read::found(book, key)?;
    let question = ballot::question(desk.console.chain, &ordered.order)?;
    let Some(action) = desk.plan.action(&ordered.order.action) else {
        return refused("its action is in the plan no more");
    };
    if ordered.outcome.is_some() {
        return refused("it is settled");
    }
    if now >= question.closes {
        return refused("its time is over");
    }
    Ok(Open { ordered, question, rules: ballot::rules(&desk.plan, action) })
}

/// Whether the plan lets `person` say this.
fn may(person: &Person, rules: &Rules, verdict: Verdict) -> Result<(), ApiError> {
    let no = |text: &str| Err(ApiError::new(Fault::NotAllowed, text));
    match verdict {
        Verdict::Veto if !person.veto => no("the plan gives you no veto"),
        Verdict::Approve | Verdict::Deny if !rules.roles.iter().any(|it| person.has(&it.name)) => {
            no("the plan gives you no role that releases this action")
        }
        _ => Ok(()),
    }
}

fn reasoned(verdict: Verdict, reason: &str) -> Result<(), ApiError> {
    let bad = |text: &str| Err(ApiError::new(Fault::Malformed, text));
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        return bad("the reason is not one line of at most 1000 bytes");
    }
    if verdict != Verdict::Approve && reason.trim().is_empty() {
        return bad("a refusal needs a reason");
    }
    Ok(())
}

pub(crate) async fn question(call: Call) -> Result<Response, ApiError> {
    let Ask { verdict, reason } = call.json()?;
    let verdict = verdict.verdict();
    reasoned(verdict, &reason)?;
    let book = call.desk.book()?;
    let key = OrderKey(call.id("order")?);
    let Open { question, rules, .. } = open(&call.desk, &book, key, call.now)?;
    may(call.person()?, &rules, verdict)?;
    let digest = digest(&rules)?;
    // A vote counts as long as its question is open.
    let (at, expires) = (call.now, question.closes);
    let typed = ballot::typed(&question, digest, (verdict, &reason), (at, expires));
    Ok(read::json(&Asked { text: question.text, at: at.0, expires: expires.0, typed }))
}

fn digest(rules: &Rules) -> Result<alloy_primitives::B256, ApiError> {
    rules.digest().map_err(|it| ApiError::new(Fault::Refused, it.to_string()))
}

pub(crate) async fn vote(call: Call) -> Result<Response, ApiError> {
    let said: Say = call.json()?;
    let key = OrderKey(call.id("order")?);
    let turn = call.desk.turn().await?;
    let (records, commands) = judge(&call, key, said)?;
    turn.say(records, commands).await?;
    let book = call.desk.book()?;
    let line = read::order_line(&call.desk, read::found(&book, key)?, crate::runtime::now())?;
    Ok(read::json(&line))
}

/// What a vote makes of the journal and of the engine.
fn judge(call: &Call, key: OrderKey, said: Say) -> Result<(Vec<Record>, Vec<Command>), ApiError> {
    let (person, now) = (call.person()?, crate::runtime::now());
    let not_counted = |text: &str| ApiError::new(Fault::NotCounted, text);
    let vote = Vote {
        verdict: said.verdict.verdict(),
        reason: said.reason,
        at: Timestamp(said.at),
        expires: Timestamp(said.expires),
        voter: said.voter,
        signature: said.signature,
    };
    reasoned(vote.verdict, &vote.reason)?;
    if !person.signs_with(vote.voter) {
        return Err(ApiError::new(Fault::NotAllowed, "this account is not one of yours"));
    }
    let book = call.desk.book()?;
    let Open { ordered, question, rules } = open(&call.desk, &book, key, now)?;
    may(person, &rules, vote.verdict)?;
    if ordered.votes.iter().any(|it| person.signs_with(it.voter) && it.at >= vote.at) {
        let text = "you said this, or something later, before";
        return Err(ApiError::new(Fault::Replayed, text));
    }
    if vote.at > now || now.since_ms(vote.at) > VOTE_AGE_MS_MAX {
        return Err(not_counted("it was not given within the last five minutes"));
    }
    if ordered.votes.len() >= VOTES_MAX {
        return Err(ApiError::new(Fault::Refused, "there are too many votes"));
    }
    question.verify(&rules, digest(&rules)?, &vote).map_err(not_counted)?;
    let commands = follows(ordered, &question, &rules, &vote, now);
    let case = book.cases.of(&ordered.order.incident).ok_or_else(|| read::none("case"))?;
    let event = CaseEvent::Voted {
        order: key,
        action: ordered.order.action.clone(),
        verdict: vote.verdict.as_str().to_owned(),
        reason: vote.reason.clone(),
        by: person.id.clone(),
        signed: written(Signed { question, rules, vote })?,
    };
    let record = event.record(case.id);
    Ok((vec![record.map_err(|it| ApiError::new(Fault::Refused, it.to_string()))?], commands))
}

fn written(signed: Signed) -> Result<Value, ApiError> {
    serde_json::to_value(signed).map_err(|it| ApiError::new(Fault::Refused, it.to_string()))
}

/// What the engine is told: a veto at once, approvals all together when they are enough. Until then they are nothing
/// that it would have to know.
fn follows(
    ordered: &Ordered,
    question: &Question,
    rules: &Rules,
    vote: &Vote,
    now: Timestamp,
) -> Vec<Command> {
    let key = ordered.order.key;
    let name = rules.person(vote.voter).map_or("", |it| it.name.as_str());
    if vote.verdict == Verdict::Veto {
        let (by, reason) = (name.to_owned(), vote.reason.clone());
        return vec![Command::Veto { key, by, reason }];
    }
    let mut votes = ordered.votes.clone();
    votes.push(vote.clone());
    let count = tally(question, rules, &votes, now);
    match count.state {
        State::Approved { .. } => {
            let missing = count.approving.difference(&ordered.approved).cloned();
            missing.map(|by| Command::Approve { key, by }).collect()
        }
        _ => Vec::new(),
    }
}
