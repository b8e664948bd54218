//! Opyn Gamma and its forks: vaults that are short option tokens against collateral.

use alloy_primitives::{Address, U256};
use cofferdam_core::read::StateRead;
use cofferdam_risk::pricing::OptionKind;
use cofferdam_risk::scenario::{GridInstrument, Leg};

use crate::abi::{Reader, answer, call, must, word};
use crate::snapshot::units;
use crate::{
    Adapter, AdapterError, Answers, Backstop, Effect, HeldLeg, Holder, Holding, MarginRule,
    Request, Semantics, Snapshot,
};

/// Decimals of option tokens and strikes.
const OTOKEN_DECIMALS: u8 = 8;
/// Most vaults of one owner.
const VAULTS_MAX: u64 = 64;
/// Seconds of a 365-day year.
const YEAR_SECONDS: f64 = 31_536_000.0;

/// The adapter.
pub(super) struct OpynGamma;

/// One list of a vault: tokens and amounts.
type Amounts = Vec<(Address, U256)>;

/// A vault as the controller returns it.
struct Vault {
    short: Amounts,
    long: Amounts,
    collateral: Amounts,
}

impl Adapter for OpynGamma {
    fn id(&self) -> &'static str {
        "opyn-gamma"
    }

    fn summary(&self) -> &'static str {
        "Opyn Gamma vaults and forks: short options against collateral"
    }

    fn page(&self) -> &'static str {
        include_str!("opyn_gamma.md")
    }

    fn questions(&self, r: &Request, known: &Answers) -> Result<Vec<StateRead>, AdapterError> {
        let c = r.contract;
        let mut out =
            vec![call(c, "systemPartiallyPaused()", &[]), call(c, "systemFullyPaused()", &[])];
        for h in &r.holders {
            let counter = counter(c, *h);
            out.push(counter.clone());
            let Some(n) = answer(known, &counter, "getAccountVaultCounter")? else { continue };
            for id in 1..=n.small(0, VAULTS_MAX)? {
                let read = vault(c, *h, id);
                out.push(read.clone());
                if let Some(v) = answer(known, &read, "getVault")? {
                    let v = parse(&v)?;
                    let tokens = v.short.iter().chain(&v.long);
                    out.extend(tokens.map(|(token, _)| details(*token)));
                }
            }
        }
        Ok(out)
    }

    fn interpret(&self, r: &Request, known: &Answers) -> Result<Snapshot, AdapterError> {
        let c = r.contract;
        let mut warnings = Vec::new();
        for signature in ["systemPartiallyPaused()", "systemFullyPaused()"] {
            if must(known, &call(c, signature, &[]), signature)?.flag(0)? {
                warnings.push(format!("{signature} is true"));
            }
        }
        let mut holders = Vec::new();
        for h in &r.holders {
            let n = must(known, &counter(c, *h), "getAccountVaultCounter")?.small(0, VAULTS_MAX)?;
            for id in 1..=n {
                let v = parse(&must(known, &vault(c, *h, id), "getVault")?)?;
                let mut out = Holder { id: format!("{h}#{id}"), ..Holder::default() };
                for (token, amount) in v.collateral {
                    let factor_bps = crate::snapshot::BPS;
                    out.collateral.push(Holding { token, amount, factor_bps });
                }
                for (sign, list) in [(-1.0, v.short), (1.0, v.long)] {
                    for (token, amount) in list {
                        let quantity = sign * units(amount, OTOKEN_DECIMALS)?;
                        match option(r, known, token)? {
                            Some((underlying, leg)) => {
                                let name = token.to_string();
                                out.legs.push(HeldLeg { name, underlying, leg, quantity });
                            }
                            None => warnings.push(format!("{token} of {} has expired", out.id)),
                        }
                    }
                }
                holders.push(out);
            }
        }
        Ok(Snapshot {
            adapter: self.id(),
            holders,
            prices: r.prices.clone(),
            margin: MarginRule::FullyCollateralised,
            backstop: Backstop {
                order: "nobody: the vault's collateral only",
                reserves: Vec::new(),
            },
            liquidity: Vec::new(),
            warnings,
        })
    }

    fn semantics(&self) -> &'static [Semantics] {
        const PARTIAL: Semantics = Semantics {
            action: "partial pause",
            call: "setSystemPartiallyPaused(bool)",
            trade: Effect::Frozen,
            reduce: Effect::Frozen,
            deposit: Effect::Frozen,
            withdraw: Effect::Frozen,
            liquidate: Effect::Frozen,
            settle: Effect::Works,
            funding: Effect::Absent,
            oracle: Effect::GoesOn,
            adl: Effect::Absent,
        };
        &[
            PARTIAL,
            Semantics {
                action: "full pause",
                call: "setSystemFullyPaused(bool)",
                settle: Effect::Frozen,
                ..PARTIAL
            },
        ]
    }
}

/// The vault struct: six dynamic arrays behind six offsets.
fn parse(v: &Reader<'_>) -> Result<Vault, AdapterError> {
    let base = v.offset(0, 0)?;
    let list = |tokens: usize, amounts: usize| -> Result<Amounts, AdapterError> {
        let (n, first) = v.array(v.offset(base, base + tokens)?, 1)?;
        let (m, amount) = v.array(v.offset(base, base + amounts)?, 1)?;
        if n != m {
            return Err(AdapterError::Malformed {
                what: "getVault".into(),
                why: "tokens and amounts differ in number",
            });
        }
        let pair = |i: usize| Ok((v.address(first + i)?, v.uint(amount + i)?));
        let all: Amounts = (0..n).map(pair).collect::<Result<_, AdapterError>>()?;
        // Emptied entries stay in the list as zeros.
        Ok(all.into_iter().filter(|(t, a)| *t != Address::ZERO && *a > U256::ZERO).collect())
    };
    Ok(Vault { short: list(0, 3)?, long: list(1, 4)?, collateral: list(2, 5)? })
}

/// The option behind a token and its underlying; `None` once it has expired.
fn option(
    r: &Request,
    known: &Answers,
    token: Address,
) -> Result<Option<(Address, Leg)>, AdapterError> {
    // (collateral, underlying, strike asset, strike, expiry, is put)
    let d = must(known, &details(token), "getOtokenDetails")?;
    let underlying = d.address(1)?;
    let strike = units(d.uint(3)?, OTOKEN_DECIMALS)?;
    let expiry = d.small(4, u64::from(u32::MAX))?;
    let kind = if d.flag(5)? { OptionKind::Put } else { OptionKind::Call };
    if expiry <= r.now {
        return Ok(None);
    }
    let years = (expiry - r.now) as f64 / YEAR_SECONDS;
    let price = r.prices.get(&underlying).ok_or(AdapterError::NoPrice { token: underlying })?;
    let leg = Leg::Option(GridInstrument { kind, strike, forward: price.usd, vol: r.vol, years });
    leg.validate()?;
    Ok(Some((underlying, leg)))
}

fn counter(controller: Address, owner: Address) -> StateRead {
    call(controller, "getAccountVaultCounter(address)", &[word(owner)])
}

fn vault(controller: Address, owner: Address, id: u64) -> StateRead {
    call(controller, "getVault(address,uint256)", &[word(owner), U256::from(id)])
}

fn details(token: Address) -> StateRead {
    call(token, "getOtokenDetails()", &[])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Price;
    use crate::adapters::tests::{Scripted, at, n, w};

    #[test]
    fn a_vault_is_short_its_tokens_and_owns_its_collateral() {
        let (controller, owner, otoken, eth, usd) = (at(1), at(2), at(3), at(4), at(5));
        let mut s = Scripted::default();
        let offsets = [6, 8, 9, 11, 13, 14].map(|words| n(32 * words));
        let mut v = vec![n(32)];
        v.extend(offsets);
        // short tokens, long tokens, collateral tokens, then the amounts of each.
        v.extend([
            n(1),
            w(otoken),
            n(0),
            n(1),
            w(usd),
            n(1),
            n(1_000_000_000),
            n(0),
            n(1),
            n(25_000_000_000),
        ]);
        s.on(controller, "systemPartiallyPaused()", &[], &[n(1)])
            .on(controller, "systemFullyPaused()", &[], &[n(0)])
            .on(controller, "getAccountVaultCounter(address)", &[w(owner)], &[n(1)])
            .on(controller, "getVault(address,uint256)", &[w(owner), n(1)], &v)
            .on(
                otoken,
                "getOtokenDetails()",
                &[],
                &[w(usd), w(eth), w(usd), n(250_000_000_000), n(1_000_000), n(1)],
            );
        let request = Request {
            contract: controller,
            holders: vec![owner],
            prices: BTreeMap::from([
                (eth, Price { usd: 3_000.0, decimals: 18 }),
                (usd, Price { usd: 1.0, decimals: 6 }),
            ]),
            vol: 0.8,
            now: 500_000,
            ..Request::default()
        };
        let snapshot = s.run(&OpynGamma, &request).unwrap();
        assert_eq!(snapshot.warnings, ["systemPartiallyPaused() is true"]);
        let book = snapshot.book(eth, "gamma").unwrap();
        assert_eq!(
            (book.accounts[0].usd, book.accounts[0].positions[0].quantity),
            (25_000.0, -10.0)
        );
        let late = Request { now: 2_000_000, ..request.clone() };
        assert!(s.run(&OpynGamma, &late).unwrap().warnings[1].contains("has expired"));
        s.survives_bad_answers(&OpynGamma, &request);
    }
}
