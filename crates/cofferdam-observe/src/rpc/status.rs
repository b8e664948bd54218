//! How a chain's source and its endpoints fare, for views, `/health` and `/metrics`.

use std::fmt::Write as _;

use cofferdam_core::ChainId;
use serde::Serialize;

use super::health::TraceSupport;

/// How an endpoint tells of new blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    /// Not at all now.
    #[default]
    Down,
    /// By subscription.
    Subscribed,
    /// It is asked again and again.
    Polled,
}

/// How an endpoint fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointStatus {
    /// Scheme and host.
    pub endpoint: String,
    /// Whether its last request succeeded and it neither asked for a pause nor was caught lying. True
    /// before the first request.
    pub healthy: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Height of the newest block it told of.
    pub head: Option<u64>,
    /// How many blocks it is behind the best endpoint of its chain.
    pub lag_blocks: Option<u64>,
    /// How it tells of new blocks.
    pub feed: Feed,
    /// Mean time to an answer in microseconds, newer ones weighing more.
    pub latency_us: Option<u64>,
    /// Requests sent since start; a batch counts as one.
    pub requests: u64,
    /// Failed requests since start, pauses asked for included.
    pub faults: u64,
    /// How often it served something that contradicts its own hashes.
    pub contradictions: u64,
    /// Blocks at which it has another block than the one that was delivered.
    pub disagreements: u64,
    /// How often its subscription stayed connected but told nothing.
    pub stalls: u64,
    /// Milliseconds for which it asked to be left alone, from now.
    pub paused_ms: Option<u64>,
    /// Why it is asked last, if it is.
    pub demoted: Option<String>,
    /// The last error, kept after recovery.
    pub last_error: Option<String>,
    /// How long ago that was, in milliseconds.
    pub last_error_ms_ago: Option<u64>,
    /// What it serves for traces.
    pub traces: TraceSupport,
}

/// How a source fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChainStatus {
    /// The chain.
    pub chain: ChainId,
    /// The newest delivered block.
    pub delivered: Option<u64>,
    /// The newest block that any endpoint told of, watched also while older ones are filled in.
    pub head: Option<u64>,
    /// How many blocks there are to deliver up to the head.
    pub behind: u64,
    /// The filling in of missed blocks under way, if it is.
    pub backfill: Option<Backfill>,
    /// Why the next block cannot be had, if it cannot.
    pub holding: Option<String>,
    /// The endpoints, in order of preference.
    pub endpoints: Vec<EndpointStatus>,
}

/// Progress in filling in the blocks that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Backfill {
    /// The first block that was missing.
    pub from: u64,
    /// How many were delivered since.
    pub done: u64,
    /// How many are left up to the head as it is known now.
    pub left: u64,
    /// Milliseconds since it began.
    pub elapsed_ms: u64,
}

/// Prometheus text format, version 0.0.4, of `statuses`; one source per chain.
pub fn prometheus(statuses: &[ChainStatus]) -> String {
    let mut out = String::new();
    let chains = |value: fn(&ChainStatus) -> Option<u64>| {
        let line = move |it: &ChainStatus| Some((format!("chain=\"{}\"", it.chain), value(it)?));
        statuses.iter().filter_map(line).collect::<Vec<_>>()
    };
    let endpoints = |value: fn(&EndpointStatus) -> Option<u64>| {
        let lines = move |chain: &ChainStatus| {
            let labels = |it: &EndpointStatus| {
                format!("chain=\"{}\",endpoint=\"{}\"", chain.chain, escaped(&it.endpoint))
            };
            let lines = chain.endpoints.iter().filter_map(|it| Some((labels(it), value(it)?)));
            lines.collect::<Vec<_>>()
        };
        statuses.iter().flat_map(lines).collect::<Vec<_>>()
    };
    let mut family = |name: &str, kind: &str, help: &str, lines: Vec<(String, u64)>| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP cofferdam_{name} {help}\n# TYPE cofferdam_{name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(out, "cofferdam_{name}{{{labels}}} {value}");
        }
    };
    family("chain_head_block", "gauge", "newest block any endpoint told of", chains(|it| it.head));
    family("chain_delivered_block", "gauge", "newest delivered block", chains(|it| it.delivered));
    let behind = chains(|it| Some(it.behind));
    family("chain_behind_blocks", "gauge", "blocks to deliver up to the head", behind);
    let holding = chains(|it| Some(it.holding.is_some().into()));
    family("chain_holding", "gauge", "1 while the next block cannot be had", holding);
    let up = endpoints(|it| Some(it.healthy.into()));
    family("endpoint_healthy", "gauge", "1 if the last request succeeded and was honest", up);
    let lag = endpoints(|it| it.lag_blocks);
    family("endpoint_lag_blocks", "gauge", "blocks behind the best endpoint", lag);
    let latency = endpoints(|it| it.latency_us);
    family("endpoint_latency_microseconds", "gauge", "mean time to an answer", latency);
    let requests = endpoints(|it| Some(it.requests));
    family("endpoint_requests_total", "counter", "requests sent", requests);
    let faults = endpoints(|it| Some(it.faults));
    family("endpoint_faults_total", "counter", "failed requests", faults);
    let lies = endpoints(|it| Some(it.contradictions));
    family("endpoint_contradictions_total", "counter", "answers that break their own hashes", lies);
    let others = endpoints(|it| Some(it.disagreements));
    family("endpoint_disagreements_total", "counter", "blocks other than the delivered", others);
    let stalls = endpoints(|it| Some(it.stalls));
    family("endpoint_stalls_total", "counter", "silent but connected subscriptions", stalls);
    out
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
