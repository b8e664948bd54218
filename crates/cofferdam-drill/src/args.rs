//! Arguments of steps: TOML values to ABI values.
//!
//! | written | means |
//! | --- | --- |
//! | `"$vault"` | the address of an account or contract, a named number, or a value read before |
//! | `"1_000e18"`, `12`, `true`, `"0x…"` | numbers, booleans, bytes and addresses |
//! | `[ … ]` | an array or a tuple |
//! | `{ calldata = "f(uint256)", args = [ … ] }` | an encoded call |
//! | `{ approved-by = ["$a", "$b"] }` | a Safe signature list of pre-approved hashes, owners sorted |
//! | `{ id = "text" }` | keccak-256 of the text |

use std::collections::BTreeMap;

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{Address, B256, Bytes, I256, U256, keccak256};

/// What names stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names(pub BTreeMap<String, U256>);

/// Why an argument was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// No account, contract or number has this name.
    #[error("nothing is named `{0}`")]
    Unknown(String),
    /// The signature cannot be read.
    #[error("`{0}` is not a function signature")]
    Signature(String),
    /// The value does not fit the type.
    #[error("`{value}` is not a {kind}")]
    Value {
        /// The value.
        value: String,
        /// The type.
        kind: String,
    },
    /// Another number of arguments.
    #[error("`{signature}` takes {want} arguments, {got} given")]
    Count {
        /// The signature.
        signature: String,
        /// Wanted.
        want: usize,
        /// Given.
        got: usize,
    },
}

impl Names {
    /// The value of `name`.
    ///
    /// # Errors
    /// [`ArgError::Unknown`].
    pub fn get(&self, name: &str) -> Result<U256, ArgError> {
        self.0.get(name).copied().ok_or_else(|| ArgError::Unknown(name.to_owned()))
    }

    /// The address of `name`; a `0x` literal stands for itself.
    ///
    /// # Errors
    /// [`ArgError::Unknown`].
    pub fn address(&self, name: &str) -> Result<Address, ArgError> {
        let name = name.trim_start_matches('$');
        if let Ok(address) = name.parse::<Address>() {
            return Ok(address);
        }
        Ok(Address::from_word(B256::from(self.get(name)?)))
    }

    /// Names an address.
    pub fn set_address(&mut self, name: &str, address: Address) {
        self.0.insert(name.to_owned(), U256::from_be_bytes(address.into_word().0));
    }

    /// Replaces `${name}` in `text` by addresses in CAIP-10 on `chain`, and `${0x:name}` by the bare
    /// address.
    ///
    /// # Errors
    /// [`ArgError::Unknown`].
    pub fn fill(&self, text: &str, chain: u64) -> Result<String, ArgError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else { break };
            out.push_str(before);
            match name.strip_prefix("0x:") {
                Some(name) => out.push_str(&self.address(name)?.to_string()),
                None if name == "chain" => out.push_str(&format!("eip155:{chain}")),
                None => out.push_str(&format!("eip155:{chain}:{}", self.address(name)?)),
            }
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// A number: `12`, `1_000e18`, `0x10`, `$name`.
    ///
    /// # Errors
    /// [`ArgError`] if it is none.
    pub fn number(&self, text: &str) -> Result<U256, ArgError> {
        if let Some(name) = text.strip_prefix('$') {
            return self.get(name);
        }
        let wrong = || ArgError::Value { value: text.to_owned(), kind: "number".into() };
        let plain = text.replace('_', "");
        if let Some(digits) = plain.strip_prefix("0x") {
            return U256::from_str_radix(digits, 16).map_err(|_| wrong());
        }
        let (mantissa, exponent) = plain.split_once('e').unwrap_or((&plain, "0"));
        let mantissa = U256::from_str_radix(mantissa, 10).map_err(|_| wrong())?;
        let exponent: u32 = exponent.parse().map_err(|_| wrong())?;
        let scale = U256::from(10u8).checked_pow(U256::from(exponent)).ok_or_else(wrong)?;
        mantissa.checked_mul(scale).ok_or_else(wrong)
    }

    /// Encodes a call of `signature`.
    ///
    /// # Errors
    /// [`ArgError`] if the arguments do not fit.
    pub fn calldata(&self, signature: &str, args: &[toml::Value]) -> Result<Bytes, ArgError> {
        let selector = keccak256(signature);
        let params = self.params(signature, args)?;
        Ok([&selector[..4], &params[..]].concat().into())
    }

    /// Encodes constructor or function parameters without selector.
    ///
    /// # Errors
    /// [`ArgError`] if the arguments do not fit.
    pub fn params(&self, signature: &str, args: &[toml::Value]) -> Result<Vec<u8>, ArgError> {
        let wrong = || ArgError::Signature(signature.to_owned());
        let list = signature.find('(').and_then(|at| signature.get(at..)).ok_or_else(wrong)?;
        let DynSolType::Tuple(types) = DynSolType::parse(list).map_err(|_| wrong())? else {
            return Err(wrong());
        };
        if types.len() != args.len() {
            let signature = signature.to_owned();
            return Err(ArgError::Count { signature, want: types.len(), got: args.len() });
        }
        let values = types.iter().zip(args).map(|(kind, it)| self.value(kind, it));
        let values: Vec<_> = values.collect::<Result<_, _>>()?;
        Ok(DynSolValue::Tuple(values).abi_encode_params())
    }

    fn value(&self, kind: &DynSolType, value: &toml::Value) -> Result<DynSolValue, ArgError> {
        let wrong = || ArgError::Value { value: value.to_string(), kind: kind.to_string() };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) if *number >= 0 => number.to_string(),
            toml::Value::Integer(number) => {
                let DynSolType::Int(bits) = kind else { return Err(wrong()) };
                let number = I256::try_from(*number).map_err(|_| wrong())?;
                return Ok(DynSolValue::Int(number, *bits));
            }
            toml::Value::Boolean(it) => return Ok(DynSolValue::Bool(*it)),
            toml::Value::Array(items) => return self.list(kind, items).ok_or_else(wrong)?,
            toml::Value::Table(table) => return self.table(kind, table).ok_or_else(wrong)?,
            toml::Value::Float(_) | toml::Value::Datetime(_) => return Err(wrong()),
        };
        match kind {
            DynSolType::Address => Ok(DynSolValue::Address(self.address(&text)?)),
            DynSolType::Uint(bits) => Ok(DynSolValue::Uint(self.number(&text)?, *bits)),
            DynSolType::Int(bits) => {
                let number = self.number(&text)?;
                Ok(DynSolValue::Int(I256::from_raw(number), *bits))
            }
            DynSolType::FixedBytes(size) if text.starts_with('$') => {
                Ok(DynSolValue::FixedBytes(B256::from(self.number(&text)?), *size))
            }
            DynSolType::String => Ok(DynSolValue::String(text)),
            other => other.coerce_str(&text).map_err(|_| wrong()),
        }
    }

    fn list(
        &self,
        kind: &DynSolType,
        items: &[toml::Value],
    ) -> Option<Result<DynSolValue, ArgError>> {
        let each = |inner: &DynSolType| {
            items.iter().map(|it| self.value(inner, it)).collect::<Result<Vec<_>, _>>()
        };
        Some(match kind {
            DynSolType::Array(inner) => each(inner).map(DynSolValue::Array),
            DynSolType::FixedArray(inner, size) if *size == items.len() => {
                each(inner).map(DynSolValue::FixedArray)
            }
            DynSolType::Tuple(kinds) if kinds.len() == items.len() => {
                let values = kinds.iter().zip(items).map(|(kind, it)| self.value(kind, it));
                values.collect::<Result<Vec<_>, _>>().map(DynSolValue::Tuple)
            }
            _ => return None,
        })
    }

    fn table(
        &self,
        kind: &DynSolType,
        table: &toml::Table,
    ) -> Option<Result<DynSolValue, ArgError>> {
        match kind {
            DynSolType::FixedBytes(32) => {
                let text = table.get("id")?.as_str()?;
                Some(Ok(DynSolValue::FixedBytes(keccak256(text), 32)))
            }
            DynSolType::Bytes => {
                if let Some(owners) = table.get("approved-by") {
                    let names = owners
                        .as_array()?
                        .iter()
                        .map(toml::Value::as_str)
                        .collect::<Option<Vec<_>>>()?;
                    let owners: Result<Vec<_>, _> =
                        names.iter().map(|it| self.address(it)).collect();
                    return Some(owners.map(|it| DynSolValue::Bytes(approved_by(it).to_vec())));
                }
                let signature = table.get("calldata")?.as_str()?;
                let args = table
                    .get("args")
                    .and_then(toml::Value::as_array)
                    .map_or(&[][..], Vec::as_slice);
                Some(self.calldata(signature, args).map(|it| DynSolValue::Bytes(it.to_vec())))
            }
            _ => None,
        }
    }
}

/// A Safe signature list for hashes approved on chain: per owner `r` = owner, `s` = 0, `v` = 1, sorted
/// by owner (Safe `checkNSignatures`).
pub fn approved_by(mut owners: Vec<Address>) -> Bytes {
    owners.sort();
    let mut out = Vec::with_capacity(owners.len() * 65);
    for owner in owners {
        out.extend_from_slice(owner.into_word().as_slice());
        out.extend_from_slice(&[0; 32]);
        out.push(1);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use proptest::prelude::*;

    use super::{ArgError, Names};

    fn names() -> Names {
        let mut names = Names::default();
        names.set_address("vault", Address::repeat_byte(0xaa));
        names.0.insert("size".into(), U256::from(7));
        names
    }

    fn args(text: &str) -> Vec<toml::Value> {
        let table: toml::Table = format!("args = {text}").parse().unwrap_or_default();
        table.get("args").and_then(toml::Value::as_array).cloned().unwrap_or_default()
    }

    #[test]
    fn a_call_is_encoded_with_names_numbers_and_nested_calls() {
        let data = names().calldata("transfer(address,uint256)", &args(r#"["$vault", "2e3"]"#));
        let data = data.map(|it| it.to_string());
        let word = |it: u64| format!("{it:064x}");
        let vault = format!("{}{}", "0".repeat(24), "aa".repeat(20));
        assert_eq!(data, Ok(format!("0xa9059cbb{vault}{}", word(2_000))));
        let nested = names().calldata(
            "f(bytes,uint256[],(bool,uint8))",
            &args(r#"[{ calldata = "pause()" }, ["$size", 1], [true, 3]]"#),
        );
        assert!(nested.is_ok_and(|it| it.to_string().contains("8456cb59")));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let names = names();
        assert_eq!(names.address("$nobody"), Err(ArgError::Unknown("nobody".into())));
        assert!(names.calldata("f(uint256)", &args(r#"["x"]"#)).is_err());
        assert!(names.calldata("f(uint256)", &args("[1, 2]")).is_err());
        assert!(names.calldata("f", &[]).is_err());
        assert!(names.number("1e78").is_err());
    }

    #[test]
    fn a_template_is_filled_with_caip_accounts() {
        let text = names().fill("a = \"${vault}\" b = \"${0x:vault}\" ${chain}", 31337);
        let vault = Address::repeat_byte(0xaa);
        assert_eq!(text, Ok(format!("a = \"eip155:31337:{vault}\" b = \"{vault}\" eip155:31337")));
    }

    proptest! {
        #[test]
        fn no_text_panics(signature in ".{0,40}", value in ".{0,20}") {
            let _ = names().calldata(&signature, &[toml::Value::String(value)]);
        }
    }
}
