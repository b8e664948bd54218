//! Bundle files: JSON, versioned, unknown fields refused.
//!
//! **Invariant:** a folder loads as a whole or not at all; nothing in it is skipped.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use cofferdam_core::{ChainId, order::OrderCall};
use serde::{Deserialize, Serialize};

use super::{Authorisation, Invalid};

/// Version of the file format that this release writes and reads.
pub const BUNDLE_VERSION: u32 = 1;
/// Largest bundle file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most bundle files in a folder.
const FILES_MAX: usize = 64;
/// Most authorisations in one folder; each signature costs an elliptic-curve recovery to check.
const AUTHORISATIONS_MAX: usize = 1_024;
/// Most entries looked at in a folder.
const ENTRIES_MAX: usize = 4_096;

/// A bundle file: authorisations for contracts of one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bundle {
    /// Format version.
    pub version: u32,
    /// The chain whose contracts take them; part of what is signed.
    pub chain: ChainId,
    /// The authorisations.
    pub authorisations: Vec<Authorisation>,
}

/// Every authorisation at hand, checked offline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorisations(Vec<(ChainId, Authorisation)>);

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file or folder cannot be read or written.
    #[error("authorisations in {} cannot be read or written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A limit is exceeded.
    #[error("authorisations in {} exceed a limit: {what}", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// Which limit.
        what: String,
    },
    /// The file is no bundle. Its text is not repeated, because signatures are bearer instruments.
    #[error("bundle {}:{line}:{column}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// The file has another version.
    #[error("bundle {} has version {version}; this release reads {BUNDLE_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// An authorisation in it is not sound.
    #[error("authorisation {index} of bundle {} is not sound", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: Invalid,
    },
}

impl Bundle {
    /// A bundle of this release's version.
    pub fn new(chain: ChainId, authorisations: Vec<Authorisation>) -> Self {
        Self { version: BUNDLE_VERSION, chain, authorisations }
    }

    /// Reads and checks one bundle file.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let io = |source| BundleError::Io { path: path.to_owned(), source };
        let mut text = Vec::new();
        let file = fs::File::open(path).map_err(io)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(io)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let what = format!("a file is larger than {FILE_BYTES_MAX} bytes");
            return Err(BundleError::TooLarge { path: path.to_owned(), what });
        }
        let bundle: Self = serde_json::from_slice(&text).map_err(|it| malformed(path, &it))?;
        bundle.check(path)?;
        Ok(bundle)
    }

    /// Writes it to a new file that only its owner can read. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn write(&self, path: &Path) -> Result<(), BundleError> {
        self.check(path)?;
        let io = |source| BundleError::Io { path: path.to_owned(), source };
        let text = serde_json::to_vec_pretty(self).map_err(|it| io(it.into()))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(io)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(io)
    }

    fn check(&self, path: &Path) -> Result<(), BundleError> {
        if self.version != BUNDLE_VERSION {
            return Err(BundleError::Version { path: path.to_owned(), version: self.version });
        }
        if self.authorisations.len() > AUTHORISATIONS_MAX {
            let what = format!("more than {AUTHORISATIONS_MAX} authorisations");
            return Err(BundleError::TooLarge { path: path.to_owned(), what });
        }
        for (index, it) in self.authorisations.iter().enumerate() {
            it.verify(self.chain).map_err(|source| invalid(path, index, source))?;
        }
        Ok(())
    }
}

impl Authorisations {
    /// Loads every `*.json` of `folder`, in the order of their names.
    ///
    /// # Errors
    /// [`BundleError`]: one bad file refuses the folder.
    pub fn load(folder: &Path) -> Result<Self, BundleError> {
        let mut all = Self::default();
        for path in bundle_files(folder)? {
            let bundle = Bundle::read(&path)?;
            all.add(&path, bundle)?;
        }
        Ok(all)
    }

    /// Checks and takes bundles that never were in files.
    ///
    /// # Errors
    /// [`BundleError::Invalid`], [`BundleError::Version`] or [`BundleError::TooLarge`].
    pub fn from_bundles(bundles: Vec<Bundle>) -> Result<Self, BundleError> {
        let mut all = Self::default();
        for (index, bundle) in bundles.into_iter().enumerate() {
            let name = PathBuf::from(format!("#{}", index + 1));
            bundle.check(&name)?;
            all.add(&name, bundle)?;
        }
        Ok(all)
    }

    /// Joins the authorisations of two folders (of two actions, say).
    ///
    /// # Errors
    /// [`BundleError::Invalid`] if both hold the same or share a nonce in conflict, except that the
    /// very same authorisation may be in both: two actions may name one folder.
    pub fn join(&mut self, other: Self) -> Result<(), BundleError> {
        let here = Path::new("joined");
        for (chain, it) in other.0 {
            if !self.0.iter().any(|(c, known)| *c == chain && *known == it) {
                self.add(here, Bundle::new(chain, vec![it]))?;
            }
        }
        Ok(())
    }

    /// Those that allow `call` on `chain`, whatever the time; soonest expiry first.
    pub fn covering<'a>(&'a self, chain: ChainId, call: &OrderCall) -> Vec<&'a Authorisation> {
        let matching = self.0.iter().filter(|(c, it)| *c == chain && it.covers(call));
        let mut found: Vec<_> = matching.map(|(_, it)| it).collect();
        found.sort_by_key(|it| (it.deadline, it.nonce));
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    // The bundle was checked by itself; this checks it against the others.
    fn add(&mut self, path: &Path, bundle: Bundle) -> Result<(), BundleError> {
        if self.0.len() + bundle.authorisations.len() > AUTHORISATIONS_MAX {
            let what = format!("more than {AUTHORISATIONS_MAX} authorisations");
            return Err(BundleError::TooLarge { path: path.to_owned(), what });
        }
        let chain = bundle.chain;
        let mut digests: BTreeSet<_> = self.0.iter().map(|(c, it)| it.digest(*c)).collect();
        let mut nonces: BTreeSet<_> = self.0.iter().flat_map(|(c, it)| burns(*c, it)).collect();
        for (index, it) in bundle.authorisations.into_iter().enumerate() {
            if !digests.insert(it.digest(chain)) {
                return Err(invalid(path, index, Invalid::Duplicate));
            }
            for burn in burns(chain, &it) {
                let signer = burn.signer;
                if !nonces.insert(burn) {
                    return Err(invalid(path, index, Invalid::NonceShared { signer }));
                }
            }
            self.0.push((chain, it));
        }
        Ok(())
    }
}

/// A nonce that is burnt by use.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Burn {
    chain: ChainId,
    contract: alloy::primitives::Address,
    safe: Option<alloy::primitives::Address>,
    signer: alloy::primitives::Address,
    nonce: alloy::primitives::U256,
}

fn burns(chain: ChainId, it: &Authorisation) -> impl Iterator<Item = Burn> {
    let safe = match it.scope {
        super::Scope::Guardian { .. } => None,
        super::Scope::SafeModule { safe, .. } => Some(safe),
    };
    let (contract, nonce) = (it.contract(), it.nonce);
    let burn = move |signer| Burn { chain, contract, safe, signer, nonce };
    it.signatures.iter().map(|it| it.signer).map(burn)
}

fn invalid(path: &Path, index: usize, source: Invalid) -> BundleError {
    BundleError::Invalid { path: path.to_owned(), index: index + 1, source }
}

fn bundle_files(folder: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let io = |source| BundleError::Io { path: folder.to_owned(), source };
    let too_large = |what| BundleError::TooLarge { path: folder.to_owned(), what };
    let mut files = Vec::new();
    for (index, entry) in fs::read_dir(folder).map_err(io)?.enumerate() {
        if index >= ENTRIES_MAX {
            return Err(too_large(format!("more than {ENTRIES_MAX} files")));
        }
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|it| it == "json") {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        return Err(too_large(format!("more than {FILES_MAX} bundles")));
    }
    files.sort();
    Ok(files)
}

/// Keeps of serde's message only what cannot hold a value of the file.
fn malformed(path: &Path, error: &serde_json::Error) -> BundleError {
    let text = error.to_string();
    let about_a_field = ["unknown field", "missing field", "duplicate field"]
        .into_iter()
        .find(|it| text.starts_with(it))
        .and_then(|_| text.split(" at line").next());
    let what = match (about_a_field, error.classify()) {
        (Some(what), _) => what.chars().take(200).collect(),
        (None, serde_json::error::Category::Data) => "a value has the wrong form".to_owned(),
        (None, _) => "it is not JSON".to_owned(),
    };
    let (line, column) = (error.line(), error.column());
    BundleError::Malformed { path: path.to_owned(), line, column, what }
}
