//! Values and their encoding.

use std::fmt;

use alloy_primitives::{Address, I256, U256, hex};

use super::{AbiError, DATA_BYTES_MAX, Param, Type, VALUES_MAX};

/// A decoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Unsigned.
    Uint(U256),
    /// Signed.
    Int(I256),
    /// An account.
    Address(Address),
    /// A truth value.
    Bool(bool),
    /// `bytes<n>`.
    FixedBytes(Vec<u8>),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// `string`.
    String(String),
    /// Elements of an array whose length is in the data.
    List(Vec<Value>),
    /// Components of a tuple, or elements of an array of fixed length: both are encoded alike.
    Tuple(Vec<Value>),
}

/// Decodes the parameters of a call, without its selector.
///
/// # Errors
/// [`AbiError::Data`] if it is no encoding, [`AbiError::NotCanonical`] if it is not the one that encoding the values
/// again gives.
pub fn decode(params: &[Param], data: &[u8]) -> Result<Vec<Value>, AbiError> {
    if data.len() > DATA_BYTES_MAX {
        return Err(AbiError::Data("it is too long"));
    }
    let mut decoder = Decoder { budget: VALUES_MAX };
    let types: Vec<&Type> = params.iter().map(|it| &it.ty).collect();
    let values = decoder.sequence(&types, data)?;
    if encode(&values) != data {
        return Err(AbiError::NotCanonical);
    }
    Ok(values)
}

struct Decoder {
    budget: usize,
}

const TRUNCATED: AbiError = AbiError::Data("it ends too early");

fn word(data: &[u8], at: usize) -> Result<&[u8; 32], AbiError> {
    let end = at.checked_add(32).ok_or(TRUNCATED)?;
    data.get(at..end).and_then(|it| it.try_into().ok()).ok_or(TRUNCATED)
}

fn size(data: &[u8], at: usize) -> Result<usize, AbiError> {
    let value = U256::from_be_bytes(*word(data, at)?);
    usize::try_from(value).ok().filter(|it| *it <= DATA_BYTES_MAX).ok_or(TRUNCATED)
}

impl Decoder {
    /// A sequence of values whose offsets count from the start of `data`.
    fn sequence(&mut self, types: &[&Type], data: &[u8]) -> Result<Vec<Value>, AbiError> {
        let mut at = 0usize;
        let mut out = Vec::new();
        for ty in types {
            out.push(self.value(ty, data, at)?);
            at = at.saturating_add(ty.head_words().saturating_mul(32));
        }
        Ok(out)
    }

    fn value(&mut self, ty: &Type, data: &[u8], at: usize) -> Result<Value, AbiError> {
        self.budget = self.budget.checked_sub(1).ok_or(AbiError::Data("it has too many values"))?;
        if ty.is_dynamic() {
            let start = size(data, at)?;
            let tail = data.get(start..).ok_or(TRUNCATED)?;
            return self.tail(ty, tail);
        }
        match ty {
            Type::Fixed(..) | Type::Tuple(_) => {
                let body = data.get(at..).ok_or(TRUNCATED)?;
                self.tail(ty, body)
            }
            _ => scalar(ty, word(data, at)?),
        }
    }

    fn tail(&mut self, ty: &Type, data: &[u8]) -> Result<Value, AbiError> {
        match ty {
            Type::Bytes | Type::String => {
                let length = size(data, 0)?;
                let body = data.get(32..32 + length).ok_or(TRUNCATED)?.to_vec();
                if *ty == Type::Bytes {
                    return Ok(Value::Bytes(body));
                }
                let text = String::from_utf8(body);
                text.map(Value::String).map_err(|_| AbiError::Data("a string is not UTF-8"))
            }
            Type::Array(of) => {
                let count = size(data, 0)?;
                let body = data.get(32..).ok_or(TRUNCATED)?;
                self.repeat(of, count, body).map(Value::List)
            }
            Type::Fixed(of, count) => self.repeat(of, *count, data).map(Value::Tuple),
            Type::Tuple(params) => {
                let types: Vec<&Type> = params.iter().map(|it| &it.ty).collect();
                self.sequence(&types, data).map(Value::Tuple)
            }
            _ => scalar(ty, word(data, 0)?),
        }
    }

    fn repeat(&mut self, of: &Type, count: usize, data: &[u8]) -> Result<Vec<Value>, AbiError> {
        if count > self.budget {
            return Err(AbiError::Data("it has too many values"));
        }
        let types: Vec<&Type> = std::iter::repeat_n(of, count).collect();
        self.sequence(&types, data)
    }
}

fn scalar(ty: &Type, word: &[u8; 32]) -> Result<Value, AbiError> {
    let number = U256::from_be_bytes(*word);
    let range = AbiError::Data("a value does not fit its type");
    match ty {
        Type::Uint(bits) if number.bit_len() <= *bits => Ok(Value::Uint(number)),
        Type::Int(bits) => {
            let value = I256::from_raw(number);
            let magnitude = if value.is_negative() { !number } else { number };
            (magnitude.bit_len() < *bits).then_some(Value::Int(value)).ok_or(range)
        }
        Type::Address if number.bit_len() <= 160 => {
            Ok(Value::Address(Address::from_word((*word).into())))
        }
        Type::Bool if number <= U256::from(1) => Ok(Value::Bool(!number.is_zero())),
        Type::FixedBytes(count) => {
            let (value, padding) = word.split_at_checked(*count).ok_or(TRUNCATED)?;
            let clean = padding.iter().all(|it| *it == 0);
            clean.then(|| Value::FixedBytes(value.to_vec())).ok_or(range)
        }
        _ => Err(range),
    }
}

/// Encodes values in their one canonical form.
pub fn encode(values: &[Value]) -> Vec<u8> {
    let head_bytes: usize = values.iter().map(head_bytes).sum();
    let mut head = Vec::new();
    let mut tail = Vec::new();
    for value in values {
        if dynamic(value) {
            head.extend_from_slice(&U256::from(head_bytes + tail.len()).to_be_bytes::<32>());
            body(value, &mut tail);
        } else {
            body(value, &mut head);
        }
    }
    head.append(&mut tail);
    head
}

fn dynamic(value: &Value) -> bool {
    match value {
        Value::Bytes(_) | Value::String(_) | Value::List(_) => true,
        Value::Tuple(values) => values.iter().any(dynamic),
        _ => false,
    }
}

fn head_bytes(value: &Value) -> usize {
    match value {
        it if dynamic(it) => 32,
        Value::Tuple(values) => values.iter().map(head_bytes).sum(),
        _ => 32,
    }
}

fn padded(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + (32 - bytes.len() % 32) % 32, 0);
}

fn body(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Uint(it) => out.extend_from_slice(&it.to_be_bytes::<32>()),
        Value::Int(it) => out.extend_from_slice(&it.to_be_bytes::<32>()),
        Value::Address(it) => out.extend_from_slice(it.into_word().as_slice()),
        Value::Bool(it) => out.extend_from_slice(&U256::from(u8::from(*it)).to_be_bytes::<32>()),
        Value::FixedBytes(it) => padded(it, out),
        Value::Bytes(it) => {
            out.extend_from_slice(&U256::from(it.len()).to_be_bytes::<32>());
            padded(it, out);
        }
        Value::String(it) => body(&Value::Bytes(it.as_bytes().to_vec()), out),
        Value::List(values) => {
            out.extend_from_slice(&U256::from(values.len()).to_be_bytes::<32>());
            out.extend_from_slice(&encode(values));
        }
        Value::Tuple(values) => out.extend_from_slice(&encode(values)),
    }
}

/// Longest run of bytes shown whole, in bytes.
const SHOWN_BYTES_MAX: usize = 256;

impl fmt::Display for Value {
    /// For people: numbers in decimal, addresses with checksum, bytes as hex (long ones cut, with their length), text
    /// quoted and with nothing in it that could move the cursor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[Self], open, close| {
            write!(f, "{open}")?;
            for (index, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
            }
            write!(f, "{close}")
        };
        match self {
            Self::Uint(it) => write!(f, "{it}"),
            Self::Int(it) => write!(f, "{it}"),
            Self::Address(it) => write!(f, "{it}"),
            Self::Bool(it) => write!(f, "{it}"),
            Self::FixedBytes(it) | Self::Bytes(it) => {
                let shown = it.get(..SHOWN_BYTES_MAX).unwrap_or(it);
                write!(f, "{}", hex::encode_prefixed(shown))?;
                if shown.len() < it.len() {
                    write!(f, "… ({} bytes)", it.len())?;
                }
                Ok(())
            }
            Self::String(it) => write!(f, "\"{}\"", crate::text::plain(it)),
            Self::List(it) => list(f, it, '[', ']'),
            Self::Tuple(it) => list(f, it, '(', ')'),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, I256, U256, hex};
    use proptest::prelude::*;

    use super::{AbiError, Value, decode, encode};
    use crate::abi::{Function, Param, Type};

    fn any_typed() -> impl Strategy<Value = (Type, Value)> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(|it| (Type::Uint(64), Value::Uint(U256::from(it)))),
            any::<i64>().prop_map(|it| (Type::Int(64), Value::Int(I256::try_from(it).unwrap()))),
            any::<[u8; 20]>().prop_map(|it| (Type::Address, Value::Address(Address::from(it)))),
            any::<bool>().prop_map(|it| (Type::Bool, Value::Bool(it))),
            any::<[u8; 5]>().prop_map(|it| (Type::FixedBytes(5), Value::FixedBytes(it.to_vec()))),
            proptest::collection::vec(any::<u8>(), 0..70)
                .prop_map(|it| (Type::Bytes, Value::Bytes(it))),
            ".{0,20}".prop_map(|it| (Type::String, Value::String(it))),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let repeated = (inner.clone(), 1usize..4);
            prop_oneof![
                repeated.clone().prop_map(|((ty, value), count)| {
                    (Type::Array(Box::new(ty)), Value::List(vec![value; count]))
                }),
                repeated.prop_map(|((ty, value), count)| {
                    (Type::Fixed(Box::new(ty), count), Value::Tuple(vec![value; count]))
                }),
                proptest::collection::vec(inner, 1..4).prop_map(|it| {
                    let (types, values): (Vec<_>, Vec<_>) = it.into_iter().unzip();
                    let param = |ty| Param { name: String::new(), ty };
                    (Type::Tuple(types.into_iter().map(param).collect()), Value::Tuple(values))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(typed in proptest::collection::vec(any_typed(), 0..4)) {
            let (types, values): (Vec<_>, Vec<_>) = typed.into_iter().unzip();
            let params: Vec<Param> =
                types.into_iter().map(|ty| Param { name: String::new(), ty }).collect();
            let data = encode(&values);
            prop_assert_eq!(decode(&params, &data), Ok(values));
            let mut more = data;
            more.push(0);
            prop_assert_eq!(decode(&params, &more), Err(AbiError::NotCanonical));
        }

        #[test]
        fn no_data_makes_the_decoder_panic(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let function = Function::parse("f((bytes,uint8[])[],string,int16,bytes3[2])").unwrap();
            let _ = decode(&function.inputs, &data);
        }
    }

    #[test]
    fn a_known_encoding_is_read() {
        let function = Function::parse("transfer(address to, uint256 amount)").unwrap();
        let data = hex!(
            "000000000000000000000000d20c9018a5097e922e9c0539aef389c871e76c3f"
            "00000000000000000000000000000000000000000000000000000000000003e8"
        );
        let values = decode(&function.inputs, &data).unwrap();
        assert_eq!(values[1], Value::Uint(U256::from(1_000)));
        let mut dirty = data;
        dirty[0] = 1;
        assert!(decode(&function.inputs, &dirty).is_err());
        assert!(decode(&function.inputs, &data[..63]).is_err());
    }

    #[test]
    fn arrays_that_repeat_each_other_do_not_multiply_work() {
        // uint8[][][]: every element points at the same place.
        let function = Function::parse("f(uint8[][][][] x)").unwrap();
        let mut data = U256::from(32).to_be_bytes::<32>().to_vec();
        for _ in 0..3 {
            data.extend(U256::from(200).to_be_bytes::<32>());
            (0..200).for_each(|_| data.extend(U256::from(200 * 32).to_be_bytes::<32>()));
        }
        assert!(decode(&function.inputs, &data).is_err());
    }

    #[test]
    fn text_cannot_disguise_itself() {
        let value = Value::String("ok\u{202e}\u{1b}[2K\n\"".into());
        assert_eq!(value.to_string(), "\"ok\\u{202e}\\u{1b}[2K\\n\\\"\"");
    }
}
