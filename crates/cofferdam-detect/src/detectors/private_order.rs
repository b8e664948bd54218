//! S21: a newcomer's transaction reached the entity without having been public before. The page beside this file says how and with which limits.

use alloy_primitives::Address;
use cofferdam_core::{Class, Finding, Severity, Stage, Tx, finding::Evidence};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need,
    report::{About, Voice, group},
    suspicion,
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "private-order",
        signal: "S21",
        summary: "a newcomer's transaction reached an entity without having been public before",
        needs: &[Need::Frames],
        docs: include_str!("private_order.md"),
    },
    build: |cx| Ok(Box::new(PrivateOrder::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `private-order`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Earlier transactions up to which a sender is a newcomer.
    nonce_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nonce_max: 20 }
    }
}

#[derive(Debug)]
struct PrivateOrder {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl PrivateOrder {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("private-order", cx);
        Ok(Self { voice, settings: cx.settings()?, wards: Wards::new(cx) })
    }

    /// The account of an entity that the newcomer's own contract reached.
    fn reached(&self, cx: &Context<'_>, tx: &Tx) -> Option<Address> {
        let contract = tx.to.or(tx.created).filter(|it| !self.voice.is_ours(*it))?;
        let ours = |it: Address| self.voice.is_ours(it);
        let new =
            tx.nonce <= self.settings.nonce_max || suspicion::fresh_code(cx, tx, &[contract], ours);
        if !new || !tx.tracing.is_evidence() {
            return None;
        }
        let frames = tx.calls().filter(|it| it.from != tx.from);
        frames.map(|it| it.to).find(|it| self.wards.position(*it).is_some())
    }
}

impl Detector for PrivateOrder {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        if cx.observation.stage == Stage::Pending || !cx.around.public.missed(tx.hash) {
            return;
        }
        let Some(subject) = self.reached(cx, tx) else { return };
        let Some(ward) = self.wards.of(subject) else { return };
        let about = About { tx: Some(tx), entity: &ward.id, subject };
        out.push(Finding {
            summary: "a newcomer's own contract called it in a transaction that was never public"
                .into(),
            evidence: vec![Evidence::new("earlier transactions of the sender", tx.nonce)],
            ..self.voice.finding(cx, about, Severity::Low, Class::Suspicion, group::SUSPICION)
        });
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{ChainId, Observation, Stage};

    use crate::{
        RuleSet,
        fixture::{VAULT, parse, plan},
    };

    fn rules() -> RuleSet {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"private-order\"";
        RuleSet::build(&plan(&format!("{VAULT}\n{rule}")), ChainId(1)).expect("the rule builds")
    }

    /// A block of `count` transactions that touch nothing.
    fn quiet(number: u64, count: u64) -> Observation {
        let text: String = (0..count).map(|_| "tx 0xbb -> 0xbc\n").collect();
        parse(&format!("block {number}\n{text}")).remove(0)
    }

    fn strike(nonce: u64) -> Observation {
        let text = format!("block 900\ntx 0xee -> 0xec nonce {nonce}\ncall 0xec 0xaa 0x01020304");
        parse(&text).remove(0)
    }

    /// Tells the rules of `blocks`, `public` percent of which were pending before.
    fn watch(rules: &mut RuleSet, blocks: u64, public: u64) {
        for number in 1..=blocks {
            let block = quiet(number, 10);
            let mut pending = block.clone();
            pending.stage = Stage::Pending;
            pending.txs.truncate((public / 10) as usize);
            rules.around_mut().public.note(&pending);
            rules.around_mut().public.note(&block);
        }
    }

    #[test]
    fn a_newcomer_that_was_never_public_is_told_where_nearly_all_is_public() {
        let mut rules = rules();
        watch(&mut rules, 30, 90);
        let found = rules.observe(&strike(3)).findings;
        let [it] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(it.severity.to_string(), "low");
    }

    #[test]
    fn regulars_what_was_public_and_blind_spots_of_our_own_are_silent() {
        for (blocks, public, nonce, seen) in
            [(30, 90, 3, true), (30, 90, 400, false), (30, 20, 3, false), (5, 90, 3, false)]
        {
            let mut rules = rules();
            watch(&mut rules, blocks, public);
            if seen {
                let mut pending = strike(nonce);
                pending.stage = Stage::Pending;
                rules.around_mut().public.note(&pending);
            }
            assert_eq!(rules.observe(&strike(nonce)).findings, vec![], "{blocks} {public} {nonce}");
        }
    }
}
