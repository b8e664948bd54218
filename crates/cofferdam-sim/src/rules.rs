//! Which fork rules a block runs under.
//!
//! **Invariant:** a pure function of chain, number and timestamp; nothing here looks anything up.

use alloy_eips::{eip7840::BlobParams, eip7892};
use cofferdam_core::{BlockRef, ChainId};
use revm::primitives::hardfork::SpecId;

/// When a fork is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// From this block on.
    Block(u64),
    /// From this block timestamp on, in seconds.
    Time(u64),
}

/// The fork schedule of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// In ascending order; the last active one counts.
    forks: Vec<(Activation, SpecId)>,
    /// Changes of the blob base fee update fraction, in seconds, ascending.
    blob_fractions: Vec<(u64, u64)>,
    /// Block whose irregular state change we do not reproduce.
    irregular: Option<u64>,
}

/// Ethereum mainnet, from the Ethereum Execution Specifications.
const MAINNET: [(Activation, SpecId); 14] = [
    (Activation::Block(0), SpecId::FRONTIER),
    (Activation::Block(1_150_000), SpecId::HOMESTEAD),
    (Activation::Block(2_463_000), SpecId::TANGERINE),
    (Activation::Block(2_675_000), SpecId::SPURIOUS_DRAGON),
    (Activation::Block(4_370_000), SpecId::BYZANTIUM),
    (Activation::Block(7_280_000), SpecId::PETERSBURG),
    (Activation::Block(9_069_000), SpecId::ISTANBUL),
    (Activation::Block(12_244_000), SpecId::BERLIN),
    (Activation::Block(12_965_000), SpecId::LONDON),
    (Activation::Block(15_537_394), SpecId::MERGE),
    (Activation::Time(1_681_338_455), SpecId::SHANGHAI),
    (Activation::Time(1_710_338_135), SpecId::CANCUN),
    (Activation::Time(1_746_612_311), SpecId::PRAGUE),
    (Activation::Time(1_764_798_551), SpecId::OSAKA),
];

/// Mainnet's blob-parameter-only forks (EIP-7892).
const MAINNET_BLOBS: [(u64, u64); 2] = [
    (1_765_290_071, eip7892::BPO1_BASE_UPDATE_FRACTION),
    (1_767_747_671, eip7892::BPO2_BASE_UPDATE_FRACTION),
];

/// The DAO fork moved balances outside of any transaction.
const MAINNET_DAO_FORK: u64 = 1_920_000;

impl Rules {
    /// The schedule of `chain`: mainnet's for chain 1, Prague throughout for every other chain (most
    /// test and layer-2 chains run rules that new or newer; configure where that is wrong).
    pub fn of(chain: ChainId) -> Self {
        if chain.0 == 1 { Self::mainnet() } else { Self::fixed(SpecId::PRAGUE) }
    }

    /// Ethereum mainnet from Frontier to Osaka.
    pub fn mainnet() -> Self {
        Self {
            forks: MAINNET.to_vec(),
            blob_fractions: MAINNET_BLOBS.to_vec(),
            irregular: Some(MAINNET_DAO_FORK),
        }
    }

    /// The same rules for every block.
    pub fn fixed(spec: SpecId) -> Self {
        Self {
            forks: vec![(Activation::Block(0), spec)],
            blob_fractions: Vec::new(),
            irregular: None,
        }
    }

    /// A schedule of one's own; `forks` in ascending order.
    pub fn scheduled(forks: Vec<(Activation, SpecId)>) -> Self {
        Self { forks, blob_fractions: Vec::new(), irregular: None }
    }

    /// Fixed rules by their name as recorded data writes it, e.g. `LONDON`; `None` if unknown.
    pub fn named(name: &str) -> Option<Self> {
        Some(Self::fixed(match name.to_ascii_uppercase().as_str() {
            "FRONTIER" => SpecId::FRONTIER,
            "HOMESTEAD" => SpecId::HOMESTEAD,
            "TANGERINE" => SpecId::TANGERINE,
            "SPURIOUS_DRAGON" => SpecId::SPURIOUS_DRAGON,
            "BYZANTIUM" => SpecId::BYZANTIUM,
            "PETERSBURG" | "CONSTANTINOPLE" => SpecId::PETERSBURG,
            "ISTANBUL" | "MUIR_GLACIER" => SpecId::ISTANBUL,
            "BERLIN" => SpecId::BERLIN,
            "LONDON" | "ARROW_GLACIER" | "GRAY_GLACIER" => SpecId::LONDON,
            "MERGE" | "PARIS" => SpecId::MERGE,
            "SHANGHAI" => SpecId::SHANGHAI,
            "CANCUN" => SpecId::CANCUN,
            "PRAGUE" => SpecId::PRAGUE,
            "OSAKA" => SpecId::OSAKA,
            _ => return None,
        }))
    }

    /// The rules that `block` runs under.
    pub fn at(&self, block: &BlockRef) -> SpecId {
        let secs = block.time.0 / 1_000;
        let active = |it: &&(Activation, SpecId)| match it.0 {
            Activation::Block(number) => block.number >= number,
            Activation::Time(time) => secs >= time,
        };
        self.forks.iter().rfind(active).map_or(SpecId::FRONTIER, |it| it.1)
    }

    /// The blob base fee update fraction of `block`.
    pub(crate) fn blob_fraction(&self, block: &BlockRef) -> u64 {
        let secs = block.time.0 / 1_000;
        if let Some((_, fraction)) = self.blob_fractions.iter().rfind(|it| secs >= it.0) {
            return *fraction;
        }
        let cancun = !self.at(block).is_enabled_in(SpecId::PRAGUE);
        let params = if cancun { BlobParams::cancun() } else { BlobParams::prague() };
        u64::try_from(params.update_fraction).unwrap_or(u64::MAX)
    }

    /// Whether `block` changes state outside of its transactions in a way that is not reproduced.
    pub(crate) fn is_irregular(&self, block: &BlockRef) -> bool {
        self.irregular == Some(block.number)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use cofferdam_core::{BlockRef, ChainId, Timestamp};
    use revm::primitives::hardfork::SpecId;

    use super::Rules;

    fn block(number: u64, secs: u64) -> BlockRef {
        let (hash, parent) = (B256::ZERO, B256::ZERO);
        BlockRef { chain: ChainId(1), number, hash, parent, time: Timestamp::from_secs(secs) }
    }

    #[test]
    fn mainnet_forks_by_number_and_later_by_time() {
        let rules = Rules::of(ChainId(1));
        assert_eq!(rules.at(&block(46_147, 1_438_918_233)), SpecId::FRONTIER);
        assert_eq!(rules.at(&block(12_964_999, 1_628_166_812)), SpecId::BERLIN);
        assert_eq!(rules.at(&block(12_965_000, 1_628_166_822)), SpecId::LONDON);
        assert_eq!(rules.at(&block(17_034_869, 1_681_338_443)), SpecId::MERGE);
        assert_eq!(rules.at(&block(17_034_870, 1_681_338_455)), SpecId::SHANGHAI);
        assert_eq!(rules.at(&block(24_000_000, 1_800_000_000)), SpecId::OSAKA);
        assert_eq!(rules.blob_fraction(&block(23_000_000, 1_750_000_000)), 5_007_716);
        assert_eq!(rules.blob_fraction(&block(24_000_000, 1_800_000_000)), 11_684_671);
    }

    #[test]
    fn rules_are_known_by_name() {
        assert_eq!(Rules::named("London"), Some(Rules::fixed(SpecId::LONDON)));
        assert_eq!(Rules::named("atlantis"), None);
    }
}
