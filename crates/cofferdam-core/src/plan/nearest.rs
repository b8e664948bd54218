//! The name that somebody who mistyped probably meant.

/// Longest name compared, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The candidate closest to `name`, if it is close: a third of its letters may differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let close = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|it| it.len() <= NAME_BYTES_MAX)
        .map(|it| (distance(name, it), it))
        .filter(|(distance, _)| *distance <= close)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// Distance in characters inserted, removed, changed or swapped with their neighbour (optimal string
/// alignment), upper and lower case being equal, and `_` and `-`.
fn distance(left: &str, right: &str) -> usize {
    let fold = |it: &str| -> Vec<char> {
        it.chars().map(|it| if it == '_' { '-' } else { it.to_ascii_lowercase() }).collect()
    };
    let (left, right) = (fold(left), fold(right));
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut two_above = above.clone();
    for (row, a) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let change = above[column] + usize::from(a != b);
            let mut best = change.min(above[column + 1] + 1).min(line[column] + 1);
            let swapped = row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b;
            if swapped {
                best = best.min(two_above[column - 1] + 1);
            }
            line.push(best);
        }
        two_above = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_finds_none() {
        let known = ["endpoints", "block-time", "id"];
        assert_eq!(nearest("endpoint", known), Some("endpoints"));
        assert_eq!(nearest("block_time", known), Some("block-time"));
        assert_eq!(nearest("Id", known), Some("id"));
        assert_eq!(nearest("di", known), Some("id"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
