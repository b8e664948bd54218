//! Handlers by which people sign in with a wallet (EIP-4361) and out again.
//!
//! **Invariant:** a message counts once, for this origin and chain, and for five minutes; signing in always opens a new
//! session and ends the one before.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use cofferdam_signing::siwe::{Expected, MESSAGE_BYTES_MAX, Message};
use ring::rand::{SecureRandom, SystemRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiError, Desk, Fault,
    guard::{Call, Who},
    read,
    session::{Entropy, NONCE_MS, Session},
    view::{Done, SessionView},
};

/// Who wants to sign in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    /// `0x` and 40 hex digits.
    #[schemars(with = "String")]
    address: alloy_primitives::Address,
}

/// What to sign, with `personal_sign`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Text {
    message: String,
}

/// A signed message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    message: String,
    /// `0x` and 130 hex digits.
    #[schemars(with = "String")]
    signature: alloy_primitives::Bytes,
}

type Answer = Result<Response, ApiError>;

/// Fresh random bytes.
///
/// # Errors
/// When the system has none.
pub(super) fn entropy() -> Result<Entropy, ApiError> {
    let mut out = [0; 32];
    let filled = SystemRandom::new().fill(&mut out);
    filled.map_err(|_| ApiError::new(Fault::NotReady, "there is no randomness"))?;
    Ok(out)
}

pub(crate) async fn message(call: Call) -> Answer {
    let Address { address } = call.json()?;
    let console = &call.desk.console;
    let nonce = call.desk.sessions().nonce(call.now, &entropy()?);
    let message = Message {
        scheme: None,
        domain: console.domain().to_owned(),
        address,
        statement: Some("Sign in to Cofferdam. This approves nothing.".to_owned()),
        uri: console.origin.clone(),
        chain: console.chain,
        nonce,
        issued_at: call.now.to_string(),
        expiration_time: Some(call.now.plus_ms(NONCE_MS).to_string()),
        not_before: None,
        request_id: None,
        resources: None,
    };
    Ok(read::json(&Text { message: message.text() }))
}

pub(crate) async fn sign_in(call: Call) -> Answer {
    let SignIn { message: text, signature } = call.json()?;
    let bad = |why: String| ApiError::new(Fault::NotCounted, format!("the message: {why}"));
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(bad("it is too long".into()));
    }
    let message = Message::parse(&text).map_err(|it| bad(it.to_string()))?;
    let (desk, console) = (&call.desk, &call.desk.console);
    let stale = || {
        let text = "its nonce was not given out, was used before or has expired";
        ApiError::new(Fault::Replayed, text)
    };
    if !desk.sessions().counts(call.now, &message.nonce) {
        return Err(stale());
    }
    let signature = alloy_primitives::Signature::from_raw(&signature);
    let signature = signature.map_err(|_| bad("it is not signed".into()))?;
    let expected = Expected {
        domain: console.domain(),
        uri: &console.origin,
        chain: console.chain,
        nonce: &message.nonce,
        now: call.now,
        age_max_ms: NONCE_MS,
    };
    message.verify(&signature, &expected).map_err(|it| bad(it.to_string()))?;
    let person = desk.people.by_address(message.address).ok_or_else(|| {
        ApiError::new(Fault::NotAllowed, "the plan names nobody who signs with this account")
    })?;
    let (cookie, csrf) = (entropy()?, entropy()?);
    let (value, session) = {
        let mut sessions = desk.sessions();
        // Under the same lock as the session it opens, and only by people of the plan: strangers can spend none.
        if !sessions.spend(call.now, &message.nonce) {
            return Err(stale());
        }
        if let Some(old) = &call.cookie {
            sessions.close(old);
        }
        let value = sessions.open(call.now, &person.id, (&cookie, &csrf));
        let session = sessions.find(call.now, &value);
        (value, session)
    };
    tracing::info!(person = %person.id, from = %call.caller.address, "signed in");
    let seconds = console.lasts.0 / 1_000;
    let view = seen(desk, &Who::Person(person, session));
    with_cookie(desk, read::json(&view), &value, seconds)
}

pub(crate) async fn sign_out(call: Call) -> Answer {
    if let Some(it) = &call.cookie {
        call.desk.sessions().close(it);
    }
    with_cookie(&call.desk, read::json(&Done { done: true }), "", 0)
}

pub(crate) async fn show(call: Call) -> Answer {
    Ok(read::json(&seen(&call.desk, &call.who)))
}

fn with_cookie(desk: &Desk, response: Response, value: &str, seconds: u64) -> Answer {
    let name = desk.cookie_name();
    let secure = if desk.console.is_https() { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let mut response = response.into_response();
    // Hex digits and our own words: always a header.
    let value = HeaderValue::from_str(&text);
    let value = value.map_err(|it| ApiError::new(Fault::Refused, it.to_string()))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}

fn seen(desk: &Desk, who: &Who) -> SessionView {
    let chain = desk.console.chain.0;
    let empty = SessionView {
        name: who.name().to_owned(),
        kind: "machine".to_owned(),
        roles: Vec::new(),
        veto: false,
        accounts: Vec::new(),
        csrf: None,
        until: None,
        chain,
    };
    match who {
        Who::Person(person, session) => SessionView {
            kind: "person".to_owned(),
            roles: person.roles.clone(),
            veto: person.veto,
            accounts: person.accounts.iter().map(|it| it.address.to_string()).collect(),
            csrf: session.as_ref().map(|it: &Session| it.csrf.clone()),
            until: session.as_ref().map(|it| it.until),
            ..empty
        },
        _ => empty,
    }
}
