//! Gives the attackers of a recording fresh addresses.
//!
//! **Invariant:** the same seed gives the same addresses; a replacement reaches every place an address
//! can hide in hex: calldata, return data, topics, log data.

use alloy_primitives::{Address, hex, keccak256};

/// A replacement of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    seed: u64,
    pairs: Vec<(Address, Address)>,
}

impl Rename {
    /// Fresh addresses for `old`, drawn from `seed`.
    pub fn of(old: impl IntoIterator<Item = Address>, seed: u64) -> Self {
        let fresh = |old: Address| {
            let word = keccak256([&seed.to_be_bytes()[..], old.as_slice()].concat());
            Address::from_word(word)
        };
        Self { seed, pairs: old.into_iter().map(|it| (it, fresh(it))).collect() }
    }

    /// The new address of `old`, or `old` itself if it stays.
    pub fn address(&self, old: Address) -> Address {
        self.pairs.iter().find(|it| it.0 == old).map_or(old, |it| it.1)
    }

    /// A made-up function selector in place of `old`.
    pub fn selector(&self, old: [u8; 4]) -> [u8; 4] {
        let word = keccak256([&self.seed.to_be_bytes()[..], &old].concat());
        word.first_chunk().copied().unwrap_or(old)
    }

    /// `text` with every old address, however its hex digits are cased, replaced.
    pub(super) fn text(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let lower = text.to_ascii_lowercase();
        for (old, new) in &self.pairs {
            let (old, new) = (hex::encode(old), hex::encode(new));
            for (at, found) in lower.match_indices(&old) {
                if let Some(place) = bytes.get_mut(at..at + found.len()) {
                    place.copy_from_slice(new.as_bytes());
                }
            }
        }
        // ASCII was replaced by as much ASCII.
        String::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, hex};

    use super::Rename;

    #[test]
    fn an_address_is_replaced_inside_any_hex_however_cased() {
        let old = Address::repeat_byte(0xab);
        let rename = Rename::of([old], 7);
        let new = hex::encode(rename.address(old));
        assert_ne!(new, hex::encode(old));
        let upper = "0xABABABABABABABABABABABABABABABABABABABAB";
        let text = format!(r#"{{"x":"{upper}","y":"0x0001{}02","z":"é"}}"#, hex::encode(old));
        let expected = format!(r#"{{"x":"0x{new}","y":"0x0001{new}02","z":"é"}}"#);
        assert_eq!(rename.text(&text), expected);
        assert_eq!(rename, Rename::of([old], 7));
        assert_ne!(rename.address(old), Rename::of([old], 8).address(old));
    }
}
