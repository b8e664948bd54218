//! S16: assets were pushed into a contract that issues shares without asking for any. The page beside this file says how and with which limits.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Class, Fact, Finding, Severity, Tx,
    finding::Evidence,
    plan::{AssetId, BasisPoints},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    ratio::{percent, ppm},
    reads,
    report::{About, Voice, group},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "donation",
        signal: "S16",
        summary: "assets were pushed into a contract that issues shares without asking for any",
        needs: &[Need::Logs, Need::Diff, Need::Reads],
        docs: include_str!("donation.md"),
    },
    build: |cx| Ok(Box::new(Donation::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `donation`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Least share of the holdings before that is given.
    share: BasisPoints,
    /// A larger share is high.
    high: BasisPoints,
}

impl Default for Settings {
    fn default() -> Self {
        Self { share: BasisPoints(10_000), high: BasisPoints(1_000_000) }
    }
}

#[derive(Debug)]
struct Donation {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl Donation {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("donation", cx);
        Ok(Self { voice, settings: cx.settings()?, wards: Wards::new(cx) })
    }

    /// Transfers of listed tokens into contracts of the entities that these did not account for, summed
    /// by contract and token.
    fn given(&self, tx: &Tx) -> BTreeMap<(Address, Address), U256> {
        let mut given: BTreeMap<(Address, Address), U256> = BTreeMap::new();
        let mut booked: BTreeMap<Address, BTreeSet<U256>> = BTreeMap::new();
        for fact in &tx.facts {
            let Fact::Transfer { token, from, to, amount } = fact else { continue };
            let Some(ward) = self.wards.of(*to) else { continue };
            let listed = ward.asset(AssetId::Token(*token)).is_some();
            if !listed || ward.owns(*from) || from.is_zero() || token == to || amount.is_zero() {
                continue;
            }
            let booked = booked.entry(*to).or_insert_with(|| bookings(tx, *to));
            if !booked.contains(amount) && !trades(tx, *to) {
                let sum = given.entry((*to, *token)).or_default();
                *sum = sum.saturating_add(*amount);
            }
        }
        given
    }

    fn judge(&self, share: u64) -> Option<Severity> {
        match share {
            it if it < self.settings.share.0 => None,
            it if it <= self.settings.high.0 => Some(Severity::Medium),
            _ => Some(Severity::High),
        }
    }
}

/// Every amount that `account` itself put into a log or by which one of its slots rose.
fn bookings(tx: &Tx, account: Address) -> BTreeSet<U256> {
    let logs = tx.logs.iter().filter(|it| it.address == account);
    let words = logs.flat_map(|it| it.data.data.chunks_exact(32)).map(U256::from_be_slice);
    let rises = tx.diff.storage.iter().filter(|it| it.address == account);
    let rises = rises.filter(|_| tx.tracing.is_evidence());
    words.chain(rises.filter_map(|it| it.after.checked_sub(it.before))).collect()
}

/// Whether `account` is a pair that brought its reserves up to date.
fn trades(tx: &Tx, account: Address) -> bool {
    tx.facts.iter().any(|it| matches!(it, Fact::PairSync { pair, .. } if *pair == account))
}

impl Detector for Donation {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for (ward, account) in self.wards.accounts() {
            let tokens = ward.assets.iter().filter(|it| it.token != AssetId::Native);
            let holdings = tokens.map(|it| reads::holding(it.token, account));
            let supply = reads::view(account, reads::TOTAL_SUPPLY);
            let reads = holdings.chain([supply]);
            questions.extend(reads.map(|it| reads::when_touched(it, account)));
        }
        questions
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for ((account, token), amount) in self.given(tx) {
            let Some(ward) = self.wards.of(account) else { continue };
            // Only where shares exist does a gift change what they are worth.
            let supply = reads::pair(cx, &reads::view(account, reads::TOTAL_SUPPLY));
            let issues =
                [supply.before, supply.after].into_iter().flatten().any(|it| !it.is_zero());
            let held = reads::pair(cx, &reads::holding(AssetId::Token(token), account)).before;
            let Some(held) = held.filter(|_| issues) else { continue };
            let share = ppm(amount, held).unwrap_or(u64::MAX);
            let told = out
                .iter()
                .any(|it| self.voice.spoke(it) && it.tx == Some(tx.hash) && it.subject == account);
            let Some(severity) = self.judge(share).filter(|_| !told) else { continue };
            let about = About { tx: Some(tx), entity: &ward.id, subject: account };
            let size = if held.is_zero() { "all".to_owned() } else { percent(share) };
            out.push(Finding {
                summary: format!("given {size} of its holdings without issuing shares"),
                evidence: vec![
                    Evidence::new("token", token),
                    Evidence::new("given, base units", amount),
                    Evidence::new("held before, base units", held),
                ],
                ..self.voice.finding(cx, about, severity, Class::Suspicion, group::SUSPICION)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn a_gift_to_a_contract_with_shares_is_a_sign() {
        check(
            "donation",
            "",
            "
            block 1
              read view 0xaa 0x18160ddd 2 -> 2
              read token 0x70 of 0xaa 100e18 -> 110e18
              tx 0xee -> 0x70
                transfer 0x70 10e18 from 0xee to 0xaa
            block 2
              read view 0xaa 0x18160ddd 2 -> 2
              read token 0x70 of 0xaa 100e18 -> 900e18
              tx 0xee -> 0xec
                transfer 0x70 400e18 from 0xee to 0xaa
                transfer 0x70 400e18 from 0xec to 0xaa
            block 3
              read view 0xaa 0x18160ddd 2 -> 2
              read token 0x70 of 0xaa 0 -> 5
              tx 0xee -> 0x70
                transfer 0x70 5 from 0xee to 0xaa
            ",
            expect![[r#"
                1 medium donation 0xaa $0.00: given 10.00 % of its holdings without issuing shares
                2 high donation 0xaa $0.00: given 800.00 % of its holdings without issuing shares
                3 high donation 0xaa $0.00: given all of its holdings without issuing shares
            "#]],
        );
    }

    #[test]
    fn deposits_trades_dust_and_contracts_without_shares_are_silent() {
        check(
            "donation",
            "",
            "
            block 1
              read view 0xaa 0x18160ddd 2 -> 2
              read token 0x70 of 0xaa 100e18 -> 110e18
              tx 0xee -> 0xaa
                transfer 0x70 10e18 from 0xee to 0xaa
                log 0xaa 0xdcbc1c05240f31ff3ad067ef1ee35ce4997762752e3a095284754544f4c709d7 10e18,10e18
              tx 0xee -> 0xaa
                transfer 0x70 10e18 from 0xee to 0xaa
                store 0xaa 0x77 1e18 -> 11e18
              tx 0xee -> 0xec
                transfer 0x70 10e18 from 0xee to 0xaa
                sync 0xaa 110e18 5e18
              tx 0xee -> 0x70
                transfer 0x70 1000 from 0xee to 0xaa
            block 2
              read view 0xaa 0x18160ddd ! -> !
              read token 0x70 of 0xaa 100e18 -> 900e18
              tx 0xee -> 0x70
                transfer 0x70 800e18 from 0xee to 0xaa
                transfer 0x7f 800e18 from 0xee to 0xaa
            ",
            expect![[""]],
        );
    }
}
