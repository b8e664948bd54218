//! The plan in plain words, for those who sign for it: what is protected, what counts as an attack,
//! who may do what without asking, what it costs, and what is missing.

use std::fmt::Write;

use super::{
    Action, ActionCall, Autonomy, ContainmentFunction, Entity, KeySource, Mode, Plan, Policy, Rung,
    check::watches,
};
use crate::{Probability, Stage, Timestamp, Usd};

/// The plan in plain words. Lines that begin with `gap:` say what is missing.
pub fn explain(plan: &Plan) -> String {
    let mut text = String::new();
    section(&mut text, &plan.name, &[watched_chains(plan)]);
    let lines: Vec<String> = plan.entities.iter().map(entity).collect();
    section(&mut text, "What is protected", &lines);
    let lines: Vec<String> = plan.rules.iter().map(|it| rule(plan, it)).collect();
    section(&mut text, "What counts as an attack", &lines);
    let lines: Vec<String> = plan.actions.iter().map(action).collect();
    section(&mut text, "What may be done about it", &lines);
    let lines: Vec<String> = plan.relayers.iter().map(relayer).collect();
    section(&mut text, "Who pays and sends", &lines);
    let mut lines: Vec<String> = plan.notifiers.iter().map(notifier).collect();
    if lines.is_empty() {
        lines.push("nobody".to_owned());
    }
    section(&mut text, "Who is told", &lines);
    let lines: Vec<String> = plan.people.iter().map(person).collect();
    if !lines.is_empty() {
        section(&mut text, "Who responds", &lines);
    }
    section(&mut text, "How it is decided", &decision(plan));
    let lines: Vec<String> = plan.calendar.iter().map(change).collect();
    if !lines.is_empty() {
        section(&mut text, "Changes that are expected", &lines);
    }
    let gaps: Vec<String> = gaps(plan).iter().map(|it| format!("gap: {it}")).collect();
    section(&mut text, "What is missing, as far as the plan alone can tell", &gaps);
    text
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    let blank = if text.is_empty() { "" } else { "\n" };
    let rule: String = title.chars().map(|_| '-').collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{blank}{title}\n{rule}");
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    if lines.is_empty() {
        text.push_str("nothing\n");
    }
}

fn watched_chains(plan: &Plan) -> String {
    let chain = |it: &super::Chain| {
        let nodes = match it.endpoints.len() {
            1 => "1 node".to_owned(),
            count => format!("{count} nodes"),
        };
        let pending = if it.pending { ", pending transactions too" } else { "" };
        let making = it
            .sub_blocks
            .map_or(String::new(), |every| format!(", and the block in the making every {every}"));
        let quorum = match it.quorum(false) {
            1 => String::new(),
            count => format!(", {count} of which vouch for what lasts"),
        };
        format!(
            "{} through {nodes}{quorum}{pending}{making}; final after {} blocks of {}; blind for {} pages",
            it.id, it.finality_blocks, it.block_time, it.blind_page_after
        )
    };
    match &plan.chains[..] {
        [] => "Watches no chain.".to_owned(),
        chains => format!("Watches {}.", chains.iter().map(chain).collect::<Vec<_>>().join("; ")),
    }
}

fn entity(entity: &Entity) -> String {
    let value = match entity.value_at_risk {
        Some(it) => format!("{} can be reached by an attack", it.0),
        None => "an attack can reach what it holds".to_owned(),
    };
    let outlet = entity.outlet.as_ref().map_or_else(String::new, |it| {
        format!("; {} at once and {} an hour can leave", it.capacity.0, it.per_hour.0)
    });
    let assets: Vec<String> =
        entity.assets.iter().map(|it| format!("{} at {}", it.symbol, it.price)).collect();
    let assets = match assets.is_empty() {
        true => "no asset listed".to_owned(),
        false => assets.join(", "),
    };
    let mut text = format!("{}: {value} ({assets}){outlet}", entity.id);
    for account in &entity.accounts {
        let _ = write!(text, "\n    {account}");
    }
    text
}

fn rule(plan: &Plan, rule: &super::Rule) -> String {
    let entities = match &rule.entities[..] {
        [] if plan.entities.is_empty() => "nothing".to_owned(),
        [] => "everything protected".to_owned(),
        names => names.join(", "),
    };
    let mode = match rule.mode {
        Mode::Shadow => "is recorded only",
        Mode::Alert => "tells people",
        Mode::OneClick => "tells people and proposes an action",
        Mode::Automatic => "may act without asking, if the action allows it too",
    };
    format!("{} ({}) watches {entities}; it {mode}", rule.id, rule.detector)
}

fn action(action: &Action) -> String {
    let mut text =
        format!("{}: {}, for {}", action.id, rung(action.rung), action.contains.join(", "));
    let _ = write!(text, "\n    does: {}", call(&action.call));
    let _ = write!(text, "\n    who decides: {}", autonomy(action));
    let stage = match action.stage {
        Stage::Pending => "on what is seen before it is in a block",
        Stage::Provisional => "on what is in a block",
        Stage::Final => "on what is final",
    };
    let _ = write!(text, "\n    rests: {stage}; it saves {} of what is left", action.stops);
    let _ = write!(text, "\n    costs: {}", cost(action));
    if let Some(it) = action.threshold_ppb {
        let _ = write!(text, "\n    when: from a posterior of {} on", Probability(it));
    }
    if action.irreversible {
        text.push_str(
            "\n    irreversible: governance must undo it; two independent rules must agree",
        );
    }
    text
}

fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Watch => "looks closer",
        Rung::Notify => "tells people",
        Rung::Limit => "lowers limits",
        Rung::PauseMarket => "pauses one market",
        Rung::PauseProtocol => "pauses the protocol",
        Rung::Governance => "asks governance",
    }
}

fn call(call: &ActionCall) -> String {
    match call {
        ActionCall::Guardian { guardian, tier, target, legacy, .. } => {
            let tier = if *tier == 0 { "one signer, short" } else { "a quorum, long" };
            let lasts = if *legacy { "; until somebody lifts it" } else { "" };
            format!(
                "pauses {target} through the guardian {guardian} ({tier}; signed in advance{lasts})"
            )
        }
        ActionCall::Direct { target, function, relayer } => {
            format!("calls {} on {target} with the role of {relayer}", function_name(*function))
        }
        ActionCall::SafeModule { safe, target, function, .. } => format!(
            "calls {} on {target} as the Safe {safe} (signed in advance)",
            function_name(*function)
        ),
    }
}

fn function_name(function: ContainmentFunction) -> &'static str {
    match function {
        ContainmentFunction::Pause => "pause()",
        ContainmentFunction::VenusSetProtocolPaused => "_setProtocolPaused(true)",
        ContainmentFunction::CompoundSetTransferPaused => "_setTransferPaused(true)",
        ContainmentFunction::CompoundSetSeizePaused => "_setSeizePaused(true)",
        ContainmentFunction::AaveSetPoolPause => "setPoolPause(true)",
        ContainmentFunction::PauseFor => "pauseFor(the longest allowed)",
    }
}

fn autonomy(action: &Action) -> String {
    let budget = &action.budget;
    let people = match action.approvals {
        1 => "a person".to_owned(),
        count => format!("{count} people"),
    };
    let bound = format!(
        "at most {} in {} without {people}, {} between two",
        budget.automatic_max, budget.window, budget.cooldown
    );
    match action.autonomy {
        Autonomy::Propose => format!("{people}, every time"),
        Autonomy::Veto { window } => {
            format!("the program, unless somebody objects within {window}; {bound}")
        }
        Autonomy::Act => format!("the program, at once; {bound}"),
    }
}

fn cost(action: &Action) -> String {
    let cost = &action.cost;
    let fees = format!("and up to {} of network fees", action.fee_budget);
    if cost.duration.0 == 0 {
        return format!("{} {fees}", cost.fixed.0);
    }
    // Before anything happens no expiry is inside yet.
    let parts = cost.parts(Timestamp(0));
    let (total, (low, high)) = cost.total(Timestamp(0));
    let parts: Vec<String> = parts.iter().map(|(name, usd)| format!("{name} {usd}")).collect();
    let mut text = format!(
        "{total} ({low} to {high}) if it lasts {}: {}; {fees}",
        cost.duration,
        if parts.is_empty() { "nothing stated".to_owned() } else { parts.join(", ") }
    );
    if let Some(it) = &cost.expiry {
        let _ = write!(text, "; {} more for each expiry inside, one every {}", it.loss.0, it.every);
    }
    if let Some(most) = &action.budget.cost_max {
        let _ = write!(text, "; a person decides if it may cost more than {}", most.0);
    }
    text
}

fn relayer(relayer: &super::Relayer) -> String {
    let key = match &relayer.key {
        KeySource::Keystore { path, .. } => format!("key in the keystore {path}"),
        KeySource::Env { name } => format!("key in the environment as {name}"),
    };
    format!("{}: {}, {key}", relayer.id, relayer.account)
}

fn notifier(notifier: &super::Notifier) -> String {
    let stage = match notifier.stage {
        Stage::Pending => "as soon as it is seen",
        Stage::Provisional => "once it is in a block",
        Stage::Final => "once it is final",
    };
    let kind = notifier.channel.word();
    format!("{} ({kind}): what is {} or worse, {stage}", notifier.id, notifier.severity)
}

fn person(person: &super::Person) -> String {
    let accounts: Vec<String> = person.accounts.iter().map(ToString::to_string).collect();
    let roles = match person.roles.is_empty() {
        true => "looks only".to_owned(),
        false => person.roles.join(", "),
    };
    let veto = if person.veto { "; may veto any order" } else { "" };
    let by = match accounts.is_empty() {
        true => "by a token".to_owned(),
        false => accounts.join(" or "),
    };
    format!("{}: {roles}{veto}; known by {by}", person.id)
}

fn decision(plan: &Plan) -> Vec<String> {
    let it = &plan.decision;
    let gate = match it.harm_gate {
        true => {
            "Harm gate shut: without a critical finding of damage or of lost control nothing goes out by \
             itself, however suspicious."
        }
        false => {
            "Harm gate OPEN: suspicion alone acts once it is probable enough. Meant for measuring, not \
             for a protocol."
        }
    };
    if it.policy == Policy::OneShot {
        return vec![
            format!(
                "Before any evidence an attack begins in {} of 1,000,000,000 blocks; it acts when the \
                 loss of the next block, times the posterior, outweighs the cost. Stages, the value of \
                 waiting and the false-alarm budget are not looked at: meant for comparison.",
                it.prior_ppb
            ),
            gate.to_owned(),
        ];
    }
    vec![
        format!(
            "Before any evidence an attack begins in {} of 1,000,000,000 blocks, or {} times less or more; \
             {} of attacks take all at once, the others within {} blocks after {} of preparation; \
             evidence counts for {}.",
            it.prior_ppb,
            it.prior_spread,
            it.atomic,
            it.drain_blocks,
            it.preparation_blocks,
            it.memory
        ),
        format!(
            "It acts once waiting another block costs more than acting for nothing, if each block tells \
             attack from ordinary use by {}.{:03} standard deviations.",
            it.evidence_millisigma / 1_000,
            it.evidence_millisigma % 1_000
        ),
        format!(
            "Rules of one group agree by {}; together they weigh {}.{:03} nat at most. What unrelated \
             accounts did is not added up.",
            it.correlation,
            it.group_cap_millinats / 1_000,
            it.group_cap_millinats % 1_000
        ),
        gate.to_owned(),
        format!(
            "Pre-emption: containment is expected to overtake a pending attack in {} of cases; an action \
             whose stage is not pending waits for the block.",
            it.pre_emption
        ),
        format!(
            "An order that is not out yet is given up below a third of the posterior that was worth it, \
             after {} at the earliest.",
            it.dwell
        ),
        format!(
            "False alarms: {} in {} are accepted without a person, an order counting as much as it was \
             doubted; beyond that everything is proposed only.",
            it.false_alarms_max, it.false_alarm_window
        ),
    ]
}

fn change(change: &super::ScheduledChange) -> String {
    let to = change.to.map_or_else(String::new, |it| format!(" to {it}"));
    format!(
        "{}{to} between {} and {}: {}",
        change.contract,
        Timestamp::from_secs(change.not_before),
        Timestamp::from_secs(change.not_after),
        change.reason
    )
}

fn gaps(plan: &Plan) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut gap = |missing: bool, text: String| {
        if missing {
            gaps.push(text);
        }
    };
    gap(plan.entities.is_empty(), "nothing is protected".to_owned());
    for chain in &plan.chains {
        let text = match chain.endpoints.len() {
            0 => format!("{} has no node to look through", chain.id),
            _ => {
                format!("{} is seen through one node alone, which may lie or fall behind", chain.id)
            }
        };
        gap(chain.endpoints.len() < 2, text);
    }
    let loud = plan.notifiers.iter().any(|it| it.severity <= crate::Severity::High);
    gap(
        !loud && !plan.entities.is_empty(),
        "nobody is paged: no notifier takes what is high".into(),
    );
    for chain in &plan.chains {
        let (nodes, quorum) = (chain.endpoints.len(), chain.quorum(false));
        let text = format!("{} wants {quorum} nodes to agree and has {nodes}", chain.id);
        gap(nodes > 0 && nodes < usize::from(quorum), text);
    }
    for entity in &plan.entities {
        let id = &entity.id;
        let rules: Vec<_> = plan.rules.iter().filter(|it| watches(it, id)).collect();
        let loudest = rules.iter().map(|it| it.mode).max();
        let actions: Vec<_> = plan.actions.iter().filter(|it| it.contains.contains(id)).collect();
        let free = actions.iter().any(|it| it.autonomy != Autonomy::Propose);
        gap(rules.is_empty(), format!("no rule watches {id}"));
        let silent = loudest == Some(Mode::Shadow);
        gap(silent, format!("every rule that watches {id} is in shadow: nobody is told"));
        gap(actions.is_empty(), format!("nothing can be done for {id}: no action contains it"));
        let waits = free && loudest.is_some_and(|it| it < Mode::Automatic);
        gap(waits, format!("an action for {id} may go out by itself, but no rule may start it"));
        let stuck = !actions.is_empty() && !free && loudest == Some(Mode::Automatic);
        gap(stuck, format!("a rule for {id} may act, but every action waits for a person"));
        let worth = entity.assets.is_empty() && entity.value_at_risk.is_none();
        gap(worth, format!("{id} has neither assets nor a value at risk: a loss has no size"));
    }
    for action in &plan.actions {
        let chain = action.call.chain();
        let lanes = plan.relayers.iter().filter(|it| it.account.chain == chain).count();
        let single = lanes == 1 && !matches!(action.call, ActionCall::Direct { .. });
        gap(single, format!("{} can be sent by one relayer alone", action.id));
        let free = action.cost.fixed.0 == Usd::ZERO && action.cost.per_hour.0 == Usd::ZERO;
        gap(free, format!("{} states no cost: every suspicion looks worth acting on", action.id));
    }
    gaps
}
