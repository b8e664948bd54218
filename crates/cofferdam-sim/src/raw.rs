//! Decodes signed raw transactions.
//!
//! **Invariant:** total: any bytes give a transaction with its recovered signer or an error.

use alloy_consensus::{
    EthereumTxEnvelope, Transaction, TxEip4844, Typed2718, transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::U256;
use cofferdam_core::{
    ChainId, Tx,
    tx::{Authorization, Envelope},
};

/// The largest raw transaction we decode, in bytes; the limit of public pools.
pub const RAW_TX_BYTES_MAX: usize = 128 << 10;

/// Why bytes are not a transaction for the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// Longer than [`RAW_TX_BYTES_MAX`].
    #[error("transaction has {0} bytes")]
    TooLarge(usize),
    /// Not the encoding of a transaction, or of a kind we do not know.
    #[error("not an encoded transaction: {0}")]
    Malformed(String),
    /// The signature belongs to nobody.
    #[error("signature is invalid")]
    Signature,
    /// Signed for another chain.
    #[error("transaction is for chain {0}")]
    Chain(u64),
}

/// Decodes a signed EIP-2718 transaction for `chain` and recovers its sender.
///
/// # Errors
/// [`RawError`] if the bytes are not that.
pub fn decode_raw(raw: &[u8], chain: ChainId) -> Result<Tx, RawError> {
    if raw.len() > RAW_TX_BYTES_MAX {
        return Err(RawError::TooLarge(raw.len()));
    }
    let signed = EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(raw)
        .map_err(|error| RawError::Malformed(error.to_string()))?;
    if let Some(other) = signed.chain_id().filter(|it| *it != chain.0) {
        return Err(RawError::Chain(other));
    }
    let from = signed.recover_signer().map_err(|_| RawError::Signature)?;
    let list = signed.access_list().map(|it| it.0.as_slice()).unwrap_or_default();
    let list = list.iter().map(|it| (it.address, it.storage_keys.clone()));
    let authorizations = signed.authorization_list().unwrap_or_default();
    let authorizations = authorizations.iter().map(|it| Authorization {
        chain_id: U256::from(it.chain_id),
        address: it.address,
        nonce: it.nonce,
        authority: it.recover_authority().ok(),
    });
    Ok(Tx {
        hash: *signed.tx_hash(),
        from,
        to: signed.to(),
        nonce: signed.nonce(),
        value: signed.value(),
        input: signed.input().clone(),
        gas_limit: signed.gas_limit(),
        envelope: Envelope {
            kind: signed.ty(),
            access_list: list.collect(),
            authorizations: authorizations.collect(),
            blob_hashes: signed.blob_versioned_hashes().unwrap_or_default().to_vec(),
            max_fee_per_blob_gas: signed.max_fee_per_blob_gas().unwrap_or_default(),
        },
        max_fee_per_gas: signed.max_fee_per_gas(),
        max_priority_fee_per_gas: signed.priority_fee_or_price(),
        ..Tx::default()
    })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use cofferdam_core::ChainId;
    use proptest::prelude::*;

    use super::{RAW_TX_BYTES_MAX, RawError, decode_raw};

    /// The first transaction of mainnet block 46147, which predates EIP-155.
    const OLD: [u8; 105] = hex!(
        "f86780862d79883d2000825208945df9b87991262f6ba471f09758cde1c0fc1de734827a69801ca088ff6cf0fefd94"
        "db46111149ae4bfc179e9b94721fffd821d38d16464b3f71d0a045e0aff800961cfce805daef7016b9b675c137a6a4"
        "1a548f7b60a3484c06a33a"
    );

    #[test]
    fn an_old_transaction_is_valid_on_every_chain() {
        let tx = decode_raw(&OLD, ChainId(1)).ok();
        assert!(tx.is_some_and(|it| {
            it.from == hex!("a1e4380a3b1f749673e270229993ee55f35663b4")
                && it.hash
                    == hex!("5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060")
                && it.envelope.kind == 0
        }));
        assert!(decode_raw(&OLD, ChainId(10)).is_ok());
        assert_eq!(
            decode_raw(&[0; RAW_TX_BYTES_MAX + 1], ChainId(1)),
            Err(RawError::TooLarge(131_073))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..6,
            at in 0usize..OLD.len(), flip in 1u8..,
        ) {
            let _ = decode_raw(&bytes, ChainId(1));
            bytes.insert(0, kind);
            let _ = decode_raw(&bytes, ChainId(1));
            let mut old = OLD;
            old[at] ^= flip;
            let _ = decode_raw(&old, ChainId(1));
        }
    }
}
