//! `cofferdam readiness`: proves every standing authority against the head.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use cofferdam_act::{FeePolicy, Readiness, prove};

use super::{CliError, Output, plan::load, wire};
use crate::runtime::now;

/// Proves that each action of the plan would work now.
#[derive(Debug, Args)]
pub(crate) struct ReadinessArgs {
    /// Folder of the response plan.
    #[arg(long)]
    plan: PathBuf,
}

pub(crate) async fn run(args: ReadinessArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (plan, _) = load(&args.plan)?;
    let authorisations = wire::authorisations(&plan, &args.plan)?;
    let chains = wire::reach(&plan)?;
    let hands = wire::hands(&plan, &args.plan, &chains)?;
    let mut proofs: Vec<Readiness> = Vec::new();
    for (chain, hand) in &hands {
        let relayers = hand.executor.relayers();
        for action in plan.actions.iter().filter(|it| it.call.chain() == *chain) {
            let fees = FeePolicy::default();
            proofs
                .push(prove(action, &authorisations, &relayers, &*hand.network, fees, now()).await);
        }
    }
    let value: Vec<_> = proofs
        .iter()
        .map(|it| serde_json::json!({ "action": it.action, "ready": it.ready, "because": it.because, "proved": it.proved }))
        .collect();
    output.result(&value, &proofs.iter().map(render).collect::<String>());
    let ready = !proofs.is_empty() && proofs.iter().all(|it| it.ready);
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(it: &Readiness) -> String {
    let mut out = format!("{:<9} {}\n", if it.ready { "ready" } else { "NOT READY" }, it.action);
    for line in &it.because {
        out.push_str(&format!("          missing: {line}\n"));
    }
    for line in &it.proved {
        out.push_str(&format!("          proved:  {line}\n"));
    }
    out
}
