//! What the tests share: a scripted node, an anvil process, and waiting for events.

pub(crate) mod anvil;
pub(crate) mod chain;
pub(crate) mod follower;
pub(crate) mod here;
pub(crate) mod http;
pub(crate) mod node;

use std::{sync::Arc, time::Duration};

use cofferdam_core::{
    ChainId, Observation,
    ports::{BlockSource, SourceError, SourceEvent},
};
use cofferdam_observe::rpc::{Endpoint, EndpointPool, RpcOptions, RpcSource, Start};

/// Nothing in these tests takes longer on a working machine, however busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The chain of the scripted node.
pub(crate) const CHAIN: ChainId = ChainId(31_337);

/// Options for a chain with quick blocks, patient enough for a busy machine.
pub(crate) fn options() -> RpcOptions {
    RpcOptions {
        request_timeout: PATIENCE / 3,
        trace_timeout: PATIENCE / 3,
        stall_after: None,
        ..RpcOptions::new(Duration::from_millis(200))
    }
}

/// The same with little patience, for nodes that hang.
pub(crate) fn hasty() -> RpcOptions {
    RpcOptions { request_timeout: Duration::from_millis(700), ..options() }
}

pub(crate) fn pool(urls: &[&str]) -> Arc<EndpointPool> {
    EndpointPool::new(CHAIN, urls.iter().copied()).unwrap()
}

pub(crate) fn source(urls: &[&str], options: RpcOptions, start: Option<Start>) -> RpcSource {
    RpcSource::start(pool(urls), options, start)
}

/// A source over nodes in this process.
pub(crate) fn source_over(
    endpoints: Vec<Endpoint>,
    options: RpcOptions,
    start: Option<Start>,
) -> RpcSource {
    RpcSource::start(EndpointPool::of(CHAIN, endpoints).unwrap(), options, start)
}

/// Options of a chain with a block every two seconds, as they are by default.
pub(crate) fn defaults() -> RpcOptions {
    RpcOptions::new(Duration::from_secs(2))
}

pub(crate) async fn event(source: &mut RpcSource) -> Result<SourceEvent, SourceError> {
    tokio::time::timeout(PATIENCE, source.next()).await.expect("an event in time")
}

/// The next event, which must be a block. Witnesses of earlier ones are passed over.
pub(crate) async fn block(source: &mut RpcSource) -> Observation {
    loop {
        match event(source).await {
            Ok(SourceEvent::Block(it)) => return it,
            Ok(SourceEvent::Witnessed { .. }) => {}
            other => panic!("expected a block, got {other:?}"),
        }
    }
}

/// The next block after any number of blind events.
pub(crate) async fn block_at_last(source: &mut RpcSource) -> Observation {
    loop {
        match event(source).await {
            Ok(SourceEvent::Block(it)) => return it,
            Ok(SourceEvent::Blind { .. } | SourceEvent::Witnessed { .. }) => {}
            other => panic!("expected a block, got {other:?}"),
        }
    }
}

/// The next event, which must be blindness: from which block, and why.
pub(crate) async fn blind(source: &mut RpcSource) -> (u64, String) {
    loop {
        match event(source).await {
            Ok(SourceEvent::Blind { from, because }) => return (from, because),
            Ok(SourceEvent::Witnessed { .. }) => {}
            other => panic!("expected blindness, got {other:?}"),
        }
    }
}

/// The numbers of the next `count` blocks.
pub(crate) async fn numbers(source: &mut RpcSource, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(block(source).await.block.number);
    }
    numbers
}
