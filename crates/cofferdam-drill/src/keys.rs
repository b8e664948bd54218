//! Drill accounts: keys derived from names. They hold nothing outside a local chain.

use alloy_primitives::{B256, keccak256};

/// The private key of the drill account `name` in the drill `scenario`, salted by `seed` so that no
/// rule can learn an attacker's address by heart.
pub fn private_key(scenario: &str, name: &str, seed: u64) -> B256 {
    // A hash is outside the curve's order with probability 2^-128.
    keccak256(format!("cofferdam/drill/{scenario}/{name}/{seed}"))
}
