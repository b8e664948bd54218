//! Reads signatures such as `repay(address asset, uint256 amount, (bool a, bytes b)[] more)`.

use alloy_primitives::keccak256;

use super::{AbiError, Param, SIGNATURE_BYTES_MAX, TYPE_DEPTH_MAX, Type};

/// Most parameters or components of one list.
const PARAMS_MAX: usize = 64;
/// Largest fixed array.
const FIXED_MAX: usize = 256;

/// A function by name and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub inputs: Vec<Param>,
}

impl Function {
    /// Reads a signature; parameters may have names, and data locations are passed over.
    ///
    /// # Errors
    /// [`AbiError::Signature`].
    pub fn parse(text: &str) -> Result<Self, AbiError> {
        let fail = |what| AbiError::Signature { text: text.chars().take(80).collect(), what };
        if text.len() > SIGNATURE_BYTES_MAX {
            return Err(fail("it is too long"));
        }
        let mut reader = Reader { rest: text.trim() };
        if let Some(rest) = reader.rest.strip_prefix("function ") {
            reader.rest = rest.trim_start();
        }
        let name = reader.word();
        if name.is_empty() || name.starts_with(|it: char| it.is_ascii_digit()) {
            return Err(fail("it begins with no name"));
        }
        let name = name.to_owned();
        let inputs = reader.list(0).map_err(fail)?;
        if !reader.rest.trim().is_empty() {
            return Err(fail("something follows its parameters"));
        }
        Ok(Self { name, inputs })
    }

    /// The selector's preimage.
    pub fn canonical(&self) -> String {
        let inputs: Vec<String> = self.inputs.iter().map(|it| it.ty.canonical()).collect();
        format!("{}({})", self.name, inputs.join(","))
    }

    /// The first four bytes of calldata.
    pub fn selector(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = keccak256(self.canonical()).0;
        [a, b, c, d]
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let of_word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '$';
        let end = self.rest.find(|it| !of_word(it)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, it: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(it);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Param>, &'static str> {
        if depth > TYPE_DEPTH_MAX {
            return Err("it is nested too deep");
        }
        if !self.take('(') {
            return Err("a `(` is missing");
        }
        let mut out = Vec::new();
        if self.take(')') {
            return Ok(out);
        }
        loop {
            out.push(self.param(depth)?);
            if out.len() > PARAMS_MAX {
                return Err("it has too many parameters");
            }
            if self.take(')') {
                return Ok(out);
            }
            if !self.take(',') {
                return Err("a `,` or `)` is missing");
            }
        }
    }

    fn param(&mut self, depth: usize) -> Result<Param, &'static str> {
        self.space();
        let mut ty = if self.rest.starts_with('(') {
            Type::Tuple(self.list(depth + 1)?)
        } else {
            match self.word() {
                "tuple" => Type::Tuple(self.list(depth + 1)?),
                word => elementary(word).ok_or("it names an unknown type")?,
            }
        };
        let mut arrays = 0;
        while self.take('[') {
            arrays += 1;
            if arrays + depth > TYPE_DEPTH_MAX {
                return Err("it is nested too deep");
            }
            let count = self.word();
            ty = if count.is_empty() {
                Type::Array(Box::new(ty))
            } else {
                let count = count.parse().ok().filter(|it| (1..=FIXED_MAX).contains(it));
                Type::Fixed(Box::new(ty), count.ok_or("an array has no sensible length")?)
            };
            if !self.take(']') {
                return Err("a `]` is missing");
            }
        }
        let mut name = self.word();
        while matches!(name, "memory" | "calldata" | "storage" | "payable" | "indexed") {
            name = self.word();
        }
        Ok(Param { name: name.to_owned(), ty })
    }
}

fn elementary(word: &str) -> Option<Type> {
    let bits = |text: &str| {
        let bits: usize = if text.is_empty() { 256 } else { text.parse().ok()? };
        let plain = text.is_empty() || bits.to_string() == text;
        (plain && bits.is_multiple_of(8) && (8..=256).contains(&bits)).then_some(bits)
    };
    match word {
        "address" => Some(Type::Address),
        "bool" => Some(Type::Bool),
        "bytes" => Some(Type::Bytes),
        "string" => Some(Type::String),
        "function" => Some(Type::FixedBytes(24)),
        _ => {
            if let Some(text) = word.strip_prefix("uint") {
                bits(text).map(Type::Uint)
            } else if let Some(text) = word.strip_prefix("int") {
                bits(text).map(Type::Int)
            } else {
                let count = word.strip_prefix("bytes")?.parse().ok()?;
                let plain = word == format!("bytes{count}");
                (plain && (1..=32).contains(&count)).then_some(Type::FixedBytes(count))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::Function;

    #[test]
    fn signatures_are_read_with_names_tuples_and_arrays() {
        let text = "f(uint a,(address to, (bytes4 x,bool)[2] pairs)[] memory list , int8,string calldata s)";
        let function = Function::parse(text).unwrap();
        assert_eq!(function.canonical(), "f(uint256,(address,(bytes4,bool)[2])[],int8,string)");
        assert_eq!(function.inputs[1].name, "list");
        assert_eq!(function.inputs[3].name, "s");
        let transfer = Function::parse("transfer(address to, uint256 amount)").unwrap();
        assert_eq!(transfer.selector(), hex!("a9059cbb"));
        assert_eq!(Function::parse("pause()").unwrap().selector(), hex!("8456cb59"));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let deep = format!("f({}bool{})", "(".repeat(40), ")".repeat(40));
        let arrays = format!("f(bool{})", "[]".repeat(40));
        for text in [
            "",
            "f",
            "f(",
            "f(uint7)",
            "f(uint264)",
            "f(uint08)",
            "f(bytes33)",
            "f(bytes0)",
            "f(float)",
            "f(bool[0])",
            "f(bool[99999999])",
            "f(bool[)",
            "f(bool,)",
            "f() payable",
            "1f()",
            "(bool)",
            &deep,
            &arrays,
        ] {
            assert!(Function::parse(text).is_err(), "{text}");
        }
    }
}
