//! Deribit's instrument names: `BTC-27MAR26-60000-C`, `BTC-27MAR26`, `ETH-PERPETUAL`. Expiry is at 08:00 UTC.

use cofferdam_risk::pricing::OptionKind;

/// Second of the day at which instruments expire.
const EXPIRY_SECOND: u64 = 8 * 3_600;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// What a name says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    /// Underlying.
    pub(super) asset: String,
    /// Unix seconds.
    pub(super) expiry: Option<u64>,
    /// Kind of instrument.
    pub(super) what: What,
}

/// Kind of instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// Strike and side.
    Option(f64, OptionKind),
    /// Dated future.
    Future,
    /// Perpetual.
    Perpetual,
}

/// The name's parts, or `None` for a name of another kind.
pub(super) fn parse(name: &str) -> Option<Name> {
    let parts: Vec<&str> = name.split('-').collect();
    let asset = (*parts.first()?).to_owned();
    if asset.is_empty() || !asset.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return None;
    }
    match parts[1..] {
        ["PERPETUAL"] => Some(Name { asset, expiry: None, what: What::Perpetual }),
        [date] => Some(Name { asset, expiry: Some(expiry(date)?), what: What::Future }),
        [date, strike, side] => {
            let kind = match side {
                "C" => OptionKind::Call,
                "P" => OptionKind::Put,
                _ => return None,
            };
            // A decimal point is written `d` in the names of coins below a dollar.
            let strike: f64 = strike.replace('d', ".").parse().ok()?;
            let what =
                (strike > 0.0 && strike.is_finite()).then_some(What::Option(strike, kind))?;
            Some(Name { asset, expiry: Some(expiry(date)?), what })
        }
        _ => None,
    }
}

/// `27MAR26` or `5JUN26` as unix seconds.
fn expiry(date: &str) -> Option<u64> {
    if !date.is_ascii() || !(6..=7).contains(&date.len()) {
        return None;
    }
    let (day, rest) = date.split_at(date.len() - 5);
    let month = MONTHS.iter().position(|m| *m == &rest[..3])? as i64 + 1;
    let year = 2_000 + rest[3..].parse::<i64>().ok()?;
    let day: i64 = day.parse().ok().filter(|d| (1..=31).contains(d))?;
    let days = days_from_civil(year, month, day);
    u64::try_from(days).ok().map(|d| d * 86_400 + EXPIRY_SECOND)
}

/// Days since 1970-01-01 of the Gregorian calendar (Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_kind_are_read_and_others_are_not() {
        let option = parse("BTC-27MAR26-60000-P").unwrap();
        // 2026-03-27 08:00 UTC.
        assert_eq!(option.expiry, Some(1_774_598_400));
        assert_eq!(option.what, What::Option(60_000.0, OptionKind::Put));
        assert_eq!(parse("ETH-5JUN26").unwrap().what, What::Future);
        assert_eq!(parse("ETH-PERPETUAL").unwrap().what, What::Perpetual);
        assert_eq!(parse("XRP-5JUN26-0d55-C").unwrap().what, What::Option(0.55, OptionKind::Call));
        for odd in [
            "",
            "BTC",
            "btc-PERPETUAL",
            "BTC-99MAR26-1-C",
            "BTC-27MAR26-x-C",
            "BTC-27MAR26-1-X",
            "BTC-é7MAR26",
            "BTC-27MAR26--5-C",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
    }
}
