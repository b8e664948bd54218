//! Philox4x32-10 (Salmon et al., SC11): a counter-based generator. Invariant: draw `i` of stream `s` under key
//! `k` is the same number on every machine, whatever was drawn before it.

use crate::pricing::normal::quantile;

const MUL: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// A key; derive it from the incident and the model version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// A generator under a key.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self { key: [key as u32, (key >> 32) as u32] }
    }

    /// Four 32-bit words of a 128-bit counter.
    #[must_use]
    pub fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        let (mut c, mut k) = (counter, self.key);
        for round in 0..10 {
            if round > 0 {
                k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
            }
            let (a, b) = (MUL[0] * u64::from(c[0]), MUL[1] * u64::from(c[2]));
            c = [
                (b >> 32) as u32 ^ c[1] ^ k[0],
                b as u32,
                (a >> 32) as u32 ^ c[3] ^ k[1],
                a as u32,
            ];
        }
        c
    }

    /// A uniform number in the open interval (0, 1) for draw `index` of `stream`.
    #[must_use]
    pub fn uniform(&self, stream: u64, index: u64) -> f64 {
        let c = [index as u32, (index >> 32) as u32, stream as u32, (stream >> 32) as u32];
        let w = self.block(c);
        let bits = (u64::from(w[0]) << 20) | (u64::from(w[1]) >> 12);
        (bits as f64 + 0.5) / 4_503_599_627_370_496.0
    }

    /// A standard normal number, by inversion.
    #[must_use]
    pub fn normal(&self, stream: u64, index: u64) -> f64 {
        quantile(self.uniform(stream, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_test_vectors_hold() {
        assert_eq!(
            Philox::new(0).block([0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            Philox::new(u64::MAX).block([u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }
}
