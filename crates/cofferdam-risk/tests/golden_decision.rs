//! Golden values of evidence fusion and of the one-shot and sequential decision.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use cofferdam_risk::{
    Evidence, EvidenceGroup, StoppingProblem, StoppingTable, fuse, one_shot, rho_shrink,
    threshold_one_shot,
};
use common::{close, json, near, num, nums};

#[test]
fn bayes_fusion() {
    for case in json("bayes_fusion.json")["cases"].as_array().unwrap() {
        let (prior, llrs) = (num(case, "prior"), nums(&case["llr"]));
        let group = |l: f64| {
            EvidenceGroup::new(f64::INFINITY, vec![Evidence::new(l, 1.0).unwrap()]).unwrap()
        };
        let groups: Vec<_> = llrs.iter().map(|l| group(*l)).collect();
        close("posterior", fuse(prior, &groups), num(case, "posterior"), 1e-12);
        let shrunk = fuse(prior, &[group(rho_shrink(&llrs, 0.5))]);
        close("posterior_rho", shrunk, num(case, "posterior_rho"), 1e-12);
    }
}

#[test]
fn decision_rule() {
    for case in json("decision_rule.json").as_array().unwrap() {
        let (cost, avoided) =
            (num(case, "cost_false"), num(case, "loss_at_risk") * num(case, "avoid_frac"));
        let verdict = one_shot(num(case, "p"), cost, avoided).unwrap();
        close("p*", verdict.threshold, num(case, "p_star"), 1e-14);
        near("net benefit", verdict.net_benefit, num(case, "net_benefit"), 1e-6);
        assert_eq!(verdict.act, case["pause"].as_bool().unwrap(), "{case}");
    }
}

#[test]
fn optimal_stopping() {
    for case in json("optimal_stopping.json")["cases"].as_array().unwrap() {
        let blocks = case["blocks"].as_u64().unwrap() as usize;
        let (cost, loss) = (num(case, "C_false"), num(case, "L_total"));
        let loss_per_block = loss / blocks as f64;
        let table = StoppingTable::solve(StoppingProblem {
            cost_false: cost,
            loss_per_block,
            blocks,
            evidence_per_block: num(case, "mu"),
        })
        .unwrap();
        close("threshold now", table.threshold(blocks), num(case, "threshold_now"), 1e-9);
        close("threshold last block", table.threshold(1), num(case, "threshold_last_block"), 1e-11);
        close("naive", threshold_one_shot(cost, loss), num(case, "naive_total"), 1e-14);
        close("myopic", threshold_one_shot(cost, loss_per_block), num(case, "myopic_block"), 1e-14);
    }
}
