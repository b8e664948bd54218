//! Our hierarchical limiter: buckets for account, pool, asset, protocol, chain and bridge lane, in units and in
//! USD, all of which must pass. Gross outflow, so inflows mask nothing; valued at the higher of two prices, so a
//! manipulated price cannot widen a limit. Lowering is instant, raising waits, and neither ever refills.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LimitError, elapsed};

/// What a bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Base units of the asset.
    Units,
    /// Micro-USD.
    MicroUsd,
}

/// Capacity and refill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketConfig {
    /// What is counted.
    pub measure: Measure,
    /// Most it holds.
    pub capacity: u128,
    /// Refill per second.
    pub rate: u128,
    /// Seconds before a wider configuration takes effect.
    pub raise_delay: u64,
}

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    config: BucketConfig,
    pending: Option<(BucketConfig, u64)>,
    tokens: u128,
    last: u64,
}

/// One withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outflow {
    /// Base units.
    pub units: u128,
    /// Micro-USD per `10^decimals` base units, five-minute average.
    pub price_short: u128,
    /// The same over an hour.
    pub price_long: u128,
    /// Decimals of the asset.
    pub decimals: u8,
}

impl Outflow {
    /// Value at the higher price, rounded up.
    ///
    /// # Errors
    /// Overflow, or more than 36 decimals.
    pub fn micro_usd(&self) -> Result<u128, LimitError> {
        let scale = 10_u128.checked_pow(u32::from(self.decimals)).filter(|_| self.decimals <= 36);
        let scale = scale.ok_or(LimitError::Overflow)?;
        let price = self.price_short.max(self.price_long);
        let whole = (self.units / scale).checked_mul(price).ok_or(LimitError::Overflow)?;
        let part = (self.units % scale).checked_mul(price).ok_or(LimitError::Overflow)?;
        whole.checked_add(part.div_ceil(scale)).ok_or(LimitError::Overflow)
    }
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(config: BucketConfig, now: u64) -> Self {
        Self { config, pending: None, tokens: config.capacity, last: now }
    }

    /// The bucket at `now`: matured changes applied, refilled.
    fn at(mut self, now: u64) -> Result<Self, LimitError> {
        elapsed(self.last, now)?;
        if let Some((config, due)) = self.pending.filter(|p| p.1 <= now) {
            self = self.refilled(due.max(self.last));
            (self.config, self.pending) = (config, None);
            self.tokens = self.tokens.min(config.capacity);
        }
        Ok(self.refilled(now))
    }

    fn refilled(mut self, now: u64) -> Self {
        let dt = u128::from(now.saturating_sub(self.last));
        let gained = dt.saturating_mul(self.config.rate);
        self.tokens = self.tokens.saturating_add(gained).min(self.config.capacity);
        self.last = now;
        self
    }
}

/// All buckets by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hierarchy {
    buckets: BTreeMap<String, Bucket>,
}

impl Hierarchy {
    /// Adds a bucket, full.
    ///
    /// # Errors
    /// A name already taken: replacing a bucket would refill it.
    pub fn add(&mut self, id: &str, config: BucketConfig, now: u64) -> Result<(), LimitError> {
        if self.buckets.contains_key(id) {
            return Err(LimitError::InvalidConfig { reason: "bucket exists" });
        }
        self.buckets.insert(id.to_owned(), Bucket::new(config, now));
        Ok(())
    }

    /// Tokens of a bucket at `now`.
    ///
    /// # Errors
    /// An unknown bucket, or time that went back.
    pub fn tokens(&self, id: &str, now: u64) -> Result<u128, LimitError> {
        self.get(id)?.at(now).map(|b| b.tokens)
    }

    /// Takes an outflow from every bucket of the path, or from none.
    ///
    /// # Errors
    /// The first bucket that refuses.
    pub fn withdraw(
        &mut self,
        path: &[&str],
        outflow: &Outflow,
        now: u64,
    ) -> Result<(), LimitError> {
        let value = outflow.micro_usd()?;
        let mut changed: BTreeMap<String, Bucket> = BTreeMap::new();
        for id in path {
            let mut b = match changed.get(*id) {
                Some(b) => *b,
                None => self.get(id)?.at(now)?,
            };
            let request = match b.config.measure {
                Measure::Units => outflow.units,
                Measure::MicroUsd => value,
            };
            let (capacity, available) = (b.config.capacity, b.tokens);
            if request > capacity {
                return Err(LimitError::ExceedsCapacity { request, capacity });
            }
            if request > available {
                let wait_seconds =
                    (b.config.rate > 0).then(|| (request - available).div_ceil(b.config.rate));
                return Err(LimitError::RateLimited { request, available, wait_seconds });
            }
            b.tokens -= request;
            changed.insert((*id).to_owned(), b);
        }
        self.buckets.extend(changed);
        Ok(())
    }

    /// Changes a bucket: what is narrower applies at once, what is wider after the *current* raise delay.
    ///
    /// # Errors
    /// An unknown bucket, time that went back, or a change of measure.
    pub fn configure(
        &mut self,
        id: &str,
        config: BucketConfig,
        now: u64,
    ) -> Result<(), LimitError> {
        let mut b = self.get(id)?.at(now)?;
        if config.measure != b.config.measure {
            return Err(LimitError::InvalidConfig { reason: "measure cannot change" });
        }
        let old = b.config;
        b.config = BucketConfig {
            capacity: old.capacity.min(config.capacity),
            rate: old.rate.min(config.rate),
            raise_delay: old.raise_delay.max(config.raise_delay),
            ..old
        };
        b.tokens = b.tokens.min(b.config.capacity);
        b.pending = (b.config != config).then(|| (config, now.saturating_add(old.raise_delay)));
        self.buckets.insert(id.to_owned(), b);
        Ok(())
    }

    fn get(&self, id: &str) -> Result<Bucket, LimitError> {
        self.buckets.get(id).copied().ok_or_else(|| LimitError::UnknownBucket { id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: BucketConfig =
        BucketConfig { measure: Measure::Units, capacity: 1_000, rate: 10, raise_delay: 100 };

    fn out(units: u128) -> Outflow {
        Outflow { units, price_short: 2_000_000, price_long: 3_000_000, decimals: 0 }
    }

    #[test]
    fn all_buckets_pass_or_none_is_touched() {
        let mut h = Hierarchy::default();
        h.add("pool", POOL, 0).unwrap();
        let usd = BucketConfig { measure: Measure::MicroUsd, capacity: 900_000_000, ..POOL };
        h.add("protocol", usd, 0).unwrap();
        h.withdraw(&["pool", "protocol"], &out(200), 0).unwrap();
        // 200 at the higher price of 3 USD took 600 of 900 USD; another 200 fits the pool, not the protocol.
        assert!(h.withdraw(&["pool", "protocol"], &out(200), 0).is_err());
        assert_eq!(h.tokens("pool", 0).unwrap(), 800);
        assert_eq!(h.tokens("protocol", 0).unwrap(), 300_000_000);
        assert!(h.withdraw(&["nowhere"], &out(1), 0).is_err());
    }

    #[test]
    fn lowering_is_instant_raising_waits_and_neither_refills() {
        let mut h = Hierarchy::default();
        h.add("pool", POOL, 0).unwrap();
        h.withdraw(&["pool"], &out(900), 0).unwrap();
        h.configure("pool", BucketConfig { capacity: 500, ..POOL }, 0).unwrap();
        assert_eq!(h.tokens("pool", 0).unwrap(), 100);
        h.configure("pool", BucketConfig { capacity: 5_000, rate: 50, ..POOL }, 0).unwrap();
        assert_eq!(h.tokens("pool", 99).unwrap(), 500);
        // The old rate runs until the change matures, the new one after.
        assert_eq!(h.tokens("pool", 110).unwrap(), 1_000);
        assert!(h.add("pool", POOL, 0).is_err());
    }
}
