//! How much leaves an entity in a day, learned while it is watched: the most of the last days is what is usual.
//!
//! **Invariant:** the state is bounded by the number of entities and of days, whatever an attacker does; a day counts
//! as usual only when it is over, so that nothing is compared with itself.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use cofferdam_core::{
    Class, Finding, Severity, Timestamp, Tx, Usd, finding::Evidence, record::Memo,
};
use serde::{Deserialize, Serialize};

use crate::{
    Context,
    losses::Losses,
    report::{About, group},
};

/// One hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;
/// Hours that a rolling day is made of.
const HOURS: u64 = 24;
/// Days that must have been watched before anything is unusual.
pub(crate) const DAYS_MIN: u64 = 7;
/// What the limit is of the most that was usual: six fifths (`onchain.md` S01).
const OVER: (i128, i128) = (6, 5);
/// Micro-dollars of a dollar: limits are whole dollars, rounded up.
const DOLLAR: i128 = 1_000_000;

/// What left each entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Limits(BTreeMap<String, Track>);

/// What left one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Track {
    /// The first hour watched.
    since: u64,
    /// Net outflow by hour, of the last day.
    hours: Vec<(u64, Usd)>,
    /// The greatest rolling day that ended in each day.
    days: Vec<(u64, Usd)>,
    /// The rolling day that was told last.
    told: Usd,
}

/// What a rule keeps while limits are learned.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    rest: Memo,
    limits: Limits,
}

/// More left within a day than is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unusual {
    /// What left within the last day.
    pub(crate) left: Usd,
    /// The limit.
    pub(crate) limit: Usd,
    /// Days behind it.
    pub(crate) days: usize,
}

impl Limits {
    /// What `tx` takes from the entities of `losses` beyond what is usual, paid for or not.
    pub(crate) fn unusual(
        &mut self,
        cx: &Context<'_>,
        tx: &Tx,
        losses: &Losses,
        terms: (u64, Usd),
    ) -> Vec<Finding> {
        let mut out = Vec::new();
        for (ward, net) in losses.net(tx) {
            let now = cx.observation.block.time;
            let Some(it) = self.note(&ward.id, (now, net), terms) else { continue };
            let subject = ward.accounts.first().copied().unwrap_or_default();
            let about = About { tx: Some(tx), entity: &ward.id, subject };
            let (severity, class) = (Severity::High, Class::Damage);
            let finding = losses.voice.finding(cx, about, severity, class, group::VALUE);
            // A loss in the same transaction is another finding.
            let place = keccak256([tx.hash.as_slice(), b"usual"].concat());
            let id = Finding::id_of(cx.observation.block.chain, &finding.rule, place, subject);
            out.push(Finding {
                id,
                summary: format!(
                    "{} left within a day, the limit learned is {}",
                    it.left, it.limit
                ),
                evidence: vec![
                    Evidence::new("left within a day, net", it.left),
                    Evidence::new("limit", it.limit),
                    Evidence::new("days it was learned from", it.days),
                ],
                ..finding
            });
        }
        out
    }

    /// The memo of a rule whose other state is `rest`: that alone while nothing is learned.
    pub(crate) fn memo(&self, rest: Option<Memo>) -> Option<Memo> {
        if self.0.is_empty() {
            return rest;
        }
        let rest = rest.unwrap_or(Memo::Null);
        serde_json::to_value(Kept { rest, limits: self.clone() }).ok()
    }

    /// Takes a state back and returns the rest. The plan may have begun to learn, or ceased to, since the memo was
    /// written.
    pub(crate) fn recall(&mut self, memo: Option<&Memo>, learns: bool) -> Option<Memo> {
        *self = Self::default();
        let memo = memo?;
        let Ok(kept) = Kept::deserialize(memo) else { return Some(memo.clone()) };
        if learns {
            *self = kept.limits;
        }
        Some(kept.rest).filter(|it| !it.is_null())
    }

    /// Adds the net outflow of a transaction, negative if more came in. What is unusual is told once, and again
    /// when it has grown by a fifth. A limit is never below `least`.
    pub(crate) fn note(
        &mut self,
        entity: &str,
        (now, net): (Timestamp, Usd),
        (days_max, least): (u64, Usd),
    ) -> Option<Unusual> {
        let hour = now.0 / HOUR_MS;
        let today = hour / HOURS;
        let fresh = || Track { since: hour, ..Track::default() };
        let track = self.0.entry(entity.to_owned()).or_insert_with(fresh);
        track.hours.retain(|it| it.0.saturating_add(HOURS) > hour);
        track.days.retain(|it| it.0.saturating_add(days_max) >= today);
        match track.hours.iter_mut().find(|it| it.0 == hour) {
            Some(it) => it.1 = it.1.plus(net),
            None => track.hours.push((hour, net)),
        }
        let left = track.hours.iter().fold(Usd::ZERO, |sum, it| sum.plus(it.1));
        let usual = track.days.iter().filter(|it| it.0 < today);
        let (days, most) = usual.fold((0, Usd::ZERO), |all, it| (all.0 + 1, all.1.max(it.1)));
        let limit = raised(most).max(least);
        match track.days.iter_mut().find(|it| it.0 == today) {
            Some(it) => it.1 = it.1.max(left),
            None => track.days.push((today, left)),
        }
        if left <= limit || hour.saturating_sub(track.since) < DAYS_MIN * HOURS {
            track.told = Usd::ZERO;
            return None;
        }
        let news = track.told == Usd::ZERO || left >= raised(track.told);
        news.then(|| {
            track.told = left;
            Unusual { left, limit, days }
        })
    }
}

/// Six fifths of it, in whole dollars, rounded up.
fn raised(it: Usd) -> Usd {
    let (whole, part) = (OVER.1 * DOLLAR, it.0.max(0).saturating_mul(OVER.0));
    let dollars = part / whole + i128::from(part % whole != 0);
    Usd(dollars.saturating_mul(DOLLAR))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::check;

    const TERMS: (u64, Usd) = (30, Usd::ZERO);

    fn hours(count: u64) -> Timestamp {
        Timestamp(count * HOUR_MS)
    }

    /// Twenty days on each of which 1,000 dollars leave and 900 come back later.
    fn usual() -> Limits {
        let mut it = Limits::default();
        for day in 0..20 {
            for (hour, usd) in [(10, 1_000), (20, -900)] {
                let told = it.note("vault", (hours(24 * day + hour), Usd::whole(usd)), TERMS);
                assert_eq!(told, None, "day {day}");
            }
        }
        it
    }

    #[test]
    fn a_fifth_more_than_the_most_of_a_month_is_told_once_until_it_grows() {
        let mut it = usual();
        let note =
            |it: &mut Limits, usd| it.note("vault", (hours(24 * 20 + 21), Usd::whole(usd)), TERMS);
        assert_eq!(note(&mut it, 1_100), None);
        let told = note(&mut it, 400).expect("unusual");
        // On the first day nothing had come back yet; on later ones a rolling day held 1,000 less 900.
        assert_eq!((told.limit, told.days), (Usd::whole(1_200), 20));
        assert!(told.left > told.limit);
        assert_eq!(note(&mut it, 10), None, "the same news");
        assert!(note(&mut it, 400).is_some(), "a fifth more");
    }

    #[test]
    fn nothing_is_unusual_before_a_week_was_watched_or_below_the_least_limit() {
        let mut it = Limits::default();
        let large = Usd::whole(1_000_000);
        assert_eq!(it.note("vault", (hours(5), Usd::whole(10)), TERMS), None);
        assert_eq!(it.note("vault", (hours(5 + 24 * 7 - 1), large), TERMS), None);
        let mut it = usual();
        let terms = (30, Usd::whole(2_000_000));
        assert_eq!(it.note("vault", (hours(24 * 20 + 21), large), terms), None);
    }

    #[test]
    fn more_within_a_day_than_in_a_month_is_high_though_it_is_lent() {
        let mut blocks = String::new();
        // What is lent in the morning comes back an hour later, and on the last day three times as much is.
        for day in 0..9 {
            let (lent, time) = (if day == 8 { 150 } else { 50 }, day * 86_400);
            blocks += &format!(
                "
                block {day}1 time {time}
                  tx 0xee -> 0xec
                    transfer 0x70 {lent}000e18 from 0xaa to 0xee
                block {day}2 time {}
                  tx 0xee -> 0xec
                    transfer 0x70 {lent}000e18 from 0xee to 0xaa
                ",
                time + 3_600
            );
        }
        let known = "recipients = [\"eip155:1:0x00000000000000000000000000000000000000ee\"]";
        check(
            "outflow",
            &format!("learn-days = 30\n{known}"),
            &blocks,
            expect![[r#"
                81 high outflow 0xaa $0.00: $100,000 left within a day, the limit learned is $60,000
            "#]],
        );
        check("outflow", known, &blocks, expect![[""]]);
    }

    proptest! {
        #[test]
        fn the_state_is_bounded_and_sums_do_not_overflow(
            moves in prop::collection::vec((0..30_u64, any::<i128>()), 0..200),
        ) {
            let (mut it, mut now) = (Limits::default(), 0);
            for (later, usd) in moves {
                now += later;
                it.note("vault", (hours(now), Usd(usd)), TERMS);
            }
            for track in it.0.values() {
                prop_assert!(track.hours.len() <= 24 && track.days.len() <= 31);
            }
        }
    }
}
