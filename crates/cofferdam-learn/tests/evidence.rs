//! Evidence cards from scores whose law is known.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::fmt::Write;

use cofferdam_core::plan::{
    BasisPoints, EvidenceCard,
    card::{Bound, CardData},
};
use cofferdam_learn::evidence::{CardOptions, FitError, RowError, fit, overclaims};
use proptest::prelude::*;

fn options() -> CardOptions {
    CardOptions {
        version: "1".into(),
        purpose: "a test".into(),
        data: vec![CardData {
            name: "made up".into(),
            as_of: "2026-11-26".into(),
            licence: "ours".into(),
        }],
        label_policy: "drawn".into(),
        known_failures: vec!["everything real".into()],
        owner: "tests".into(),
        expires: "2027-11-26".into(),
        holdout_ppm: 300_000,
        correlation: BasisPoints(500_000),
        group_cap_millinats: 20_000,
    }
}

/// `attacks` windows in which `drain` and its twin `echo` speak nine times of ten, `probing` every third time, and
/// `per_attack` clean ones for each, in which `drain` errs once in 200, its twin with it, and `probing` once in 10.
fn scores(attacks: u64, per_attack: u64) -> String {
    let mut out = String::new();
    let mut row = |window: &str, time: u64, attack: bool, detector: &str, score: i32| {
        let group = if detector == "probing" { "suspicion" } else { "value" };
        let _ = writeln!(
            out,
            r#"{{"window":"{window}","time":{time},"attack":{attack},"detector":"{detector}","group":"{group}","score":{score}}}"#
        );
    };
    let mut silent = Vec::new();
    for i in 0..attacks {
        let time = 1_600_000_000 + 86_400 * i;
        let name = format!("attack-{i}");
        if i % 10 != 9 {
            row(&name, time, true, "drain", 19_000);
            row(&name, time, true, "echo", 19_000);
        }
        let speaks = if i % 3 == 0 { 4_000 } else { 0 };
        row(&name, time, true, "probing", speaks);
        for j in 0..per_attack {
            let (name, k) = (format!("clean-{i}-{j}"), i * per_attack + j);
            match k {
                _ if k % 200 == 0 => {
                    row(&name, time + 1, false, "drain", 19_000);
                    row(&name, time + 1, false, "echo", 19_000);
                }
                _ if k % 10 == 0 => row(&name, time + 1, false, "probing", 4_000),
                _ => silent.push((name, time + 1)),
            }
        }
    }
    for (name, time) in silent {
        let _ = writeln!(out, r#"{{"window":"{name}","time":{time},"attack":false}}"#);
    }
    out
}

#[test]
fn few_attacks_give_tables_with_bounds_and_no_weights() {
    let fitted = fit(&scores(30, 40), &options()).expect("a card");
    let card = &fitted.card;
    assert_eq!((card.windows.attacks, card.windows.clean), (21, 840));
    let drain = card.tables.iter().find(|it| it.detector == "drain").expect("a table");
    let [bin] = drain.bins.as_slice() else { panic!("one bin: {drain:?}") };
    assert_eq!((bin.from, bin.attacks, bin.clean), (19_000, 19, 5));
    let want = (19.5_f64 / 22.0 * 841.0 / 5.5).ln() * 1e3;
    assert!((f64::from(bin.llr) - want).abs() < 1.0, "{bin:?}");
    assert!(bin.low < bin.llr - 500 && bin.llr + 500 < bin.high, "{bin:?}");
    assert!(!card.stacked && card.tables.iter().all(|it| it.weight.0 == 1_000_000));
    assert!(fitted.notes.iter().any(|it| it.starts_with("fewer than 50 attacks")), "{fitted:?}");
    assert!(card.known_failures.iter().any(|it| it.contains("attack-19")), "{card:?}");
    let judged = card.judged.as_ref().expect("later windows");
    assert_eq!((judged.windows.attacks, judged.from.as_str()), (9, "2020-10-04"));
    assert!(judged.log_loss < judged.log_loss_base, "{judged:?}");
    assert!(judged.log_loss < judged.log_loss_expert, "judgement claims too much: {judged:?}");
    assert_eq!(overclaims(card), Vec::<String>::new());
    assert_eq!(EvidenceCard::parse(&card.toml()).as_ref(), Ok(card), "the file says the same");
}

#[test]
fn with_attacks_enough_twins_share_one_weight() {
    let fitted = fit(&scores(200, 20), &options()).expect("a card");
    let weight = |name: &str| {
        let table = fitted.card.tables.iter().find(|it| it.detector == name);
        table.map_or(0, |it| it.weight.0)
    };
    assert!(fitted.card.stacked, "{:?}", fitted.notes);
    let twins = weight("drain") + weight("echo");
    assert!((700_000..1_300_000).contains(&twins), "together as good as one: {twins}");
}

#[test]
fn calibrated_evidence_is_what_it_was_worth_with_bounds_around_it() {
    let card = fit(&scores(100, 40), &options()).expect("a card").card;
    let top = card.calibration.last().expect("knots").evidence;
    let worth = |bound| card.calibrated(top, bound);
    assert!(worth(Bound::Low) <= worth(Bound::Point) && worth(Bound::Point) <= worth(Bound::High));
    // Of 70 attacks 63 are told, of 2,800 clean windows 14: a ratio of 180, 5.2 nats.
    assert!((4_200..6_200).contains(&worth(Bound::Point)), "{:?}", card.calibration);
}

#[test]
fn a_card_that_claims_more_than_its_counts_is_told() {
    let mut card = fit(&scores(30, 40), &options()).expect("a card").card;
    for table in &mut card.tables {
        for bin in &mut table.bins {
            (bin.low, bin.llr, bin.high) =
                (bin.llr, bin.llr + 1_000, bin.high.max(bin.llr + 1_000));
        }
    }
    assert_eq!(card.faults(), Vec::<String>::new(), "it looks complete");
    assert!(overclaims(&card)[0].contains("its counts give"), "{:?}", overclaims(&card));
}

#[test]
fn rows_that_contradict_each_other_are_refused_with_their_line() {
    let row = |text: &str| fit(text, &options()).expect_err("refused");
    let twice = "{\"window\":\"a\",\"time\":1,\"attack\":true}\n{\"window\":\"a\",\"time\":1,\"attack\":false}";
    assert!(matches!(row(twice), FitError::Rows(RowError::Line { line: 2, .. })));
    let many = "{\"window\":\"a\",\"time\":1,\"attack\":true,\"windows\":2}";
    assert!(matches!(row(many), FitError::Rows(RowError::Line { line: 1, .. })));
    let huge = "{\"window\":\"a\",\"time\":1,\"attack\":false,\"windows\":18446744073709551615}";
    assert!(matches!(row(huge), FitError::Rows(RowError::TooMany)));
    assert!(matches!(row("{\"window\":\"a\",\"time\":1,\"attack\":true}"), FitError::Risk(_)));
    let nobody = CardOptions { owner: String::new(), ..options() };
    let refused = fit(&scores(30, 40), &nobody);
    assert!(matches!(refused, Err(FitError::Incomplete(it)) if it == ["`owner` is missing"]));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\PC\n]{0,200}") {
        let _ = fit(&text, &options());
    }
}
