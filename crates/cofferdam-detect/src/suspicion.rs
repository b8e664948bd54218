//! Signs that a transaction is an attack, cheap to see and harmless by themselves (A-class signals of
//! `onchain.md` §2.1). They raise a loss to an attack; alone they raise nothing.

use alloy_primitives::{Address, hex};
use cofferdam_core::{Fact, Tx};

use crate::Context;

/// Callbacks by which a lender calls its borrower within a flash loan or flash swap.
pub(crate) const CALLBACKS: &[[u8; 4]] = &[
    UNISWAP_V2_CALL,
    hex!("84800812"), // pancakeCall(address,uint256,uint256,bytes)
    hex!("e9cbafb0"), // uniswapV3FlashCallback(uint256,uint256,bytes)
    hex!("23e30c8b"), // onFlashLoan(address,address,uint256,uint256,bytes)
    hex!("920f5c84"), // executeOperation(address[],uint256[],uint256[],address,bytes)
    hex!("1b11d0ff"), // executeOperation(address,uint256,uint256,address,bytes)
    hex!("f04f2707"), // receiveFlashLoan(address[],uint256[],uint256[],bytes)
    hex!("31f57072"), // onMorphoFlashLoan(uint256,bytes)
    hex!("8b418713"), // callFunction(address,(address,uint256),bytes)
    hex!("7ed1f1dd"), // DPPFlashLoanCall(address,uint256,uint256,bytes)
    hex!("eb2021c3"), // DVMFlashLoanCall(address,uint256,uint256,bytes)
    hex!("d5b99797"), // DSPFlashLoanCall(address,uint256,uint256,bytes)
    hex!("5b3bc4fe"), // BiswapCall(address,uint256,uint256,bytes)
    hex!("a1d48336"), // pancakeV3FlashCallback(uint256,uint256,bytes)
    hex!("a60b0d3c"), // algebraFlashCallback(uint256,uint256,bytes)
];

/// `uniswapV2Call(address,uint256,uint256,bytes)`
pub(crate) const UNISWAP_V2_CALL: [u8; 4] = hex!("10d1e85c");

/// Transactions after which a sender is a service: an exchange that sweeps deposits to itself, not
/// somebody who has just prepared an attack. To look like one costs 10,000 transactions.
const SERVICE_NONCE: u64 = 10_000;

/// One sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sign {
    /// Money was borrowed for this transaction only.
    FlashLoan,
    /// Code takes part that was created in this transaction or block.
    FreshCode,
    /// Those who started the transaction entered the entity again from within.
    Reentered,
    /// The money ends with those who started the transaction.
    SelfServing,
    /// The money ends with an account that is not on the plan's list of recipients.
    UnlistedRecipient,
}

impl Sign {
    /// Strong signs raise a large loss to a critical one; weak ones only a very large loss.
    pub(crate) fn is_strong(self) -> bool {
        matches!(self, Self::FlashLoan | Self::FreshCode | Self::Reentered)
    }

    /// A phrase for people.
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Self::FlashLoan => "flash loan in the same transaction",
            Self::Reentered => "the entity was entered again from within",
            Self::FreshCode => "code created in the same block takes part",
            Self::SelfServing => "the sender keeps the money",
            Self::UnlistedRecipient => "the recipient is not listed",
        }
    }
}

/// Those who started the transaction: the sender, what it called unless that is ours, and every
/// contract created in the transaction.
pub(crate) fn initiators(tx: &Tx, is_ours: impl Fn(Address) -> bool) -> Vec<Address> {
    let mut cluster = vec![tx.from];
    cluster.extend(tx.to.into_iter().chain(tx.created).filter(|it| !is_ours(*it)));
    for fact in &tx.facts {
        if let Fact::Created { contract, .. } = fact
            && !cluster.contains(contract)
            && !is_ours(*contract)
        {
            cluster.push(*contract);
        }
    }
    cluster
}

/// Whether the sender has been at it for long.
pub fn is_service(tx: &Tx) -> bool {
    tx.nonce >= SERVICE_NONCE
}

/// Whether `tx` borrows within itself: an event of a lender, or a call by which one calls its borrower.
pub(crate) fn flash_loan(tx: &Tx, is_ours: impl Fn(Address) -> bool) -> bool {
    let event = tx.facts.iter().any(|it| matches!(it, Fact::FlashLoan { .. }));
    let callback = |it: &cofferdam_core::tx::Frame| {
        it.selector().is_some_and(|it| CALLBACKS.contains(&it)) && !is_ours(it.to)
    };
    event || (tx.tracing.is_evidence() && tx.calls().any(callback))
}

/// Whether code takes part that is not older than the block: a creation by anyone but us in `tx`, or
/// a callee or recipient of money that an earlier transaction of the block created.
pub(crate) fn fresh_code(
    cx: &Context<'_>,
    tx: &Tx,
    recipients: &[Address],
    is_ours: impl Fn(Address) -> bool,
) -> bool {
    let here = tx.facts.iter().any(|it| {
        matches!(it, Fact::Created { contract, creator } if !is_ours(*creator) && !is_ours(*contract))
    });
    let party = |it: &Address| tx.to == Some(*it) || recipients.contains(it);
    let earlier = cx.observation.txs.iter().take_while(|it| it.hash != tx.hash);
    here || earlier.flat_map(|it| &it.facts).any(
        |it| matches!(it, Fact::Created { contract, .. } if party(contract) && !is_ours(*contract)),
    )
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{hex, keccak256};

    #[test]
    fn every_callback_is_the_hash_of_its_signature() {
        let mut checked = 0;
        for line in include_str!("suspicion.rs").lines() {
            let Some(line) = line.strip_prefix("    hex!") else { continue };
            let Some((code, signature)) = line.split_once(", // ") else { continue };
            let hash = hex::encode(&keccak256(signature)[..4]);
            assert!(code.contains(&hash), "{signature} is {hash}");
            checked += 1;
        }
        assert!(checked >= 8, "only {checked} callbacks were checked");
    }
}
