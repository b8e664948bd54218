//! Logs bloom and receipts root, to check an execution against a block header.

use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope, TxType, proofs};
use alloy_primitives::{B256, Bloom, Log};
use cofferdam_core::Tx;

/// The bloom over the logs of `txs`.
pub(crate) fn bloom(txs: &[Tx]) -> Bloom {
    txs.iter().flat_map(|it| &it.logs).collect()
}

/// The root of the receipts of `txs` as of Byzantium (EIP-658), `None` if one has an unknown type.
pub(crate) fn root(txs: &[Tx]) -> Option<B256> {
    let mut cumulative = 0_u64;
    let mut receipts = Vec::with_capacity(txs.len());
    for tx in txs {
        cumulative = cumulative.saturating_add(tx.gas_used);
        let receipt = Receipt::<Log> {
            status: Eip658Value::Eip658(tx.succeeded),
            cumulative_gas_used: cumulative,
            logs: tx.logs.clone(),
        };
        let kind = TxType::try_from(tx.envelope.kind).ok()?;
        receipts.push(ReceiptEnvelope::from_typed(kind, receipt.with_bloom()));
    }
    Some(proofs::calculate_receipt_root(&receipts))
}
