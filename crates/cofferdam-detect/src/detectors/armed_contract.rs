//! S07: somebody deployed code that names an entity's contracts. The page beside this file says how and with which limits.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, map::AddressSet};
use cofferdam_core::{
    AccountId, Class, Fact, Finding, Severity, Tx, finding::Evidence, plan::DurationText,
    record::Memo, tx::CallKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need,
    report::{About, Voice, group},
    suspicion::{CALLBACKS, is_service},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "armed-contract",
        signal: "S07",
        summary: "somebody deployed code that names an entity's contracts",
        needs: &[Need::Frames],
        docs: include_str!("armed_contract.md"),
    },
    build: |cx| Ok(Box::new(Armed::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Accounts remembered that a funder paid; the one paid longest ago is forgotten first.
const FUNDED_MAX: usize = 512;

/// First and last opcode that push a constant.
const PUSHES: std::ops::RangeInclusive<u8> = 0x60..=0x7f;

/// Settings of `armed-contract`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Accounts that deploy what belongs to the protocol: its deployers, factories, integrators.
    deployers: Vec<AccountId>,
    /// Names of the entity's contracts in one code from which on it is told without a borrower's callback.
    names: usize,
    /// Accounts that pay out money of unknown origin: mixers, instant swaps, bridges.
    funders: Vec<AccountId>,
    /// How long money of theirs marks whom it was paid to.
    funded_within: DurationText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deployers: Vec::new(),
            names: 2,
            funders: Vec::new(),
            funded_within: DurationText(48 * 3_600_000),
        }
    }
}

#[derive(Debug)]
struct Armed {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    funders: AddressSet,
    /// Whom a funder paid, and when, in milliseconds.
    funded: BTreeMap<Address, u64>,
}

/// What a piece of code names.
#[derive(Debug, Default)]
struct Names {
    accounts: BTreeSet<Address>,
    /// Whether it can be called back by a lender.
    borrows: bool,
}

impl Armed {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("armed-contract", cx);
        let settings: Settings = cx.settings()?;
        let here = settings.funders.iter().filter(|it| it.chain == cx.chain);
        let funders = here.map(|it| it.address).collect();
        Ok(Self { voice, settings, wards: Wards::new(cx), funders, funded: BTreeMap::new() })
    }

    fn is_known(&self, account: Address) -> bool {
        self.voice.is_ours(account)
            || self.settings.deployers.iter().any(|it| it.address == account)
    }

    /// The constants of `code` that are accounts of entities or selectors of callbacks.
    fn names(&self, code: &[u8]) -> Names {
        let mut names = Names::default();
        let mut at = 0;
        while let Some(opcode) = code.get(at) {
            let width = if PUSHES.contains(opcode) { usize::from(opcode - 0x5f) } else { 0 };
            let constant = code.get(at + 1..at + 1 + width).unwrap_or_default();
            if let Ok(account) = Address::try_from(constant)
                && self.wards.position(account).is_some()
            {
                names.accounts.insert(account);
            }
            names.borrows |= CALLBACKS.iter().any(|it| it == constant);
            at += 1 + width;
        }
        names
    }

    /// Remembers whom funders paid.
    fn follow(&mut self, tx: &Tx, now: u64) {
        for fact in &tx.facts {
            if let Fact::NativeTransfer { from, to, .. } = fact
                && self.funders.contains(from)
                && !self.is_known(*to)
            {
                self.funded.insert(*to, now);
            }
        }
        while self.funded.len() > FUNDED_MAX {
            let first = self.funded.iter().min_by_key(|it| it.1).map(|it| *it.0);
            first.and_then(|it| self.funded.remove(&it));
        }
    }

    fn look(&self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let created = tx.calls().filter(|it| it.kind == CallKind::Create);
        for frame in created {
            let told =
                |it: &Fact| matches!(it, Fact::Created { contract, .. } if *contract == frame.to);
            if self.is_known(frame.from) || !tx.facts.iter().any(told) {
                continue;
            }
            let Names { accounts, borrows } = self.names(&frame.output);
            let Some(subject) = accounts.first().copied() else { continue };
            let known = accounts.len() >= self.settings.names || self.funded.contains_key(&tx.from);
            if !borrows && !known {
                continue;
            }
            let Some(ward) = self.wards.of(subject) else { continue };
            let funded = self.funded.contains_key(&tx.from);
            let severity = match (borrows, funded) {
                (true, true) => Severity::High,
                (false, false) => Severity::Low,
                _ => Severity::Medium,
            };
            let about = About { tx: Some(tx), entity: &ward.id, subject };
            let how = match (borrows, funded) {
                (true, true) => " and takes flash loans, its money is of unknown origin",
                (true, false) => " and takes flash loans",
                (false, true) => ", its money is of unknown origin",
                (false, false) => "",
            };
            let mut finding =
                self.voice.finding(cx, about, severity, Class::Suspicion, group::SUSPICION);
            finding.actors.push(frame.to);
            out.push(Finding {
                summary: format!("new code names {} of its contracts{how}", accounts.len()),
                evidence: vec![
                    Evidence::new("contract", frame.to),
                    Evidence::new("creator", frame.from),
                ],
                ..finding
            });
        }
    }
}

impl Detector for Armed {
    fn interests(&self) -> Vec<Interest> {
        vec![Interest::EveryBlock]
    }

    fn on_tx(&mut self, _: &Context<'_>, _: &Tx, _: &mut Vec<Finding>) {}

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let now = cx.observation.block.time.0;
        let oldest = now.saturating_sub(self.settings.funded_within.0);
        self.funded.retain(|_, it| *it >= oldest);
        for tx in &cx.observation.txs {
            if !self.funders.is_empty() {
                self.follow(tx, now);
            }
            if tx.tracing.is_evidence() && !is_service(tx) && !self.is_known(tx.from) {
                self.look(cx, tx, out);
            }
        }
    }

    fn memo(&self) -> Option<Memo> {
        if self.funded.is_empty() { None } else { serde_json::to_value(&self.funded).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.funded.clear();
        if let Some(memo) = memo {
            self.funded = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    const AA: &str = "7300000000000000000000000000000000000000aa";
    const AB: &str = "7300000000000000000000000000000000000000ab";

    fn deploy(code: &str) -> String {
        format!(
            "
            block 1
              tx 0xee -> 0xfac
                create 0xec by 0xee
                deploy 0xee 0xec 0x{code}
            "
        )
    }

    #[test]
    fn code_that_names_the_entity_and_borrows_is_suspicious() {
        check(
            "armed-contract",
            "",
            &deploy(&format!("6001{AA}63f04f2707")),
            expect![[r#"
                1 medium armed-contract 0xaa $0.00: new code names 1 of its contracts and takes flash loans
            "#]],
        );
        check(
            "armed-contract",
            "",
            &deploy(&format!("{AA}{AB}")),
            expect![[r#"
                1 low armed-contract 0xaa $0.00: new code names 2 of its contracts
            "#]],
        );
    }

    #[test]
    fn money_of_unknown_origin_makes_it_worse_for_as_long_as_it_is_fresh() {
        let funders = r#"funders = ["eip155:1:0x00000000000000000000000000000000000000f0"]"#;
        let paid = "block 1 time 0\n tx 0xe1 -> 0xf0\n native 1e18 from 0xf0 to 0xee\n";
        for (secs, code, expected) in [
            (
                3_600,
                format!("{AA}63f04f2707"),
                expect![[r#"
                2 high armed-contract 0xaa $0.00: new code names 1 of its contracts and takes flash loans, its money is of unknown origin
            "#]],
            ),
            (
                3_600,
                AA.to_owned(),
                expect![[r#"
                2 medium armed-contract 0xaa $0.00: new code names 1 of its contracts, its money is of unknown origin
            "#]],
            ),
            (200_000, AA.to_owned(), expect![[""]]),
        ] {
            let later = deploy(&code).replace("block 1", &format!("block 2 time {secs}"));
            check("armed-contract", funders, &format!("{paid}{later}"), expected);
        }
    }

    #[test]
    fn known_deployers_one_name_and_data_within_constants_are_silent() {
        let known = r#"deployers = ["eip155:1:0x00000000000000000000000000000000000000ee"]"#;
        check("armed-contract", known, &deploy(&format!("{AA}{AB}")), expect![[""]]);
        check("armed-contract", "", &deploy(AA), expect![[""]]);
        check("armed-contract", "", &deploy(&format!("74ff{AA}{AB}")), expect![[""]]);
    }
}
