//! The floor of any reaction: on notice of the attack, sign a containment and send it. No look at what
//! the attack does, no decision, no record.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    providers::{IpcConnect, Provider, ProviderBuilder},
    signers::{SignerSync as _, local::PrivateKeySigner},
};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use crate::{Failure, arena::CHAIN};

const GWEI: u128 = 1_000_000_000;

/// Gas limit, fee cap and tip of the answers: far above what an attacker of the arena bids.
pub(crate) const GAS: u64 = 300_000;
pub(crate) const MAX_FEE: u128 = 100 * GWEI;
pub(crate) const TIP: u128 = 50 * GWEI;

/// A responder that knows whom to answer. Ends when dropped.
pub(crate) struct Reflex {
    stop: Arc<Notify>,
    thread: Option<std::thread::JoinHandle<Result<(), Failure>>>,
}

/// What a responder answers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) key: B256,
    pub(crate) to: Address,
    pub(crate) input: Bytes,
    /// Nonce of the first answer.
    pub(crate) nonce: u64,
}

impl Reflex {
    /// Listens at `socket` and answers each transaction of `attacker`.
    pub(crate) async fn start(
        socket: PathBuf,
        attacker: Address,
        answer: Answer,
    ) -> Result<Self, Failure> {
        let stop = Arc::new(Notify::new());
        let (ready, is_ready) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("reflex".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    it = answer_all(&socket, attacker, answer, ready) => it,
                    () = ended.notified() => Ok(()),
                }
            })
        })?;
        is_ready.await.map_err(|_| "the reflex cannot listen")?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        self.stop.notify_one();
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            _ => Err("the reflex panicked".into()),
        }
    }
}

async fn answer_all(
    socket: &Path,
    attacker: Address,
    mut answer: Answer,
    ready: oneshot::Sender<()>,
) -> Result<(), Failure> {
    let node = ProviderBuilder::new().connect_ipc(IpcConnect::new(socket.to_owned())).await?;
    let mut pending = node.subscribe::<_, Value>(("newPendingTransactions", true)).await?;
    let _ = ready.send(());
    loop {
        let tx = pending.recv().await?;
        let from = tx["from"].as_str().and_then(|it| it.parse::<Address>().ok());
        if from == Some(attacker) {
            let raw = signed(&answer)?;
            answer.nonce += 1;
            let _: Value = node.raw_request("eth_sendRawTransaction".into(), json!([raw])).await?;
        }
    }
}

/// Signs an answer.
pub(crate) fn signed(answer: &Answer) -> Result<Bytes, Failure> {
    let signer = PrivateKeySigner::from_bytes(&answer.key)?;
    let tx = TxEip1559 {
        chain_id: CHAIN.0,
        nonce: answer.nonce,
        gas_limit: GAS,
        max_fee_per_gas: MAX_FEE,
        max_priority_fee_per_gas: TIP,
        to: TxKind::Call(answer.to),
        input: answer.input.clone(),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
}
