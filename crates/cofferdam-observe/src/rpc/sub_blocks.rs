//! The block in the making, for chains that tell of it several times per block (OP Stack Flashblocks:
//! every 200 ms, by the `pending` tag).
//!
//! **Invariant:** best effort, like pending transactions; the block itself is delivered by the walk
//! when it is made, whatever was told here.

use std::{sync::Arc, time::Duration};

use alloy_primitives::U64;
use cofferdam_core::ports::Boxed;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{endpoint::Endpoint, fault::RpcFault, pending::Shared, race::race, wire::RpcTx};

const BY_NUMBER: &str = "eth_getBlockByNumber";
/// Most transactions taken of one block in the making.
const TXS_MAX: usize = 50_000;

/// What is needed of a block in the making: most of its header is not settled yet.
#[derive(Deserialize)]
pub(super) struct RpcSubBlock {
    /// Left open by some nodes.
    number: Option<U64>,
    transactions: Vec<RpcTx>,
}

/// Asks for the block in the making every `every` until the consumer is gone. Starts after the first
/// block.
pub(crate) async fn watch(shared: Arc<Shared>, every: Duration) {
    if shared.tip().wait_for(Option::is_some).await.is_err() {
        return;
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.is_closed() {
        ticks.tick().await;
        let mut fault = None;
        let judge =
            |endpoint: Arc<Endpoint>, answer: Result<Option<RpcSubBlock>, RpcFault>| match answer {
                Ok(it) => Some(it),
                Err(it) => {
                    endpoint.note_fault(&it);
                    fault.get_or_insert(it);
                    None
                }
            };
        let limit = shared.limit();
        let ask =
            |it: Arc<Endpoint>| -> Boxed<'_, _> { Box::pin(async move { look(&it, limit).await }) };
        let found = race(shared.pool().in_order(0), BY_NUMBER, ask, judge).await;
        match (found, fault) {
            (Some(it), _) => take(&shared, it).await,
            (None, Some(fault)) => {
                shared.say_blind(format!("the block in the making cannot be seen: {fault}")).await;
            }
            (None, None) => {}
        }
    }
}

async fn look(endpoint: &Endpoint, limit: Duration) -> Result<Option<RpcSubBlock>, RpcFault> {
    let raw = endpoint.request(BY_NUMBER, json!(["pending", true]), limit).await?;
    serde_json::from_str(raw.get())
        .map_err(|error| endpoint.malformed(BY_NUMBER, format!("malformed answer: {error}")))
}

/// Delivers what was not delivered before, in the order of the block.
async fn take(shared: &Shared, block: Option<RpcSubBlock>) {
    let Some(block) = block else { return };
    let tip = shared.tip().borrow().as_ref().map(|it| it.block.number);
    // A node without a block in the making answers with the newest one.
    if block.number.map(|it| it.to::<u64>()).zip(tip).is_some_and(|(number, tip)| number <= tip) {
        return;
    }
    let count = block.transactions.len();
    if count > TXS_MAX {
        let text = format!("the block in the making has {count} transactions, {TXS_MAX} are taken");
        shared.say_blind(text).await;
    }
    for tx in block.transactions.into_iter().take(TXS_MAX) {
        if let Err(because) = shared.deliver_new(tx).await {
            shared.say_blind(format!("a transaction of the block in the making: {because}")).await;
        }
    }
}
