//! Signatures of functions and events, and the words of their parameters.
//!
//! **Invariant:** only static elementary types have values; a word that is not a value of its type
//! (an address with high bits, a `uint8` of 300) decodes to nothing rather than to something near it.
//! Source: Solidity contract ABI specification.

use std::ops::Range;

use alloy_primitives::{B256, U256, keccak256};

use super::{
    error::{Span, Wrong},
    int::Int,
    typed::Ty,
};

/// The most parameters of a signature.
pub(crate) const PARAMS_MAX: usize = 64;

/// The deepest nesting of tuples in a signature.
const TUPLE_DEPTH_MAX: usize = 8;

/// The most words a static type may take.
const WORDS_MAX: usize = 1_024;

/// A function or event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// As it is hashed, e.g. `transfer(address,uint256)`.
    pub(crate) canonical: String,
    pub(crate) params: Vec<Param>,
    /// What a function returns, if that is given.
    pub(crate) returns: Option<Vec<Param>>,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    /// Empty if it has none.
    pub(crate) name: String,
    pub(crate) ty: AbiType,
    pub(crate) indexed: bool,
    /// Its topic (the signature being topic 0) if indexed, else its first word in the data.
    pub(crate) place: usize,
}

/// A type, as far as its values can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbiType {
    Uint(u16),
    Int(u16),
    Address,
    Bool,
    FixedBytes(u8),
    /// Arrays, tuples and dynamic types: no value, only a length in words.
    Opaque {
        words: u16,
    },
}

impl Signature {
    /// Parses `name(type name, …)` or, for a call, `name(types)(returned types)`.
    ///
    /// # Errors
    /// The first thing that is no signature, with its bytes in `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let mut reader = Reader { text, at: 0 };
        for noise in ["event ", "function "] {
            let rest = reader.rest();
            if rest.starts_with(noise) {
                reader.at += noise.len();
            }
        }
        reader.blanks();
        let (name, span) = reader.word();
        if name.is_empty() || name.starts_with(|it: char| it.is_ascii_digit()) {
            return Err(Wrong::new(span, "expected the name of a function or event")
                .hint("a signature looks like `transfer(address,uint256)`"));
        }
        let (types, params) = reader.params(true)?;
        let canonical = format!("{name}{types}");
        reader.blanks();
        let returns = match reader.rest() {
            "" => None,
            _ => {
                let rest = reader.rest();
                if rest.starts_with("returns") {
                    reader.at += "returns".len();
                    reader.blanks();
                }
                Some(reader.params(false)?.1)
            }
        };
        reader.blanks();
        if !reader.rest().is_empty() {
            let span = Span::new(reader.at, text.len());
            return Err(Wrong::new(span, "the signature ends before this"));
        }
        Ok(Self { canonical, params, returns })
    }

    pub(crate) fn topic(&self) -> B256 {
        keccak256(self.canonical.as_bytes())
    }

    pub(crate) fn selector(&self) -> [u8; 4] {
        let hash = self.topic();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// How many topics a log of this event has, the signature included.
    pub(crate) fn topics(&self) -> usize {
        self.params.iter().filter(|it| it.indexed).count() + 1
    }

    /// The least number of words that the data of a log or call has.
    pub(crate) fn words(&self) -> usize {
        let inline = self.params.iter().filter(|it| !it.indexed);
        inline.map(|it| it.place + it.ty.words()).max().unwrap_or(0)
    }

    /// The parameter called `name`, or `arg0`, `arg1`, … by position.
    pub(crate) fn param(&self, name: &str) -> Option<usize> {
        let named = self.params.iter().position(|it| it.name == name);
        named.or_else(|| {
            let index: usize = name.strip_prefix("arg")?.parse().ok()?;
            (index < self.params.len()).then_some(index)
        })
    }
}

impl AbiType {
    /// The type of its values, if they can be used.
    pub(crate) fn ty(self) -> Option<Ty> {
        Some(match self {
            Self::Uint(_) | Self::Int(_) => Ty::Int,
            Self::Address => Ty::Address,
            Self::Bool => Ty::Bool,
            Self::FixedBytes(4) => Ty::Bytes4,
            Self::FixedBytes(_) => Ty::Bytes32,
            Self::Opaque { .. } => return None,
        })
    }

    fn words(self) -> usize {
        match self {
            Self::Opaque { words } => usize::from(words),
            _ => 1,
        }
    }

    /// The value in `word`, or nothing if it is not one of this type.
    pub(crate) fn decode(self, word: U256) -> Option<Int> {
        let fits = |bits: usize| (word.bit_len() <= bits).then(|| Int::unsigned(word));
        match self {
            Self::Uint(bits) => fits(usize::from(bits)),
            Self::Address => fits(160),
            Self::Bool => fits(1),
            Self::Int(bits) => {
                let value = Int::from_twos_complement(word);
                in_signed_range(value, bits).then_some(value)
            }
            Self::FixedBytes(length) => {
                let unused = 256 - 8 * usize::from(length);
                let clean = length == 32 || (word << (256 - unused)).is_zero();
                let value = if length == 4 { word >> 224 } else { word };
                clean.then(|| Int::unsigned(value))
            }
            Self::Opaque { .. } => None,
        }
    }

    /// The word of `value`, or nothing if it is out of range.
    pub(crate) fn encode(self, value: Int) -> Option<U256> {
        let word = match self {
            Self::Int(bits) if in_signed_range(value, bits) => value.twos_complement()?,
            Self::FixedBytes(4) => value.magnitude() << 224,
            _ => value.magnitude(),
        };
        self.decode(word).filter(|it| *it == value).map(|_| word)
    }
}

fn in_signed_range(value: Int, bits: u16) -> bool {
    let magnitude = value.magnitude();
    let limit = U256::ONE << usize::from(bits.saturating_sub(1));
    if value.is_negative() { magnitude <= limit } else { magnitude < limit }
}

struct Reader<'s> {
    text: &'s str,
    at: usize,
}

/// A type as read: how it is hashed, its values, and whether its data stands elsewhere.
struct Read {
    canonical: String,
    ty: AbiType,
    dynamic: bool,
}

impl<'s> Reader<'s> {
    fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, accept: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.text.as_bytes().get(self.at).copied().is_some_and(&accept) {
            self.at += 1;
        }
        start..self.at
    }

    fn blanks(&mut self) {
        self.skip(|it| it.is_ascii_whitespace());
    }

    fn word(&mut self) -> (&'s str, Span) {
        let range = self.skip(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'$'));
        let span = Span::new(range.start, range.end);
        (self.text.get(range).unwrap_or_default(), span)
    }

    fn eat(&mut self, mark: char) -> bool {
        self.blanks();
        let found = self.rest().starts_with(mark);
        self.at += usize::from(found);
        found
    }

    fn here(&self) -> Span {
        Span::new(self.at, self.at + self.rest().chars().next().map_or(0, char::len_utf8))
    }

    /// `(type [indexed] [name], …)`; the canonical text and the parameters.
    fn params(&mut self, may_index: bool) -> Result<(String, Vec<Param>), Wrong> {
        if !self.eat('(') {
            return Err(Wrong::new(self.here(), "expected `(`"));
        }
        let (mut types, mut params) = (String::from("("), Vec::new());
        let (mut topics, mut words) = (1, 0);
        while !self.eat(')') {
            if !params.is_empty() {
                if !self.eat(',') {
                    return Err(Wrong::new(self.here(), "expected `,` or `)`"));
                }
                types.push(',');
            }
            if params.len() == PARAMS_MAX {
                return Err(Wrong::new(self.here(), format!("more than {PARAMS_MAX} parameters")));
            }
            let read = self.ty(0)?;
            types.push_str(&read.canonical);
            self.blanks();
            let (mut name, mut indexed) = (self.word().0, false);
            for noise in ["indexed", "memory", "calldata"] {
                if name == noise && (noise != "indexed" || may_index) {
                    indexed |= noise == "indexed";
                    self.blanks();
                    name = self.word().0;
                }
            }
            // Of an indexed array, tuple or dynamic value the topic holds the hash.
            let hashed = indexed && matches!(read.ty, AbiType::Opaque { .. });
            let ty = if hashed { AbiType::FixedBytes(32) } else { read.ty };
            let counter = if indexed { &mut topics } else { &mut words };
            let place = *counter;
            *counter += ty.words();
            params.push(Param { name: name.to_owned(), ty, indexed, place });
        }
        types.push(')');
        Ok((types, params))
    }

    fn ty(&mut self, depth: usize) -> Result<Read, Wrong> {
        self.blanks();
        let start = self.at;
        let mut read = if self.rest().starts_with('(') {
            self.tuple(depth)?
        } else {
            let (name, span) = self.word();
            elementary(name).ok_or_else(|| {
                Wrong::new(span, format!("`{name}` is not a type")).hint("such as `uint256`")
            })?
        };
        while self.eat('[') {
            let range = self.skip(|it| it.is_ascii_digit());
            let length = self.text.get(range).unwrap_or_default();
            if !self.eat(']') {
                return Err(Wrong::new(self.here(), "expected `]`"));
            }
            read = array(read, length)
                .ok_or_else(|| Wrong::new(Span::new(start, self.at), "the array is too long"))?;
        }
        Ok(read)
    }

    fn tuple(&mut self, depth: usize) -> Result<Read, Wrong> {
        if depth == TUPLE_DEPTH_MAX {
            let what = format!("tuples are nested more than {TUPLE_DEPTH_MAX} deep");
            return Err(Wrong::new(self.here(), what));
        }
        let start = self.at;
        self.at += 1;
        let (mut canonical, mut words, mut dynamic) = (String::from("("), 0, false);
        loop {
            let member = self.ty(depth + 1)?;
            canonical.push_str(&member.canonical);
            words += member.ty.words();
            dynamic |= member.dynamic;
            self.blanks();
            self.word();
            if self.eat(')') {
                break;
            }
            if !self.eat(',') || words > WORDS_MAX {
                return Err(Wrong::new(Span::new(start, self.at), "expected `,` or `)`"));
            }
            canonical.push(',');
        }
        canonical.push(')');
        Ok(Read { canonical, ty: opaque(words, dynamic), dynamic })
    }
}

fn opaque(words: usize, dynamic: bool) -> AbiType {
    let words = if dynamic { 1 } else { words };
    AbiType::Opaque { words: u16::try_from(words).unwrap_or(u16::MAX) }
}

fn array(of: Read, length: &str) -> Option<Read> {
    let canonical = format!("{}[{length}]", of.canonical);
    if length.is_empty() {
        return Some(Read { canonical, ty: opaque(1, true), dynamic: true });
    }
    let words = length.parse::<usize>().ok()?.checked_mul(of.ty.words())?;
    let ty = opaque(words, of.dynamic);
    (words <= WORDS_MAX).then_some(Read { canonical, ty, dynamic: of.dynamic })
}

fn elementary(name: &str) -> Option<Read> {
    let plain = |digits: &str| !digits.starts_with('0') && !digits.starts_with('+');
    let bits = |digits: &str| match digits {
        "" => Some(256),
        _ => digits
            .parse::<u16>()
            .ok()
            .filter(|it| plain(digits) && it.is_multiple_of(8) && (8..=256).contains(it)),
    };
    let (ty, dynamic, canonical) = match name {
        "address" => (AbiType::Address, false, name.to_owned()),
        "bool" => (AbiType::Bool, false, name.to_owned()),
        "bytes" | "string" => (opaque(1, true), true, name.to_owned()),
        _ => {
            if let Some(bits) = name.strip_prefix("uint").and_then(bits) {
                (AbiType::Uint(bits), false, format!("uint{bits}"))
            } else if let Some(bits) = name.strip_prefix("int").and_then(bits) {
                (AbiType::Int(bits), false, format!("int{bits}"))
            } else {
                let digits = name.strip_prefix("bytes")?;
                let length = digits.parse::<u8>().ok().filter(|_| plain(digits))?;
                let fits = (1..=32).contains(&length);
                (fits.then_some(AbiType::FixedBytes(length))?, false, name.to_owned())
            }
        }
    };
    Some(Read { canonical, ty, dynamic })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, hex};
    use proptest::prelude::*;

    use super::{super::int::Int, AbiType, Signature};

    #[test]
    fn signatures_hash_as_solidity_does() {
        let swap = "event Swap(address indexed sender, uint amount0In, uint256 amount1In, \
                    uint256 amount0Out, uint256 amount1Out, address indexed to)";
        let swap = Signature::parse(swap).unwrap();
        let hash = "d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822";
        assert_eq!(hex::encode(swap.topic()), hash);
        assert_eq!((swap.topics(), swap.words()), (3, 4));
        assert_eq!(swap.param("amount1Out"), Some(4));
        assert_eq!(swap.param("arg5"), swap.param("to"));
        let pause = Signature::parse("paused()(bool)").unwrap();
        assert_eq!(hex::encode(pause.selector()), "5c975abb");
        assert_eq!(pause.returns.unwrap()[0].ty, AbiType::Bool);
    }

    #[test]
    fn static_arrays_and_tuples_take_their_words_and_dynamic_ones_take_one() {
        let it = Signature::parse("f((uint256,address)[2] a, bytes b, (string,uint8) c, int24 d)");
        let it = it.unwrap();
        assert_eq!(it.canonical, "f((uint256,address)[2],bytes,(string,uint8),int24)");
        let places: Vec<usize> = it.params.iter().map(|it| it.place).collect();
        assert_eq!(places, [0, 4, 5, 6]);
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        for text in [
            "",
            "f",
            "f(",
            "f(uint)x",
            "f(uint7)",
            "f(uint256",
            "f(uint256,)",
            "(uint256)",
            "1f()",
            "f(uint08)",
            "f(bytes33)",
            "f(bytes0)",
            "f(mapping)",
            "f((((((((((uint))))))))))",
            "f(uint[99999999999999999999])",
            "f(uint[2)",
        ] {
            assert!(Signature::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_that_are_no_value_of_the_type_decode_to_nothing() {
        assert_eq!(AbiType::Uint(8).decode(U256::from(300)), None);
        assert_eq!(AbiType::Bool.decode(U256::from(2)), None);
        assert_eq!(AbiType::Address.decode(U256::MAX), None);
        assert_eq!(AbiType::Int(8).decode(U256::MAX), Some(Int::ONE.neg()));
        assert_eq!(AbiType::Int(8).decode(U256::from(128)), None);
        assert_eq!(AbiType::FixedBytes(4).decode(U256::ONE), None);
        assert_eq!(AbiType::FixedBytes(4).decode(U256::ONE << 224), Some(Int::ONE));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(limbs: [u64; 4], negative: bool, shift in 0..256_usize) {
            let value = Int::signed(U256::from_limbs(limbs) >> shift, negative);
            for ty in [AbiType::Uint(256), AbiType::Uint(64), AbiType::Int(256), AbiType::Int(24),
                AbiType::Address, AbiType::Bool, AbiType::FixedBytes(4), AbiType::FixedBytes(32)] {
                if let Some(word) = ty.encode(value) {
                    prop_assert_eq!(ty.decode(word), Some(value));
                }
            }
        }

        #[test]
        fn any_text_is_a_signature_or_an_error_within_it(text in "[a-z0-9()\\[\\], ]{0,40}|\\PC*") {
            if let Err(wrong) = Signature::parse(&text) {
                prop_assert!(text.get(wrong.span.start..wrong.span.end).is_some());
            }
        }
    }
}
