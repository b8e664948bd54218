//! How often one address or one person may ask.
//!
//! **Invariant:** memory is bounded whoever calls from how many addresses: beyond [`KEYS_MAX`] all others share one
//! count.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use cofferdam_core::Timestamp;

const MINUTE_MS: u64 = 60_000;
/// Callers that are told apart within a minute.
const KEYS_MAX: usize = 4_096;

/// Counts within the minute.
#[derive(Debug)]
pub(crate) struct Meter {
    per_minute_max: u32,
    counts: Mutex<(u64, BTreeMap<String, u32>)>,
}

impl Meter {
    pub(crate) fn new(per_minute_max: u32) -> Self {
        Self { per_minute_max, counts: Mutex::default() }
    }

    /// Whether `key` may once more in the minute of `now`.
    pub(crate) fn takes(&self, now: Timestamp, key: &str) -> bool {
        let mut it = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0 / MINUTE_MS;
        if it.0 != minute {
            *it = (minute, BTreeMap::new());
        }
        let known = it.1.contains_key(key) || it.1.len() < KEYS_MAX;
        let count = it.1.entry(if known { key } else { "" }.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count <= self.per_minute_max
    }
}

/// An address as one caller: whoever has an IPv6 network has all of it.
pub(crate) fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(it) => it.to_string(),
        IpAddr::V6(it) => match it.to_ipv4_mapped() {
            Some(it) => it.to_string(),
            None => it.segments()[..4].iter().map(|it| format!("{it:x}:")).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Timestamp;

    use super::{KEYS_MAX, Meter, network};

    #[test]
    fn a_minute_holds_so_many_for_each_and_one_count_for_the_crowd() {
        let meter = Meter::new(2);
        let takes = |at, key: &str| meter.takes(Timestamp(at), key);
        assert!(takes(0, "a") && takes(1, "a") && !takes(2, "a") && takes(3, "b"));
        assert!(takes(60_000, "a"), "another minute");
        for it in 0..KEYS_MAX {
            takes(60_001, &format!("x{it}"));
        }
        let late = (0..8).filter(|it| takes(60_002, &format!("late{it}"))).count();
        assert!(late <= 2, "{late}");
    }

    #[test]
    fn a_network_is_one_caller() {
        let of = |it: &str| network(it.parse().unwrap_or(std::net::IpAddr::from([0, 0, 0, 0])));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
