//! `cofferdam status-page component | write`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use cofferdam_statements::{ComponentState, Page, PageError, page::Settings};

use super::{
    CliError, Output,
    desk::{DeskArgs, find_case, word},
    statement::{open, read, refused, unwritable},
};
use crate::runtime::now;

/// What to do with the status page.
#[derive(Debug, Subcommand)]
pub(crate) enum StatusPageCommand {
    /// Says how a part of the service works.
    Component {
        /// Its name, as the page shows it.
        name: String,
        /// operational, under_maintenance, degraded_performance, partial_outage, major_outage.
        #[arg(long, value_parser = word::<ComponentState>)]
        state: ComponentState,
        /// The case because of which it does; needed unless it works or is under maintenance.
        #[arg(long)]
        case: Option<String>,
        /// Who says so.
        #[arg(long)]
        by: String,
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Writes the page as files for any web server, best one outside the protocol's own domain.
    Write {
        /// Folder to write to; made if there is none.
        #[arg(long)]
        out: PathBuf,
        /// What the page is called.
        #[arg(long)]
        name: String,
        /// Where it will stand, e.g. https://status.example.org
        #[arg(long)]
        url: String,
        #[command(flatten)]
        desk: DeskArgs,
    },
}

pub(crate) async fn run(command: StatusPageCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        StatusPageCommand::Component { name, state, case, by, desk } => {
            let (desk, cases, statements) = open(&desk).await?;
            let case = case.map(|it| find_case(&cases, &it)).transpose()?.map(|it| it.id);
            let (id, event) =
                statements.set_component(&cases, case, &by, &name, state).map_err(refused)?;
            desk.keep(now(), event.record(id).map_err(unwritable)?).await?;
            desk.close().await;
            output.result(&event, &format!("{} is {}\n", name.trim(), state.phrase()));
        }
        StatusPageCommand::Write { out, name, url, desk } => {
            let settings = Settings::new(&name, &url).map_err(no_page)?;
            let (cases, statements) = read(&desk).await?;
            let page = Page::of(settings, &statements, &cases);
            let files = page.files().map_err(no_page)?;
            for (path, text) in &files {
                put(&out.join(path), text)?;
            }
            let paths: Vec<&str> = files.iter().map(|it| it.0).collect();
            let value =
                serde_json::json!({ "out": out, "files": paths, "incidents": page.incidents() });
            let text = format!(
                "{} files in {}, {} incidents\n",
                files.len(),
                out.display(),
                page.incidents()
            );
            output.result(&value, &text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn no_page(error: PageError) -> CliError {
    CliError::caused("the page cannot be written", error)
        .hint("--url is where readers find it, --name what they know you by")
}

/// Writes a file so that a reader sees the old one or the new one, never half of it.
pub(super) fn put(path: &Path, text: &str) -> Result<(), CliError> {
    let what = format!("write {}", path.display());
    let hint = "check that the folder can be written to";
    let failed = |it: std::io::Error| CliError::io(&what, it).hint(hint);
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    readable(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|it| failed(it.error))?;
    Ok(())
}

/// A web server of another user has to be able to read it; temporary files are private.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
