//! Evidence fusion (`risk.md` §9.2): by attacker, by group of correlated rules, by block, to the stage that
//! the attack is in.
//!
//! **Invariant:** what one rule repeats is one witness; what one group says together is capped; what
//! unrelated accounts did is not added up. Where counts stand behind a weight, what may act without a person
//! is what they prove, not what they suggest.

use std::collections::BTreeMap;

use cofferdam_core::{
    Class, Finding, Probability, Stage,
    incident::{Quantity, Term},
    plan::{BasisPoints, Decision, EvidenceCard, card::Bound},
};
use cofferdam_risk::progress::{BlockEvidence, StageModel, StagePpb, group_millinats, stages_ppb};

use crate::{Case, Weighed, clusters, losses};

/// What the evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    /// Probability that value is leaving, or begins to before the next block.
    pub(crate) live: Probability,
    /// The same by what the counts behind the evidence prove: what may act without a person.
    pub(crate) proved: Probability,
    /// The ledger lines that explain it.
    pub(crate) terms: Vec<Term>,
}

/// How evidence is read: as plan and card say, or at either end of what they leave open.
#[derive(Clone, Copy)]
struct Reading<'a> {
    decision: &'a Decision,
    card: Option<&'a EvidenceCard>,
    prior_ppb: u32,
    correlation_ppm: u32,
    bound: Bound,
}

/// The belief about the attacker against whom the evidence is strongest.
pub(crate) fn believe(case: &Case<'_>) -> Belief {
    let readings = readings(&case.plan.decision, case.plan.evidence.as_ref());
    let [plain, low, high] = readings;
    let counted: Vec<Weighed<'_>> =
        case.findings.iter().filter(|it| it.counts()).copied().collect();
    let clusters = clusters::clusters(&counted, case.ties);
    let best = clusters
        .iter()
        .enumerate()
        .max_by_key(|(at, it)| (stages(plain, &it.findings).live, std::cmp::Reverse(*at)))
        .map(|(_, it)| it);
    let found = best.map(|it| it.findings.as_slice()).unwrap_or_default();
    let (middle, bounds) = (stages(plain, found), (stages(low, found), stages(high, found)));
    let proved = stages(Reading { bound: Bound::Low, ..plain }, found);
    let mut terms = prior_terms(readings);
    terms.extend(group_terms(found, readings));
    terms.extend(calibration_term(found, readings));
    if clusters.len() > 1 {
        terms.push(Term {
            name: "attackers".into(),
            value: Quantity::Count(clusters.len() as u64),
            interval: None,
            source: "unrelated accounts; the strongest evidence against one of them counts".into(),
        });
    }
    terms.extend(best.filter(|it| it.tied > 0).map(|it| Term {
        name: "accounts of the attacker".into(),
        value: Quantity::Count(it.accounts as u64),
        interval: None,
        source: format!("{} of them joined by who created or funded them", it.tied),
    }));
    terms.extend(stage_terms(&middle, &bounds));
    if proved.live != middle.live {
        terms.push(Term {
            name: "posterior, proved".into(),
            value: Quantity::Probability(Probability(proved.live)),
            interval: None,
            source: "by the lower bounds of the evidence card: what may act without a person"
                .into(),
        });
    }
    Belief { live: Probability(middle.live), proved: Probability(proved.live), terms }
}

/// One posterior from all findings, whoever acted and however far the attack is: the comparison policy.
pub(crate) fn one_shot(decision: &Decision, findings: &[Weighed<'_>]) -> Belief {
    let counted: Vec<Weighed<'_>> = findings.iter().filter(|it| it.counts()).copied().collect();
    let (prior_ppb, cap) = (decision.prior_ppb, decision.group_cap_millinats);
    let plain =
        Reading { decision, card: None, prior_ppb, correlation_ppm: 0, bound: Bound::Point };
    let groups: Vec<(i32, Vec<i32>)> = by_group(&counted)
        .into_values()
        .map(|rules| (cap, rules.values().map(|it| it.llr_millinats).collect()))
        .collect();
    let live = Probability(cofferdam_risk::posterior_ppb(decision.prior_ppb, &groups));
    let mut terms = prior_terms([plain; 3]);
    terms.extend(group_terms(&counted, [plain; 3]));
    terms.push(Term {
        name: "posterior".into(),
        value: Quantity::Probability(live),
        interval: None,
        source: "prior and evidence (Bayes), policy one-shot".into(),
    });
    Belief { live, proved: live, terms }
}

fn readings<'a>(decision: &'a Decision, card: Option<&'a EvidenceCard>) -> [Reading<'a>; 3] {
    let spread = decision.prior_spread.max(1);
    let prior = decision.prior_ppb;
    let plain = Reading {
        decision,
        card,
        prior_ppb: prior,
        correlation_ppm: ppm(decision.correlation),
        bound: Bound::Point,
    };
    [
        plain,
        Reading {
            prior_ppb: (prior / spread).max(1),
            correlation_ppm: 1_000_000,
            bound: Bound::Low,
            ..plain
        },
        Reading {
            prior_ppb: prior.saturating_mul(spread).min(999_999_999),
            correlation_ppm: 0,
            bound: Bound::High,
            ..plain
        },
    ]
}

impl Reading<'_> {
    /// What a finding weighs by a table of the card; `None` if it counts with what it states itself.
    fn tabulated(&self, it: &Finding) -> Option<i32> {
        self.card?.weight(&it.detector, it.llr_millinats, self.bound)
    }

    fn weight(&self, it: &Finding) -> i32 {
        self.tabulated(it).unwrap_or(it.llr_millinats)
    }

    /// What these findings of one group, one per rule, weigh together. Weights that were learned together have
    /// what the detectors have in common taken off already.
    fn group<'f>(&self, findings: impl Iterator<Item = &'f Finding>) -> i32 {
        let findings: Vec<&Finding> = findings.collect();
        let llrs: Vec<i32> = findings.iter().map(|it| self.weight(it)).collect();
        let stacked = self.card.is_some_and(|it| it.stacked)
            && findings.iter().all(|it| self.tabulated(it).is_some());
        let correlation_ppm = if stacked { 0 } else { self.correlation_ppm };
        group_millinats(&llrs, correlation_ppm, self.decision.group_cap_millinats)
    }

    /// What a sum of evidence was worth: `sum` as it is read here, `point` by the best estimates, which is what
    /// was calibrated. What is proved is never more than either of them says.
    fn worth(&self, sum: i64, point: i64) -> i64 {
        let Some(card) = self.card.filter(|it| !it.calibration.is_empty()) else { return sum };
        let worth = i64::from(card.calibrated(millinats(point), self.bound));
        if self.bound == Bound::Low { worth.min(sum) } else { worth }
    }
}

fn ppm(of: BasisPoints) -> u32 {
    u32::try_from(of.0.min(1_000_000)).unwrap_or(1_000_000)
}

fn stages(reading: Reading<'_>, findings: &[Weighed<'_>]) -> StagePpb {
    let decision = reading.decision;
    let model = StageModel {
        prior_ppb: reading.prior_ppb,
        atomic_ppm: ppm(decision.atomic),
        drain_blocks: decision.drain_blocks,
        preparation_blocks: decision.preparation_blocks,
    };
    stages_ppb(&model, &blocks(reading, findings))
}

/// What each block added to what was known before it.
fn blocks(reading: Reading<'_>, findings: &[Weighed<'_>]) -> Vec<BlockEvidence> {
    let quiet = |age| BlockEvidence { age, suspicion: 0, harm: 0, loss: false };
    let mut out: BTreeMap<u64, BlockEvidence> = BTreeMap::new();
    for it in losses::by_block(findings) {
        out.entry(it.age).or_insert(quiet(it.age)).loss = true;
    }
    let mut order: Vec<&Weighed<'_>> = findings.iter().collect();
    order.sort_by_key(|it| (std::cmp::Reverse(it.age), it.finding.id));
    // By group: the strongest finding of each rule, and what the group weighs so far.
    let mut known: BTreeMap<&str, (Rules<'_>, [Weight; 2])> = BTreeMap::new();
    let mut sums = [Weight::default(); 2];
    let mut told = Weight::default();
    let readings = [reading, Reading { bound: Bound::Point, ..reading }];
    for it in order {
        let (rules, group) = known.entry(&it.finding.group).or_default();
        keep_stronger(rules, it.finding);
        for ((sum, group), reading) in sums.iter_mut().zip(group).zip(readings) {
            let now = Weight {
                suspicion: reading.group(rules.values().copied().filter(|it| !is_harm(it))).into(),
                all: reading.group(rules.values().copied()).into(),
            };
            sum.suspicion += now.suspicion - group.suspicion;
            sum.all += now.all - group.all;
            *group = now;
        }
        let [sum, point] = sums;
        let worth = Weight {
            suspicion: reading.worth(sum.suspicion, point.suspicion),
            all: reading.worth(sum.all, point.all),
        };
        let block = out.entry(it.age).or_insert(quiet(it.age));
        let suspicion = worth.suspicion - told.suspicion;
        block.suspicion = block.suspicion.saturating_add(millinats(suspicion));
        block.harm = block.harm.saturating_add(millinats(worth.all - told.all - suspicion));
        told = worth;
    }
    out.into_values().collect()
}

/// What findings weigh, in thousandths of a nat: those of suspicion, and all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    suspicion: i64,
    all: i64,
}

fn millinats(of: i64) -> i32 {
    i32::try_from(of).unwrap_or(if of > 0 { i32::MAX } else { i32::MIN })
}

type Rules<'a> = BTreeMap<&'a str, &'a Finding>;

fn is_harm(it: &Finding) -> bool {
    matches!(it.class, Class::Damage | Class::Control)
}

/// A rule that repeats itself every block is one witness, not many.
fn keep_stronger<'a>(rules: &mut Rules<'a>, it: &'a Finding) {
    let best = rules.entry(&it.rule).or_insert(it);
    if it.llr_millinats > best.llr_millinats {
        *best = it;
    }
}

fn by_group<'a>(findings: &[Weighed<'a>]) -> BTreeMap<&'a str, Rules<'a>> {
    let mut groups: BTreeMap<&str, Rules<'a>> = BTreeMap::new();
    for it in findings {
        keep_stronger(groups.entry(&it.finding.group).or_default(), it.finding);
    }
    groups
}

fn prior_terms(readings: [Reading<'_>; 3]) -> Vec<Term> {
    let spread = readings[0].decision.prior_spread;
    let [plain, low, high] = readings.map(|it| Quantity::Probability(Probability(it.prior_ppb)));
    vec![Term {
        name: "prior per block".into(),
        value: plain,
        interval: (low != high).then_some((low, high)),
        source: match low == high {
            true => "plan: decision.prior-ppb".into(),
            false => format!("plan: decision.prior-ppb, {spread} times less or more"),
        },
    }]
}

fn group_terms(findings: &[Weighed<'_>], readings: [Reading<'_>; 3]) -> Vec<Term> {
    let cap = readings[0].decision.group_cap_millinats;
    let line = |(group, rules): (&str, Rules<'_>)| {
        let [plain, low, high] =
            readings.map(|it| Quantity::Millinats(it.group(rules.values().copied())));
        let names: Vec<&str> = rules.keys().copied().collect();
        let pending = rules.values().all(|it| it.stage == Stage::Pending);
        let stage = if pending { " (pending)" } else { "" };
        let judged = rules.values().filter(|it| readings[0].tabulated(it).is_none()).count();
        let basis = match judged {
            0 => "by counts",
            it if it == rules.len() => "expert judgement",
            _ => "by counts and expert judgement",
        };
        Term {
            name: format!("evidence: {group}"),
            value: plain,
            interval: (low != high).then_some((low, high)),
            source: format!(
                "findings of {}{stage}, {basis}, capped at {}",
                names.join(", "),
                Quantity::Millinats(cap)
            ),
        }
    };
    by_group(findings).into_iter().map(line).collect()
}

/// What all groups together were worth where they were counted, if the card says so.
fn calibration_term(findings: &[Weighed<'_>], readings: [Reading<'_>; 3]) -> Option<Term> {
    readings[0].card.filter(|it| !it.calibration.is_empty())?;
    let groups = by_group(findings);
    let [plain, low, high] = readings.map(|reading| {
        let sum = |by: Reading<'_>| -> i64 {
            groups.values().map(|it| i64::from(by.group(it.values().copied()))).sum()
        };
        let point = sum(Reading { bound: Bound::Point, ..reading });
        Quantity::Millinats(millinats(reading.worth(sum(reading), point)))
    });
    Some(Term {
        name: "evidence, calibrated".into(),
        value: plain,
        interval: (low != high).then_some((low, high)),
        source: "evidence card: what such evidence was worth in labelled windows".into(),
    })
}

fn stage_terms(middle: &StagePpb, (low, high): &(StagePpb, StagePpb)) -> Vec<Term> {
    let line = |name: &str, of: fn(&StagePpb) -> u32, source: &str| {
        let [plain, a, b] =
            [middle, low, high].map(|it| Quantity::Probability(Probability(of(it))));
        // The drained share may fall while the attack grows: bounds in order.
        let bounds = if of(low) <= of(high) { (a, b) } else { (b, a) };
        Term {
            name: name.into(),
            value: plain,
            interval: (a != b).then_some(bounds),
            source: source.into(),
        }
    };
    vec![
        line("stage: preparation", |it| it.preparation, "suspicion before a loss"),
        line("stage: in progress", |it| it.in_progress, "harm, less what took all at once"),
        line("stage: drained", |it| it.drained, "atomic share of the first loss, and quiet since"),
        line("posterior", |it| it.live, "in progress, or begins before the next block"),
    ]
}
