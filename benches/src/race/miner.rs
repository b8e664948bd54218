//! Makes blocks at the right moment, over a socket of its own.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

use super::seconds;
use crate::{Failure, arena::Arena, ipc::Ipc};

/// How long before the moment it stops sleeping.
const SPIN: Duration = Duration::from_millis(2);

/// The only one who makes blocks once it has taken over.
pub(super) struct Miner {
    ipc: Arc<Mutex<Ipc>>,
    /// Date of the last block, in seconds.
    last: u64,
}

impl Miner {
    pub(super) fn connect(socket: &Path) -> Result<Self, Failure> {
        Ok(Self { ipc: Arc::new(Mutex::new(Ipc::connect(socket)?)), last: 0 })
    }

    /// Goes on after the blocks that others made.
    pub(super) async fn take_over(&mut self, arena: &Arena) -> Result<(), Failure> {
        let block = arena.node.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        self.last = number(&block["timestamp"])?;
        self.prepare()
    }

    /// Dates the next block, so that building it is one request.
    pub(super) fn prepare(&mut self) -> Result<(), Failure> {
        self.last = seconds().max(self.last + 1);
        self.ask("evm_setNextBlockTimestamp", &json!([self.last]))?;
        Ok(())
    }

    /// Builds a block now; returns its height.
    pub(super) fn build(&self) -> Result<u64, Failure> {
        self.ask("evm_mine", &json!([]))?;
        number(&self.ask("eth_blockNumber", &json!([]))?)
    }

    /// Builds a block at `due`, on a thread that does not sleep at the end.
    pub(super) async fn build_at(&self, due: Instant) -> Result<u64, Failure> {
        let ipc = Arc::clone(&self.ipc);
        tokio::task::spawn_blocking(move || {
            let mut ipc = ipc.lock().unwrap_or_else(PoisonError::into_inner);
            std::thread::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(SPIN));
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            ipc.ask("evm_mine", &json!([]))?;
            number(&ipc.ask("eth_blockNumber", &json!([]))?)
        })
        .await?
    }

    /// Senders and hashes of a block's transactions, in order.
    pub(super) fn block(&self, height: u64) -> Result<Vec<(Address, B256)>, Failure> {
        let block = self.ask("eth_getBlockByNumber", &json!([format!("{height:#x}"), true]))?;
        let txs = block["transactions"].as_array().ok_or("a block without transactions")?;
        let tx = |it: &Value| -> Result<_, Failure> {
            let text = |name: &str| it[name].as_str().ok_or("a transaction is malformed");
            Ok((text("from")?.parse()?, text("hash")?.parse()?))
        };
        txs.iter().map(tx).collect()
    }

    fn ask(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        self.ipc.lock().unwrap_or_else(PoisonError::into_inner).ask(method, params)
    }
}

fn number(value: &Value) -> Result<u64, Failure> {
    let digits = value.as_str().and_then(|it| it.strip_prefix("0x")).ok_or("not a number")?;
    Ok(u64::from_str_radix(digits, 16)?)
}
