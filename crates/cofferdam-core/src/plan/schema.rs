//! The JSON Schema of `plan.toml`, for editors and for the reference page.

use serde_json::Value;

use super::{Plan, VERSION};

/// JSON Schema (2020-12) of `plan.toml`. The same schema checks the shape of a plan when it is read.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Plan).to_value();
    if let Some(version) = schema.pointer_mut("/properties/version")
        && let Some(version) = version.as_object_mut()
    {
        version.insert("const".to_owned(), VERSION.into());
    }
    schema
}
