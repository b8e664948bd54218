//! Samples: what one transaction did to an entity, as far as guards ask.
//!
//! **Invariant:** a sample rests on a call tree that is evidence. Amounts are gross, per contract and per
//! asset that the plan lists; a token that the plan does not name is not believed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, Bytes, U256, hex};
use cofferdam_core::{
    Fact, Observation, Timestamp, Tx,
    plan::{AssetId, Entity},
    read::StateRead,
    tx::{CallKind, Frame},
};

use crate::{
    path,
    text::{Pair, Selector},
};

/// Words of calldata that are looked at.
pub(crate) const WORDS_MAX: usize = 8;
/// Entries of one transaction that are looked at one by one; beyond, they are only counted.
pub(crate) const ENTRIES_MAX: usize = 256;
/// Bytes of a call to a price feed that are kept as its name.
const FEED_BYTES_MAX: usize = 100;
/// `balanceOf(address)`
const BALANCE_OF: [u8; 4] = hex!("70a08231");
/// `totalSupply()`
const TOTAL_SUPPLY: [u8; 4] = hex!("18160ddd");
/// `totalBorrows()`
const TOTAL_BORROWS: [u8; 4] = hex!("47bd3718");

/// Calls that ask for a price, with the word of the answer that is it.
const PRICES: [([u8; 4], u8); 11] = [
    (hex!("50d25bcd"), 0), // latestAnswer()
    (hex!("feaf968c"), 1), // latestRoundData()
    (hex!("b3596f07"), 0), // getAssetPrice(address)
    (hex!("fc57d4df"), 0), // getUnderlyingPrice(address)
    (hex!("41976e09"), 0), // getPrice(address)
    (hex!("98d5fdca"), 0), // getPrice()
    (hex!("bb7b8b80"), 0), // get_virtual_price()
    (hex!("679aefce"), 0), // getRate()
    (hex!("3ddac953"), 0), // consult(address,uint256)
    (hex!("57de26a4"), 0), // read()
    (hex!("07a2d13a"), 0), // convertToAssets(uint256)
];

/// The entity that is learned about, on one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name in the plan.
    pub entity: String,
    /// Its contracts.
    pub accounts: Vec<Address>,
    /// The assets it holds: id, decimals, symbol.
    pub assets: Vec<(AssetId, u8, String)>,
}

/// A function of a contract of the entity, as entered from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Door {
    /// The contract.
    pub contract: Address,
    /// The function.
    pub selector: Selector,
}

/// A state-changing call into the entity from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub door: Door,
    /// Who called: the account before the door.
    pub sender: Address,
    /// Native value, in wei.
    pub value: U256,
    /// The first words of the arguments.
    pub words: Vec<U256>,
}

/// What moved of one asset at one contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The contract.
    pub contract: Address,
    /// The asset.
    pub asset: AssetId,
    /// Received, base units.
    pub received: U256,
    /// Sent, base units.
    pub sent: U256,
    /// Held before the transaction, if known.
    pub held: Option<U256>,
}

/// A price that the entity was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Who told it.
    pub feed: Address,
    /// The call.
    pub data: Bytes,
    /// The answer.
    pub value: U256,
}

/// A total that the entity reports after the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// `totalSupply()`.
    Supply,
    /// `totalBorrows()`.
    Borrow,
}

/// What one transaction did to an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Height.
    pub block: u64,
    /// The block's time.
    pub time: Timestamp,
    /// Position of the transaction in [`Observation::txs`].
    pub position: usize,
    /// Who signed.
    pub origin: Address,
    /// Gas limit of the transaction.
    pub gas_limit: u64,
    /// Gas it used.
    pub gas_used: u64,
    /// Entries in call order.
    pub entries: Vec<Entry>,
    /// Entries below an open entry.
    pub nested: Vec<Pair>,
    /// What moved.
    pub flows: Vec<Flow>,
    /// Greatest amount written to a mapping, by contract.
    pub written: Vec<(Address, U256)>,
    /// Prices told.
    pub prices: Vec<Price>,
    /// Totals after the block.
    pub totals: Vec<(Address, Total, U256)>,
    /// The call path.
    pub path: path::CallPath,
}

impl Subject {
    /// An entity of a plan on the chain of `accounts`.
    pub fn new(entity: &Entity, accounts: impl IntoIterator<Item = Address>) -> Self {
        let asset = |it: &cofferdam_core::plan::Asset| (it.token, it.decimals, it.symbol.clone());
        Self {
            entity: entity.id.clone(),
            accounts: accounts.into_iter().collect(),
            assets: entity.assets.iter().map(asset).collect(),
        }
    }

    /// Whether `account` is one of its contracts.
    pub fn owns(&self, account: Address) -> bool {
        self.accounts.contains(&account)
    }

    /// The state reads that samples are made of: holdings and totals.
    pub fn reads(&self) -> Vec<StateRead> {
        let mut out = Vec::new();
        for account in &self.accounts {
            out.extend(self.assets.iter().map(|it| holding(*account, it.0)));
            out.push(view(*account, TOTAL_SUPPLY));
            out.push(view(*account, TOTAL_BORROWS));
        }
        out
    }
}

impl Door {
    /// A door.
    pub fn new(contract: Address, selector: Option<[u8; 4]>) -> Self {
        Self { contract, selector: Selector(selector) }
    }
}

fn view(to: Address, selector: [u8; 4]) -> StateRead {
    StateRead::Call { to, data: Bytes::copy_from_slice(&selector) }
}

fn holding(account: Address, asset: AssetId) -> StateRead {
    match asset {
        AssetId::Native => StateRead::Balance(account),
        AssetId::Token(to) => {
            let data = [&BALANCE_OF[..], account.into_word().as_slice()].concat();
            StateRead::Call { to, data: data.into() }
        }
    }
}

/// The samples of an observation, and how many transactions that moved something of the entity's could
/// not be looked into.
pub fn samples(subject: &Subject, observation: &Observation) -> (Vec<Sample>, u64) {
    let (mut out, mut unseen) = (Vec::new(), 0);
    // What earlier transactions of the block did to holdings: (received, sent).
    let mut moved: BTreeMap<(Address, AssetId), (U256, U256)> = BTreeMap::new();
    let totals = totals(subject, observation);
    for (position, tx) in observation.txs.iter().enumerate() {
        let mut flows = flows(subject, tx);
        for flow in &mut flows {
            let before = holding(flow.contract, flow.asset);
            let before = observation.readings.get(&before).and_then(|it| it.before.word(0));
            let (received, sent) =
                moved.get(&(flow.contract, flow.asset)).copied().unwrap_or_default();
            flow.held = before.map(|it| it.saturating_add(received).saturating_sub(sent));
        }
        for flow in &flows {
            let so_far = moved.entry((flow.contract, flow.asset)).or_default();
            so_far.0 = so_far.0.saturating_add(flow.received);
            so_far.1 = so_far.1.saturating_add(flow.sent);
        }
        if !tx.succeeded {
            continue;
        }
        if !tx.tracing.is_evidence() {
            let met = tx.to.is_some_and(|it| subject.owns(it)) || !flows.is_empty();
            unseen += u64::from(met || tx.logs.iter().any(|it| subject.owns(it.address)));
            continue;
        }
        let entries = entries(subject, tx);
        if entries.is_empty() && flows.is_empty() {
            continue;
        }
        let block = observation.block;
        out.push(Sample {
            block: block.number,
            time: block.time,
            position,
            origin: tx.from,
            gas_limit: tx.gas_limit,
            gas_used: tx.gas_used,
            nested: path::nested(subject, tx),
            written: written(subject, tx),
            prices: prices(subject, tx),
            totals: totals.clone(),
            path: path::CallPath::of(subject, tx),
            entries,
            flows,
        });
    }
    (out, unseen)
}

/// Whether `frame` is a call from outside into the entity, of either kind.
pub(crate) fn enters(subject: &Subject, frame: &Frame) -> bool {
    let calls = matches!(frame.kind, CallKind::Call | CallKind::StaticCall);
    calls && !frame.undone && subject.owns(frame.to) && !subject.owns(frame.from)
}

fn entries(subject: &Subject, tx: &Tx) -> Vec<Entry> {
    let changing = |it: &&Frame| it.kind == CallKind::Call && enters(subject, it);
    let entry = |it: &Frame| {
        let words = it.input.get(4..).unwrap_or_default().chunks_exact(32).take(WORDS_MAX);
        Entry {
            door: Door::new(it.to, it.selector()),
            sender: it.from,
            value: it.value,
            words: words.map(U256::from_be_slice).collect(),
        }
    };
    tx.frames.iter().filter(changing).take(ENTRIES_MAX).map(entry).collect()
}

fn flows(subject: &Subject, tx: &Tx) -> Vec<Flow> {
    let mut sums: BTreeMap<(Address, AssetId), (U256, U256)> = BTreeMap::new();
    let listed = |asset: AssetId| subject.assets.iter().any(|it| it.0 == asset);
    let mut add = |from: Address, to: Address, asset: AssetId, amount: U256| {
        if from == to || amount.is_zero() || !listed(asset) {
            return;
        }
        if subject.owns(to) {
            let sum = sums.entry((to, asset)).or_default();
            sum.0 = sum.0.saturating_add(amount);
        }
        if subject.owns(from) {
            let sum = sums.entry((from, asset)).or_default();
            sum.1 = sum.1.saturating_add(amount);
        }
    };
    for fact in &tx.facts {
        match fact {
            Fact::Transfer { token, from, to, amount } => {
                add(*from, *to, AssetId::Token(*token), *amount);
            }
            Fact::Wrapped { token, to, amount } => {
                add(Address::ZERO, *to, AssetId::Token(*token), *amount);
            }
            Fact::Unwrapped { token, from, amount } => {
                add(*from, Address::ZERO, AssetId::Token(*token), *amount);
            }
            Fact::NativeTransfer { from, to, amount } => add(*from, *to, AssetId::Native, *amount),
            _ => {}
        }
    }
    let flow = |((contract, asset), (received, sent))| Flow {
        contract,
        asset,
        received,
        sent,
        held: None,
    };
    sums.into_iter().map(flow).collect()
}

/// The greatest amount that was written to a hashed slot, by contract. What has more than 128 bits is an
/// address, a hash or packed, not an amount.
fn written(subject: &Subject, tx: &Tx) -> Vec<(Address, U256)> {
    let mut out: BTreeMap<Address, U256> = BTreeMap::new();
    for it in tx.diff.storage.iter().filter(|it| subject.owns(it.address)) {
        if it.slot.bit_len() > 128 && it.after.bit_len() <= 128 {
            let most = out.entry(it.address).or_default();
            *most = (*most).max(it.after);
        }
    }
    out.into_iter().collect()
}

fn prices(subject: &Subject, tx: &Tx) -> Vec<Price> {
    let mut met = BTreeSet::new();
    let told = |it: &Frame| {
        let asks = it.kind == CallKind::StaticCall && !it.undone && subject.owns(it.from);
        let selector = it.selector().filter(|_| asks && !subject.owns(it.to))?;
        let word = PRICES.iter().find(|known| known.0 == selector)?.1;
        let start = 32 * usize::from(word);
        let value = U256::from_be_slice(it.output.get(start..start + 32)?);
        let data = (it.input.len() <= FEED_BYTES_MAX).then(|| it.input.clone())?;
        Some(Price { feed: it.to, data, value })
    };
    let mut once = |it: &Price| met.insert((it.feed, it.data.clone(), it.value));
    tx.frames.iter().filter_map(told).filter(|it| once(it)).take(ENTRIES_MAX).collect()
}

fn totals(subject: &Subject, observation: &Observation) -> Vec<(Address, Total, U256)> {
    let kinds = [(TOTAL_SUPPLY, Total::Supply), (TOTAL_BORROWS, Total::Borrow)];
    let of = |account: Address, (selector, total): ([u8; 4], Total)| {
        let reading = observation.readings.get(&view(account, selector))?;
        Some((account, total, reading.after.word(0)?))
    };
    let accounts = subject.accounts.iter();
    accounts.flat_map(|it| kinds.into_iter().filter_map(move |kind| of(*it, kind))).collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{hex, keccak256};

    #[test]
    fn every_selector_is_the_hash_of_its_signature() {
        let mut checked = 0;
        for line in include_str!("sample.rs").lines() {
            let Some((code, signature)) = line.split_once("), // ") else { continue };
            if !code.trim_start().starts_with("(hex!") {
                continue;
            }
            let hash = hex::encode(&keccak256(signature)[..4]);
            assert!(code.contains(&hash), "{signature} is {hash}");
            checked += 1;
        }
        assert_eq!(checked, super::PRICES.len());
    }
}
