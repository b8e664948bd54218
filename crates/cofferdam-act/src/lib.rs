//! Executors: prepare, dispatch and settle orders; signers and relayer lanes; notifiers.
//!
//! **Architecture invariant:** nothing here decides. An order comes in with its exact call, its
//! effect and its budget; this crate finds an authorisation for it, simulates, signs, sends, and reads
//! from state what became of it. There is no path to free calldata, value or delegatecall, and no key
//! or authorisation signature can be printed.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests"))]

mod abi;
pub mod bundle;
pub mod executor;
mod http;
pub mod notify;
pub mod readiness;
pub mod relay;
pub mod revert;
pub mod rpc;
pub mod signer;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use bundle::{Authorisation, Authorisations, Bundle, BundleError, Scope, Terms};
pub use executor::{
    Bid, Delivery, DeliveryState, Dispatch, DispatchError, EndpointStatus, Executor, FeePolicy,
    Fees, LaneState, LaneStatus, Policy, Preparation, PrepareError, Race, Ready, SettleError,
    SetupError, prepare,
};
pub use http::UrlError;
pub use readiness::{Readiness, prove};
pub use relay::BuilderRelay;
pub use revert::Revert;
pub use rpc::{ConnectError, RpcBroadcaster};
pub use signer::{Env, KeyError, LocalKey, SignError, Signer, load_relayer, load_signer};
