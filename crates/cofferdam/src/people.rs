//! Who the plan names, and how they are told apart: people by wallet or token, machines by token.
//!
//! **Invariant:** tokens are known by their SHA-256 alone, and comparing takes the same time whoever asks with
//! whatever.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use cofferdam_core::plan::{Machine, MachineMay, Person, Plan};
use sha2::{Digest, Sha256};

/// Least length of a token, in characters: shorter ones could be guessed from their hash.
pub(crate) const TOKEN_CHARS_MIN: usize = 32;
/// Greatest length of a token, in characters.
const TOKEN_CHARS_MAX: usize = 512;

/// Everybody the plan names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    people: Arc<Vec<Arc<Person>>>,
    machines: Arc<Vec<Machine>>,
}

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A person.
    Person(Arc<Person>),
    /// A program, by its name and what it may do.
    Machine(String, MachineMay),
}

impl Directory {
    /// Those of `plan`.
    pub(crate) fn of(plan: &Plan) -> Self {
        let people = plan.people.iter().cloned().map(Arc::new).collect();
        Self { people: Arc::new(people), machines: Arc::new(plan.machines.clone()) }
    }

    /// The people.
    pub(crate) fn people(&self) -> impl Iterator<Item = &Arc<Person>> {
        self.people.iter()
    }

    /// The person who signs with `address`.
    pub(crate) fn by_address(&self, address: Address) -> Option<Arc<Person>> {
        self.people.iter().find(|it| it.signs_with(address)).cloned()
    }

    /// The person of this name.
    pub(crate) fn by_name(&self, id: &str) -> Option<Arc<Person>> {
        self.people.iter().find(|it| it.id == id).cloned()
    }

    /// Whose token it is.
    pub(crate) fn by_token(&self, token: &str) -> Option<Holder> {
        if !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len()) {
            return None;
        }
        let hash = B256::from_slice(&Sha256::digest(token));
        let mut found = None;
        // Everybody is compared, whoever was found.
        for it in self.people.iter() {
            if it.token_sha256.is_some_and(|known| same(known, hash)) {
                found = Some(Holder::Person(it.clone()));
            }
        }
        for it in self.machines.iter() {
            if same(it.token_sha256, hash) {
                found = Some(Holder::Machine(it.id.clone(), it.may));
            }
        }
        found
    }
}

/// Whether two hashes are the same, found out in the same time wherever they differ.
pub(crate) fn same(one: B256, other: B256) -> bool {
    let differ = one.iter().zip(other.iter()).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};
    use cofferdam_core::{
        AccountId, ChainId,
        plan::{Machine, MachineMay, Person, Plan, parse, template},
    };
    use sha2::{Digest, Sha256};

    use super::{Directory, Holder};

    #[test]
    fn people_are_found_by_wallet_and_token_and_nobody_by_a_short_one() {
        let hash = |it: &str| B256::from_slice(&Sha256::digest(it));
        let (token, other, short) = ("a".repeat(32), "b".repeat(40), "c".repeat(31));
        let account = |byte| AccountId { chain: ChainId(1), address: Address::repeat_byte(byte) };
        let person = |id: &str, byte, token: &str| Person {
            id: id.into(),
            accounts: vec![account(byte)],
            roles: Vec::new(),
            veto: false,
            token_sha256: Some(hash(token)),
        };
        let mut plan: Plan = parse(&template("x"), "plan.toml").unwrap_or_else(|it| panic!("{it}"));
        plan.people = vec![person("alice", 1, &token), person("bob", 2, &short)];
        let may = MachineMay::Respond;
        plan.machines = vec![Machine { id: "bot".into(), token_sha256: hash(&other), may }];
        let all = Directory::of(&plan);
        let name = |it: Option<Holder>| match it {
            Some(Holder::Person(it)) => it.id.clone(),
            Some(Holder::Machine(id, _)) => id,
            None => "nobody".into(),
        };
        assert_eq!(name(all.by_token(&token)), "alice");
        assert_eq!(name(all.by_token(&other)), "bot");
        assert_eq!(name(all.by_token(&short)), "nobody", "it could be guessed");
        assert_eq!(name(all.by_token(&"d".repeat(32))), "nobody");
        let found = all.by_address(Address::repeat_byte(2)).map(|it| it.id.clone());
        assert_eq!(found.as_deref(), Some("bob"));
        assert!(all.by_address(Address::repeat_byte(3)).is_none());
    }
}
