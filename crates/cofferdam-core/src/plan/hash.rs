//! The identity of a plan: what was reviewed is what runs.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use sha2::{Digest, Sha256};

/// What the hash begins with. A change of the layout changes this tag.
const DOMAIN: &[u8] = b"cofferdam/plan/v1";

/// The hash of a plan's folder, given every file in it by its path relative to the folder, with `/`
/// between names. SHA-256 over
/// `"cofferdam/plan/v1" ‖ number of files (u64 BE) ‖ for each file, sorted by path as bytes:
/// length of the path (u64 BE) ‖ path ‖ length of the content (u64 BE) ‖ content`.
///
/// Nothing is left out and nothing is normalised: a changed comment or line break is a changed plan.
pub fn hash(files: &BTreeMap<String, Vec<u8>>) -> B256 {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update((files.len() as u64).to_be_bytes());
    for (path, content) in files {
        for part in [path.as_bytes(), content] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    B256::from(<[u8; 32]>::from(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_primitives::b256;

    use super::hash;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    /// Computed with Python's hashlib over the layout in the function's text. It must never change.
    #[test]
    fn the_hash_is_the_documented_one() {
        let hash = hash(&files(&[("plan.toml", "version = 1\n"), ("playbooks/a.json", "{}")]));
        assert_eq!(hash, b256!("ffed8c8dcb288c957af92d493c025f19eb77dbc5f08ace883d733c5e79b0ef6f"));
    }

    #[test]
    fn every_byte_path_and_boundary_counts() {
        let all = [
            files(&[]),
            files(&[("a", "")]),
            files(&[("a", "b")]),
            files(&[("ab", "")]),
            files(&[("a", ""), ("b", "")]),
            files(&[("a", "b\n")]),
        ];
        let hashes: std::collections::BTreeSet<_> = all.iter().map(hash).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
