//! Loops told once: a run that repeats right after itself is one run.

/// Longest run that is recognised as a loop, in steps.
const PERIOD_MAX: usize = 16;

/// The steps with every immediate repetition of up to [`PERIOD_MAX`] steps left out.
pub(crate) fn fold(steps: impl Iterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for step in steps {
        out.push(step);
        while let Some(period) = repetition(&out) {
            out.truncate(out.len() - period);
        }
    }
    out
}

/// The shortest run that ends the list twice.
fn repetition(steps: &[String]) -> Option<usize> {
    (1..=PERIOD_MAX.min(steps.len() / 2)).find(|period| {
        let (rest, last) = steps.split_at(steps.len() - period);
        rest.ends_with(last)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{fold, repetition};

    fn folded(text: &str) -> String {
        fold(text.chars().map(String::from)).concat()
    }

    #[test]
    fn loops_are_told_once() {
        assert_eq!(folded("abababc"), "abc");
        assert_eq!(folded("aaaa"), "a");
        assert_eq!(folded("abcabcab"), "abcab");
        assert_eq!(folded("aabbaabb"), "ab");
        assert_eq!(folded(""), "");
    }

    proptest! {
        #[test]
        fn a_folded_path_has_no_loop_and_how_often_one_ran_does_not_matter(
            head in "[abc]{0,6}", body in "[abc]{1,6}", tail in "[abc]{0,6}", times in 1..9_usize,
        ) {
            let once = folded(&format!("{head}{body}{tail}"));
            let often = folded(&format!("{head}{}{tail}", body.repeat(times)));
            prop_assert_eq!(&folded(&once), &once);
            prop_assert_eq!(&folded(&often), &often);
            let steps: Vec<String> = often.chars().map(String::from).collect();
            prop_assert!(!(0..=steps.len()).any(|end| repetition(&steps[..end]).is_some()));
            if head.is_empty() && tail.is_empty() {
                prop_assert_eq!(once, often);
            }
        }
    }
}
