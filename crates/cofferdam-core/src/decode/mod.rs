//! From a transaction to its facts. Pure and total: any log, frame or diff, however malformed, gives
//! facts or nothing, never a panic.
//!
//! A log of a known event with another number of topics or too little data is not that event: tokens
//! that differ from the standard (unindexed parameters, say) give no fact rather than a wrong one.

pub mod topics;

use alloy_primitives::{Address, B256, Log, U256};

use crate::{
    Fact, Tx,
    fact::SafeChange,
    tx::{CallKind, Frame},
};

/// The most ids of one ERC-1155 batch that become facts; an attacker chooses the length.
pub const BATCH_IDS_MAX: usize = 256;

/// Decodes the facts of `tx`: logs first, in order, then what call tree and state diff show.
/// A reverted transaction has none. Frames and diff are used only if they are evidence.
pub fn facts(tx: &Tx) -> Vec<Fact> {
    let mut out = Vec::new();
    if !tx.succeeded {
        return out;
    }
    for log in &tx.logs {
        decode_log(log, &mut out);
    }
    if tx.tracing.is_evidence() {
        for frame in tx.calls() {
            decode_frame(frame, &mut out);
        }
        decode_diff(tx, &mut out);
    } else {
        if let Some(to) = tx.to.or(tx.created).filter(|_| !tx.value.is_zero()) {
            out.push(Fact::NativeTransfer { from: tx.from, to, amount: tx.value });
        }
        if let Some(contract) = tx.created {
            out.push(Fact::Created { contract, creator: tx.from });
        }
    }
    out
}

fn decode_frame(frame: &Frame, out: &mut Vec<Fact>) {
    let (from, to) = (frame.from, frame.to);
    match frame.kind {
        CallKind::DelegateCall | CallKind::CallCode => out.push(Fact::Delegated {
            context: from,
            code: to,
            selector: frame.selector(),
            caller_kind: frame.kind,
        }),
        CallKind::Create => out.push(Fact::Created { contract: to, creator: from }),
        CallKind::Call | CallKind::StaticCall | CallKind::SelfDestruct => {}
    }
    let moves =
        !matches!(frame.kind, CallKind::DelegateCall | CallKind::CallCode | CallKind::StaticCall);
    if moves && !frame.value.is_zero() {
        out.push(Fact::NativeTransfer { from, to, amount: frame.value });
    }
}

fn decode_diff(tx: &Tx, out: &mut Vec<Fact>) {
    for it in &tx.diff.storage {
        let (address, slot, before, after) = (it.address, it.slot, it.before, it.after);
        out.push(Fact::StorageChanged { address, slot, before, after });
    }
    for it in &tx.diff.codes {
        let created =
            tx.calls().any(|frame| frame.kind == CallKind::Create && frame.to == it.address);
        if !created {
            out.push(Fact::CodeChanged { address: it.address, before: it.before, after: it.after });
        }
    }
}

/// A log with checked access to its topics and data words.
struct Reader<'a> {
    topics: &'a [B256],
    data: &'a [u8],
}

impl Reader<'_> {
    /// Whether the log has `topics` topics (the signature included) and at least `words` data words.
    fn shaped(&self, topics: usize, words: usize) -> bool {
        self.topics.len() == topics && self.data.len() >= words * 32
    }

    /// Topic `index` as an address; the signature is topic 0. Zero if absent, which [`Self::shaped`]
    /// has excluded.
    fn address(&self, index: usize) -> Address {
        self.topics.get(index).map_or(Address::ZERO, |it| Address::from_word(*it))
    }

    fn topic(&self, index: usize) -> B256 {
        self.topics.get(index).copied().unwrap_or_default()
    }

    fn word(&self, index: usize) -> U256 {
        let bytes = index.checked_mul(32).and_then(|at| self.data.get(at..at.checked_add(32)?));
        bytes.map(U256::from_be_slice).unwrap_or_default()
    }

    fn word_address(&self, index: usize) -> Address {
        Address::from_word(B256::from(self.word(index)))
    }

    /// Parameter `index` of an event with one parameter, indexed or not.
    fn only(&self) -> Option<U256> {
        match (self.topics.len(), self.data.len()) {
            (2, 0) => Some(U256::from_be_bytes(self.topic(1).0)),
            (1, 32..) => Some(self.word(0)),
            _ => None,
        }
    }

    fn only_address(&self) -> Option<Address> {
        self.only().map(|it| Address::from_word(B256::from(it)))
    }
}

fn decode_log(log: &Log, out: &mut Vec<Fact>) {
    let topics = log.data.topics();
    let Some(signature) = topics.first() else { return };
    let reader = Reader { topics, data: &log.data.data };
    let emitter = log.address;
    if *signature == topics::TRANSFER_BATCH {
        return decode_batch(emitter, &reader, out);
    }
    let fact = token_fact(emitter, signature, &reader)
        .or_else(|| flash_fact(emitter, signature, &reader))
        .or_else(|| market_fact(emitter, signature, &reader))
        .or_else(|| control_fact(emitter, signature, &reader))
        .or_else(|| safe_fact(emitter, signature, &reader));
    out.extend(fact);
}

fn token_fact(token: Address, signature: &B256, it: &Reader<'_>) -> Option<Fact> {
    let (a, b) = (it.address(1), it.address(2));
    Some(match *signature {
        topics::TRANSFER if it.shaped(3, 1) => {
            Fact::Transfer { token, from: a, to: b, amount: it.word(0) }
        }
        topics::TRANSFER if it.topics.len() == 4 => {
            Fact::NftTransfer { token, from: a, to: b, id: U256::from_be_bytes(it.topic(3).0) }
        }
        topics::TRANSFER_SINGLE if it.shaped(4, 2) => {
            let (from, to) = (it.address(2), it.address(3));
            Fact::MultiTransfer { token, from, to, id: it.word(0), amount: it.word(1) }
        }
        topics::APPROVAL if it.shaped(3, 1) => {
            Fact::Approval { token, owner: a, spender: b, amount: it.word(0) }
        }
        topics::WRAPPED if it.shaped(2, 1) => Fact::Wrapped { token, to: a, amount: it.word(0) },
        topics::UNWRAPPED if it.shaped(2, 1) => {
            Fact::Unwrapped { token, from: a, amount: it.word(0) }
        }
        _ => return None,
    })
}

/// `TransferBatch`: two dynamic arrays whose offsets and lengths an attacker may choose.
fn decode_batch(token: Address, it: &Reader<'_>, out: &mut Vec<Fact>) {
    if it.topics.len() != 4 {
        return;
    }
    let (from, to) = (it.address(2), it.address(3));
    let array = |word: usize| -> Option<(usize, usize)> {
        let offset = usize::try_from(it.word(word)).ok().filter(|at| at % 32 == 0)? / 32;
        let length = usize::try_from(it.word(offset)).ok()?;
        let first = offset.checked_add(1)?;
        let end = first.checked_add(length)?.checked_mul(32)?;
        (end <= it.data.len()).then_some((first, length))
    };
    let (Some((ids, count)), Some((amounts, amount_count))) = (array(0), array(1)) else { return };
    if count != amount_count {
        return;
    }
    for index in 0..count.min(BATCH_IDS_MAX) {
        let (id, amount) = (it.word(ids + index), it.word(amounts + index));
        out.push(Fact::MultiTransfer { token, from, to, id, amount });
    }
}

fn flash_fact(provider: Address, signature: &B256, it: &Reader<'_>) -> Option<Fact> {
    let (receiver, asset, amount) = match *signature {
        // Aave v3: target, asset and referral code are indexed; data is initiator, amount, mode, premium.
        topics::FLASH_AAVE_V3 if it.shaped(4, 4) => (it.address(1), it.address(2), it.word(1)),
        // Aave v2: target, initiator and asset are indexed.
        topics::FLASH_AAVE_V2 if it.shaped(4, 3) => (it.address(1), it.address(3), it.word(0)),
        topics::FLASH_BALANCER if it.shaped(3, 2) => (it.address(1), it.address(2), it.word(0)),
        topics::FLASH_MORPHO if it.shaped(3, 1) => (it.address(1), it.address(2), it.word(0)),
        // Uniswap v3 lends both tokens of the pool; the amounts are told, the tokens are not.
        topics::FLASH_UNISWAP_V3 if it.shaped(3, 4) => {
            (it.address(2), provider, it.word(0).max(it.word(1)))
        }
        _ => return None,
    };
    Some(Fact::FlashLoan { provider, receiver, asset, amount })
}

fn market_fact(emitter: Address, signature: &B256, it: &Reader<'_>) -> Option<Fact> {
    Some(match *signature {
        topics::PAIR_SWAP if it.shaped(3, 4) => Fact::PairSwap {
            pair: emitter,
            sender: it.address(1),
            to: it.address(2),
            in0: it.word(0),
            in1: it.word(1),
            out0: it.word(2),
            out1: it.word(3),
        },
        topics::PAIR_SYNC if it.shaped(1, 2) => {
            Fact::PairSync { pair: emitter, reserve0: it.word(0), reserve1: it.word(1) }
        }
        topics::VAULT_DEPOSIT if it.shaped(3, 2) => Fact::VaultDeposit {
            vault: emitter,
            owner: it.address(2),
            assets: it.word(0),
            shares: it.word(1),
        },
        topics::VAULT_WITHDRAW if it.shaped(4, 2) => Fact::VaultWithdraw {
            vault: emitter,
            receiver: it.address(2),
            owner: it.address(3),
            assets: it.word(0),
            shares: it.word(1),
        },
        topics::MARKET_MINT if it.shaped(1, 3) => Fact::MarketMint {
            market: emitter,
            minter: it.word_address(0),
            amount: it.word(1),
            tokens: it.word(2),
        },
        topics::MARKET_REDEEM if it.shaped(1, 3) => Fact::MarketRedeem {
            market: emitter,
            redeemer: it.word_address(0),
            amount: it.word(1),
            tokens: it.word(2),
        },
        topics::MARKET_BORROW if it.shaped(1, 4) => Fact::MarketBorrow {
            market: emitter,
            borrower: it.word_address(0),
            amount: it.word(1),
            borrows: it.word(2),
        },
        _ => return None,
    })
}

fn control_fact(emitter: Address, signature: &B256, it: &Reader<'_>) -> Option<Fact> {
    let pair = || match (it.topics.len(), it.data.len()) {
        (3, _) => Some((it.address(1), it.address(2))),
        (1, 64..) => Some((it.word_address(0), it.word_address(1))),
        _ => None,
    };
    let role = |role: B256| (role, it.address(2));
    Some(match *signature {
        topics::UPGRADED => Fact::Upgraded { proxy: emitter, implementation: it.only_address()? },
        topics::ADMIN_CHANGED => {
            let (old, new) = pair()?;
            Fact::AdminChanged { proxy: emitter, old, new }
        }
        topics::BEACON_UPGRADED => {
            Fact::BeaconUpgraded { proxy: emitter, beacon: it.only_address()? }
        }
        topics::OWNERSHIP_TRANSFERRED => {
            let (old, new) = pair()?;
            Fact::OwnershipTransferred { contract: emitter, old, new }
        }
        topics::ROLE_GRANTED if it.topics.len() == 4 => {
            let (role, account) = role(it.topic(1));
            Fact::RoleGranted { contract: emitter, role, account }
        }
        topics::MANAGER_ROLE_GRANTED if it.topics.len() == 3 => {
            let (role, account) = role(it.topic(1));
            Fact::RoleGranted { contract: emitter, role, account }
        }
        topics::ROLE_REVOKED if it.topics.len() == 4 => {
            let (role, account) = role(it.topic(1));
            Fact::RoleRevoked { contract: emitter, role, account }
        }
        topics::MANAGER_ROLE_REVOKED if it.topics.len() == 3 => {
            let (role, account) = role(it.topic(1));
            Fact::RoleRevoked { contract: emitter, role, account }
        }
        topics::PAUSED if it.only().is_some() => Fact::Paused { contract: emitter },
        topics::GUARDIAN_PAUSED if it.only().is_some() => Fact::Paused { contract: emitter },
        topics::UNPAUSED if it.only().is_some() => Fact::Unpaused { contract: emitter },
        topics::GOVERNANCE_PAUSED => match it.only()?.is_zero() {
            true => Fact::Unpaused { contract: emitter },
            false => Fact::Paused { contract: emitter },
        },
        _ => return None,
    })
}

fn safe_fact(safe: Address, signature: &B256, it: &Reader<'_>) -> Option<Fact> {
    let address = it.only_address();
    let change = match *signature {
        topics::ADDED_OWNER => SafeChange::OwnerAdded { owner: address? },
        topics::REMOVED_OWNER => SafeChange::OwnerRemoved { owner: address? },
        topics::CHANGED_THRESHOLD => SafeChange::Threshold { threshold: it.only()? },
        topics::ENABLED_MODULE => SafeChange::ModuleEnabled { module: address? },
        topics::DISABLED_MODULE => SafeChange::ModuleDisabled { module: address? },
        topics::CHANGED_GUARD => SafeChange::Guard { guard: address? },
        topics::CHANGED_MODULE_GUARD => SafeChange::ModuleGuard { guard: address? },
        topics::CHANGED_FALLBACK_HANDLER => SafeChange::FallbackHandler { handler: address? },
        topics::CHANGED_MASTER_COPY => SafeChange::MasterCopy { singleton: address? },
        _ => return None,
    };
    Some(Fact::SafeChanged { safe, change })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, Log, U256};
    use proptest::prelude::*;

    use super::{BATCH_IDS_MAX, facts, topics};
    use crate::{Fact, Tx};

    fn tx(topics: Vec<B256>, data: Vec<u8>) -> Tx {
        let log = Log::new_unchecked(Address::repeat_byte(7), topics, Bytes::from(data));
        Tx { succeeded: true, logs: vec![log], ..Tx::default() }
    }

    fn word(value: u64) -> B256 {
        B256::from(U256::from(value))
    }

    #[test]
    fn a_transfer_is_decoded_and_a_short_one_is_not() {
        let topics = vec![topics::TRANSFER, word(1), word(2)];
        let full = facts(&tx(topics.clone(), word(5).to_vec()));
        assert!(matches!(full[..], [Fact::Transfer { amount, .. }] if amount == U256::from(5)));
        assert_eq!(facts(&tx(topics, vec![0; 31])), vec![]);
    }

    #[test]
    fn a_reverted_transaction_has_no_facts() {
        let mut reverted = tx(vec![topics::TRANSFER, word(1), word(2)], word(5).to_vec());
        reverted.succeeded = false;
        assert_eq!(facts(&reverted), vec![]);
    }

    #[test]
    fn a_batch_is_bounded() {
        let count = BATCH_IDS_MAX + 10;
        let mut data = [word(64), word(64 + 32 * (count as u64 + 1))].concat();
        for _ in 0..2 {
            data.extend_from_slice(word(count as u64).as_slice());
            data.extend(std::iter::repeat_n(word(3), count).flatten());
        }
        let topics = vec![topics::TRANSFER_BATCH, word(9), word(1), word(2)];
        assert_eq!(facts(&tx(topics, data)).len(), BATCH_IDS_MAX);
    }

    proptest! {
        #[test]
        fn no_log_makes_the_decoder_panic(
            signature in proptest::sample::select(vec![
                topics::TRANSFER, topics::TRANSFER_BATCH, topics::FLASH_AAVE_V2, topics::PAIR_SWAP,
                topics::UPGRADED, topics::ROLE_GRANTED, topics::ADDED_OWNER, topics::MARKET_BORROW,
            ]),
            rest in proptest::collection::vec(any::<[u8; 32]>(), 0..4),
            data in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let topics = std::iter::once(signature).chain(rest.into_iter().map(B256::from)).collect();
            facts(&tx(topics, data));
        }
    }
}
