//! S06: an entity's contract was entered again through the caller's own code. The page beside this file says how and with which limits.

use alloy_primitives::{Address, hex};
use cofferdam_core::{
    Class, Finding, Severity, Tx,
    evidence::Tracing,
    finding::Evidence,
    tx::{CallKind, Frame},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, reentry,
    report::{About, Voice, group},
    suspicion::initiators,
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "reentrancy",
        signal: "S06",
        summary: "an entity's contract was entered again through the caller's own code",
        needs: &[Need::Frames],
        docs: include_str!("reentrancy.md"),
    },
    build: |cx| Ok(Box::new(Reentrancy::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `reentrancy`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Selectors (hex) by which an entry from within is meant, e.g. of a lender's repayment.
    allowed: Vec<String>,
}

#[derive(Debug)]
struct Reentrancy {
    voice: Voice,
    allowed: Vec<[u8; 4]>,
    wards: Wards,
}

impl Reentrancy {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let selector = |it: &String| hex::decode(it).ok()?.try_into().ok();
        let allowed: Option<Vec<[u8; 4]>> = settings.allowed.iter().map(selector).collect();
        let allowed = allowed.ok_or_else(|| BuildError::Unusable {
            rule: cx.rule.id.clone(),
            what: "`allowed` names something that is no function selector".into(),
            hint: "write four bytes in hex, e.g. \"0x8456cb59\"".into(),
        })?;
        Ok(Self { voice: Voice::new("reentrancy", cx), allowed, wards: Wards::new(cx) })
    }

    /// How bad entries by `calls` are. Our own execution knows whether the entity went on to write what they had
    /// used; a node's call tree does not.
    fn severity(tx: &Tx, calls: &[&Frame]) -> (Severity, &'static str) {
        if !matches!(tx.tracing, Tracing::Reexecuted | Tracing::Simulated) {
            return (Severity::Medium, "");
        }
        let entered = |at: u32| {
            let frame = tx.frames.get(at as usize);
            frame.is_some_and(|it| calls.iter().any(|call| std::ptr::eq(*call, it)))
        };
        // The frame that came back is the entry itself or one below it.
        let below = |at: u32| {
            let up = |at: &u32| tx.frames.get(*at as usize)?.parent;
            std::iter::successors(Some(at), up).any(entered)
        };
        match tx.stale_writes.iter().any(|it| below(it.inner)) {
            true => (Severity::High, ", and then what was used in between was written"),
            false => (Severity::Low, ""),
        }
    }

    fn is_meant(&self, frame: &Frame) -> bool {
        frame.selector().is_some_and(|it| self.allowed.contains(&it))
    }
}

impl Detector for Reentrancy {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let cluster = initiators(tx, |it| self.voice.is_ours(it));
        for ward in self.wards.iter() {
            let owns = |it: Address| ward.owns(it);
            let calls = reentry::reentries(tx, &owns, &cluster);
            let calls: Vec<&Frame> = calls
                .into_iter()
                .filter(|it| it.kind == CallKind::Call && !self.is_meant(it))
                .collect();
            let Some(first) = calls.first() else { continue };
            let about = About { tx: Some(tx), entity: &ward.id, subject: first.to };
            let text = |it: &&Frame| {
                let selector = it.selector().map_or("no selector".into(), hex::encode_prefixed);
                Evidence::new("entered again", format!("{} by {selector} of {}", it.to, it.from))
            };
            let (severity, then) = Self::severity(tx, &calls);
            let class = Class::Suspicion;
            out.push(Finding {
                summary: format!("entered again {} times from within{then}", calls.len()),
                evidence: calls.iter().take(8).map(text).collect(),
                ..self.voice.finding(cx, about, severity, class, group::SUSPICION)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn a_call_back_in_by_the_caller_from_within_is_suspicious() {
        check(
            "reentrancy",
            "",
            "
            block 1
              tx 0xee -> 0xec
                call 0xee 0xec 0x01 depth 0
                call 0xec 0xaa 0x01020304 depth 1
                call 0xaa 0xec 0x depth 2
                call 0xec 0xab 0x05060708 depth 3
            ",
            expect![[r#"
                1 low reentrancy 0xab $0.00: entered again 1 times from within
            "#]],
        );
    }

    #[test]
    fn what_the_entity_writes_afterwards_makes_it_high_if_it_was_used_in_between() {
        let calls = "
                call 0xee 0xec 0x01 depth 0
                call 0xec 0xaa 0x01020304 depth 1
                call 0xaa 0xec 0x depth 2
                call 0xec 0xab 0x05060708 depth 3
                call 0xab 0xaa 0x0708090a depth 4";
        let block = |rest: &str| format!("block 1\ntx 0xee -> 0xec\n{calls}\n{rest}");
        check(
            "reentrancy",
            "",
            &block("stale 0xaa 7 outer 1 inner 4"),
            expect![[r#"
                1 high reentrancy 0xab $0.00: entered again 1 times from within, and then what was used in between was written
            "#]],
        );
        check(
            "reentrancy",
            "",
            &block("stale 0xaa 7 outer 0 inner 1"),
            expect![[r#"
                1 low reentrancy 0xab $0.00: entered again 1 times from within
            "#]],
        );
    }

    #[test]
    fn callbacks_of_others_meant_entries_and_one_after_the_other_are_silent() {
        for (allowed, second, third) in [
            ("", "call 0xaa 0x99 0x depth 2", "call 0x99 0xaa 0x05060708 depth 3"),
            ("", "call 0xaa 0xec 0x depth 2", "call 0xec 0xaa 0x05060708 depth 1"),
            (
                "allowed = [\"0x05060708\"]",
                "call 0xaa 0xec 0x depth 2",
                "call 0xec 0xaa 0x05060708 depth 3",
            ),
        ] {
            check(
                "reentrancy",
                allowed,
                &format!(
                    "
                    block 1
                      tx 0xee -> 0xec
                        call 0xee 0xec 0x01 depth 0
                        call 0xec 0xaa 0x01020304 depth 1
                        {second}
                        {third}
                    "
                ),
                expect![[""]],
            );
        }
    }
}
