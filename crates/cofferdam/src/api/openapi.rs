//! The OpenAPI 3.1 document, made of the table.

use std::collections::BTreeMap;

use axum::http::Method;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    error::Fault,
    guard::CSRF_HEADER,
    table::{Access, Entry, TABLE},
};

/// The document; `cookie` is the name of the session's cookie.
pub(crate) fn document(cookie: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|it| {
        it.meta_schema = None;
        it.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for entry in TABLE {
        let method = entry.method.as_str().to_ascii_lowercase();
        let operation = operation(entry, &mut generator);
        paths.entry(entry.path).or_default().insert(method, operation);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Refusal".to_owned(), refusal());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cofferdam",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Incident response of one protocol. Times are milliseconds since 1970 (UTC); ids are 0x and 64 hex digits.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": cookie },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn refusal() -> Value {
    let codes: Vec<&str> = Fault::ALL.into_iter().map(Fault::code).collect();
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "hint"],
                "properties": {
                    "code": { "type": "string", "enum": codes },
                    "message": { "type": "string" },
                    "hint": { "type": "string" },
                },
            },
        },
    })
}

fn operation(entry: &Entry, generator: &mut SchemaGenerator) -> Value {
    let refused = json!({
        "description": "Refused, with a reason and a hint.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Refusal" } } },
    });
    let kind = if entry.path == "/api/events" { "text/event-stream" } else { "application/json" };
    let schema = match kind {
        "application/json" => json!((entry.gives)(generator)),
        _ => {
            // Named in the document, though the stream as a whole is a text.
            (entry.gives)(generator);
            json!({ "type": "string" })
        }
    };
    let mut out = json!({
        "summary": entry.about,
        "description": entry.access.text(),
        "operationId": name(entry),
        "parameters": parameters(entry),
        "responses": {
            "200": { "description": "It worked.", "content": { kind: { "schema": schema } } },
            "4XX": refused,
            "503": refused,
        },
        "security": security(entry),
    });
    if let Some(body) = entry.body {
        let schema = json!(body(generator));
        let content = json!({ "application/json": { "schema": schema } });
        out["requestBody"] = json!({ "required": true, "content": content });
    }
    out
}

fn security(entry: &Entry) -> Value {
    if entry.access == Access::Open {
        json!([])
    } else {
        json!([{ "session": [] }, { "token": [] }])
    }
}

/// The method and the words of the path.
fn name(entry: &Entry) -> String {
    let words = entry.path.split(['/', '{', '}']).filter(|it| !it.is_empty() && *it != "api");
    let words: Vec<&str> = words.collect();
    format!("{}-{}", entry.method.as_str().to_ascii_lowercase(), words.join("-"))
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let inner = entry.path.split('{').skip(1).filter_map(|it| it.split_once('}'));
    let mut out: Vec<Value> = inner
        .map(|(name, _)| {
            let schema = match name {
                "task" => json!({ "type": "integer", "minimum": 1 }),
                _ => json!({ "type": "string", "pattern": "^0x[0-9a-fA-F]{64}$" }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    for name in entry.query {
        let most = if *name == "limit" { 500 } else { 10_000_000 };
        let schema = json!({ "type": "integer", "minimum": 0, "maximum": most });
        out.push(json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    }
    if entry.method != Method::GET && entry.access != Access::Open {
        let about = "The token of GET /api/session; needed with a cookie.";
        out.push(json!({
            "name": CSRF_HEADER,
            "in": "header",
            "required": false,
            "description": about,
            "schema": { "type": "string" },
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{TABLE, document};

    /// Every `$ref` of the document.
    fn refs<'a>(it: &'a Value, into: &mut BTreeSet<&'a str>) {
        match it {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|it| refs(it, into));
            }
            Value::Array(list) => list.iter().for_each(|it| refs(it, into)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_in_the_document_and_every_reference_leads_somewhere() {
        let it = document("cofferdam");
        for entry in TABLE {
            let method = entry.method.as_str().to_ascii_lowercase();
            let operation = &it["paths"][entry.path][&method];
            assert!(operation["summary"].is_string(), "{method} {}", entry.path);
        }
        let mut all = BTreeSet::new();
        refs(&it, &mut all);
        for name in all {
            let pointer = name.trim_start_matches('#');
            assert!(it.pointer(pointer).is_some(), "{name}");
        }
        assert_eq!(it["openapi"], "3.1.0");
    }

    #[test]
    fn no_two_operations_share_a_name() {
        let names: BTreeSet<String> = TABLE.iter().map(super::name).collect();
        assert_eq!(names.len(), TABLE.len());
    }
}
