//! ERC-4626 vaults: shares are claims on assets, and what is not at hand cannot be paid out.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;

use crate::abi::{answer, call, must, word};
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, Holder, Holding, MarginRule, Request,
    Semantics, Snapshot,
};

/// The adapter.
pub(super) struct Erc4626;

impl Adapter for Erc4626 {
    fn id(&self) -> &'static str {
        "erc4626"
    }

    fn summary(&self) -> &'static str {
        "vault shares and the assets they are worth"
    }

    fn page(&self) -> &'static str {
        include_str!("erc4626.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let vault = r.contract;
        let mut out = vec![
            call(vault, "asset()", &[]),
            call(vault, "totalAssets()", &[]),
            call(vault, "totalSupply()", &[]),
        ];
        for h in &r.holders {
            out.push(balance(vault, *h));
        }
        if let Some(asset) = answer(known, &out[0], "asset()")? {
            out.push(balance(asset.address(0)?, vault));
        }
        for h in &r.holders {
            if let Some(shares) = answer(known, &balance(vault, *h), "balanceOf")? {
                out.push(worth(vault, shares.uint(0)?));
            }
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let vault = r.contract;
        let asset = must(known, &call(vault, "asset()", &[]), "asset()")?.address(0)?;
        let price = r.prices.get(&asset).copied().ok_or(AdapterError::NoPrice { token: asset })?;
        let holding = |amount| Holding { token: asset, amount, factor_bps: crate::snapshot::BPS };
        let mut holders = Vec::with_capacity(r.holders.len());
        for h in &r.holders {
            let shares = must(known, &balance(vault, *h), "balanceOf")?.uint(0)?;
            let assets = must(known, &worth(vault, shares), "convertToAssets")?.uint(0)?;
            let collateral = vec![holding(assets)];
            holders.push(Holder { id: h.to_string(), collateral, ..Holder::default() });
        }
        let total = must(known, &call(vault, "totalAssets()", &[]), "totalAssets()")?.uint(0)?;
        let supply = must(known, &call(vault, "totalSupply()", &[]), "totalSupply()")?.uint(0)?;
        let at_hand = must(known, &balance(asset, vault), "balanceOf(vault)")?.uint(0)?;
        let mut warnings = Vec::new();
        if at_hand < total {
            warnings
                .push(format!("{at_hand} of {total} base units are at hand in the vault itself"));
        }
        if supply == U256::ZERO && total > U256::ZERO {
            warnings.push("assets without a share: the first depositor takes them".to_owned());
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices: BTreeMap::from([(asset, price)]),
            margin: MarginRule::FullyCollateralised,
            backstop: Backstop { order: "shareholders, in proportion", reserves: Vec::new() },
            liquidity: vec![holding(at_hand.min(total))],
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        &[Semantics {
            action: "pause (where the vault is Pausable)",
            call: "pause()",
            trade: Effect::Absent,
            reduce: Effect::Absent,
            deposit: Effect::Frozen,
            withdraw: Effect::Frozen,
            liquidate: Effect::Absent,
            settle: Effect::Absent,
            funding: Effect::GoesOn,
            oracle: Effect::Absent,
            adl: Effect::Absent,
        }]
    }
}

fn balance(token: Address, of: Address) -> StateRead {
    call(token, "balanceOf(address)", &[word(of)])
}

fn worth(vault: Address, shares: U256) -> StateRead {
    call(vault, "convertToAssets(uint256)", &[shares])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::tests::{Scripted, at, n, w};

    #[test]
    fn shares_are_worth_assets_and_what_is_lent_out_is_not_at_hand() {
        let (vault, asset, user) = (at(1), at(2), at(3));
        let mut s = Scripted::default();
        s.on(vault, "asset()", &[], &[w(asset)])
            .on(vault, "totalAssets()", &[], &[n(5_000)])
            .on(vault, "totalSupply()", &[], &[n(4_000)])
            .on(vault, "balanceOf(address)", &[w(user)], &[n(400)])
            .on(vault, "convertToAssets(uint256)", &[n(400)], &[n(500)])
            .on(asset, "balanceOf(address)", &[w(vault)], &[n(1_000)]);
        let request = Request {
            contract: vault,
            holders: vec![user],
            prices: BTreeMap::from([(asset, crate::Price { usd: 2.0, decimals: 2 })]),
            ..Request::default()
        };
        let snapshot = s.run(&Erc4626, &request).unwrap();
        assert_eq!(snapshot.book(asset, "vault").unwrap().accounts[0].coins, 5.0);
        assert_eq!(snapshot.liquidity[0].amount, n(1_000));
        assert_eq!(snapshot.warnings.len(), 1);
        s.survives_bad_answers(&Erc4626, &request);
        let unpriced = Request { prices: BTreeMap::new(), ..request };
        assert!(matches!(s.run(&Erc4626, &unpriced), Err(AdapterError::NoPrice { .. })));
    }
}
