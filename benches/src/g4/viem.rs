//! The peer: a watcher of thirty lines on viem from npm, as a careful team would write it in a day.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use alloy_primitives::{Address, Bytes, hex};
use serde_json::json;

use crate::{Failure, arena::Arena, peers};

/// The running watcher. Killed when dropped.
pub(crate) struct Viem {
    child: Child,
}

impl Viem {
    /// Installs it if need be and starts it on the pools `calldata` belongs to.
    pub(crate) fn start(
        arena: &Arena,
        mode: &str,
        calldata: &[(Address, Bytes)],
    ) -> Result<Self, Failure> {
        let folder = install()?;
        let pools: serde_json::Map<_, _> =
            calldata.iter().map(|(pool, data)| (format!("{pool:#x}"), json!(data))).collect();
        let config = json!({
            "socket": arena.socket(), "mode": mode, "pools": pools,
            "cash": arena.address("cash")?, "guardian": arena.address("guardian")?,
            "key": hex::encode_prefixed(arena.key("viem")),
        });
        let path = folder.join("config.json");
        std::fs::write(&path, serde_json::to_vec(&config)?)?;
        let mut child = Command::new("node")
            .arg("watch.mjs")
            .arg(&path)
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the watcher has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let viem = Self { child };
        if line.trim() == "watching" { Ok(viem) } else { Err("the viem watcher ended".into()) }
    }
}

impl Drop for Viem {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn install() -> Result<PathBuf, Failure> {
    peers::install("viem-watcher", &["package.json", "package-lock.json", "watch.mjs"], "viem")
}
