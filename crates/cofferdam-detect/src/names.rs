//! Detectors by name, and what a misspelt name may have meant.

use crate::{BuildError, DETECTORS, Entry};

/// The detector registered as `id`.
///
/// # Errors
/// [`BuildError::Unknown`] with the name most like it.
pub(crate) fn find(id: &str) -> Result<&'static Entry, BuildError> {
    let at = DETECTORS.binary_search_by(|it| it.meta.id.cmp(id));
    match at.ok().and_then(|at| DETECTORS.get(at)) {
        Some(entry) => Ok(entry),
        None => Err(BuildError::Unknown { id: id.to_owned(), nearest: nearest(id) }),
    }
}

/// The registered name with the fewest edits to `id`, if at most a third of it is edited.
fn nearest(id: &str) -> Option<&'static str> {
    let names = DETECTORS.iter().map(|it| (edits(id, it.meta.id), it.meta.id));
    names.min().filter(|(edits, name)| *edits * 3 <= name.len()).map(|(_, name)| name)
}

/// Levenshtein distance over bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let edited = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, edited);
            left = edited;
        }
    }
    row.last().copied().unwrap_or_default()
}
