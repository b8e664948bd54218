//! Handlers that change a case.
//!
//! **Invariant:** what is answered is read back after it became durable; who did it is who was let in, never what the
//! body says.

use axum::response::Response;
use cofferdam_core::Timestamp;
use cofferdam_respond::{CaseId, Command, Refusal, Role};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ApiError, Fault, guard::Call, read};

/// Moments of the timeline in an answer.
const MOMENTS: usize = 100;

/// Nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Which role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeRole {
    role: RoleName,
    /// Gives it up instead.
    #[serde(default)]
    release: bool,
}

/// A role in a case.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RoleName {
    Commander,
    Scribe,
    Comms,
    Signer,
    Counsel,
}

/// Something to be done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    title: String,
    /// Who is to do it, by their name in the plan.
    #[serde(default)]
    owner: Option<String>,
    /// By when, in milliseconds since 1970.
    #[serde(default)]
    due: Option<u64>,
}

/// What becomes of a task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "to", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum MoveTask {
    /// You do it.
    Take,
    /// It is done.
    Finish,
    /// It is not to be done.
    Drop {
        /// Why.
        because: String,
    },
}

/// What no program saw.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    text: String,
    /// When it happened, in milliseconds since 1970; left out, now.
    #[serde(default)]
    at: Option<u64>,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            Self::Commander => Role::Commander,
            Self::Scribe => Role::Scribe,
            Self::Comms => Role::Comms,
            Self::Signer => Role::Signer,
            Self::Counsel => Role::Counsel,
        }
    }
}

type Answer = Result<Response, ApiError>;

/// Has a command judged, written and read back.
async fn carry_out(call: &Call, command: Command) -> Answer {
    let id = CaseId(call.id("case")?);
    let turn = call.desk.turn().await?;
    let records = {
        let book = call.desk.book()?;
        let events = book.cases.command(call.now, id, call.who.name(), command).map_err(refused)?;
        let records = events.iter().map(|it| it.record(id)).collect::<Result<Vec<_>, _>>();
        records.map_err(|it| ApiError::new(Fault::Refused, it.to_string()))?
    };
    turn.say(records, Vec::new()).await?;
    let book = call.desk.book()?;
    let case = book.cases.get(&id).ok_or_else(|| read::none("case"))?;
    Ok(read::json(&read::case_view(case, call.now, (0, MOMENTS))))
}

fn refused(it: Refusal) -> ApiError {
    let fault = match it {
        Refusal::NoCase | Refusal::NoTask(_) => Fault::NotFound,
        Refusal::Text(_) | Refusal::Future(_) => Fault::Malformed,
        _ => Fault::Refused,
    };
    ApiError::new(fault, it.to_string())
}

pub(crate) async fn acknowledge(call: Call) -> Answer {
    let Nothing {} = call.json()?;
    carry_out(&call, Command::Acknowledge).await
}

pub(crate) async fn role(call: Call) -> Answer {
    let TakeRole { role, release } = call.json()?;
    let (role, person) = (role.role(), call.person()?.clone());
    if !release && !person.has(role.word()) {
        let message = format!("the plan does not have you as {}", role.word());
        return Err(ApiError::new(Fault::NotAllowed, message));
    }
    let person = person.id.clone();
    let command = match release {
        true => Command::Release { role, person },
        false => Command::Assign { role, person },
    };
    carry_out(&call, command).await
}

pub(crate) async fn task(call: Call) -> Answer {
    let NewTask { title, owner, due } = call.json()?;
    if owner.as_ref().is_some_and(|it| call.desk.people.by_name(it).is_none()) {
        return Err(ApiError::new(Fault::Malformed, "the plan has nobody of the owner's name"));
    }
    let due = due.map(Timestamp);
    carry_out(&call, Command::AddTask { title, owner, due, csf: None }).await
}

pub(crate) async fn move_task(call: Call) -> Answer {
    let number = call.number("task")?;
    let command = match call.json()? {
        MoveTask::Take => Command::TakeTask(number),
        MoveTask::Finish => Command::FinishTask(number),
        MoveTask::Drop { because } => Command::DropTask { number, because },
    };
    carry_out(&call, command).await
}

pub(crate) async fn note(call: Call) -> Answer {
    let Note { text, at } = call.json()?;
    let at = at.map_or(call.now, Timestamp);
    carry_out(&call, Command::Note { at, text, csf: None }).await
}
