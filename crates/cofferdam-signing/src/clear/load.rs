//! Reads descriptor files and what they include.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Descriptor, Registry};
use crate::abi::Function;

/// Most files.
pub const FILES_MAX: usize = 20_000;
/// Longest chain of includes.
const INCLUDES_MAX: usize = 8;
/// Most deployments or formats of one descriptor.
const ENTRIES_MAX: usize = 2_000;

/// Why a file gives no descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No JSON object.
    #[error("it is no JSON object")]
    Json,
    /// An included file is not among those given; nothing is fetched.
    #[error("it includes `{0}`, which is not here")]
    Include(String),
    /// Includes never end.
    #[error("its includes go round in circles")]
    Circle,
    /// Larger than any descriptor.
    #[error("it has more entries than a descriptor has")]
    Large,
    /// A format's key is no signature.
    #[error("`{0}` is neither a function nor a type")]
    Key(String),
}

impl Registry {
    /// Reads files by path. Files without deployments (common parts, templates) give no descriptor and no error.
    pub fn load(files: &BTreeMap<String, String>) -> (Self, Vec<(String, LoadError)>) {
        let mut registry = Self::default();
        let mut errors = Vec::new();
        for path in files.keys().take(FILES_MAX) {
            match document(files, path, 0).and_then(|it| descriptor(path, it)) {
                Ok(Some(it)) => registry.descriptors.push(it),
                Ok(None) => {}
                Err(error) => errors.push((path.clone(), error)),
            }
        }
        (registry, errors)
    }
}

fn document(files: &BTreeMap<String, String>, path: &str, depth: usize) -> Result<Json, LoadError> {
    if depth > INCLUDES_MAX {
        return Err(LoadError::Circle);
    }
    let text = files.get(path).ok_or_else(|| LoadError::Include(path.to_owned()))?;
    let mut own: Map<String, Json> = serde_json::from_str(text).map_err(|_| LoadError::Json)?;
    let Some(include) = own.remove("includes") else { return Ok(Json::Object(own)) };
    let include = include.as_str().ok_or(LoadError::Json)?;
    let target = beside(path, include).ok_or_else(|| LoadError::Include(include.to_owned()))?;
    let mut base = document(files, &target, depth + 1)?;
    merge(&mut base, Json::Object(own), "");
    Ok(base)
}

/// `../x.json` as seen from `a/b/c.json`.
fn beside(path: &str, include: &str) -> Option<String> {
    if include.contains("://") {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in include.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What includes wins; fields are merged by their path.
fn merge(base: &mut Json, over: Json, key: &str) {
    match (base, over) {
        (Json::Object(base), Json::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(it) => merge(it, value, &key),
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (Json::Array(base), Json::Array(over)) if key == "fields" => {
            for field in over {
                let path = field.get("path").cloned();
                let same =
                    base.iter_mut().find(|it| path.is_some() && it.get("path") == path.as_ref());
                match same {
                    Some(it) => merge(it, field, ""),
                    None => base.push(field),
                }
            }
        }
        (base, over) => *base = over,
    }
}

fn descriptor(path: &str, document: Json) -> Result<Option<Descriptor>, LoadError> {
    let context = &document["context"];
    let contract = &context["contract"]["deployments"];
    let typed = &context["eip712"]["deployments"];
    let (list, is_typed) = if contract.is_array() { (contract, false) } else { (typed, true) };
    let Some(list) = list.as_array() else { return Ok(None) };
    let Some(formats) = document["display"]["formats"].as_object() else { return Ok(None) };
    if list.len() > ENTRIES_MAX || formats.len() > ENTRIES_MAX {
        return Err(LoadError::Large);
    }
    let deployments = list
        .iter()
        .filter_map(|it| Some((it["chainId"].as_u64()?, it["address"].as_str()?.parse().ok()?)));
    let deployments = deployments.collect();
    let (mut calls, mut messages) = (Vec::new(), Vec::new());
    for (key, format) in formats {
        if is_typed {
            let key = key.split_whitespace().collect::<Vec<_>>().join(" ").replace(", ", ",");
            messages.push((key, format.clone()));
        } else {
            let function = Function::parse(key).map_err(|_| LoadError::Key(key.clone()))?;
            calls.push((function, format.clone()));
        }
    }
    let owner = document["metadata"]["owner"].as_str().unwrap_or("not stated").to_owned();
    Ok(Some(Descriptor { path: path.to_owned(), owner, deployments, calls, messages, document }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{LoadError, Registry, beside, merge};

    #[test]
    fn includes_are_found_beside_the_file_and_never_fetched() {
        assert_eq!(beside("a/b/c.json", "../d.json").as_deref(), Some("a/d.json"));
        assert_eq!(beside("a/b/c.json", "./d.json").as_deref(), Some("a/b/d.json"));
        assert_eq!(beside("c.json", "../../d.json"), None);
        assert_eq!(beside("c.json", "https://example.org/d.json"), None);
    }

    #[test]
    fn fields_are_merged_by_path_and_all_else_is_replaced() {
        let mut base =
            json!({ "fields": [{ "path": "a", "label": "A" }, { "path": "b" }], "list": [1] });
        let over =
            json!({ "fields": [{ "path": "a", "label": "B" }, { "path": "c" }], "list": [2] });
        merge(&mut base, over, "");
        assert_eq!(
            base,
            json!({ "fields": [{ "path": "a", "label": "B" }, { "path": "b" }, { "path": "c" }], "list": [2] })
        );
    }

    #[test]
    fn circles_and_missing_includes_are_errors_of_their_file_alone() {
        let files = BTreeMap::from([
            ("a.json".to_owned(), r#"{"includes":"b.json"}"#.to_owned()),
            ("b.json".to_owned(), r#"{"includes":"a.json"}"#.to_owned()),
            ("c.json".to_owned(), r#"{"includes":"nowhere.json"}"#.to_owned()),
            ("d.json".to_owned(), "{}".to_owned()),
        ]);
        let (registry, errors) = Registry::load(&files);
        assert!(registry.is_empty());
        let errors: Vec<LoadError> = errors.into_iter().map(|it| it.1).collect();
        assert_eq!(
            errors,
            [LoadError::Circle, LoadError::Circle, LoadError::Include("nowhere.json".into())]
        );
    }
}
