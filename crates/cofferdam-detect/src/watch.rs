//! The entities a rule watches, ready for look-up by account.

use alloy_primitives::{
    Address, U256,
    map::{AddressMap, AddressSet},
};
use cofferdam_core::{
    Usd,
    plan::{Asset, AssetId},
    read::StateRead,
};

use crate::{BuildCx, BuildError, Interest, Question, reads};

/// The most an amount is worth: nine trillion dollars, which JSON can carry as an integer. A hostile
/// amount in a log must not make a journal record unwritable.
pub(crate) const VALUE_MAX: Usd = Usd::whole(9_000_000_000_000);

/// The entities of a rule on its chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wards {
    list: Vec<Ward>,
    by_account: AddressMap<u32>,
}

/// One watched entity on one chain.
#[derive(Clone, Debug)]
pub(crate) struct Ward {
    /// Its name in the plan.
    pub(crate) id: String,
    /// Its contracts.
    pub(crate) accounts: Vec<Address>,
    /// What they hold.
    pub(crate) assets: Vec<Asset>,
    /// The plan's value at risk.
    pub(crate) value_at_risk: Option<Usd>,
}

/// Every account of every entity of the plan on the chain.
pub(crate) fn ours(cx: &BuildCx<'_>) -> AddressSet {
    cx.plan.entities.iter().flat_map(|it| it.addresses(cx.chain)).collect()
}

impl Wards {
    /// The entities of the rule being built. An account of two entities belongs to the first.
    pub(crate) fn new(cx: &BuildCx<'_>) -> Self {
        let mut wards = Self::default();
        for (at, entity) in (0u32..).zip(cx.entities()) {
            let accounts: Vec<Address> = entity.addresses(cx.chain).collect();
            for account in &accounts {
                wards.by_account.entry(*account).or_insert(at);
            }
            wards.list.push(Ward {
                id: entity.id.clone(),
                accounts,
                assets: entity.assets.clone(),
                value_at_risk: entity.value_at_risk.map(|it| it.0),
            });
        }
        wards
    }

    /// The entities of the rule being built, of which one at least must have assets.
    ///
    /// # Errors
    /// [`BuildError::Unusable`] if none has.
    pub(crate) fn with_assets(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let wards = Self::new(cx);
        if wards.iter().all(|it| it.assets.is_empty()) {
            return Err(BuildError::Unusable {
                rule: cx.rule.id.clone(),
                what: "no entity it watches lists an asset".into(),
                hint: "add [[entities.assets]] with token, symbol, decimals and price".into(),
            });
        }
        Ok(wards)
    }

    /// The reads that `of` names for each account, asked if a transaction touches it.
    pub(crate) fn questions<I>(&self, of: impl Fn(Address) -> I) -> Vec<Question>
    where
        I: IntoIterator<Item = StateRead>,
    {
        let accounts = self.accounts().map(|it| it.1);
        accounts
            .flat_map(|account| {
                of(account).into_iter().map(move |read| reads::when_touched(read, account))
            })
            .collect()
    }

    /// Every entity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ward> {
        self.list.iter()
    }

    /// Position of the entity that owns `account`.
    pub(crate) fn position(&self, account: Address) -> Option<usize> {
        self.by_account.get(&account).map(|it| *it as usize)
    }

    /// The entity at `position`.
    pub(crate) fn at(&self, position: usize) -> Option<&Ward> {
        self.list.get(position)
    }

    /// The entity that owns `account`.
    pub(crate) fn of(&self, account: Address) -> Option<&Ward> {
        self.position(account).and_then(|at| self.at(at))
    }

    /// Every account with its entity.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&Ward, Address)> {
        self.list.iter().flat_map(|ward| ward.accounts.iter().map(move |it| (ward, *it)))
    }

    /// An interest in every account.
    pub(crate) fn interests(&self) -> Vec<Interest> {
        self.accounts().map(|(_, it)| Interest::Account(it)).collect()
    }
}

impl Ward {
    /// Position of the token in the list of assets. Only listed tokens are believed.
    pub(crate) fn asset(&self, id: AssetId) -> Option<usize> {
        self.assets.iter().position(|it| it.token == id)
    }

    /// Whether `account` is one of its contracts.
    pub(crate) fn owns(&self, account: Address) -> bool {
        self.accounts.contains(&account)
    }
}

/// The value of `amount` base units of an asset, at most [`VALUE_MAX`].
pub(crate) fn value(asset: &Asset, amount: U256) -> Usd {
    Usd::of(amount, asset.decimals, asset.price.0).min(VALUE_MAX)
}
