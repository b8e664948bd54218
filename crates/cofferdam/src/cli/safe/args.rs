//! What `cofferdam safe` is told, and how it becomes a case to judge.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_act::{Signer, load_signer};
use cofferdam_core::plan::KeySource;
use cofferdam_signing::{Card, Case, Evidence, Policy, Proposal, clear::Registry};

use crate::{
    cli::CliError,
    runtime::now,
    safe::{Folder, FolderError, Node, NodeError, descriptor_files, evidence},
};

/// Largest policy, in bytes.
const POLICY_BYTES_MAX: u64 = 1 << 20;

/// What a proposal is judged by.
#[derive(Debug, Args)]
pub(super) struct Facts {
    /// Policy of the Safe: TOML, see docs/guides/safe.md.
    #[arg(long)]
    pub(super) policy: Option<PathBuf>,
    /// Node to read the Safe's state from, and to simulate on.
    #[arg(long)]
    pub(super) rpc: Option<String>,
    /// What was read earlier, for a machine without network.
    #[arg(long, conflicts_with = "rpc")]
    pub(super) evidence: Option<PathBuf>,
    /// Folder of ERC-7730 descriptors.
    #[arg(long)]
    pub(super) descriptors: Option<PathBuf>,
    /// Writes what was read to this file.
    #[arg(long, requires = "rpc")]
    pub(super) evidence_out: Option<PathBuf>,
}

/// Where a key is.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Environment variable that holds the key.
    #[arg(long, value_name = "NAME", conflicts_with = "keystore")]
    key_env: Option<String>,
    /// Keystore file (Web3 Secret Storage).
    #[arg(long, value_name = "FILE", requires = "password_env")]
    keystore: Option<PathBuf>,
    /// Environment variable that holds the keystore's password.
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
}

impl KeyArgs {
    /// Opens the key.
    pub(super) fn signer(&self) -> Result<std::sync::Arc<dyn Signer>, CliError> {
        let source = match (&self.key_env, &self.keystore, &self.password_env) {
            (Some(name), None, _) => KeySource::Env { name: name.clone() },
            (None, Some(path), Some(env)) => {
                KeySource::Keystore { path: path.display().to_string(), password_env: env.clone() }
            }
            _ => {
                let error = CliError::new("no key was named");
                return Err(
                    error.hint("--keystore FILE with --password-env NAME, or --key-env NAME")
                );
            }
        };
        let env = |name: &str| std::env::var(name).ok();
        load_signer(&source, Path::new("."), &env)
            .map_err(|it| CliError::caused("the key cannot be used", it))
    }
}

/// A proposal with what it is judged by.
pub(super) struct Loaded {
    pub(super) proposal: Proposal,
    pub(super) policy: Option<Policy>,
    pub(super) evidence: Option<Evidence>,
    registry: Option<Registry>,
}

impl Loaded {
    pub(super) fn card(&self) -> Card {
        Card::of(&Case {
            proposal: &self.proposal,
            policy: self.policy.as_ref(),
            evidence: self.evidence.as_ref(),
            registry: self.registry.as_ref(),
            now: now(),
        })
    }
}

impl Facts {
    /// Reads everything that belongs to `proposal`.
    pub(super) async fn load(&self, proposal: Proposal) -> Result<Loaded, CliError> {
        let policy = self.policy.as_deref().map(policy).transpose()?;
        let evidence = match (&self.rpc, &self.evidence) {
            (Some(url), _) => {
                let read = evidence(&node(url)?, &proposal, policy.as_ref(), true).await;
                Some(read.map_err(node_error)?)
            }
            (None, Some(path)) => Some(Folder::read(path).map_err(file_error)?),
            (None, None) => None,
        };
        if let (Some(path), Some(evidence)) = (&self.evidence_out, &evidence) {
            let text = serde_json::to_string_pretty(evidence)
                .map_err(|it| CliError::caused("the evidence cannot be written", it))?;
            std::fs::write(path, text + "\n")
                .map_err(|it| CliError::io(&format!("write {}", path.display()), it))?;
        }
        let registry = self.descriptors.as_deref().map(descriptors).transpose()?;
        let names = policy.as_ref().map(Policy::names).unwrap_or_default();
        let registry = registry.map(|it| it.with(names));
        Ok(Loaded { proposal, policy, evidence, registry })
    }

    /// The policy, without which nothing can be proposed or signed.
    pub(super) fn policy(&self) -> Result<Policy, CliError> {
        let missing = || {
            CliError::new("no policy was given").hint("name the Safe's policy with --policy FILE")
        };
        policy(self.policy.as_deref().ok_or_else(missing)?)
    }

    /// The node.
    pub(super) fn node(&self) -> Result<Node, CliError> {
        let missing = || CliError::new("this needs the chain").hint("name a node with --rpc URL");
        node(self.rpc.as_deref().ok_or_else(missing)?)
    }
}

fn descriptors(path: &Path) -> Result<Registry, CliError> {
    let (registry, errors) = Registry::load(&descriptor_files(path).map_err(file_error)?);
    // A descriptor that cannot be read may be the one that is needed.
    if let Some((file, error)) = errors.into_iter().next() {
        return Err(CliError::caused(format!("descriptor {file} cannot be read"), error)
            .hint("remove it from the folder, or add what it includes"));
    }
    Ok(registry)
}

fn policy(path: &Path) -> Result<Policy, CliError> {
    let io = |it| CliError::io(&format!("read {}", path.display()), it);
    if std::fs::metadata(path).map_err(io)?.len() > POLICY_BYTES_MAX {
        return Err(CliError::new(format!("{} is larger than 1 MiB", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let hint = "docs/guides/safe.md describes the policy";
    let policy: Policy = toml::from_str(&text).map_err(|it| {
        CliError::caused(format!("{} is no policy", path.display()), it).hint(hint)
    })?;
    policy.check().map_err(|it| {
        CliError::caused(format!("{} cannot be used", path.display()), it).hint(hint)
    })?;
    Ok(policy)
}

fn node(url: &str) -> Result<Node, CliError> {
    Node::connect(url).map_err(node_error)
}

pub(super) fn node_error(error: NodeError) -> CliError {
    let hint = match &error {
        NodeError::Url => "an endpoint begins with http:// or https://",
        NodeError::Unanswered { .. } => "check the endpoint, or ask another node",
        NodeError::Malformed { .. } => "check the Safe's address and the chain of the endpoint",
    };
    CliError::caused("the chain cannot be asked", error).hint(hint)
}

pub(super) fn file_error(error: FolderError) -> CliError {
    let hint = match &error {
        FolderError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            "it is there already, and files of signers are never overwritten"
        }
        _ => "`cofferdam safe propose` writes proposals, `cofferdam safe sign` signatures",
    };
    CliError::caused("a file cannot be used", error).hint(hint)
}

/// The proposal at `path`, and the folder it lies in.
pub(super) fn proposal(path: &Path) -> Result<(Proposal, Folder), CliError> {
    let proposal = Folder::proposal(path).map_err(file_error)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    Ok((proposal, Folder::at(folder.unwrap_or(Path::new(".")))))
}
