//! Who is owed what: lines of `address,amount`, read strictly.
//!
//! **Invariant:** an address occurs once, an amount is a whole number of base units above zero, and the sum
//! is exact. Nothing is rounded, guessed or left out.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use serde::Serialize;

/// Most claims of a snapshot.
pub const CLAIMS_MAX: usize = 1_000_000;
/// Largest file of claims, in bytes.
pub const BYTES_MAX: u64 = 256 << 20;

/// What one account is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The account.
    pub account: Address,
    /// How much, in base units (wei).
    pub amount: U256,
}

/// All claims, by account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    all: Vec<Claim>,
    total: U256,
}

/// Why claims are refused. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// There is none.
    #[error("there are no claims")]
    Empty,
    /// There are too many.
    #[error("there are more than {CLAIMS_MAX} claims")]
    TooMany,
    /// A line is not `address,amount`.
    #[error("line {0} is not `address,amount`")]
    Shape(usize),
    /// An address is none, or its capitals are not those of EIP-55.
    #[error("line {line}: `{text}` is no address{}", checksum(.mixed))]
    Address {
        /// Where.
        line: usize,
        /// What stands there.
        text: String,
        /// Whether only the capitals are wrong.
        mixed: bool,
    },
    /// The zero address can draw nothing.
    #[error("line {0}: nobody has the zero address")]
    ZeroAddress(usize),
    /// An amount is no whole number of base units.
    #[error("line {line}: `{text}` is no whole number of base units")]
    Amount {
        /// Where.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// An amount is zero.
    #[error("line {line}: {account} is owed nothing")]
    Zero {
        /// Where.
        line: usize,
        /// Who.
        account: Address,
    },
    /// An account occurs twice.
    #[error("line {line}: {account} stands in line {first} already")]
    Duplicate {
        /// Where.
        line: usize,
        /// Where first.
        first: usize,
        /// Who.
        account: Address,
    },
    /// An amount or the sum has more than 256 bits.
    #[error("line {0}: the amount, or the sum up to here, has more than 256 bits")]
    Overflow(usize),
    /// There is less to give out than is owed.
    #[error("claims of {total} exceed the {assets} that are there")]
    Uncovered {
        /// What is owed.
        total: U256,
        /// What is there.
        assets: U256,
    },
}

fn checksum(mixed: &bool) -> &'static str {
    if *mixed { ": its capitals are not those of EIP-55" } else { "" }
}

impl Claims {
    /// Reads lines of `address,amount`. A first line `address,amount` is a header; empty lines and lines
    /// that begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn read(text: &str) -> Result<Self, ClaimError> {
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            let header = rows.is_empty() && line.eq_ignore_ascii_case("address,amount");
            if line.is_empty() || line.starts_with('#') || header {
                continue;
            }
            let (account, amount) = line.split_once(',').ok_or(ClaimError::Shape(number))?;
            if amount.contains(',') {
                return Err(ClaimError::Shape(number));
            }
            let account = address(account.trim(), number)?;
            rows.push((number, account, self::amount(amount.trim(), number)?));
            if rows.len() > CLAIMS_MAX {
                return Err(ClaimError::TooMany);
            }
        }
        Self::of(rows)
    }

    /// Claims from rows of line, account and amount.
    ///
    /// # Errors
    /// The first row that is wrong.
    pub fn of(rows: Vec<(usize, Address, U256)>) -> Result<Self, ClaimError> {
        let mut seen: BTreeMap<Address, (usize, U256)> = BTreeMap::new();
        let mut total = U256::ZERO;
        for (line, account, amount) in rows {
            if account.is_zero() {
                return Err(ClaimError::ZeroAddress(line));
            }
            if amount.is_zero() {
                return Err(ClaimError::Zero { line, account });
            }
            if let Some((first, _)) = seen.get(&account) {
                return Err(ClaimError::Duplicate { line, first: *first, account });
            }
            total = total.checked_add(amount).ok_or(ClaimError::Overflow(line))?;
            seen.insert(account, (line, amount));
        }
        if seen.is_empty() {
            return Err(ClaimError::Empty);
        }
        let claim = |(account, (_, amount))| Claim { account, amount };
        Ok(Self { all: seen.into_iter().map(claim).collect(), total })
    }

    /// The claims, ordered by account.
    pub fn all(&self) -> &[Claim] {
        &self.all
    }

    /// Their exact sum, in base units.
    pub fn total(&self) -> U256 {
        self.total
    }

    /// Whether `assets` (base units) cover them.
    ///
    /// # Errors
    /// They do not.
    pub fn covered_by(&self, assets: U256) -> Result<(), ClaimError> {
        let total = self.total;
        if total > assets { Err(ClaimError::Uncovered { total, assets }) } else { Ok(()) }
    }
}

fn address(text: &str, line: usize) -> Result<Address, ClaimError> {
    let wrong = |mixed| ClaimError::Address { line, text: short(text), mixed };
    let digits = text.strip_prefix("0x").ok_or_else(|| wrong(false))?;
    let address: Address = text.parse().map_err(|_| wrong(false))?;
    let one_case = !digits.bytes().any(|it| it.is_ascii_uppercase())
        || !digits.bytes().any(|it| it.is_ascii_lowercase());
    // Capitals are a checksum where both kinds of letters occur (EIP-55).
    if one_case || address.to_checksum(None) == text { Ok(address) } else { Err(wrong(true)) }
}

fn amount(text: &str, line: usize) -> Result<U256, ClaimError> {
    if text.is_empty() || !text.bytes().all(|it| it.is_ascii_digit()) {
        return Err(ClaimError::Amount { line, text: short(text) });
    }
    U256::from_str_radix(text, 10).map_err(|_| ClaimError::Overflow(line))
}

/// What is shown of a foreign text.
fn short(text: &str) -> String {
    text.chars().take(60).map(|it| if it.is_control() { ' ' } else { it }).collect()
}
