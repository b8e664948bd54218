//! The folder in which signers exchange files: a proposal and, beside it, one file for each signature.
//!
//! **Invariant:** a file is never overwritten, and what cannot be read is told with its name, never passed over.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use cofferdam_signing::{
    Proposal,
    proposal::{PROPOSAL_FORMAT, SignatureFile},
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most files of a folder.
const FILES_MAX: usize = 5_000;

/// Most descriptor files.
const DESCRIPTORS_MAX: usize = 20_000;

/// A folder of proposals.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It is too large.
    #[error("{} is larger than 4 MiB", .0.display())]
    Large(PathBuf),
    /// It is none of ours.
    #[error("{} is not what its name says", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// Its format is another one.
    #[error("{} has format `{format}`, this program reads {PROPOSAL_FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says.
        format: String,
    },
    /// More files than anybody signs.
    #[error("{} holds more than {FILES_MAX} files", .0.display())]
    Many(PathBuf),
}

/// The text of every JSON file below a folder, by its path from there.
///
/// # Errors
/// [`FolderError`].
pub fn descriptor_files(root: &Path) -> Result<BTreeMap<String, String>, FolderError> {
    let mut out = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        let io = |source| FolderError::Io { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            // A link could lead round in circles, or out of the folder.
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|it| it == "json") {
                if fs::metadata(&path).map_err(io)?.len() > FILE_BYTES_MAX {
                    return Err(FolderError::Large(path));
                }
                let text = fs::read_to_string(&path).map_err(io)?;
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                out.insert(name.replace('\\', "/"), text);
            }
            if out.len() > DESCRIPTORS_MAX {
                return Err(FolderError::Many(root.to_owned()));
            }
        }
    }
    Ok(out)
}

impl Folder {
    /// The folder at `path`; need not exist.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(FolderError::Large(path.to_owned()));
        }
        let text = fs::read(path).map_err(io)?;
        serde_json::from_slice(&text)
            .map_err(|source| FolderError::Malformed { path: path.to_owned(), source })
    }

    /// Reads a proposal.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn proposal(path: &Path) -> Result<Proposal, FolderError> {
        let it: Proposal = Self::read(path)?;
        if it.format != PROPOSAL_FORMAT {
            let format = it.format.chars().take(80).collect();
            return Err(FolderError::Format { path: path.to_owned(), format });
        }
        Ok(it)
    }

    /// Every proposal, by name.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn proposals(&self) -> Result<Vec<(PathBuf, Proposal)>, FolderError> {
        let paths = self.files(".proposal.json")?;
        paths.into_iter().map(|it| Self::proposal(&it).map(|read| (it, read))).collect()
    }

    /// Every signature of a proposal that lies beside it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn signatures(&self, proposal: &Proposal) -> Result<Vec<SignatureFile>, FolderError> {
        let stem = format!("{}.", proposal.stem());
        let paths = self.files(".sig.json")?.into_iter();
        let ours = paths.filter(|it| {
            let name = it.file_name().and_then(|it| it.to_str());
            name.is_some_and(|it| it.starts_with(&stem))
        });
        ours.map(|it| Self::read(&it)).collect()
    }

    fn files(&self, ending: &str) -> Result<Vec<PathBuf>, FolderError> {
        let io = |source| FolderError::Io { path: self.0.clone(), source };
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            if name.ends_with(ending) {
                out.push(path);
            }
            if out.len() > FILES_MAX {
                return Err(FolderError::Many(self.0.clone()));
            }
        }
        out.sort();
        Ok(out)
    }

    /// Writes a proposal and returns its path.
    ///
    /// # Errors
    /// [`FolderError::Io`], also if it is there already.
    pub fn propose(&self, proposal: &Proposal) -> Result<PathBuf, FolderError> {
        self.write(&format!("{}.proposal.json", proposal.stem()), proposal)
    }

    /// Writes a signature and returns its path.
    ///
    /// # Errors
    /// [`FolderError::Io`], also if it is there already.
    pub fn sign(&self, proposal: &Proposal, file: &SignatureFile) -> Result<PathBuf, FolderError> {
        let within = file.within.map(|it| format!("{}.", it.safe)).unwrap_or_default();
        let name = format!("{}.{within}{}.sig.json", proposal.stem(), file.signature.owner);
        self.write(&name, file)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<PathBuf, FolderError> {
        let path = self.0.join(name);
        let io = |source| FolderError::Io { path: path.clone(), source };
        fs::create_dir_all(&self.0).map_err(io)?;
        let text = serde_json::to_string_pretty(value)
            .map_err(|source| FolderError::Malformed { path: path.clone(), source })?;
        let mut file = fs::File::create_new(&path).map_err(io)?;
        file.write_all((text + "\n").as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        Ok(path)
    }
}
