//! Every drill that needs nothing but the binary meets its expectation, whatever the addresses.

use std::path::{Path, PathBuf};

use cofferdam::drill::{Backend, RunOptions, catalogue, run_variant};

async fn run(id: &str, seed: u64) {
    let out = tempfile::tempdir().expect("a folder");
    let drill = catalogue::find(Path::new("nowhere"), id).expect("a drill");
    let options = RunOptions {
        backend: Backend::Local,
        seed,
        packages: PathBuf::from("nowhere"),
        out: out.path().to_path_buf(),
    };
    for variant in &drill.scenario.variants {
        let played = run_variant(&drill, variant, &options).await.expect("a drill that runs");
        let card = &played.card;
        assert!(
            card.passed(),
            "{id}/{} with seed {seed}: {:?}\n{}",
            variant.id,
            card.shortfalls,
            card.render()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_upgrade_key_is_contained() {
    run("d9-stolen-upgrade-key", 1).await;
    run("d9-stolen-upgrade-key", 77).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_oracle_attack_is_pre_empted_when_it_is_public() {
    run("d5-spot-oracle", 1).await;
    run("d5-spot-oracle", 78).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_depositor_inflation_is_contained() {
    run("d2-first-depositor", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn griefing_and_ordinary_days_trip_nothing() {
    run("d11-griefing", 1).await;
    run("control-ordinary-day", 1).await;
}
