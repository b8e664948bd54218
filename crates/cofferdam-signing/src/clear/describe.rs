//! Applies a descriptor to a call.

use alloy_primitives::{Address, Bytes, U256};
use serde_json::Value as Json;

use super::{
    Clear, ClearError, Descriptor, Field, Names, Registry, Shown,
    format::{chain_name, date, decimal, duration, native, raw, unit},
    path::{Root, constant, in_document, root, values},
    tree::Tree,
};
use crate::{
    abi::{Value, decode},
    text::plain,
};

/// Deepest nesting of calls and of groups of fields.
const DEPTH_MAX: usize = 4;
/// Most fields shown.
const FIELDS_MAX: usize = 512;

/// A call to describe.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The chain.
    pub chain: u64,
    /// The target.
    pub to: Address,
    /// The caller, if known.
    pub from: Option<Address>,
    /// Wei.
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
}

/// What paths and formats look at.
pub(super) struct Scene<'a> {
    pub(super) registry: &'a Registry,
    pub(super) descriptor: &'a Descriptor,
    pub(super) chain: u64,
    pub(super) data: Tree,
    pub(super) container: Tree,
    pub(super) from: Option<Address>,
    pub(super) depth: usize,
}

impl Registry {
    /// The text of a call, or why its descriptor cannot be applied; `None` if there is no descriptor for it.
    pub fn describe(&self, subject: &Subject) -> Option<Result<Clear, ClearError>> {
        self.nested(subject, 0)
    }

    fn nested(&self, subject: &Subject, depth: usize) -> Option<Result<Clear, ClearError>> {
        let selector = subject.data.get(..4)?.try_into().ok()?;
        let (descriptor, function, format) = self.format(subject.chain, subject.to, selector)?;
        let arguments = subject.data.get(4..).unwrap_or_default();
        let values = match decode(&function.inputs, arguments) {
            Ok(it) => it,
            Err(error) => return Some(Err(ClearError::Types(error.to_string()))),
        };
        let container = container(subject.chain, subject.to, subject.from, subject.value);
        let data = Tree::of(&function.inputs, &values);
        let (chain, from) = (subject.chain, subject.from);
        let scene = Scene { registry: self, descriptor, chain, data, container, from, depth };
        Some(scene.clear(format))
    }
}

pub(super) fn container(chain: u64, to: Address, from: Option<Address>, value: U256) -> Tree {
    let mut parts = vec![
        ("to".to_owned(), Tree::Leaf(Value::Address(to))),
        ("value".to_owned(), Tree::Leaf(Value::Uint(value))),
        ("chainId".to_owned(), Tree::Leaf(Value::Uint(U256::from(chain)))),
    ];
    parts.extend(from.map(|it| ("from".to_owned(), Tree::Leaf(Value::Address(it)))));
    Tree::Struct(parts)
}

impl Scene<'_> {
    pub(super) fn clear(&self, format: &Json) -> Result<Clear, ClearError> {
        if self.depth > DEPTH_MAX {
            return Err(ClearError::Many);
        }
        let mut fields = Vec::new();
        let mut by_path = Vec::new();
        for field in format["fields"].as_array().map(Vec::as_slice).unwrap_or_default() {
            self.field(field, &self.data, 0, &mut fields, &mut by_path)?;
        }
        let intent = match &format["intent"] {
            Json::String(it) => plain(it),
            Json::Object(it) => {
                let parts: Vec<String> = it.values().filter_map(Json::as_str).map(plain).collect();
                parts.join(", ")
            }
            _ => String::new(),
        };
        let sentence = format["interpolatedIntent"].as_str();
        Ok(Clear {
            intent,
            interpolated_intent: sentence.and_then(|it| self.interpolate(it, &by_path)),
            owner: plain(&self.descriptor.owner),
            fields,
        })
    }

    fn names(&self) -> &Names {
        &self.registry.names
    }

    fn field(
        &self,
        field: &Json,
        here: &Tree,
        depth: usize,
        out: &mut Vec<Field>,
        by_path: &mut Vec<(String, String)>,
    ) -> Result<(), ClearError> {
        if depth > DEPTH_MAX {
            return Err(ClearError::Many);
        }
        let merged = self.referred(field)?;
        let field = merged.as_ref().unwrap_or(field);
        let path = field["path"].as_str();
        if let Some(inner) = field["fields"].as_array() {
            let groups = match path {
                Some(path) => self.values(path, here)?,
                None => vec![here.clone()],
            };
            for group in &groups {
                for it in inner {
                    self.field(it, group, depth + 1, out, by_path)?;
                }
            }
            return Ok(());
        }
        let found = match (path, field.get("value")) {
            (Some(path), _) => self.values(path, here)?,
            (None, Some(value)) => vec![self.literal(value)?],
            (None, None) => return Err(ClearError::Path(String::new())),
        };
        let label = field["label"].as_str().or(path).map(plain).unwrap_or_default();
        let mut texts = Vec::new();
        for it in &found {
            if !self.visible(&field["visible"], it, &label)? {
                continue;
            }
            let value = self.show(field, it, here)?;
            if let Shown::Text(text) = &value {
                texts.push(text.clone());
            }
            out.push(Field { label: label.clone(), value });
            if out.len() > FIELDS_MAX {
                return Err(ClearError::Many);
            }
        }
        if let Some(path) = path {
            by_path.push((root(path).1.to_owned(), texts.join(", ")));
        }
        Ok(())
    }

    /// A field that refers to a definition, with what it overrides.
    fn referred(&self, field: &Json) -> Result<Option<Json>, ClearError> {
        let Some(reference) = field["$ref"].as_str() else { return Ok(None) };
        let target = in_document(&self.descriptor.document, root(reference).1);
        let mut base = target.cloned().ok_or_else(|| ClearError::Path(reference.to_owned()))?;
        if let (Some(base), Some(over)) = (base.as_object_mut(), field.as_object()) {
            for (key, value) in over.iter().filter(|it| *it.0 != "$ref") {
                match (base.get_mut(key).and_then(Json::as_object_mut), value.as_object()) {
                    (Some(old), Some(new)) => {
                        old.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
                    }
                    _ => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Ok(Some(base))
    }

    fn visible(&self, rule: &Json, value: &Tree, label: &str) -> Result<bool, ClearError> {
        if let Some(word) = rule.as_str() {
            return Ok(word != "never");
        }
        let among = |list: &Json| {
            let list = list.as_array()?;
            Some(list.iter().any(|it| constant(it).is_some_and(|it| same(&it, value))))
        };
        if let Some(hidden) = among(&rule["ifNotIn"]) {
            return Ok(!hidden);
        }
        match among(&rule["mustMatch"]) {
            Some(true) => Ok(false),
            Some(false) => Err(ClearError::MustMatch(label.to_owned())),
            None => Ok(rule.as_bool().unwrap_or(true)),
        }
    }

    fn values(&self, path: &str, here: &Tree) -> Result<Vec<Tree>, ClearError> {
        match root(path) {
            (Root::Data, rest) => values(&self.data, rest),
            (Root::Here, rest) => values(here, rest),
            (Root::Container, rest) => values(&self.container, rest),
            (Root::Descriptor, rest) => {
                let found = in_document(&self.descriptor.document, rest).and_then(constant);
                Ok(vec![found.ok_or_else(|| ClearError::Path(path.to_owned()))?])
            }
        }
    }

    /// A literal, or a `$.` path to one.
    fn literal(&self, json: &Json) -> Result<Tree, ClearError> {
        match json.as_str() {
            Some(path) if path.starts_with("$.") => self.one(path, &self.data),
            _ => constant(json).ok_or_else(|| ClearError::Path(json.to_string())),
        }
    }

    fn one(&self, path: &str, here: &Tree) -> Result<Tree, ClearError> {
        let found = self.values(path, here)?.into_iter().next();
        found.ok_or_else(|| ClearError::Path(path.to_owned()))
    }

    /// A parameter given as a constant under `name`, or as a path under `name` with `Path` behind.
    fn parameter(
        &self,
        params: &Json,
        (name, by_path): (&str, &str),
        here: &Tree,
    ) -> Result<Option<Tree>, ClearError> {
        match (params[by_path].as_str(), params.get(name)) {
            (Some(path), _) => self.one(path, here).map(Some),
            (None, Some(it)) => self.literal(it).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn show(&self, field: &Json, value: &Tree, here: &Tree) -> Result<Shown, ClearError> {
        let params = &field["params"];
        let format = field["format"].as_str().unwrap_or("raw");
        let number = || value.number().ok_or_else(|| ClearError::Format(format.to_owned()));
        let text = match format {
            "raw" => raw(value),
            "amount" => format!("{} {}", decimal(number()?, 18), native(self.chain)),
            "tokenAmount" => self.token_amount(params, number()?, here)?,
            "nftName" => {
                let collection = self.parameter(params, ("collection", "collectionPath"), here)?;
                let collection = collection.and_then(|it| it.address());
                let collection = collection.ok_or_else(|| missing(format, "collection"))?;
                let named = self.names().collections.get(&collection);
                let name = named.map_or(collection.to_string(), |it| plain(it));
                format!("{name} #{}", number()?)
            }
            "date" => match params["encoding"].as_str() {
                Some("timestamp") => date(number()?),
                Some("blockheight") => {
                    let block = number()?;
                    let known = self.names().blocks.get(&block);
                    known.map_or(format!("block {block}"), |it| date(U256::from(*it)))
                }
                _ => return Err(missing(format, "encoding")),
            },
            "duration" => duration(number()?),
            "unit" => {
                let base = params["base"].as_str().ok_or_else(|| missing(format, "base"))?;
                let decimals = params["decimals"].as_u64().unwrap_or(0);
                let decimals = u8::try_from(decimals).map_err(|_| missing(format, "decimals"))?;
                unit(number()?, base, decimals, params["prefix"].as_bool() == Some(true))
            }
            "enum" => {
                let reference = params["$ref"].as_str().ok_or_else(|| missing(format, "$ref"))?;
                let table = in_document(&self.descriptor.document, root(reference).1);
                let entry = table.and_then(|it| it.get(raw(value))).and_then(Json::as_str);
                // A value without a name is shown as it is, never left out.
                entry.map_or_else(|| raw(value), plain)
            }
            "addressName" | "interoperableAddressName" => {
                self.address_name(params, value, format)?
            }
            "calldata" => return self.calldata(params, value, here),
            "chainId" => chain_name(number()?),
            "tokenTicker" => {
                let token = value.address().ok_or_else(|| ClearError::Format(format.to_owned()))?;
                let known = self.names().tokens.get(&token);
                known.map_or_else(|| format!("unknown token {token}"), |it| plain(&it.symbol))
            }
            other => return Err(ClearError::Format(other.to_owned())),
        };
        Ok(Shown::Text(text))
    }

    fn token_amount(&self, params: &Json, amount: U256, here: &Tree) -> Result<String, ClearError> {
        let token = self.parameter(params, ("token", "tokenPath"), here)?;
        let token = token.and_then(|it| it.address());
        let mut natives = Vec::new();
        match &params["nativeCurrencyAddress"] {
            Json::Null => {}
            Json::Array(list) => {
                for it in list {
                    natives.push(self.literal(it)?.address());
                }
            }
            one => natives.push(self.literal(one)?.address()),
        }
        let is_native = token.is_some() && natives.contains(&token);
        let (decimals, symbol) = match token {
            Some(_) if is_native => (18, native(self.chain).to_owned()),
            Some(it) => match self.names().tokens.get(&it) {
                Some(known) => (known.decimals, plain(&known.symbol)),
                None => return Ok(format!("{amount} base units of unknown token {it}")),
            },
            None => return Ok(format!("{amount} base units of a token that is not named")),
        };
        let threshold = match params.get("threshold") {
            None => None,
            Some(it) => {
                let limit = self.literal(it)?.number();
                Some(limit.ok_or_else(|| missing("tokenAmount", "threshold"))?)
            }
        };
        if threshold.is_some_and(|it| amount >= it) {
            let message = params["message"].as_str().unwrap_or("Unlimited");
            return Ok(format!("{} {symbol}", plain(message)));
        }
        Ok(format!("{} {symbol}", decimal(amount, decimals)))
    }

    fn address_name(
        &self,
        params: &Json,
        value: &Tree,
        format: &str,
    ) -> Result<String, ClearError> {
        let mut address = value.address().ok_or_else(|| ClearError::Format(format.to_owned()))?;
        let stands_for_sender = match &params["senderAddress"] {
            Json::Array(list) => list.clone(),
            Json::Null => Vec::new(),
            one => vec![one.clone()],
        };
        for it in &stands_for_sender {
            if let (Some(from), true) = (self.from, self.literal(it)?.address() == Some(address)) {
                address = from;
                break;
            }
        }
        let sources = params["sources"].as_array();
        let from =
            |name: &str| sources.is_none_or(|it| it.iter().any(|it| it.as_str() == Some(name)));
        let local = self.names().local.get(&address).filter(|_| from("local"));
        let ens = || self.names().ens.get(&address).filter(|_| from("ens"));
        Ok(local.or_else(ens).map_or(address.to_string(), |it| plain(it)))
    }

    fn calldata(&self, params: &Json, value: &Tree, here: &Tree) -> Result<Shown, ClearError> {
        let (Tree::Leaf(Value::Bytes(data)), as_text) = (value, raw(value)) else {
            return Err(ClearError::Format("calldata".into()));
        };
        let callee = self.parameter(params, ("callee", "calleePath"), here)?;
        let Some(to) = callee.and_then(|it| it.address()) else { return Ok(Shown::Text(as_text)) };
        let amount = self.parameter(params, ("amount", "amountPath"), here)?;
        let spender = self.parameter(params, ("spender", "spenderPath"), here)?;
        let subject = Subject {
            chain: self.chain,
            to,
            from: spender.and_then(|it| it.address()).or(self.from),
            value: amount.and_then(|it| it.number()).unwrap_or_default(),
            data: data.clone().into(),
        };
        match self.registry.nested(&subject, self.depth + 1) {
            Some(Ok(it)) => Ok(Shown::Call(Box::new(it))),
            Some(Err(ClearError::Many)) => Err(ClearError::Many),
            Some(Err(_)) | None => Ok(Shown::Text(as_text)),
        }
    }

    /// Fills `{path}`; `None` if one of them leads nowhere, so that no sentence has a hole.
    fn interpolate(&self, text: &str, by_path: &[(String, String)]) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(&plain(before));
            let (path, after) = after.split_once('}')?;
            let path = root(path.trim()).1;
            let shown = by_path.iter().find(|it| it.0 == path).map(|it| it.1.clone());
            let value = match shown {
                Some(it) => it,
                None => raw(&self.one(path, &self.data).ok()?),
            };
            out.push_str(&value);
            rest = after;
        }
        out.push_str(&plain(rest));
        Some(out)
    }
}

fn missing(format: &str, parameter: &'static str) -> ClearError {
    ClearError::Parameter { format: format.to_owned(), parameter }
}

fn same(one: &Tree, other: &Tree) -> bool {
    let address = one.address().is_some() && one.address() == other.address();
    let number = one.number().is_some() && one.number() == other.number();
    address || number || raw(one) == raw(other)
}
