//! What a fuzzer does to its corpus, without a fuzzer: the same mangled bytes from the same seed, so
//! that a failure can be repeated. For tests of decoders.

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 14] = [
    b"null",
    b"-1",
    b"1e999",
    b"0x",
    b"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    b"\"",
    b"\\u0000",
    b"[[[[[[[[[[[[[[[[",
    b"{}",
    b"}]",
    b"18446744073709551616",
    b"\xff\xfe",
    b",,",
    b"\n",
];

/// `count` mangled versions of `original`, each with a few changes.
pub(crate) fn mangled(original: &[u8], count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |seed| {
        let mut dice = Dice(seed);
        let mut bytes = original.to_vec();
        for _ in 0..=dice.roll(4) {
            change(&mut bytes, &mut dice);
        }
        bytes
    })
}

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len());
    let to = (at + 1 + dice.roll(64)).min(bytes.len());
    match dice.roll(7) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|it| *it ^= 1 << dice.roll(8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|it| *it = dice.roll(256) as u8),
        2 => _ = bytes.drain(at..to),
        3 => bytes.truncate(at),
        4 => {
            let again = bytes.get(at..to).unwrap_or_default().to_vec();
            bytes.splice(at..at, again);
        }
        5 => {
            let digit = |it: &u8| it.is_ascii_digit();
            let number = bytes.iter().skip(at).position(digit).map_or(at, |it| at + it);
            bytes.iter_mut().skip(number).take(1).for_each(|it| *it = b'9');
        }
        _ => {
            let piece = PIECES.get(dice.roll(PIECES.len())).copied().unwrap_or_default();
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    /// Below `sides`; 0 if there are none.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) as usize % sides.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::mangled;

    #[test]
    fn the_same_seed_mangles_alike_and_most_seeds_change_something() {
        let original = b"{\"number\":\"0x12\",\"hash\":null}";
        let first: Vec<_> = mangled(original, 200).collect();
        assert_eq!(first, mangled(original, 200).collect::<Vec<_>>());
        assert!(first.iter().filter(|it| it[..] != original[..]).count() > 180);
        assert_eq!(mangled(b"", 50).count(), 50);
    }
}
