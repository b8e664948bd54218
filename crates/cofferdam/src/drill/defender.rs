//! `cofferdam run` in a process of its own, as an operator would start, ask and end it.
//!
//! **Invariant:** nothing is shared with the process but its command line, its environment and its
//! health page.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use alloy_primitives::hex;
use cofferdam_drill::{Scenario, keys};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use super::stage::StageError;
use crate::runtime::health::Health;

/// How long the defence may take to start, to see a block, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to answer for its health.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// Wait between two looks at the defence's health.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Environment variables of the relayers' keys, as the drills' plans name them.
const RELAYER_KEYS: &str = "COFFERDAM_RELAYER_";

/// How the program is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Words before the program: a command that runs it under other conditions.
    pub under: Vec<OsString>,
    /// Environment variables.
    pub env: Vec<(String, OsString)>,
    /// The plan folder; the log is written there too.
    pub folder: PathBuf,
    /// The journal.
    pub journal: PathBuf,
}

impl Launch {
    /// `program` with the plan in `folder`, its journal beside it, and the relayers' keys of `scenario`.
    pub fn new(program: &Path, folder: &Path, scenario: &Scenario, seed: u64) -> Self {
        let mut env = Vec::new();
        for name in scenario.accounts.keys() {
            if let Some(number) = name.strip_prefix("relayer-") {
                let key = hex::encode(keys::private_key(&scenario.id, name, seed));
                env.push((format!("{RELAYER_KEYS}{number}"), key.into()));
            }
        }
        Self {
            program: program.to_path_buf(),
            under: Vec::new(),
            env,
            folder: folder.to_path_buf(),
            journal: folder.join("journal"),
        }
    }

    fn command(&self) -> Command {
        let mut words = self.under.iter().cloned().chain([self.program.clone().into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.args(["--json", "run", "--listen", "127.0.0.1:0", "--plan"]).arg(&self.folder);
        command.arg("--journal").arg(&self.journal).envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

/// The running program. Killed when dropped.
#[derive(Debug)]
pub struct Defender {
    child: Child,
    health_at: String,
}

impl Defender {
    /// Starts it and waits until it watches.
    ///
    /// # Errors
    /// If it ends before, with what it said.
    pub async fn start(launch: &Launch) -> Result<Self, StageError> {
        let wrong = |it: std::io::Error| StageError::Other(format!("start the defence: {it}"));
        let log = launch.folder.join("log.txt");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(wrong)?;
        let mut child = launch.command().spawn().map_err(wrong)?;
        let stderr = child.stderr.take();
        let stderr = stderr.ok_or_else(|| StageError::Other("the defence has no output".into()))?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                said.push(line.clone());
                if let Some((_, url)) = line.split_once("health at http://") {
                    return Some(url.trim_end_matches("/health").to_owned());
                }
            }
            None
        };
        let health_at = tokio::time::timeout(PATIENCE, listening).await.ok().flatten();
        let health_at = health_at
            .ok_or_else(|| StageError::Other(format!("the defence ended: {}", said.join(" "))))?;
        tokio::spawn(async move {
            use std::io::Write as _;
            let mut log = log;
            while let Ok(Some(line)) = lines.next_line().await {
                // The log is for people who look into a failed drill; without it the drill goes on.
                let _ = writeln!(log, "{line}");
            }
        });
        Ok(Self { child, health_at })
    }

    /// Starts it and kills it `after` so long, whatever it is doing then.
    ///
    /// # Errors
    /// If it cannot be started or killed.
    pub async fn cut_short(launch: &Launch, after: Duration) -> Result<(), StageError> {
        let wrong = |it: std::io::Error| StageError::Other(format!("start the defence: {it}"));
        let mut command = launch.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(wrong)?;
        tokio::time::sleep(after).await;
        child.kill().await.map_err(wrong)
    }

    /// Its health page.
    pub async fn health(&self) -> Result<Health, StageError> {
        let asked = async {
            let mut stream = TcpStream::connect(&self.health_at).await?;
            let request = format!(
                "GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.health_at
            );
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(HEALTH_LIMIT, asked).await;
        let answer = answer.map_err(|it| StageError::Other(format!("ask /health: {it}")))?;
        let answer = answer.map_err(|it| StageError::Other(format!("ask /health: {it}")))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |it| it.1);
        serde_json::from_str(body).map_err(|it| StageError::Other(format!("read /health: {it}")))
    }

    /// Posts `body` to `path` of the address it listens on; the status of the answer.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<u16, StageError> {
        let wrong = |it: String| StageError::Other(format!("post to the defence: {it}"));
        let headers: String = headers.iter().map(|it| format!("{}: {}\r\n", it.0, it.1)).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.health_at,
            body.len()
        );
        let asked = async {
            let mut stream = TcpStream::connect(&self.health_at).await?;
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(HEALTH_LIMIT, asked).await;
        let answer =
            answer.map_err(|it| wrong(it.to_string()))?.map_err(|it| wrong(it.to_string()))?;
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
        status.ok_or_else(|| wrong(format!("it answered {answer:?}")))
    }

    /// Waits until its health is as `wanted` says; `false` if it is not within `limit`.
    pub async fn until(&self, limit: Duration, mut wanted: impl FnMut(&Health) -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            if self.health().await.is_ok_and(|it| wanted(&it)) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until it has evaluated the block at `height`.
    ///
    /// # Errors
    /// If it has not within a minute.
    pub async fn saw(&self, height: u64) -> Result<(), StageError> {
        if self.until(PATIENCE, |it| it.heads.values().any(|head| *head >= height)).await {
            return Ok(());
        }
        Err(StageError::Other(format!("the defence does not see block {height}")))
    }

    /// Its process id, unless it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends it a signal by name, e.g. `STOP`.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn signal(&self, name: &str) -> Result<(), StageError> {
        let wrong = |it: String| StageError::Other(format!("signal the defence: {it}"));
        let id = self.id().ok_or_else(|| wrong("it ended by itself".into()))?;
        let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status().await;
        sent.map_err(|it| wrong(it.to_string())).map(drop)
    }

    /// Ends it as the power going out would: `SIGKILL`, without warning.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(mut self) -> Result<(), StageError> {
        let killed = self.child.kill().await;
        killed.map_err(|it| StageError::Other(format!("kill the defence: {it}")))
    }

    /// Ends it as an operator would and takes its summary.
    ///
    /// # Errors
    /// If it had ended by itself, or tells no summary.
    pub async fn stop(mut self) -> Result<Health, StageError> {
        let wrong = |it: String| StageError::Other(format!("stop the defence: {it}"));
        self.signal("TERM").await?;
        let mut text = String::new();
        if let Some(mut out) = self.child.stdout.take() {
            let read = tokio::time::timeout(PATIENCE, out.read_to_string(&mut text)).await;
            let read = read.map_err(|it| wrong(it.to_string()))?;
            read.map_err(|it| wrong(it.to_string()))?;
        }
        serde_json::from_str(&text).map_err(|it| wrong(it.to_string()))
    }
}
