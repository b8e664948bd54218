//! The vectors of the clear-signing registry in the shared standards pack: how many are reproduced, and which are not.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, Bytes, U256, hex};
use cofferdam_signing::clear::{Clear, Names, Registry, Subject, Token, TypedData};
use serde_json::Value as Json;

const PACK: &str = "../../../shared/data/standards/erc7730";
/// Vectors that must be reproduced of those in the pack.
const REPRODUCED_MIN: usize = 53;

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|it| it.ok().map(|it| it.path())) {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|it| it == "json") {
            out.push(path);
        }
    }
    out.sort();
}

/// The fields of an unsigned EIP-1559, EIP-2930 or legacy transaction that matter here.
fn transaction(raw: &str) -> Option<(u64, Address, U256, Bytes)> {
    let bytes = hex::decode(raw).ok()?;
    let (kind, body) = match bytes.first()? {
        2 => (2, &bytes[1..]),
        1 => (1, &bytes[1..]),
        _ => (0, &bytes[..]),
    };
    let items = rlp(body)?;
    let number = |it: &[u8]| U256::try_from_be_slice(it);
    let (chain, at) = match kind {
        2 => (number(&items[0])?, 5),
        1 => (number(&items[0])?, 4),
        _ => (items.get(6).and_then(|it| number(it)).unwrap_or(U256::from(1)), 3),
    };
    let to = Address::try_from(items.get(at)?.as_slice()).ok()?;
    let (value, data) = (number(items.get(at + 1)?)?, items.get(at + 2)?.clone().into());
    Some((u64::try_from(chain).ok()?, to, value, data))
}

/// The items of a list of strings; inner lists come out empty.
fn rlp(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    let long = |head: usize, rest: &[u8]| -> Option<usize> {
        U256::try_from_be_slice(rest.get(..head)?).and_then(|it| usize::try_from(it).ok())
    };
    let mut rest = match *list.first()? {
        it @ 0xf8.. => list.get(1 + usize::from(it - 0xf7)..)?,
        _ => list.get(1..)?,
    };
    let mut out = Vec::new();
    while let Some(&mark) = rest.first() {
        let (skip, length) = match mark {
            0..=0x7f => (0, 1),
            0x80..=0xb7 => (1, usize::from(mark - 0x80)),
            0xb8..=0xbf => {
                let head = usize::from(mark - 0xb7);
                (1 + head, long(head, &rest[1..])?)
            }
            0xc0..=0xf7 => (1 + usize::from(mark - 0xc0), 0),
            0xf8.. => return None,
        };
        out.push(rest.get(skip..skip + length)?.to_vec());
        rest = &rest[skip + length..];
    }
    Some(out)
}

fn names(provider: &Json) -> Names {
    let table = |key: &str| -> BTreeMap<Address, String> {
        let entries = provider[key].as_object().into_iter().flatten();
        entries.map(|(key, it)| (key.parse().unwrap(), it.as_str().unwrap().to_owned())).collect()
    };
    let tokens = provider["tokens"].as_object().into_iter().flatten().map(|(key, it)| {
        let symbol = it["symbol"].as_str().unwrap().to_owned();
        let decimals = u8::try_from(it["decimals"].as_u64().unwrap()).unwrap();
        (key.parse().unwrap(), Token { symbol, decimals })
    });
    Names {
        tokens: tokens.collect(),
        local: table("addressNames"),
        ens: table("ensNames"),
        collections: table("nftCollectionNames"),
        blocks: BTreeMap::new(),
    }
}

fn ours(registry: &Registry, test: &Json) -> Result<Clear, String> {
    let from = test["from"].as_str().and_then(|it| it.parse().ok());
    let described = if let Some(raw) = test["rawTx"].as_str() {
        let (chain, to, value, data) = transaction(raw).ok_or("the transaction is not read")?;
        registry.describe(&Subject { chain, to, from, value, data })
    } else {
        let data: TypedData =
            serde_json::from_value(test["data"].clone()).map_err(|it| it.to_string())?;
        registry.describe_typed(&data, from)
    };
    described.ok_or("no descriptor matches")?.map_err(|it| it.to_string())
}

#[test]
#[expect(clippy::print_stderr, reason = "it tells the share, and why it skips")]
fn the_vectors_of_the_registry_are_reproduced() {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join(PACK);
    if !pack.is_dir() {
        eprintln!("skipped: {} is not there", pack.display());
        return;
    }
    let mut paths = Vec::new();
    files(&pack, &mut paths);
    let name = |path: &Path| path.strip_prefix(&pack).unwrap().display().to_string();
    let is_test = |path: &PathBuf| name(path).contains("/tests");
    let (tests, rest): (Vec<_>, Vec<_>) = paths.into_iter().partition(is_test);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let descriptors: BTreeMap<String, String> = rest
        .iter()
        .filter(|it| !name(it).starts_with("specs") && !name(it).contains("/sigs/"))
        .map(|it| (name(it), read(it)))
        .collect();
    let (registry, errors) = Registry::load(&descriptors);
    assert_eq!(errors, vec![], "every descriptor of the pack is read");
    let (mut all, mut good, mut misses) = (0, 0, Vec::new());
    for path in tests.iter().filter(|it| name(it).contains("/testsv2/")) {
        let file: Json = serde_json::from_str(&read(path)).unwrap();
        let registry = registry.clone().with(names(&file["dataProvider"]));
        for test in file["tests"].as_array().unwrap() {
            all += 1;
            let got = ours(&registry, test).map(|it| serde_json::to_value(it).unwrap());
            if got.as_ref() == Ok(&test["expected"]) {
                good += 1;
            } else {
                let what = got.map_or_else(|it| it, |it| it.to_string());
                misses.push(format!("{} / {}: {what}", name(path), test["description"]));
            }
        }
    }
    eprintln!("{} descriptors; {good} of {all} vectors reproduced", registry.len());
    misses.iter().for_each(|it| eprintln!("missed: {it}"));
    assert!(good >= REPRODUCED_MIN, "{good} of {all}");
}
