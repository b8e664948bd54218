//! Evidence fusion (`risk.md` §9.2): by attacker, by group of correlated rules, by block, to the stage that
//! the attack is in.
//!
//! **Invariant:** what one rule repeats is one witness; what one group says together is capped; what
//! unrelated accounts did is not added up.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use cofferdam_core::{
    Class, Finding, Probability, Stage,
    incident::{Quantity, Term},
    plan::{BasisPoints, Decision},
};
use cofferdam_risk::progress::{BlockEvidence, StageModel, StagePpb, group_millinats, stages_ppb};

use crate::{Weighed, losses};

/// What the evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    /// Probability that value is leaving, or begins to before the next block.
    pub(crate) live: Probability,
    /// The ledger lines that explain it.
    pub(crate) terms: Vec<Term>,
}

/// How evidence is read: as the plan says, or at either end of what it leaves open.
#[derive(Clone, Copy)]
struct Reading {
    prior_ppb: u32,
    correlation_ppm: u32,
}

/// The belief about the attacker against whom the evidence is strongest.
pub(crate) fn believe(decision: &Decision, findings: &[Weighed<'_>]) -> Belief {
    let [plain, low, high] = readings(decision);
    let counted: Vec<Weighed<'_>> = findings.iter().filter(|it| it.counts()).copied().collect();
    let clusters = clusters(&counted);
    let best = clusters
        .iter()
        .enumerate()
        .max_by_key(|(at, it)| (stages(decision, plain, it).live, std::cmp::Reverse(*at)))
        .map(|(_, it)| it.as_slice())
        .unwrap_or_default();
    let at = |reading| stages(decision, reading, best);
    let (middle, bounds) = (at(plain), (at(low), at(high)));
    let mut terms = prior_terms(decision, [plain, low, high]);
    terms.extend(group_terms(decision, best, [plain, low, high]));
    if clusters.len() > 1 {
        terms.push(Term {
            name: "attackers".into(),
            value: Quantity::Count(clusters.len() as u64),
            interval: None,
            source: "unrelated accounts; the strongest evidence against one of them counts".into(),
        });
    }
    terms.extend(stage_terms(&middle, &bounds));
    Belief { live: Probability(middle.live), terms }
}

/// One posterior from all findings, whoever acted and however far the attack is: the comparison policy.
pub(crate) fn one_shot(decision: &Decision, findings: &[Weighed<'_>]) -> Belief {
    let counted: Vec<Weighed<'_>> = findings.iter().filter(|it| it.counts()).copied().collect();
    let plain = Reading { prior_ppb: decision.prior_ppb, correlation_ppm: 0 };
    let cap = decision.group_cap_millinats;
    let groups: Vec<(i32, Vec<i32>)> = by_group(&counted)
        .into_values()
        .map(|rules| (cap, rules.values().map(|it| it.llr_millinats).collect()))
        .collect();
    let live = Probability(cofferdam_risk::posterior_ppb(decision.prior_ppb, &groups));
    let mut terms = prior_terms(decision, [plain; 3]);
    terms.extend(group_terms(decision, &counted, [plain; 3]));
    terms.push(Term {
        name: "posterior".into(),
        value: Quantity::Probability(live),
        interval: None,
        source: "prior and evidence (Bayes), policy one-shot".into(),
    });
    Belief { live, terms }
}

fn readings(decision: &Decision) -> [Reading; 3] {
    let spread = decision.prior_spread.max(1);
    let prior = decision.prior_ppb;
    let correlation_ppm = ppm(decision.correlation);
    [
        Reading { prior_ppb: prior, correlation_ppm },
        Reading { prior_ppb: (prior / spread).max(1), correlation_ppm: 1_000_000 },
        Reading { prior_ppb: prior.saturating_mul(spread).min(999_999_999), correlation_ppm: 0 },
    ]
}

fn ppm(of: BasisPoints) -> u32 {
    u32::try_from(of.0.min(1_000_000)).unwrap_or(1_000_000)
}

/// Findings by attacker: those that share an account belong together. What names nobody belongs to all.
fn clusters<'a>(findings: &[Weighed<'a>]) -> Vec<Vec<Weighed<'a>>> {
    let mut of: BTreeMap<Address, usize> = BTreeMap::new();
    let mut parent: Vec<usize> = (0..findings.len()).collect();
    for (index, it) in findings.iter().enumerate() {
        for actor in &it.finding.actors {
            let first = *of.entry(*actor).or_insert(index);
            let (a, b) = (root(&parent, first), root(&parent, index));
            if let Some(it) = parent.get_mut(a.max(b)) {
                *it = a.min(b);
            }
        }
    }
    let named = |it: &Weighed<'_>| !it.finding.actors.is_empty();
    let mut groups: BTreeMap<usize, Vec<Weighed<'a>>> = BTreeMap::new();
    for (index, it) in findings.iter().enumerate().filter(|(_, it)| named(it)) {
        groups.entry(root(&parent, index)).or_default().push(*it);
    }
    let common: Vec<Weighed<'a>> = findings.iter().filter(|it| !named(it)).copied().collect();
    if groups.is_empty() {
        return vec![common];
    }
    let whole = |mut it: Vec<Weighed<'a>>| {
        it.extend(common.iter().copied());
        it
    };
    groups.into_values().map(whole).collect()
}

fn root(parent: &[usize], mut at: usize) -> usize {
    while let Some(up) = parent.get(at).copied().filter(|up| *up != at) {
        at = up;
    }
    at
}

fn stages(decision: &Decision, reading: Reading, findings: &[Weighed<'_>]) -> StagePpb {
    let model = StageModel {
        prior_ppb: reading.prior_ppb,
        atomic_ppm: ppm(decision.atomic),
        drain_blocks: decision.drain_blocks,
        preparation_blocks: decision.preparation_blocks,
    };
    stages_ppb(&model, &blocks(decision, reading, findings))
}

/// What each block added to what was known before it.
fn blocks(decision: &Decision, reading: Reading, findings: &[Weighed<'_>]) -> Vec<BlockEvidence> {
    let quiet = |age| BlockEvidence { age, suspicion: 0, harm: 0, loss: false };
    let mut out: BTreeMap<u64, BlockEvidence> = BTreeMap::new();
    for it in losses::by_block(findings) {
        out.entry(it.age).or_insert(quiet(it.age)).loss = true;
    }
    let mut order: Vec<&Weighed<'_>> = findings.iter().collect();
    order.sort_by_key(|it| (std::cmp::Reverse(it.age), it.finding.id));
    // By group: the strongest finding of each rule, and what the group weighs so far.
    let mut known: BTreeMap<&str, (Rules<'_>, i32, i32)> = BTreeMap::new();
    for it in order {
        let (rules, suspicion, total) = known.entry(&it.finding.group).or_default();
        keep_stronger(rules, it.finding);
        let weigh = |harm: bool| {
            let of = rules.values().filter(|it| harm || !is_harm(it));
            let llrs: Vec<i32> = of.map(|it| it.llr_millinats).collect();
            group_millinats(&llrs, reading.correlation_ppm, decision.group_cap_millinats)
        };
        let (new_suspicion, new_total) = (weigh(false), weigh(true));
        let block = out.entry(it.age).or_insert(quiet(it.age));
        let (before, after) =
            (total.saturating_sub(*suspicion), new_total.saturating_sub(new_suspicion));
        block.suspicion = block.suspicion.saturating_add(new_suspicion.saturating_sub(*suspicion));
        block.harm = block.harm.saturating_add(after.saturating_sub(before));
        (*suspicion, *total) = (new_suspicion, new_total);
    }
    out.into_values().collect()
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

fn prior_terms(decision: &Decision, readings: [Reading; 3]) -> Vec<Term> {
    let [plain, low, high] = readings.map(|it| Quantity::Probability(Probability(it.prior_ppb)));
    vec![Term {
        name: "prior per block".into(),
        value: plain,
        interval: (low != high).then_some((low, high)),
        source: match low == high {
            true => "plan: decision.prior-ppb".into(),
            false => {
                format!("plan: decision.prior-ppb, {} times less or more", decision.prior_spread)
            }
        },
    }]
}

fn group_terms(decision: &Decision, findings: &[Weighed<'_>], readings: [Reading; 3]) -> Vec<Term> {
    let cap = decision.group_cap_millinats;
    let line = |(group, rules): (&str, Rules<'_>)| {
        let llrs: Vec<i32> = rules.values().map(|it| it.llr_millinats).collect();
        let [plain, low, high] =
            readings.map(|it| Quantity::Millinats(group_millinats(&llrs, it.correlation_ppm, cap)));
        let names: Vec<&str> = rules.keys().copied().collect();
        let pending = rules.values().all(|it| it.stage == Stage::Pending);
        let stage = if pending { " (pending)" } else { "" };
        Term {
            name: format!("evidence: {group}"),
            value: plain,
            interval: (low != high).then_some((low, high)),
            source: format!(
                "findings of {}{stage}, capped at {}",
                names.join(", "),
                Quantity::Millinats(cap)
            ),
        }
    };
    by_group(findings).into_iter().map(line).collect()
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
