//! The generic plan over every scene: the same rules for all of them, from addresses, assets, prices and
//! roles; nothing of any attack.

use alloy::sol;
use alloy_primitives::Address;
use cofferdam_core::plan::Plan;
use cofferdam_detect::DETECTORS;

use super::{failed, stage::Stage};
use crate::replay::{CONFIGURED, ReplayError};

/// The chain of the corpus in CAIP-2.
const CHAIN: &str = "eip155:31337";
/// Announced upgrades that are written into the calendar, from the first on.
const UPGRADES: u64 = 24;

sol! {
    /// When a contract is upgraded in the ordinary course: the first time, the time between two, how long one may take.
    function upgrades() external view returns (address what, uint256 first, uint256 every, uint256 lasting);
    /// The governor of the protocol with its executor and vote token, if there is one.
    function governor() external view returns (address account, address executor, address votes);
}

/// The plan for `stage`.
pub(super) fn plan(stage: &Stage) -> Result<Plan, ReplayError> {
    let (mut entities, mut actions) = (Vec::new(), Vec::new());
    let (mut calendar, mut governors) = (Vec::new(), Vec::new());
    for scene in &stage.scenes {
        let accounts: Vec<String> = scene.accounts.iter().map(caip).collect();
        let assets = scene.assets.iter().map(|it| {
            let token = match it.token {
                Address::ZERO => "native".to_owned(),
                token => format!("{token:#x}"),
            };
            let micro = it.price.to::<u128>();
            let price = format!("{}.{:06} usd", micro / 1_000_000, micro % 1_000_000);
            serde_json::json!({ "token": token, "symbol": it.symbol, "decimals": it.decimals, "price": price })
        });
        let assets: Vec<_> = assets.collect();
        actions.push(pause(&scene.class, &accounts));
        entities
            .push(serde_json::json!({ "id": scene.class, "accounts": accounts, "assets": assets }));
        let upgrades = stage.view(scene.address, upgradesCall {})?;
        let number = |it: alloy_primitives::U256| it.to::<u64>();
        for nth in (0..UPGRADES).filter(|_| upgrades.what != Address::ZERO) {
            let from = number(upgrades.first) + nth * number(upgrades.every);
            calendar.push(serde_json::json!({
                "contract": caip(&upgrades.what), "not-before": from,
                "not-after": from + number(upgrades.lasting), "reason": "announced upgrade",
            }));
        }
        let governor = stage.view(scene.address, governorCall {})?;
        if governor.account != Address::ZERO {
            governors.push(serde_json::json!({
                "account": caip(&governor.account), "executor": caip(&governor.executor),
                "votes": caip(&governor.votes),
            }));
        }
    }
    let generic = DETECTORS.iter().map(|it| it.meta.id).filter(|it| !CONFIGURED.contains(it));
    let rule = |it: &str| serde_json::json!({ "id": it, "detector": it, "settings": {}, "mode": "automatic" });
    let mut rules: Vec<_> = generic.map(rule).collect();
    if !governors.is_empty() {
        rules.push(serde_json::json!({
            "id": "governance", "detector": "governance", "mode": "automatic",
            "settings": { "governors": governors },
        }));
    }
    let json = serde_json::json!({
        "version": 1, "name": "corpus",
        "chains": [{ "id": CHAIN, "block-time": "12s", "finality-blocks": 8, "reorg-blocks-max": 8 }],
        "entities": entities, "rules": rules, "actions": actions, "calendar": calendar,
    });
    serde_json::from_value(json).map_err(|it| failed("the generic plan is wrong", it))
}

fn caip(it: &Address) -> String {
    format!("{CHAIN}:{it:#x}")
}

/// An automatic pause that costs what the drills say: 500 dollars and 100 more an hour, for four hours.
fn pause(class: &str, accounts: &[String]) -> serde_json::Value {
    serde_json::json!({
        "id": format!("pause-{class}"),
        "rung": "pause-market",
        "contains": [class],
        "call": { "via": "direct", "target": accounts.first(), "function": "pause", "relayer": "relayer" },
        "autonomy": { "level": "act" },
        "cost": { "fixed": "500 usd", "per-hour": "100 usd", "duration": "4h" },
    })
}
