//! Every loader of a recorded format returns, whatever is in the file. The originals are small files
//! of the shared data; without it these tests skip and say so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use cofferdam_core::ChainId;

use crate::{
    mangle::mangled,
    recorded::{
        MainnetBlocks, file, load_block_index, load_fork_cache, load_fork_index, load_header,
        load_parity_block, load_trace, load_trace_index, load_tx_case, tests::shared,
    },
};

/// Gives `load` every mangled version of the text of `original`, and of its packed bytes if it is
/// packed.
fn each(original: &Path, count: u64, load: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let text = file::text(original).unwrap();
    let plain = folder.path().join("mangled.json");
    for bytes in mangled(text.as_bytes(), count) {
        fs::write(&plain, bytes).unwrap();
        load(&plain);
    }
    if original.extension().is_some_and(|it| it == "zst") {
        let packed = folder.path().join("mangled.json.zst");
        for bytes in mangled(&fs::read(original).unwrap(), count) {
            fs::write(&packed, bytes).unwrap();
            load(&packed);
        }
    }
}

/// The smallest file anywhere in `folder` whose name ends with `end`.
fn smallest(folder: &Path, end: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, about) = (entry.path(), entry.metadata().unwrap());
            if about.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                files.push((about.len(), path));
            }
        }
    }
    files.into_iter().min().unwrap().1
}

#[test]
fn attack_traces_and_cases() {
    let Some(data) = shared("data") else { return };
    let trace = smallest(&data.join("exploit-traces"), ".json.zst");
    each(&trace, 500, |it| _ = load_trace(it, 1));
    let case = smallest(&data.join("exploit-original-txs"), ".json.zst");
    each(&case, 60, |it| _ = load_tx_case(it, Some(1)));
}

#[test]
fn fork_caches_headers_and_parity_blocks() {
    let Some(data) = shared("data") else { return };
    let forks = data.join("exploit-fork-caches");
    each(&smallest(&forks.join("rpc"), ".json.zst"), 40, |it| _ = load_fork_cache(it));
    let header = smallest(&forks.join("headers"), "");
    each(&header, 500, |it| _ = load_header(it, ChainId(1)));
    let block = smallest(&data.join("mev-inspect-blocks/blocks"), ".json.zst");
    each(&block, 40, |it| _ = load_parity_block(it, ChainId(1)));
}

#[test]
fn indexes() {
    let Some(data) = shared("data") else { return };
    for index in ["exploit-fork-caches", "exploit-traces", "mainnet-blocks"] {
        let path = data.join(index).join("index.csv");
        if path.exists() {
            each(&path, 300, |it| {
                let _ = (load_fork_index(it), load_trace_index(it), load_block_index(it));
            });
        }
    }
}

#[test]
fn blocks_with_their_prestate() {
    let Some(dir) = shared("data/mainnet-blocks") else { return };
    let blocks = MainnetBlocks::open(&dir).unwrap();
    let original = smallest(&dir.join("blocks"), "block.json.zst");
    let original = original.parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["block.json.zst", "prestate.json.zst"] {
        for other in ["block.json.zst", "prestate.json.zst", "codes.json.zst"] {
            if original.join(other).exists() {
                fs::copy(original.join(other), folder.path().join(other)).unwrap();
            }
        }
        for bytes in mangled(&fs::read(original.join(name)).unwrap(), 40) {
            let _ = fs::remove_file(folder.path().join(name));
            fs::write(folder.path().join(name), bytes).unwrap();
            let _ = blocks.load_from(folder.path());
        }
    }
}
