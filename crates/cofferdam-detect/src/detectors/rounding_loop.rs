//! S17: one transaction called the same function of an entity over and over. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::{Address, hex};
use cofferdam_core::{Class, Finding, Severity, Tx, finding::Evidence, tx::CallKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    pools::{PairSwap, pair_swaps},
    reads,
    report::{About, Voice, group},
    watch::{Ward, Wards},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "rounding-loop",
        signal: "S17",
        summary: "one transaction called the same function of an entity over and over",
        needs: &[Need::Frames, Need::Reads],
        docs: include_str!("rounding_loop.md"),
    },
    build: |cx| Ok(Box::new(RoundingLoop::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Views whose answer must not fall while a pool or vault is used.
const WORTH: [[u8; 4]; 3] =
    [reads::GET_VIRTUAL_PRICE, reads::GET_RATE, reads::EXCHANGE_RATE_STORED];

/// Settings of `rounding-loop`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Calls of one function of one contract in one transaction that are many.
    repeats: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { repeats: 20 }
    }
}

#[derive(Debug)]
struct RoundingLoop {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl RoundingLoop {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("rounding-loop", cx);
        Ok(Self { voice, settings: cx.settings()?, wards: Wards::new(cx) })
    }

    /// The function of an entity that `tx` called most often.
    fn most(&self, tx: &Tx) -> Option<(Address, [u8; 4], usize)> {
        let mut counts: BTreeMap<(Address, [u8; 4]), usize> = BTreeMap::new();
        for it in tx.calls().filter(|it| it.kind == CallKind::Call) {
            if let (Some(selector), Some(_)) = (it.selector(), self.wards.position(it.to)) {
                *counts.entry((it.to, selector)).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|it| it.1);
        most.map(|((to, selector), count)| (to, selector, count))
    }

    /// What fell that must not, for any contract of the entity.
    fn fell(&self, cx: &Context<'_>, ward: &Ward, tx: &Tx) -> Option<String> {
        ward.accounts.iter().find_map(|account| {
            let swaps = pair_swaps(tx, *account);
            if swaps.iter().any(|it: &PairSwap| !it.is_fair()) {
                return Some(format!("the invariant of {account}"));
            }
            let fell = WORTH.into_iter().any(|it| {
                let pair = reads::pair(cx, &reads::view(*account, it)).both();
                pair.is_some_and(|(before, after)| after < before)
            });
            fell.then(|| format!("the rate of {account}"))
        })
    }
}

impl Detector for RoundingLoop {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        self.wards.questions(|it| WORTH.map(|view| reads::view(it, view)))
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        if !tx.tracing.is_evidence() {
            return;
        }
        let Some((to, selector, count)) = self.most(tx) else { return };
        let Some(ward) = self.wards.of(to).filter(|_| count >= self.settings.repeats) else {
            return;
        };
        let fell = self.fell(cx, ward, tx);
        let (severity, class, group) = match fell {
            Some(_) => (Severity::Critical, Class::Damage, group::PRICE),
            None => (Severity::Low, Class::Suspicion, group::SUSPICION),
        };
        let about = About { tx: Some(tx), entity: &ward.id, subject: to };
        let but = fell.map_or("nothing fell".into(), |it| format!("{it} fell"));
        out.push(Finding {
            summary: format!("one function called {count} times in a transaction, {but}"),
            evidence: vec![Evidence::new("function", hex::encode_prefixed(selector))],
            ..self.voice.finding(cx, about, severity, class, group)
        });
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    fn repeated(count: usize, rate: &str) -> String {
        let mut text = format!(
            "
            block 1
              read view 0xaa 0x679aefce {rate}
              tx 0xee -> 0xec
            "
        );
        for _ in 0..count {
            text += "call 0x99 0xaa 0x01020304\n";
        }
        text
    }

    #[test]
    fn a_loop_is_critical_with_a_falling_rate_and_low_without() {
        check(
            "rounding-loop",
            "",
            &repeated(20, "1000 -> 999"),
            expect![[r#"
                1 critical rounding-loop 0xaa $0.00: one function called 20 times in a transaction, the rate of 0x00000000000000000000000000000000000000AA fell
            "#]],
        );
        check(
            "rounding-loop",
            "",
            &repeated(25, "1000 -> 1000"),
            expect![[r#"
                1 low rounding-loop 0xaa $0.00: one function called 25 times in a transaction, nothing fell
            "#]],
        );
    }

    #[test]
    fn a_few_calls_are_silent() {
        check("rounding-loop", "", &repeated(19, "1000 -> 900"), expect![[""]]);
    }
}
