//! Questions as calldata and answers as words. Everything a contract returns is hostile: offsets, lengths and
//! paddings are checked before they are followed.

use alloy_primitives::{Address, B256, Bytes, I256, U256, keccak256};
use cofferdam_core::read::{Answer, StateRead};

use crate::{AdapterError, Answers, LIST_MAX};

/// Bytes of a word.
const WORD: usize = 32;

/// A view call; `signature` is `name(types)`, `arguments` are static words.
pub(crate) fn call(to: Address, signature: &str, arguments: &[U256]) -> StateRead {
    let mut data = keccak256(signature)[..4].to_vec();
    for a in arguments {
        data.extend_from_slice(&a.to_be_bytes::<WORD>());
    }
    StateRead::Call { to, data: data.into() }
}

/// An address as a word.
pub(crate) fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

/// `keccak256(abi.encode(text))`, as GMX derives its keys.
pub(crate) fn text_key(text: &str) -> U256 {
    let mut data = Vec::with_capacity(3 * WORD);
    data.extend_from_slice(&U256::from(WORD).to_be_bytes::<WORD>());
    data.extend_from_slice(&U256::from(text.len()).to_be_bytes::<WORD>());
    data.extend_from_slice(text.as_bytes());
    data.resize(data.len().div_ceil(WORD) * WORD, 0);
    U256::from_be_bytes(keccak256(data).0)
}

/// `keccak256(abi.encode(words))`.
pub(crate) fn words_key(words: &[U256]) -> U256 {
    let data: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes::<WORD>()).collect();
    U256::from_be_bytes(keccak256(data).0)
}

/// The answer to a question, or `None` while it has not been asked.
pub(crate) fn answer<'a>(
    known: &'a Answers,
    read: &StateRead,
    what: &str,
) -> Result<Option<Reader<'a>>, AdapterError> {
    match known.get(read) {
        None => Ok(None),
        Some(Answer::Bytes(bytes)) => Ok(Some(Reader { bytes, what: what.to_owned() })),
        Some(Answer::Reverted) => Err(AdapterError::Reverted { what: what.to_owned() }),
        Some(Answer::Unavailable | Answer::Rehearsed(_)) => {
            Err(AdapterError::Unavailable { what: what.to_owned() })
        }
    }
}

/// The answer to a question that must have been answered by now.
pub(crate) fn must<'a>(
    known: &'a Answers,
    read: &StateRead,
    what: &str,
) -> Result<Reader<'a>, AdapterError> {
    answer(known, read, what)?.ok_or_else(|| AdapterError::Unavailable { what: what.to_owned() })
}

/// Returned bytes by words.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    what: String,
}

impl Reader<'_> {
    fn malformed(&self, why: &'static str) -> AdapterError {
        AdapterError::Malformed { what: self.what.clone(), why }
    }

    /// Word `index`.
    pub(crate) fn uint(&self, index: usize) -> Result<U256, AdapterError> {
        let at = index.checked_mul(WORD).ok_or_else(|| self.malformed("too long"))?;
        let slice = self.bytes.get(at..at.saturating_add(WORD));
        slice.map(U256::from_be_slice).ok_or_else(|| self.malformed("too short"))
    }

    /// Word `index` as a signed number.
    pub(crate) fn int(&self, index: usize) -> Result<I256, AdapterError> {
        self.uint(index).map(I256::from_raw)
    }

    /// Word `index` as an address.
    pub(crate) fn address(&self, index: usize) -> Result<Address, AdapterError> {
        let w = self.uint(index)?;
        if w >> 160 != U256::ZERO {
            return Err(self.malformed("not an address"));
        }
        Ok(Address::from_word(B256::from(w)))
    }

    /// Word `index` as a flag.
    pub(crate) fn flag(&self, index: usize) -> Result<bool, AdapterError> {
        match self.uint(index)? {
            w if w == U256::ZERO => Ok(false),
            w if w == U256::from(1) => Ok(true),
            _ => Err(self.malformed("not a flag")),
        }
    }

    /// Word `index` as a small number.
    pub(crate) fn small(&self, index: usize, most: u64) -> Result<u64, AdapterError> {
        let w = self.uint(index)?;
        if w > U256::from(most) {
            return Err(self.malformed("a number out of range"));
        }
        Ok(w.to::<u64>())
    }

    /// Where the dynamic value that word `index` points to begins, in words, relative to word `base`.
    pub(crate) fn offset(&self, base: usize, index: usize) -> Result<usize, AdapterError> {
        let at = self.small(index, self.bytes.len() as u64)? as usize;
        if !at.is_multiple_of(WORD) {
            return Err(self.malformed("an offset between words"));
        }
        Ok(base + at / WORD)
    }

    /// Length and first word of the array at word `start`, each element `size` words.
    pub(crate) fn array(&self, start: usize, size: usize) -> Result<(usize, usize), AdapterError> {
        let length = self.small(start, LIST_MAX as u64);
        let length = match length {
            Ok(it) => it as usize,
            Err(_) => return Err(AdapterError::TooMany { what: "list entries", limit: LIST_MAX }),
        };
        if length > 0 {
            self.uint(start + length * size)?;
        }
        Ok((length, start + 1))
    }

    /// A returned `address[]`.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, AdapterError> {
        let start = self.offset(0, 0)?;
        let (n, first) = self.array(start, 1)?;
        (first..first + n).map(|i| self.address(i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, hex};
    use proptest::prelude::*;

    use super::*;

    fn reader(bytes: &Bytes) -> Reader<'_> {
        Reader { bytes, what: "test".into() }
    }

    fn encoded(words: &[u64]) -> Bytes {
        words.iter().flat_map(|w| U256::from(*w).to_be_bytes::<32>()).collect::<Vec<u8>>().into()
    }

    #[test]
    fn lists_are_followed_and_lies_about_them_refused() {
        let good = encoded(&[32, 2, 7, 9]);
        assert_eq!(reader(&good).addresses().unwrap().len(), 2);
        for bad in [&[32, 3, 7, 9][..], &[31, 2, 7, 9], &[320, 2, 7, 9], &[32, u64::MAX, 7], &[]] {
            assert!(reader(&encoded(bad)).addresses().is_err(), "{bad:?}");
        }
        let wide: Bytes = U256::MAX.to_be_bytes::<32>().to_vec().into();
        assert!(reader(&wide).address(0).is_err() && reader(&wide).flag(0).is_err());
    }

    #[test]
    fn gmx_keys_are_hashes_of_encoded_text() {
        // keccak256(abi.encode("POOL_AMOUNT")) by solc.
        let mut data = Vec::new();
        data.extend(U256::from(32).to_be_bytes::<32>());
        data.extend(U256::from(11).to_be_bytes::<32>());
        data.extend(hex!("504f4f4c5f414d4f554e54000000000000000000000000000000000000000000"));
        assert_eq!(text_key("POOL_AMOUNT"), U256::from_be_bytes(keccak256(data).0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), i in 0_usize..10) {
            let bytes: Bytes = bytes.into();
            let r = reader(&bytes);
            let _ = (r.addresses(), r.uint(i), r.int(i), r.address(i), r.flag(i), r.offset(0, i), r.array(i, 3));
            let _ = r.uint(usize::MAX);
        }
    }
}
