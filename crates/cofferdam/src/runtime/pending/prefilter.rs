//! Which pending transactions are worth simulating, told before anything is simulated.
//!
//! **Invariant:** the prefilter orders, it does not drop. The only thing it leaves out is a payment
//! without calldata to an account without code that nobody watches: nothing runs there. A transaction
//! to an account that a detector of the plan is indexed on is of the highest class.

use std::num::NonZeroUsize;

use alloy_primitives::{Address, map::AddressSet};
use cofferdam_core::Tx;
use lru::LruCache;

/// Contracts whose code is remembered, about 100 bytes each.
const CODES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// Accounts remembered because they were seen in what looked like an attack.
const SUSPECTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// How long it is believed that an account has no code, or which code it delegates to.
const EMPTY_MS: u64 = 12_000;
/// How long other code is believed: where it can change, it does so rarely.
const CODE_MS: u64 = 3_600_000;
/// Simulations that touched nothing of ours after which a contract is no longer new to us.
const FAMILIAR: u8 = 3;
/// Gas limit from which on a call to code that is new to us counts as much as a creation.
const HEAVY_GAS: u64 = 1_000_000;
/// Longest code of a minimal proxy (EIP-1167 with immutable arguments, EIP-7702, and the compact ones).
const PROXY_BYTES_MAX: usize = 200;
/// DELEGATECALL.
const DELEGATECALL: u8 = 0xf4;

/// How telling a pending transaction is. The greatest is simulated first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// It calls what was simulated before without touching anything of ours.
    Known,
    /// It calls code that is new to us, or that hands on to other code.
    Fresh,
    /// It creates a contract, or calls new code with much gas.
    Novel,
    /// It calls code that names a watched account or was seen to reach one, or names one that a
    /// detector looks at beside the protected ones.
    Reaches,
    /// Its sender or callee was seen in an attempt.
    Suspect,
    /// It touches a protected account itself, or calls one that a detector looks at.
    Direct,
}

/// The accounts that matter on one chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    protected: AddressSet,
    /// Protected or looked at by a detector.
    all: AddressSet,
    /// First two bytes of all, as a bit map: most places of most calldata are ruled out by it.
    prefixes: Vec<u64>,
}

impl Watched {
    /// `protected` are the plan's accounts, `indexed` those its detectors are indexed on.
    pub(crate) fn new(
        protected: impl IntoIterator<Item = Address>,
        indexed: impl IntoIterator<Item = Address>,
    ) -> Self {
        let protected: AddressSet = protected.into_iter().collect();
        let all: AddressSet = protected.iter().copied().chain(indexed).collect();
        let mut prefixes = vec![0; (1 << 16) / 64];
        for it in &all {
            let (word, bit) = prefix(it.as_slice());
            if let Some(word) = prefixes.get_mut(word) {
                *word |= bit;
            }
        }
        Self { protected, all, prefixes }
    }

    /// Whether `account` is protected or looked at by a detector.
    pub(crate) fn has(&self, account: Address) -> bool {
        self.all.contains(&account)
    }

    /// The class that naming a watched account in `bytes` gives, at any place: packed encodings and
    /// code hold them unaligned.
    fn named_in(&self, bytes: &[u8]) -> Option<Class> {
        let mut named = None;
        for window in bytes.windows(size_of::<Address>()) {
            let (word, bit) = prefix(window);
            if self.prefixes.get(word).is_some_and(|it| it & bit != 0) {
                let account = Address::from_slice(window);
                if self.protected.contains(&account) {
                    return Some(Class::Direct);
                }
                if self.all.contains(&account) {
                    named = Some(Class::Reaches);
                }
            }
        }
        named
    }
}

fn prefix(bytes: &[u8]) -> (usize, u64) {
    let value = match bytes {
        [a, b, ..] => usize::from(*a) << 8 | usize::from(*b),
        _ => 0,
    };
    (value / 64, 1 << (value % 64))
}

/// What is remembered of codes and accounts.
#[derive(Debug)]
pub(crate) struct Memory {
    codes: LruCache<Address, Code>,
    suspects: LruCache<Address, ()>,
}

#[derive(Clone, Copy, Debug)]
struct Code {
    kind: Kind,
    /// Simulations in a row that touched nothing of ours.
    harmless: u8,
    at_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    /// It hands on to code that we did not look at.
    Hands,
    Names,
    Plain,
}

/// What [`Memory`] and the transaction alone say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// It is of this class.
    Is(Class),
    /// The callee's code must be looked at; until then it is taken for this class.
    Unless(Class),
    /// Nothing runs.
    Nothing,
}

impl Default for Memory {
    fn default() -> Self {
        Self { codes: LruCache::new(CODES_MAX), suspects: LruCache::new(SUSPECTS_MAX) }
    }
}

impl Memory {
    /// Classifies `tx` by itself and by what is remembered. Asks for no state.
    pub(crate) fn glance(&mut self, tx: &Tx, watched: &Watched, now_ms: u64) -> Glance {
        let alone = alone(tx, watched);
        if alone == Some(Class::Direct) {
            return Glance::Is(Class::Direct);
        }
        let parties = [Some(tx.from), tx.to];
        if parties.into_iter().flatten().any(|it| self.suspects.get(&it).is_some()) {
            return Glance::Is(Class::Suspect);
        }
        let Some(to) = tx.to else { return Glance::Is(alone.unwrap_or(Class::Novel)) };
        if let Some(class) = alone {
            return Glance::Is(class);
        }
        let kept = self.codes.get(&to).filter(|it| it.is_fresh(now_ms)).copied();
        kept.map_or(Glance::Unless(unknown(tx)), |it| it.class(tx))
    }

    /// Classifies `tx`, whose callee has `code`, and remembers that.
    pub(crate) fn look(&mut self, tx: &Tx, code: &[u8], watched: &Watched, now_ms: u64) -> Glance {
        let Some(to) = tx.to else { return Glance::Is(Class::Novel) };
        let kind = kind(code, watched);
        let known = self.codes.get(&to).filter(|it| it.kind == kind);
        let it = Code { kind, harmless: known.map_or(0, |it| it.harmless), at_ms: now_ms };
        self.codes.put(to, it);
        it.class(tx)
    }

    /// A transaction to `to` was simulated; `touched` says whether it touched a watched account.
    pub(crate) fn ran(&mut self, to: Address, touched: bool) {
        if let Some(it) = self.codes.get_mut(&to) {
            it.harmless = it.harmless.saturating_add(1);
            if touched {
                (it.kind, it.harmless) = (Kind::Names, 0);
            }
        }
    }

    /// `account` was seen in what looked like an attempt.
    pub(crate) fn suspect(&mut self, account: Address) {
        self.suspects.put(account, ());
    }
}

impl Code {
    fn is_fresh(&self, now_ms: u64) -> bool {
        let limit = if matches!(self.kind, Kind::Empty | Kind::Hands) { EMPTY_MS } else { CODE_MS };
        now_ms.saturating_sub(self.at_ms) < limit
    }

    fn class(&self, tx: &Tx) -> Glance {
        match self.kind {
            Kind::Empty if tx.input.is_empty() && tx.envelope.authorizations.is_empty() => {
                Glance::Nothing
            }
            Kind::Names => Glance::Is(Class::Reaches),
            _ if self.harmless >= FAMILIAR => Glance::Is(Class::Known),
            _ => Glance::Is(unknown(tx)),
        }
    }
}

fn unknown(tx: &Tx) -> Class {
    let code_may_run = !tx.input.is_empty() || !tx.envelope.access_list.is_empty();
    if code_may_run && tx.gas_limit >= HEAVY_GAS { Class::Novel } else { Class::Fresh }
}

/// What the transaction says by itself.
fn alone(tx: &Tx, watched: &Watched) -> Option<Class> {
    let listed = tx.envelope.access_list.iter().map(|it| it.0);
    let signed = tx.envelope.authorizations.iter();
    let signed = signed.flat_map(|it| [Some(it.address), it.authority]).flatten();
    let mut named = watched.named_in(&tx.input);
    for account in listed.chain(signed) {
        if watched.protected.contains(&account) {
            return Some(Class::Direct);
        }
        if watched.has(account) {
            named = named.max(Some(Class::Reaches));
        }
    }
    let touched = watched.has(tx.from) || tx.to.is_some_and(|it| watched.has(it));
    if touched { Some(Class::Direct) } else { named }
}

fn kind(code: &[u8], watched: &Watched) -> Kind {
    let hands = || code.len() <= PROXY_BYTES_MAX && code.contains(&DELEGATECALL);
    let delegated = || code.starts_with(&[0xef, 0x01, 0x00]);
    match code {
        [] => Kind::Empty,
        _ if watched.named_in(code).is_some() => Kind::Names,
        _ if delegated() || hands() => Kind::Hands,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes};
    use cofferdam_core::{
        Tx,
        tx::{Authorization, Envelope},
    };

    use super::{Class, EMPTY_MS, FAMILIAR, Glance, HEAVY_GAS, Memory, Watched};

    const VAULT: Address = Address::repeat_byte(0xaa);
    /// Looked at by a detector, and not protected.
    const SAFE: Address = Address::repeat_byte(0xab);
    const OTHER: Address = Address::repeat_byte(0x0c);

    fn watched() -> Watched {
        Watched::new([VAULT], [VAULT, SAFE])
    }

    fn call(to: Address, input: impl Into<Bytes>) -> Tx {
        let (from, gas_limit) = (Address::repeat_byte(0xee), 100_000);
        Tx { from, to: Some(to), input: input.into(), gas_limit, ..Tx::default() }
    }

    fn glance(tx: &Tx) -> Glance {
        Memory::default().glance(tx, &watched(), 0)
    }

    /// `address` behind `before` other bytes and before some more.
    fn holding(address: Address, before: usize) -> Bytes {
        let mut bytes = vec![0xaa; before];
        bytes.extend_from_slice(address.as_slice());
        bytes.extend_from_slice(&[0xff, 0xaa, 0xaa]);
        bytes.into()
    }

    #[test]
    fn what_touches_a_protected_account_itself_is_direct_however_it_names_it() {
        let list = |it| Envelope { access_list: vec![(it, vec![])], ..Envelope::default() };
        let signed = |address, authority| Envelope {
            authorizations: vec![Authorization {
                chain_id: Default::default(),
                address,
                nonce: 0,
                authority,
            }],
            ..Envelope::default()
        };
        let direct = [
            call(VAULT, []),
            Tx { from: VAULT, ..call(OTHER, []) },
            call(OTHER, holding(VAULT, 0)),
            call(OTHER, holding(VAULT, 16)),
            call(OTHER, holding(VAULT, 7)),
            Tx { to: None, ..call(OTHER, holding(VAULT, 100)) },
            Tx { envelope: list(VAULT), ..call(OTHER, []) },
            Tx { envelope: signed(VAULT, None), ..call(OTHER, []) },
            Tx { envelope: signed(OTHER, Some(VAULT)), ..call(OTHER, []) },
            // Indexed on by a detector.
            call(SAFE, []),
        ];
        for (at, tx) in direct.iter().enumerate() {
            assert_eq!(glance(tx), Glance::Is(Class::Direct), "case {at}");
        }
        let others = [
            (call(OTHER, holding(SAFE, 9)), Glance::Is(Class::Reaches)),
            (Tx { envelope: list(SAFE), ..call(OTHER, []) }, Glance::Is(Class::Reaches)),
            (Tx { to: None, ..call(OTHER, [1]) }, Glance::Is(Class::Novel)),
            (Tx { envelope: list(OTHER), ..call(OTHER, []) }, Glance::Unless(Class::Fresh)),
            (call(OTHER, holding(OTHER, 16)), Glance::Unless(Class::Fresh)),
            (Tx { gas_limit: HEAVY_GAS, ..call(OTHER, [1]) }, Glance::Unless(Class::Novel)),
            (call(OTHER, VAULT[..19].to_vec()), Glance::Unless(Class::Fresh)),
        ];
        for (at, (tx, class)) in others.iter().enumerate() {
            assert_eq!(glance(tx), *class, "case {at}");
        }
    }

    #[test]
    fn code_that_names_us_reaches_us_and_other_code_becomes_familiar() {
        let (mut memory, watched) = (Memory::default(), watched());
        let tx = call(OTHER, [1, 2, 3, 4]);
        let named = holding(VAULT, 3);
        assert_eq!(memory.look(&tx, &named, &watched, 0), Glance::Is(Class::Reaches));
        assert_eq!(memory.glance(&tx, &watched, 1), Glance::Is(Class::Reaches));
        let plain = Address::repeat_byte(0x0d);
        let tx = call(plain, [1, 2, 3, 4]);
        assert_eq!(memory.look(&tx, &[0x00; 300], &watched, 0), Glance::Is(Class::Fresh));
        for _ in 0..FAMILIAR {
            assert_eq!(memory.glance(&tx, &watched, 1), Glance::Is(Class::Fresh));
            memory.ran(plain, false);
        }
        assert_eq!(memory.glance(&tx, &watched, 1), Glance::Is(Class::Known));
        // What was seen to reach us is not forgotten because it also does other things.
        memory.ran(plain, true);
        memory.ran(plain, false);
        assert_eq!(memory.glance(&tx, &watched, 1), Glance::Is(Class::Reaches));
    }

    #[test]
    fn nothing_runs_only_where_there_is_neither_code_nor_calldata_and_not_for_long() {
        let (mut memory, watched) = (Memory::default(), watched());
        let payment = call(OTHER, []);
        assert_eq!(memory.look(&payment, &[], &watched, 0), Glance::Nothing);
        assert_eq!(memory.glance(&payment, &watched, EMPTY_MS - 1), Glance::Nothing);
        assert_eq!(memory.glance(&payment, &watched, EMPTY_MS), Glance::Unless(Class::Fresh));
        // Code may be there by the time it is called.
        let early = call(OTHER, [1]);
        assert_eq!(memory.glance(&early, &watched, 0), Glance::Is(Class::Fresh));
        let delegate = [&[0xef, 0x01, 0x00][..], OTHER.as_slice()].concat();
        assert_eq!(memory.look(&payment, &delegate, &watched, 0), Glance::Is(Class::Fresh));
    }

    #[test]
    fn whoever_was_seen_in_an_attempt_is_suspect_afterwards() {
        let (mut memory, watched) = (Memory::default(), watched());
        let tx = call(OTHER, [1]);
        memory.suspect(tx.from);
        assert_eq!(memory.glance(&tx, &watched, 0), Glance::Is(Class::Suspect));
        let others = Tx { from: Address::repeat_byte(1), ..tx };
        assert_eq!(memory.glance(&others, &watched, 0), Glance::Unless(Class::Fresh));
        assert_eq!(memory.glance(&call(VAULT, []), &watched, 0), Glance::Is(Class::Direct));
    }
}
