//! Chainlink CCIP's token bucket. Through version 1.6 a new configuration keeps `min(new capacity, tokens)`;
//! the later source (chainlink-ccip commit 0a30331) sets the tokens to the new capacity, so lowering a limit
//! in mid-attack hands out one fresh bucket. Which one a lane runs must be read from its version.

use serde::{Deserialize, Serialize};

use super::{LimitError, elapsed};

/// Which contract source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CcipVersion {
    /// Reconfiguration clamps the tokens; the rate must be below the capacity and above zero.
    Clamping,
    /// Reconfiguration refills to the new capacity; the rate may equal the capacity.
    Refilling,
}

/// A configuration as the contract takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CcipConfig {
    /// Whether the bucket limits at all.
    pub enabled: bool,
    /// Most tokens it holds.
    pub capacity: u128,
    /// Tokens per second.
    pub rate: u128,
}

/// One bucket's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CcipBucket {
    version: CcipVersion,
    config: CcipConfig,
    tokens: u128,
    last: u64,
}

impl CcipConfig {
    fn validate(&self, version: CcipVersion) -> Result<(), LimitError> {
        let refuse = |reason| Err(LimitError::InvalidConfig { reason });
        match (self.enabled, version) {
            (false, _) if self.capacity != 0 || self.rate != 0 => {
                refuse("disabled needs zero capacity and rate")
            }
            (true, CcipVersion::Clamping) if self.rate >= self.capacity || self.rate == 0 => {
                refuse("rate must lie between zero and capacity")
            }
            (true, CcipVersion::Refilling) if self.rate > self.capacity => {
                refuse("rate above capacity")
            }
            _ => Ok(()),
        }
    }
}

impl CcipBucket {
    /// A full bucket at `now`.
    ///
    /// # Errors
    /// A configuration the contract refuses.
    pub fn new(version: CcipVersion, config: CcipConfig, now: u64) -> Result<Self, LimitError> {
        config.validate(version)?;
        Ok(Self { version, config, tokens: config.capacity, last: now })
    }

    /// Tokens at `now`, refill included.
    ///
    /// # Errors
    /// A time before the last update.
    pub fn tokens(&self, now: u64) -> Result<u128, LimitError> {
        let dt = u128::from(elapsed(self.last, now)?);
        let refill = dt.checked_mul(self.config.rate).ok_or(LimitError::Overflow)?;
        let sum = self.tokens.checked_add(refill).ok_or(LimitError::Overflow)?;
        Ok(if dt == 0 { self.tokens } else { sum.min(self.config.capacity) })
    }

    /// Takes tokens. A zero request or a disabled bucket passes without touching storage.
    ///
    /// # Errors
    /// [`LimitError::ExceedsCapacity`] before [`LimitError::RateLimited`], as in the contract.
    pub fn consume(&mut self, request: u128, now: u64) -> Result<(), LimitError> {
        if !self.config.enabled || request == 0 {
            return Ok(());
        }
        let available = self.tokens(now)?;
        let capacity = self.config.capacity;
        if request > capacity {
            return Err(LimitError::ExceedsCapacity { request, capacity });
        }
        if request > available {
            let wait_seconds =
                (self.config.rate > 0).then(|| (request - available).div_ceil(self.config.rate));
            return Err(LimitError::RateLimited { request, available, wait_seconds });
        }
        self.tokens = available - request;
        self.last = now;
        Ok(())
    }

    /// Reconfigures the bucket.
    ///
    /// # Errors
    /// A configuration the contract refuses, or a time before the last update.
    pub fn set_config(&mut self, config: CcipConfig, now: u64) -> Result<(), LimitError> {
        config.validate(self.version)?;
        let tokens = self.tokens(now)?;
        self.tokens = match self.version {
            CcipVersion::Clamping => tokens.min(config.capacity),
            CcipVersion::Refilling => config.capacity,
        };
        self.config = config;
        self.last = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: CcipConfig = CcipConfig { enabled: true, capacity: 1_000, rate: 10 };

    #[test]
    fn lowering_a_limit_in_mid_attack_hands_out_a_fresh_bucket_only_where_it_refills() {
        for (version, left) in [(CcipVersion::Clamping, 0), (CcipVersion::Refilling, 500)] {
            let mut b = CcipBucket::new(version, CONFIG, 0).unwrap();
            b.consume(1_000, 0).unwrap();
            b.set_config(CcipConfig { capacity: 500, ..CONFIG }, 0).unwrap();
            assert_eq!(b.tokens(0).unwrap(), left);
        }
    }

    #[test]
    fn configurations_the_contract_refuses_are_refused() {
        let bad = CcipConfig { enabled: false, ..CONFIG };
        assert!(CcipBucket::new(CcipVersion::Refilling, bad, 0).is_err());
        let equal = CcipConfig { rate: 1_000, ..CONFIG };
        assert!(CcipBucket::new(CcipVersion::Clamping, equal, 0).is_err());
        assert!(CcipBucket::new(CcipVersion::Refilling, equal, 0).is_ok());
    }

    proptest! {
        #[test]
        fn every_window_lets_through_at_most_bucket_plus_refill(
            events in prop::collection::vec((0_u64..50, 0_u128..1_200), 1..60),
        ) {
            let mut b = CcipBucket::new(CcipVersion::Refilling, CONFIG, 0).unwrap();
            let (mut now, mut sent) = (0, Vec::new());
            for (dt, amount) in events {
                now += dt;
                let before = b;
                match b.consume(amount, now) {
                    Ok(()) => sent.push((now, amount)),
                    Err(_) => prop_assert_eq!(b, before),
                }
            }
            for (i, (from, _)) in sent.iter().enumerate() {
                let mut total = 0;
                for (to, amount) in &sent[i..] {
                    total += amount;
                    prop_assert!(total <= 1_000 + 10 * u128::from(to - from));
                }
            }
        }
    }
}
