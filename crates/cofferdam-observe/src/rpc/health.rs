//! How an endpoint fares: failures in a row, what it told of the chain, lies, pauses, speed.
//!
//! No I/O and no clock here: the time is an argument.

use std::{collections::VecDeque, time::Duration};

use alloy_primitives::B256;
use tokio::time::Instant;

use super::{
    fault::{FaultKind, RpcFault},
    status::{EndpointStatus, Feed},
};

/// First pause after a failure before the endpoint is preferred again; doubles with each failure.
const COOLDOWN_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause.
const COOLDOWN_MAX: Duration = Duration::from_secs(30);
/// How long an endpoint that was caught lying is asked last.
const DEMOTION: Duration = Duration::from_secs(600);
/// Longest pause that an endpoint may ask for; a longer one is cut to it.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How many of the blocks that an endpoint told of are remembered.
const TOLD_MAX: usize = 128;
/// Weight of a new request in the mean latency, as one part in so many.
const LATENCY_PARTS: u32 = 8;

/// A block an endpoint told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    /// `None` if the node did not tell it.
    pub(crate) receipts_root: Option<B256>,
}

/// What a node serves for call trees and state diffs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceSupport {
    /// Not asked yet.
    #[default]
    Unknown,
    /// Both in one call, by the mux tracer.
    Combined,
    /// Call trees; state diffs only by a further call, which is not made.
    CallsOnly,
    /// Nothing.
    None,
}

#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: u32,
    not_before: Option<Instant>,
    paused_until: Option<Instant>,
    demoted: Option<(Instant, String)>,
    head: Option<(Head, Instant)>,
    /// Newest last. Of two at one height the later one is what the node says now.
    told: VecDeque<(Head, Instant)>,
    last_error: Option<(String, Instant)>,
    wrong_chain: bool,
    latency: Option<Duration>,
    requests: u64,
    faults: u64,
    contradictions: u64,
    disagreements: u64,
    /// Newest block at which a disagreement was counted.
    disagreed_at: Option<u64>,
    stalls: u64,
    pub(crate) feed: Feed,
    pub(crate) traces: TraceSupport,
}

impl Health {
    pub(crate) fn success(&mut self) {
        self.failures = 0;
        self.not_before = None;
        self.wrong_chain = false;
    }

    /// Notes a failed request, or one that was given up because another endpoint was faster.
    pub(crate) fn failure(&mut self, fault: &RpcFault, now: Instant) {
        if let FaultKind::Throttled { pause_ms } = &fault.kind
            && let pause = Duration::from_millis(*pause_ms).min(PAUSE_MAX)
            && self.pause(now).is_some_and(|it| it >= pause)
        {
            // Nothing was sent: it is the pause we keep to already.
            return;
        }
        self.faults = self.faults.saturating_add(1);
        self.last_error = Some((fault.to_string(), now));
        match &fault.kind {
            // A pause is no failure.
            FaultKind::Throttled { pause_ms } => {
                self.paused_until = Some(now + Duration::from_millis(*pause_ms).min(PAUSE_MAX));
                return;
            }
            FaultKind::Contradicted { reason } => {
                self.contradictions = self.contradictions.saturating_add(1);
                self.demote(reason.clone(), now);
            }
            FaultKind::Stalled { .. } => self.stalls = self.stalls.saturating_add(1),
            _ => {}
        }
        self.failures = self.failures.saturating_add(1);
        let factor = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.not_before = Some(now + COOLDOWN_FIRST.saturating_mul(factor).min(COOLDOWN_MAX));
        self.wrong_chain = matches!(fault.kind, FaultKind::WrongChain { .. });
    }

    /// Asks this endpoint last for a while, because of what it served.
    pub(crate) fn demote(&mut self, because: String, now: Instant) {
        self.demoted = Some((now + DEMOTION, because));
    }

    /// Notes a request that was sent and how long its answer took, if it was one.
    pub(crate) fn asked(&mut self, took: Option<Duration>) {
        self.requests = self.requests.saturating_add(1);
        let Some(took) = took else { return };
        let mean = self.latency.unwrap_or(took);
        self.latency = Some(mean - mean / LATENCY_PARTS + took / LATENCY_PARTS);
    }

    /// Mean time to an answer, newer ones weighing more; `None` before the first.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// For how long nothing may be sent, `None` if something may.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        self.paused_until.and_then(|it| it.checked_duration_since(now)).filter(|it| !it.is_zero())
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.head.map(|it| it.0)
    }

    /// Notes the newest block the node told of; `true` if it is another one than before.
    pub(crate) fn saw_head(&mut self, head: Head, now: Instant) -> bool {
        let changed = self.head() != Some(head);
        if changed {
            self.head = Some((head, now));
        }
        self.told(head, now);
        changed
    }

    /// Notes that the node has `head`, which may be older than the newest it told of.
    pub(crate) fn at_least(&mut self, head: Head, now: Instant) {
        let other = |it: Head| (it.number, it.hash) != (head.number, head.hash);
        if self.head().is_none_or(|it| it.number <= head.number && other(it)) {
            self.head = Some((head, now));
        }
        self.told(head, now);
    }

    /// Notes what the node says is the block at a height.
    pub(crate) fn told(&mut self, head: Head, now: Instant) {
        if self.told_of(head.number) == Some(head) {
            return;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back((head, now));
    }

    /// What the node said last about the block at `number`, unless a child it told of later has
    /// another parent: nodes do not announce every block of a new branch.
    pub(crate) fn told_of(&self, number: u64) -> Option<Head> {
        let above = number.saturating_add(1);
        for (head, _) in self.told.iter().rev() {
            if head.number == number {
                let later = self.told.iter().rev().map_while(|it| (it.0 != *head).then_some(it.0));
                let child = later.into_iter().find(|it| it.number == above);
                return Some(*head).filter(|it| child.is_none_or(|child| child.parent == it.hash));
            }
        }
        None
    }

    /// When the node first told of block `hash`.
    pub(crate) fn told_at(&self, hash: B256) -> Option<Instant> {
        self.told.iter().find(|it| it.0.hash == hash).map(|it| it.1)
    }

    /// Notes that at `number` the node has another block than the delivered one.
    pub(crate) fn disagreed(&mut self, number: u64) {
        if self.disagreed_at.is_none_or(|it| it < number) {
            self.disagreed_at = Some(number);
            self.disagreements = self.disagreements.saturating_add(1);
        }
    }

    /// Whether it serves another chain than configured.
    pub(crate) fn wrong_chain(&self) -> bool {
        self.wrong_chain
    }

    /// Whether its word counts now: it answers, for the right chain, and was not caught lying.
    pub(crate) fn usable(&self, now: Instant) -> bool {
        !self.wrong_chain && !self.is_demoted(now) && self.not_before.is_none_or(|it| it <= now)
    }

    /// Whether its newest block was told within the last `span`.
    pub(crate) fn is_fresh(&self, now: Instant, span: Duration) -> bool {
        self.head.is_some_and(|it| now.duration_since(it.1) <= span)
    }

    pub(crate) fn is_demoted(&self, now: Instant) -> bool {
        self.demoted.as_ref().is_some_and(|it| now < it.0)
    }

    /// Lower is better: an endpoint on another chain last, then one that asked for a pause, then one
    /// that was caught lying, then one that just failed, then one that is behind block `wants`
    /// although some endpoint has it.
    pub(crate) fn rank(&self, wants: u64, best: Option<u64>, now: Instant) -> [bool; 5] {
        let cooling = self.not_before.is_some_and(|it| now < it);
        let behind =
            best.is_some_and(|it| it >= wants) && self.head().is_none_or(|it| it.number < wants);
        [self.wrong_chain, self.pause(now).is_some(), self.is_demoted(now), cooling, behind]
    }

    pub(crate) fn status(&self, label: &str, best: Option<u64>, now: Instant) -> EndpointStatus {
        let head = self.head().map(|it| it.number);
        let pause = self.pause(now);
        let demoted = self.demoted.as_ref().filter(|it| now < it.0).map(|it| it.1.clone());
        let millis = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        EndpointStatus {
            endpoint: label.to_owned(),
            healthy: self.failures == 0 && demoted.is_none() && pause.is_none(),
            failures: self.failures,
            head,
            lag_blocks: head.zip(best).map(|(head, best)| best.saturating_sub(head)),
            feed: self.feed,
            latency_us: self.latency.map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX)),
            requests: self.requests,
            faults: self.faults,
            contradictions: self.contradictions,
            disagreements: self.disagreements,
            stalls: self.stalls,
            paused_ms: pause.map(millis),
            demoted,
            last_error: self.last_error.as_ref().map(|it| it.0.clone()),
            last_error_ms_ago: self
                .last_error
                .as_ref()
                .map(|it| millis(now.saturating_duration_since(it.1))),
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

    fn fault(kind: FaultKind) -> RpcFault {
        RpcFault { endpoint: "http://a".into(), method: "eth_call", kind }
    }

    fn head(number: u64, hash: u8) -> Head {
        let hash = B256::repeat_byte(hash);
        Head { number, hash, parent: B256::ZERO, receipts_root: None }
    }

    fn secs(it: u64) -> Duration {
        Duration::from_secs(it)
    }

    #[test]
    fn a_failing_or_lagging_endpoint_ranks_behind_a_good_one() {
        let now = Instant::now();
        let (mut good, mut failed, mut behind) =
            (Health::default(), Health::default(), Health::default());
        good.saw_head(head(10, 0), now);
        behind.saw_head(head(4, 0), now);
        failed.saw_head(head(10, 0), now);
        failed.failure(&fault(FaultKind::TimedOut { limit_ms: 1 }), now);
        let rank = |it: &Health, at| it.rank(10, Some(10), at);
        assert!(rank(&good, now) < rank(&behind, now));
        assert!(rank(&behind, now) < rank(&failed, now));
        assert_eq!(rank(&failed, now + secs(1)), rank(&good, now + secs(1)));
        assert_eq!(behind.status("x", Some(10), now).lag_blocks, Some(6));
    }

    #[test]
    fn a_lying_endpoint_is_asked_after_a_failing_one_and_says_why() {
        let now = Instant::now();
        let (mut liar, mut failed) = (Health::default(), Health::default());
        liar.failure(&fault(FaultKind::Contradicted { reason: "no such log".into() }), now);
        failed.failure(&fault(FaultKind::TimedOut { limit_ms: 1 }), now);
        liar.success();
        assert!(liar.rank(1, None, now) > failed.rank(1, None, now));
        let status = liar.status("x", None, now + secs(599));
        assert_eq!((status.demoted.as_deref(), status.healthy), (Some("no such log"), false));
        assert!(liar.usable(now + secs(601)));
    }

    #[test]
    fn a_pause_is_kept_to_but_never_longer_than_the_limit() {
        let now = Instant::now();
        let mut health = Health::default();
        health.failure(&fault(FaultKind::Throttled { pause_ms: 5_000 }), now);
        health.failure(&fault(FaultKind::Throttled { pause_ms: 1_000 }), now);
        assert_eq!(health.pause(now), Some(secs(5)));
        assert_eq!(health.pause(now + secs(5)), None);
        health.failure(&fault(FaultKind::Throttled { pause_ms: u64::MAX }), now);
        assert_eq!(health.pause(now), Some(secs(120)));
        assert_eq!(health.status("x", None, now).failures, 0);
    }

    #[test]
    fn what_a_node_said_last_about_a_height_counts() {
        let now = Instant::now();
        let mut health = Health::default();
        for (number, hash) in [(5, 1), (6, 2), (6, 3), (6, 2)] {
            health.saw_head(head(number, hash), now);
        }
        assert_eq!(health.told_of(6), Some(head(6, 2)));
        assert_eq!(health.told_of(4), None);
    }

    #[test]
    fn a_child_with_another_parent_makes_what_was_said_before_void() {
        let now = Instant::now();
        let mut health = Health::default();
        health.saw_head(head(5, 1), now);
        health.saw_head(Head { parent: B256::repeat_byte(1), ..head(6, 2) }, now);
        assert_eq!(health.told_of(5), Some(head(5, 1)));
        health.saw_head(Head { parent: B256::repeat_byte(9), ..head(6, 3) }, now);
        assert_eq!(health.told_of(5), None);
    }
}
