//! The streaming models against values computed another way (`reference/generate.py`), and what every
//! model promises: a stored state restores it exactly, and hostile rows change nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use cofferdam_learn::stream::{
    Cusum, CusumSettings, Dspot, DspotSettings, Ewma, EwmaSettings, HalfSpaceSettings,
    HalfSpaceTrees, Model, PageHinkley, PageHinkleySettings, Spot, SpotSettings, State, grimshaw,
    restore,
};
use proptest::prelude::*;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/streams.json")).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

fn near(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1.0), "{ours} is not {theirs}");
}

const SPOT: SpotSettings = SpotSettings { q: 1e-4, level: 0.98, warm_up: 1_000, excesses: 200 };

fn trees() -> HalfSpaceSettings {
    HalfSpaceSettings { width: 3, trees: 5, height: 6, window: 50, threshold: 0.95, seed: 7 }
}

#[test]
fn the_moments_are_those_of_explicit_weights() {
    let doc = reference();
    let mut model = Ewma::new(EwmaSettings { alpha: 0.1, limit: 4.0, warm_up: 10 }).unwrap();
    for (x, want) in floats(&doc["steady"]).iter().zip(doc["ewma"].as_array().unwrap()) {
        model.step(&[*x]).unwrap();
        let (mean, variance) = model.moments();
        near(mean, want[0].as_f64().unwrap(), 1e-12);
        near(variance, want[1].as_f64().unwrap(), 1e-12);
    }
}

#[test]
fn the_cumulative_sum_is_the_greatest_of_all_partial_sums() {
    let doc = reference();
    let mut model = Cusum::new(CusumSettings { k: 0.5, h: 1e8, warm_up: 100 }).unwrap();
    let scores: Vec<f64> =
        floats(&doc["steady"]).iter().filter_map(|x| model.step(&[*x]).unwrap().score).collect();
    let want = floats(&doc["cusum"]);
    assert_eq!(scores.len(), want.len());
    scores.iter().zip(want).for_each(|(a, b)| near(*a, b, 1e-10));
}

#[test]
fn page_hinkley_is_the_distance_from_the_extreme_sum() {
    let doc = reference();
    let settings = PageHinkleySettings { delta: 0.05, threshold: 1e8, warm_up: 0 };
    let mut model = PageHinkley::new(settings).unwrap();
    for (x, want) in floats(&doc["steady"]).iter().zip(floats(&doc["page_hinkley"])) {
        near(model.step(&[*x]).unwrap().score.unwrap(), want, 1e-10);
    }
}

#[test]
fn a_shift_is_found_soon_and_once() {
    let doc = reference();
    let xs = floats(&doc["steady"]);
    let cusum = Cusum::new(CusumSettings { k: 0.5, h: 12.0, warm_up: 100 }).unwrap();
    let settings = PageHinkleySettings { delta: 0.5, threshold: 60.0, warm_up: 100 };
    let page = PageHinkley::new(settings).unwrap();
    for mut model in [Box::new(cusum) as Box<dyn Model>, Box::new(page)] {
        let alarms: Vec<usize> =
            (0..xs.len()).filter(|i| model.step(&[xs[*i]]).unwrap().alarm).collect();
        let first = *alarms.first().expect("the shift at 200 is found");
        assert!((200..230).contains(&first), "{alarms:?}");
    }
}

#[test]
fn grimshaw_finds_what_a_general_optimiser_finds() {
    for (name, case) in reference()["tails"].as_object().unwrap() {
        let ys = floats(&case["excesses"]);
        let want = floats(&case["fit"]);
        let fit = grimshaw(&ys).unwrap();
        let likelihood = fit.log_likelihood(&ys);
        assert!(likelihood >= want[2] - 1e-6 * want[2].abs(), "{name}: {likelihood} < {}", want[2]);
        near(fit.gamma, want[0], 1e-4);
        near(fit.sigma / want[1], 1.0, 1e-4);
    }
}

#[test]
fn spot_has_the_limits_and_alarms_of_the_reference() {
    let doc = reference();
    let mut model = Spot::new(SPOT).unwrap();
    let mut alarms = Vec::new();
    for (index, x) in floats(&doc["stream"]).into_iter().enumerate() {
        if index == SPOT.warm_up {
            near(model.limit().unwrap(), doc["spot"]["limit"].as_f64().unwrap(), 1e-5);
        }
        if model.step(&[x]).unwrap().alarm {
            alarms.push(index as u64);
        }
    }
    let want: Vec<u64> = serde_json::from_value(doc["spot"]["alarms"].clone()).unwrap();
    assert_eq!(alarms, want);
    assert!(want.contains(&1_500) && want.contains(&2_000));
    near(model.limit().unwrap(), doc["spot"]["last_limit"].as_f64().unwrap(), 1e-5);
}

#[test]
fn a_slow_drift_alarms_spot_and_not_dspot() {
    let drifting = |i: usize, x: f64| x + 0.01 * i as f64;
    let (mut plain, mut moving) = (0, 0);
    let mut spot = Spot::new(SPOT).unwrap();
    let mut dspot = Dspot::new(DspotSettings { depth: 50, spot: SPOT }).unwrap();
    for (i, x) in floats(&reference()["stream"]).into_iter().enumerate() {
        let x = drifting(i, x.min(4.0));
        plain += u32::from(spot.step(&[x]).unwrap().alarm);
        moving += u32::from(dspot.step(&[x]).unwrap().alarm);
    }
    assert!(plain > 10 * moving.max(1), "{plain} against {moving}");
}

#[test]
fn half_space_trees_count_what_a_recount_counts() {
    let doc = reference();
    let mut model = HalfSpaceTrees::new(trees()).unwrap();
    let rows = doc["rows"].as_array().unwrap();
    for (row, want) in rows.iter().zip(doc["half_space_trees"].as_array().unwrap()) {
        let score = model.score(&floats(row)).unwrap();
        assert_eq!(score.is_some(), want.is_number());
        if let Some((a, b)) = score.zip(want.as_f64()) {
            near(a, b, 1e-12);
        }
    }
}

/// A small model of every kind.
fn models() -> Vec<Box<dyn Model>> {
    let spot = SpotSettings { q: 1e-2, level: 0.8, warm_up: 20, excesses: 15 };
    vec![
        Box::new(Ewma::new(EwmaSettings { alpha: 0.3, limit: 3.0, warm_up: 3 }).unwrap()),
        Box::new(Cusum::new(CusumSettings { k: 0.5, h: 4.0, warm_up: 5 }).unwrap()),
        Box::new(
            PageHinkley::new(PageHinkleySettings { delta: 0.1, threshold: 9.0, warm_up: 3 })
                .unwrap(),
        ),
        Box::new(Spot::new(spot).unwrap()),
        Box::new(Dspot::new(DspotSettings { depth: 4, spot }).unwrap()),
        Box::new(
            HalfSpaceTrees::new(HalfSpaceSettings { width: 1, window: 16, ..trees() }).unwrap(),
        ),
    ]
}

proptest! {
    #[test]
    fn a_stored_state_goes_on_as_if_nothing_had_happened(
        xs in prop::collection::vec(-1e3..1e3_f64, 1..150), cut in 0..150_usize,
    ) {
        for mut model in models() {
            let mut restored: Option<Box<dyn Model + Send + Sync>> = None;
            for (i, x) in xs.iter().enumerate() {
                if i == cut {
                    let text = serde_json::to_string(&model.state()).unwrap();
                    let state: State = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(&state, &model.state());
                    restored = Some(restore(state).unwrap());
                }
                let step = model.step(&[*x]).unwrap();
                if let Some(twin) = &mut restored {
                    prop_assert_eq!(twin.step(&[*x]).unwrap(), step);
                    prop_assert_eq!(twin.state(), model.state());
                }
            }
        }
    }

    #[test]
    fn no_finite_row_makes_a_model_panic_or_its_state_unusable(
        bits in prop::collection::vec(any::<u64>(), 1..120),
    ) {
        for mut model in models() {
            for x in bits.iter().map(|it| f64::from_bits(*it)) {
                let before = model.state();
                match model.step(&[x]) {
                    Ok(step) => prop_assert!(x.is_finite() && step.score.is_none_or(|it| !it.is_nan())),
                    Err(_) => prop_assert!(!x.is_finite() && model.state() == before),
                }
            }
            prop_assert!(restore(model.state()).is_ok());
            prop_assert!(model.step(&[1.0, 2.0]).is_err());
        }
    }

    #[test]
    fn a_mangled_state_is_refused_or_usable(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for mut model in models() {
            (0..40).for_each(|i| { model.step(&[f64::from(i % 7)]).unwrap(); });
            let mut text = serde_json::to_vec(&model.state()).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(state) = serde_json::from_slice::<State>(&text)
                && let Ok(mut model) = restore(state)
            {
                let row = vec![3.0; model.width()];
                prop_assert!(model.step(&row).is_ok());
            }
        }
    }
}
