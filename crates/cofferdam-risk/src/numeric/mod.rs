//! Small numerical tools, owned because they are normative: quadrature, optimisation, special functions,
//! least squares, and a counter-based generator keyed by the caller. Nothing here reads entropy or time.

pub mod least_squares;
pub mod minimize;
pub mod quadrature;
pub mod random;
pub mod special;
