//! Everything the API offers, once: the routes and the OpenAPI document are both made of this table.
//!
//! **Invariant:** what is not in the table is not served, and what is served is in the document.

use std::{future::Future, pin::Pin};

use axum::{http::Method, response::Response};
use cofferdam_core::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{ApiError, Desk, change, events, guard::Call, read, sign_in, view, vote};

/// The answer of a handler.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;
/// Names a type in the document.
pub(crate) type Named = fn(&mut SchemaGenerator) -> Schema;

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Everybody the plan names.
    Read,
    /// People with a role, and machines that may respond.
    Respond,
    /// People with a role, or with a veto.
    Person,
}

impl Access {
    /// Whether an address may ask for this once more: what is open to everybody is open more rarely.
    pub(crate) fn pass(self, desk: &Desk, now: Timestamp, address: &str) -> bool {
        self != Self::Open || desk.sign_ins.takes(now, address)
    }

    /// In words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Open => "Everybody may.",
            Self::Read => "Every person and machine of the plan may.",
            Self::Respond => "People with a role may, and machines that may respond.",
            Self::Person => "People with a role or a veto may.",
        }
    }
}

/// One thing it offers.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) method: Method,
    /// With `{name}` for what varies.
    pub(crate) path: &'static str,
    pub(crate) about: &'static str,
    pub(crate) access: Access,
    /// Numbers of the query.
    pub(crate) query: &'static [&'static str],
    /// What is sent.
    pub(crate) body: Option<Named>,
    /// What is answered.
    pub(crate) gives: Named,
    pub(crate) run: fn(Call) -> Answer,
}

fn of<T: JsonSchema>(it: &mut SchemaGenerator) -> Schema {
    it.subschema_for::<T>()
}

const LIST: &[&str] = &["limit", "skip"];

macro_rules! entry {
    ($method:ident $path:literal $about:literal $access:ident $query:expr, $body:expr => $gives:ty, $run:path) => {
        Entry {
            method: Method::$method,
            path: $path,
            about: $about,
            access: Access::$access,
            query: $query,
            body: $body,
            gives: of::<$gives>,
            run: |call| Box::pin($run(call)),
        }
    };
}

/// The table.
pub(crate) static TABLE: &[Entry] = &[
    entry!(GET "/api/overview" "Blindness and readiness first, then what is open." Read &[], None => view::Overview, read::overview),
    entry!(GET "/api/incidents" "Every incident, newest first." Read LIST, None => view::Page<view::IncidentLine>, read::incidents),
    entry!(GET "/api/incidents/{incident}" "One incident: evidence, decision, orders, case." Read &[], None => view::Room, read::incident),
    entry!(GET "/api/findings" "Every finding, newest first." Read LIST, None => view::Page<view::FindingLine>, read::findings),
    entry!(GET "/api/findings/{finding}" "One finding with its evidence." Read &[], None => view::FindingLine, read::finding),
    entry!(GET "/api/orders" "Every order, newest first." Read LIST, None => view::Page<view::OrderLine>, read::orders),
    entry!(GET "/api/orders/{order}" "One order: what it does, who agreed." Read &[], None => view::OrderLine, read::order),
    entry!(GET "/api/cases" "Every case, newest first." Read LIST, None => view::Page<view::CaseLine>, read::cases),
    entry!(GET "/api/cases/{case}" "One case: roles, tasks, clocks, timeline." Read LIST, None => view::CaseView, read::case),
    entry!(GET "/api/events" "Changes as server-sent events: `change` says what to look at again, `sight` whether we see." Read &[], None => view::News, events::stream),
    entry!(GET "/api/session" "Who is signed in, and the token that changes are sent with." Read &[], None => view::SessionView, sign_in::show),
    entry!(POST "/api/session/message" "A message of EIP-4361 to be signed; it counts once and for five minutes." Open &[], Some(of::<sign_in::Address>) => sign_in::Text, sign_in::message),
    entry!(POST "/api/session" "Signs in with a signed message; the session is in the cookie." Open &[], Some(of::<sign_in::SignIn>) => view::SessionView, sign_in::sign_in),
    entry!(DELETE "/api/session" "Signs out." Read &[], None => view::Done, sign_in::sign_out),
    entry!(POST "/api/cases/{case}/acknowledge" "Says that you saw it." Respond &[], Some(of::<change::Nothing>) => view::CaseView, change::acknowledge),
    entry!(POST "/api/cases/{case}/roles" "Takes a role, or gives it up." Person &[], Some(of::<change::TakeRole>) => view::CaseView, change::role),
    entry!(POST "/api/cases/{case}/tasks" "Has something done." Respond &[], Some(of::<change::NewTask>) => view::CaseView, change::task),
    entry!(POST "/api/cases/{case}/tasks/{task}" "Takes, finishes or drops a task." Respond &[], Some(of::<change::MoveTask>) => view::CaseView, change::move_task),
    entry!(POST "/api/cases/{case}/notes" "Records what no program saw." Respond &[], Some(of::<change::Note>) => view::CaseView, change::note),
    entry!(POST "/api/orders/{order}/question" "What to sign in order to approve, deny or veto it." Person &[], Some(of::<vote::Ask>) => vote::Asked, vote::question),
    entry!(POST "/api/orders/{order}/votes" "Approves, denies or vetoes it with a signature." Person &[], Some(of::<vote::Say>) => view::OrderLine, vote::vote),
];
