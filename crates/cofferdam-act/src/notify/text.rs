//! Words of a message. Pure.

use cofferdam_core::{Alert, AlertKind, Severity, alert::DEDUP_BYTES_MAX};

/// Longest text of an alert that is sent as data, in characters.
const WHOLE_CHARS_MAX: usize = 16_384;

/// `text` in one line of at most `max` characters, without control characters.
pub(super) fn cut(text: &str, max: usize) -> String {
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    if text.chars().nth(max).is_none() {
        return text.chars().map(plain).collect();
    }
    let kept = max.saturating_sub(1);
    text.chars().map(plain).take(kept).chain(['…']).collect()
}

/// `critical: …`, or `resolved: …` for an alert that closes its thread.
pub(super) fn headline(alert: &Alert, max: usize) -> String {
    let first = match alert.kind {
        AlertKind::Raised => severity(alert.severity),
        other => other.word(),
    };
    cut(&format!("{first}: {}", alert.text), max)
}

/// Where it belongs: the incident, and the thread.
pub(super) fn footing(alert: &Alert) -> String {
    match &alert.incident {
        Some(incident) => format!("incident {incident} · {} · {}", alert.dedup, alert.at),
        None => format!("{} · {}", alert.dedup, alert.at),
    }
}

/// Headline and footing, at most `max` characters.
pub(super) fn whole(alert: &Alert, max: usize) -> String {
    let footing = cut(&footing(alert), max / 2);
    let room = max.saturating_sub(footing.chars().count() + 1);
    format!("{}\n{footing}", headline(alert, room))
}

/// The alert with texts of bounded length, for receivers that take it whole.
pub(super) fn bounded(alert: &Alert) -> Alert {
    let (dedup, text) = (cut(&alert.dedup, DEDUP_BYTES_MAX), cut(&alert.text, WHOLE_CHARS_MAX));
    Alert { dedup, text, ..alert.clone() }
}

/// As written in plans.
pub(super) fn severity(it: Severity) -> &'static str {
    match it {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters_and_has_one_line() {
        assert_eq!(cut("a\nb", 9), "a b");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("", 0), "");
    }
}
