//! Dates of RFC 3339, as far as signed messages use them.

use cofferdam_core::Timestamp;

/// Milliseconds since 1970 of a date such as `2026-09-21T13:20:00.123Z` or with an offset such as `+02:00`; `None` if it
/// is none or lies before 1970.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|it| it.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let mark = |at: usize, it: &str| text.get(at..at + 1) == Some(it);
    let shape = mark(4, "-") && mark(7, "-") && mark(10, "T") && mark(13, ":") && mark(16, ":");
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !shape || !in_range {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|it: char| !it.is_ascii_digit())?;
        let part = fraction.get(..end).filter(|it| !it.is_empty())?;
        millis = format!("{part:0<3}").get(..3)?.parse().ok()?;
        rest = fraction.get(end..)?;
    }
    let offset = match rest {
        "Z" => 0,
        _ => {
            let sign = if rest.starts_with('+') { 1 } else { -1 };
            let shape = rest.len() == 6 && (rest.starts_with('-') || sign == 1);
            let (hours, minutes) = rest.get(1..)?.split_once(':').filter(|_| shape)?;
            let plain =
                |it: &str| it.bytes().all(|it| it.is_ascii_digit()).then(|| it.parse::<i64>().ok());
            let (hours, minutes) = (plain(hours)??, plain(minutes)??);
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 60 + minutes) * 60
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    u64::try_from(seconds * 1_000 + millis).ok().map(Timestamp)
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a civil date, by eras of 400 years that begin on 1 March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn dates_are_read_with_fractions_and_offsets() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-03-04T16:25:38Z", 1_772_641_538_000),
            ("2026-03-04T16:25:38.5Z", 1_772_641_538_500),
            ("2026-03-04T18:25:38.123456+02:00", 1_772_641_538_123),
            ("2026-03-04T11:55:38-04:30", 1_772_641_538_000),
        ] {
            assert_eq!(parse(text).map(|it| it.0), Some(millis), "{text}");
        }
        for text in [
            "",
            "2026-03-04",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-03-04T24:00:00Z",
            "2026-03-04 16:25:38Z",
            "2026-03-04T16:25:38",
            "2026-03-04T16:25:38.Z",
            "2026-03-04T16:25:38+2:00",
            "1969-12-31T23:59:59Z",
            "2026-03-04T16:25:60Z",
            "2026-03-04T16:25:38z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
