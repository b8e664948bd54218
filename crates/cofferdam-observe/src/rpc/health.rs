//! How an endpoint fares: failures in a row, the newest block it told of, its last error.
//!
//! No I/O and no clock here: the time is an argument.

use std::time::Duration;

use alloy_primitives::B256;
use tokio::time::Instant;

use super::fault::{FaultKind, RpcFault};

/// First pause after a failure before the endpoint is preferred again; doubles with each failure.
const COOLDOWN_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause.
const COOLDOWN_MAX: Duration = Duration::from_secs(30);

/// The newest block an endpoint told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) hash: B256,
}

/// What a node serves for call trees and state diffs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TraceSupport {
    /// Not asked yet.
    #[default]
    Unknown,
    /// Both in one call, by the mux tracer.
    Combined,
    /// In one call each.
    Separate,
    /// Call trees, but no state diffs.
    CallsOnly,
    /// Nothing.
    None,
}

/// How an endpoint fares, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Scheme and host.
    pub endpoint: String,
    /// Whether its last request succeeded. True before the first request.
    pub healthy: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Height of the newest block it told of.
    pub head: Option<u64>,
    /// How many blocks it is behind the best endpoint of its chain.
    pub lag_blocks: Option<u64>,
    /// The last error, kept after recovery.
    pub last_error: Option<String>,
    /// What it serves for traces.
    pub traces: TraceSupport,
}

#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: u32,
    not_before: Option<Instant>,
    head: Option<Head>,
    last_error: Option<String>,
    wrong_chain: bool,
    pub(crate) traces: TraceSupport,
}

impl Health {
    pub(crate) fn success(&mut self) {
        self.failures = 0;
        self.not_before = None;
        self.wrong_chain = false;
    }

    pub(crate) fn failure(&mut self, fault: &RpcFault, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let factor = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.not_before = Some(now + COOLDOWN_FIRST.saturating_mul(factor).min(COOLDOWN_MAX));
        self.last_error = Some(fault.to_string());
        self.wrong_chain = matches!(fault.kind, FaultKind::WrongChain { .. });
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.head
    }

    pub(crate) fn saw_head(&mut self, head: Head) -> bool {
        let changed = self.head != Some(head);
        self.head = Some(head);
        changed
    }

    /// Notes that the node has `head`, which may be older than the newest it told of.
    pub(crate) fn at_least(&mut self, head: Head) {
        if self.head.is_none_or(|it| it.number <= head.number) {
            self.head = Some(head);
        }
    }

    /// Whether it serves another chain than configured.
    pub(crate) fn wrong_chain(&self) -> bool {
        self.wrong_chain
    }

    /// Lower is better: an endpoint on another chain last, then one that just failed, then one
    /// that is behind block `wants` although some endpoint has it.
    pub(crate) fn rank(&self, wants: u64, best: Option<u64>, now: Instant) -> (bool, bool, bool) {
        let cooling = self.not_before.is_some_and(|it| now < it);
        let behind =
            best.is_some_and(|it| it >= wants) && self.head.is_none_or(|it| it.number < wants);
        (self.wrong_chain, cooling, behind)
    }

    pub(crate) fn status(&self, label: &str, best: Option<u64>) -> EndpointStatus {
        let head = self.head.map(|it| it.number);
        EndpointStatus {
            endpoint: label.to_owned(),
            healthy: self.failures == 0,
            failures: self.failures,
            head,
            lag_blocks: head.zip(best).map(|(head, best)| best.saturating_sub(head)),
            last_error: self.last_error.clone(),
            traces: self.traces,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy_primitives::B256;
    use tokio::time::Instant;

    use super::{Head, Health};
    use crate::rpc::fault::{FaultKind, RpcFault};

    #[test]
    fn a_failing_or_lagging_endpoint_ranks_behind_a_good_one() {
        let now = Instant::now();
        let fault = RpcFault {
            endpoint: "http://a".into(),
            method: "eth_call",
            kind: FaultKind::TimedOut { limit_ms: 1 },
        };
        let (mut good, mut failed, mut behind) =
            (Health::default(), Health::default(), Health::default());
        good.saw_head(Head { number: 10, hash: B256::ZERO });
        behind.saw_head(Head { number: 4, hash: B256::ZERO });
        failed.saw_head(Head { number: 10, hash: B256::ZERO });
        failed.failure(&fault, now);
        let rank = |it: &Health, at| it.rank(10, Some(10), at);
        assert!(rank(&good, now) < rank(&behind, now));
        assert!(rank(&behind, now) < rank(&failed, now));
        let later = now + Duration::from_secs(1);
        assert_eq!(rank(&failed, later), rank(&good, later));
        assert_eq!(behind.status("x", Some(10)).lag_blocks, Some(6));
    }
}
