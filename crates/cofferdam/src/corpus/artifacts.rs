//! Creation code of the scenes and attacks, embedded; built and checked by `drills/corpus/bin/build`.

use std::collections::BTreeMap;

use alloy_primitives::Bytes;
use serde::Deserialize;

use super::failed;
use crate::replay::ReplayError;

const ARTIFACTS: &str = include_str!("../../../../drills/corpus/artifacts.json");

/// All of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Artifacts {
    /// The flash lender.
    pub(super) bank: Bytes,
    /// Runs somebody else's code as its own.
    pub(super) relay: Bytes,
    /// By class; scenes of ordinary life have no attack.
    #[serde(flatten)]
    pub(super) classes: BTreeMap<String, Class>,
}

/// One class.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Class {
    /// The victims and their users.
    pub(super) scene: Bytes,
    /// The attacker; empty if nobody attacks here.
    pub(super) attack: Bytes,
}

/// The artifacts.
pub(super) fn artifacts() -> Result<Artifacts, ReplayError> {
    serde_json::from_str(ARTIFACTS).map_err(|it| failed("artifacts.json", it))
}
