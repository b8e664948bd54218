//! The restitution snapshot: a Merkle tree that OpenZeppelin's `MerkleProof` and npm
//! `@openzeppelin/merkle-tree` (`StandardMerkleTree`, format `standard-v1`) read.
//!
//! A leaf is `keccak256(keccak256(abi.encode(address, uint256)))`; leaves are ordered by hash and stand from the
//! end of an array of `2n - 1` nodes; node `i` hashes its children `2i + 1` and `2i + 2`, the lesser first.
//!
//! **Invariant:** the same claims give the same tree, byte for byte, in whatever order they were read. A
//! leaf is hashed twice, so that no inner node can be passed off as one.

use alloy_primitives::{Address, B256, U256, keccak256};
use serde_json::{Value, json};

use crate::{Claim, Claims};

/// A tree over claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    claims: Claims,
    tree: Vec<B256>,
    /// Of each claim, by account: its place in the tree.
    places: Vec<usize>,
}

/// Why there is no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The account is owed nothing.
    #[error("{0} is not in the snapshot")]
    Absent(Address),
    /// The tree in memory is not one; this is a defect.
    #[error("the tree has no node {0}")]
    Broken(usize),
}

/// What an account needs to draw its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The claim.
    pub claim: Claim,
    /// Its leaf.
    pub leaf: B256,
    /// Siblings from the leaf to the root.
    pub siblings: Vec<B256>,
}

impl Snapshot {
    /// The tree over `claims`.
    pub fn of(claims: Claims) -> Self {
        let count = claims.all().len();
        let mut leaves: Vec<(B256, usize)> =
            claims.all().iter().enumerate().map(|(index, it)| (leaf(it), index)).collect();
        leaves.sort_unstable();
        // Claims are never empty, so there is a root.
        let mut tree = vec![B256::ZERO; (2 * count).saturating_sub(1)];
        let mut places = vec![0; count];
        let last = tree.len().saturating_sub(1);
        for (order, (hash, index)) in leaves.into_iter().enumerate() {
            tree[last - order] = hash;
            places[index] = last - order;
        }
        for node in (0..count.saturating_sub(1)).rev() {
            tree[node] = pair(tree[2 * node + 1], tree[2 * node + 2]);
        }
        Self { claims, tree, places }
    }

    /// The claims in it.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The root, as a contract keeps it.
    pub fn root(&self) -> B256 {
        self.tree.first().copied().unwrap_or_default()
    }

    /// The proof of what `account` is owed.
    ///
    /// # Errors
    /// It is owed nothing.
    pub fn proof(&self, account: Address) -> Result<Proof, MerkleError> {
        let all = self.claims.all();
        let index = all
            .binary_search_by_key(&account, |it| it.account)
            .map_err(|_| MerkleError::Absent(account))?;
        let (claim, mut node) = (all[index], self.places[index]);
        let mut siblings = Vec::new();
        while node > 0 {
            // Children of one node are an odd place and the even one after it.
            let sibling = if node % 2 == 1 { node + 1 } else { node - 1 };
            siblings.push(*self.tree.get(sibling).ok_or(MerkleError::Broken(sibling))?);
            node = (node - 1) / 2;
        }
        Ok(Proof { claim, leaf: leaf(&claim), siblings })
    }

    /// The tree as `StandardMerkleTree.load` reads it. Amounts are decimal strings.
    pub fn dump(&self) -> Value {
        let value = |(it, place): (&Claim, &usize)| {
            json!({
                "value": [it.account.to_checksum(None), it.amount.to_string()],
                "treeIndex": place,
            })
        };
        json!({
            "format": "standard-v1",
            "leafEncoding": ["address", "uint256"],
            "tree": self.tree,
            "values": self.claims.all().iter().zip(&self.places).map(value).collect::<Vec<_>>(),
        })
    }
}

/// Whether `proof` leads to `root`, as `MerkleProof.verify` computes it.
pub fn verify(root: B256, proof: &Proof) -> bool {
    proof.leaf == leaf(&proof.claim)
        && proof.siblings.iter().fold(proof.leaf, |node, it| pair(node, *it)) == root
}

fn leaf(claim: &Claim) -> B256 {
    let mut encoded = [0; 64];
    encoded[..32].copy_from_slice(claim.account.into_word().as_slice());
    encoded[32..].copy_from_slice(&claim.amount.to_be_bytes::<32>());
    keccak256(keccak256(encoded))
}

fn pair(one: B256, other: B256) -> B256 {
    let (less, more) = if one <= other { (one, other) } else { (other, one) };
    keccak256([less.0, more.0].concat())
}

/// A sum as people read it: base units, and the same with `decimals` places.
pub fn units(amount: U256, decimals: u8) -> String {
    let text = amount.to_string();
    let places = usize::from(decimals);
    if places == 0 {
        return text;
    }
    let padded = format!("{text:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}
