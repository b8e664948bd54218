//! Victims of the recorded exploits, and what they lost, measured from balances alone.
//!
//! **Invariant:** the measure knows nothing of detectors or findings: holdings before and after, at the
//! configured prices.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{Address, Bytes, U256, hex};
use cofferdam_core::{
    Observation, Usd,
    plan::{Asset, AssetId, Plan},
    read::StateRead,
    snapshot::Snapshot,
    trace::AttackTrace,
};
use cofferdam_observe::recorded::{RecordedFork, load_fork_cache, load_trace};
use cofferdam_sim::Act;
use serde::Deserialize;

use super::{ReplayError, plan, watcher::World};

/// Victims by case: contracts, assets, prices at the time. Facts, no judgement.
const VICTIMS: &str = include_str!("victims.json");
/// `balanceOf(address)`
const BALANCE_OF: [u8; 4] = hex!("70a08231");

/// What is protected in one case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Victim {
    /// File of the state before, without its ending.
    cache: String,
    chain: u64,
    /// The protected contracts.
    accounts: Vec<String>,
    assets: serde_json::Value,
    /// Whose holdings tell the loss, if not those of the contracts themselves.
    #[serde(default)]
    holders: Vec<Address>,
    /// Settings of detectors that concern the victim alone, by detector.
    #[serde(default)]
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
}

/// Every victim by the name of its case.
pub(super) fn victims() -> Result<BTreeMap<String, Victim>, ReplayError> {
    serde_json::from_str(VICTIMS).map_err(|it| ReplayError::new("victims.json", it))
}

impl Victim {
    /// The generic plan that protects it.
    pub(super) fn plan(&self) -> Result<Plan, ReplayError> {
        let caip = |it: &String| format!("eip155:{}:{it}", self.chain);
        let accounts: Vec<String> = self.accounts.iter().map(caip).collect();
        let entities =
            serde_json::json!([{ "id": "victim", "accounts": accounts, "assets": self.assets }]);
        plan(self.chain, entities, &self.settings)
    }

    /// The recorded attack, its attacker renamed by `seed`.
    pub(super) fn trace(
        &self,
        data: &Path,
        case: &str,
        seed: u64,
    ) -> Result<AttackTrace, ReplayError> {
        let path = data.join(format!("exploit-traces/{case}.json.zst"));
        load_trace(&path, seed).map_err(|it| ReplayError::new(case, it))
    }

    /// The state before it.
    pub(super) fn fork(&self, data: &Path) -> Result<RecordedFork, ReplayError> {
        let path = data.join(format!("exploit-fork-caches/rpc/{}.json.zst", self.cache));
        load_fork_cache(&path).map_err(|it| ReplayError::new(self.cache.clone(), it))
    }

    /// What it held before `block` and no longer holds after it, and what the attacker holds after it
    /// and did not before, in its assets at the configured prices; negative the other way round. A
    /// holding that is not known on both states counts as unchanged.
    pub(super) fn moved(
        &self,
        block: &Observation,
        before: &Snapshot,
        after: &Snapshot,
        act: &Act,
    ) -> Result<(Usd, Usd), ReplayError> {
        let assets: Vec<Asset> = serde_json::from_value(self.assets.clone())
            .map_err(|it| ReplayError::new("victims.json", it))?;
        let own = self.accounts.iter().filter_map(|it| it.parse().ok());
        let holders: Vec<Address> = match self.holders.as_slice() {
            [] => own.collect(),
            holders => holders.to_vec(),
        };
        let change = |holders: &[Address]| {
            let pairs = assets.iter().flat_map(|asset| holders.iter().map(move |it| (asset, *it)));
            let pairs: Vec<(&Asset, Address)> = pairs.collect();
            let reads: Vec<StateRead> = pairs.iter().map(|it| holding(it.0.token, it.1)).collect();
            let then = World::Act(act).answer(&reads, block, before)?;
            let now = World::Act(act).answer(&reads, block, after)?;
            let mut lost = Usd::ZERO;
            for ((asset, _), (then, now)) in pairs.iter().zip(then.iter().zip(&now)) {
                if let (Some(then), Some(now)) = (then.word(0), now.word(0)) {
                    let worth = |it: U256| Usd::of(it, asset.decimals, asset.price.0);
                    lost = lost.plus(worth(then)).minus(worth(now));
                }
            }
            Ok::<Usd, ReplayError>(lost)
        };
        Ok((change(&holders)?, Usd::ZERO.minus(change(act.attackers())?)))
    }
}

fn holding(asset: AssetId, account: Address) -> StateRead {
    match asset {
        AssetId::Native => StateRead::Balance(account),
        AssetId::Token(to) => {
            let data = [&BALANCE_OF[..], account.into_word().as_slice()].concat();
            StateRead::Call { to, data: Bytes::from(data) }
        }
    }
}
