//! Golden values of severity, detection statistics and calibration.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use cofferdam_risk::calibration::{
    Isotonic, Platt, average_precision, brier, log_loss, roc_auc, venn_abers,
};
use cofferdam_risk::detection::{
    Cusum, Shiryaev, cusum_arl, cusum_arl_two_sided, cusum_threshold, iforest_normaliser,
    sprt_bounds,
};
use cofferdam_risk::severity::{Gpd, SeverityModel};
use common::{close, json, near, num, nums, shared};

#[test]
fn danish_fire_claims() {
    let Some(text) = shared("danish_fire_claims.csv") else { return };
    let losses: Vec<f64> =
        text.lines().skip(1).map(|l| l.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(losses.len(), 2167);
    let fit = |u: f64| {
        let y: Vec<f64> = losses.iter().filter(|x| **x > u).map(|x| x - u).collect();
        Gpd::fit(&y).unwrap()
    };
    let g = &json("misc.json")["gpd_danish"];
    let ten = fit(10.0);
    assert_eq!(ten.n as f64, num(g, "n_exceed"));
    close("xi", ten.gpd.xi, num(g, "xi"), 1e-5);
    close("beta", ten.gpd.beta, num(g, "beta"), 1e-5);
    close("nll", ten.nll, num(g, "nll"), 1e-9);
    close("se xi", ten.se_xi, num(g, "se_xi"), 1e-3);
    close("se beta", ten.se_beta, num(g, "se_beta"), 1e-3);
    for (u, f) in [("5", fit(5.0)), ("20", fit(20.0))] {
        let o = &g["others"][u];
        assert_eq!(f.n as f64, num(o, "n"));
        close("xi", f.gpd.xi, num(o, "xi"), 1e-4);
        close("beta", f.gpd.beta, num(o, "beta"), 1e-4);
    }
}

#[test]
fn severity_reference() {
    let g = json("severity_reference.json");
    let n = num(&g, "n");
    for fit in g["fits"].as_array().unwrap() {
        let model = SeverityModel {
            mu: num(&g["lognormal"], "mu"),
            sigma: num(&g["lognormal"], "sigma"),
            threshold: num(fit, "u"),
            tail_share: num(fit, "n_exceed") / n,
            tail: Gpd { xi: num(fit, "xi"), beta: num(fit, "beta") },
        };
        for (p, key) in [(0.9, "q90"), (0.95, "q95"), (0.99, "q99")] {
            close(key, model.quantile(p).unwrap(), num(fit, key), 1e-12);
        }
        if num(fit, "u") == 5.0 {
            for (cap, want) in g["expected_capped_loss"].as_object().unwrap() {
                let got = model.capped_mean(cap.parse().unwrap()).unwrap();
                // A fitted law against the sample it was fitted to.
                close(cap, got, want.as_f64().unwrap(), 0.15);
            }
        }
    }
}

#[test]
fn misc() {
    let g = json("misc.json");
    let (a, b) = sprt_bounds(num(&g["sprt"], "alpha"), num(&g["sprt"], "beta")).unwrap();
    close("A", a, num(&g["sprt"], "A_upper"), 1e-14);
    close("B", b, num(&g["sprt"], "B_lower"), 1e-14);
    let c = &g["cusum_arl"];
    for (mu, want) in c["one_sided"].as_object().unwrap() {
        let got = cusum_arl(num(c, "k"), num(c, "h"), mu.parse().unwrap()).unwrap();
        close(mu, got, want.as_f64().unwrap(), 1e-8);
    }
    for (mu, want) in c["two_sided_h5"].as_object().unwrap() {
        let got = cusum_arl_two_sided(0.5, 5.0, mu.parse().unwrap()).unwrap();
        close(mu, got, want.as_f64().unwrap(), 1e-8);
    }
    close("two-sided h 4", cusum_arl_two_sided(0.5, 4.0, 0.0).unwrap(), 335.367577627 / 2.0, 1e-8);
    near("h 1e4", cusum_threshold(0.5, 1e4).unwrap(), num(c, "h_for_arl0_1e4"), 1e-6);
    near("h 1e6", cusum_threshold(0.5, 1e6).unwrap(), num(c, "h_for_arl0_1e6"), 1e-6);
    close("c(256)", iforest_normaliser(256), num(&g["iforest_c_exact"], "256"), 1e-14);
}

#[test]
fn quickest_detection() {
    let g = json("quickest_detection.json");
    let mut cusum = Cusum { k: num(&g, "cusum_k"), value: 0.0 };
    let mut shiryaev = Shiryaev { hazard: num(&g, "rho"), posterior: 0.0 };
    let (want_c, want_s) = (nums(&g["cusum"]), nums(&g["shiryaev_posterior"]));
    let (mut first_c, mut first_s) = (None, None);
    for (i, x) in nums(&g["x"]).into_iter().enumerate() {
        let c = cusum.push(x).unwrap();
        let s = shiryaev.push(x - 0.5).unwrap();
        near("cusum", c, want_c[i], 1e-12);
        near("shiryaev", s, want_s[i], 1e-12);
        first_c = first_c.or((c > 5.0).then_some(i as u64));
        first_s = first_s.or((s > 0.99).then_some(i as u64));
    }
    assert_eq!(first_c, g["first_cusum_gt5"].as_u64());
    assert_eq!(first_s, g["first_post_gt_099"].as_u64());
}

#[test]
fn calibration() {
    let g = json("calibration.json");
    let scores = nums(&g["scores"]);
    let labels: Vec<bool> = nums(&g["y"]).iter().map(|y| *y > 0.5).collect();
    assert_eq!(scores.len(), 400);
    let iso = Isotonic::fit(&scores, &labels).unwrap();
    let fitted: Vec<f64> = scores.iter().map(|s| iso.probability(*s)).collect();
    for (got, want) in fitted.iter().zip(nums(&g["isotonic_pred"])) {
        near("isotonic", *got, want, 1e-12);
    }
    let platt = Platt::fit(&scores, &labels).unwrap();
    close("A", platt.a, num(&g["platt"], "A"), 1e-6);
    close("B", platt.b, num(&g["platt"], "B"), 1e-6);
    let p: Vec<f64> = scores.iter().map(|s| platt.probability(*s)).collect();
    let m = &g["metrics"];
    close("auc", roc_auc(&scores, &labels).unwrap(), num(m, "auc"), 1e-13);
    close("ap", average_precision(&scores, &labels).unwrap(), num(m, "ap"), 1e-13);
    close("brier platt", brier(&p, &labels).unwrap(), num(m, "brier_platt"), 1e-6);
    close("log-loss platt", log_loss(&p, &labels).unwrap(), num(m, "logloss_platt"), 1e-6);
    close("brier isotonic", brier(&fitted, &labels).unwrap(), num(m, "brier_iso"), 1e-12);
    for s in [-1.0, 0.5, 1.5, 2.5] {
        let (p0, p1) = venn_abers(&scores, &labels, s).unwrap();
        assert!(p0 <= p1 && (p1 - p0) < 0.5 && p0 <= iso.probability(s) + 0.1, "{s}: {p0} {p1}");
    }
}
