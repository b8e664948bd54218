//! Timestamps of the standard (§10.16): RFC 3339 in UTC.
//!
//! **Invariant:** what is read is a time that exists; a leap second is the last millisecond before it.

use cofferdam_core::Timestamp;

/// A time, and how many fractional digits it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) at: Timestamp,
    pub(crate) digits: usize,
}

/// Reads `2026-11-23T00:00:00.000Z`. Digits beyond milliseconds are cut off.
pub(crate) fn parse(text: &str) -> Option<Read> {
    let body = text.strip_suffix('Z')?;
    let (date, clock) = body.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (field(parts.next()?, 4)?, field(parts.next()?, 2)?, field(parts.next()?, 2)?);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(a, b)| (a, Some(b)));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) =
        (field(parts.next()?, 2)?, field(parts.next()?, 2)?, field(parts.next()?, 2)?);
    let digits = fraction.map_or(0, str::len);
    let good = fraction.is_none_or(|it| {
        !it.is_empty() && it.len() <= 12 && it.bytes().all(|it| it.is_ascii_digit())
    });
    if !good || !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return None;
    }
    let leap = second == 60;
    let millis = match fraction {
        _ if leap => 999,
        Some(it) => format!("{it:0<3}")[..3].parse().ok()?,
        None => 0,
    };
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second.min(59);
    Some(Read { at: Timestamp(seconds * 1_000 + millis), digits })
}

fn field(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|it| it.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, by the days-from-civil algorithm (Hinnant, 2013).
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let doy = (153 * shifted + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Timestamp;
    use proptest::prelude::*;

    use super::parse;

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "2026-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-11-23T24:00:00.000Z",
            "2026-11-23T00:00:00.000+01:00",
            "2026-11-23T00:00:00.Z",
            "2026-11-23 00:00:00.000Z",
            "1969-12-31T23:59:59.000Z",
            "26-11-23T00:00:00.000Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("2016-12-31T23:59:60Z").map(|it| it.digits), Some(0));
        assert_eq!(
            parse("2023-05-26T15:56:00.123456Z").map(|it| (it.at.0 % 1_000, it.digits)),
            Some((123, 6))
        );
    }

    proptest! {
        #[test]
        fn what_core_prints_is_read_back(ms in 0_u64..253_402_300_799_999) {
            let read = parse(&Timestamp(ms).to_string()).unwrap();
            prop_assert_eq!((read.at, read.digits), (Timestamp(ms), 3));
        }
    }
}
