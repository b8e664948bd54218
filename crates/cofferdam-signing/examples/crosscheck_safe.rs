//! Random Safe transactions with our hashes and packed signatures, one a line, for comparison with another library
//! (`cargo xtask crosscheck safe`). The argument is how many.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::ChainId;
use cofferdam_signing::{
    Operation, SafeDomain, SafeTx, SafeVersion, exec::exec_transaction, known,
};

/// Numbers that look random and are the same each time.
struct Dice(B256);

impl Dice {
    fn roll(&mut self) -> B256 {
        self.0 = keccak256(self.0);
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        let roll: U256 = self.roll().into();
        u64::try_from(roll % U256::from(end)).unwrap_or_default()
    }

    /// Of any size, small ones as often as large ones.
    fn number(&mut self) -> U256 {
        let shift = usize::try_from(self.below(257)).unwrap_or_default();
        U256::from_be_bytes(self.roll().0).wrapping_shr(shift)
    }

    fn address(&mut self) -> Address {
        if self.below(4) == 0 { Address::ZERO } else { Address::from_word(self.roll()) }
    }

    fn bytes(&mut self) -> Bytes {
        let length = usize::try_from(self.below(200)).unwrap_or_default();
        let mut out = Vec::new();
        while out.len() < length {
            out.extend_from_slice(self.roll().as_slice());
        }
        out.truncate(length);
        out.into()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(1_000);
    let mut dice = Dice(keccak256("cofferdam crosscheck safe"));
    let chains = [1, 10, 56, 100, 137, 8_453, 42_161, 11_155_111, 31_337];
    for _ in 0..count {
        let index = usize::try_from(dice.below(6))?;
        let version = SafeVersion::ALL.get(index).copied().unwrap_or(SafeVersion::V1_5_0);
        let chain = usize::try_from(dice.below(9))?;
        let chain = ChainId(chains.get(chain).copied().unwrap_or(1));
        let domain = SafeDomain { version, chain, safe: Address::from_word(dice.roll()) };
        let operation = if dice.below(2) == 0 { Operation::Call } else { Operation::DelegateCall };
        let tx = SafeTx {
            to: dice.address(),
            value: dice.number(),
            data: dice.bytes(),
            operation,
            safe_tx_gas: dice.number(),
            base_gas: dice.number(),
            gas_price: dice.number(),
            gas_token: dice.address(),
            refund_receiver: dice.address(),
            nonce: dice.number(),
        };
        let signatures = dice.bytes();
        let hashes = domain.transaction(&tx);
        let line = serde_json::json!({
            "version": version, "chain": chain.0, "safe": domain.safe.to_checksum(None), "tx": tx,
            "hashes": hashes, "signatures": signatures, "exec": exec_transaction(&tx, &signatures)?,
            "message": domain.text(&tx.data).signed, "text": tx.data,
        });
        println!("{line}");
    }
    let address = |it: &(Address, SafeVersion)| serde_json::json!([it.1, it.0.to_checksum(None)]);
    let known = serde_json::json!({
        "callOnly": known::CALL_ONLY.iter().map(address).collect::<Vec<_>>(),
        "singletons": known::SINGLETONS.iter().map(address).collect::<Vec<_>>(),
    });
    println!("{known}");
    Ok(())
}
