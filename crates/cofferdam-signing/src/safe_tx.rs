//! What a Safe's owners sign: the transaction, the message, and their hashes.
//!
//! **Invariant:** a hash is never partial. All three parts come out together, from our own code alone, and the release
//! and the chain are arguments that have no default.
//!
//! Source: `Safe.sol` and `CompatibilityFallbackHandler.sol` of releases 1.0.0 to 1.5.0 (EIP-712).

use alloy_primitives::{Address, B256, Bytes, U256, b256, keccak256};
use cofferdam_core::ChainId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{SafeVersion, quantity};

/// `keccak256("EIP712Domain(address verifyingContract)")`, before 1.3.0.
const DOMAIN_TYPE_OLD: B256 =
    b256!("035aff83d86937d35b32e04f0ddc6ff469290eef2f1b692d8a815c89404d4749");
/// `keccak256("EIP712Domain(uint256 chainId,address verifyingContract)")`, since 1.3.0.
const DOMAIN_TYPE: B256 = b256!("47e79534a245952e8b16893a336b85a3d9ea9fa8c573f3d803afb92a79469218");
/// `keccak256("SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,…)")`.
const SAFE_TX_TYPE: B256 =
    b256!("bb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8");
/// `keccak256("SafeMessage(bytes message)")`.
const SAFE_MESSAGE_TYPE: B256 =
    b256!("60b3cbf8b4a223d68d641b3b6ddf9a298e7f33710cf3d3a9d1146b5a6150fbca");

/// How a Safe runs the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// An ordinary call.
    #[default]
    Call,
    /// The target's code runs on the Safe's own storage and balance: it can do anything to the Safe.
    DelegateCall,
}

impl Operation {
    /// As in the ABI: 0 or 1.
    pub fn as_u8(self) -> u8 {
        match self {
            Self::Call => 0,
            Self::DelegateCall => 1,
        }
    }

    /// From the ABI; `None` for everything but 0 and 1.
    pub fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Call),
            1 => Some(Self::DelegateCall),
            _ => None,
        }
    }

    /// As the card says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::DelegateCall => "DELEGATECALL",
        }
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.as_u8())
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u8::deserialize(deserializer)?;
        Self::from_u8(value)
            .ok_or_else(|| de::Error::custom("operation is neither 0 (call) nor 1 (delegatecall)"))
    }
}

/// A transaction of a Safe. Field names in files are those of the Safe's EIP-712 type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SafeTx {
    /// The target.
    pub to: Address,
    /// Wei sent along.
    #[serde(with = "quantity")]
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
    /// Call or delegatecall.
    pub operation: Operation,
    /// Gas that the call must get; 0: all.
    #[serde(with = "quantity")]
    pub safe_tx_gas: U256,
    /// Gas paid for besides, when a refund is paid.
    #[serde(with = "quantity")]
    pub base_gas: U256,
    /// Price of a unit of gas in the refund; 0: no refund.
    #[serde(with = "quantity")]
    pub gas_price: U256,
    /// Token of the refund; zero: ether.
    pub gas_token: Address,
    /// Who gets the refund; zero: who executes.
    pub refund_receiver: Address,
    /// The Safe's nonce.
    #[serde(with = "quantity")]
    pub nonce: U256,
}

/// The Safe that signs: what the domain is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SafeDomain {
    /// The release of its singleton.
    pub version: SafeVersion,
    /// Its chain.
    pub chain: ChainId,
    /// Its address.
    pub safe: Address,
}

/// The three hashes that belong together; hardware wallets show the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hashes {
    /// EIP-712 domain separator.
    pub domain: B256,
    /// EIP-712 struct hash of the transaction or message.
    pub message: B256,
    /// What is signed: `keccak256(0x1901 ‖ domain ‖ message)`.
    pub signed: B256,
}

impl Hashes {
    fn of(domain: B256, message: B256) -> Self {
        let signed = keccak256(preimage(domain, message));
        Self { domain, message, signed }
    }

    /// The 66 bytes whose hash is signed.
    pub fn preimage(&self) -> [u8; 66] {
        preimage(self.domain, self.message)
    }
}

fn preimage(domain: B256, message: B256) -> [u8; 66] {
    let mut out = [0u8; 66];
    let parts = [0x19, 0x01].iter().chain(domain.iter()).chain(message.iter());
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    out
}

fn words(words: &[B256]) -> B256 {
    keccak256(words.concat())
}

impl SafeDomain {
    /// EIP-712 domain separator; holds the chain since 1.3.0.
    pub fn separator(&self) -> B256 {
        let safe = self.safe.into_word();
        if self.version.binds_chain() {
            words(&[DOMAIN_TYPE, U256::from(self.chain.0).into(), safe])
        } else {
            words(&[DOMAIN_TYPE_OLD, safe])
        }
    }

    /// Hashes of a transaction.
    pub fn transaction(&self, tx: &SafeTx) -> Hashes {
        let message = words(&[
            SAFE_TX_TYPE,
            tx.to.into_word(),
            tx.value.into(),
            keccak256(&tx.data),
            U256::from(tx.operation.as_u8()).into(),
            tx.safe_tx_gas.into(),
            tx.base_gas.into(),
            tx.gas_price.into(),
            tx.gas_token.into_word(),
            tx.refund_receiver.into_word(),
            tx.nonce.into(),
        ]);
        Hashes::of(self.separator(), message)
    }

    /// Hashes of a `SafeMessage` over `message`, as the fallback handler computes them.
    pub fn message(&self, message: &[u8]) -> Hashes {
        Hashes::of(self.separator(), words(&[SAFE_MESSAGE_TYPE, keccak256(message)]))
    }

    /// Hashes of an off-chain message: the Safe signs its EIP-191 hash.
    pub fn text(&self, text: &[u8]) -> Hashes {
        self.message(alloy_primitives::eip191_hash_message(text).as_slice())
    }

    /// What the owners of this Safe sign so that it, as an owner of `parent`, agrees to `hashes` there.
    ///
    /// The parent's release decides the message: before 1.5.0 it asks `isValidSignature(bytes,bytes)` with the 66 bytes
    /// before hashing, since 1.5.0 `isValidSignature(bytes32,bytes)` with the hash.
    pub fn as_owner_of(&self, parent: &Self, hashes: &Hashes) -> Hashes {
        if parent.version >= SafeVersion::V1_5_0 {
            self.message(hashes.signed.as_slice())
        } else {
            self.message(&hashes.preimage())
        }
    }
}

impl SafeTx {
    /// The transaction that takes this one's place: the Safe calls itself with nothing, at the same nonce. Once it is
    /// executed, this one never can be.
    #[must_use]
    pub fn cancel(safe: Address, nonce: U256) -> Self {
        Self { to: safe, nonce, ..Self::default() }
    }

    /// Whether it does nothing but use its nonce up.
    pub fn is_cancel(&self, safe: Address) -> bool {
        *self == Self::cancel(safe, self.nonce)
    }

    /// Whether any field of the gas refund is set.
    pub fn has_refund(&self) -> bool {
        let amounts = !self.gas_price.is_zero() || !self.base_gas.is_zero();
        amounts || !self.gas_token.is_zero() || !self.refund_receiver.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256, keccak256};
    use cofferdam_core::ChainId;

    use super::{
        DOMAIN_TYPE, DOMAIN_TYPE_OLD, Operation, SAFE_MESSAGE_TYPE, SAFE_TX_TYPE, SafeDomain,
        SafeTx,
    };
    use crate::SafeVersion;

    fn domain(version: SafeVersion, chain: u64) -> SafeDomain {
        SafeDomain { version, chain: ChainId(chain), safe: Address::repeat_byte(0x5a) }
    }

    #[test]
    fn type_hashes_are_the_hashes_of_their_types() {
        let of = |text: &str| keccak256(text);
        assert_eq!(DOMAIN_TYPE_OLD, of("EIP712Domain(address verifyingContract)"));
        assert_eq!(DOMAIN_TYPE, of("EIP712Domain(uint256 chainId,address verifyingContract)"));
        assert_eq!(SAFE_MESSAGE_TYPE, of("SafeMessage(bytes message)"));
        let tx = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)";
        assert_eq!(SAFE_TX_TYPE, of(tx));
    }

    #[test]
    fn every_field_is_signed() {
        let domain = domain(SafeVersion::V1_4_1, 1);
        let base = SafeTx::default();
        let one = U256::from(1);
        let someone = Address::repeat_byte(1);
        let changed = [
            SafeTx { to: someone, ..base.clone() },
            SafeTx { value: one, ..base.clone() },
            SafeTx { data: [1].into(), ..base.clone() },
            SafeTx { operation: Operation::DelegateCall, ..base.clone() },
            SafeTx { safe_tx_gas: one, ..base.clone() },
            SafeTx { base_gas: one, ..base.clone() },
            SafeTx { gas_price: one, ..base.clone() },
            SafeTx { gas_token: someone, ..base.clone() },
            SafeTx { refund_receiver: someone, ..base.clone() },
            SafeTx { nonce: one, ..base.clone() },
        ];
        let mut hashes: Vec<_> = changed.iter().map(|it| domain.transaction(it).signed).collect();
        hashes.push(domain.transaction(&base).signed);
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 11);
    }

    #[test]
    fn old_releases_sign_for_every_chain_and_new_ones_for_one() {
        let tx = SafeTx::default();
        let signed = |version, chain| domain(version, chain).transaction(&tx).signed;
        assert_eq!(signed(SafeVersion::V1_2_0, 1), signed(SafeVersion::V1_2_0, 10));
        assert_ne!(signed(SafeVersion::V1_3_0, 1), signed(SafeVersion::V1_3_0, 10));
    }

    #[test]
    fn what_a_nested_safe_signs_depends_on_the_release_of_its_parent() {
        let child = domain(SafeVersion::V1_5_0, 1);
        let under = |version| {
            let parent = SafeDomain { safe: Address::repeat_byte(0xaa), ..domain(version, 1) };
            let hashes = parent.transaction(&SafeTx::default());
            (child.as_owner_of(&parent, &hashes).signed, hashes)
        };
        let (old, hashes) = under(SafeVersion::V1_4_1);
        assert_eq!(old, child.message(&hashes.preimage()).signed);
        let (new, hashes) = under(SafeVersion::V1_5_0);
        assert_eq!(new, child.message(hashes.signed.as_slice()).signed);
        assert_ne!(old, new);
    }

    #[test]
    fn a_transaction_survives_its_file_and_an_unknown_field_does_not() {
        let tx = SafeTx { value: U256::MAX, nonce: U256::from(7), ..SafeTx::default() };
        let text = serde_json::to_string(&tx).unwrap();
        assert_eq!(serde_json::from_str::<SafeTx>(&text).unwrap(), tx);
        let more = text.replacen('{', "{\"surprise\":1,", 1);
        assert!(serde_json::from_str::<SafeTx>(&more).is_err());
        let operation = text.replace("\"operation\":0", "\"operation\":2");
        assert!(serde_json::from_str::<SafeTx>(&operation).is_err());
    }
}
