//! `cofferdam post-mortem`: what the journal knows of a case, as a document.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use clap::{Args, ValueEnum};
use cofferdam_recovery::{
    Account, Gates,
    post_mortem::{Options, PostMortem, Sources},
};
use cofferdam_respond::Cases;
use cofferdam_statements::{Statements, Tlp};

use super::{
    CliError, Output,
    desk::{self, DeskArgs, find_case},
    status_page::put,
};
use crate::runtime::now;

/// Where to find a browser that is not called as below.
const BROWSER_ENV: &str = "COFFERDAM_CHROMIUM";
/// What browsers that print to PDF are called.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome", "chrome"];
/// How long printing may take, in seconds.
const PRINT_S_MAX: u64 = 120;

/// Makes the post-mortem of a case.
#[derive(Debug, Args)]
pub(crate) struct PostMortemArgs {
    /// The case: the first digits of its id or of an incident's.
    #[arg(long)]
    case: String,
    /// In which form.
    #[arg(long, value_enum, default_value_t)]
    format: FormatArg,
    /// Who may see it (TLP 2.0). With TLP:CLEAR, only of a case that is over.
    #[arg(long, default_value = "TLP:AMBER")]
    tlp: Tlp,
    /// Name people; otherwise they stand by their role.
    #[arg(long)]
    names: bool,
    /// The file; left out, it is printed.
    #[arg(long, required_if_eq("format", "pdf"))]
    out: Option<PathBuf>,
    #[command(flatten)]
    desk: DeskArgs,
}

/// The form of the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Markdown.
    #[default]
    Md,
    /// One page without anything from elsewhere.
    Html,
    /// That page, printed by Chromium.
    Pdf,
}

pub(crate) async fn run(args: PostMortemArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (mut cases, mut statements) = (Cases::default(), Statements::default());
    let (mut gates, mut account) = (Gates::default(), Account::default());
    desk::read(&args.desk, |at, record| {
        cases.apply(at, record);
        statements.apply(at, record);
        gates.apply(at, record);
        account.apply(at, record);
    })
    .await?;
    let case = find_case(&cases, &args.case)?;
    let from = Sources { statements: &statements, gates: &gates, account: &account };
    let how = Options { tlp: args.tlp, names: args.names, now: now() };
    let document = PostMortem::of(case, from, how).map_err(|it| {
        CliError::caused("there is no such post-mortem", it)
            .hint("an internal one is made at any time with --tlp TLP:AMBER")
    })?;
    let text = match args.format {
        FormatArg::Md => document.markdown(),
        FormatArg::Html | FormatArg::Pdf => document.html(),
    };
    let Some(out) = &args.out else {
        output.text(&text);
        return Ok(ExitCode::SUCCESS);
    };
    match args.format {
        FormatArg::Pdf => print(&text, out, output).await?,
        _ => put(out, &text)?,
    }
    let value = serde_json::json!({ "out": out, "tlp": args.tlp });
    output.result(&value, &format!("{} is written, {}\n", out.display(), args.tlp));
    Ok(ExitCode::SUCCESS)
}

/// Prints `page` to PDF.
async fn print(page: &str, out: &Path, output: &Output) -> Result<(), CliError> {
    let browser = browser().ok_or_else(|| {
        CliError::new("no Chromium is installed")
            .hint(format!("install it (Debian: apt-get install chromium) or set {BROWSER_ENV}"))
            .hint("or write --format html and print that")
    })?;
    let folder = tempfile::tempdir().map_err(|it| CliError::io("make a folder", it))?;
    put(&folder.path().join("page.html"), page)?;
    let printed = folder.path().join("page.pdf");
    let mut said = press(&browser, folder.path(), &[]).await?;
    if !printed.exists() {
        // Chromium refuses to run as root with its sandbox. The page is ours, escaped, and loads nothing.
        output.note("note: Chromium printed nothing; trying again without its sandbox");
        said = press(&browser, folder.path(), &["--no-sandbox"]).await?;
    }
    let bytes = std::fs::read(&printed).unwrap_or_default();
    if !bytes.starts_with(b"%PDF-") {
        return Err(CliError::new(format!("{} printed no PDF: {said}", browser.display()))
            .hint("write --format html and print that"));
    }
    std::fs::write(out, bytes).map_err(|it| CliError::io(&format!("write {}", out.display()), it))
}

/// Runs the browser once; the last line that it said.
async fn press(browser: &Path, folder: &Path, more: &[&str]) -> Result<String, CliError> {
    let child = tokio::process::Command::new(browser)
        .args(["--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"])
        .args(["--disable-extensions", "--disable-background-networking"])
        .args(more)
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--print-to-pdf={}", folder.join("page.pdf").display()))
        .arg(format!("file://{}", folder.join("page.html").display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|it| CliError::io(&format!("start {}", browser.display()), it))?;
    let limit = Duration::from_secs(PRINT_S_MAX);
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await.map_err(|_| {
        CliError::new(format!("{} did not end within {PRINT_S_MAX} s", browser.display()))
            .hint("write --format html and print that")
    })?;
    let ended = ended.map_err(|it| CliError::io("wait for the browser", it))?;
    let text = String::from_utf8_lossy(&ended.stderr);
    let last = text.lines().last().unwrap_or("it said nothing");
    Ok(last.chars().filter(|it| !it.is_control()).take(200).collect())
}

/// A browser, by the environment or by name.
fn browser() -> Option<PathBuf> {
    if let Some(it) = std::env::var_os(BROWSER_ENV) {
        return Some(PathBuf::from(it)).filter(|it| it.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = BROWSERS.iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
    all.into_iter().find(|it| it.is_file())
}
