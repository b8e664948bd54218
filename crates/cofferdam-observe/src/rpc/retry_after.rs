//! The `Retry-After` header (RFC 9110 §10.2.3): seconds, or a date. Pure.
//!
//! A date is read against the `Date` of the same answer, so that no clock of ours is needed.

/// The pause in milliseconds that `value` asks for; `date` is the `Date` header beside it. `None` if
/// it asks for nothing that can be understood.
pub(crate) fn millis(value: &str, date: Option<&str>) -> Option<u64> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let pause = seconds(value)?.saturating_sub(seconds(date?)?);
    Some(pause.saturating_mul(1_000))
}

/// Seconds since 1970 of an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`).
fn seconds(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, text) = text.trim().split_once(", ")?;
    let mut words = text.split(' ');
    let day = number(words.next()?, 31)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|it| *it == month)?.try_into().ok()?;
    let year = number(words.next()?, 9_999)?;
    let mut time = words.next()?.split(':');
    let (hour, minute) = (number(time.next()?, 23)?, number(time.next()?, 59)?);
    let second = number(time.next()?, 60)?;
    if words.next() != Some("GMT") {
        return None;
    }
    let days = days_since_1970(year, month, day)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(text: &str, most: u64) -> Option<u64> {
    text.parse().ok().filter(|it| *it <= most)
}

/// Days from 1970-01-01 in the Gregorian calendar; `month` counts from 0, `day` from 1.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    /// Days from March 1 of year 0 to the end of 1969.
    const UP_TO_1970: u64 = 719_468;
    // Years begin in March, so that the leap day is the last of its year.
    let year = if month < 2 { year.checked_sub(1)? } else { year };
    let month = (month + 10) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    days.checked_sub(UP_TO_1970 + 1)
}

#[cfg(test)]
mod tests {
    use super::{millis, seconds};

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(millis("7", None), Some(7_000));
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(millis("Sun, 06 Nov 1994 08:49:42 GMT", date), Some(5_000));
        assert_eq!(millis("Sun, 06 Nov 1994 08:49:00 GMT", date), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn nonsense_asks_for_nothing() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for text in ["", "soon", "-1", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(millis(text, date), None, "{text}");
        }
        assert_eq!(millis("Sun, 06 Nov 1994 08:49:42 GMT", None), None);
        assert_eq!(seconds("Thu, 01 Jan 0000 00:00:00 GMT"), None);
        assert_eq!(millis(&u64::MAX.to_string(), None), Some(u64::MAX));
    }
}
