//! S12: owners, threshold, modules, guard or handler of a Safe changed unexpectedly. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use cofferdam_core::{Class, Fact, Finding, Severity, Tx, fact::SafeChange, finding::Evidence};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need,
    calendar::Calendar,
    report::{About, Voice, group},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "safe-change",
        signal: "S12",
        summary: "owners, threshold, modules, guard or handler of a Safe changed unexpectedly",
        needs: &[Need::Logs],
        docs: include_str!("safe_change.md"),
    },
    build: |cx| Ok(Box::new(Change::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `safe-change`: none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {}

#[derive(Debug)]
struct Change {
    voice: Voice,
    wards: Wards,
    calendar: Calendar,
}

impl Change {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let Settings {} = cx.settings()?;
        Ok(Self {
            voice: Voice::new("safe-change", cx),
            wards: Wards::new(cx),
            calendar: Calendar::new(cx),
        })
    }
}

/// How bad an unexpected change is: critical if it lets somebody act without the owners' quorum.
fn severity(change: &SafeChange) -> Severity {
    match change {
        SafeChange::ModuleEnabled { .. } | SafeChange::MasterCopy { .. } => Severity::Critical,
        SafeChange::Guard { guard } | SafeChange::ModuleGuard { guard } if guard.is_zero() => {
            Severity::Critical
        }
        SafeChange::Threshold { threshold } if *threshold == alloy_primitives::U256::from(1) => {
            Severity::Critical
        }
        SafeChange::OwnerAdded { .. }
        | SafeChange::OwnerRemoved { .. }
        | SafeChange::Threshold { .. }
        | SafeChange::Guard { .. }
        | SafeChange::ModuleGuard { .. }
        | SafeChange::FallbackHandler { .. } => Severity::High,
        SafeChange::ModuleDisabled { .. } => Severity::Medium,
    }
}

/// What the change names, if an account, and its text.
fn target(change: &SafeChange) -> (Option<Address>, String) {
    match change {
        SafeChange::OwnerAdded { owner: it }
        | SafeChange::OwnerRemoved { owner: it }
        | SafeChange::ModuleEnabled { module: it }
        | SafeChange::ModuleDisabled { module: it }
        | SafeChange::Guard { guard: it }
        | SafeChange::ModuleGuard { guard: it }
        | SafeChange::FallbackHandler { handler: it }
        | SafeChange::MasterCopy { singleton: it } => (Some(*it), it.to_string()),
        SafeChange::Threshold { threshold } => (None, threshold.to_string()),
    }
}

impl Detector for Change {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let mut by_safe: BTreeMap<Address, Vec<&SafeChange>> = BTreeMap::new();
        for fact in &tx.facts {
            let Fact::SafeChanged { safe, change } = fact else { continue };
            let expected =
                self.calendar.expects(*safe, target(change).0, cx.observation.block.time);
            if self.wards.position(*safe).is_some() && !expected {
                by_safe.entry(*safe).or_default().push(change);
            }
        }
        for (safe, mut changes) in by_safe {
            // A Safe is set up in the transaction that creates it.
            let born =
                |it: &Fact| matches!(it, Fact::Created { contract, .. } if *contract == safe);
            let Some(ward) = self.wards.of(safe) else { continue };
            if tx.facts.iter().any(born) {
                continue;
            }
            changes.sort_by_key(|it| std::cmp::Reverse(severity(it)));
            let Some(worst) = changes.first() else { continue };
            let about = About { tx: Some(tx), entity: &ward.id, subject: safe };
            out.push(Finding {
                summary: format!("{}: {}", worst.phrase(), target(worst).1),
                evidence: changes
                    .iter()
                    .map(|it| Evidence::new(it.phrase(), target(it).1))
                    .collect(),
                ..self.voice.finding(cx, about, severity(worst), Class::Control, group::CONTROL)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::{VAULT, check, check_plan};

    #[test]
    fn what_bypasses_the_quorum_is_critical_and_the_worst_change_leads() {
        check(
            "safe-change",
            "",
            "
            block 1
              tx 0xee -> 0xaa
                safe 0xaa owner-added 0xbad
                safe 0xaa module 0xbad
              tx 0xee -> 0xaa
                safe 0xaa owner-added 0xbad
                safe 0xaa owner-removed 0x900d
              tx 0xee -> 0xaa
                safe 0xaa threshold 1
              tx 0xee -> 0xaa
                safe 0xaa guard 0
              tx 0xee -> 0xaa
                safe 0xaa module-off 0x900d
            ",
            expect![[r#"
                1 critical safe-change 0xaa $0.00: module enabled: 0x0000000000000000000000000000000000000Bad
                1 high safe-change 0xaa $0.00: owner added: 0x0000000000000000000000000000000000000Bad
                1 critical safe-change 0xaa $0.00: threshold changed: 1
                1 critical safe-change 0xaa $0.00: guard changed: 0x0000000000000000000000000000000000000000
                1 medium safe-change 0xaa $0.00: module disabled: 0x000000000000000000000000000000000000900D
            "#]],
        );
    }

    #[test]
    fn scheduled_changes_new_safes_and_foreign_safes_are_silent() {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"safe-change\"";
        let calendar = r#"
            [[calendar]]
            contract = "eip155:1:0x00000000000000000000000000000000000000aa"
            not-before = 0
            not-after = 200
            reason = "rotation"
        "#;
        check_plan(
            &format!("{VAULT}\n{rule}\n{calendar}"),
            "
            block 1
              tx 0xee -> 0xaa
                safe 0xaa owner-added 0xbad
              tx 0xee -> 0xfac
                create 0xab by 0xfac
                safe 0xab owner-added 0xee
              tx 0xee -> 0xaa
                transfer 0x70 1 from 0xaa to 0xdd
                safe 0xdd module 0xbad
            ",
            expect![[""]],
        );
    }
}
