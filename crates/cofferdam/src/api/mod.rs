//! The API and the console of the running program.
//!
//! **Invariant:** the loop never waits for anything here: what is read is the fold of a reader beside it, what is
//! written goes through the bounded [`Door`] to the journal and is durable before it is answered.
//!
//! **Invariant:** there is no request that changes something and needs neither a person's session nor a token, and none
//! that releases an order without a wallet's signature.

mod ballot;
mod book;
mod change;
mod console;
mod desk;
mod error;
mod events;
mod guard;
mod meter;
mod openapi;
mod read;
mod session;
mod sign_in;
mod table;
mod view;
mod vote;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{ConnectInfo, RawPathParams, Request, rejection::RawPathParamsRejection},
    middleware::map_response,
    response::IntoResponse,
    routing::{MethodFilter, get, on},
};
use cofferdam_core::{plan::Plan, ports::Journal};
use tokio::task::JoinSet;

pub(crate) use desk::Desk;
pub(crate) use error::{ApiError, Fault};

use crate::runtime::{Caller, Door, health::Board};

/// The API of a plan that has a console.
#[derive(Clone, Debug)]
pub struct Api(Arc<Desk>);

impl Api {
    /// The API, its reader at work in `tasks`; `None` if the plan has no console, or if there is no randomness for
    /// its sessions, which is logged.
    pub fn start(plan: &Plan, board: Board, door: Door, tasks: &mut JoinSet<()>) -> Option<Self> {
        let console = plan.console.clone()?;
        let secret = sign_in::entropy()
            .inspect_err(|_| tracing::error!("no console: there is no randomness for its sessions"))
            .ok()?;
        let desk = Desk::new(Arc::new(plan.clone()), console, (board, door), &secret);
        let desk = Arc::new(desk);
        desk.tend(tasks);
        Some(Self(desk))
    }

    /// Reads this journal from now on; `None` lets go of it, so that it can be opened anew.
    pub fn follow(&self, journal: Option<Arc<dyn Journal>>) {
        self.0.follow(journal);
    }

    /// Everything it serves. The listener must tell who calls ([`Caller`]).
    pub fn routes(&self) -> Router {
        let document = openapi::document(self.0.cookie_name());
        let mut router = Router::new();
        for entry in table::TABLE {
            let Ok(filter) = MethodFilter::try_from(entry.method.clone()) else { continue };
            let desk = self.0.clone();
            let handler = move |ConnectInfo(caller): ConnectInfo<Caller>,
                                params: Result<RawPathParams, RawPathParamsRejection>,
                                request: Request| async move {
                let params = params.map_err(|_| ApiError::new(Fault::NotFound, "no such path"))?;
                let params = params.iter().map(|it| (it.0.to_owned(), it.1.to_owned())).collect();
                let asked = guard::Asked { caller, params, request };
                guard::guard(desk, entry, asked).await
            };
            router = router.route(entry.path, on(filter, handler));
        }
        router
            .route("/openapi.json", get(move || async move { Json(document) }))
            .merge(console::routes())
            .fallback(|| async {
                ApiError::new(Fault::NotFound, "there is nothing here").into_response()
            })
            .method_not_allowed_fallback(|| async {
                ApiError::new(Fault::Method, "this is not done here").into_response()
            })
            .layer(map_response(console::careful))
    }
}
