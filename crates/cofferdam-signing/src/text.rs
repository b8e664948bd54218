//! Text from outside on its way to a person, and hashes to be read aloud.
//!
//! **Invariant:** nothing a stranger wrote can move the cursor, change the direction of writing, or look like ours.

use alloy_primitives::B256;

/// `text` with everything but printable characters of one direction escaped.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        let hidden = it.is_control()
            || matches!(it, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
        if hidden || it == '"' || it == '\\' {
            out.extend(it.escape_default());
        } else {
            out.push(it);
        }
    }
    out
}

/// Six words of a hash for reading aloud: its first 96 bits as pronounceable quintets, 16 bits each.
///
/// Source: D. Wilkerson, "A Proposal for Proquints", 2009. Consonants carry four bits, vowels two. 96 bits are more
/// than an attacker can grind by varying fields nobody looks at; six words of a list of 256 would be 48.
pub fn spoken(hash: B256) -> String {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 4] = b"aiou";
    let word = |pair: &[u8]| -> String {
        let bits = pair.iter().fold(0usize, |sum, it| sum << 8 | usize::from(*it));
        let pick = |shift: usize, consonant: bool| {
            let from: &[u8] = if consonant { CONSONANTS } else { VOWELS };
            char::from(from.get((bits >> shift) % from.len()).copied().unwrap_or(b'?'))
        };
        [pick(12, true), pick(10, false), pick(6, true), pick(4, false), pick(0, true)]
            .into_iter()
            .collect()
    };
    let words: Vec<String> = hash.chunks_exact(2).take(6).map(word).collect();
    words.join("-")
}

/// A hash in groups of four digits, as devices show it.
pub fn grouped(hash: B256) -> String {
    let groups: Vec<String> = hash.chunks_exact(2).map(alloy_primitives::hex::encode).collect();
    format!("0x {}", groups.join(" "))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, b256};

    use super::{grouped, plain, spoken};

    #[test]
    fn spoken_words_are_those_of_the_proposal() {
        // 127.0.0.1 and 63.84.220.193 are examples of the proposal.
        let hash = b256!("7f0000013f54dcc1000000000000000000000000000000000000000000000000");
        assert!(spoken(hash).starts_with("lusab-babad-gutih-tugad-"), "{}", spoken(hash));
        assert_eq!(spoken(B256::ZERO).split('-').count(), 6);
    }

    #[test]
    fn hashes_are_grouped_like_on_a_device() {
        let shown = grouped(B256::repeat_byte(0xab));
        assert_eq!(shown.split(' ').count(), 17);
    }

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(plain("a\u{200b}b\u{202e}\tc\u{7f}é"), "a\\u{200b}b\\u{202e}\\tc\\u{7f}é");
    }
}
