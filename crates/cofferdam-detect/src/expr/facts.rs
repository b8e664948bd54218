//! The facts an expression can be asked about, their fields, and whose facts they are.
//!
//! **Invariant:** a fact read from a log concerns a contract only if the contract itself, or a token
//! the plan trusts, emitted the log. Anybody may deploy a token that claims to have moved.

use alloy_primitives::{Address, B256, U256};
use cofferdam_core::Fact;

use super::{int::Int, typed::Ty};

/// One kind of fact.
pub(crate) struct Kind {
    /// As written in `when`; the same as in the journal.
    pub(crate) name: &'static str,
    /// Names and types of the fields, in order.
    pub(crate) fields: &'static [(&'static str, Ty)],
    /// Whose facts these are.
    pub(crate) whose: Whose,
    /// Whether a fact is of this kind.
    pub(crate) is: fn(&Fact) -> bool,
    /// The value of a field, if the fact is of this kind.
    pub(crate) value: fn(&Fact, u8) -> Option<Int>,
}

/// How a fact concerns a contract. The fields looked at are those of type address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The first field emitted the log or is the account that changed.
    First,
    /// The first field is a token: the other addresses are concerned if it is trusted.
    Token,
    /// Every address is concerned: the machine itself says so.
    Any,
}

/// The kind called `name`.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|it| it.name == name)
}

impl Kind {
    /// Whether it is seen completely only with a call tree and state diff.
    pub(crate) fn needs_tracing(&self) -> bool {
        matches!(
            self.name,
            "native-transfer" | "created" | "delegated" | "storage-changed" | "code-changed"
        )
    }

    /// The addresses of `fact`, the first field first.
    pub(crate) fn addresses<'a>(&'a self, fact: &'a Fact) -> impl Iterator<Item = Int> + 'a {
        let places = (0_u8..).zip(self.fields).filter(|(_, it)| it.1 == Ty::Address);
        places.filter_map(move |(index, _)| (self.value)(fact, index))
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A field's value as a number.
trait Number {
    fn number(&self) -> Int;
}

impl Number for Address {
    fn number(&self) -> Int {
        Int::from(*self)
    }
}

impl Number for U256 {
    fn number(&self) -> Int {
        Int::unsigned(*self)
    }
}

impl Number for B256 {
    fn number(&self) -> Int {
        Int::from(*self)
    }
}

impl Number for Option<B256> {
    fn number(&self) -> Int {
        self.map_or(Int::ZERO, Int::from)
    }
}

impl Number for Option<[u8; 4]> {
    fn number(&self) -> Int {
        self.map_or(Int::ZERO, |it| Int::from(u64::from(u32::from_be_bytes(it))))
    }
}

macro_rules! kinds {
    ($($name:literal $variant:ident $whose:ident { $($field:ident: $ty:ident),+ })*) => {
        /// Every kind, in the order of [`Fact`].
        pub(crate) static KINDS: &[Kind] = &[$(Kind {
            name: $name,
            fields: &[$((stringify!($field), Ty::$ty)),+],
            whose: Whose::$whose,
            is: |fact| matches!(fact, Fact::$variant { .. }),
            value: |fact, index| {
                let Fact::$variant { $($field,)+ .. } = fact else { return None };
                let mut left = index;
                $(
                    if left == 0 {
                        return Some($field.number());
                    }
                    left -= 1;
                )+
                let _ = left;
                None
            },
        }),*];
    };
}

kinds! {
    "transfer" Transfer Token { token: Address, from: Address, to: Address, amount: Int }
    "nft-transfer" NftTransfer Token { token: Address, from: Address, to: Address, id: Int }
    "multi-transfer" MultiTransfer Token {
        token: Address, from: Address, to: Address, id: Int, amount: Int
    }
    "native-transfer" NativeTransfer Any { from: Address, to: Address, amount: Int }
    "approval" Approval Token { token: Address, owner: Address, spender: Address, amount: Int }
    "wrapped" Wrapped Token { token: Address, to: Address, amount: Int }
    "unwrapped" Unwrapped Token { token: Address, from: Address, amount: Int }
    "flash-loan" FlashLoan First {
        provider: Address, receiver: Address, asset: Address, amount: Int
    }
    "pair-swap" PairSwap First {
        pair: Address, sender: Address, to: Address, in0: Int, in1: Int, out0: Int, out1: Int
    }
    "pair-sync" PairSync First { pair: Address, reserve0: Int, reserve1: Int }
    "vault-deposit" VaultDeposit First { vault: Address, owner: Address, assets: Int, shares: Int }
    "vault-withdraw" VaultWithdraw First {
        vault: Address, receiver: Address, owner: Address, assets: Int, shares: Int
    }
    "market-mint" MarketMint First { market: Address, minter: Address, amount: Int, tokens: Int }
    "market-redeem" MarketRedeem First {
        market: Address, redeemer: Address, amount: Int, tokens: Int
    }
    "market-borrow" MarketBorrow First {
        market: Address, borrower: Address, amount: Int, borrows: Int
    }
    "upgraded" Upgraded First { proxy: Address, implementation: Address }
    "admin-changed" AdminChanged First { proxy: Address, old: Address, new: Address }
    "beacon-upgraded" BeaconUpgraded First { proxy: Address, beacon: Address }
    "ownership-transferred" OwnershipTransferred First {
        contract: Address, old: Address, new: Address
    }
    "role-granted" RoleGranted First { contract: Address, role: Bytes32, account: Address }
    "role-revoked" RoleRevoked First { contract: Address, role: Bytes32, account: Address }
    "paused" Paused First { contract: Address }
    "unpaused" Unpaused First { contract: Address }
    "created" Created Any { contract: Address, creator: Address }
    "delegated" Delegated First { context: Address, code: Address, selector: Bytes4 }
    "storage-changed" StorageChanged First { address: Address, slot: Int, before: Int, after: Int }
    "code-changed" CodeChanged First { address: Address, before: Bytes32, after: Bytes32 }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use cofferdam_core::Fact;

    use super::{Int, KINDS, kind};

    #[test]
    fn fields_are_read_in_order_and_other_kinds_have_none() {
        let transfer = kind("transfer").unwrap();
        let [token, from, to] = [1, 2, 3].map(Address::with_last_byte);
        let fact = Fact::Transfer { token, from, to, amount: U256::from(7) };
        let values: Vec<Int> = (0..4).filter_map(|it| (transfer.value)(&fact, it)).collect();
        assert_eq!(values, [1, 2, 3, 7].map(Int::from));
        assert_eq!((transfer.value)(&fact, 4), None);
        assert_eq!((kind("approval").unwrap().value)(&fact, 0), None);
    }

    #[test]
    fn the_kind_has_the_name_that_the_journal_uses() {
        let paused = Fact::Paused { contract: Address::ZERO };
        let json = serde_json::to_value(&paused).unwrap();
        let of_paused: Vec<&str> =
            KINDS.iter().filter(|it| (it.is)(&paused)).map(|it| it.name).collect();
        assert_eq!(of_paused, [json["fact"].as_str().unwrap()]);
    }
}
