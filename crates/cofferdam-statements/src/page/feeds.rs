//! The history as RSS 2.0 and as Atom (RFC 4287).
//!
//! **Invariant:** an entry keeps its id for ever; a new update changes its text and its time, no other entry.

use std::fmt::Write;

use cofferdam_core::Timestamp;

use super::{INCIDENTS_MAX, Incident, Page, json::text};
use crate::{
    escape::{html, xml},
    words::minute,
};

pub(super) fn rss(page: &Page) -> String {
    let (name, url) = (xml(&page.settings.name), xml(&page.settings.url));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\">\n<channel>\n\
         <title>{name} Status - Incident History</title>\n<link>{url}</link>\n\
         <description>Incident history of {name}</description>\n\
         <atom:link href=\"{url}/history.rss\" rel=\"self\" type=\"application/rss+xml\"/>\n\
         <lastBuildDate>{}</lastBuildDate>\n",
        rfc_822(page.updated)
    );
    for it in page.incidents.iter().take(INCIDENTS_MAX) {
        let link = xml(&page.link(it));
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<item>\n<title>{}</title>\n<description>{}</description>\n<pubDate>{}</pubDate>\n\
             <link>{link}</link>\n<guid isPermaLink=\"false\">{}/incidents/{}</guid>\n</item>\n",
            xml(&it.name),
            xml(&body(it)),
            rfc_822(it.updated()),
            url,
            it.id
        );
    }
    out.push_str("</channel>\n</rss>\n");
    out
}

pub(super) fn atom(page: &Page) -> String {
    let (name, url) = (xml(&page.settings.name), xml(&page.settings.url));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <id>{url}/history</id>\n<title>{name} Status - Incident History</title>\n\
         <updated>{}</updated>\n<link rel=\"alternate\" type=\"text/html\" href=\"{url}/\"/>\n\
         <link rel=\"self\" type=\"application/atom+xml\" href=\"{url}/history.atom\"/>\n\
         <author><name>{name}</name></author>\n",
        page.updated
    );
    for it in page.incidents.iter().take(INCIDENTS_MAX) {
        let _ = write!(
            out,
            "<entry>\n<id>{url}/incidents/{}</id>\n<published>{}</published>\n<updated>{}</updated>\n\
             <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n<title>{}</title>\n\
             <content type=\"html\">{}</content>\n</entry>\n",
            it.id,
            it.created(),
            it.updated(),
            xml(&page.link(it)),
            xml(&it.name),
            xml(&body(it))
        );
    }
    out.push_str("</feed>\n");
    out
}

/// The updates of an incident as a piece of HTML, to be escaped once more for the feed.
fn body(incident: &Incident) -> String {
    let mut out = String::new();
    for it in &incident.updates {
        let corrected = match it.corrected {
            Some(at) => format!(" <em>Corrected at {}.</em>", minute(at)),
            None => String::new(),
        };
        let _ = write!(
            out,
            "<p><small>{}</small><br><strong>{}</strong> - {}{corrected}</p>",
            minute(it.at),
            it.phase.status(),
            html(&text(it)).replace('\n', "<br>")
        );
    }
    out
}

/// `Thu, 26 Nov 2026 19:05:00 +0000`, as RSS wants times (RFC 822 with four digits for the year).
fn rfc_822(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = at.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    // The epoch was a Thursday.
    let day = usize::try_from(at.0 / 86_400_000 % 7).unwrap_or(0);
    let month = part(5, 7).parse::<usize>().unwrap_or(1).saturating_sub(1);
    let weekday = DAYS.get(day).copied().unwrap_or("Thu");
    let month = MONTHS.get(month).copied().unwrap_or("Jan");
    format!("{weekday}, {} {month} {} {} +0000", part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Timestamp;

    #[test]
    fn a_feed_has_times_of_rfc_822() {
        assert_eq!(super::rfc_822(Timestamp(0)), "Thu, 01 Jan 1970 00:00:00 +0000");
        let leap = super::rfc_822(Timestamp(1_709_210_096_789));
        assert_eq!(leap, "Thu, 29 Feb 2024 12:34:56 +0000");
    }
}
