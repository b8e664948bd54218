//! The journal of what people do, beside that of the engine.
//!
//! A journal has one writer. While `cofferdam run` writes its own, people write to the desk: a journal of the
//! same kind, hash-chained as well. What is asked of both is folded in the order of time.
//!
//! **Invariant:** the desk is opened for writing before it is read, so that nobody decides on what another
//! has changed meanwhile.

use std::path::{Path, PathBuf};

use cofferdam_core::{
    Record, Timestamp,
    ports::{Journal, JournalError},
    record::Entry,
};
use cofferdam_record::LocalJournal;
use cofferdam_respond::{Case, Cases};

use super::{CliError, default_journal, journal};

/// Most entries of the desk: people do not do more.
const DESK_ENTRIES_MAX: usize = 200_000;

/// Where the two journals are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeskArgs {
    /// The journal of the engine, which is only read.
    #[arg(long, default_value_os_t = default_journal())]
    journal: PathBuf,
    /// The journal of what people do; made if there is none. It may be the engine's own if that does not run.
    #[arg(long, default_value = ".cofferdam/desk")]
    desk: PathBuf,
}

/// The desk, open for writing.
pub(crate) struct Desk(LocalJournal);

impl Desk {
    /// Opens the desk and calls `each` for every record of both journals, in the order of time.
    pub(crate) async fn open(
        args: &DeskArgs,
        mut each: impl FnMut(Timestamp, &Record),
    ) -> Result<Self, CliError> {
        if let Some(parent) = args.desk.parent().filter(|it| !it.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)
                .map_err(|it| CliError::io(&format!("make {}", parent.display()), it))?;
        }
        let desk = LocalJournal::open(&args.desk).await.map_err(|it| match it {
            JournalError::Fenced => CliError::caused("the desk cannot be written to", it)
                .hint("another person is writing to it: run this again")
                .hint("a program that runs keeps its journal to itself: name another --desk"),
            other => journal::broken(other),
        })?;
        if same(&args.desk, &args.journal) {
            journal::for_each(&desk, |it| each(it.at, &it.record)).await?;
        } else {
            let entries = entries(&desk).await?;
            merge(args, entries, each).await?;
        }
        Ok(Self(desk))
    }

    /// Makes a record durable.
    pub(crate) async fn keep(&self, now: Timestamp, record: Record) -> Result<(), CliError> {
        self.0.append(now, &[record]).await.map_err(journal::broken)?;
        Ok(())
    }

    /// Gives the desk free.
    pub(crate) async fn close(self) {
        self.0.close().await;
    }
}

/// Calls `each` for every record of both journals, in the order of time, without writing to either.
pub(crate) async fn read(
    args: &DeskArgs,
    each: impl FnMut(Timestamp, &Record),
) -> Result<(), CliError> {
    // One journal for both is told once.
    let other = args.desk.exists() && !same(&args.desk, &args.journal);
    let desk = if other { entries(&journal::open(&args.desk).await?).await? } else { Vec::new() };
    merge(args, desk, each).await
}

/// What people did.
async fn entries(desk: &LocalJournal) -> Result<Vec<Entry>, CliError> {
    let (mut out, mut left) = (Vec::new(), 0_usize);
    journal::for_each(desk, |it| {
        if out.len() < DESK_ENTRIES_MAX { out.push(it.clone()) } else { left += 1 }
    })
    .await?;
    match left {
        0 => Ok(out),
        left => Err(CliError::new(format!(
            "the desk holds {left} entries more than {DESK_ENTRIES_MAX}"
        ))
        .hint("name the engine's journal with --journal and a journal of people with --desk")),
    }
}

async fn merge(
    args: &DeskArgs,
    desk: Vec<Entry>,
    mut each: impl FnMut(Timestamp, &Record),
) -> Result<(), CliError> {
    let mut desk = desk.into_iter().peekable();
    let engine = journal::open(&args.journal).await?;
    journal::for_each(&engine, |entry| {
        while let Some(it) = desk.next_if(|it| it.at < entry.at) {
            each(it.at, &it.record);
        }
        each(entry.at, &entry.record);
    })
    .await?;
    desk.for_each(|it| each(it.at, &it.record));
    Ok(())
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The case whose id, or an incident of which, begins with `id`.
pub(crate) fn find_case<'a>(cases: &'a Cases, id: &str) -> Result<&'a Case, CliError> {
    let id = id.trim().trim_start_matches("0x").to_lowercase();
    let starts = |hash: String| hash.trim_start_matches("0x").starts_with(id.as_str());
    let mut found = cases.all().values().filter(|case| {
        starts(case.id.to_string()) || case.incidents.iter().any(|it| starts(it.to_string()))
    });
    let one = found.next().ok_or_else(|| {
        CliError::new(format!("there is no case `{id}`"))
            .hint("`cofferdam incident list` shows incidents, `cofferdam incident case` their case")
    })?;
    match found.next() {
        Some(_) => Err(CliError::new(format!("`{id}` is the beginning of several ids"))
            .hint("give more digits of it")),
        None => Ok(one),
    }
}

/// A word of a closed list, as records have it.
pub(crate) fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|it| it.to_string())
}

/// `NAME=VALUE` pairs; a name is given once.
pub(crate) fn pairs(
    given: &[String],
) -> Result<std::collections::BTreeMap<String, String>, CliError> {
    let mut out = std::collections::BTreeMap::new();
    for it in given {
        let (name, value) = it.split_once('=').ok_or_else(|| {
            CliError::new(format!("`{it}` is no NAME=VALUE"))
                .hint("e.g. --set scope='new deposits'")
        })?;
        if out.insert(name.trim().to_owned(), value.to_owned()).is_some() {
            return Err(CliError::new(format!("`{name}` is given twice")).hint("give it once"));
        }
    }
    Ok(out)
}

/// A text file of a bounded size.
pub(crate) fn text_file(path: &Path, bytes_max: u64) -> Result<String, CliError> {
    let what = format!("read {}", path.display());
    let size = std::fs::metadata(path).map_err(|it| CliError::io(&what, it))?.len();
    if size > bytes_max {
        return Err(CliError::new(format!("{} has {size} bytes", path.display()))
            .hint(format!("at most {bytes_max} are read")));
    }
    std::fs::read_to_string(path).map_err(|it| CliError::io(&what, it))
}
