//! From text to a plan: syntax, version, shape, types, meaning, in this order. Each stage reports
//! everything it finds; the next begins only when there is nothing to report.

use toml::de::{DeTable, DeValue};

use super::{Plan, PlanError, PlanErrors, SourceMap, check::check, shape::Shape, source::error_at};

/// The version of `plan.toml` that this release reads.
pub const VERSION: u32 = 1;
/// Bytes of a plan file.
pub const PLAN_BYTES_MAX: usize = 1 << 20;

/// Reads a plan and checks it. `file` is its name in errors.
///
/// # Errors
/// Everything wrong with it, with line, column and hint.
pub fn parse(text: &str, file: &str) -> Result<Plan, PlanErrors> {
    read(text, file).map(|(plan, _)| plan)
}

/// As [`parse`], and tells where each value stands.
///
/// # Errors
/// Everything wrong with it, with line, column and hint.
pub fn read(text: &str, file: &str) -> Result<(Plan, SourceMap), PlanErrors> {
    stages(text).map_err(|errors| PlanErrors::new(file, errors))
}

fn stages(text: &str) -> Result<(Plan, SourceMap), Vec<PlanError>> {
    if text.len() > PLAN_BYTES_MAX {
        let message =
            format!("the plan has {} bytes, at most {PLAN_BYTES_MAX} are read", text.len());
        return Err(vec![error_at(text, 0..0, message, None)]);
    }
    let (root, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        return Err(faults.iter().map(|it| from_toml(text, it)).collect());
    }
    let map = SourceMap::new(text, &root);
    check_version(root.get_ref(), &map)?;
    let faults = Shape::check(root.get_ref(), &map);
    if !faults.is_empty() {
        return Err(faults);
    }
    let plan: Plan = toml::from_str(text).map_err(|it| vec![from_toml(text, &it)])?;
    let faults = check(&plan, &map);
    if faults.is_empty() { Ok((plan, map)) } else { Err(faults) }
}

/// Another version is reported alone: every other complaint would be about a format we do not know.
fn check_version(root: &DeTable<'_>, map: &SourceMap) -> Result<(), Vec<PlanError>> {
    let Some(DeValue::Integer(version)) = root.get("version").map(|it| it.get_ref()) else {
        return Ok(());
    };
    if version.radix() == 10 && version.as_str() == VERSION.to_string() {
        return Ok(());
    }
    let message = format!("version {version} is not supported");
    let hint = format!("this release reads version {VERSION}");
    Err(vec![map.error(&["version".into()], message, Some(hint))])
}

fn from_toml(text: &str, error: &toml::de::Error) -> PlanError {
    let span = error.span().unwrap_or(0..0);
    error_at(text, span, error.message().trim().replace('\n', "; "), None)
}
