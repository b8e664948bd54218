//! Why recorded data could not be loaded.

use std::path::{Path, PathBuf};

/// Why a file of recorded data could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// It cannot be read; checking the path may help.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than any recording we know, packed or unpacked.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// It is not what it claims to be.
    #[error("{} is malformed: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, for people.
        what: String,
    },
}

impl RecordedError {
    pub(super) fn malformed(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), what: what.to_string() }
    }
}
