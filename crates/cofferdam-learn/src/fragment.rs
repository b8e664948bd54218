//! The fragment of a plan, as text for review, and the table beside it.

use std::fmt::Write;

use cofferdam_core::{Timestamp, plan::Mode};
use serde::Serialize;

use crate::{Drift, Learned, Options, Proof};

/// Breaches and rejections that a table lists.
const LISTED_MAX: usize = 12;

/// What was learned about the entities of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fragment {
    /// The mode of every rule: nothing learned begins as more.
    pub mode: Mode,
    /// One rule per entity.
    pub rules: Vec<Learned>,
}

impl Fragment {
    /// A fragment in shadow.
    pub fn new(rules: Vec<Learned>) -> Self {
        Self { mode: Mode::Shadow, rules }
    }

    /// The TOML to be put into a plan.
    pub fn toml(&self, options: &Options) -> String {
        let mut out = String::from(
            "# Proposed by `cofferdam learn`. Review it, put it into the plan, and let it run in shadow.\n\
             # To promote a rule after at least 30 days, set `promoted = true` and record the run:\n\
             #   shadow = { from = <seconds>, until = <seconds>, findings = <how many, all looked at> }\n",
        );
        for rule in &self.rules {
            out.push('\n');
            rule.write(&mut out, options);
        }
        out
    }
}

impl Learned {
    fn write(&self, out: &mut String, options: &Options) {
        let it = &self.settings;
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        let (train, test) = self.transactions;
        line(format!(
            "# {train} transactions learned from, {test} later ones held out, {} could not be looked into.",
            self.unseen
        ));
        line(format!("# Bounds and paths together on the hold-out: {}.", phrase(&self.together)));
        line("[[rules]]".into());
        line(format!("id = {}", quoted(&format!("learned-{}", self.entity))));
        line("detector = \"learned-guard\"".into());
        line(format!("entities = [{}]", quoted(&self.entity)));
        line("mode = \"shadow\"".into());
        line("\n[rules.settings]".into());
        line(format!("promoted = {}", it.promoted));
        line(format!("learned-from = {} # {}", it.learned_from, date(it.learned_from)));
        line(format!("learned-until = {} # {}", it.learned_until, date(it.learned_until)));
        line(format!(
            "expires = {} # {}, {} days on",
            it.expires,
            date(it.expires),
            options.valid_days
        ));
        if let Some(paths) = &it.paths {
            line(format!("\n# Unknown paths: {}.", phrase(&paths.proof)));
            line("[rules.settings.paths]".into());
            table(paths, &mut line);
        }
        for guard in &it.guards {
            let name = guard.invariant.name();
            line(format!(
                "\n# {} {name}: {}; {}.",
                guard.invariant.number(),
                guard.bound,
                phrase(&guard.proof)
            ));
            line("[[rules.settings.guards]]".into());
            table(guard, &mut line);
        }
        for metric in &it.metrics {
            line(format!("\n# {}: {}.", metric.title(), phrase(&metric.proof)));
            line("[[rules.settings.metrics]]".into());
            table(metric, &mut line);
        }
    }
}

/// The fields of a table, one a line: what it is first, what is known about it last.
fn table(value: &impl Serialize, line: &mut dyn FnMut(String)) {
    // The types of this crate are tables of plain values; nothing of them cannot be written.
    let Ok(toml::Value::Table(fields)) = toml::Value::try_from(value) else { return };
    let rank = |key: &str| match key {
        "invariant" | "metric" => 0,
        "proof" => 2,
        _ => 1,
    };
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_by_key(|it| rank(&it.0));
    fields.iter().for_each(|(key, value)| line(format!("{key} = {}", inline(value))));
}

/// A value on one line, but for lists, which have a line for each of several items.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Array(list) if list.len() > 1 => {
            let items: Vec<String> = list.iter().map(|it| format!("    {it},\n")).collect();
            format!("[\n{}]", items.concat())
        }
        toml::Value::Table(fields) => {
            let field =
                |(key, value): (&String, &toml::Value)| format!("{key} = {}", inline(value));
            format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The day of a time in seconds.
fn date(seconds: u64) -> String {
    let text = Timestamp::from_secs(seconds).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// A proof in words.
fn phrase(proof: &Proof) -> String {
    let Proof { support, held_out, breaches, false_alarms_ppm, drift } = proof;
    let limit = percent(*false_alarms_ppm);
    let drift = match drift {
        Drift::Unknown => "",
        Drift::None => ", no drift",
        Drift::Drifted => ", drifted",
    };
    format!(
        "{support} seen, {breaches} of {held_out} held out break it, false alarms at most {limit}{drift}"
    )
}

fn percent(ppm: u32) -> String {
    format!("{}.{:02} %", ppm / 10_000, ppm / 100 % 100)
}

/// The table a person reads.
pub fn report(fragment: &Fragment) -> String {
    let mut out = String::new();
    for rule in &fragment.rules {
        // Writing to a String cannot fail.
        let _ = write_rule(&mut out, rule);
    }
    out
}

fn write_rule(out: &mut String, rule: &Learned) -> std::fmt::Result {
    let (train, test) = rule.transactions;
    let (first, last) = rule.blocks;
    writeln!(
        out,
        "{}: {train} transactions in {first} blocks, {test} in {last} held out",
        rule.entity
    )?;
    writeln!(
        out,
        "{:>3} {:<18} {:>6} {:>8} {:>8} {:>9} {:>12} drift",
        "#", "guard", "places", "seen", "held out", "breaches", "false alarms"
    )?;
    let mut rows: Vec<(u8, String, Vec<Proof>)> = Vec::new();
    for it in &rule.settings.guards {
        match rows.last_mut() {
            Some(row) if row.0 == it.invariant.number() => row.2.push(it.proof),
            _ => rows.push((it.invariant.number(), it.invariant.name().into(), vec![it.proof])),
        }
    }
    rows.extend(rule.settings.paths.iter().map(|it| (0, "call paths".into(), vec![it.proof])));
    for it in &rule.settings.metrics {
        let model = it.state().map_or("model", |it| it.name());
        match rows.iter_mut().find(|row| row.1 == model) {
            Some(row) => row.2.push(it.proof),
            None => rows.push((0, model.into(), vec![it.proof])),
        }
    }
    for (number, name, proofs) in rows {
        let sum = |of: fn(&Proof) -> u64| proofs.iter().map(of).sum::<u64>();
        // The weakest of the places is what counts.
        let limit = proofs.iter().map(|it| it.false_alarms_ppm).max().unwrap_or_default();
        let known = proofs.iter().filter(|it| it.drift != Drift::Unknown).count();
        let number = if number == 0 { "-".into() } else { number.to_string() };
        writeln!(
            out,
            "{number:>3} {name:<18} {:>6} {:>8} {:>8} {:>9} {:>12} {}",
            proofs.len(),
            sum(|it| it.support),
            sum(|it| it.held_out),
            sum(|it| it.breaches),
            format!("≤ {}", percent(limit)),
            if known == 0 { "unknown" } else { "none" },
        )?;
    }
    writeln!(out, "together: {}", phrase(&rule.together))?;
    let mut reasons: std::collections::BTreeMap<String, u32> = Default::default();
    for it in &rule.rejected {
        let why: String =
            it.why.chars().map(|it| if it.is_ascii_digit() { '#' } else { it }).collect();
        let mut words = why.replace("##", "#");
        while words.contains("##") {
            words = words.replace("##", "#");
        }
        *reasons.entry(words).or_default() += 1;
    }
    let mut reasons: Vec<(String, u32)> = reasons.into_iter().collect();
    reasons.sort_by_key(|it| std::cmp::Reverse(it.1));
    writeln!(out, "turned down: {}", rule.rejected.len())?;
    for (why, count) in reasons.iter().take(LISTED_MAX) {
        writeln!(out, "  {count:>6} {why}")?;
    }
    if rule.unseen > 0 {
        writeln!(out, "could not be looked into: {} transactions", rule.unseen)?;
    }
    Ok(())
}
