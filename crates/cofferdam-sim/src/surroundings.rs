//! What executed code asked about the block and the price it runs at.
//!
//! Code that behaves under simulation and bites in a block must tell the two apart, and these
//! instructions are how: fee recipient, time, number, randomness, fees. Noted when executed, not when
//! present: most code holds them somewhere.

/// GASPRICE, outside of the range of the others.
const GASPRICE: u8 = 0x3a;
/// BLOCKHASH, the first instruction of the range 0x40 to 0x4b that asks about the block.
const FIRST: u8 = 0x40;
/// How many instructions the range has.
const RANGE: u8 = 12;
/// The place of GASPRICE, behind the range.
const PLACE_GASPRICE: u8 = RANGE;
/// CHAINID and SELFBALANCE: in the range, and the same whoever builds the block.
const CONSTANT: u16 = 1 << 6 | 1 << 7;
/// Names by place.
const NAMES: [&str; 13] = [
    "BLOCKHASH",
    "COINBASE",
    "TIMESTAMP",
    "NUMBER",
    "PREVRANDAO",
    "GASLIMIT",
    "CHAINID",
    "SELFBALANCE",
    "BASEFEE",
    "BLOBHASH",
    "BLOBBASEFEE",
    "SLOTNUM",
    "GASPRICE",
];

/// The set of instructions by which a transaction asked about its surroundings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings(u16);

impl Surroundings {
    /// Notes `opcode` if it is one of them. On the path of every instruction.
    #[inline]
    pub(crate) fn note(&mut self, opcode: u8) {
        let place = opcode.wrapping_sub(FIRST);
        if place < RANGE {
            self.0 |= 1 << place;
        } else if opcode == GASPRICE {
            self.0 |= 1 << PLACE_GASPRICE;
        }
    }

    /// Both sets together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether code that asked this can behave differently in another block or at another price.
    pub fn can_tell(self) -> bool {
        self.0 & !CONSTANT != 0
    }

    /// Their names, in order of their codes.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(place, _)| self.0 >> place & 1 == 1).map(|it| *it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::Surroundings;

    fn of(opcodes: &[u8]) -> Surroundings {
        let mut it = Surroundings::default();
        opcodes.iter().for_each(|opcode| it.note(*opcode));
        it
    }

    #[test]
    fn what_differs_between_blocks_is_told_from_what_does_not() {
        assert!(!of(&[0x00, 0x3f, 0x4c, 0x5a, 0xff]).can_tell(), "none of them");
        assert!(!of(&[0x46, 0x47]).can_tell(), "chain id and own balance");
        for opcode in [0x3a, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x48, 0x49, 0x4a, 0x4b] {
            assert!(of(&[opcode]).can_tell(), "{opcode:#x}");
        }
        let names: Vec<_> = of(&[0x48, 0x41, 0x3a, 0x41]).names().collect();
        assert_eq!(names, ["COINBASE", "BASEFEE", "GASPRICE"]);
    }
}
