//! Why columns cannot be read or written.

use std::path::{Path, PathBuf};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ColumnError {
    /// A file or folder cannot be opened, read or written; checking the path may help.
    #[error("{} cannot be used", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no Parquet, or is damaged.
    #[error("{} is no readable Parquet file", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file has not the columns of cryo's layout.
    #[error("{}: {what}", path.display())]
    Layout {
        /// Which.
        path: PathBuf,
        /// What is wrong, for people.
        what: String,
    },
    /// The folder lacks what is needed.
    #[error("{what}")]
    Missing {
        /// What, with the command that makes it.
        what: String,
    },
}

impl ColumnError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn parquet(
        path: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Parquet { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn layout(path: &Path, what: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), what: what.into() }
    }
}
