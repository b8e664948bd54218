//! The document as one page: no script, no font, no image from anywhere else; fit to be printed.

use std::fmt::Write;

use cofferdam_statements::escape::html;

use super::{Block, PostMortem};

const STYLE: &str = include_str!("page.css");

pub(super) fn write(it: &PostMortem) -> String {
    let (tlp, title) = (it.tlp.label(), html(&it.title));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Post-mortem: {title}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n\
         <p class=\"tlp\">{tlp}</p>\n<h1>Post-mortem: {title}</h1>\n\
         <p class=\"made\">Made from the journal at {}. What nobody recorded is marked.</p>\n",
        it.made
    );
    for section in &it.sections {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "<section>\n<h2>{}</h2>", html(section.title));
        section.blocks.iter().for_each(|it| block(it, &mut out));
        out.push_str("</section>\n");
    }
    let _ = write!(out, "<p class=\"tlp\">{tlp}</p>\n</main></body></html>\n");
    out
}

fn block(it: &Block, out: &mut String) {
    match it {
        Block::Text(text) => {
            let _ = writeln!(out, "<p>{}</p>", html(text));
        }
        Block::Missing(text) => {
            let _ = writeln!(out, "<p class=\"missing\">Missing: {}.</p>", html(text));
        }
        Block::Table(header, rows) => {
            out.push_str("<div class=\"scroll\"><table><thead><tr>");
            header.iter().for_each(|it| {
                let _ = write!(out, "<th scope=\"col\">{}</th>", html(it));
            });
            out.push_str("</tr></thead><tbody>\n");
            for row in rows {
                out.push_str("<tr>");
                row.iter().for_each(|it| {
                    let _ = write!(out, "<td>{}</td>", html(it));
                });
                out.push_str("</tr>\n");
            }
            out.push_str("</tbody></table></div>\n");
        }
    }
}
