//! Evidence fusion: prior plus capped log-likelihood ratios (`risk.md` §9.2).

use std::collections::BTreeMap;

use cofferdam_core::{
    Finding, Probability,
    incident::{Quantity, Term},
    plan::Decision,
};

use crate::Weighed;

/// The posterior and the ledger lines that explain it.
pub(crate) fn fuse(decision: &Decision, findings: &[Weighed<'_>]) -> (Probability, Vec<Term>) {
    let groups = strongest_by_group(findings);
    let cap = decision.group_cap_millinats;
    let prior = Probability(decision.prior_ppb);
    let mut terms = vec![Term {
        name: "prior per block".into(),
        value: Quantity::Probability(prior),
        interval: None,
        source: "plan: decision.prior-ppb".into(),
    }];
    let mut inputs = Vec::with_capacity(groups.len());
    for (group, rules) in &groups {
        let sum = rules.values().fold(0_i32, |sum, it| sum.saturating_add(it.llr_millinats));
        let names: Vec<&str> = rules.keys().copied().collect();
        terms.push(Term {
            name: format!("evidence: {group}"),
            value: Quantity::Millinats(sum.clamp(-cap, cap)),
            interval: None,
            source: format!(
                "findings of {}, capped at {}",
                names.join(", "),
                Quantity::Millinats(cap)
            ),
        });
        inputs.push((cap, rules.values().map(|it| it.llr_millinats).collect()));
    }
    let posterior = Probability(cofferdam_risk::posterior_ppb(decision.prior_ppb, &inputs));
    terms.push(Term {
        name: "posterior".into(),
        value: Quantity::Probability(posterior),
        interval: None,
        source: "prior and evidence (Bayes)".into(),
    });
    (posterior, terms)
}

/// The strongest finding of each rule, by group. A rule that repeats itself every block is one
/// witness, not many; shadow rules are none.
fn strongest_by_group<'a>(
    findings: &[Weighed<'a>],
) -> BTreeMap<&'a str, BTreeMap<&'a str, &'a Finding>> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, &Finding>> = BTreeMap::new();
    for it in findings.iter().filter(|it| it.counts()) {
        let rules = groups.entry(&it.finding.group).or_default();
        let best = rules.entry(&it.finding.rule).or_insert(it.finding);
        if it.finding.llr_millinats > best.llr_millinats {
            *best = it.finding;
        }
    }
    groups
}
