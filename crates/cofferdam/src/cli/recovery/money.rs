//! The staged unpause and the restitution snapshot.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use alloy_primitives::{Address, U256};
use clap::Args;
use cofferdam_recovery::{
    Claims, Plan, Settings, Snapshot, Stage,
    claims::BYTES_MAX,
    merkle::{units, verify},
};
use cofferdam_statements::minute;

use super::{CliError, Output};
use crate::{
    cli::{
        desk::{pairs, text_file},
        status_page::put,
    },
    runtime::now,
};

/// A staged unpause.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// In how many hours the first stage opens.
    #[arg(long, default_value_t = 24)]
    in_hours: u32,
    /// Hours from one stage to the next.
    #[arg(long, default_value_t = 24)]
    step_hours: u32,
    /// What a stage opens with, of its ordinary capacity, in basis points.
    #[arg(long, default_value_t = 2_500)]
    first_bps: u32,
    /// Ordinary capacity of a stage a day, in base units, e.g. withdrawals=1000000.
    #[arg(long, value_name = "STAGE=UNITS")]
    capacity: Vec<String>,
}

/// A restitution snapshot.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// Lines of `address,amount`; amounts in base units (wei).
    #[arg(long, value_name = "FILE")]
    claims: PathBuf,
    /// What there is to give out, in base units; claims above it are refused.
    #[arg(long)]
    assets: Option<U256>,
    /// Decimals of the token, for what people read.
    #[arg(long, default_value_t = 18)]
    decimals: u8,
    /// File for the tree, as npm @openzeppelin/merkle-tree loads it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A proof.
#[derive(Debug, Args)]
pub(crate) struct ProofArgs {
    /// Lines of `address,amount`, those of the snapshot.
    #[arg(long, value_name = "FILE")]
    claims: PathBuf,
    /// Whose claim.
    #[arg(long)]
    account: Address,
}

pub(super) fn plan(args: &PlanArgs, output: &Output) -> Result<ExitCode, CliError> {
    let now = now();
    let mut capacity = std::collections::BTreeMap::new();
    for (name, units) in pairs(&args.capacity)? {
        let stage = Stage::ALL.into_iter().find(|it| it.word() == name).ok_or_else(|| {
            CliError::new(format!("there is no stage `{name}`"))
                .hint("stages are withdrawals, repayments, deposits, borrows")
        })?;
        let units = U256::from_str_radix(units.trim(), 10).map_err(|it| {
            CliError::caused(format!("`{units}` is no number of base units"), it)
                .hint("write it in decimal, without a point")
        })?;
        capacity.insert(stage, units);
    }
    let settings = Settings {
        start: now.plus_ms(u64::from(args.in_hours) * 3_600_000),
        step_hours: args.step_hours,
        first_bps: args.first_bps,
        capacity,
    };
    let plan = Plan::of(&settings, now).map_err(|it| {
        CliError::caused("there is no such plan", it).hint(
            "exits open first, with a quarter of their capacity at most, for 72 hours at least",
        )
    })?;
    let mut text = String::from("begins only when `cofferdam recovery reopen` allows it\n\n");
    for it in &plan.steps {
        let limit = it.limit.map_or_else(String::new, |it| format!("  {it} a day"));
        let share = format!("{}.{:02} %", it.bps / 100, it.bps % 100);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}  {:<12} {share:>8}{limit}", minute(it.at), it.stage.word());
    }
    text.push_str("\nclose the stage again on\n");
    for it in Stage::ALL {
        let _ = writeln!(text, "  {:<12} {}", it.word(), it.stop_when());
    }
    output.result(&plan, &text);
    Ok(ExitCode::SUCCESS)
}

fn read(path: &std::path::Path) -> Result<Claims, CliError> {
    Claims::read(&text_file(path, BYTES_MAX)?).map_err(|it| {
        CliError::caused(format!("{} holds no claims that can be given out", path.display()), it)
            .hint("one line `address,amount` for each account, amounts in base units")
    })
}

pub(super) fn snapshot(args: &SnapshotArgs, output: &Output) -> Result<ExitCode, CliError> {
    let claims = read(&args.claims)?;
    if let Some(assets) = args.assets {
        claims.covered_by(assets).map_err(|it| {
            CliError::caused("the claims are not covered", it).hint(
                "reduce the claims by a published rule, or find the assets, before a root is set",
            )
        })?;
    }
    let snapshot = Snapshot::of(claims);
    let (count, total) = (snapshot.claims().all().len(), snapshot.claims().total());
    if let Some(out) = &args.out {
        let text = serde_json::to_string(&snapshot.dump())
            .map_err(|it| CliError::caused("the tree cannot be written as JSON", it))?;
        put(out, &(text + "\n"))?;
    }
    let value = serde_json::json!({
        "root": snapshot.root(),
        "claims": count,
        "total": total.to_string(),
        "out": args.out,
    });
    let text = format!(
        "root    {}\nclaims  {count}\ntotal   {total} base units, {} in whole tokens\n",
        snapshot.root(),
        units(total, args.decimals)
    );
    output.result(&value, &text);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn proof(args: &ProofArgs, output: &Output) -> Result<ExitCode, CliError> {
    let snapshot = Snapshot::of(read(&args.claims)?);
    let proof = snapshot.proof(args.account).map_err(|it| {
        CliError::caused("there is no proof", it).hint("give the account as the claims have it")
    })?;
    if !verify(snapshot.root(), &proof) {
        return Err(
            CliError::new("the proof does not lead to the root").hint("report this as a defect")
        );
    }
    let value = serde_json::json!({
        "root": snapshot.root(),
        "account": proof.claim.account,
        "amount": proof.claim.amount.to_string(),
        "leaf": proof.leaf,
        "proof": proof.siblings,
    });
    let mut text = format!(
        "root     {}\naccount  {}\namount   {}\nleaf     {}\n",
        snapshot.root(),
        proof.claim.account,
        proof.claim.amount,
        proof.leaf
    );
    for it in &proof.siblings {
        let _ = writeln!(text, "proof    {it}");
    }
    output.result(&value, &text);
    Ok(ExitCode::SUCCESS)
}
