//! Evidence cards: fitted from labelled scores, read with a plan, checked with it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use cofferdam_core::{
    Timestamp,
    plan::{
        CardError, Decision, EvidenceCard, Plan,
        card::{Basis, CARD_BYTES_MAX, CardData},
    },
};
use cofferdam_learn::evidence::{CardOptions, FitError, Fitted, fit, overclaims};

use super::{CliError, Output};

/// Bytes of a file of scores that are read at most.
const SCORES_BYTES_MAX: u64 = 1 << 30;

/// Fits an evidence card: what each score of each detector is worth, from labelled scores.
#[derive(Debug, Args)]
pub(crate) struct LlrArgs {
    /// File of scores, one JSON object a line: window, time, attack, detector, group, score. `cofferdam replay
    /// --scores` writes one.
    #[arg(long)]
    scores: PathBuf,
    /// Who answers for the card.
    #[arg(long)]
    owner: String,
    /// What the card may be used for, and what not.
    #[arg(long)]
    purpose: String,
    /// How windows were labelled.
    #[arg(long)]
    label_policy: String,
    /// Where the scores are from: name, day of the copy and licence, with `|` between them. May be given again.
    #[arg(long = "source", required = true, value_parser = source)]
    sources: Vec<CardData>,
    /// Where it is known to fail. May be given again.
    #[arg(long = "known-failure")]
    known_failures: Vec<String>,
    /// Version of the card.
    #[arg(long = "card-version", default_value = "1")]
    card_version: String,
    /// Day after which it is no longer used, `YYYY-MM-DD`.
    #[arg(long)]
    expires: String,
    /// Share of the attacks, the latest, that the card is judged on.
    #[arg(long, default_value_t = 0.3, value_parser = super::learn::share)]
    holdout: f64,
    /// Write the card to this file instead of printing it.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn source(text: &str) -> Result<CardData, String> {
    let parts: Vec<&str> = text.split('|').map(str::trim).collect();
    let [name, as_of, licence] = parts.as_slice() else {
        return Err("three parts are needed, e.g. \"replays|2026-11-26|public chain data\"".into());
    };
    let [name, as_of, licence] = [name, as_of, licence].map(|it| (*it).to_owned());
    Ok(CardData { name, as_of, licence })
}

pub(crate) fn llr(args: &LlrArgs, output: &Output) -> Result<ExitCode, CliError> {
    let text = read(&args.scores, SCORES_BYTES_MAX)?;
    let decision = Decision::default();
    let options = CardOptions {
        version: args.card_version.clone(),
        purpose: args.purpose.clone(),
        data: args.sources.clone(),
        label_policy: args.label_policy.clone(),
        known_failures: args.known_failures.clone(),
        owner: args.owner.clone(),
        expires: args.expires.clone(),
        holdout_ppm: super::learn::ppm(args.holdout),
        correlation: decision.correlation,
        group_cap_millinats: decision.group_cap_millinats,
    };
    let Fitted { card, notes } = fit(&text, &options).map_err(|it| {
        let hint = match &it {
            FitError::Rows(_) => {
                "one JSON object a line: window, time, attack, detector, group, score"
            }
            FitError::Risk(_) => "both attacks and clean windows are needed",
            FitError::Incomplete(_) => "`cofferdam learn llr --help` names what a card needs",
        };
        CliError::caused("the card cannot be fitted", it).hint(hint)
    })?;
    let (toml, table) = (card.toml(), table(&card));
    let notes: String = notes.iter().map(|it| format!("{it}\n")).collect();
    let text = match &args.out {
        Some(path) => {
            std::fs::write(path, &toml).map_err(|it| CliError::io("write the card", it))?;
            let path = path.display();
            format!(
                "{table}{notes}wrote {path}: review it, put it into the plan's folder and name it in `decision.evidence`\n"
            )
        }
        None => {
            let said: String =
                format!("{table}{notes}").lines().map(|it| format!("# {it}\n")).collect();
            format!("{toml}\n{said}")
        }
    };
    output.result(&serde_json::json!({ "card": card, "toml": toml }), &text);
    Ok(ExitCode::SUCCESS)
}

/// The bins of a card as a table, and how it did later.
fn table(card: &EvidenceCard) -> String {
    let mut out = format!(
        "{:<24} {:>7} {:>7} {:>8} {:>7} {:>8}  {}\n",
        "detector", "weight", "score", "attacks", "clean", "nats", "proved … not ruled out"
    );
    let nats = |it: i32| format!("{:.2}", f64::from(it) / 1e3);
    for table in &card.tables {
        for it in &table.bins {
            let line = format!(
                "{:<24} {:>7} {:>7} {:>8} {:>7} {:>8}  {} … {}\n",
                table.detector,
                table.weight.to_string(),
                nats(it.from),
                it.attacks,
                it.clean,
                nats(it.llr),
                nats(it.low),
                nats(it.high)
            );
            out.push_str(&line);
        }
    }
    for it in &card.calibration {
        out.push_str(&format!(
            "evidence of {} nats was worth {} ({} … {})\n",
            nats(it.evidence),
            nats(it.llr),
            nats(it.low),
            nats(it.high)
        ));
    }
    if let Some(it) = &card.judged {
        let loss = |it: u64| format!("{:.6}", it as f64 / 1e9);
        out.push_str(&format!(
            "later, from {} on ({} attacks, {} clean): log-loss {}, by judgement {}, by the base rate {}\n",
            it.from,
            it.windows.attacks,
            it.windows.clean,
            loss(it.log_loss),
            loss(it.log_loss_expert),
            loss(it.log_loss_base)
        ));
    }
    out
}

/// Reads the card that `plan` names in `folder`, and checks it but for its day.
pub(super) fn attach(plan: &mut Plan, folder: &Path) -> Result<(), CliError> {
    let Some(name) = &plan.decision.evidence else { return Ok(()) };
    let path = folder.join(name);
    let text = read(&path, CARD_BYTES_MAX as u64)?;
    let refused = |it: CardError| {
        CliError::caused(format!("{} is refused", path.display()), it).hint(
            "a card says what it is for, what it was fitted on, counts per bin, known failures, owner and expiry; \
             `cofferdam learn llr` writes one",
        )
    };
    let card = EvidenceCard::parse(&text).map_err(refused)?;
    let claims = overclaims(&card);
    if !claims.is_empty() {
        return Err(refused(CardError::Incomplete(claims)));
    }
    plan.evidence = Some(card);
    Ok(())
}

/// What stands behind the evidence of a plan, in one line; an error if its card may no longer be used.
pub(super) fn checked(plan: &Plan) -> Result<String, CliError> {
    let Some(card) = &plan.evidence else {
        return Ok("evidence: expert judgement, no counts behind it".to_owned());
    };
    card.valid_on(&today()).map_err(|it| {
        CliError::caused("the evidence card may no longer be used", it)
            .hint("fit a new one with `cofferdam learn llr`, or leave `decision.evidence` out")
    })?;
    let basis = match card.basis {
        Basis::Expert => "expert judgement".to_owned(),
        Basis::Measured => format!(
            "{} tables from {} attacks and {} clean windows",
            card.tables.len(),
            card.windows.attacks,
            card.windows.clean
        ),
    };
    Ok(format!(
        "evidence: {basis}, version {} by {}, until {}",
        card.version, card.owner, card.expires
    ))
}

/// Takes a card that has run out from the plan and says so: to run on judgement is better than not to run.
pub(super) fn fall_back(plan: &mut Plan, output: &Output) {
    let over = plan.evidence.as_ref().and_then(|it| it.valid_on(&today()).err());
    if let Some(error) = over {
        output.note(&format!("warning: {error}; evidence counts by expert judgement"));
        plan.evidence = None;
    }
}

/// The present day, `YYYY-MM-DD`.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    Timestamp::from_secs(seconds).to_string().chars().take(10).collect()
}

fn read(path: &Path, bytes_max: u64) -> Result<String, CliError> {
    let what = format!("read {}", path.display());
    let size = std::fs::metadata(path).map_err(|it| CliError::io(&what, it))?.len();
    if size > bytes_max {
        return Err(CliError::new(format!("{} has {size} bytes", path.display()))
            .hint(format!("at most {bytes_max} are read")));
    }
    std::fs::read_to_string(path).map_err(|it| CliError::io(&what, it))
}
