//! How a recorded attack is varied, and the search for a form of the variation that still works: an
//! attacker would search, too.

use cofferdam_core::{trace::AttackTrace, tx::CallKind};
use cofferdam_sim::enact::{Act, Pace, scale, swap};

use super::super::ReplayError;

/// Forms of one variation that are tried before it is given up.
const TRIES_MAX: usize = 12;
/// Seconds from block to block of a delayed or split attack.
const BLOCK_SECONDS: u64 = 12;
const HOUR_BLOCKS: u64 = 300;

/// One way to vary an attack. In each, the attacker's addresses are drawn anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Renamed,
    /// So many transactions, each in a block of its own.
    Split(usize),
    /// So many blocks later.
    Delayed(u64),
    /// Amounts times the first, divided by the second.
    Scaled(u64, u64),
    /// Neighbouring calls swapped wherever that works.
    Reordered,
}

/// A varied attack, ready to be played.
pub(super) struct Varied {
    pub(super) act: Act,
    pub(super) pace: Pace,
}

/// Every variation, in the order of the table.
pub(super) const ALL: &[Edit] = &[
    Edit::Renamed,
    Edit::Split(2),
    Edit::Split(5),
    Edit::Delayed(HOUR_BLOCKS),
    Edit::Delayed(24 * HOUR_BLOCKS),
    Edit::Scaled(1, 2),
    Edit::Scaled(9, 10),
    Edit::Reordered,
];

impl Edit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Renamed => "renamed",
            Self::Split(2) => "split in two",
            Self::Split(_) => "split in five",
            Self::Delayed(HOUR_BLOCKS) => "an hour later",
            Self::Delayed(_) => "a day later",
            Self::Scaled(1, _) => "half the amounts",
            Self::Scaled(..) => "nine tenths",
            Self::Reordered => "other order",
        }
    }
}

/// The form of a variation that `works`, else the first one tried; `None` if the attack cannot be varied
/// like that.
pub(super) fn vary(
    edit: Edit,
    trace: &AttackTrace,
    mut works: impl FnMut(&Varied) -> Result<bool, ReplayError>,
) -> Result<Option<Varied>, ReplayError> {
    let at_once = Pace::default();
    match edit {
        Edit::Renamed => Ok(Some(varied(trace, &[], at_once)?)),
        Edit::Delayed(late) => {
            let pace = Pace { late, apart: 0, seconds: BLOCK_SECONDS };
            Ok(Some(varied(trace, &[], pace)?))
        }
        Edit::Scaled(by, of) => Ok(Some(varied(&scale(trace, by, of), &[], at_once)?)),
        Edit::Split(parts) => split(trace, parts, &mut works),
        Edit::Reordered => reordered(trace, &mut works),
    }
}

fn varied(trace: &AttackTrace, cuts: &[usize], pace: Pace) -> Result<Varied, ReplayError> {
    let act = Act::of(trace, cuts).map_err(|it| ReplayError::new(trace.case.clone(), it))?;
    Ok(Varied { act, pace })
}

/// Cuts evenly; if that does not work, before those calls at which a single cut does.
fn split(
    trace: &AttackTrace,
    parts: usize,
    works: &mut impl FnMut(&Varied) -> Result<bool, ReplayError>,
) -> Result<Option<Varied>, ReplayError> {
    let places = cuts(trace);
    if places.len() + 1 < parts {
        return Ok(None);
    }
    let pace = Pace { late: 0, apart: 1, seconds: BLOCK_SECONDS };
    let first = varied(trace, &evenly(&places, parts - 1), pace)?;
    if works(&first)? {
        return Ok(Some(first));
    }
    let mut good = Vec::new();
    for place in evenly(&places, TRIES_MAX) {
        if works(&varied(trace, &[place], pace)?)? {
            good.push(place);
        }
    }
    let again = varied(trace, &evenly(&good, parts - 1), pace)?;
    let complete = good.len() + 1 >= parts && works(&again)?;
    Ok(Some(if complete { again } else { first }))
}

/// Places before calls of the root that change state, but for the first: where a cut leaves something
/// to do on both sides.
fn cuts(trace: &AttackTrace) -> Vec<usize> {
    let calls = trace.children(0).enumerate();
    let acts =
        |index: &usize| trace.frames.get(*index).is_some_and(|it| it.kind != CallKind::StaticCall);
    calls.filter(|(_, index)| acts(index)).map(|(place, _)| place).skip(1).collect()
}

/// At most `count` of `places`, evenly spread.
fn evenly(places: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(places.len());
    let at = |it: usize| places.get((2 * it + 1) * places.len() / (2 * count)).copied();
    (0..count).filter_map(at).collect()
}

/// Swaps neighbouring calls that change state, one pair after the other, and keeps each swap that works.
fn reordered(
    trace: &AttackTrace,
    works: &mut impl FnMut(&Varied) -> Result<bool, ReplayError>,
) -> Result<Option<Varied>, ReplayError> {
    let acting = cuts(trace);
    let calls = trace.children(0).next().and_then(|it| trace.frames.get(it));
    let first_acts = calls.is_some_and(|it| it.kind != CallKind::StaticCall);
    let after_acting = |it: &usize| match *it {
        1 => first_acts,
        place => acting.contains(&(place - 1)),
    };
    let places: Vec<usize> = acting.iter().copied().filter(after_acting).collect();
    let mut best: Option<(AttackTrace, Varied)> = None;
    let mut first = None;
    for place in evenly(&places, TRIES_MAX) {
        let base = best.as_ref().map_or(trace, |it| &it.0);
        let Some(swapped) = place.checked_sub(1).and_then(|it| swap(base, it)) else { continue };
        let form = varied(&swapped, &[], Pace::default())?;
        if works(&form)? {
            best = Some((swapped, form));
        } else {
            first.get_or_insert(form);
        }
    }
    Ok(best.map(|it| it.1).or(first))
}

#[cfg(test)]
mod tests {
    use super::evenly;

    #[test]
    fn cuts_are_spread_evenly_and_never_more_than_there_are() {
        assert_eq!(evenly(&[1, 2, 3, 4, 5, 6, 7, 8], 1), [5]);
        assert_eq!(evenly(&[1, 2, 3, 4, 5, 6, 7, 8], 4), [2, 4, 6, 8]);
        assert_eq!(evenly(&[1, 2], 4), [1, 2]);
        assert!(evenly(&[], 4).is_empty());
    }
}
