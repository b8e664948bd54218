//! Checks of what is protected.

use std::collections::BTreeSet;

use super::{Check, at};
use crate::plan::{Asset, AssetId};

/// More decimals than any token has; beyond, a base unit is worth nothing in `Usd`.
const DECIMALS_MAX: u8 = 36;
/// Decimals of the native asset of an EVM chain.
const NATIVE_DECIMALS: u8 = 18;

impl Check<'_> {
    pub(super) fn entities(&mut self) {
        for (index, entity) in self.plan.entities.iter().enumerate() {
            let path = at!["entities", index, "accounts"];
            let hint = "list its contracts, e.g. `accounts = [\"eip155:1:0x…\"]`";
            self.require(!entity.accounts.is_empty(), path, "an entity without contracts", hint);
            let mut accounts = BTreeSet::new();
            for (number, account) in entity.accounts.iter().enumerate() {
                let path = at!["entities", index, "accounts", number];
                self.declared(path, *account);
                let once = accounts.insert(account);
                self.require(once, path, "this account is listed before", "remove it");
            }
            let mut assets = BTreeSet::new();
            for (number, asset) in entity.assets.iter().enumerate() {
                let path = at!["entities", index, "assets", number, "token"];
                let once = assets.insert(asset.token);
                let hint = "it would be counted twice: remove it";
                self.require(once, path, "this asset is listed before", hint);
                self.asset(index, number, asset);
            }
        }
    }

    fn asset(&mut self, entity: usize, number: usize, asset: &Asset) {
        let path = |field| {
            let [a, b, c, d, e] = at!["entities", entity, "assets", number, field];
            [*a, *b, *c, *d, *e]
        };
        self.title(&path("symbol"), &asset.symbol);
        let known = asset.decimals <= DECIMALS_MAX;
        let hint = "what the token's `decimals()` returns, at most 36";
        self.require(known, &path("decimals"), "no token has so many decimals", hint);
        let native = asset.token != AssetId::Native || asset.decimals == NATIVE_DECIMALS;
        self.require(native, &path("decimals"), "the native asset has 18 decimals", "");
        let hint = "an asset without a price is lost without a loss: e.g. `\"1 usd\"`";
        self.require(asset.price.0.0 > 0, &path("price"), "a price is more than nothing", hint);
    }
}
