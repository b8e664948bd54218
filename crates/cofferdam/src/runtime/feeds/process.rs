//! Detectors in processes of their own, in any language.
//!
//! **Invariant:** a process gets no secret: its environment is emptied but for the path. It has a limit
//! of time for each observation and of memory; over it, it is killed and started anew.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cofferdam_core::{
    Observation,
    feed::{self, REPORTS_MAX},
    plan::FeedSource,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Meter, Mouth, Told,
    line::{self, Question, VERSION},
};
use crate::runtime::now;

/// Observations that wait for a process. Beyond it the newest are not shown, and people are told.
const WAITING_MAX: usize = 64;
/// Wait before a process that failed is started again; doubled up to the largest.
const RESTART_MIN: Duration = Duration::from_millis(250);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// How often one observation is shown to a process that fails over it.
const SHOWN_MAX: u32 = 2;
/// Bytes of a line of its standard error that are logged.
const LOGGED_MAX: u64 = 400;
/// Starts the rest of the arguments with an address space of so many KiB.
const LIMITED: &str = r#"ulimit -v "$1" && shift && exec "$@""#;

/// Shows observations to one process.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    queue: mpsc::Sender<Arc<Observation>>,
    missed: Arc<AtomicU64>,
}

impl Tap {
    pub(super) fn show(&self, observation: Arc<Observation>) {
        if self.queue.try_send(observation).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts the process of a feed in `folder`, in a task of `tasks`, and keeps it running.
pub(super) fn start(mouth: Mouth, folder: &Path, tasks: &mut JoinSet<()>) -> Tap {
    let (queue, shown) = mpsc::channel(WAITING_MAX);
    let missed = Arc::new(AtomicU64::new(0));
    let keeper = Keeper {
        mouth,
        folder: folder.to_path_buf(),
        missed: missed.clone(),
        meter: Meter::default(),
        running: None,
        amiss: Vec::new(),
    };
    tasks.spawn(keeper.keep(shown));
    Tap { queue, missed }
}

struct Keeper {
    mouth: Mouth,
    folder: PathBuf,
    missed: Arc<AtomicU64>,
    meter: Meter,
    running: Option<Running>,
    /// What people were told last.
    amiss: Vec<String>,
}

struct Running {
    /// Killed when dropped.
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    seq: u64,
}

impl Keeper {
    async fn keep(mut self, mut shown: mpsc::Receiver<Arc<Observation>>) {
        let mut wait = RESTART_MIN;
        while let Some(observation) = shown.recv().await {
            let mut amiss = Vec::new();
            for time in 1..=SHOWN_MAX {
                match self.ask(&observation).await {
                    Ok(()) => {
                        wait = RESTART_MIN;
                        break;
                    }
                    Err(because) => {
                        tracing::warn!(feed = %self.mouth.feed.id, %because, "detector failed");
                        self.running = None;
                        if time == SHOWN_MAX {
                            let block = observation.block;
                            amiss.push(format!(
                                "block {} was not looked at: {because}",
                                block.number
                            ));
                        }
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(RESTART_MAX);
                    }
                }
            }
            let missed = self.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                amiss.push(format!("it is too slow: {missed} observations were not shown to it"));
            }
            if !self.tell_state(amiss).await {
                return;
            }
        }
    }

    /// Tells people when it stops working, and when it works again.
    async fn tell_state(&mut self, amiss: Vec<String>) -> bool {
        if amiss.is_empty() && self.amiss.is_empty() {
            return true;
        }
        let told = Told::State { feed: self.mouth.feed.clone(), because: amiss.clone() };
        self.amiss = amiss;
        self.mouth.out.send(told).await.is_ok()
    }

    async fn ask(&mut self, observation: &Observation) -> Result<(), String> {
        let FeedSource::Process { answer_within, .. } = self.mouth.feed.from else {
            return Err("it is no process".to_owned());
        };
        let mut running = match self.running.take() {
            Some(it) => it,
            None => self.run()?,
        };
        running.seq += 1;
        let limit = Duration::from_millis(answer_within.0);
        let answered = tokio::time::timeout(limit, self.converse(&mut running, observation)).await;
        answered.map_err(|_| format!("no answer within {answer_within}"))??;
        self.running = Some(running);
        Ok(())
    }

    async fn converse(
        &self,
        running: &mut Running,
        observation: &Observation,
    ) -> Result<(), String> {
        let seq = running.seq;
        let question = Question { version: VERSION, seq, observation };
        let mut line = serde_json::to_vec(&question).map_err(|it| it.to_string())?;
        line.push(b'\n');
        // It may answer before it has read everything: both directions at once.
        let Running { to, from, .. } = running;
        let write = async {
            let written = to.write_all(&line).await;
            written.map_err(|it| format!("it does not read: {it}"))
        };
        tokio::try_join!(write, self.listen(from, seq)).map(drop)
    }

    async fn listen(&self, from: &mut BufReader<ChildStdout>, seq: u64) -> Result<(), String> {
        let mut count = 0;
        loop {
            let reply = line::read(from).await?;
            if reply.seq != seq {
                return Err(format!("it answered question {} instead of {seq}", reply.seq));
            }
            if let Some(finding) = reply.finding {
                count += 1;
                if count > REPORTS_MAX {
                    return Err(format!("it found more than {REPORTS_MAX} things at once"));
                }
                self.report(finding.get().as_bytes()).await?;
            }
            if reply.done {
                return Ok(());
            }
        }
    }

    async fn report(&self, finding: &[u8]) -> Result<(), String> {
        let Mouth { feed, plan, out } = &self.mouth;
        let reports = match feed::read(feed, plan, finding) {
            Ok(it) => it,
            // Not its business, but no harm either.
            Err(error @ feed::FeedError::Unwatched { .. }) => {
                tracing::debug!(feed = %feed.id, %error, "finding left out");
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        };
        for report in reports {
            if !self.meter.takes(now(), feed.per_minute_max) {
                return Err("it finds more than the plan takes in a minute".to_owned());
            }
            let told = Told::Report { feed: feed.clone(), report: Box::new(report) };
            if out.send(told).await.is_err() {
                return Err("the program ends".to_owned());
            }
        }
        Ok(())
    }

    fn run(&self) -> Result<Running, String> {
        let FeedSource::Process { command, memory_mib, .. } = &self.mouth.feed.from else {
            return Err("it is no process".to_owned());
        };
        let mut shell = Command::new("sh");
        let kib = u64::from(*memory_mib).saturating_mul(1_024);
        shell.args(["-c", LIMITED, "sh", &kib.to_string()]).args(command);
        shell.current_dir(&self.folder).env_clear();
        shell.envs(std::env::var_os("PATH").map(|it| ("PATH", it)));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.kill_on_drop(true).spawn().map_err(|it| format!("start: {it}"))?;
        let piped = || "it has no input or output".to_owned();
        let to = child.stdin.take().ok_or_else(piped)?;
        let from = BufReader::new(child.stdout.take().ok_or_else(piped)?);
        if let Some(stderr) = child.stderr.take() {
            let id = self.mouth.feed.id.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr);
                let mut line = Vec::new();
                while let Ok(1..) = (&mut lines).take(LOGGED_MAX).read_until(b'\n', &mut line).await
                {
                    let said = String::from_utf8_lossy(&line);
                    tracing::info!(feed = %id, said = ?said.trim_end(), "detector says");
                    line.clear();
                }
            });
        }
        Ok(Running { _child: child, to, from, seq: 0 })
    }
}
