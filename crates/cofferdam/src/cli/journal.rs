//! `cofferdam journal verify | tail | export`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use cofferdam_core::{
    ports::{Journal, JournalError},
    record::Entry,
};
use cofferdam_record::LocalJournal;

use super::{CliError, Output, default_journal};

/// Entries read at once.
const PAGE: usize = 1_000;

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Checks every hash, link and sequence number.
    Verify {
        /// The journal.
        #[arg(long, default_value_os_t = default_journal())]
        journal: PathBuf,
    },
    /// Prints the last entries.
    Tail {
        /// The journal.
        #[arg(long, default_value_os_t = default_journal())]
        journal: PathBuf,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: u64,
    },
    /// Writes all entries as NDJSON, one a line, verifiable without the database.
    Export {
        /// The journal.
        #[arg(long, default_value_os_t = default_journal())]
        journal: PathBuf,
    },
}

pub(crate) async fn run(command: JournalCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        JournalCommand::Verify { journal } => verify(&open(&journal).await?, output).await,
        JournalCommand::Tail { journal, lines } => {
            let journal = open(&journal).await?;
            let head = journal.head().await.map_err(broken)?;
            let from = head.map_or(0, |(seq, _)| (seq + 1).saturating_sub(lines));
            let entries =
                journal.read(from, usize::try_from(lines).unwrap_or(PAGE)).await.map_err(broken)?;
            let text: String = entries.iter().map(line).collect();
            output.result(&entries, &text);
            Ok(ExitCode::SUCCESS)
        }
        JournalCommand::Export { journal } => {
            let journal = open(&journal).await?;
            for_each(&journal, |entry| {
                if let Ok(json) = serde_json::to_string(entry) {
                    output.text(&(json + "\n"));
                }
            })
            .await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(journal: &LocalJournal, output: &Output) -> Result<ExitCode, CliError> {
    match journal.verify_records().await {
        Ok(entries) => {
            let value = serde_json::json!({ "verified": true, "entries": entries });
            output.result(&value, &format!("journal verifies: {entries} entries\n"));
            Ok(ExitCode::SUCCESS)
        }
        Err(JournalError::Corrupt { seq, what }) => {
            let value = serde_json::json!({ "verified": false, "entry": seq, "what": what });
            output.result(&value, &format!("journal does NOT verify: entry {seq}: {what}\n"));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(broken(error)),
    }
}

/// Opens a journal for reading.
pub(crate) async fn open(path: &PathBuf) -> Result<LocalJournal, CliError> {
    if !path.exists() {
        let error = CliError::new(format!("there is no journal at {}", path.display()));
        return Err(error.hint(
            "`cofferdam run` and `cofferdam drill run` write one; name another with --journal",
        ));
    }
    LocalJournal::open_read_only(path).await.map_err(broken)
}

/// Calls `each` for every entry, in order.
pub(crate) async fn for_each(
    journal: &dyn Journal,
    mut each: impl FnMut(&Entry),
) -> Result<(), CliError> {
    let mut from = 0;
    loop {
        let entries = journal.read(from, PAGE).await.map_err(broken)?;
        let Some(last) = entries.last() else { return Ok(()) };
        from = last.seq + 1;
        entries.iter().for_each(&mut each);
    }
}

pub(crate) fn broken(error: JournalError) -> CliError {
    let hint = match &error {
        JournalError::Unavailable(_) => {
            "check that the file can be read and written, and that the disk is neither full nor read-only"
        }
        JournalError::Corrupt { .. } => {
            "keep the file as evidence and restore from a replica or export"
        }
        JournalError::Fenced => "stop the other process, or name another journal with --journal",
    };
    CliError::caused("journal cannot be used", error).hint(hint)
}

fn line(entry: &Entry) -> String {
    let json = serde_json::to_value(&entry.record).unwrap_or_default();
    let tag = json["record"].as_str().unwrap_or("?").to_owned();
    let gist: String = ["finding", "incident", "text", "because", "key", "outcome"]
        .iter()
        .filter_map(|it| json.get(*it))
        .map(|it| it["summary"].as_str().map_or_else(|| it.to_string(), str::to_owned))
        .collect::<Vec<_>>()
        .join(" ");
    let gist: String = gist.chars().take(100).collect();
    format!("{:>6}  {}  {tag:<16} {gist}\n", entry.seq, entry.at)
}
