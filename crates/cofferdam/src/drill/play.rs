//! Plays a drill: once without a defence for L0, once with it, on the same kind of chain.

use alloy_primitives::B256;
use cofferdam_core::{Observation, Severity, Timestamp, Usd};
use cofferdam_drill::{Control, Scenario, Scorecard, scenario::Step, scenario::Variant};

use super::{
    defence::Defence,
    stage::{Stage, StageError, describe},
};

/// Blocks mined after the attack so that a late pause can settle.
const AFTERMATH_BLOCKS: u64 = 3;

/// What a drill run showed.
#[derive(Debug)]
pub struct Played {
    /// The comparison.
    pub card: Scorecard,
    /// What happened, line by line, in chain time.
    pub timeline: Vec<(Timestamp, String)>,
}

/// Runs the attack of `variant` with nobody watching and returns the loss.
///
/// # Errors
/// If the drill itself fails.
pub async fn undefended(
    mut stage: Stage,
    scenario: &Scenario,
    variant: &Variant,
) -> Result<Usd, StageError> {
    for step in &scenario.ordinary {
        stage.perform(step).await?;
    }
    let before = stage.worth(&scenario.loss).await?;
    for steps in &variant.blocks {
        for step in steps {
            stage.send(step).await?;
        }
        for _ in 0..=variant.delay_blocks {
            stage.world.mine().await?;
        }
    }
    let after = stage.worth(&scenario.loss).await?;
    Ok(before.minus(after))
}

/// Runs the attack of `variant` against the defence and scores it.
///
/// # Errors
/// If the drill itself fails; a defence that fails is a shortfall of the card.
pub async fn defended(
    mut stage: Stage,
    mut defence: Defence,
    scenario: &Scenario,
    variant: &Variant,
    control: Control,
) -> Result<Played, StageError> {
    let mut run = Run::default();
    let first = stage.world.mine().await?;
    defence.block(first).await?;
    for step in &scenario.ordinary {
        run.ordinary(&mut stage, &mut defence, step).await?;
    }
    let false_trips = if scenario.benign { 0 } else { defence.incidents() };
    let before = stage.worth(&scenario.loss).await?;
    for steps in &variant.blocks {
        run.attack_block(&mut stage, &mut defence, scenario, variant, steps).await?;
    }
    for _ in 0..AFTERMATH_BLOCKS {
        let observation = stage.world.mine().await?;
        defence.block(observation).await?;
    }
    let after = stage.worth(&scenario.loss).await?;
    let false_trips = if scenario.benign { defence.incidents() } else { false_trips };
    let mut card = run.card(scenario, variant, &defence, control, before.minus(after), false_trips);
    card.chain = stage.world.name().to_owned();
    card.journal_entries = defence.verify().await;
    if card.journal_entries.is_none() {
        card.shortfalls.push("the journal does not verify".into());
    }
    let mut timeline = run.timeline;
    timeline.extend(
        defence
            .alerts()
            .iter()
            .map(|it| (it.at, format!("{:<9}{}", it.severity.to_string(), it.text))),
    );
    timeline.sort_by_key(|it| it.0);
    Ok(Played { card, timeline })
}

/// What a run keeps for its card.
#[derive(Debug, Default)]
struct Run {
    timeline: Vec<(Timestamp, String)>,
    attack_began: Option<Timestamp>,
    attack_block: Option<u64>,
    ordinary_blocked: u64,
}

impl Run {
    async fn ordinary(
        &mut self,
        stage: &mut Stage,
        defence: &mut Defence,
        step: &Step,
    ) -> Result<(), StageError> {
        if step.read.is_some() {
            return stage.perform(step).await;
        }
        let (hash, _) = stage.send(step).await?;
        let observation = stage.world.mine().await?;
        let at = observation.block.time;
        defence.block(observation).await?;
        let succeeded = stage.succeeded(hash).await?;
        self.ordinary_blocked += u64::from(!succeeded);
        self.timeline.push((at, format!("ordinary {}{}", describe(step), verdict(succeeded))));
        Ok(())
    }

    async fn attack_block(
        &mut self,
        stage: &mut Stage,
        defence: &mut Defence,
        scenario: &Scenario,
        variant: &Variant,
        steps: &[Step],
    ) -> Result<(), StageError> {
        let mut sent: Vec<(B256, &Step)> = Vec::new();
        for step in steps {
            let (hash, raw) = stage.send(step).await?;
            if !step.ghost {
                sent.push((hash, step));
            }
            if variant.public {
                let head = stage.world.head().await?;
                let tx = stage.world.decode(&raw)?;
                self.attack_began.get_or_insert(head.block.time);
                self.timeline.push((head.block.time, format!("pending  {}", describe(step))));
                defence.pending(tx, &head).await?;
            }
        }
        let observation = stage.world.mine().await?;
        self.attack_began.get_or_insert(observation.block.time);
        self.attack_block.get_or_insert(observation.block.number);
        for (hash, step) in &sent {
            self.note_mined(stage, &observation, *hash, step, scenario.benign).await?;
        }
        defence.block(observation).await?;
        for _ in 0..variant.delay_blocks {
            let observation = stage.world.mine().await?;
            defence.block(observation).await?;
        }
        Ok(())
    }

    async fn note_mined(
        &mut self,
        stage: &Stage,
        observation: &Observation,
        hash: B256,
        step: &Step,
        benign: bool,
    ) -> Result<(), StageError> {
        let succeeded = stage.succeeded(hash).await?;
        if benign && !step.may_revert {
            self.ordinary_blocked += u64::from(!succeeded);
        }
        let text = format!(
            "block {:<3}{}{}",
            observation.block.number,
            describe(step),
            verdict(succeeded)
        );
        self.timeline.push((observation.block.time, text));
        Ok(())
    }

    fn card(
        &self,
        scenario: &Scenario,
        variant: &Variant,
        defence: &Defence,
        control: Control,
        loss: Usd,
        false_trips: u64,
    ) -> Scorecard {
        let began = self.attack_began.unwrap_or_default();
        let found = defence.first_critical();
        let effect = defence.effective();
        let mut card = Scorecard {
            drill: scenario.id.clone(),
            variant: variant.id.clone(),
            chain: String::new(),
            control,
            loss,
            saved_bps: Scorecard::saved(control.loss, loss),
            detected: found.is_some(),
            detect_ms: found.map(|at| at.since_ms(began)),
            contain_ms: effect.map(|it| it.block.time.since_ms(began)),
            contain_blocks: effect
                .and_then(|it| Some(it.block.number.saturating_sub(self.attack_block?))),
            react_us: defence.reaction_us(),
            gas_used: effect.map_or(0, |it| it.gas_used),
            ordinary_blocked: self.ordinary_blocked,
            false_trips,
            journal_entries: None,
            shortfalls: Vec::new(),
            remark: variant.expect.because.clone(),
        };
        card.shortfalls = shortfalls(&card, variant, effect.is_some());
        card
    }
}

pub(super) fn shortfalls(card: &Scorecard, variant: &Variant, contained: bool) -> Vec<String> {
    let expect = &variant.expect;
    let mut out = Vec::new();
    let mut check = |holds: bool, text: String| {
        if !holds {
            out.push(text);
        }
    };
    check(
        card.detected == expect.detected,
        format!("critical finding: expected {}, was {}", expect.detected, card.detected),
    );
    check(
        contained == expect.contained,
        format!("contained: expected {}, was {contained}", expect.contained),
    );
    let least = expect.saved_percent_min * 100;
    let saved = card.saved_bps.unwrap_or(10_000);
    check(saved >= least, format!("saved {saved} bps, expected at least {least}"));
    check(
        card.ordinary_blocked == 0,
        format!("{} ordinary transactions were blocked", card.ordinary_blocked),
    );
    check(card.false_trips == 0, format!("{} incidents without an attack", card.false_trips));
    if expect.detected {
        check(card.control.loss.0 > 0, "the attack takes nothing even without a defence".into());
    }
    out
}

fn verdict(succeeded: bool) -> &'static str {
    if succeeded { "" } else { ", reverted" }
}

/// Whether a severity counts as detection in a drill.
pub(super) fn is_detection(severity: Severity) -> bool {
    severity == Severity::Critical
}
