//! Workers outside: the Fin protocol of SOARCA over HTTP, as `soarca-fin` 0.1 speaks it.
//!
//! A worker registers with a token it was given, is handed jobs while it polls, keeps them alive, and
//! hands in results. The older protocol of the same name over MQTT is another one.
//!
//! **Invariant:** what a worker is told apart by is the hash of its token; the token itself is not kept.
//! A worker is only handed commands of types that it registered for and that the plan allows.
//!
//! **Trap:** the client reads a step's `timeout` as seconds where the standard has milliseconds; it is
//! told seconds.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, hex};
use cofferdam_core::{Timestamp, secret::Secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    model::{Command, Party, Playbook},
    run::{Answer, Input, Job as RunJob, JobId, JobState, Run, Work},
    variable::Variable,
};

/// Most workers that are registered at once.
pub const FINS_MAX: usize = 256;
/// Most capabilities of one worker.
pub const CAPABILITIES_MAX: usize = 64;
/// How long a poll is held open when there is no job. Seconds.
pub const LONG_POLL_S: u32 = 20;
/// A worker that was not heard of for this long is forgotten. Milliseconds.
pub const SILENT_MS_MAX: u64 = 24 * 3_600_000;

/// `POST /fin/register`.
#[derive(Deserialize)]
pub struct Register {
    registration_token: String,
    /// What it calls itself.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Which protocol it speaks.
    #[serde(default)]
    pub protocol_version: Option<String>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

/// One thing that a worker can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// The command type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is.
    #[serde(default)]
    pub description: Option<String>,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
}

/// The answer to [`Register`], 201. It holds the worker's token and goes to the worker alone.
#[derive(Serialize)]
pub struct Registered {
    /// The worker's id.
    pub fin_id: String,
    fin_token: String,
    /// How long to wait after a failed poll.
    pub poll_interval_seconds: u32,
    /// How long a poll is held open.
    pub long_poll_timeout_seconds: u32,
    /// How long a job may go without a sign of life.
    pub job_lease_seconds: u64,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered").field("fin_id", &self.fin_id).finish_non_exhaustive()
    }
}

/// The answer to `POST /fin/poll`, 200. Without a job it is 204.
#[derive(Debug, Serialize)]
pub struct Polled {
    /// The job.
    pub job: FinJob,
}

/// A job as a worker is handed it.
#[derive(Debug, Serialize)]
pub struct FinJob {
    /// Its id as a UUID.
    pub job_id: String,
    /// The run as a UUID.
    pub execution_id: String,
    /// The playbook.
    pub playbook_id: String,
    /// The step.
    pub step_id: String,
    /// The visit of the step as a UUID.
    pub step_execution_id: String,
    /// The command type.
    pub capability_type: String,
    /// How long it may go without a sign of life. Seconds.
    pub lease_expires_in_seconds: u64,
    /// The step in words.
    pub step: FinStep,
    /// What to do.
    pub commands: Vec<Command>,
    /// About what.
    pub targets: Vec<FinTarget>,
    /// Variables that the step reads.
    pub variables: BTreeMap<String, Variable>,
}

/// A step in words.
#[derive(Debug, Default, Serialize)]
pub struct FinStep {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// How long it may take. Seconds.
    pub timeout: Option<u64>,
}

/// What a command is about. Credentials are never sent: a worker has its own.
#[derive(Debug, Serialize)]
pub struct FinTarget {
    /// The target.
    pub target: FinParty,
}

/// A target with its id.
#[derive(Debug, Serialize)]
pub struct FinParty {
    /// Its id.
    pub id: String,
    /// The rest.
    #[serde(flatten)]
    pub party: Party,
}

/// `PUT /fin/jobs/{id}`, answered by 204.
#[derive(Debug, Deserialize)]
pub struct FinResult {
    /// How it went.
    pub state: FinState,
    /// Variables that it sets.
    #[serde(default)]
    pub variables: BTreeMap<String, FinVariable>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

/// How a job went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinState {
    /// It worked.
    Success,
    /// It failed.
    Failure,
}

/// A variable in a result. Its type is not believed: the playbook has it.
#[derive(Debug, Deserialize)]
pub struct FinVariable {
    /// Its value.
    #[serde(default)]
    pub value: Option<String>,
}

/// The answer to `PATCH /fin/jobs/{id}/status`, 200.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Pinged {
    /// `continue`, or `cancel` if the job is not wanted any more.
    pub action: &'static str,
}

/// Why a worker's request is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinError {
    /// The token is wrong: 401.
    #[error("the token is not known")]
    Unauthorised,
    /// The request makes no sense: 400.
    #[error("{0}")]
    Bad(String),
    /// There is no such job, or it is not the worker's: 404.
    #[error("there is no such job for this worker")]
    NoJob,
}

/// A registered worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fin {
    /// What it calls itself.
    pub name: String,
    /// Command types that it takes.
    pub capabilities: BTreeSet<String>,
    /// When it was heard of last.
    pub seen: Timestamp,
    token: B256,
}

/// What becomes durable of a worker, so that it need not register again after our restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "worker", rename_all = "kebab-case")]
pub enum FinEvent {
    /// It registered.
    Registered {
        /// Its id.
        fin: String,
        /// What it calls itself.
        name: String,
        /// Command types that it takes.
        capabilities: BTreeSet<String>,
        /// Hash of its token.
        token: B256,
    },
    /// It went.
    Unregistered {
        /// Its id.
        fin: String,
    },
}

/// The workers that are registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fins {
    fins: BTreeMap<String, Fin>,
}

impl Fins {
    /// Judges a registration. It counts once the event is durable and applied. `entropy` is fresh and
    /// secret: a third of it becomes the id, the rest the token.
    ///
    /// # Errors
    ///
    /// The registration token is wrong, or the request is beyond a limit.
    pub fn register(
        &self,
        now: Timestamp,
        request: &Register,
        secret: &Secret,
        entropy: [u8; 48],
        lease_ms: u64,
    ) -> Result<(Registered, FinEvent), FinError> {
        let right = Sha256::digest(secret.expose());
        if secret.expose().is_empty() || Sha256::digest(&request.registration_token) != right {
            return Err(FinError::Unauthorised);
        }
        if request.capabilities.is_empty() || request.capabilities.len() > CAPABILITIES_MAX {
            let message = format!("1 to {CAPABILITIES_MAX} capabilities are taken");
            return Err(FinError::Bad(message));
        }
        let alive = self.fins.values().filter(|it| now.since_ms(it.seen) < SILENT_MS_MAX);
        if alive.count() >= FINS_MAX {
            return Err(FinError::Bad(format!("{FINS_MAX} workers are registered already")));
        }
        let (id, token) = entropy.split_at(16);
        let fin_id = uuid(id);
        let fin_token = hex::encode(token);
        let clip = crate::fields::clip;
        let event = FinEvent::Registered {
            fin: fin_id.clone(),
            name: request.display_name.as_deref().map_or_else(|| fin_id.clone(), clip),
            capabilities: request.capabilities.iter().map(|it| clip(&it.kind)).collect(),
            token: hash(&fin_token),
        };
        let registered = Registered {
            fin_id,
            fin_token,
            poll_interval_seconds: 1,
            long_poll_timeout_seconds: LONG_POLL_S,
            job_lease_seconds: lease_ms.div_ceil(1_000),
        };
        Ok((registered, event))
    }

    /// Applies what became durable at `at`; workers that were silent too long are forgotten.
    pub fn apply(&mut self, at: Timestamp, event: &FinEvent) {
        match event {
            FinEvent::Registered { fin, name, capabilities, token } => {
                self.fins.retain(|_, it| at.since_ms(it.seen) < SILENT_MS_MAX);
                let fresh = Fin {
                    name: name.clone(),
                    capabilities: capabilities.clone(),
                    seen: at,
                    token: *token,
                };
                self.fins.insert(fin.clone(), fresh);
            }
            FinEvent::Unregistered { fin } => {
                self.fins.remove(fin);
            }
        }
    }

    /// The worker whose `token` it is; it was heard of now.
    ///
    /// # Errors
    ///
    /// [`FinError::Unauthorised`].
    pub fn authenticate(&mut self, now: Timestamp, token: &str) -> Result<String, FinError> {
        // Hashes are compared, so that the time it takes says nothing about a token.
        let hashed = hash(token);
        let found = self.fins.iter_mut().find(|it| it.1.token == hashed);
        let (id, fin) = found.ok_or(FinError::Unauthorised)?;
        fin.seen = now;
        Ok(id.clone())
    }

    /// Judges whether worker `asking` may have `id` forgotten: only itself.
    ///
    /// # Errors
    ///
    /// [`FinError::Unauthorised`]: it is another one.
    pub fn unregister(&self, asking: &str, id: &str) -> Result<FinEvent, FinError> {
        if asking != id {
            return Err(FinError::Unauthorised);
        }
        Ok(FinEvent::Unregistered { fin: id.to_owned() })
    }

    /// The registered workers by id.
    pub fn all(&self) -> &BTreeMap<String, Fin> {
        &self.fins
    }

    /// The first job of `run` that worker `id` can do and nobody has. It is handed out once the run has
    /// taken [`Input::Take`].
    pub fn job_for(&self, id: &str, run: &Run) -> Option<JobId> {
        let fin = self.fins.get(id)?;
        run.jobs
            .iter()
            .filter(|it| matches!(it.1.state, JobState::Offered))
            .find(|(_, job)| match &job.work {
                Work::Command { command, .. } => fin.capabilities.contains(&command.kind),
                _ => false,
            })
            .map(|it| *it.0)
    }
}

/// A job as its worker is handed it.
pub fn job(run: &Run, playbook: &Playbook, id: JobId, lease_ms: u64) -> Option<FinJob> {
    let found = run.jobs.get(&id)?;
    let Work::Command { command, targets, .. } = &found.work else { return None };
    let step = playbook.workflow.get(&found.step)?;
    let target = |it: &String| {
        let party = playbook.targets.get(it)?.clone();
        Some(FinTarget { target: FinParty { id: it.clone(), party } })
    };
    let variables = step.in_args().iter().filter_map(|name| {
        let local = run.strands.get(&found.strand).and_then(|it| it.variables.get(name));
        Some((name.clone(), local.or_else(|| run.variables.get(name))?.clone()))
    });
    let visit = JobId::derive(&[found.step.as_bytes(), id.0.as_slice()]);
    Some(FinJob {
        job_id: uuid(&id.0[..16]),
        execution_id: uuid(&run.id.0[..16]),
        playbook_id: playbook.id.clone(),
        step_id: found.step.clone(),
        step_execution_id: uuid(&visit.0[..16]),
        capability_type: command.kind.clone(),
        lease_expires_in_seconds: lease_ms.div_ceil(1_000),
        step: FinStep {
            name: step.name.clone(),
            description: step.description.clone(),
            timeout: step.timeout_ms.map(|it| it.div_ceil(1_000)),
        },
        commands: vec![command.clone()],
        targets: targets.iter().filter_map(target).collect(),
        variables: variables.collect(),
    })
}

/// The job that a worker means by the UUID in its path, if the worker has it or had it.
///
/// # Errors
///
/// [`FinError::NoJob`].
pub fn find<'a>(run: &'a Run, job: &str) -> Result<(JobId, &'a RunJob), FinError> {
    let job = job.to_ascii_lowercase();
    let found = run.jobs.iter().find(|it| uuid(&it.0.0[..16]) == job);
    let (id, it) = found.ok_or(FinError::NoJob)?;
    match it.work {
        Work::Command { .. } => Ok((*id, it)),
        _ => Err(FinError::NoJob),
    }
}

/// A result as an input of the run.
pub fn answer(job: JobId, worker: &str, result: FinResult) -> Input {
    let failed = match result.state {
        FinState::Success => None,
        FinState::Failure => {
            Some(result.error.unwrap_or_else(|| "the worker gave no reason".into()))
        }
    };
    let variables =
        result.variables.into_iter().filter_map(|(name, it)| Some((name, it.value?))).collect();
    let answer = Answer { failed, variables, ..Answer::worked(worker, "fin") };
    Input::Answer { job, answer }
}

/// Sixteen bytes as a UUID of version 4.
pub fn uuid(bytes: &[u8]) -> String {
    let mut it = [0; 16];
    it.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    it[6] = it[6] & 0x0f | 0x40;
    it[8] = it[8] & 0x3f | 0x80;
    let hex = hex::encode(it);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn hash(token: &str) -> B256 {
    B256::from_slice(&Sha256::digest(token))
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{Timestamp, secret::Secret};

    use super::{FinError, Fins, Register, SILENT_MS_MAX, uuid};
    use crate::variable::is_uuid;

    fn request(token: &str) -> Register {
        let text = format!(
            r#"{{"registration_token": "{token}", "display_name": "w", "capabilities": [{{"type": "pong"}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn only_who_has_the_token_gets_in_and_only_out_by_itself() {
        let secret = Secret::new("right");
        let mut fins = Fins::default();
        let ask = |fins: &Fins, token: &str, secret: &Secret, byte: u8, at: u64| {
            fins.register(Timestamp(at), &request(token), secret, [byte; 48], 60_000)
        };
        let refused = |it: Result<(super::Registered, super::FinEvent), FinError>| it.err();
        assert_eq!(refused(ask(&fins, "wrong", &secret, 1, 1)), Some(FinError::Unauthorised));
        let empty = refused(ask(&fins, "", &Secret::new(""), 1, 1));
        assert_eq!(empty, Some(FinError::Unauthorised), "no token set is no door");
        let (it, event) = ask(&fins, "right", &secret, 1, 1).unwrap();
        assert_eq!(fins.authenticate(Timestamp(2), &it.fin_token), Err(FinError::Unauthorised));
        fins.apply(Timestamp(1), &event);
        let written = serde_json::to_string(&event).unwrap();
        assert!(is_uuid(&it.fin_id) && !format!("{it:?}{fins:?}{written}").contains(&it.fin_token));
        assert_eq!(fins.authenticate(Timestamp(2), &it.fin_token), Ok(it.fin_id.clone()));
        assert_eq!(fins.authenticate(Timestamp(2), "guess"), Err(FinError::Unauthorised));
        assert_eq!(fins.unregister("another", &it.fin_id), Err(FinError::Unauthorised));
        let (_, later) = ask(&fins, "right", &secret, 2, SILENT_MS_MAX + 2).unwrap();
        fins.apply(Timestamp(SILENT_MS_MAX + 2), &later);
        assert_eq!(fins.all().len(), 1, "the silent one is forgotten");
    }

    #[test]
    fn bytes_become_a_uuid_that_the_standard_takes() {
        assert_eq!(uuid(&[0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert!(is_uuid(&uuid(&[0; 16])));
    }
}
