//! An anvil process for a test, if anvil is installed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use alloy::{
    network::EthereumWallet,
    providers::{DynProvider, Provider as _, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The first of anvil's well-known development keys.
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running anvil. Killed when dropped.
pub(crate) struct Anvil {
    pub(crate) port: u16,
    pub(crate) ipc: PathBuf,
    /// Sends transactions from the first development account.
    pub(crate) wallet: DynProvider,
    _child: Child,
    _dir: tempfile::TempDir,
}

impl Anvil {
    /// Starts anvil with `more` arguments on a free port. `None`, with a notice, if there is none.
    pub(crate) async fn start(more: &[&str]) -> Option<Self> {
        let binary = binary()?;
        cofferdam_observe::install_tls_provider();
        let dir = tempfile::tempdir().unwrap();
        let ipc = dir.path().join("anvil.ipc");
        let mut child = Command::new(binary)
            .args(["--port", "0", "--hardfork", "prague", "--ipc"])
            .arg(&ipc)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = timeout(START_LIMIT, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("anvil ended early");
                if let Some((_, port)) = line.split_once("Listening on 127.0.0.1:") {
                    return port.trim().parse::<u16>().unwrap();
                }
            }
        })
        .await
        .expect("anvil starts in time");
        // Keep reading, so that anvil never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let signer: PrivateKeySigner = KEY.parse().unwrap();
        let wallet = ProviderBuilder::new()
            .disable_recommended_fillers()
            .with_gas_estimation()
            .with_simple_nonce_management()
            .fetch_chain_id()
            .wallet(EthereumWallet::from(signer))
            .connect_http(format!("http://127.0.0.1:{port}").parse().unwrap())
            .erased();
        Some(Self { port, ipc, wallet, _child: child, _dir: dir })
    }

    pub(crate) fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn ws(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    pub(crate) fn ipc(&self) -> String {
        format!("ipc:{}", self.ipc.display())
    }
}

/// Where anvil is: `COFFERDAM_ANVIL`, or as npm installs it below `contracts/`.
fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("COFFERDAM_ANVIL") {
        return Some(PathBuf::from(path));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    if path.exists() {
        return Some(path);
    }
    let _ = writeln!(
        std::io::stderr(),
        "skipped: no anvil at contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil \
         and COFFERDAM_ANVIL is not set"
    );
    None
}
