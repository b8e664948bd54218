//! S18: a look-alike of somebody an entity pays showed up in its history. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Class, Fact, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{AssetId, DurationText, UsdText},
    record::Memo,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need,
    report::{About, Voice, group},
    watch::{Ward, Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "address-poisoning",
        signal: "S18",
        summary: "a look-alike of somebody an entity pays showed up in its history",
        needs: &[Need::Logs],
        docs: include_str!("address_poisoning.md"),
    },
    build: |cx| Ok(Box::new(Poisoning::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Accounts remembered; the one that was paid longest ago is forgotten first.
const PAID_MAX: usize = 512;
/// Hexadecimal digits that must agree at the start and at the end.
const HEAD: usize = 3;
const TAIL: usize = 4;

/// Settings of `address-poisoning`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// How long an account that was paid is remembered.
    memory: DurationText,
    /// A transfer of listed assets above this is no dust.
    dust: UsdText,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory: DurationText(30 * 86_400_000), dust: UsdText(Usd::whole(1)) }
    }
}

#[derive(Debug)]
struct Poisoning {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    /// When each account was last paid, in milliseconds.
    paid: BTreeMap<Address, u64>,
}

impl Poisoning {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("address-poisoning", cx);
        let (settings, wards) = (cx.settings()?, Wards::new(cx));
        Ok(Self { voice, settings, wards, paid: BTreeMap::new() })
    }

    /// Whether a transfer is worth nothing: zero, dust, or of a token the entity does not list.
    fn is_dust(&self, ward: &Ward, token: Address, amount: U256) -> bool {
        match ward.asset(AssetId::Token(token)).and_then(|at| ward.assets.get(at)) {
            Some(asset) => value(asset, amount) <= self.settings.dust.0,
            None => true,
        }
    }

    fn resembles(&self, account: Address) -> Option<Address> {
        if self.paid.contains_key(&account) {
            return None;
        }
        self.paid.keys().copied().find(|it| alike(*it, account))
    }

    fn remember(&mut self, account: Address, now: u64) {
        let oldest = now.saturating_sub(self.settings.memory.0);
        self.paid.retain(|_, at| *at >= oldest);
        if self.paid.len() >= PAID_MAX && !self.paid.contains_key(&account) {
            let first = self.paid.iter().min_by_key(|it| it.1).map(|it| *it.0);
            first.and_then(|it| self.paid.remove(&it));
        }
        self.paid.insert(account, now);
    }
}

/// Whether a person who reads only the ends would take one for the other.
fn alike(a: Address, b: Address) -> bool {
    let digits = |it: Address| -> [u8; 40] {
        let mut out = [0; 40];
        for (pair, byte) in out.chunks_exact_mut(2).zip(it.as_slice()) {
            pair.copy_from_slice(&[byte >> 4, byte & 15]);
        }
        out
    };
    let (a, b) = (digits(a), digits(b));
    a != b && a.get(..HEAD) == b.get(..HEAD) && a.get(40 - TAIL..) == b.get(40 - TAIL..)
}

impl Detector for Poisoning {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let now = cx.observation.block.time.0;
        let mut told = None;
        for fact in &tx.facts {
            let Fact::Transfer { token, from, to, amount } = *fact else { continue };
            let (Some(ward), other) = (match self.wards.of(from) {
                Some(it) => (Some(it), to),
                None => (self.wards.of(to), from),
            }) else {
                continue;
            };
            if !self.is_dust(ward, token, amount) {
                if self.wards.position(from).is_some() {
                    self.remember(to, now);
                }
                continue;
            }
            if let (None, Some(real)) = (told, self.resembles(other)) {
                told = Some(real);
                let subject = if other == to { from } else { to };
                let about = About { tx: Some(tx), entity: &ward.id, subject };
                out.push(Finding {
                    summary: format!("{other} looks like {real}, which was paid before"),
                    evidence: vec![Evidence::new("token", token)],
                    ..self.voice.finding(
                        cx,
                        about,
                        Severity::Low,
                        Class::Suspicion,
                        group::SUSPICION,
                    )
                });
            }
        }
    }

    fn memo(&self) -> Option<Memo> {
        if self.paid.is_empty() { None } else { serde_json::to_value(&self.paid).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.paid.clear();
        if let Some(memo) = memo {
            self.paid = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    const REAL: &str = "0xabc1111111111111111111111111111111111234";
    const FALSE: &str = "0xabc9999999999999999999999999999999991234";

    #[test]
    fn dust_from_a_look_alike_of_a_recipient_is_told() {
        check(
            "address-poisoning",
            "",
            &format!(
                "
                block 1
                  tx 0xee -> 0xaa
                    transfer 0x70 5000e18 from 0xaa to {REAL}
                block 2
                  tx 0xbad -> 0x7f
                    transfer 0x70 0 from 0xaa to {FALSE}
                  tx 0xbad -> 0x7f
                    transfer 0x7f 5000e18 from {FALSE} to 0xaa
                "
            ),
            expect![[r#"
                2 low address-poisoning 0xaa $0.00: 0xABC9999999999999999999999999999999991234 looks like 0xabC1111111111111111111111111111111111234, which was paid before
                2 low address-poisoning 0xaa $0.00: 0xABC9999999999999999999999999999999991234 looks like 0xabC1111111111111111111111111111111111234, which was paid before
            "#]],
        );
    }

    #[test]
    fn the_recipient_itself_strangers_and_real_payments_are_silent() {
        check(
            "address-poisoning",
            "",
            &format!(
                "
                block 1
                  tx 0xee -> 0xaa
                    transfer 0x70 5000e18 from 0xaa to {REAL}
                  tx 0xee -> 0xaa
                    transfer 0x70 0 from 0xaa to {REAL}
                  tx 0xee -> 0xaa
                    transfer 0x70 0 from 0xaa to 0xabc1234
                  tx 0xee -> 0xaa
                    transfer 0x70 5000e18 from {FALSE} to 0xaa
                "
            ),
            expect![[""]],
        );
    }
}
