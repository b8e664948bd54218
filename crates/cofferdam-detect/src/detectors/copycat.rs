//! S20: somebody does what an attack of an open incident did. The page beside this file says how and with which limits.

use alloy_primitives::Address;
use cofferdam_core::{Class, Finding, Severity, Tx, finding::Evidence, plan::BasisPoints};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need,
    report::{About, Voice, group},
    sketch::{Shape, Sketch, created},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "copycat",
        signal: "S20",
        summary: "somebody does, or deploys, what the attack of an open incident did",
        needs: &[Need::Frames],
        docs: include_str!("copycat.md"),
    },
    build: |cx| Ok(Box::new(Copycat::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Settings of `copycat`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// How much the two must have in common.
    likeness: BasisPoints,
}

impl Default for Settings {
    fn default() -> Self {
        Self { likeness: BasisPoints(900_000) }
    }
}

#[derive(Debug)]
struct Copycat {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl Copycat {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("copycat", cx);
        Ok(Self { voice, settings: cx.settings()?, wards: Wards::new(cx) })
    }

    /// The active shape that `mine` is most like, if it is like enough.
    fn model<'a>(
        &self,
        cx: &Context<'a>,
        tx: &Tx,
        mine: &Sketch,
        parts: impl Fn(&'a Shape) -> &'a [Sketch],
    ) -> Option<(u64, &'a Shape)> {
        let others = cx.around.active.iter().filter(|it| it.tx != tx.hash);
        let like = others.flat_map(|it| parts(it).iter().map(move |part| (part, it)));
        let best = like.map(|(part, it)| (mine.likeness(part), it)).max_by_key(|it| it.0)?;
        (best.0.saturating_mul(10_000) >= self.settings.likeness.0).then_some(best)
    }

    fn finding(
        &self,
        cx: &Context<'_>,
        tx: &Tx,
        (what, subject, severity): (&str, Address, Severity),
        (likeness, model): (u64, &Shape),
    ) -> Finding {
        let ward = self.wards.of(subject).or_else(|| self.wards.iter().next());
        let about = About { tx: Some(tx), entity: ward.map_or("", |it| it.id.as_str()), subject };
        Finding {
            summary: format!("{what} is {likeness} % like that of an attack of an open incident"),
            evidence: vec![
                Evidence::new("attack", model.tx),
                Evidence::new("on chain", model.chain),
            ],
            ..self.voice.finding(cx, about, severity, Class::Suspicion, group::SUSPICION)
        }
    }
}

impl Detector for Copycat {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests().into_iter().chain([Interest::EveryBlock]).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        if cx.around.active.is_empty() || !tx.tracing.is_evidence() {
            return;
        }
        let reached =
            tx.frames.iter().map(|it| it.to).find(|it| self.wards.position(*it).is_some());
        let (Some(subject), Some(mine)) = (reached, Sketch::of_calls(tx)) else { return };
        if let Some(model) = self.model(cx, tx, &mine, |it| it.calls.as_slice()) {
            let what = ("what it calls", subject, Severity::Critical);
            out.push(self.finding(cx, tx, what, model));
        }
    }

    /// Code is deployed before it touches anybody.
    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if cx.around.active.iter().all(|it| it.codes.is_empty()) {
            return;
        }
        for tx in cx.observation.txs.iter().filter(|it| it.tracing.is_evidence()) {
            for frame in created(tx).filter(|it| !self.voice.is_ours(it.from)) {
                let Some(mine) = Sketch::of_code(&frame.output) else { continue };
                if let Some(model) = self.model(cx, tx, &mine, |it| it.codes.as_slice()) {
                    let what = ("new code", frame.to, Severity::High);
                    out.push(self.finding(cx, tx, what, model));
                }
            }
        }
    }

    fn shape(&self, cx: &Context<'_>, tx: &Tx) -> Option<Shape> {
        Shape::of(cx.observation.block.chain, tx)
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{ChainId, Observation};

    use crate::{
        RuleSet,
        fixture::{VAULT, parse, plan},
    };

    fn rules() -> RuleSet {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"copycat\"";
        RuleSet::build(&plan(&format!("{VAULT}\n{rule}")), ChainId(1)).expect("the rule builds")
    }

    /// An attack through `contract` by `sender`, its calls starting with `first`.
    fn attack(block: u64, sender: &str, contract: &str, first: u8, amount: u8) -> Observation {
        let calls = (0..14_u8).map(|it| {
            let selector = if it == 0 { first } else { it };
            format!("call {contract} 0xaa 0x010203{selector:02x}{amount:02x}\n")
        });
        let calls: String = calls.collect();
        let code: String =
            (0_u8..120).map(|it| format!("60{amount:02x}{:02x}", it % 0x5f)).collect();
        let text = format!(
            "block {block}\ntx {sender} -> {contract}\n{calls}create 0xec1 by {sender}\ndeploy {sender} 0xec1 0x{code}\n"
        );
        parse(&text).remove(0)
    }

    fn told(rules: &mut RuleSet, it: &Observation) -> Vec<String> {
        rules
            .observe(it)
            .findings
            .into_iter()
            .map(|it| format!("{} {}", it.severity, it.summary))
            .collect()
    }

    #[test]
    fn the_same_attack_with_other_addresses_and_amounts_on_another_day_is_critical() {
        let mut rules = rules();
        let first = attack(1, "0xee", "0xec", 0, 1);
        let shapes = rules.shapes(&first, &[first.txs[0].hash]);
        assert_eq!(shapes.len(), 1);
        rules.around_mut().active = shapes;
        assert_eq!(
            told(&mut rules, &attack(9, "0xbe", "0xbc", 0, 7)),
            [
                "critical what it calls is 100 % like that of an attack of an open incident",
                "high new code is 100 % like that of an attack of an open incident",
            ]
        );
        let varied = told(&mut rules, &attack(10, "0xbe", "0xbc", 99, 7));
        assert!(varied.iter().any(|it| it.starts_with("high new code")), "{varied:?}");
    }

    #[test]
    fn without_an_open_incident_the_original_and_unlike_calls_are_silent() {
        let mut rules = rules();
        let first = attack(1, "0xee", "0xec", 0, 1);
        assert_eq!(told(&mut rules, &first), Vec::<String>::new(), "no incident");
        rules.around_mut().active = rules.shapes(&first, &[first.txs[0].hash]);
        assert_eq!(told(&mut rules, &first), Vec::<String>::new(), "itself");
        let short = parse("block 2\ntx 0xbe -> 0xbc\ncall 0xbc 0xaa 0x01020304");
        assert_eq!(told(&mut rules, &short[0]), Vec::<String>::new(), "too short to be told apart");
    }
}
