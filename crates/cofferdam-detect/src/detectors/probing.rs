//! S19: the same contract failed again and again against an entity. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use cofferdam_core::{
    Class, Finding, Severity, Tx, finding::Evidence, plan::DurationText, record::Memo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need,
    report::{About, Voice, group},
    suspicion::is_service,
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "probing",
        signal: "S19",
        summary: "the same contract failed again and again against an entity",
        needs: &[Need::Frames],
        docs: include_str!("probing.md"),
    },
    build: |cx| Ok(Box::new(Probing::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Contracts remembered; the one that failed longest ago is forgotten first.
const CONTRACTS_MAX: usize = 256;

/// Settings of `probing`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Failures from which on it is told, once.
    failures: u32,
    /// How long a failure is remembered.
    window: DurationText,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failures: 2, window: DurationText(3_600_000) }
    }
}

#[derive(Debug)]
struct Probing {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    failed: BTreeMap<Address, Failures>,
}

/// Failures of one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failures {
    count: u32,
    /// The last one, in milliseconds.
    at: u64,
}

impl Probing {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("probing", cx);
        let (settings, wards) = (cx.settings()?, Wards::new(cx));
        Ok(Self { voice, settings, wards, failed: BTreeMap::new() })
    }

    /// The contract that `tx` called and the account of an entity that it reached, if it failed.
    fn failure(&self, tx: &Tx) -> Option<(Address, Address)> {
        let contract = tx.to.filter(|it| !self.voice.is_ours(*it))?;
        if tx.succeeded || !tx.tracing.is_evidence() || is_service(tx) {
            return None;
        }
        let reached = tx.frames.iter().find(|it| self.wards.position(it.to).is_some())?;
        Some((contract, reached.to))
    }

    fn remember(&mut self, contract: Address, now: u64) -> u32 {
        let oldest = now.saturating_sub(self.settings.window.0);
        self.failed.retain(|_, it| it.at >= oldest);
        if self.failed.len() >= CONTRACTS_MAX && !self.failed.contains_key(&contract) {
            let first = self.failed.iter().min_by_key(|it| it.1.at).map(|it| *it.0);
            first.and_then(|it| self.failed.remove(&it));
        }
        let it = self.failed.entry(contract).or_insert(Failures { count: 0, at: now });
        (it.count, it.at) = (it.count.saturating_add(1), now);
        it.count
    }
}

impl Detector for Probing {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let Some((contract, subject)) = self.failure(tx) else { return };
        let count = self.remember(contract, cx.observation.block.time.0);
        let Some(ward) = self.wards.of(subject).filter(|_| count == self.settings.failures) else {
            return;
        };
        let about = About { tx: Some(tx), entity: &ward.id, subject };
        out.push(Finding {
            summary: format!("a contract failed {count} times against it"),
            evidence: vec![Evidence::new("contract", contract)],
            ..self.voice.finding(cx, about, Severity::Low, Class::Suspicion, group::SUSPICION)
        });
    }

    fn memo(&self) -> Option<Memo> {
        if self.failed.is_empty() { None } else { serde_json::to_value(&self.failed).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.failed.clear();
        if let Some(memo) = memo {
            self.failed = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn a_second_failure_within_the_window_is_told_once() {
        check(
            "probing",
            "",
            "
            block 1
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
            block 2
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
            ",
            expect![[r#"
                2 low probing 0xaa $0.00: a contract failed 2 times against it
            "#]],
        );
    }

    #[test]
    fn single_failures_successes_services_and_old_failures_are_silent() {
        check(
            "probing",
            "",
            "
            block 1 time 0
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
              tx 0xee -> 0xed nonce 60000 reverted
                call 0xed 0xaa 0x01020304
              tx 0xee -> 0xed nonce 60001 reverted
                call 0xed 0xaa 0x01020304
            block 2 time 4000
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
            ",
            expect![[""]],
        );
    }
}
