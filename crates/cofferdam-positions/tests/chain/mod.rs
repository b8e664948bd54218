//! A local chain for tests, and the contracts that run on it: ours, those of npm, and harnesses compiled on the spot.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "shared by several test programs"
)]

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use cofferdam_core::Timestamp;
use cofferdam_sim::{LocalChain, LocalConfig};

/// Who deploys and owns everything.
pub(crate) const OWNER: Address = Address::repeat_byte(0xaa);

pub(crate) fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

/// The JSON at a path below `contracts/`, or `None` after saying that it is missing.
pub(crate) fn artifact(path: &str) -> Option<serde_json::Value> {
    let file = contracts().join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            println!("skipped: {} is not here (cargo xtask services)", file.display());
            None
        }
    }
}

/// Creation code of an artifact, ours or hardhat's.
pub(crate) fn creation(artifact: &serde_json::Value) -> Vec<u8> {
    let code = &artifact["bytecode"];
    let text = code.as_str().or(code["object"].as_str()).unwrap();
    hex::decode(text).unwrap()
}

/// Calldata of `signature` with words.
pub(crate) fn data(signature: &str, words: &[U256]) -> Bytes {
    let mut out = keccak256(signature)[..4].to_vec();
    words.iter().for_each(|w| out.extend(w.to_be_bytes::<32>()));
    out.into()
}

/// An address as a word.
pub(crate) fn word(a: Address) -> U256 {
    U256::from_be_bytes(a.into_word().0)
}

/// Words returned.
pub(crate) fn words(bytes: &Bytes) -> Vec<U256> {
    bytes.chunks(32).map(U256::from_be_slice).collect()
}

/// A chain with its clock.
pub(crate) struct World {
    pub(crate) chain: LocalChain,
}

impl World {
    pub(crate) fn new() -> Self {
        let chain = LocalChain::new(LocalConfig { history: 2, ..LocalConfig::default() });
        chain.set_balance(OWNER, U256::from(u128::MAX)).unwrap();
        Self { chain }
    }

    /// Unix seconds that the next call sees.
    pub(crate) fn now(&self) -> u64 {
        self.chain.next(1).0.time.0 / 1_000
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, seconds: u64) {
        let at = self.chain.head().time.plus_ms(seconds * 1_000);
        let _: Timestamp = at;
        self.chain.mine(at).unwrap();
    }

    pub(crate) fn deploy(&self, code: &[u8], arguments: &[U256]) -> Address {
        let mut all = code.to_vec();
        arguments.iter().for_each(|w| all.extend(w.to_be_bytes::<32>()));
        self.chain.deploy(OWNER, all.into()).unwrap()
    }

    pub(crate) fn call(&self, to: Address, signature: &str, arguments: &[U256]) -> Vec<U256> {
        self.send(OWNER, to, 0, signature, arguments).unwrap()
    }

    pub(crate) fn send(
        &self,
        from: Address,
        to: Address,
        value: u128,
        signature: &str,
        arguments: &[U256],
    ) -> Result<Vec<U256>, cofferdam_sim::LocalError> {
        let input = data(signature, arguments);
        self.chain.setup_call(from, to, U256::from(value), input).map(|b| words(&b))
    }
}

/// Creation code of a harness in `tests/contracts`, compiled by the npm compiler; `None` where that is missing.
pub(crate) fn compile(name: &str) -> Option<Vec<u8>> {
    let shim = contracts().join("bin/solc");
    if !contracts().join("node_modules/solc").exists() {
        println!("skipped: the npm compiler is not here (cargo xtask services)");
        return None;
    }
    let file = format!("{name}.sol");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contracts").join(&file);
    let mut sources = BTreeMap::new();
    collect(&file, &std::fs::read_to_string(here).unwrap(), &mut sources);
    let input = serde_json::json!({
        "language": "Solidity",
        "sources": sources.iter().map(|(k, v)| (k.clone(), serde_json::json!({ "content": v }))).collect::<serde_json::Map<_, _>>(),
        "settings": {
            "evmVersion": "cancun",
            "optimizer": { "enabled": true, "runs": 200 },
            "outputSelection": { "*": { "*": ["evm.bytecode.object"] } }
        }
    });
    let mut child = Command::new("node")
        .arg(shim)
        .arg("--standard-json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = &json["contracts"][&file][name]["evm"]["bytecode"]["object"];
    let code = code.as_str().unwrap_or_else(|| panic!("{}", json["errors"]));
    Some(hex::decode(code).unwrap())
}

/// A source and everything it imports, by the names the compiler will ask for.
fn collect(name: &str, text: &str, out: &mut BTreeMap<String, String>) {
    if out.insert(name.to_owned(), text.to_owned()).is_some() {
        return;
    }
    for line in text.lines().filter(|l| l.trim_start().starts_with("import")) {
        let Some(path) = line.split('"').nth(1) else { continue };
        let wanted = if path.starts_with('.') {
            let mut parts: Vec<&str> = name.split('/').collect();
            parts.pop();
            for piece in path.split('/') {
                match piece {
                    "." => {}
                    ".." => {
                        parts.pop();
                    }
                    other => parts.push(other),
                }
            }
            parts.join("/")
        } else {
            path.to_owned()
        };
        let file = contracts().join("node_modules").join(&wanted);
        collect(&wanted, &std::fs::read_to_string(file).unwrap(), out);
    }
}

/// ABI words of trailing strings: offsets first, then length and one padded word each.
pub(crate) fn with_strings(words: &[U256], at: usize, strings: &[&str]) -> Vec<U256> {
    let mut out = words.to_vec();
    let mut tail = Vec::new();
    for (i, s) in strings.iter().enumerate() {
        out[at + i] = U256::from(32 * (words.len() + tail.len()));
        let mut padded = [0_u8; 32];
        padded[..s.len()].copy_from_slice(s.as_bytes());
        tail.push(U256::from(s.len()));
        // An empty one has no word of its own.
        tail.extend((!s.is_empty()).then(|| U256::from_be_bytes(padded)));
    }
    out.extend(tail);
    out
}

/// A token that anybody may mint, or `None` where it is missing.
pub(crate) fn token(world: &World, name: &str, decimals: u64) -> Option<Address> {
    let code = artifact("abi/DemoToken.json").map(|a| creation(&a))?;
    let words = [U256::ZERO, U256::ZERO, U256::from(decimals)];
    Some(world.deploy(&code, &with_strings(&words, 0, &[name, name])))
}

/// Creation code of an artifact below `root` whose libraries are deployed and linked first.
pub(crate) fn linked(world: &World, root: &str, path: &str) -> Option<Vec<u8>> {
    let it = artifact(&format!("{root}{path}"))?;
    let mut text = it["bytecode"].as_str().unwrap().to_owned();
    for (file, names) in it["linkReferences"].as_object().unwrap() {
        for (name, places) in names.as_object().unwrap() {
            let below = file.strip_prefix("contracts/").unwrap();
            let code = linked(world, root, &format!("{below}/{name}.json"))?;
            let library = hex::encode(world.deploy(&code, &[]));
            for place in places.as_array().unwrap() {
                let start = 2 + 2 * place["start"].as_u64().unwrap() as usize;
                text.replace_range(start..start + 40, &library);
            }
        }
    }
    Some(hex::decode(text).unwrap())
}
