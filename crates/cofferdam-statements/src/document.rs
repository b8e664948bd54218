//! A statement as a text that is handed over: to an audience that is no public, or to a channel.
//!
//! **Invariant:** the mark of FIRST TLP 2.0 stands directly before and after the text, in capitals (in XML
//! as an attribute), and only what was published is handed over.

use crate::{Refusal, Statement, escape, words::minute};

/// The language of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
    /// HTML, a piece without head.
    Html,
    /// XML, one element.
    Xml,
}

/// `statement` in `format`.
///
/// # Errors
/// It is not published.
pub fn document(statement: &Statement, format: Format) -> Result<String, Refusal> {
    let published = statement.published.as_ref().ok_or(Refusal::Unpublished)?;
    Ok(write(statement, format, &minute(published.at)))
}

/// A draft, for those who are to approve it; the word `DRAFT` stands in place of the time.
pub fn preview(statement: &Statement) -> String {
    write(statement, Format::Text, "DRAFT, not to be passed on")
}

fn write(statement: &Statement, format: Format, when: &str) -> String {
    let it = &statement.draft;
    let tlp = it.tlp.label();
    let id = statement.id.short();
    let paragraphs = it.body.split("\n\n").map(str::trim).filter(|it| !it.is_empty());
    match format {
        Format::Text => {
            format!("{tlp}\n\n{}\n{when}, {id}\n\n{}\n\n{tlp}\n", it.title, it.body)
        }
        Format::Markdown => {
            let body: Vec<String> = paragraphs.map(escape::markdown).collect();
            let title = escape::markdown(&it.title);
            format!(
                "**{tlp}**\n\n# {title}\n\n{when}, {id}\n\n{}\n\n**{tlp}**\n",
                body.join("\n\n")
            )
        }
        Format::Html => {
            let body: String =
                paragraphs.map(|it| format!("<p>{}</p>\n", escape::html(it))).collect();
            let title = escape::html(&it.title);
            format!(
                "<article>\n<p><strong>{tlp}</strong></p>\n<h1>{title}</h1>\n<p>{when}, {id}</p>\n\
                 {body}<p><strong>{tlp}</strong></p>\n</article>\n"
            )
        }
        Format::Xml => {
            let body: String = paragraphs
                .map(|it| format!("  <paragraph>{}</paragraph>\n", escape::xml(it)))
                .collect();
            format!(
                "<statement id=\"{id}\" tlp=\"{tlp}\" published=\"{when}\">\n  <title>{}</title>\n{body}\
                 </statement>\n",
                escape::xml(&it.title)
            )
        }
    }
}
