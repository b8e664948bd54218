//! What people say of the jobs of a run.
//!
//! **Invariant:** an answer is somebody's whom the plan names: a question counts only with the signature of their
//! wallet, anything else with that or with a token of their own. Nobody says themselves who they are.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use cofferdam_core::{Timestamp, plan::Person};
use cofferdam_playbook::{Answer, Input, JobId};
use cofferdam_signing::approval::{SignedAnswer, variables_hash};
use serde::Deserialize;
use serde_json::{Value, json};

use super::live::{Live, Shared, bearer, message, not_taken};
use crate::{people::Holder, runtime::now};

/// What a person says of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    failed: Option<String>,
    #[serde(default)]
    evidence: Option<B256>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// The wallet's word for all of it.
    #[serde(default)]
    signed: Option<Seal>,
}

/// What makes an answer a signed one, see [`SignedAnswer`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    at: Timestamp,
    expires: Timestamp,
    signer: Address,
    signature: Bytes,
}

fn no(text: &str) -> Response {
    message(StatusCode::FORBIDDEN, text)
}

/// The person whose token came along.
fn holder(live: &Live, headers: &HeaderMap) -> Result<Arc<Person>, Response> {
    match live.people.by_token(bearer(headers).unwrap_or_default()) {
        Some(Holder::Person(it)) => Ok(it),
        _ => Err(message(StatusCode::UNAUTHORIZED, "the token is not a person's")),
    }
}

pub(super) async fn jobs(State(live): Shared, headers: HeaderMap) -> Response {
    if let Err(response) = holder(&live, &headers) {
        return response;
    }
    let held = live.held.lock().await;
    let open: Vec<Value> = held
        .run
        .open_jobs()
        .map(|(id, job)| json!({ "job": id, "work": job.work, "state": job.state }))
        .collect();
    let (run, chain) = (held.run.id, live.chain);
    Json(json!({ "run": run, "chain": chain, "held": held.run.held, "jobs": open })).into_response()
}

pub(super) async fn say(
    State(live): Shared,
    Path(job): Path<String>,
    headers: HeaderMap,
    Json(said): Json<Said>,
) -> Response {
    let Ok(job) = job.parse().map(JobId) else {
        return message(StatusCode::NOT_FOUND, "there is no such job");
    };
    let (person, signed) = match author(&live, &headers, job, &said).await {
        Ok(it) => it,
        Err(response) => return response,
    };
    if person.roles.is_empty() {
        return no("they may look and nothing else: the plan gives them no role");
    }
    if said.role.as_ref().is_some_and(|it| !person.has(it)) {
        return no("the plan does not give them this role");
    }
    let answer = Answer {
        by: person.id.clone(),
        role: said.role,
        channel: if signed.is_some() { "wallet" } else { "token" }.into(),
        evidence: said.evidence,
        failed: said.failed,
        variables: said.variables,
    };
    match live.take(Input::Answer { job, answer }, signed.as_ref()).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => not_taken(why),
    }
}

/// Who says it, with the signature that proves it if there is one.
async fn author(
    live: &Live,
    headers: &HeaderMap,
    job: JobId,
    said: &Said,
) -> Result<(Arc<Person>, Option<SignedAnswer>), Response> {
    let held = live.held.lock().await;
    let (run, question) = {
        let work = held.run.jobs.get(&job).map(|it| &it.work);
        (held.run.id.0, work.is_some_and(|it| it.quorum().is_some()))
    };
    drop(held);
    let Some(seal) = &said.signed else {
        let person = holder(live, headers)?;
        if question {
            return Err(no("a question is answered with the signature of a wallet"));
        }
        return Ok((person, None));
    };
    let variables = variables_hash(&said.variables);
    let variables = variables.map_err(|it| message(StatusCode::UNPROCESSABLE_ENTITY, it))?;
    let signed = SignedAnswer {
        chain: live.chain,
        run,
        job: job.0,
        role: said.role.clone().unwrap_or_default(),
        failed: said.failed.clone().unwrap_or_default(),
        evidence: said.evidence.unwrap_or_default(),
        variables,
        at: seal.at,
        expires: seal.expires,
        signer: seal.signer,
        signature: seal.signature.clone(),
    };
    signed.verify(now()).map_err(|why| no(&format!("the answer does not count: {why}")))?;
    match live.people.by_address(seal.signer) {
        Some(person) => Ok((person, Some(signed))),
        None => Err(no("the plan names nobody who signs with this account")),
    }
}
