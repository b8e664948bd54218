//! Somebody beside the node who notes when it tells of blocks and pending transactions, by one clock.
//!
//! A reaction is measured from the notice of an attack to the notice of its answer on the same
//! connection, so the way from the node to us counts for nobody.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alloy::providers::{IpcConnect, Provider, ProviderBuilder};
use alloy_primitives::{Address, B256, Bytes};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::Failure;

/// Something that the node told.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A transaction entered the pool.
    Pending(Pooled),
    /// A block was made, with its height.
    Head(u64),
}

/// A transaction in the pool.
#[derive(Clone, Debug)]
pub(crate) struct Pooled {
    pub(crate) hash: B256,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) input: Bytes,
}

/// What the node told, in order, each with when it was noticed.
pub(crate) struct PoolWatch {
    seen: mpsc::UnboundedReceiver<(Instant, Seen)>,
}

impl PoolWatch {
    /// Begins to listen, on a thread of its own.
    pub(crate) async fn start(socket: &Path) -> Result<Self, Failure> {
        let (out, seen) = mpsc::unbounded_channel();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let socket = socket.to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("pool-watch".into()).spawn(move || {
            let outcome = runtime.block_on(listen(&socket, &out, ready));
            if let Err(error) = outcome {
                tracing_lost(&error);
            }
        })?;
        is_ready.await.map_err(|_| "the node cannot be watched")?;
        Ok(Self { seen })
    }

    /// The next pending transaction for which `wanted` holds, within `limit`.
    pub(crate) async fn pending(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&Pooled) -> bool,
    ) -> Option<(Instant, Pooled)> {
        let found = self.next(limit, |it| matches!(it, Seen::Pending(tx) if wanted(tx))).await?;
        match found.1 {
            Seen::Pending(tx) => Some((found.0, tx)),
            Seen::Head(_) => None,
        }
    }

    /// When block `height` was told, within `limit`.
    pub(crate) async fn head(&mut self, limit: Duration, height: u64) -> Option<Instant> {
        Some(self.next(limit, |it| matches!(it, Seen::Head(it) if *it == height)).await?.0)
    }

    /// Forgets what was told so far.
    pub(crate) fn forget(&mut self) {
        while self.seen.try_recv().is_ok() {}
    }

    async fn next(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Option<(Instant, Seen)> {
        let found = async {
            loop {
                let seen = self.seen.recv().await?;
                if wanted(&seen.1) {
                    return Some(seen);
                }
            }
        };
        tokio::time::timeout(limit, found).await.ok().flatten()
    }
}

/// What a benchmark measures with is gone: its next wait runs out and says so.
fn tracing_lost(error: &Failure) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "the node is watched no more: {error}");
}

async fn listen(
    socket: &Path,
    out: &mpsc::UnboundedSender<(Instant, Seen)>,
    ready: tokio::sync::oneshot::Sender<()>,
) -> Result<(), Failure> {
    let node = ProviderBuilder::new().connect_ipc(IpcConnect::new(socket.to_owned())).await?;
    let mut pending = node.subscribe::<_, Value>(("newPendingTransactions", true)).await?;
    let mut heads = node.subscribe::<_, Value>(("newHeads",)).await?;
    let _ = ready.send(());
    loop {
        let seen = tokio::select! {
            tx = pending.recv() => {
                let (at, tx) = (Instant::now(), tx?);
                (at, Seen::Pending(pooled(&tx).ok_or("a pending transaction is malformed")?))
            }
            head = heads.recv() => {
                let (at, head) = (Instant::now(), head?);
                let height = head["number"].as_str().and_then(|it| it.strip_prefix("0x"));
                let height = height.and_then(|it| u64::from_str_radix(it, 16).ok());
                (at, Seen::Head(height.ok_or("a head has no number")?))
            }
        };
        if out.send(seen).is_err() {
            return Ok(());
        }
    }
}

fn pooled(tx: &Value) -> Option<Pooled> {
    Some(Pooled {
        hash: tx["hash"].as_str()?.parse().ok()?,
        from: tx["from"].as_str()?.parse().ok()?,
        to: tx["to"].as_str().map_or(Some(Address::ZERO), |it| it.parse().ok())?,
        input: tx["input"].as_str()?.parse().ok()?,
    })
}
