//! What a run gave, for people.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    AttackLine, BenignResult, CorpusResult, FAMILIES, Outcome, Rate, Variant, Verdicts,
    tally::Family,
};

/// The figures.
pub fn verdicts(attacks: &[AttackLine], benign: &BenignResult) -> Verdicts {
    let counted: Vec<&AttackLine> = attacks.iter().filter(|it| it.counts()).collect();
    let three = |hit: &dyn Fn(&AttackLine) -> bool| {
        let of = |side: &dyn Fn(&AttackLine) -> bool| {
            let side = counted.iter().filter(|it| side(it));
            let (mut hits, mut all) = (0, 0);
            for it in side {
                all += 1;
                hits += u64::from(hit(it));
            }
            Rate::new(hits, all)
        };
        [of(&|_| true), of(&|it| it.seen), of(&|it| !it.seen)]
    };
    let family = |name: &&'static str| Family {
        name,
        recall: three(&|it| it.baselines.contains(name)),
        alarms: Rate::new(benign.baselines.get(name).copied().unwrap_or(0), benign.transactions),
    };
    let ran = |it: &u64| Rate::new(*it, benign.transactions);
    Verdicts {
        recall: three(&|it| it.outcome == Outcome::Found),
        ordered: three(&|it| it.ordered),
        ungated: benign.ungated.map(|_| three(&|it| it.ungated)),
        classes: classes(&counted),
        orders: ran(&benign.orders),
        orders_ungated: benign.ungated.as_ref().map(ran),
        alarms: ran(&benign.critical),
        baselines: match benign.baselines.is_empty() {
            true => Vec::new(),
            false => FAMILIES.iter().map(family).collect(),
        },
    }
}

fn classes(counted: &[&AttackLine]) -> (u64, u64, u64) {
    let mut by: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for it in counted {
        let of = by.entry(&it.class).or_insert((false, true));
        let found = it.outcome == Outcome::Found;
        *of = (of.0 || found, of.1 && found);
    }
    let count = |of: fn(&(bool, bool)) -> bool| by.values().filter(|it| of(it)).count() as u64;
    (count(|it| it.0), count(|it| it.1), by.len() as u64)
}

/// The tables.
pub fn table(result: &CorpusResult) -> String {
    let mut out = grid(&result.attacks);
    // Writing to a String cannot fail.
    let _ = writeln!(out);
    for it in result.attacks.iter().filter(|it| it.outcome == Outcome::Missed) {
        let side = if it.seen { "seen" } else { "unseen" };
        let _ = writeln!(
            out,
            "missed: {} / {} ({side}), {} taken; {}",
            it.class,
            it.variant.name(),
            it.harm,
            if it.lesser.is_empty() { "nothing found".to_owned() } else { it.lesser.join(", ") }
        );
    }
    ordinary(&mut out, &result.benign);
    figures(&mut out, &result.verdicts);
    out
}

/// Classes by variants.
fn grid(attacks: &[AttackLine]) -> String {
    let mut out = format!("{:<28} {:<7}", "class", "split");
    for it in Variant::ALL {
        let _ = write!(out, " {:<9}", it.name());
    }
    out.push_str(" harm of plain, found by\n");
    for lines in attacks.chunk_by(|a, b| a.class == b.class) {
        let Some(first) = lines.first() else { continue };
        let _ =
            write!(out, "{:<28} {:<7}", first.class, if first.seen { "seen" } else { "unseen" });
        for it in lines {
            let word = match (it.outcome, it.ordered) {
                (Outcome::Found, true) => "order",
                (Outcome::Found, false) => "found",
                (Outcome::Missed, _) => "MISSED",
                (Outcome::Harmless, _) => "harmless",
                (Outcome::Stops, _) => "stops",
                (Outcome::Inapplicable, _) => "-",
            };
            let _ = write!(out, " {word:<9}");
        }
        let _ = writeln!(out, " {}, {}", first.harm, first.detectors.join(" "));
    }
    out
}

fn ordinary(out: &mut String, it: &BenignResult) {
    let _ = writeln!(
        out,
        "\nordinary: {} transactions executed and counted ({} reverted), {} before them to learn from, {} blocks\n\
         last block {}",
        it.transactions, it.reverted, it.training, it.blocks, it.head
    );
    for (detector, by) in &it.findings {
        let by: Vec<String> =
            by.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
        let _ = writeln!(out, "  {detector}: {}", by.join(", "));
    }
    for alarm in &it.alarms {
        let _ = writeln!(out, "  false alarm: {alarm}");
    }
}

fn figures(out: &mut String, it: &Verdicts) {
    let _ = writeln!(out, "\nlimits are one-sided 95 % Clopper-Pearson");
    let mut three = |name: &str, rates: &[Rate; 3]| {
        for (rate, side) in rates.iter().zip(["all", "seen classes", "unseen classes"]) {
            let _ = writeln!(out, "{name}, {side}: {}", rate.percent());
        }
    };
    three("critical finding", &it.recall);
    three("automatic order", &it.ordered);
    if let Some(rates) = &it.ungated {
        three("automatic order without the harm gate", rates);
    }
    let (some, every, of) = it.classes;
    let _ =
        writeln!(out, "classes found in some variant {some}, in every variant {every}, of {of}");
    let _ = writeln!(out, "automatic orders for nothing: {}", it.orders.rate());
    if let Some(rate) = &it.orders_ungated {
        let _ = writeln!(out, "the same without the harm gate: {}", rate.rate());
    }
    let _ = writeln!(out, "ordinary transactions called critical: {}", it.alarms.rate());
    if it.baselines.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n{:<18} {:<34} {:<34} false alarms",
        "baseline", "recall", "unseen classes"
    );
    for it in &it.baselines {
        let _ = writeln!(
            out,
            "{:<18} {:<34} {:<34} {}",
            it.name,
            it.recall[0].percent(),
            it.recall[2].percent(),
            it.alarms.rate()
        );
    }
}
