//! Showing statements.

use std::{fmt::Write, process::ExitCode};

use cofferdam_statements::{
    Statement, Statements,
    document::{Format, document, preview},
    minute,
};

use super::{CliError, DeskArgs, Output, find_case, read, refused};

pub(super) async fn list(
    case: Option<&str>,
    desk: &DeskArgs,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let (cases, statements) = read(desk).await?;
    let case = case.map(|it| find_case(&cases, it)).transpose()?.map(|it| it.id);
    let chosen: Vec<&Statement> =
        statements.all().filter(|it| case.is_none_or(|id| it.case == id)).collect();
    let mut text: String = chosen.iter().map(|it| line(it)).collect();
    if text.is_empty() {
        text.push_str("no statements\n");
    }
    for id in cases.all().keys().filter(|it| case.is_none_or(|id| id == **it)) {
        for (until, deed) in statements.embargoes(id) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "embargo on case {} until {until} ({})", id.short(), deed.by);
        }
    }
    output.result(&chosen, &text);
    Ok(ExitCode::SUCCESS)
}

fn line(it: &Statement) -> String {
    let when = it.published.as_ref().unwrap_or(&it.drafted);
    let corrects =
        it.draft.corrects.map_or_else(String::new, |it| format!(" (corrects {})", it.short()));
    format!(
        "{}  {:<9} {}  {:<16} {:<19} {}{corrects}\n",
        it.id.short(),
        it.state(),
        minute(when.at),
        it.draft.tlp.label(),
        it.draft.audience.word(),
        it.draft.title
    )
}

pub(super) async fn one(
    id: &str,
    format: Format,
    desk: &DeskArgs,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let (_, statements) = read(desk).await?;
    let it = find(&statements, id)?;
    let text = match (&it.published, format) {
        (None, Format::Text) => preview(it),
        _ => document(it, format).map_err(refused)?,
    };
    output.result(it, &text);
    Ok(ExitCode::SUCCESS)
}

/// The statement whose id begins with `id`.
pub(super) fn find<'a>(statements: &'a Statements, id: &str) -> Result<&'a Statement, CliError> {
    let id = id.trim().trim_start_matches("0x").to_lowercase();
    let starts =
        |it: &&Statement| it.id.to_string().trim_start_matches("0x").starts_with(id.as_str());
    let mut found = statements.all().filter(starts);
    let one = found.next().ok_or_else(|| {
        CliError::new(format!("there is no statement `{id}`"))
            .hint("`cofferdam statement list` shows them")
    })?;
    match found.next() {
        Some(_) => Err(CliError::new(format!("`{id}` is the beginning of several ids"))
            .hint("give more digits of it")),
        None => Ok(one),
    }
}
