//! How far an attack has come, as integers: the stage filter over the blocks of one incident, and what it
//! drains. The door between the decision, which keeps probabilities in parts per billion and evidence in
//! millinats, and [`crate::stages`]. Invariant: total; the stages sum to one part per billion for one.

use crate::door::PPB_ONE;
use crate::stages::{STAGES, StageFilter, StageHazards};

/// Quiet blocks are counted up to this many drains; after that nothing is in progress any more.
const QUIET_DRAINS_MAX: u64 = 16;
/// A loss in a later block shows that the attack was not over after all, except in so many cases: another
/// one took what the first had left.
const OVER_ALL_THE_SAME: f64 = 0.05;

/// What the plan says about attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageModel {
    /// Probability that value begins to leave in a given block, parts per billion.
    pub prior_ppb: u32,
    /// Probability that an attack takes all at once, parts per million.
    pub atomic_ppm: u32,
    /// Blocks of a drain that is not atomic.
    pub drain_blocks: u64,
    /// Blocks between preparation and strike.
    pub preparation_blocks: u64,
}

/// What one block told. Blocks without any are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEvidence {
    /// Blocks between this one and the head.
    pub age: u64,
    /// Evidence that somebody prepares or strikes, beyond what earlier blocks told, millinats.
    pub suspicion: i32,
    /// Evidence that value or control is being taken, beyond what earlier blocks told, millinats.
    pub harm: i32,
    /// Whether value was lost in it.
    pub loss: bool,
}

/// Probabilities in parts per billion; the four stages sum to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagePpb {
    /// Nothing is going on.
    pub benign: u32,
    /// Somebody prepares.
    pub preparation: u32,
    /// Value is leaving.
    pub in_progress: u32,
    /// All that could leave has left.
    pub drained: u32,
    /// Value is leaving, or begins to before the next block: what a decision weighs.
    pub live: u32,
}

/// The stages at the head. `blocks` are taken oldest first, whatever their order.
///
/// Half of all attacks are seen preparing. Before the first loss an attack in progress stays one; with the
/// first loss its atomic share is over, and each block without another loss makes it likelier that the
/// drain has ended (hazard and silence of one over the blocks of a drain). Another loss shows that it has
/// not.
#[must_use]
pub fn stages_ppb(model: &StageModel, blocks: &[BlockEvidence]) -> StagePpb {
    let prior = f64::from(model.prior_ppb.clamp(1, PPB_ONE - 1)) / f64::from(PPB_ONE);
    let lead = model.preparation_blocks.max(1) as f64;
    let end = 1.0 / model.drain_blocks.max(2) as f64;
    let waiting = StageHazards {
        prepare: 0.0,
        strike: prior / 2.0,
        advance: 1.0 / lead,
        abandon: 0.0,
        finish: 0.0,
        refill: 0.0,
    };
    let preparing = (prior * lead / 2.0).min(0.5);
    let mut order: Vec<&BlockEvidence> = blocks.iter().collect();
    order.sort_by_key(|it| std::cmp::Reverse(it.age));
    let atomic = f64::from(model.atomic_ppm.min(1_000_000)) / 1e6;
    let start = StageFilter::preparing(waiting, preparing);
    let walk = |mut filter: StageFilter| {
        let mut lost = false;
        let mut last: Option<u64> = None;
        for it in order {
            quiet(
                &mut filter,
                last.map_or(0, |age| (age - it.age).saturating_sub(1)),
                lost,
                model,
                end,
            )?;
            last = Some(it.age);
            let (suspicion, harm) = (f64::from(it.suspicion) / 1e3, f64::from(it.harm) / 1e3);
            filter.push([0.0, suspicion, suspicion + harm, suspicion + harm])?;
            if it.loss && lost {
                filter.resume(1.0 - OVER_ALL_THE_SAME)?;
            }
            if it.loss && !lost {
                filter.finish(atomic)?;
                filter.drains(end);
                lost = true;
            }
        }
        quiet(&mut filter, last.unwrap_or(0), lost, model, end)?;
        Ok::<_, crate::RiskError>(filter)
    };
    // Every input is finite and every hazard in range by construction; what is not would tell nothing.
    let filter = start.and_then(walk);
    let p = filter.as_ref().map_or([1.0, 0.0, 0.0, 0.0], StageFilter::probabilities);
    let live = filter.and_then(|it| it.drain_within(1)).unwrap_or(0.0);
    to_ppb(p, live)
}

/// `blocks` blocks that told nothing.
fn quiet(
    filter: &mut StageFilter,
    blocks: u64,
    lost: bool,
    model: &StageModel,
    end: f64,
) -> Result<(), crate::RiskError> {
    let most = QUIET_DRAINS_MAX * model.drain_blocks.max(model.preparation_blocks).clamp(2, 64);
    for _ in 0..blocks.min(most) {
        filter.push([0.0, 0.0, if lost { -end } else { 0.0 }, 0.0])?;
    }
    Ok(())
}

fn to_ppb(p: [f64; STAGES], live: f64) -> StagePpb {
    let ppb = |x: f64| libm::floor(x * f64::from(PPB_ONE) + 0.5) as u32;
    let [_, preparation, in_progress, drained] = p.map(ppb);
    let preparation = preparation.min(PPB_ONE);
    let in_progress = in_progress.min(PPB_ONE - preparation);
    let drained = drained.min(PPB_ONE - preparation - in_progress);
    StagePpb {
        benign: PPB_ONE - preparation - in_progress - drained,
        preparation,
        in_progress,
        drained,
        // Evidence is never certainty.
        live: ppb(live).min(PPB_ONE - 1),
    }
}

/// Evidence of one group of correlated detectors, millinats: strengthened by agreement as far as their
/// correlation allows, never beyond `cap`, never less than the strongest alone (`risk.md` §9.2, the
/// fallback while there are too few attacks to learn weights).
#[must_use]
pub fn group_millinats(llrs: &[i32], correlation_ppm: u32, cap: i32) -> i32 {
    let side = |positive: bool| {
        let of: Vec<f64> = llrs
            .iter()
            .filter(|it| if positive { **it > 0 } else { **it < 0 })
            .map(|it| f64::from(it.unsigned_abs()))
            .collect();
        let strongest = of.iter().copied().fold(0.0, f64::max);
        let shrunk = crate::rho_shrink(&of, f64::from(correlation_ppm.min(1_000_000)) / 1e6);
        strongest.max(shrunk)
    };
    let cap = f64::from(cap.max(0));
    libm::round((side(true) - side(false)).clamp(-cap, cap)) as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODEL: StageModel =
        StageModel { prior_ppb: 16, atomic_ppm: 440_000, drain_blocks: 10, preparation_blocks: 10 };

    fn told(age: u64, suspicion: i32, harm: i32, loss: bool) -> BlockEvidence {
        BlockEvidence { age, suspicion, harm, loss }
    }

    #[test]
    fn harm_alone_is_bayes_rule_and_its_atomic_part_is_over() {
        let pending = stages_ppb(&MODEL, &[told(0, 0, 20_000, false)]);
        let bayes = crate::posterior_ppb(16, &[(20_000, vec![20_000])]);
        assert!(pending.live.abs_diff(bayes) < 10_000, "{pending:?} {bayes}");
        let lost = stages_ppb(&MODEL, &[told(0, 0, 20_000, true)]);
        let share = f64::from(lost.drained) / f64::from(lost.drained + lost.in_progress);
        assert!((share - 0.44).abs() < 1e-6, "{lost:?}");
    }

    #[test]
    fn a_drain_that_stops_is_over_and_one_that_goes_on_is_not() {
        let stages = |blocks: &[BlockEvidence]| stages_ppb(&MODEL, blocks);
        let fresh = stages(&[told(0, 0, 20_000, true)]);
        let old = stages(&[told(30, 0, 20_000, true)]);
        let again = stages(&[told(1, 0, 20_000, true), told(0, 0, 0, true)]);
        assert!(old.in_progress < fresh.in_progress / 20 && old.drained > 800_000_000);
        assert!(again.live > fresh.live && again.drained < fresh.drained / 10, "{again:?}");
    }

    #[test]
    fn suspicion_is_preparation() {
        let it = stages_ppb(&MODEL, &[told(3, 12_000, 0, false)]);
        assert!(it.preparation > it.in_progress && it.drained == 0, "{it:?}");
    }

    #[test]
    fn a_group_is_no_weaker_than_its_strongest_and_no_stronger_than_its_cap() {
        assert_eq!(group_millinats(&[20_000, 1_000], 500_000, 30_000), 20_000);
        assert_eq!(group_millinats(&[9_000, 9_000], 500_000, 30_000), 12_000);
        assert_eq!(group_millinats(&[9_000, 9_000], 0, 15_000), 15_000);
        assert_eq!(group_millinats(&[9_000, -2_000], 1_000_000, 15_000), 7_000);
        assert_eq!(group_millinats(&[], 0, 15_000), 0);
    }

    proptest! {
        #[test]
        fn the_stages_are_a_distribution_and_more_evidence_never_lowers_the_attack(
            ages in prop::collection::vec((0..500_u64, -9_000..9_000_i32, 0..20_000_i32, any::<bool>()), 0..12),
            more in 0..9_000_i32, prior in any::<u32>(), blocks in 0..400_u64,
        ) {
            let model = StageModel { prior_ppb: prior, drain_blocks: blocks, ..MODEL };
            let mut seen: Vec<_> = ages.iter().map(|(a, s, h, l)| told(*a, *s, *h, *l)).collect();
            let it = stages_ppb(&model, &seen);
            prop_assert_eq!(u64::from(it.benign) + u64::from(it.preparation) + u64::from(it.in_progress) + u64::from(it.drained), 1_000_000_000);
            prop_assert!(it.live < PPB_ONE);
            if let Some(last) = seen.first_mut() {
                last.harm += more;
                prop_assert!(stages_ppb(&model, &seen).benign <= it.benign.saturating_add(2));
            }
        }
    }
}
