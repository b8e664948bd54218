//! Real Safes on anvil: from a proposal to the verified effect, through the built program.

mod world;

use alloy_primitives::{Address, U256};
use cofferdam_signing::{abi::Value, exec::call};

use self::world::{Ran, World, key};
use crate::drills::packages;

/// `pauseFor(uint256)` for a week, approved in advance.
const PAUSE: &[&str] =
    &["--action", "vault/pause", "--proposer", "alice", "--reason", "withdrawals exceed deposits"];

fn propose(world: &World, folder: &str, what: &[&str]) -> String {
    let base =
        ["safe", "propose", "--policy", "policy.toml", "--rpc", &world.rpc, "--proposals", folder];
    let ran = world.run(&[&base, what].concat(), None);
    assert!(ran.ok, "{}", ran.err);
    ran.out.trim().to_owned()
}

fn about(world: &World, verb: &[&str], proposal: &str, key: Option<u8>) -> Ran {
    let facts = ["--policy", "policy.toml", "--rpc", &world.rpc];
    let mut args = [&["safe"], verb, &[proposal], &facts].concat();
    if key.is_some() {
        args.extend(["--key-env", "SAFE_KEY"]);
    }
    world.run(&args, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_three_of_five_safe_pauses_a_protocol_from_proposal_to_verified_effect() {
    let Some(packages) = packages() else { return };
    let world = World::start(&packages).await;
    let proposal = propose(&world, "proposals", PAUSE);

    let card = about(&world, &["card"], &proposal, None);
    assert!(card.ok, "{}{}", card.out, card.err);
    for part in [
        "MAY BE SIGNED",
        "equals action vault/pause approved on 2026-09-01",
        "pauseFor(uint256)",
        "604800",
    ] {
        assert!(card.out.contains(part), "{part} is missing in\n{}", card.out);
    }

    let stranger = about(&world, &["sign"], &proposal, Some(99));
    assert!(!stranger.ok && stranger.err.contains("is no owner"), "{}", stranger.err);
    for owner in [1, 2] {
        let signed = about(&world, &["sign"], &proposal, Some(owner));
        assert!(signed.ok, "{}{}", signed.out, signed.err);
    }
    let early = about(&world, &["collect"], &proposal, None);
    assert!(!early.ok && early.out.contains("2 of 3 signatures"), "{}", early.out);
    let early = about(&world, &["exec"], &proposal, Some(1));
    assert!(!early.ok && early.err.contains("signatures are missing"), "{}", early.err);

    // The fifth owner is a Safe itself, two of two.
    let child = world.child.to_string();
    let within = ["sign", "--within", &child, "--within-release", "1.5.0"];
    for member in [11, 12] {
        let signed = about(&world, &within, &proposal, Some(member));
        assert!(signed.ok, "{}{}", signed.out, signed.err);
        assert!(signed.out.contains(&format!("on behalf of {child}")));
    }
    let collected = about(&world, &["collect"], &proposal, None);
    assert!(collected.ok && collected.out.contains("3 of 3 signatures"), "{}", collected.out);

    assert!(!world.paused().await);
    let done = about(&world, &["exec"], &proposal, Some(1));
    assert!(done.ok, "{}{}", done.out, done.err);
    assert!(done.out.contains("verified: paused() holds"), "{}", done.out);
    assert!(world.paused().await);

    let again = about(&world, &["card"], &proposal, None);
    assert!(!again.ok && again.out.contains("nonce-used"), "{}", again.out);
    let status = world.run(
        &[
            "safe",
            "status",
            "--policy",
            "policy.toml",
            "--rpc",
            &world.rpc,
            "--proposals",
            "proposals",
        ],
        None,
    );
    assert!(status.out.contains("nonce 0 spent") && status.ok, "{}{}", status.out, status.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bybit_pattern_on_a_real_safe_is_refused_by_card_lint_and_signer() {
    let Some(packages) = packages() else { return };
    let world = World::start(&packages).await;
    let values = [Value::Address(Address::repeat_byte(0xee)), Value::Uint(U256::ZERO)];
    let data = call("transfer(address,uint256)", &values).expect("calldata").to_string();
    let overwriter = world.overwriter.to_string();
    let bait = ["--to", &overwriter, "--data", &data, "--delegatecall", "--proposer", "mallory"];
    let proposal = propose(&world, "proposals", &bait);

    let card = about(&world, &["card"], &proposal, None);
    assert!(!card.ok && card.out.starts_with("REFUSED"), "{}", card.out);
    assert!(card.out.contains("THE SAFE ITSELF: singleton (slot 0)"), "{}", card.out);
    let lint = about(&world, &["--json", "lint"], &proposal, None);
    assert!(
        !lint.ok && lint.out.contains("\"delegatecall\"") && lint.out.contains("\"safe-storage\"")
    );
    let signed = about(&world, &["sign"], &proposal, Some(1));
    assert!(!signed.ok && signed.err.contains("not signed"), "{}", signed.err);
    let written = std::fs::read_dir(world.folder().join("proposals")).expect("a folder").count();
    assert_eq!(written, 1, "there is no signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_covers_the_present_nonce_and_prints_a_command_that_works_without_us() {
    let Some(packages) = packages() else { return };
    let world = World::start(&packages).await;
    let facts = ["--policy", "policy.toml", "--rpc", &world.rpc, "--proposals", "ladder"];
    let plan = [&["safe", "ladder", "plan", "--rungs", "2"], &facts[..], PAUSE].concat();
    let planned = world.run(&plan, None);
    let rungs: Vec<&str> = planned.out.lines().collect();
    assert!(planned.ok && rungs.len() == 2, "{}{}", planned.out, planned.err);

    let status = [&["safe", "ladder", "status"], &facts[..]].concat();
    assert!(!world.run(&status, None).ok, "nobody has signed");
    for rung in &rungs {
        for owner in [1, 2, 3] {
            let signed = about(&world, &["sign"], rung, Some(owner));
            assert!(signed.ok, "{}{}", signed.out, signed.err);
        }
    }
    let covered = world.run(&status, None);
    assert!(covered.ok, "{}{}", covered.out, covered.err);
    assert!(
        covered.out.contains("READY") && covered.out.contains("after 1 others"),
        "{}",
        covered.out
    );

    let fallback = world.run(&[&["safe", "ladder", "fallback"], &facts[..]].concat(), None);
    let line = fallback.out.lines().find(|it| it.starts_with("cast send")).expect("a command");
    let data = line.rsplit(' ').next().expect("calldata");
    assert!(!world.paused().await);
    world.send(world.safe, data).await;
    assert!(world.paused().await, "what the line says works");

    let next = world.run(&status, None);
    assert!(next.ok && next.out.contains("spent"), "the second rung has its turn: {}", next.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_network_signs_from_evidence_that_was_read_elsewhere() {
    let Some(packages) = packages() else { return };
    let world = World::start(&packages).await;
    let proposal = propose(&world, "proposals", PAUSE);
    let out = about(&world, &["card", "--evidence-out", "evidence.json"], &proposal, None);
    assert!(out.ok, "{}", out.err);
    let offline = ["safe", "sign", &proposal, "--policy", "policy.toml", "--key-env", "SAFE_KEY"];
    let blind = world.run(&offline, Some(3));
    assert!(!blind.ok && blind.out.contains("no-evidence"), "{}", blind.out);
    let signed = world.run(&[&offline[..], &["--evidence", "evidence.json"]].concat(), Some(3));
    assert!(signed.ok, "{}{}", signed.out, signed.err);
    assert!(!signed.out.contains(&key(3)), "no key is printed");
}
