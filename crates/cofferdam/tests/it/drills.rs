//! Every drill meets its expectation, whatever the addresses and whatever the chain. Those on protocol
//! bytecode, and those on anvil, need the npm packages of `contracts/`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cofferdam::drill::{
    Backend, RunOptions, catalogue,
    live::{LiveOptions, run_live},
    run_variant,
};

/// The npm packages, unless they are not installed; then it says so.
pub(crate) fn packages() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules");
    if folder.is_dir() {
        return Some(folder);
    }
    use std::io::Write as _;
    let note = "skipped: contracts/node_modules is absent; `cargo xtask services` installs it";
    let _ = writeln!(std::io::stderr(), "{note}");
    None
}

async fn run(id: &str, seed: u64) {
    run_on(id, seed, Backend::Local, PathBuf::from("nowhere")).await;
}

async fn run_on(id: &str, seed: u64, backend: Backend, packages: PathBuf) {
    let out = tempfile::tempdir().expect("a folder");
    let drill = catalogue::find(Path::new("nowhere"), id).expect("a drill");
    let options = RunOptions { backend, seed, packages, out: out.path().to_path_buf() };
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

#[tokio::test(flavor = "multi_thread")]
async fn a_venus_market_is_not_emptied_on_either_chain() {
    let Some(packages) = packages() else { return };
    run_on("d1-venus-donation", 1, Backend::Local, packages.clone()).await;
    run_on("d1-venus-donation", 79, Backend::Anvil, packages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_singleton_swap_is_refused_or_seen_at_once_on_either_chain() {
    let Some(packages) = packages() else { return };
    run_on("d3-safe-singleton", 1, Backend::Local, packages.clone()).await;
    run_on("d3-safe-singleton", 80, Backend::Anvil, packages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_oracle_lending_on_uniswap_pairs_is_pre_empted_on_either_chain() {
    let Some(packages) = packages() else { return };
    run_on("d5-uniswap-oracle", 1, Backend::Local, packages.clone()).await;
    run_on("d5-uniswap-oracle", 81, Backend::Anvil, packages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_contracts_are_defended_on_anvil_too() {
    let Some(packages) = packages() else { return };
    for id in ["d2-first-depositor", "d9-stolen-upgrade-key", "d11-griefing"] {
        run_on(id, 82, Backend::Anvil, packages.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_itself_contains_a_split_attack_on_venus() {
    let Some(packages) = packages() else { return };
    let out = tempfile::tempdir().expect("a folder");
    let drill = catalogue::find(Path::new("nowhere"), "d1-venus-donation").expect("a drill");
    let variant = drill.scenario.variants.iter().find(|it| it.id == "split").expect("a variant");
    let run = RunOptions { backend: Backend::Anvil, seed: 83, packages, out: out.path().into() };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_cofferdam"));
    // Long enough for a loaded machine: what is judged is the block, not the time.
    let options = LiveOptions { run, program, block_time: Duration::from_secs(3) };
    let lived = run_live(&drill, variant, &options).await.expect("a drill that runs");
    assert!(lived.card.passed(), "{:?}\n{}", lived.card.shortfalls, lived.card.render());
    assert_eq!(lived.card.contain_blocks, Some(1));
}
