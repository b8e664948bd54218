//! The adversarial corpus through its public face, on little ordinary traffic.

use cofferdam::corpus::{CorpusOptions, CorpusResult, Outcome, Variant, run};

fn small(seed: u64, classes: &[&str]) -> CorpusResult {
    let options = CorpusOptions {
        seed,
        training: 600,
        benign: 600,
        ungated: false,
        baselines: true,
        classes: classes.iter().map(|it| (*it).to_owned()).collect(),
    };
    run(&options, &mut |_| {}).expect("the corpus runs")
}

#[test]
fn equal_seeds_give_equal_chains_and_equal_verdicts() {
    let classes = ["unprotected-withdraw", "ordinary-dex"];
    let (one, two) = (small(7, &classes), small(7, &classes));
    assert_eq!(one.benign.head, two.benign.head);
    let text = |it: &CorpusResult| serde_json::to_string(it).expect("the corpus runs");
    assert_eq!(text(&one), text(&two));
    assert_ne!(small(8, &classes).benign.head, one.benign.head);
}

#[test]
fn attacks_do_harm_and_are_found_and_users_are_left_alone() {
    let result = small(7, &["unprotected-withdraw", "spot-oracle", "ordinary-vault"]);
    assert_eq!(result.benign.orders, 0);
    for it in &result.attacks {
        let applies = it.variant != Variant::Flash || it.class == "spot-oracle";
        let expected = if applies { Outcome::Found } else { Outcome::Inapplicable };
        assert_eq!(it.outcome, expected, "{} {}: {it:?}", it.class, it.variant.name());
    }
}
