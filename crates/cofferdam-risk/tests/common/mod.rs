//! Reading golden files: our own from `tests/golden/`, third-party rows from the shared folder beside the
//! repository (or `COFFERDAM_SHARED`), skipped with a printed notice when it is absent.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "shared by several test programs"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One of our own golden files.
pub(crate) fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// One of our own golden files as JSON.
pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// A golden file with third-party rows, or `None` after printing what is missing.
pub(crate) fn shared(name: &str) -> Option<String> {
    beside(&format!("golden/risk/{name}"))
}

/// A data file that is not redistributable, or `None` after printing what is missing.
pub(crate) fn shared_data(name: &str) -> Option<String> {
    beside(&format!("data/{name}"))
}

fn beside(name: &str) -> Option<String> {
    let base = std::env::var_os("COFFERDAM_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = base.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(_) => {
            println!("skipped: {} is not here", path.display());
            None
        }
    }
}

/// The number under `key`.
pub(crate) fn num(v: &Value, key: &str) -> f64 {
    v.get(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{key} in {v}"))
}

/// The numbers of an array.
pub(crate) fn nums(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Asserts `got` within a relative error of `want` (absolute below one part in 1e300).
#[track_caller]
pub(crate) fn close(what: &str, got: f64, want: f64, rel: f64) {
    let err = (got - want).abs();
    assert!(
        err <= rel * want.abs() || err < 1e-300,
        "{what}: {got} != {want} (rel {})",
        err / want.abs()
    );
}

/// Asserts `got` within an absolute error of `want`.
#[track_caller]
pub(crate) fn near(what: &str, got: f64, want: f64, abs: f64) {
    assert!((got - want).abs() <= abs, "{what}: {got} != {want} (abs {})", (got - want).abs());
}
