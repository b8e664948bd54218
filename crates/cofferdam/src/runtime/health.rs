//! What the outside may ask: `/health`, red while we cannot look, and `/metrics` for Prometheus.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use cofferdam_core::ChainId;
use cofferdam_engine::Engine;
use cofferdam_observe::rpc::{ChainStatus, Monitor, prometheus};
use serde::{Deserialize, Serialize};

use super::{
    contained::ContainedCounts,
    pending::{PendingCounts, Tally},
};

/// Reactions kept for the percentiles; older ones are forgotten.
const REACTIONS_MAX: usize = 10_000;

/// The state of the program as told outside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// Whether we can look at every chain and the journal takes records.
    pub healthy: bool,
    /// Why not, by chain (or `journal`).
    pub blind: BTreeMap<String, String>,
    /// How the sources and their endpoints fare.
    #[serde(skip_deserializing)]
    pub chains: Vec<ChainStatus>,
    /// The last evaluated block by chain.
    pub heads: BTreeMap<String, u64>,
    /// Open incidents.
    pub incidents_open: usize,
    /// Orders under way.
    pub orders_under_way: usize,
    /// Blocks evaluated since start.
    pub blocks: u64,
    /// Pending transactions evaluated since start.
    pub pending: u64,
    /// What became of pending transactions, by chain.
    #[serde(default)]
    pub pending_by_chain: BTreeMap<String, PendingCounts>,
    /// What we look at less than we should, and why, by chain. We are not blind.
    #[serde(default)]
    pub degraded: BTreeMap<String, String>,
    /// Containment before an attack and after it, counted apart.
    #[serde(default)]
    pub contained: ContainedCounts,
    /// Findings that other programs reported since start.
    #[serde(default)]
    pub reported: u64,
    /// Alerts since start.
    pub alerts: u64,
    /// Journal records since start.
    pub records: u64,
    /// Microseconds from an observation to its containment in the pool, newest last.
    pub reactions_us: Vec<u64>,
    /// Those to pending transactions, where an attack can still be pre-empted.
    #[serde(default)]
    pub reactions_pending_us: Vec<u64>,
    /// Those to blocks, where the rest of an attack is contained.
    #[serde(default)]
    pub reactions_block_us: Vec<u64>,
}

/// Shared between the loop and the server.
#[derive(Clone, Debug, Default)]
pub struct Board(
    Arc<RwLock<Health>>,
    Arc<RwLock<BTreeMap<ChainId, Monitor>>>,
    Arc<RwLock<BTreeMap<ChainId, Tally>>>,
);

impl Board {
    /// Changes what is told.
    pub fn update(&self, change: impl FnOnce(&mut Health)) {
        let mut health = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut health);
        let it = &mut *health;
        for list in [&mut it.reactions_us, &mut it.reactions_pending_us, &mut it.reactions_block_us]
        {
            list.drain(..list.len().saturating_sub(REACTIONS_MAX));
        }
        health.healthy = health.blind.is_empty();
    }

    /// What is told now.
    pub fn read(&self) -> Health {
        let mut health = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let monitors = self.1.read().unwrap_or_else(PoisonError::into_inner);
        health.chains = monitors.values().map(Monitor::status).collect();
        for (chain, tally) in self.2.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let counts = tally.read();
            health.degraded.extend(counts.degraded().map(|why| (chain.to_string(), why)));
            health.pending_by_chain.insert(chain.to_string(), counts);
        }
        health
    }

    /// Tells from now on what becomes of the pending transactions of `chain`.
    pub fn work(&self, chain: ChainId, tally: Tally) {
        self.2.write().unwrap_or_else(PoisonError::into_inner).insert(chain, tally);
    }

    /// Tells from now on how the source behind `monitor` and its endpoints fare, instead of an earlier
    /// source of that chain.
    pub fn watch(&self, monitor: Monitor) {
        let mut monitors = self.1.write().unwrap_or_else(PoisonError::into_inner);
        monitors.insert(monitor.status().chain, monitor);
    }

    /// Takes heads, blindness, incidents and orders from the engine.
    pub fn take(&self, engine: &Engine) {
        let state = engine.state();
        let blind = state.blind().map(|(chain, it)| {
            (chain.to_string(), format!("blind since block {} because {}", it.from, it.because))
        });
        let blind: BTreeMap<_, _> = blind.collect();
        let heads = state.chains.keys().filter_map(|id| {
            let chain = ChainId(*id);
            Some((chain.to_string(), state.head(chain)?.number))
        });
        let heads = heads.collect();
        let open = state.incidents.values().filter(|it| {
            use cofferdam_core::incident::IncidentState::{Closed, FalseAlarm};
            !matches!(it.state, Closed | FalseAlarm)
        });
        let (open, under_way) = (open.count(), state.orders_under_way().count());
        self.update(|it| {
            let journal = it.blind.remove("journal");
            it.blind = blind;
            it.blind.extend(journal.map(|why| ("journal".to_owned(), why)));
            it.heads = heads;
            it.incidents_open = open;
            it.orders_under_way = under_way;
        });
    }
}

impl Health {
    /// The `percent`-th percentile of the reactions in microseconds, nearest rank; `None` without any.
    pub fn reaction_us(&self, percent: usize) -> Option<u64> {
        percentile(&self.reactions_us, percent)
    }

    /// Notes a reaction of `us` microseconds; `pending` if it was to a pending transaction.
    pub(crate) fn reacted(&mut self, us: u64, pending: bool) {
        self.reactions_us.push(us);
        let apart =
            if pending { &mut self.reactions_pending_us } else { &mut self.reactions_block_us };
        apart.push(us);
    }

    /// Median and 99th percentile of the reactions, for people.
    pub fn percentiles(&self) -> String {
        let ms = |percent| {
            let us = self.reaction_us(percent);
            us.map_or("–".to_owned(), |it| format!("{}.{:03} ms", it / 1_000, it % 1_000))
        };
        format!("p50 {}  p99 {}  ({} orders)", ms(50), ms(99), self.reactions_us.len())
    }

    /// Every list of reactions: name, what they begin with, microseconds.
    fn reactions(&self) -> [(&'static str, &'static str, &[u64]); 3] {
        [
            ("reaction_microseconds", "an observation", &self.reactions_us),
            ("reaction_pending_microseconds", "a pending transaction", &self.reactions_pending_us),
            ("reaction_block_microseconds", "a block", &self.reactions_block_us),
        ]
    }

    /// Prometheus text format, version 0.0.4.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let mut line = |name: &str, kind: &str, help: &str, samples: Vec<(String, u64)>| {
            let _ = writeln!(out, "# HELP cofferdam_{name} {help}\n# TYPE cofferdam_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "cofferdam_{name}{labels} {value}");
            }
        };
        let one = |value: u64| vec![(String::new(), value)];
        line(
            "healthy",
            "gauge",
            "1 if every chain can be looked at and the journal takes records",
            one(self.healthy.into()),
        );
        let heads = self.heads.iter().map(|(chain, it)| (format!("{{chain=\"{chain}\"}}"), *it));
        line("head_block", "gauge", "last evaluated block", heads.collect());
        line("incidents_open", "gauge", "open incidents", one(self.incidents_open as u64));
        line(
            "orders_under_way",
            "gauge",
            "orders dispatched without outcome",
            one(self.orders_under_way as u64),
        );
        line("blocks_total", "counter", "blocks evaluated", one(self.blocks));
        line("pending_total", "counter", "pending transactions evaluated", one(self.pending));
        line("reported_total", "counter", "findings of other programs", one(self.reported));
        line("alerts_total", "counter", "messages for people", one(self.alerts));
        line("records_total", "counter", "journal records", one(self.records));
        for (name, ground, list) in self.reactions() {
            let help = format!("from {ground} to its containment in the pool");
            let quantile = |it| Some((format!("{{quantile=\"0.{it}\"}}"), percentile(list, it)?));
            line(name, "gauge", &help, [50, 99].into_iter().filter_map(quantile).collect());
        }
        let ContainedCounts { pre_empted, next_block, later } = self.contained;
        let when = [("pre-empted", pre_empted), ("next-block", next_block), ("later", later)];
        let when = when.map(|(when, it)| (format!("{{when=\"{when}\"}}"), it));
        let help = "containments by when they had their effect: before the attack or after it";
        line("containments_total", "counter", help, when.to_vec());
        line(
            "degraded",
            "gauge",
            "chains of which less is looked at than should be",
            one(self.degraded.len() as u64),
        );
        for at in 0..PendingCounts::default().samples().len() {
            let of = |(chain, it): (&String, &PendingCounts)| {
                let (_, _, _, value) = it.samples()[at];
                (format!("{{chain=\"{chain}\"}}"), value)
            };
            let (name, kind, help, _) = PendingCounts::default().samples()[at];
            let help = format!("pending transactions: {help}");
            let samples = self.pending_by_chain.iter().map(of);
            line(&format!("pending_{name}"), kind, &help, samples.collect());
        }
        out.push_str(&prometheus(&self.chains));
        out
    }
}

/// The `percent`-th percentile by nearest rank; `None` of nothing.
fn percentile(list: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The routes.
pub fn routes(board: Board) -> Router {
    Router::new()
        .route("/health", get(health))
        .route(
            "/metrics",
            get(|State(board): State<Board>| async move { board.read().prometheus() }),
        )
        .with_state(board)
}

async fn health(State(board): State<Board>) -> (StatusCode, Json<Health>) {
    let health = board.read();
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}

#[cfg(test)]
mod tests {
    use cofferdam_core::ChainId;

    use super::{Board, Health};
    use crate::runtime::{Contained, Tally};

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let health = Health { reactions_us: (1..=100).rev().collect(), ..Health::default() };
        assert_eq!((health.reaction_us(50), health.reaction_us(99)), (Some(50), Some(99)));
        assert_eq!(Health::default().reaction_us(50), None);
    }

    #[test]
    fn blindness_turns_health_red() {
        let board = Board::default();
        board.update(|_| {});
        assert!(board.read().healthy);
        board.update(|it| _ = it.blind.insert("eip155:1".into(), "no answer".into()));
        assert!(!board.read().healthy);
        assert!(board.read().prometheus().contains("cofferdam_healthy 0\n"));
    }

    #[test]
    fn what_is_left_out_for_the_budget_degrades_health_and_is_in_the_metrics() {
        let (board, chain) = (Board::default(), ChainId(1));
        board.update(|_| {});
        let tally = Tally::new(0);
        board.work(chain, tally.clone());
        assert!(board.read().degraded.is_empty());
        assert!(board.read().prometheus().contains("cofferdam_degraded 0\n"));
        tally.leave_out();
        let health = board.read();
        assert!(health.healthy, "we can still look");
        assert!(health.degraded.contains_key("eip155:1"));
        let text = health.prometheus();
        assert!(text.contains("cofferdam_degraded 1\n"), "{text}");
        assert!(text.contains("cofferdam_pending_over_budget{chain=\"eip155:1\"} 1\n"), "{text}");
    }

    #[test]
    fn what_was_pre_empted_and_what_was_contained_later_are_told_apart() {
        let board = Board::default();
        board.update(|it| {
            it.reacted(300, true);
            it.reacted(9_000, false);
            it.contained.count(Contained::PreEmpted);
        });
        let text = board.read().prometheus();
        for line in [
            "cofferdam_reaction_pending_microseconds{quantile=\"0.50\"} 300",
            "cofferdam_reaction_block_microseconds{quantile=\"0.50\"} 9000",
            "cofferdam_containments_total{when=\"pre-empted\"} 1",
            "cofferdam_containments_total{when=\"next-block\"} 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
    }
}
