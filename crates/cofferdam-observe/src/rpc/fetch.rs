//! Fetching one block with its receipts and traces from one endpoint.

use std::time::Duration;

use alloy_primitives::B256;
use cofferdam_core::{ChainId, Observation, evidence::Tracing};
use serde_json::{Value, json, value::RawValue};

use super::{
    check, convert,
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
    health::{Head, TraceSupport},
    options::{RpcOptions, TracePolicy},
    trace::{self, Asked, Traced},
    wire::{RpcBlock, RpcHead, RpcHeader, RpcReceipt},
};

const BY_NUMBER: &str = "eth_getBlockByNumber";
const BY_HASH: &str = "eth_getBlockByHash";
const RECEIPTS: &str = "eth_getBlockReceipts";
pub(crate) const TRACE: &str = "debug_traceBlockByHash";

/// A block whose receipts are still to be fetched.
pub(crate) struct Fetched {
    pub(crate) block: RpcBlock,
    raw: Box<RawValue>,
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
    /// The block at `number` with full transactions, the newest if `None`. `Ok(None)` if the node
    /// does not have it.
    pub(crate) async fn block(&self, number: Option<u64>) -> Result<Option<Fetched>, RpcFault> {
        let tag = number.map_or_else(|| "latest".to_owned(), |it| format!("{it:#x}"));
        let raw = self.endpoint.request(BY_NUMBER, json!([tag, true]), self.limit).await?;
        if raw.get() == "null" {
            return Ok(None);
        }
        let block: RpcBlock = self.parse(BY_NUMBER, &raw)?;
        if let Some(number) = number
            && block.number.to::<u64>() != number
        {
            let text = format!("asked for block {number}, got {}", block.number);
            return Err(self.endpoint.malformed(BY_NUMBER, text));
        }
        if self.options.checks.header_hash {
            check::header(raw.get(), block.hash)
                .map_err(|reason| self.endpoint.malformed(BY_NUMBER, reason))?;
        }
        Ok(Some(Fetched { block, raw }))
    }

    /// The header of the block with `hash`.
    pub(crate) async fn header(&self, hash: B256) -> Result<RpcHeader, RpcFault> {
        let raw = self.endpoint.request(BY_HASH, json!([hash, false]), self.limit).await?;
        let header: Option<RpcHeader> = self.parse(BY_HASH, &raw)?;
        let header = header.ok_or_else(|| self.not_yet(BY_HASH, "a block of the new branch is"))?;
        if header.hash != hash {
            let text = format!("asked for block {hash}, got {}", header.hash);
            return Err(self.endpoint.malformed(BY_HASH, text));
        }
        if self.options.checks.header_hash {
            check::header(raw.get(), hash)
                .map_err(|reason| self.endpoint.malformed(BY_HASH, reason))?;
        }
        Ok(header)
    }

    /// The header of the canonical block at `number`, as far as the node has one.
    pub(crate) async fn header_at(&self, number: u64) -> Result<Option<RpcHeader>, RpcFault> {
        let params = json!([format!("{number:#x}"), false]);
        let raw = self.endpoint.request(BY_NUMBER, params, self.limit).await?;
        let header: Option<RpcHeader> = self.parse(BY_NUMBER, &raw)?;
        match header {
            Some(it) if it.number.to::<u64>() != number => {
                let text = format!("asked for block {number}, got {}", it.number);
                Err(self.endpoint.malformed(BY_NUMBER, text))
            }
            other => Ok(other),
        }
    }

    /// Adds receipts and, if wanted, traces.
    pub(crate) async fn complete(&self, fetched: Fetched) -> Result<Observation, RpcFault> {
        let Fetched { block, raw } = fetched;
        // The text is no longer needed and may be megabytes.
        drop(raw);
        let hash = block.hash;
        // Without transactions there is nothing to ask for; the empty root is checked below.
        let empty = block.transactions.is_empty();
        let (receipts, traces) = futures_util::future::join(
            async { if empty { Ok(Vec::new()) } else { self.receipts(hash).await } },
            async {
                let wanted = self.options.traces == TracePolicy::Node && !self.without_traces;
                if empty || !wanted { Ok(None) } else { self.traces(hash).await }
            },
        )
        .await;
        let checks = self.options.checks;
        let mut observation = convert::observation(self.chain, block, receipts?, checks)
            .map_err(|reason| self.endpoint.malformed(RECEIPTS, reason))?;
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

    /// Traces of every transaction of a block, `None` if the node serves none.
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
        let mut traces = match self.trace(hash, Asked::Calls).await {
            Err(fault) if fault.kind.is_unsupported() => {
                learn(TraceSupport::None);
                return Ok(None);
            }
            other => other?,
        };
        if !self.options.state_diffs {
            return Ok(Some(traces));
        }
        if support == TraceSupport::CallsOnly {
            return Ok(Some(traces));
        }
        match self.trace(hash, Asked::Diffs).await {
            Err(fault) if fault.kind.is_unsupported() => learn(TraceSupport::CallsOnly),
            other => {
                trace::add_diffs(&mut traces, other?)
                    .map_err(|reason| self.endpoint.malformed(TRACE, reason))?;
                learn(TraceSupport::Separate);
            }
        }
        Ok(Some(traces))
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

/// An announced or fetched head.
pub(crate) fn parse_head(raw: &RawValue) -> Result<Head, String> {
    let head: RpcHead =
        serde_json::from_str(raw.get()).map_err(|error| format!("malformed head: {error}"))?;
    Ok(Head { number: head.number.to(), hash: head.hash })
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
        Asked::Diffs => json!({ "tracer": "prestateTracer", "tracerConfig": diffs }),
        Asked::Both => json!({
            "tracer": "muxTracer",
            "tracerConfig": { "callTracer": calls, "prestateTracer": diffs },
        }),
    }
}
