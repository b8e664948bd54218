//! The state reads that detectors share: how to ask, and how to take the answer.
//!
//! **Invariant:** an answer that is missing, reverted or too short is `None`, never zero.

use alloy_primitives::{Address, Bytes, U256, hex};
use cofferdam_core::{
    plan::AssetId,
    read::{Reading, StateRead},
};

use crate::{Context, Question};

/// `balanceOf(address)`
pub(crate) const BALANCE_OF: [u8; 4] = hex!("70a08231");
/// `totalSupply()`
pub(crate) const TOTAL_SUPPLY: [u8; 4] = hex!("18160ddd");
/// `totalAssets()`
pub(crate) const TOTAL_ASSETS: [u8; 4] = hex!("01e1d114");
/// `convertToAssets(uint256)`
pub(crate) const CONVERT_TO_ASSETS: [u8; 4] = hex!("07a2d13a");
/// `exchangeRateStored()`
pub(crate) const EXCHANGE_RATE_STORED: [u8; 4] = hex!("182df0f5");
/// `getAccountSnapshot(address)`
pub(crate) const GET_ACCOUNT_SNAPSHOT: [u8; 4] = hex!("c37f68e2");
/// `underlying()`
pub(crate) const UNDERLYING: [u8; 4] = hex!("6f307dc3");
/// `allowance(address,address)`
pub(crate) const ALLOWANCE: [u8; 4] = hex!("dd62ed3e");
/// `getApproved(uint256)`
pub(crate) const GET_APPROVED: [u8; 4] = hex!("081812fc");
/// `isApprovedForAll(address,address)`
pub(crate) const IS_APPROVED_FOR_ALL: [u8; 4] = hex!("e985e9c5");
/// `getReserves()`
pub(crate) const GET_RESERVES: [u8; 4] = hex!("0902f1ac");
/// `get_virtual_price()`
pub(crate) const GET_VIRTUAL_PRICE: [u8; 4] = hex!("bb7b8b80");
/// `getRate()`
pub(crate) const GET_RATE: [u8; 4] = hex!("679aefce");
/// `hasRole(bytes32,address)`
pub(crate) const HAS_ROLE: [u8; 4] = hex!("91d14854");
/// `chargesLeft(bytes32)`
pub(crate) const CHARGES_LEFT: [u8; 4] = hex!("b311e3ad");
/// `signerExpiry(address)`
pub(crate) const SIGNER_EXPIRY: [u8; 4] = hex!("9219bbea");

/// The word `index` of the answer before and after, each `None` if unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    /// At the parent.
    pub(crate) before: Option<U256>,
    /// At the block.
    pub(crate) after: Option<U256>,
}

impl Pair {
    /// Both, if both are known.
    pub(crate) fn both(self) -> Option<(U256, U256)> {
        self.before.zip(self.after)
    }
}

/// A view call without arguments.
pub(crate) fn view(to: Address, selector: [u8; 4]) -> StateRead {
    StateRead::Call { to, data: Bytes::copy_from_slice(&selector) }
}

/// A view call with one word as argument.
pub(crate) fn view_of(to: Address, selector: [u8; 4], argument: U256) -> StateRead {
    view_with(to, selector, &[argument])
}

/// A view call with words as arguments.
pub(crate) fn view_with(to: Address, selector: [u8; 4], arguments: &[U256]) -> StateRead {
    let mut data = selector.to_vec();
    for argument in arguments {
        data.extend_from_slice(&argument.to_be_bytes::<32>());
    }
    StateRead::Call { to, data: data.into() }
}

/// What `account` holds of an asset.
pub(crate) fn holding(asset: AssetId, account: Address) -> StateRead {
    match asset {
        AssetId::Native => StateRead::Balance(account),
        AssetId::Token(token) => view_of(token, BALANCE_OF, word(account)),
    }
}

/// An address as a word.
pub(crate) fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

/// Word `index` of the reading of `read`.
pub(crate) fn pair_at(cx: &Context<'_>, read: &StateRead, index: usize) -> Pair {
    let Some(Reading { before, after }) = cx.observation.readings.get(read) else {
        return Pair::default();
    };
    Pair { before: before.word(index), after: after.word(index) }
}

/// The first word of the reading of `read`.
pub(crate) fn pair(cx: &Context<'_>, read: &StateRead) -> Pair {
    pair_at(cx, read, 0)
}

/// `read`, asked if a transaction touches `account`.
pub(crate) fn when_touched(read: StateRead, account: Address) -> Question {
    Question { read, touched: vec![account] }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{hex, keccak256};

    #[test]
    fn every_selector_is_the_hash_of_its_signature() {
        let source = include_str!("reads.rs");
        let mut lines = source.lines();
        let mut checked = 0;
        while let Some(line) = lines.next() {
            let Some(signature) = line.strip_prefix("/// `").and_then(|it| it.strip_suffix("`"))
            else {
                continue;
            };
            let hash = keccak256(signature);
            let selector = hex::encode(hash.get(..4).unwrap_or_default());
            assert!(
                lines.next().is_some_and(|it| it.contains(&selector)),
                "{signature} {selector}"
            );
            checked += 1;
        }
        assert!(checked >= 9, "only {checked} selectors were checked");
    }
}
