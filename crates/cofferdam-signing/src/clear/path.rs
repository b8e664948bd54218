//! The path language: `#.` into the data, `@.` into the transaction around it, `$.` into the descriptor; `.[]`, `.[n]`
//! and `.[a:b]` into lists and bytes.

use alloy_primitives::U256;
use serde_json::Value as Json;

use super::{ClearError, tree::Tree};
use crate::abi::Value;

/// Most values one path leads to.
pub(super) const VALUES_MAX: usize = 256;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step<'a> {
    Name(&'a str),
    All,
    At(i64),
    Slice(Option<i64>, Option<i64>),
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Data,
    Container,
    Descriptor,
    Here,
}

/// The root of a path, and what follows it.
pub(super) fn root(path: &str) -> (Root, &str) {
    for (mark, root) in [("#.", Root::Data), ("@.", Root::Container), ("$.", Root::Descriptor)] {
        if let Some(rest) = path.strip_prefix(mark) {
            return (root, rest);
        }
    }
    (Root::Here, path)
}

fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut out = Vec::new();
    for part in path.split('.').filter(|it| !it.is_empty()) {
        let (name, mut rest) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if !name.is_empty() {
            out.push(Step::Name(name));
        }
        while let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            rest = after;
            out.push(match index.split_once(':') {
                None if index.is_empty() => Step::All,
                None => Step::At(index.parse().ok()?),
                Some((from, to)) => {
                    let bound = |it: &str| {
                        if it.is_empty() { Some(None) } else { it.parse().ok().map(Some) }
                    };
                    Step::Slice(bound(from)?, bound(to)?)
                }
            });
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(out)
}

/// Every value that a path without its root leads to.
pub(super) fn values(tree: &Tree, path: &str) -> Result<Vec<Tree>, ClearError> {
    let nothing = || ClearError::Path(path.to_owned());
    let mut found = vec![tree.clone()];
    for step in steps(path).ok_or_else(nothing)? {
        let mut next = Vec::new();
        for it in &found {
            next.extend(take(it, &step).ok_or_else(nothing)?);
            if next.len() > VALUES_MAX {
                return Err(ClearError::Many);
            }
        }
        found = next;
    }
    Ok(found)
}

fn take(tree: &Tree, step: &Step<'_>) -> Option<Vec<Tree>> {
    match (tree, step) {
        (Tree::Struct(parts), Step::Name(name)) => {
            let found = parts.iter().find(|it| it.0 == *name)?;
            Some(vec![found.1.clone()])
        }
        (Tree::List(items), Step::All) => Some(items.clone()),
        (Tree::List(items), Step::At(at)) => {
            Some(vec![items.get(index(*at, items.len())?)?.clone()])
        }
        (Tree::List(items), Step::Slice(from, to)) => {
            let (from, to) = bounds(*from, *to, items.len())?;
            Some(items.get(from..to)?.to_vec())
        }
        (Tree::Leaf(value), Step::Slice(from, to)) => {
            let bytes = bytes(value)?;
            let (from, to) = bounds(*from, *to, bytes.len())?;
            Some(vec![Tree::Leaf(Value::Bytes(bytes.get(from..to)?.to_vec()))])
        }
        (Tree::Leaf(value), Step::At(at)) => {
            let bytes = bytes(value)?;
            let byte = bytes.get(index(*at, bytes.len())?)?;
            Some(vec![Tree::Leaf(Value::Bytes(vec![*byte]))])
        }
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(it) | Value::FixedBytes(it) => Some(it.clone()),
        Value::Uint(it) => Some(it.to_be_bytes::<32>().to_vec()),
        Value::Int(it) => Some(it.to_be_bytes::<32>().to_vec()),
        Value::Address(it) => Some(it.to_vec()),
        _ => None,
    }
}

fn index(at: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if at < 0 { length.checked_add(at)? } else { at }).ok()
}

fn bounds(from: Option<i64>, to: Option<i64>, length: usize) -> Option<(usize, usize)> {
    let from = from.map_or(Some(0), |it| index(it, length))?;
    let to = to.map_or(Some(length), |it| index(it, length))?;
    (from <= to && to <= length).then_some((from, to))
}

/// What a `$.` path without its root leads to in a document.
pub(super) fn in_document<'a>(document: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(document, |at, name| at.get(name))
}

/// A constant of a descriptor as a value.
pub(super) fn constant(json: &Json) -> Option<Tree> {
    let leaf = match json {
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(it) => Value::Uint(U256::from(it.as_u64()?)),
        Json::String(it) => Value::String(it.clone()),
        _ => return None,
    };
    Some(Tree::Leaf(leaf))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::{Tree, values};
    use crate::abi::Value;

    fn number(it: u64) -> Tree {
        Tree::Leaf(Value::Uint(U256::from(it)))
    }

    #[test]
    fn paths_lead_into_structs_lists_and_bytes() {
        let item = |it| Tree::Struct(vec![("x".into(), number(it))]);
        let bytes = Tree::Leaf(Value::Bytes((0..30).collect()));
        let tree = Tree::Struct(vec![
            ("list".into(), Tree::List(vec![item(1), item(2), item(3)])),
            ("b".into(), bytes),
        ]);
        assert_eq!(values(&tree, "list.[].x").unwrap(), [number(1), number(2), number(3)]);
        assert_eq!(values(&tree, "list.[-1].x").unwrap(), [number(3)]);
        assert_eq!(values(&tree, "list[0].x").unwrap(), [number(1)]);
        assert_eq!(values(&tree, "list.[1:].x").unwrap(), [number(2), number(3)]);
        let end = Tree::Leaf(Value::Bytes((10..30).collect()));
        assert_eq!(values(&tree, "b.[-20:]").unwrap(), [end]);
        for path in [
            "nothing",
            "list.x",
            "list.[7]",
            "list.[-4]",
            "list.[2:1]",
            "b.[31:]",
            "list.[",
            "list.[a]",
        ] {
            assert!(values(&tree, path).is_err(), "{path}");
        }
    }
}
