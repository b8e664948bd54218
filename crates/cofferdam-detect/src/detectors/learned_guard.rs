//! A transaction left what an entity's history never left. The page beside this file says how and with which limits.
//!
//! **Invariant:** what is learned is advisory. Its findings are suspicion, never harm; until the plan
//! records a promotion they weigh nothing, and the rule cannot be built in a mode that acts.

use cofferdam_core::{
    Class, Finding, Severity, Tx,
    finding::Evidence,
    plan::{LEARNED, Mode},
    record::Memo,
};
use cofferdam_learn::{
    Measured, MetricGuard, Proof, Sample, Settings, Subject,
    guard::{Guards, Invariant, Memory},
    measured,
    path::PathGuard,
    samples,
    stream::{Model, State, restore},
};
use serde::{Deserialize, Serialize};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    reads,
    report::{About, LLR_MAX, Voice, group},
    watch::{Ward, Wards},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: LEARNED,
        signal: "§2.3",
        summary: "a transaction left what an entity's history never left",
        needs: &[Need::Logs, Need::Frames, Need::Diff, Need::Reads],
        docs: include_str!("learned_guard.md"),
    },
    build: |cx| Ok(Box::new(LearnedGuard::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Breaches of one transaction that a finding lists.
const LISTED_MAX: usize = 8;
/// The most that one finding may weigh, in thousandths of a nat: as much as any suspicion.
const SUSPICION_LLR_MAX: i32 = 4_000;
const _: () = assert!(SUSPICION_LLR_MAX < LLR_MAX, "novelty alone must not carry a decision");

#[derive(Debug)]
struct LearnedGuard {
    voice: Voice,
    ward: Ward,
    wards: Wards,
    subject: Subject,
    promoted: bool,
    /// In milliseconds since the Unix epoch.
    expires: u64,
    guards: Guards,
    paths: Option<PathGuard>,
    metrics: Vec<(MetricGuard, State)>,
    state: Kept,
    models: Vec<Box<dyn Model + Send + Sync>>,
}

/// What outlives a block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    memory: Memory,
    /// States of the models, in the order of the settings; empty before the first block.
    models: Vec<State>,
    /// Whether it was told that the guards are too old.
    told: bool,
}

impl LearnedGuard {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let unusable = |what: String, hint: &str| BuildError::Unusable {
            rule: cx.rule.id.clone(),
            what,
            hint: hint.into(),
        };
        let promoted = settings.promoted && settings.shadow.is_some();
        if !promoted && cx.rule.mode > Mode::Alert {
            let hint = "set `mode = \"shadow\"`, or record the run in shadow and promote it";
            return Err(unusable("a learned guard acts only once it is promoted".into(), hint));
        }
        let wards = Wards::new(cx);
        let mut entities = cx.entities();
        let (Some(entity), None, Some(ward)) = (entities.next(), entities.next(), wards.at(0))
        else {
            let hint = "name the entity it was learned from under `entities`";
            return Err(unusable("what is learned is about one entity".into(), hint));
        };
        let again = "run `cofferdam learn` again and take its fragment as it is";
        let guards = Guards::new(settings.guards).map_err(|it| unusable(it, again))?;
        let mut metrics = Vec::new();
        for metric in settings.metrics {
            let state = metric.state().map_err(|it| unusable(it, again))?;
            let model = restore(state.clone()).map_err(|it| unusable(it.to_string(), again))?;
            let subject = Subject::new(entity, ward.accounts.iter().copied());
            let row = Measured { outflows: vec![0.0; subject.assets.len()], ..Measured::default() };
            let row = row.row(&subject, metric.metric, metric.asset);
            if row.is_none_or(|it| it.len() != model.width()) {
                let what = format!("{} does not fit the assets of the entity", metric.title());
                return Err(unusable(what, again));
            }
            metrics.push((metric, state));
        }
        let subject = Subject::new(entity, ward.accounts.iter().copied());
        let mut detector = Self {
            voice: Voice::new(LEARNED, cx),
            ward: ward.clone(),
            wards,
            subject,
            promoted,
            expires: settings.expires.saturating_mul(1_000),
            guards,
            paths: settings.paths,
            metrics,
            state: Kept::default(),
            models: Vec::new(),
        };
        detector.begin();
        Ok(detector)
    }

    /// Models as they were learned.
    fn begin(&mut self) {
        let models = self.metrics.iter().filter_map(|it| restore(it.1.clone()).ok());
        self.models = models.collect();
    }

    /// What a finding weighs: nothing before promotion; then what the hold-out can prove, at most what
    /// any suspicion weighs (`risk.md` §9.2: ln of one by the false-alarm limit).
    fn weight(&self, proof: Option<&Proof>) -> i32 {
        let Some(proof) = proof.filter(|_| self.promoted) else { return 0 };
        let rate = f64::from(proof.false_alarms_ppm.max(1)) / 1e6;
        let nats = -cofferdam_risk::logit(rate.min(0.5));
        ((nats * 1e3) as i32).clamp(0, SUSPICION_LLR_MAX)
    }

    fn look(&mut self, cx: &Context<'_>, sample: &Sample, out: &mut Vec<Finding>) {
        let Some(tx) = cx.observation.txs.get(sample.position) else { return };
        let breaches = self.guards.breaches(sample, &mut self.state.memory);
        let path =
            self.paths.as_ref().and_then(|it| it.check(&sample.path).err().map(|text| (it, text)));
        if breaches.is_empty() && path.is_none() {
            return;
        }
        let mut names: Vec<&str> = Vec::new();
        for it in &breaches {
            let name = it.guard.invariant.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if path.is_some() {
            names.push("call path");
        }
        let mut evidence: Vec<Evidence> = breaches
            .iter()
            .take(LISTED_MAX)
            .map(|it| {
                let label = format!("{} at {}", it.guard.invariant.name(), it.guard.whereabouts());
                Evidence::new(label, format!("{}, learned: {}", it.measured, it.guard.bound))
            })
            .collect();
        evidence.extend(path.iter().map(|it| Evidence::new("call path never taken before", &it.1)));
        let proofs =
            breaches.iter().map(|it| &it.guard.proof).chain(path.iter().map(|it| &it.0.proof));
        let best = proofs.min_by_key(|it| it.false_alarms_ppm);
        let subject =
            breaches.iter().find_map(|it| it.guard.contract.filter(|it| self.ward.owns(*it)));
        let subject = subject.or(sample.entries.first().map(|it| it.door.contract));
        let severity = if names.len() >= 2 { Severity::Medium } else { Severity::Low };
        let about = About {
            tx: Some(tx),
            entity: &self.ward.id,
            subject: subject.or(self.ward.accounts.first().copied()).unwrap_or_default(),
        };
        out.push(Finding {
            llr_millinats: self.weight(best),
            summary: format!("never seen before: {}", names.join(", ")),
            evidence,
            ..self.voice.finding(cx, about, severity, Class::Suspicion, group::SUSPICION)
        });
    }

    fn meter(&mut self, cx: &Context<'_>, samples: &[Sample], out: &mut Vec<Finding>) {
        let row = measured(&self.subject, samples);
        let mut alarms: Vec<(&MetricGuard, f64)> = Vec::new();
        for ((metric, _), model) in self.metrics.iter().zip(&mut self.models) {
            let row = row.row(&self.subject, metric.metric, metric.asset);
            let step = row.and_then(|it| model.step(&it).ok());
            if let Some(step) = step.filter(|it| it.alarm) {
                alarms.push((metric, step.score.unwrap_or_default()));
            }
        }
        self.state.models = self.models.iter().map(|it| it.state()).collect();
        let best = alarms.iter().map(|it| &it.0.proof).min_by_key(|it| it.false_alarms_ppm);
        let Some(best) = best else { return };
        let text =
            |it: &(&MetricGuard, f64)| Evidence::new(it.0.title(), format!("score {:.3}", it.1));
        let subject = self.ward.accounts.first().copied().unwrap_or_default();
        let about = About { tx: None, entity: &self.ward.id, subject };
        out.push(Finding {
            llr_millinats: self.weight(Some(best)),
            summary: format!("unusual block: {} models alarm", alarms.len()),
            evidence: alarms.iter().take(LISTED_MAX).map(text).collect(),
            ..self.voice.finding(cx, about, Severity::Low, Class::Suspicion, group::SUSPICION)
        });
    }
}

impl Detector for LearnedGuard {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        let ratio = [Invariant::TokenInRatio, Invariant::TokenOutRatio];
        let total = [Invariant::TotalSupply, Invariant::TotalBorrow];
        let asks = |list: [Invariant; 2]| list.iter().any(|it| self.guards.has(*it));
        let (held, totals) = (asks(ratio), asks(total));
        let subject = &self.subject;
        let mut out = Vec::new();
        for account in &subject.accounts {
            let alone = Subject { accounts: vec![*account], ..subject.clone() };
            let assets = if held { alone.assets.len() } else { 0 };
            let reads = alone.reads();
            let (holdings, views) = reads.split_at(alone.assets.len());
            out.extend(holdings.iter().take(assets).cloned());
            out.extend(views.iter().filter(|_| totals).cloned());
        }
        let touched = &subject.accounts;
        out.into_iter()
            .flat_map(|read| touched.iter().map(move |it| reads::when_touched(read.clone(), *it)))
            .collect()
    }

    fn on_tx(&mut self, _: &Context<'_>, _: &Tx, _: &mut Vec<Finding>) {}

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if cx.observation.block.time.0 >= self.expires {
            if !self.state.told {
                self.state.told = true;
                let subject = self.ward.accounts.first().copied().unwrap_or_default();
                let about = About { tx: None, entity: &self.ward.id, subject };
                out.push(Finding {
                    summary: "learned guards have expired and are no longer looked at".into(),
                    ..self.voice.finding(
                        cx,
                        about,
                        Severity::Medium,
                        Class::Defence,
                        group::DEFENCE,
                    )
                });
            }
            return;
        }
        self.state.memory.begin_block();
        let (samples, _) = samples(&self.subject, cx.observation);
        for sample in &samples {
            self.look(cx, sample, out);
        }
        if !samples.is_empty() {
            self.meter(cx, &samples, out);
        }
        self.state.memory.begin_block();
    }

    fn memo(&self) -> Option<Memo> {
        if self.state == Kept::default() { None } else { serde_json::to_value(&self.state).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.state = Kept::default();
        self.begin();
        let Some(memo) = memo else { return Ok(()) };
        let kept = Kept::deserialize(memo).map_err(MemoError)?;
        let models: Result<Vec<_>, _> = kept.models.iter().cloned().map(restore).collect();
        let models = models.map_err(|it| MemoError(serde::de::Error::custom(it)))?;
        if !kept.models.is_empty() {
            let widths = |list: &[Box<dyn Model + Send + Sync>]| -> Vec<usize> {
                list.iter().map(|it| it.width()).collect()
            };
            if widths(&models) != widths(&self.models) {
                let other = "its models are not those of the plan";
                return Err(MemoError(serde::de::Error::custom(other)));
            }
            self.models = models;
        }
        self.state = kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::{
        RuleSet,
        fixture::{self, VAULT, check},
    };

    const PROOF: &str = "proof = { support = 900, held-out = 300, breaches = 0, false-alarms-ppm = 9936, drift = \"none\" }";
    const AA: &str = "0x00000000000000000000000000000000000000aa";

    #[track_caller]
    fn run(guards: &str, blocks: &str, expect: Expect) {
        check("learned-guard", &format!("expires = 9999999999\n{guards}"), blocks, expect);
    }

    fn guard(invariant: &str, place: &str, bound: &str) -> String {
        format!(
            "[[rules.settings.guards]]\ninvariant = \"{invariant}\"\n{place}\nbound = {bound}\n{PROOF}\n"
        )
    }

    #[test]
    fn more_sent_than_ever_through_a_contract_is_told_once_with_what_else_is_new() {
        let token = "0x0000000000000000000000000000000000000070";
        let guards = [
            guard(
                "only-eoa",
                &format!("contract = \"{AA}\"\nselector = \"0x01020304\""),
                "\"always\"",
            ),
            guard(
                "token-out",
                &format!("contract = \"{AA}\"\nasset = \"{token}\""),
                "{ at-most = \"1000\" }",
            ),
        ];
        let blocks = "
            block 1
              tx 0xe1 -> 0xaa
                call 0xe1 0xaa 0x01020304
                transfer 0x70 1000 from 0xaa to 0xe1
            block 2
              tx 0xe1 -> 0xec
                call 0xec 0xaa 0x01020304 depth 2
                transfer 0x70 1001 from 0xaa to 0xe1
        ";
        run(
            &guards.concat(),
            blocks,
            expect![[r#"
                2 medium learned-guard 0xaa $0.00: never seen before: only-eoa, token-out
            "#]],
        );
    }

    #[test]
    fn an_unknown_path_is_told_and_a_known_one_or_a_simple_one_is_silent() {
        let known = format!("{AA}:0x01020304 {{ {AA}:0x05060708 }}");
        let paths = format!(
            "[rules.settings.paths]\nsimple = true\nread-only = true\nrestore-on-exit = true\nknown = [\"{known}\"]\n{PROOF}\n"
        );
        let blocks = "
            block 1
              tx 0xe1 -> 0xaa
                call 0xe1 0xaa 0x11111111
            block 2
              tx 0xe1 -> 0xec
                call 0xec 0xaa 0x01020304 depth 1
                call 0xec 0xaa 0x05060708 depth 3
                call 0xec 0xaa 0x05060708 depth 3
            block 3
              tx 0xe1 -> 0xec
                call 0xec 0xaa 0x05060708 depth 1
                call 0xec 0xaa 0x01020304 depth 1
        ";
        run(
            &paths,
            blocks,
            expect![[r#"
                3 low learned-guard 0xaa $0.00: never seen before: call path
            "#]],
        );
    }

    #[test]
    fn what_could_not_be_looked_into_is_silent() {
        let place = format!("contract = \"{AA}\"\nselector = \"0x01020304\"");
        let blocks = "
            block 1
              tx 0xe1 -> 0xec incomplete
                call 0xec 0xaa 0x01020304 depth 1
            block 2
              tx 0xe1 -> 0xec reverted
                call 0xec 0xaa 0x01020304 depth 1
        ";
        let silent = expect![[r#"
            1 medium blind 0xaa $0.00: re-execution lacked 3 state reads
        "#]];
        run(&guard("only-eoa", &place, "\"always\""), blocks, silent);
    }

    #[test]
    fn expired_guards_say_so_once_and_are_silent() {
        let place = format!("contract = \"{AA}\"\nselector = \"0x01020304\"");
        let settings = format!("expires = 20\n{}", guard("only-eoa", &place, "\"always\""));
        let one = "tx 0xe1 -> 0xec\ncall 0xec 0xaa 0x01020304 depth 1\n";
        let blocks: String = (1..=3).map(|it| format!("block {it}\n{one}")).collect();
        check(
            "learned-guard",
            &settings,
            &blocks,
            expect![[r#"
                1 low learned-guard 0xaa $0.00: never seen before: only-eoa
                2 medium learned-guard 0xaa $0.00: learned guards have expired and are no longer looked at
            "#]],
        );
    }

    /// A finding of a rule with these settings, and its weight.
    fn weight(promotion: &str) -> i32 {
        let place = format!("contract = \"{AA}\"\nselector = \"0x01020304\"");
        let guard = guard("only-eoa", &place, "\"always\"");
        let rule = format!(
            "[[rules]]\nid = \"r\"\ndetector = \"learned-guard\"\n[rules.settings]\nexpires = 9999999999\n{promotion}\n{guard}"
        );
        let plan = fixture::plan(&format!("{VAULT}\n{rule}"));
        let mut rules = RuleSet::build(&plan, cofferdam_core::ChainId(1)).expect("it builds");
        let block = "block 1\ntx 0xe1 -> 0xec\ncall 0xec 0xaa 0x01020304 depth 1";
        let found = fixture::parse(block)
            .iter()
            .flat_map(|it| rules.observe(it).findings)
            .collect::<Vec<_>>();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].class, cofferdam_core::Class::Suspicion, "novelty is no harm");
        found[0].llr_millinats
    }

    #[test]
    fn a_guard_weighs_nothing_before_promotion_and_what_its_hold_out_proves_after() {
        assert_eq!(weight(""), 0);
        assert_eq!(weight("promoted = true"), 0, "without a recorded run");
        let run = "promoted = true\nshadow = { from = 1, until = 2592001, findings = 0 }";
        assert_eq!(weight(run), 4_000);
    }

    #[test]
    fn a_rule_that_acts_or_is_about_two_entities_or_is_mangled_is_not_built() {
        let build = |rule: &str| {
            let plan = fixture::plan(&format!(
                "{VAULT}\n[[rules]]\nid = \"r\"\ndetector = \"learned-guard\"\n{rule}"
            ));
            RuleSet::build(&plan, cofferdam_core::ChainId(1))
                .map(|_| ())
                .map_err(|it| it.to_string())
        };
        let acts = build("mode = \"automatic\"").expect_err("it may not act");
        assert!(acts.contains("only once it is promoted"), "{acts}");
        let kind = guard("only-eoa", &format!("contract = \"{AA}\""), "{ at-most = \"1\" }");
        let kind = build(&format!("[rules.settings]\n{kind}")).expect_err("another kind");
        assert!(kind.contains("bound of another kind"), "{kind}");
        let model = format!(
            "[rules.settings]\n[[rules.settings.metrics]]\nmetric = \"gas\"\nmodel = \"{{}}\"\n{PROOF}"
        );
        assert!(build(&model).is_err());
    }

    #[test]
    fn a_metric_beyond_its_model_is_an_unusual_block() {
        let mut model = cofferdam_learn::stream::Ewma::new(cofferdam_learn::stream::EwmaSettings {
            alpha: 0.1,
            limit: 6.0,
            warm_up: 5,
        })
        .expect("settings in their domain");
        for it in [1.0, 2.0, 1.0, 2.0, 1.0, 2.0] {
            cofferdam_learn::stream::Model::step(&mut model, &[it]).expect("a finite value");
        }
        let state =
            serde_json::to_string(&cofferdam_learn::stream::Model::state(&model)).expect("JSON");
        let metric = format!(
            "[[rules.settings.metrics]]\nmetric = \"entries\"\nmodel = '{state}'\n{PROOF}\n"
        );
        let one = "call 0xec 0xaa 0x01020304 depth 1\n";
        let blocks =
            format!("block 1\ntx 0xe1 -> 0xec\n{one}block 2\ntx 0xe1 -> 0xec\n{}", one.repeat(30));
        run(
            &metric,
            &blocks,
            expect![[r#"
                2 low learned-guard 0xaa $0.00: unusual block: 1 models alarm
            "#]],
        );
    }
}
