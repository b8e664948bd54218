//! EIP-712 messages as JSON, read by the types they name.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, I256, U256, hex};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Clear, ClearError, Registry,
    describe::{Scene, container},
    tree::Tree,
};
use crate::abi::{Function, Type, Value};

/// Deepest nesting of types.
const DEPTH_MAX: usize = 12;
/// Most types of one message.
const TYPES_MAX: usize = 64;

/// A typed message, as wallets are given it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypedData {
    /// Types by name.
    pub types: BTreeMap<String, Vec<Member>>,
    /// The message's type.
    pub primary_type: String,
    /// The domain.
    pub domain: Json,
    /// The message.
    pub message: Json,
}

/// A member of a type.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
}

impl Registry {
    /// The text of a typed message, or why its descriptor cannot be applied; `None` if there is no descriptor for it.
    pub fn describe_typed(
        &self,
        data: &TypedData,
        from: Option<Address>,
    ) -> Option<Result<Clear, ClearError>> {
        let chain = number(&data.domain["chainId"]).and_then(|it| u64::try_from(it).ok())?;
        let to: Address = data.domain["verifyingContract"].as_str()?.parse().ok()?;
        let encoded = data.encoded_type()?;
        let found = self.bound(chain, to).find_map(|descriptor| {
            let format = descriptor.messages.iter().find(|it| it.0 == encoded)?;
            Some((descriptor, &format.1))
        });
        let (descriptor, format) = found?;
        let tree = match data.tree(&data.primary_type, &data.message, 0) {
            Ok(it) => it,
            Err(error) => return Some(Err(error)),
        };
        let container = container(chain, to, from, U256::ZERO);
        let scene =
            Scene { registry: self, descriptor, chain, data: tree, container, from, depth: 0 };
        Some(scene.clear(format))
    }
}

impl TypedData {
    /// The encoded type of the message: its own, then those it refers to, by name.
    pub fn encoded_type(&self) -> Option<String> {
        if self.types.len() > TYPES_MAX {
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut todo = vec![self.primary_type.as_str()];
        while let Some(name) = todo.pop() {
            if seen.insert(name) {
                let members = self.types.get(name)?.iter();
                let referred = members.map(|it| it.ty.split('[').next().unwrap_or_default());
                todo.extend(referred.filter(|it| self.types.contains_key(*it)));
            }
        }
        seen.remove(self.primary_type.as_str());
        let names = std::iter::once(self.primary_type.as_str()).chain(seen);
        let one = |name: &str| {
            let members = self.types.get(name)?.iter();
            let members: Vec<String> = members.map(|it| format!("{} {}", it.ty, it.name)).collect();
            Some(format!("{name}({})", members.join(",")))
        };
        names.map(one).collect()
    }

    fn tree(&self, ty: &str, json: &Json, depth: usize) -> Result<Tree, ClearError> {
        let wrong = || ClearError::Types(format!("`{ty}`"));
        if depth > DEPTH_MAX {
            return Err(ClearError::Many);
        }
        if let Some((of, _)) = ty.strip_suffix(']').and_then(|it| it.rsplit_once('[')) {
            let items = json.as_array().ok_or_else(wrong)?.iter();
            let items = items.map(|it| self.tree(of, it, depth + 1)).collect::<Result<_, _>>()?;
            return Ok(Tree::List(items));
        }
        if let Some(members) = self.types.get(ty) {
            let parts = members.iter().map(|it| {
                let value = json.get(&it.name).ok_or_else(wrong)?;
                Ok((it.name.clone(), self.tree(&it.ty, value, depth + 1)?))
            });
            return Ok(Tree::Struct(parts.collect::<Result<_, ClearError>>()?));
        }
        // The elementary types are those of the ABI.
        let function = Function::parse(&format!("f({ty})")).map_err(|_| wrong())?;
        let ty = function.inputs.first().map(|it| &it.ty).ok_or_else(wrong)?;
        leaf(ty, json).map(Tree::Leaf).ok_or_else(wrong)
    }
}

fn number(json: &Json) -> Option<U256> {
    match json {
        Json::Number(it) => it.as_u64().map(U256::from),
        Json::String(it) => crate::quantity::parse(it),
        _ => None,
    }
}

fn leaf(ty: &Type, json: &Json) -> Option<Value> {
    match ty {
        Type::Uint(bits) => number(json).filter(|it| it.bit_len() <= *bits).map(Value::Uint),
        Type::Int(_) => {
            let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            I256::from_dec_str(&text).ok().map(Value::Int)
        }
        Type::Address => json.as_str()?.parse().ok().map(Value::Address),
        Type::Bool => json.as_bool().map(Value::Bool),
        Type::String => json.as_str().map(|it| Value::String(it.to_owned())),
        Type::Bytes => hex::decode(json.as_str()?).ok().map(Value::Bytes),
        Type::FixedBytes(count) => {
            let bytes = hex::decode(json.as_str()?).ok()?;
            (bytes.len() == *count).then_some(Value::FixedBytes(bytes))
        }
        Type::Array(_) | Type::Fixed(..) | Type::Tuple(_) => None,
    }
}
