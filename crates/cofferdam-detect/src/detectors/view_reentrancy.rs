//! S14: somebody relied on a view of an entity while a call to the entity was still open. The page beside this file says how and with which limits.

use alloy_primitives::{Address, hex};
use cofferdam_core::{
    Class, Finding, Severity, Tx,
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
        id: "view-reentrancy",
        signal: "S14",
        summary: "somebody relied on a view of an entity while a call to the entity was still open",
        needs: &[Need::Frames],
        docs: include_str!("view_reentrancy.md"),
    },
    build: |cx| Ok(Box::new(ViewReentrancy::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `view-reentrancy`: none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {}

#[derive(Debug)]
struct ViewReentrancy {
    voice: Voice,
    wards: Wards,
}

impl ViewReentrancy {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let Settings {} = cx.settings()?;
        Ok(Self { voice: Voice::new("view-reentrancy", cx), wards: Wards::new(cx) })
    }
}

impl Detector for ViewReentrancy {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let cluster = initiators(tx, |it| self.voice.is_ours(it));
        for ward in self.wards.iter() {
            let owns = |it: Address| ward.owns(it);
            // What the initiators read for themselves misleads nobody else.
            let misled =
                |it: &&Frame| it.kind == CallKind::StaticCall && !cluster.contains(&it.from);
            let read = reentry::reentries(tx, &owns, &cluster);
            let Some(first) = read.into_iter().find(misled) else { continue };
            let about = About { tx: Some(tx), entity: &ward.id, subject: first.to };
            let selector = first.selector().map_or("no selector".into(), hex::encode_prefixed);
            out.push(Finding {
                summary: format!("{} read {selector} from within an open call", first.from),
                evidence: vec![
                    Evidence::new("reader", first.from),
                    Evidence::new("view", selector),
                ],
                ..self.voice.finding(
                    cx,
                    about,
                    Severity::Medium,
                    Class::Suspicion,
                    group::SUSPICION,
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    fn read(reader: &str) -> String {
        format!(
            "
            block 1
              tx 0xee -> 0xec
                call 0xee 0xec 0x01 depth 0
                call 0xec 0xaa 0x01020304 depth 1
                call 0xaa 0xec 0x depth 2
                call 0xec 0x99 0x05060708 depth 3
                staticcall {reader} 0xaa 0x679aefce depth 4
            "
        )
    }

    #[test]
    fn a_third_party_that_reads_a_rate_from_within_is_suspicious() {
        check(
            "view-reentrancy",
            "",
            &read("0x99"),
            expect![[r#"
                1 medium view-reentrancy 0xaa $0.00: 0x0000000000000000000000000000000000000099 read 0x679aefce from within an open call
            "#]],
        );
    }

    #[test]
    fn what_the_callers_read_themselves_and_reads_from_outside_are_silent() {
        check("view-reentrancy", "", &read("0xec"), expect![[""]]);
        check(
            "view-reentrancy",
            "",
            "
            block 1
              tx 0xee -> 0xec
                call 0xee 0xec 0x01 depth 0
                call 0xec 0x99 0x05060708 depth 1
                staticcall 0x99 0xaa 0x679aefce depth 2
            ",
            expect![[""]],
        );
    }
}
