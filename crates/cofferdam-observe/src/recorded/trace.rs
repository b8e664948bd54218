//! Call-frame traces of attacks.

use std::path::Path;

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, address};
use cofferdam_core::{
    ChainId, Timestamp,
    trace::{AttackTrace, link_frames},
    tx::{CallKind, Frame},
};
use serde::Deserialize;

use super::{RecordedError, file, number::quantity, rename::Rename};

/// Frames of one recorded trace that we take.
const FRAMES_MAX: usize = 200_000;

/// Addresses of the test harness that made the recordings; what goes to or from them never happened.
const HARNESS: [Address; 5] = [
    address!("0x7fa9385be102ac3eac297483dd6233d62b3e1496"),
    address!("0x7109709ecfa91a80626ff3989d68f67f5b1dd12d"),
    address!("0x1804c8ab1f12e6bbf3894d4083f33e07309d1f38"),
    address!("0x5615deb798bb3e4dfa0139dfa1b3d433cc23b72f"),
    address!("0x000000000000000000636f6e736f6c652e6c6f67"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attackers {
    attacker_eoa: Address,
    attacker_contracts: Vec<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    case: String,
    #[serde(deserialize_with = "quantity")]
    chain_id: u64,
    #[serde(deserialize_with = "quantity")]
    fork_block: u64,
    #[serde(deserialize_with = "quantity")]
    evm_block_number: u64,
    #[serde(deserialize_with = "quantity")]
    timestamp: u64,
    spec: String,
    #[serde(deserialize_with = "quantity")]
    missing_reads: u64,
    #[serde(flatten)]
    attackers: Attackers,
    frames: Vec<FileFrame>,
    logs: Vec<FileLog>,
}

#[derive(Deserialize)]
struct FileFrame {
    depth: u16,
    #[serde(rename = "type")]
    kind: Kind,
    from: Address,
    #[serde(default)]
    to: Option<Address>,
    value: U256,
    ok: bool,
    #[serde(default)]
    input: Option<Bytes>,
    #[serde(default)]
    output: Option<Bytes>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Call,
    StaticCall,
    DelegateCall,
    CallCode,
    #[serde(alias = "CREATE2")]
    Create,
    SelfDestruct,
}

/// A log as recordings write it.
#[derive(Deserialize)]
pub(super) struct FileLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// Loads the trace at `path`. The attacker's addresses and entry selector are replaced by fresh ones
/// drawn from `seed`, wherever they occur.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_trace(path: &Path, seed: u64) -> Result<AttackTrace, RecordedError> {
    let text = file::text(path)?;
    let attackers: Attackers = file::parse(path, &text)?;
    let known = attackers.attacker_contracts.iter().copied();
    let rename = Rename::of(known.chain([attackers.attacker_eoa]), seed);
    let it: File = file::parse(path, &rename.text(&text))?;
    if it.frames.len() > FRAMES_MAX {
        return Err(RecordedError::malformed(path, format!("{} frames", it.frames.len())));
    }
    let mut frames = frames(it.frames);
    link_frames(&mut frames).map_err(|at| {
        RecordedError::malformed(path, format!("frame {at} has a depth without a parent"))
    })?;
    if let Some(root) = frames.first_mut()
        && let Some((selector, rest)) = root.input.split_first_chunk()
    {
        root.input = [&rename.selector(*selector), rest].concat().into();
    }
    let logs = it.logs.into_iter().map(|it| it.log(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(AttackTrace {
        case: it.case,
        chain: ChainId(it.chain_id),
        fork_block: it.fork_block,
        evm_block: it.evm_block_number,
        time: Timestamp::from_secs(it.timestamp),
        rules: it.spec,
        missing_reads: it.missing_reads,
        eoa: it.attackers.attacker_eoa,
        contracts: it.attackers.attacker_contracts,
        frames,
        logs: logs.into_iter().filter(|it| !HARNESS.contains(&it.address)).collect(),
    })
}

/// Leaves out calls of the test harness with everything below them.
fn frames(recorded: Vec<FileFrame>) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(recorded.len());
    let mut dropping: Option<u16> = None;
    for it in recorded {
        if dropping.is_some_and(|depth| it.depth > depth) {
            continue;
        }
        let to = it.to.unwrap_or_default();
        let harness = it.depth > 0 && (HARNESS.contains(&it.from) || HARNESS.contains(&to));
        dropping = harness.then_some(it.depth);
        if harness {
            continue;
        }
        frames.push(Frame {
            parent: None,
            depth: it.depth,
            kind: it.kind.into(),
            from: it.from,
            to,
            value: it.value,
            input: it.input.unwrap_or_default(),
            output: it.output.unwrap_or_default(),
            succeeded: it.ok,
            undone: false,
        });
    }
    frames
}

impl From<Kind> for CallKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Call => Self::Call,
            Kind::StaticCall => Self::StaticCall,
            Kind::DelegateCall => Self::DelegateCall,
            Kind::CallCode => Self::CallCode,
            Kind::Create => Self::Create,
            Kind::SelfDestruct => Self::SelfDestruct,
        }
    }
}

impl FileLog {
    pub(super) fn log(self, path: &Path) -> Result<Log, RecordedError> {
        let data = LogData::new(self.topics, self.data);
        let data = data.ok_or_else(|| RecordedError::malformed(path, "a log has five topics"))?;
        Ok(Log { address: self.address, data })
    }
}
