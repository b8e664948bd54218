//! Fetching one block with its receipts and traces from one endpoint.

use std::time::Duration;

use alloy_primitives::B256;
use cofferdam_core::{ChainId, Observation, evidence::Tracing};
use serde_json::{Value, json, value::RawValue};

use super::{
    check, convert,
    cursor::Wanted,
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
    health::{Head, TraceSupport},
    options::{RpcOptions, TracePolicy},
    trace::{self, Asked, Traced},
    wire::{RpcBlock, RpcHead, RpcReceipt},
};

const BY_NUMBER: &str = "eth_getBlockByNumber";
const BY_HASH: &str = "eth_getBlockByHash";
const RECEIPTS: &str = "eth_getBlockReceipts";
pub(crate) const TRACE: &str = "debug_traceBlockByHash";

/// A block whose receipts may still be to be fetched.
pub(crate) struct Fetched {
    block: RpcBlock,
    raw: Box<RawValue>,
    receipts: Option<Vec<RpcReceipt>>,
}

impl Fetched {
    /// Number, hash and parent.
    pub(crate) fn place(&self) -> (u64, B256, B256) {
        (self.block.number.to(), self.block.hash, self.block.parent_hash)
    }

    pub(crate) fn head(&self) -> Head {
        let (number, hash, parent) = self.place();
        Head { number, hash, parent, receipts_root: Some(self.block.receipts_root) }
    }
}

/// One endpoint, asked with one set of time limits.
#[derive(Clone, Copy)]
pub(crate) struct Fetcher<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) chain: ChainId,
    pub(crate) options: &'a RpcOptions,
    /// Time limit of one request.
    pub(crate) limit: Duration,
    /// Leave traces out: they failed too often for this block.
    pub(crate) without_traces: bool,
}

impl Fetcher<'_> {
    /// The block that is wanted, with full transactions. `Ok(None)` if the node does not have it.
    pub(crate) async fn block(&self, wanted: Wanted) -> Result<Option<Fetched>, RpcFault> {
        let tag = wanted.number.map_or_else(|| "latest".to_owned(), |it| format!("{it:#x}"));
        let (method, params) = match wanted.hash {
            Some(hash) => (BY_HASH, json!([hash, true])),
            None => (BY_NUMBER, json!([tag, true])),
        };
        let raw = self.endpoint.request(method, params, self.limit).await?;
        if raw.get() == "null" {
            return Ok(None);
        }
        let block: RpcBlock = self.parse(method, &raw)?;
        let number = block.number.to::<u64>();
        if let Some(wanted) = wanted.number.filter(|it| *it != number) {
            let text = format!("asked for block {wanted}, got {number}");
            return Err(self.endpoint.contradicted(method, text));
        }
        if let Some(wanted) = wanted.hash.filter(|it| *it != block.hash) {
            let text = format!("asked for block {wanted}, got {}", block.hash);
            return Err(self.endpoint.contradicted(method, text));
        }
        self.hashes_to(method, &raw, block.hash)?;
        Ok(Some(Fetched { block, raw, receipts: None }))
    }

    /// The header of the block with `hash`.
    pub(crate) async fn header(&self, hash: B256) -> Result<Head, RpcFault> {
        let raw = self.endpoint.request(BY_HASH, json!([hash, false]), self.limit).await?;
        let header: Option<RpcHead> = self.parse(BY_HASH, &raw)?;
        let header = header.ok_or_else(|| self.not_yet(BY_HASH, "a block of the new branch is"))?;
        if header.hash != hash {
            let text = format!("asked for block {hash}, got {}", header.hash);
            return Err(self.endpoint.contradicted(BY_HASH, text));
        }
        self.hashes_to(BY_HASH, &raw, hash)?;
        Ok(header.into())
    }

    /// The newest block.
    pub(crate) async fn newest(&self) -> Result<Head, RpcFault> {
        head(self.endpoint, self.limit).await
    }

    /// The header of the canonical block at `number`, as far as the node has one.
    pub(crate) async fn header_at(&self, number: u64) -> Result<Option<Head>, RpcFault> {
        let params = json!([format!("{number:#x}"), false]);
        let raw = self.endpoint.request(BY_NUMBER, params, self.limit).await?;
        let header: Option<RpcHead> = self.parse(BY_NUMBER, &raw)?;
        let Some(header) = header else { return Ok(None) };
        if header.number.to::<u64>() != number {
            let text = format!("asked for block {number}, got {}", header.number);
            return Err(self.endpoint.contradicted(BY_NUMBER, text));
        }
        self.hashes_to(BY_NUMBER, &raw, header.hash)?;
        Ok(Some(header.into()))
    }

    /// Whether the header served is the one its hash says, if that is to be checked.
    fn hashes_to(&self, method: &'static str, raw: &RawValue, hash: B256) -> Result<(), RpcFault> {
        if !self.options.checks.header_hash {
            return Ok(());
        }
        check::header(raw.get(), hash).map_err(|reason| self.endpoint.contradicted(method, reason))
    }

    /// The block that is wanted and, at the same time, the receipts of block `announced`, which it
    /// probably is: half the way to a block that was announced.
    pub(crate) async fn block_with_receipts(
        &self,
        wanted: Wanted,
        announced: B256,
    ) -> Result<Option<Fetched>, RpcFault> {
        // Without the block its receipts are of no use: they are not waited for then.
        let receipts = async { Ok(self.receipts(announced).await) };
        let (block, receipts) =
            futures_util::future::try_join(self.block(wanted), receipts).await?;
        let Some(mut fetched) = block else { return Ok(None) };
        if fetched.block.hash == announced {
            fetched.receipts = Some(receipts?);
        }
        Ok(Some(fetched))
    }

    /// Adds receipts and, if wanted, traces.
    pub(crate) async fn complete(&self, fetched: Fetched) -> Result<Observation, RpcFault> {
        let Fetched { block, raw, receipts } = fetched;
        // The text is no longer needed and may be megabytes.
        drop(raw);
        let hash = block.hash;
        // Without transactions there is nothing to ask for; the empty root is checked below.
        let empty = block.transactions.is_empty();
        let (receipts, traces) = futures_util::future::join(
            async {
                match receipts {
                    Some(receipts) => Ok(receipts),
                    None if empty => Ok(Vec::new()),
                    None => self.receipts(hash).await,
                }
            },
            async {
                let wanted = self.options.traces == TracePolicy::Node && !self.without_traces;
                if empty || !wanted { Ok(None) } else { self.traces(hash).await }
            },
        )
        .await;
        let checks = self.options.checks;
        let mut observation = convert::observation(self.chain, block, receipts?, checks)
            .map_err(|reason| self.endpoint.contradicted(RECEIPTS, reason))?;
        if let Some(traces) = traces? {
            trace::attach(&mut observation, traces)
                .map_err(|reason| self.endpoint.malformed(TRACE, reason))?;
        } else if self.without_traces {
            for tx in &mut observation.txs {
                tx.tracing = Tracing::Incomplete { missing: Vec::new(), count: 1 };
            }
        }
        Ok(observation)
    }

    async fn receipts(&self, hash: B256) -> Result<Vec<RpcReceipt>, RpcFault> {
        let params = json!([{ "blockHash": hash }]);
        let raw = self.endpoint.request(RECEIPTS, params, self.limit).await?;
        let receipts: Option<Vec<RpcReceipt>> = self.parse(RECEIPTS, &raw)?;
        receipts.ok_or_else(|| self.not_yet(RECEIPTS, "receipts are"))
    }

    /// Traces of every transaction of a block, `None` if the node does not serve in one call what is
    /// wanted of them.
    async fn traces(&self, hash: B256) -> Result<Option<Vec<Traced>>, RpcFault> {
        let support = self.endpoint.with_health(|it| it.traces);
        if support == TraceSupport::None {
            return Ok(None);
        }
        let learn = |it| self.endpoint.with_health(|health| health.traces = it);
        let combined = matches!(support, TraceSupport::Unknown | TraceSupport::Combined);
        if self.options.state_diffs && combined {
            match self.trace(hash, Asked::Both).await {
                Ok(traces) => {
                    learn(TraceSupport::Combined);
                    return Ok(Some(traces));
                }
                // A node without the combined tracer refuses or answers something else.
                Err(fault) if fault.kind.is_connection() || support == TraceSupport::Combined => {
                    return Err(fault);
                }
                Err(_) => {}
            }
        }
        // Diffs by a call of their own would be a fourth one: our own execution has them too.
        if self.options.state_diffs {
            learn(TraceSupport::CallsOnly);
            return Ok(None);
        }
        match self.trace(hash, Asked::Calls).await {
            Err(fault) if fault.kind.is_unsupported() => {
                learn(TraceSupport::None);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    async fn trace(&self, hash: B256, asked: Asked) -> Result<Vec<Traced>, RpcFault> {
        let limit = self.options.trace_timeout;
        let mut tracer = tracer(asked);
        if let Some(map) = tracer.as_object_mut() {
            map.insert("timeout".to_owned(), json!(format!("{}ms", limit.as_millis())));
        }
        let raw = self.endpoint.request(TRACE, json!([hash, tracer]), limit).await?;
        trace::parse(Box::<str>::from(raw).into_string(), asked)
            .await
            .map_err(|reason| self.endpoint.malformed(TRACE, reason))
    }

    fn parse<T: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        raw: &RawValue,
    ) -> Result<T, RpcFault> {
        serde_json::from_str(raw.get())
            .map_err(|error| self.endpoint.malformed(method, format!("malformed answer: {error}")))
    }

    fn not_yet(&self, method: &'static str, what: &'static str) -> RpcFault {
        self.endpoint.fault(method, FaultKind::NotYet { what })
    }
}

/// The newest block of `endpoint`.
pub(crate) async fn head(endpoint: &Endpoint, limit: Duration) -> Result<Head, RpcFault> {
    let raw = endpoint.request(BY_NUMBER, json!(["latest", false]), limit).await?;
    parse_head(&raw).map_err(|reason| endpoint.malformed(BY_NUMBER, reason))
}

/// The block that `endpoint` has at `number`, if it has one.
pub(crate) async fn head_at(
    endpoint: &Endpoint,
    number: u64,
    limit: Duration,
) -> Result<Option<Head>, RpcFault> {
    let params = json!([format!("{number:#x}"), false]);
    let raw = endpoint.request(BY_NUMBER, params, limit).await?;
    if raw.get() == "null" {
        return Ok(None);
    }
    let head = parse_head(&raw).map_err(|reason| endpoint.malformed(BY_NUMBER, reason))?;
    Ok((head.number == number).then_some(head))
}

/// An announced or fetched head.
pub(crate) fn parse_head(raw: &RawValue) -> Result<Head, String> {
    let head: RpcHead =
        serde_json::from_str(raw.get()).map_err(|error| format!("malformed head: {error}"))?;
    Ok(head.into())
}

/// Asks for traces of the newest block, to learn early that a node serves none.
pub(crate) async fn probe_traces(endpoint: &Endpoint, hash: B256, limit: Duration) {
    let params = json!([hash, tracer(Asked::Calls)]);
    match endpoint.request(TRACE, params, limit).await {
        Err(fault) if fault.kind.is_unsupported() => {
            tracing::info!(%endpoint, "node serves no traces");
            endpoint.with_health(|it| it.traces = TraceSupport::None);
        }
        // The node may have been replaced by one that serves them.
        Ok(_) => endpoint.with_health(|it| {
            if it.traces == TraceSupport::None {
                it.traces = TraceSupport::Unknown;
            }
        }),
        Err(_) => {}
    }
}

fn tracer(asked: Asked) -> Value {
    let calls = json!({ "withLog": true });
    let diffs = json!({ "diffMode": true });
    match asked {
        Asked::Calls => json!({ "tracer": "callTracer", "tracerConfig": calls }),
        Asked::Both => json!({
            "tracer": "muxTracer",
            "tracerConfig": { "callTracer": calls, "prestateTracer": diffs },
        }),
    }
}
