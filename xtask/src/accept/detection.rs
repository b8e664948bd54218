//! Detection: the adversarial corpus beside three million ordinary transactions, and beside single families
//! of guards, by one run of the built program.

use serde_json::Value;

use super::{Row, list, program, text};

/// Ordinary transactions of the full run.
const BENIGN: &str = "3000000";
/// Of a quick one, which shows that it works and judges no rate.
const BENIGN_QUICK: &str = "20000";
/// Least share of the attacks that must be found.
const RECALL_MIN: f64 = 0.95;
/// Share of a baseline's false alarms, one in so many, that we may raise.
const ALARM_PART: f64 = 10.0;
/// Recall below which a family is no rival: it is silent because it looks at little.
const RIVAL_RECALL_MIN: f64 = 0.5;
/// Exploit classes of the corpus.
const CLASSES_MIN: u64 = 30;
/// Variants of each.
const VARIANTS_MIN: usize = 5;

/// The suite; `--quick` runs it on few ordinary transactions.
pub(super) fn rows(more: &[&str]) -> Result<Vec<Row>, Vec<String>> {
    let quick = more.contains(&"--quick");
    if let Some(unknown) = more.iter().find(|it| **it != "--quick") {
        return Err(vec![format!("`{unknown}` is not --quick")]);
    }
    let benign = if quick { BENIGN_QUICK } else { BENIGN };
    let mut args = vec!["corpus", "run", "--benign", benign];
    if quick {
        args.extend(["--training", "10000"]);
    }
    let told = program(&args)?;
    let verdicts = &told["verdicts"];
    let mut rows = vec![corpus(&told)];
    rows.extend(recall(verdicts));
    rows.push(orders(verdicts, &told, quick));
    rows.push(gate(verdicts));
    rows.extend(rivals(verdicts));
    rows.extend(super::replays::rows()?);
    rows.extend(super::load::rows()?);
    Ok(rows)
}

fn number(it: &Value) -> u64 {
    it.as_u64().unwrap_or(u64::MAX)
}

fn share(rate: &Value) -> f64 {
    number(&rate["hits"]) as f64 / (number(&rate["of"]).max(1)) as f64
}

fn percent(rate: &Value) -> String {
    let of = |key: &str| rate[key].as_f64().unwrap_or(0.0) * 100.0;
    let (hits, all) = (number(&rate["hits"]), number(&rate["of"]));
    let share = share(rate) * 100.0;
    format!("{hits}/{all} = {share:.1} % [{:.1}, {:.1}]", of("lower"), of("upper"))
}

fn per_tx(rate: &Value) -> String {
    let upper = rate["upper"].as_f64().unwrap_or(1.0);
    format!("{} of {}, < {upper:.1e}", number(&rate["hits"]), number(&rate["of"]))
}

fn corpus(told: &Value) -> Row {
    let attacks = list(&told["attacks"]);
    let of = number(&told["verdicts"]["classes"][2]);
    let counts = |it: &&Value| matches!(text(&it["outcome"]), "found" | "missed");
    let by = |class: &str| attacks.iter().filter(|it| it["class"] == class).filter(counts).count();
    let mut classes: Vec<&str> = attacks.iter().map(|it| text(&it["class"])).collect();
    classes.dedup();
    let rich = classes.iter().filter(|it| by(it) >= VARIANTS_MIN).count() as u64;
    Row {
        check: format!("exploit classes with {VARIANTS_MIN} harmful variants"),
        figure: format!("{rich} of {of} found or missed at all"),
        bar: format!(">= {CLASSES_MIN}"),
        pass: rich >= CLASSES_MIN,
    }
}

fn recall(verdicts: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    let sides = ["all classes", "seen classes", "unseen classes"];
    for (at, side) in sides.iter().enumerate() {
        let rate = &verdicts["recall"][at];
        // Apart they are reported; the bar is on all of them.
        let judged = at == 0;
        rows.push(Row {
            check: format!("attacks answered with a critical finding, {side}"),
            figure: percent(rate),
            bar: if judged { format!(">= {:.0} %", RECALL_MIN * 100.0) } else { "printed".into() },
            pass: !judged || share(rate) >= RECALL_MIN,
        });
    }
    // What is gone in one transaction leaves nothing that a pause could save: no order is right then.
    for (at, side) in sides.iter().enumerate() {
        rows.push(Row {
            check: format!("attacks answered with an automatic order, {side}"),
            figure: percent(&verdicts["ordered"][at]),
            bar: "printed".into(),
            pass: true,
        });
    }
    rows
}

fn orders(verdicts: &Value, told: &Value, quick: bool) -> Row {
    let rate = &verdicts["orders"];
    let executed = number(&told["benign"]["transactions"]);
    let enough = quick || executed >= BENIGN.parse().unwrap_or(u64::MAX);
    Row {
        check: "automatic orders on ordinary transactions".into(),
        figure: per_tx(rate),
        bar: format!("0 of {}", if quick { BENIGN_QUICK } else { BENIGN }),
        pass: number(&rate["hits"]) == 0 && enough,
    }
}

/// What the harm gate is worth: printed, not judged.
fn gate(verdicts: &Value) -> Row {
    Row {
        check: "the same without the harm gate".into(),
        figure: format!(
            "{}; recall {}",
            per_tx(&verdicts["orders_ungated"]),
            percent(&verdicts["ungated"][0])
        ),
        bar: "printed".into(),
        pass: verdicts["orders_ungated"].is_object(),
    }
}

/// Our false alarms (critical findings, not only orders) against those of every family that finds enough.
fn rivals(verdicts: &Value) -> Vec<Row> {
    let ours = share(&verdicts["alarms"]);
    let recall = share(&verdicts["recall"][0]);
    let families = list(&verdicts["baselines"]);
    let rivals: Vec<&Value> =
        families.iter().filter(|it| share(&it["recall"][0]) >= RIVAL_RECALL_MIN).collect();
    let most =
        rivals.iter().max_by(|a, b| share(&a["recall"][0]).total_cmp(&share(&b["recall"][0])));
    let quietest = rivals.iter().min_by(|a, b| share(&a["alarms"]).total_cmp(&share(&b["alarms"])));
    let named = [("of highest recall", most), ("of fewest false alarms", quietest)];
    let row = |(what, it): (&str, Option<&&Value>)| {
        let Some(it) = it else {
            return Row {
                check: format!("false alarms against the baseline {what}"),
                figure: "no family finds half of the attacks".into(),
                bar: "printed".into(),
                pass: true,
            };
        };
        let (theirs, found) = (share(&it["alarms"]), share(&it["recall"][0]));
        Row {
            check: format!("critical against the baseline {what} ({})", text(&it["name"])),
            figure: format!(
                "{} against {}; recall {:.1} % against {:.1} %",
                per_tx(&verdicts["alarms"]),
                per_tx(&it["alarms"]),
                recall * 100.0,
                found * 100.0
            ),
            bar: "<= 1/10 at no less recall".into(),
            pass: ours * ALARM_PART <= theirs && recall >= found,
        }
    };
    named.into_iter().map(row).collect()
}
