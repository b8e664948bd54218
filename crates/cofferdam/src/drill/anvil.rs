//! anvil as a drill world: a real node behind JSON-RPC, observed through the same source as at night.
//!
//! **Invariant:** blocks are made on command only, so a drill on anvil is as repeatable as one on the
//! in-process chain.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::rpc::client::RpcClient;
use alloy_primitives::{Address, Bytes, U256};
use cofferdam_act::RpcBroadcaster;
use cofferdam_core::{
    BlockEnv, ChainId, Observation, Timestamp, Tx,
    ports::{BlockSource, Boxed, Broadcaster, SourceEvent, StateReader},
};
use cofferdam_observe::rpc::{
    EndpointPool, RpcOptions, RpcReader, RpcSource, RpcStates, Start, TracePolicy,
};
use cofferdam_sim::{decode_raw, next_block};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::world::{BLOCK_SECONDS, Head, World, WorldError};
use crate::runtime::retrace;

/// The chain id of drill nodes.
const CHAIN: ChainId = ChainId(31_337);
/// How long anvil may take to listen, and to show a block that it made.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time limit of one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// A running anvil process that makes blocks on command. Ended when dropped.
#[derive(Debug)]
pub struct AnvilProcess {
    authority: String,
    control: RpcClient,
    /// Date of the last block.
    time: Mutex<Timestamp>,
    _child: Child,
}

impl AnvilProcess {
    /// Starts anvil without automatic blocks, its first block dated `genesis`.
    ///
    /// # Errors
    /// If anvil is not installed below `packages` (or named by `COFFERDAM_ANVIL`) or does not start.
    pub async fn start(packages: &Path, genesis: Timestamp) -> Result<Self, WorldError> {
        Self::start_with(packages, genesis, &[]).await
    }

    /// As [`Self::start`], with more arguments.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub async fn start_with(
        packages: &Path,
        genesis: Timestamp,
        more: &[&str],
    ) -> Result<Self, WorldError> {
        // HTTP clients want one, also where no `main` has run.
        cofferdam_observe::install_tls_provider();
        let starting = |it: std::io::Error| WorldError::new("start anvil", it);
        let mut child = Command::new(binary(packages)?)
            .args(["--port", "0", "--hardfork", "prague", "--no-mining", "--order", "fees"])
            .args(["--chain-id", &CHAIN.0.to_string()])
            .args(["--timestamp", &(genesis.0 / 1_000).to_string()])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(starting)?;
        let stdout = child.stdout.take();
        let stdout = stdout.ok_or_else(|| WorldError::new("start anvil", "it has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, authority)) = line.split_once("Listening on ") {
                    return Ok(authority.trim().to_owned());
                }
            }
            Err(std::io::Error::other("anvil ended before it listened"))
        };
        let authority = tokio::time::timeout(PATIENCE, listening).await;
        let authority = authority.map_err(|it| WorldError::new("start anvil", it))?;
        let authority = authority.map_err(starting)?;
        // Reading on, so that anvil never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let url = format!("http://{authority}").parse();
        let url = url.map_err(|it| WorldError::new("connect to anvil", it))?;
        cofferdam_observe::install_tls_provider();
        let control = RpcClient::new_http(url);
        Ok(Self { authority, control, time: Mutex::new(genesis), _child: child })
    }

    /// Makes a block dated `time`, or a second after the last one if that is later. Returns its
    /// height.
    ///
    /// # Errors
    /// If anvil refuses.
    pub async fn mine(&self, time: Timestamp) -> Result<u64, WorldError> {
        let seconds = {
            let mut last = self.time.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Timestamp(time.0.max(last.0.saturating_add(1_000)));
            last.0 / 1_000
        };
        self.ask("evm_setNextBlockTimestamp", json!([seconds])).await?;
        self.ask("evm_mine", json!([])).await?;
        let height = self.ask("eth_blockNumber", json!([])).await?;
        let height = height.as_str().and_then(|it| u64::from_str_radix(it.get(2..)?, 16).ok());
        height.ok_or_else(|| WorldError::new("mine", "anvil tells no height"))
    }

    fn last(&self) -> Timestamp {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks anvil directly.
    ///
    /// # Errors
    /// If it refuses or does not answer.
    pub async fn ask(&self, method: &'static str, params: Value) -> Result<Value, WorldError> {
        let answer = self.control.request::<_, Value>(method, params).await;
        answer.map_err(|it| WorldError::new(method, it))
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The WebSocket endpoint.
    pub fn ws(&self) -> String {
        format!("ws://{}", self.authority)
    }

    /// The HTTP endpoint.
    pub fn http(&self) -> String {
        format!("http://{}", self.authority)
    }
}

fn binary(packages: &Path) -> Result<PathBuf, WorldError> {
    if let Some(path) = std::env::var_os("COFFERDAM_ANVIL") {
        return Ok(PathBuf::from(path));
    }
    let path = packages.join("@foundry-rs/anvil-linux-amd64/bin/anvil");
    let missing = || WorldError::new(format!("{} is not there", path.display()), "no anvil");
    if path.is_file() { Ok(path) } else { Err(missing()) }
}

/// A drill on anvil.
#[derive(Debug)]
pub struct AnvilWorld {
    process: Arc<AnvilProcess>,
    network: Arc<RpcBroadcaster>,
    reader: Arc<RpcReader>,
    states: RpcStates,
    source: RpcSource,
    head: Option<Observation>,
}

impl AnvilWorld {
    /// Connects to a fresh anvil and makes its first block.
    ///
    /// # Errors
    /// If anvil cannot be asked.
    pub async fn connect(process: Arc<AnvilProcess>) -> Result<Self, WorldError> {
        let pool = EndpointPool::new(CHAIN, [process.ws().as_str()]);
        let pool = pool.map_err(|it| WorldError::new("connect to anvil", it))?;
        let network = RpcBroadcaster::connect(&process.http(), CHAIN, &|_| None).await;
        let network = network.map_err(|it| WorldError::new("connect to anvil", it))?;
        let states = RpcStates::start(&pool, REQUEST_LIMIT);
        let mut options = RpcOptions::new(Duration::from_secs(BLOCK_SECONDS));
        options.traces = TracePolicy::Reexecute;
        options.stall_after = None;
        let mut world = Self {
            network: Arc::new(network),
            reader: Arc::new(RpcReader::new(pool.clone(), REQUEST_LIMIT)),
            states: states.map_err(|it| WorldError::new("connect to anvil", it))?,
            source: RpcSource::start(pool, options, Some(Start::At(1))),
            head: None,
            process,
        };
        world.mine_next().await?;
        Ok(world)
    }

    async fn mine_next(&mut self) -> Result<Observation, WorldError> {
        let time = self.process.last().plus_ms(BLOCK_SECONDS * 1_000);
        let height = self.process.mine(time).await?;
        let seen = loop {
            let event = tokio::time::timeout(PATIENCE, self.source.next()).await;
            let event = event.map_err(|it| WorldError::new("see the block", it))?;
            match event.map_err(|it| WorldError::new("see the block", it))? {
                SourceEvent::Block(it) if it.block.number >= height => break it,
                // Somebody else made it.
                SourceEvent::Block(_) => {}
                other => return Err(WorldError::new("see the block", format!("{other:?}"))),
            }
        };
        let traced = retrace(seen, &self.states).await;
        let traced = traced.map_err(|it| WorldError::new("execute the block", it))?;
        self.head = Some(traced.clone());
        Ok(traced)
    }

    fn now(&self) -> Result<Head, WorldError> {
        let seen = self.head.as_ref();
        let seen = seen.ok_or_else(|| WorldError::new("tell the head", "there is no block yet"))?;
        let (_, next): (_, BlockEnv) = next_block(&seen.block, &seen.env, BLOCK_SECONDS);
        Ok(Head { block: seen.block, next, state: Arc::new(self.states.at(seen.block)) })
    }
}

impl World for AnvilWorld {
    fn name(&self) -> &'static str {
        "anvil"
    }

    fn chain(&self) -> ChainId {
        CHAIN
    }

    fn broadcaster(&self) -> Arc<dyn Broadcaster> {
        self.network.clone()
    }

    fn reader(&self) -> Arc<dyn StateReader> {
        self.reader.clone()
    }

    fn fund(&mut self, account: Address, wei: U256) -> Boxed<'_, Result<(), WorldError>> {
        Box::pin(async move {
            self.process.ask("anvil_setBalance", json!([account, wei])).await?;
            Ok(())
        })
    }

    fn mine(&mut self) -> Boxed<'_, Result<Observation, WorldError>> {
        Box::pin(self.mine_next())
    }

    fn head(&mut self) -> Boxed<'_, Result<Head, WorldError>> {
        Box::pin(std::future::ready(self.now()))
    }

    fn decode(&self, raw: &Bytes) -> Result<Tx, WorldError> {
        decode_raw(raw, CHAIN).map_err(|it| WorldError::new("decode a transaction", it))
    }
}
