//! The shape of a plan against its JSON Schema: unknown and missing fields, wrong types, unreadable
//! quantities. serde would stop at the first and lose the place inside tagged tables; this finds all.
//!
//! Only the parts of JSON Schema that our own types use are understood; what is not understood is
//! left to serde, which reads the plan afterwards in any case.

use std::{ops::Range, str::FromStr};

use alloy_primitives::{B256, Bytes};
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    AssetId, BasisPoints, DurationText, PlanError, SourceMap, TokenAmount, UsdText, WeiText,
    nearest, schema, source::error_at,
};
use crate::{AccountId, ChainId};

/// Known names that a hint lists.
const NAMES_LISTED_MAX: usize = 12;

/// The walk along schema and value.
pub(super) struct Shape<'a> {
    schema: &'a Value,
    map: &'a SourceMap,
    errors: Vec<PlanError>,
}

/// Where the walk is: the path as people write it, e.g. `actions[0].cost`.
#[derive(Clone, Debug)]
struct Place(String);

type Node<'a> = Spanned<DeValue<'a>>;

impl<'a> Shape<'a> {
    /// Everything wrong with the shape of `root`.
    pub(super) fn check(root: &DeTable<'_>, map: &'a SourceMap) -> Vec<PlanError> {
        let schema = schema();
        let mut shape = Shape { schema: &schema, map, errors: Vec::new() };
        shape.table(&schema, root, 0..0, &Place(String::new()));
        shape.errors
    }

    fn report(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        self.errors.push(error_at(self.map.text(), span, message, hint));
    }

    fn value(&mut self, schema: &Value, node: &Node<'_>, place: &Place) {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            let Some(inner) = self.schema.get("$defs").and_then(|it| it.get(name)) else { return };
            match reader(name) {
                Some(read) => self.text(schema, node, place, read),
                None => self.value(inner, node, place),
            }
        } else if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
            let some = any.iter().find(|it| it.get("type").and_then(Value::as_str) != Some("null"));
            if let Some(some) = some {
                self.value(some, node, place);
            }
        } else if let Some(one) = schema.get("oneOf").and_then(Value::as_array) {
            self.one_of(one, node, place);
        } else {
            self.plain(schema, node, place);
        }
    }

    fn plain(&mut self, schema: &Value, node: &Node<'_>, place: &Place) {
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        match (kind, node.get_ref()) {
            ("object", DeValue::Table(table)) => self.table(schema, table, node.span(), place),
            ("array", DeValue::Array(array)) => {
                for (index, it) in array.iter().enumerate() {
                    let inner = Place(format!("{}[{index}]", place.0));
                    self.value(schema.get("items").unwrap_or(&Value::Null), it, &inner);
                }
            }
            ("integer", DeValue::Integer(it)) => self.integer(schema, it, node.span(), place),
            ("string", DeValue::String(_)) => {
                if let Some(read) = schema.get("format").and_then(Value::as_str).and_then(reader) {
                    self.text(schema, node, place, read);
                }
            }
            ("boolean", DeValue::Boolean(_)) | ("", _) => {}
            (kind, _) => self.wrong_type(schema, node, place, article(kind)),
        }
    }

    fn table(&mut self, schema: &Value, table: &DeTable<'_>, span: Range<usize>, place: &Place) {
        let empty = serde_json::Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        for (key, node) in table {
            let name: &str = key.get_ref();
            match known.get(name) {
                Some(inner) => self.value(inner, node, &place.field(name)),
                None if closed => {
                    let message = format!("unknown field `{}`{}", shown(name), place.inside());
                    let hint = did_you_mean(name, known.keys().map(String::as_str), "fields");
                    self.report(key.span(), message, Some(hint));
                }
                None => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if table.get(name).is_none() {
                let message = format!("`{name}` is missing{}", place.inside());
                let hint = known.get(name).and_then(|it| self.about(it));
                self.report(span.clone(), message, hint);
            }
        }
    }

    /// A choice: a list of words, or tables told apart by a tag.
    fn one_of(&mut self, choices: &[Value], node: &Node<'_>, place: &Place) {
        let words: Vec<&str> = choices.iter().filter_map(|it| it.get("const")?.as_str()).collect();
        if words.len() == choices.len() {
            return match node.get_ref() {
                DeValue::String(it) if words.contains(&it.as_ref()) => {}
                DeValue::String(it) => {
                    let message = format!("`{}` is not a value of `{}`", shown(it), place.0);
                    self.report(node.span(), message, Some(did_you_mean(it, words, "values")));
                }
                _ => self.wrong_type(&Value::Null, node, place, "a text"),
            };
        }
        let DeValue::Table(table) = node.get_ref() else {
            return self.wrong_type(&Value::Null, node, place, "a table");
        };
        let tagged: Vec<(&str, &str, &Value)> = choices.iter().filter_map(tag_of).collect();
        let Some((tag, ..)) = tagged.first().copied() else { return };
        let kinds = || tagged.iter().map(|(_, kind, _)| *kind);
        match table.get(tag).map(|it| (it.get_ref(), it.span())) {
            None => {
                let message = format!("`{tag}` is missing{}", place.inside());
                let list = kinds().collect::<Vec<_>>().join("`, `");
                self.report(node.span(), message, Some(format!("one of `{list}`")));
            }
            Some((DeValue::String(it), span)) => {
                match tagged.iter().find(|(_, kind, _)| kind == it) {
                    Some((_, _, schema)) => self.table(schema, table, node.span(), place),
                    None => {
                        let message =
                            format!("`{}` is not a value of `{}.{tag}`", shown(it), place.0);
                        self.report(span, message, Some(did_you_mean(it, kinds(), "values")));
                    }
                }
            }
            Some((_, span)) => {
                let message = format!("`{}.{tag}` is not a text", place.0);
                self.report(span, message, None);
            }
        }
    }

    fn integer(&mut self, schema: &Value, it: &DeInteger<'_>, span: Range<usize>, place: &Place) {
        let (least, most): (i128, i128) = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => (0, u8::MAX.into()),
            Some("uint32") => (0, u32::MAX.into()),
            Some("int32") => (i32::MIN.into(), i32::MAX.into()),
            // TOML has no larger integers.
            Some("uint64") => (0, i64::MAX.into()),
            _ => return,
        };
        let value = i128::from_str_radix(it.as_str(), it.radix());
        if !value.is_ok_and(|it| (least..=most).contains(&it)) {
            let message = format!("`{}` is out of range", place.0);
            self.report(span, message, Some(format!("{least} to {most}")));
        }
    }

    /// A text with a meaning, such as an amount.
    fn text(&mut self, schema: &Value, node: &Node<'_>, place: &Place, read: Reader) {
        let DeValue::String(text) = node.get_ref() else {
            return self.wrong_type(schema, node, place, "a text");
        };
        if let Err(message) = read(text) {
            // The message of a quantity has an example of its own.
            let hint = self.sentence(schema).map(str::to_owned);
            self.report(node.span(), message, hint);
        }
    }

    fn wrong_type(&mut self, schema: &Value, node: &Node<'_>, place: &Place, expected: &str) {
        let given = match node.get_ref().type_str() {
            "string" => "a text",
            "integer" => "an integer",
            "array" => "an array",
            "float" => "a decimal number",
            "boolean" => "a boolean",
            "table" => "a table",
            _ => "a date",
        };
        let message = format!("`{}` is {given}, {expected} is expected", place.0);
        self.report(node.span(), message, self.about(schema));
    }

    /// What a value is, with an example.
    fn about(&self, schema: &Value) -> Option<String> {
        let example = self.part(schema, "examples").and_then(|it| it.get(0));
        let example = example.map(|it| format!("e.g. {it}"));
        match (self.sentence(schema), example) {
            (Some(sentence), Some(example)) => Some(format!("{sentence}, {example}")),
            (sentence, example) => sentence.map(str::to_owned).or(example),
        }
    }

    /// The first sentence of the documentation, up to its end or the end of its line.
    fn sentence<'s>(&'s self, schema: &'s Value) -> Option<&'s str> {
        let line = self.part(schema, "description")?.as_str()?.lines().next()?;
        let ends = |at: &usize| {
            let next = line.get(at + 2..).and_then(|it| it.chars().next());
            next.is_some_and(char::is_uppercase)
        };
        let end = line.match_indices(". ").map(|(at, _)| at).find(ends);
        Some(line.get(..end.unwrap_or(line.len()))?.trim_end_matches(['.', ':']))
    }

    /// A part of a schema, or of what it refers to.
    fn part<'s>(&'s self, schema: &'s Value, name: &str) -> Option<&'s Value> {
        schema.get(name).or_else(|| {
            let target = schema.get("$ref")?.as_str()?.trim_start_matches("#/$defs/");
            self.schema.get("$defs")?.get(target)?.get(name)
        })
    }
}

impl Place {
    fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    fn inside(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!(" in `{}`", self.0) }
    }
}

/// Says whether a text can be read, and if not, why.
type Reader = fn(&str) -> Result<(), String>;

/// How the texts of a named schema, or of a format, are read.
fn reader(name: &str) -> Option<Reader> {
    fn read<T: FromStr<Err: ToString>>(text: &str) -> Result<(), String> {
        text.parse::<T>().map(drop).map_err(|it| it.to_string())
    }
    fn asset(text: &str) -> Result<(), String> {
        let value = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
        <AssetId as serde::Deserialize>::deserialize(value)
            .map(drop)
            .map_err(|it| format!("{it}, nor `native`"))
    }
    fn hash(text: &str) -> Result<(), String> {
        let good = text.starts_with("0x") && text.parse::<B256>().is_ok();
        if good { Ok(()) } else { Err(format!("`{}` is not 0x and 64 hex digits", shown(text))) }
    }
    fn bytes(text: &str) -> Result<(), String> {
        let good = text.starts_with("0x") && text.parse::<Bytes>().is_ok();
        if good { Ok(()) } else { Err(format!("`{}` is not 0x and hex digits", shown(text))) }
    }
    Some(match name {
        "ChainId" => read::<ChainId>,
        "AccountId" => read::<AccountId>,
        "UsdText" => read::<UsdText>,
        "WeiText" => read::<WeiText>,
        "DurationText" => read::<DurationText>,
        "BasisPoints" => read::<BasisPoints>,
        "TokenAmount" => read::<TokenAmount>,
        "AssetId" => asset,
        "hash" => hash,
        "hex" => bytes,
        _ => return None,
    })
}

/// The tag of a table, its value there, and the table's schema.
fn tag_of(choice: &Value) -> Option<(&str, &str, &Value)> {
    let properties = choice.get("properties")?.as_object()?;
    let constant =
        |(name, it): (&'_ String, &'_ Value)| it.get("const").is_some().then(|| name.clone());
    let tag = properties.iter().find_map(constant)?;
    let (tag, it) = properties.get_key_value(&tag)?;
    Some((tag, it.get("const")?.as_str()?, choice))
}

fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(it) = nearest(name, known.iter().copied()) {
        return format!("did you mean `{it}`?");
    }
    let list = known.iter().take(NAMES_LISTED_MAX).copied().collect::<Vec<_>>().join("`, `");
    let more = if known.len() > NAMES_LISTED_MAX { ", …" } else { "" };
    format!("known {what}: `{list}`{more}")
}

fn article(kind: &str) -> &'static str {
    match kind {
        "object" => "a table",
        "array" => "an array",
        "integer" => "an integer",
        "boolean" => "true or false",
        _ => "a text",
    }
}

/// A name cut to what fits a line.
fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}
