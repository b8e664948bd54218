#![expect(clippy::expect_used, reason = "a test may panic")]

use super::*;

const CARD: &str = r#"
model = "evidence"
version = "3"
basis = "measured"
purpose = "weighs findings of the plan's rules; not for other chains"
period = ["2021-04-28", "2024-10-16"]
label-policy = "a window is an attack if value was lost in it"
known-failures = ["nothing about governance"]
owner = "risk"
expires = "2027-01-31"

[[data]]
name = "replays"
as-of = "2026-11-26"
licence = "public chain data"

[windows]
attacks = 21
clean = 600

[[tables]]
detector = "outflow"
weight = "50 %"
bins = [
    { from = 1, attacks = 2, clean = 12, llr = 1000, low = -200, high = 2100 },
    { from = 19000, attacks = 15, clean = 0, llr = 6800, low = 4600, high = 9000 },
]

[[calibration]]
evidence = 4000
llr = 3000
low = 2000
high = 4000

[[calibration]]
evidence = 8000
llr = 5000
low = 2500
high = 6000
"#;

#[test]
fn the_expert_card_is_complete_and_says_what_it_is() {
    let card = EvidenceCard::expert();
    assert_eq!(card.faults(), Vec::<String>::new());
    assert_eq!(card.basis, Basis::Expert);
    assert_eq!(card.weight("outflow", 19_000, Bound::Low), None, "each counts as it states");
    assert_eq!(card.calibrated(23_000, Bound::Low), 23_000);
}

#[test]
fn a_score_weighs_what_its_bin_says_at_the_weight_of_its_detector() {
    let card = EvidenceCard::parse(CARD).expect("a card");
    let weight = |score, bound| card.weight("outflow", score, bound);
    assert_eq!(weight(0, Bound::Point), Some(0));
    assert_eq!(weight(18_999, Bound::Point), Some(500));
    assert_eq!(weight(22_000, Bound::Low), Some(2_300));
    assert_eq!(weight(22_000, Bound::High), Some(4_500));
    assert_eq!(card.weight("probing", 22_000, Bound::Point), None);
}

#[test]
fn calibration_is_a_line_between_its_knots_and_flat_beyond() {
    let card = EvidenceCard::parse(CARD).expect("a card");
    for (evidence, point, low) in [
        (-500, -500, -500),
        (0, 0, 0),
        (2_000, 1_500, 1_000),
        (6_000, 4_000, 2_250),
        (20_000, 5_000, 2_500),
    ] {
        assert_eq!(card.calibrated(evidence, Bound::Point), point, "{evidence}");
        assert_eq!(card.calibrated(evidence, Bound::Low), low, "{evidence}");
    }
}

#[test]
fn a_card_goes_through_its_file_unchanged() {
    let card = EvidenceCard::parse(CARD).expect("a card");
    assert_eq!(EvidenceCard::parse(&card.toml()), Ok(card));
}

#[test]
fn a_card_that_lacks_a_part_is_refused_with_all_that_is_wrong() {
    for (from, to, why) in [
        ("purpose = \"weighs", "purpose = \"\" # \"weighs", "`purpose` is missing"),
        ("[\"nothing about governance\"]", "[]", "`known-failures` names none"),
        ("owner = \"risk\"", "owner = \" \"", "`owner` is missing"),
        ("2027-01-31", "2027-1-31", "`expires` is no day"),
        ("licence = \"public chain data\"", "licence = \"\"", "lacks a name, a licence or a day"),
        ("\"2021-04-28\", \"2024-10-16\"", "\"2024-10-16\", \"2021-04-28\"", "`period`"),
        ("clean = 600", "clean = 0", "no clean window"),
        ("attacks = 21", "attacks = 16", "more windows are counted than there are"),
        ("weight = \"50 %\"", "weight = \"150 %\"", "at most 100 %"),
        ("from = 1,", "from = 19000,", "`from` falls"),
        ("llr = 6800, low = 4600", "llr = 900, low = 400", "a higher score is weaker"),
        ("low = 4600", "low = 7000", "on the wrong side"),
        ("evidence = 8000", "evidence = 3000", "`calibration` does not rise"),
        ("version = \"3\"", "version = \"3\"\nstacked = true", "not `judged` later"),
        ("basis = \"measured\"", "basis = \"expert\"", "judgement has no tables"),
    ] {
        assert!(CARD.contains(from), "{from}");
        let refused = EvidenceCard::parse(&CARD.replace(from, to));
        let Err(CardError::Incomplete(faults)) = refused else { panic!("{why}: {refused:?}") };
        assert!(faults.iter().any(|it| it.contains(why)), "{why}: {faults:?}");
    }
    assert!(matches!(EvidenceCard::parse("model = 7"), Err(CardError::Unreadable(_))));
    let card = EvidenceCard::parse(CARD).expect("a card");
    assert_eq!(card.valid_on("2027-01-31"), Ok(()));
    assert_eq!(card.valid_on("2027-02-01"), Err(CardError::Expired("2027-01-31".into())));
}
