//! What can be wrong with the numbers handed to a model. No variant carries a NaN onward: a model that
//! cannot answer says so here instead of returning a poisoned float.

/// Why a model refused to answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RiskError {
    /// An input is NaN or infinite. Drop the quote or mark it stale.
    #[error("{name} is not a finite number")]
    NotFinite {
        /// Which input.
        name: &'static str,
    },
    /// An input lies outside the domain of the formula (zero or negative price, probability above one).
    #[error("{name} = {value} is outside {domain}")]
    OutOfDomain {
        /// Which input.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What it must satisfy.
        domain: &'static str,
    },
    /// The instrument had expired and the formula has no value after expiry. Settle it instead.
    #[error("instrument expired {seconds_ago} s before the valuation time")]
    Expired {
        /// Seconds since expiry.
        seconds_ago: f64,
    },
    /// Two inputs that belong together have different lengths.
    #[error("{name} has {got} entries where {want} are needed")]
    Length {
        /// Which input.
        name: &'static str,
        /// How many were given.
        got: usize,
        /// How many are needed.
        want: usize,
    },
    /// Too few observations for the estimator.
    #[error("{name} needs at least {want} observations and has {got}")]
    TooFew {
        /// Which estimator.
        name: &'static str,
        /// How many were given.
        got: usize,
        /// How many are needed.
        want: usize,
    },
    /// The same identifier appears twice.
    #[error("{name} {id} appears more than once")]
    Duplicate {
        /// What kind of identifier.
        name: &'static str,
        /// Which one.
        id: String,
    },
    /// Something is named that does not exist.
    #[error("there is no {name} {id}")]
    Unknown {
        /// What kind of thing.
        name: &'static str,
        /// Its name.
        id: String,
    },
    /// One asset comes with two numbers of decimals. Correct the source: a mix-up is off by powers of ten.
    #[error("{asset} has {first} decimals in one place and {then} in another")]
    MixedDecimals {
        /// The asset.
        asset: String,
        /// Decimals seen first.
        first: u8,
        /// Decimals seen later.
        then: u8,
    },
    /// An amount jumped by a power of ten that looks like a unit mix-up. Correct the source.
    #[error("{what} is {ratio:e} times its reference: wrong unit or decimals")]
    UnitJump {
        /// Which amount.
        what: String,
        /// How many times the reference.
        ratio: f64,
    },
    /// An integer or a float left its range. Nothing was applied.
    #[error("{name} overflows")]
    Overflow {
        /// Which quantity.
        name: &'static str,
    },
    /// An iteration did not settle within its budget.
    #[error("{name} did not converge in {iterations} iterations")]
    NoConvergence {
        /// Which iteration.
        name: &'static str,
        /// How many steps were allowed.
        iterations: usize,
    },
}

/// `value` when it is finite.
pub(crate) fn finite(name: &'static str, value: f64) -> Result<f64, RiskError> {
    if value.is_finite() { Ok(value) } else { Err(RiskError::NotFinite { name }) }
}

/// `value` when it is finite and above zero.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64, RiskError> {
    if finite(name, value)? > 0.0 {
        Ok(value)
    } else {
        Err(RiskError::OutOfDomain { name, value, domain: "(0, inf)" })
    }
}

/// `value` when it is finite and not negative.
pub(crate) fn non_negative(name: &'static str, value: f64) -> Result<f64, RiskError> {
    if finite(name, value)? >= 0.0 {
        Ok(value)
    } else {
        Err(RiskError::OutOfDomain { name, value, domain: "[0, inf)" })
    }
}

/// `value` when it is a probability.
pub(crate) fn probability(name: &'static str, value: f64) -> Result<f64, RiskError> {
    if (0.0..=1.0).contains(&finite(name, value)?) {
        Ok(value)
    } else {
        Err(RiskError::OutOfDomain { name, value, domain: "[0, 1]" })
    }
}

/// Refuses slices of different lengths.
pub(crate) fn same_length(name: &'static str, got: usize, want: usize) -> Result<(), RiskError> {
    if got == want { Ok(()) } else { Err(RiskError::Length { name, got, want }) }
}
