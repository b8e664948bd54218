//! Limits and rhythm of the engine, each with its unit. Reaching one is told, never silent.

use crate::outbox::Bounds;

/// Limits and rhythm of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A snapshot is recorded after this many records.
    pub snapshot_records: u64,
    /// Blocks that were asked for and did not connect are asked for again after this many milliseconds.
    pub fetch_retry_ms: u64,
    /// A dispatch without an answer is repeated after this many milliseconds. Longer than a shell
    /// waits for one.
    pub dispatch_timeout_ms: u64,
    /// A dispatched order without outcome is dispatched again after this many milliseconds.
    pub dispatch_retry_ms: u64,
    /// Attempts per order, after which it has failed.
    pub dispatch_attempts_max: u32,
    /// Orders for one action that may fail or expire in one incident; then it is told that the action
    /// does not contain it, and it is not ordered again. After the first one a person must release.
    pub orders_failed_max: usize,
    /// Closed incidents kept in memory; older ones are only in the journal.
    pub closed_incidents_max: usize,
    /// A delivery without an answer is repeated after this many milliseconds.
    pub delivery_timeout_ms: u64,
    /// The wait after the first failed delivery; doubled with each further one.
    pub delivery_retry_min_ms: u64,
    /// The longest wait between two attempts, in milliseconds.
    pub delivery_retry_max_ms: u64,
    /// Attempts per receiver, after which an alert is given up for it.
    pub delivery_attempts_max: u32,
    /// Attempts before an alert may be given up for its age.
    pub delivery_attempts_min: u32,
    /// Age in milliseconds beyond which an alert is given up.
    pub delivery_age_max_ms: u64,
    /// Age in milliseconds at which the other receivers are told that one does not take messages.
    pub delivery_late_ms: u64,
    /// Deliveries to one receiver at a time.
    pub deliveries_in_flight_max: usize,
    /// Alerts waiting for somebody; beyond it only critical ones are issued.
    pub outbox_alerts_max: usize,
    /// Threads remembered; beyond it closed and old ones are forgotten.
    pub threads_max: usize,
    /// Window of `repeats_max` in milliseconds.
    pub repeat_window_ms: u64,
    /// Alerts of one thread within a window; beyond it only critical and worse ones are issued.
    pub repeats_max: u32,
}

impl Limits {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { threads_max: self.threads_max, window_ms: self.repeat_window_ms }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            snapshot_records: 5_000,
            fetch_retry_ms: 2_000,
            dispatch_timeout_ms: 15_000,
            dispatch_retry_ms: 6_000,
            dispatch_attempts_max: 8,
            orders_failed_max: 3,
            closed_incidents_max: 1_000,
            delivery_timeout_ms: 30_000,
            delivery_retry_min_ms: 1_000,
            delivery_retry_max_ms: 300_000,
            delivery_attempts_max: 400,
            delivery_attempts_min: 5,
            delivery_age_max_ms: 86_400_000,
            delivery_late_ms: 60_000,
            deliveries_in_flight_max: 8,
            outbox_alerts_max: 1_000,
            threads_max: 1_000,
            repeat_window_ms: 300_000,
            repeats_max: 4,
        }
    }
}
