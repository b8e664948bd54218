//! How a value is written: the formats that need nothing but the value and its parameters.

use alloy_primitives::{U256, hex};

use super::tree::Tree;
use crate::{abi::Value, text::plain};

/// A value as it is: numbers in decimal, bytes as hex, addresses with checksum, text without quotes.
pub(super) fn raw(tree: &Tree) -> String {
    match tree {
        Tree::Leaf(Value::String(it)) => plain(it),
        Tree::Leaf(Value::Bytes(it) | Value::FixedBytes(it)) => hex::encode_prefixed(it),
        Tree::Leaf(it) => it.to_string(),
        Tree::List(items) => {
            let items: Vec<String> = items.iter().map(raw).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Struct(parts) => {
            let parts: Vec<String> =
                parts.iter().map(|(name, it)| format!("{}: {}", plain(name), raw(it))).collect();
            format!("{{{}}}", parts.join(", "))
        }
    }
}

/// `amount` in units of 10^`decimals`, exactly, without trailing zeros.
pub(super) fn decimal(amount: U256, decimals: u8) -> String {
    let digits = amount.to_string();
    let places = usize::from(decimals);
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = padded.split_at(padded.len() - places);
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

/// The ticker of a chain's own currency.
pub(super) fn native(chain: u64) -> &'static str {
    match chain {
        56 | 97 => "BNB",
        100 => "xDAI",
        137 | 80_002 => "POL",
        43_114 | 43_113 => "AVAX",
        250 => "FTM",
        42_220 => "CELO",
        146 => "S",
        5_000 => "MNT",
        1 | 10 | 324 | 8_453 | 42_161 | 59_144 | 534_352 | 11_155_111 | 17_000 | 81_457 | 130
        | 84_532 => "ETH",
        _ => "native",
    }
}

/// The name of a chain.
pub(super) fn chain_name(chain: U256) -> String {
    let known = match u64::try_from(chain) {
        Ok(1) => "Ethereum",
        Ok(10) => "Optimism",
        Ok(56) => "BNB Chain",
        Ok(100) => "Gnosis",
        Ok(137) => "Polygon",
        Ok(8_453) => "Base",
        Ok(42_161) => "Arbitrum One",
        Ok(43_114) => "Avalanche",
        _ => return format!("chain {chain}"),
    };
    known.to_owned()
}

/// Seconds since 1970 as `2026-03-04 16:25:38Z`; what lies after the year 9999 as a plain number.
pub(super) fn date(seconds: U256) -> String {
    const LAST: u64 = 253_402_300_799;
    let Some(seconds) = u64::try_from(seconds).ok().filter(|it| *it <= LAST) else {
        return format!("{seconds} s after 1970");
    };
    let (day, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days to civil date, by eras of 400 years that begin on 1 March (H. Hinnant's algorithm).
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day % 3_600 / 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds as `HH:MM:SS`, hours without end.
pub(super) fn duration(seconds: U256) -> String {
    let (minute, hour) = (U256::from(60), U256::from(3_600));
    format!(
        "{:0>2}:{:0>2}:{:0>2}",
        (seconds / hour).to_string(),
        (seconds % hour / minute).to_string(),
        (seconds % minute).to_string()
    )
}

/// A number with a unit; `prefixed` takes the largest of k, M, G, T that leaves at least one.
pub(super) fn unit(value: U256, base: &str, decimals: u8, prefixed: bool) -> String {
    let gap = if base.len() > 1 && !base.starts_with('°') { " " } else { "" };
    let plain_text = || format!("{}{gap}{}", decimal(value, decimals), plain(base));
    if !prefixed {
        return plain_text();
    }
    for (power, prefix) in [(12u8, "T"), (9, "G"), (6, "M"), (3, "k")] {
        let places = decimals.saturating_add(power);
        let one = U256::from(10).checked_pow(U256::from(places));
        if one.is_some_and(|one| value >= one) {
            return format!("{}{gap}{prefix}{}", decimal(value, places), plain(base));
        }
    }
    plain_text()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::{date, decimal, duration, unit};

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0_u64, "1970-01-01 00:00:00Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_738_886_400, "2025-02-07 00:00:00Z"),
            (1_772_641_538, "2026-03-04 16:25:38Z"),
            (4_107_542_399, "2100-02-28 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
            (253_402_300_799, "9999-12-31 23:59:59Z"),
        ] {
            assert_eq!(date(U256::from(seconds)), shown);
        }
        assert!(date(U256::MAX).ends_with(" s after 1970"));
    }

    #[test]
    fn durations_and_units_are_written_as_the_standard_says() {
        assert_eq!(duration(U256::from(8_250)), "02:17:30");
        assert_eq!(duration(U256::from(360_000)), "100:00:00");
        assert_eq!(unit(U256::from(1_012), "%", 2, false), "10.12%");
        assert_eq!(unit(U256::from(12_300_000), "bps", 0, true), "12.3 Mbps");
        assert_eq!(unit(U256::from(36), "m", 0, true), "36m");
    }

    proptest! {
        #[test]
        fn a_decimal_has_all_its_digits(amount in any::<u128>(), decimals in 0u8..40) {
            let shown = decimal(U256::from(amount), decimals);
            let (whole, part) = shown.split_once('.').unwrap_or((&shown, ""));
            let digits = format!("{whole}{part:0<width$}", width = usize::from(decimals));
            prop_assert_eq!(digits.parse::<U256>().unwrap(), U256::from(amount));
        }
    }
}
