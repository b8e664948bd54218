//! The row that kills the program at random points during attacks, under load.
//!
//! **Invariant:** after each kill, what the journal held before is still there, and whatever a receiver
//! acknowledged is in it.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use alloy_primitives::B256;
use cofferdam_core::{Record, ports::Journal as _};
use cofferdam_record::LocalJournal;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    super::{StageError, anvil::AnvilProcess, catalogue, defender::Defender, stage::describe},
    FaultOptions, Row, Seen,
    scene::{PATIENCE, Scene, Setting},
};
use crate::runtime::{chain_of, now};

/// The row's name.
pub(super) const NAME: &str = "kill-9-storm";
/// The drill whose attack is played, and its variant.
const DRILL: (&str, &str) = ("d9-stolen-upgrade-key", "split");
/// Kills in one attack; then the program is left alone and must contain it.
const KILLS_PER_ATTACK: u32 = 5;
/// The longest life of a process once it watches, in milliseconds.
const LIFE_MAX_MS: u64 = 600;
/// Wall time between two blocks, and transactions of other people in each.
const BLOCK_EVERY: Duration = Duration::from_millis(250);
const LOAD_TXS: u32 = 20;

/// Starts that are cut short in a row, and how long each may get.
const CUT_SHORT: u32 = 20;
const CUT_AFTER_MAX_MS: u64 = 250;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: NAME,
        fault: "kill -9 at random points, under load, during attacks",
        expected: "containment lands, no acknowledged record lost, none paged under two keys",
        quick: false,
        run: |options, name| Box::pin(storm(options, name, Lives::Watching)),
    },
    Row {
        name: "kill-restore",
        fault: "kill -9 while it restores, 20 times in a row during an attack",
        expected: "containment lands, no acknowledged record lost, none paged under two keys",
        quick: true,
        run: |options, name| {
            let options = FaultOptions { kills: CUT_SHORT, ..options.clone() };
            Box::pin(async move { storm(&options, name, Lives::CutShort).await })
        },
    },
];

/// When the program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lives {
    /// Once it watches.
    Watching,
    /// While it starts.
    CutShort,
}

/// What the kills came to.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    attacks: u32,
    contained: u32,
    refused: u32,
    lost: usize,
    unknown: usize,
    twice: usize,
    repeats: usize,
    broken: u32,
}

async fn storm(options: &FaultOptions, name: &str, lives: Lives) -> Result<Seen, StageError> {
    let per_attack = match lives {
        Lives::Watching => KILLS_PER_ATTACK,
        Lives::CutShort => options.kills,
    };
    let mut tally = Tally::default();
    let mut dice = Dice(options.run.seed);
    while tally.kills < options.kills {
        let left = options.kills - tally.kills;
        let mut options = options.clone();
        options.run.seed += u64::from(tally.attacks);
        let kills = (left.min(per_attack), lives);
        attack(&options, name, kills, &mut dice, &mut tally).await?;
    }
    let mut seen = Seen::default();
    let Tally { kills, attacks, contained, refused, lost, unknown, twice, repeats, broken } = tally;
    seen.check(kills > 0, format!("{kills} kills in {attacks} attacks"));
    seen.check(contained == attacks, format!("{contained} contained"));
    seen.check(refused == attacks, format!("{refused} drains refused"));
    seen.check(lost == 0, format!("{lost} records lost"));
    seen.check(unknown == 0, format!("{unknown} messages out that the journal does not know"));
    seen.check(twice == 0, format!("{twice} under two keys"));
    seen.check(broken == 0, format!("{broken} journals that do not verify"));
    seen.note(format!("{repeats} repeated under the same key"));
    Ok(seen)
}

/// One attack, the program killed `kills` times from its first transaction on.
async fn attack(
    options: &FaultOptions,
    name: &str,
    (kills, lives): (u32, Lives),
    dice: &mut Dice,
    tally: &mut Tally,
) -> Result<(), StageError> {
    let drill = catalogue::find(Path::new("nowhere"), DRILL.0);
    let drill = drill.map_err(|it| StageError::Other(chain_of(&it)))?;
    let variant = drill.scenario.variants.iter().find(|it| it.id == DRILL.1);
    let blocks = variant.map(|it| it.blocks.clone()).unwrap_or_default();
    let [upgrade, drain] = &blocks[..] else {
        return Err(StageError::Other("the attack has two blocks".into()));
    };
    let setting = Setting { drill: Some(drill), ..Setting::default() };
    let mut scene = Scene::set(options, name, setting).await?;
    let mut defence = scene.defend().await?;
    let mut load = JoinSet::new();
    load.spawn(mine_for_others(scene.node.clone()));
    tokio::time::sleep(dice.up_to(LIFE_MAX_MS)).await;
    for step in upgrade {
        scene.stage.send(step).await?;
    }
    tally.attacks += 1;
    let mut known = Vec::new();
    if lives == Lives::CutShort {
        defence.kill().await?;
        for _ in 0..kills {
            Defender::cut_short(&scene.launch, dice.up_to(CUT_AFTER_MAX_MS)).await?;
            tally.kills += 1;
            known = compare(&scene, &known, tally).await?;
        }
        defence = Defender::start(&scene.launch).await?;
    } else {
        for _ in 0..kills {
            tokio::time::sleep(dice.up_to(LIFE_MAX_MS)).await;
            defence.kill().await?;
            tally.kills += 1;
            known = compare(&scene, &known, tally).await?;
            defence = Defender::start(&scene.launch).await?;
        }
    }
    let effective = |it: &super::sink::Taken| it.text.contains("is effective since block");
    let contained = scene.sink.until(PATIENCE, |it| it.iter().any(effective)).await;
    tally.contained += u32::from(contained);
    // Whether it really is: the thief tries.
    for step in drain {
        let (hash, _) = scene.stage.send(step).await?;
        let inclusion = included(&scene, hash).await?;
        let inclusion = inclusion
            .ok_or_else(|| StageError::Other(format!("{} was not included", describe(step))))?;
        tally.refused += u32::from(!inclusion);
    }
    load.abort_all();
    defence.kill().await?;
    compare(&scene, &known, tally).await?;
    let journal = open(&scene).await?;
    tally.broken += u32::from(journal.verify().await.is_err());
    tally.twice += scene.sink.shown_twice();
    tally.repeats += scene.sink.repeats();
    Ok(())
}

/// Compares the journal with what it held before and with what receivers acknowledged. Returns what it
/// holds now.
async fn compare(
    scene: &Scene,
    before: &[B256],
    tally: &mut Tally,
) -> Result<Vec<B256>, StageError> {
    let wrong = |it| StageError::Other(chain_of(&it));
    let entries = open(scene).await?.read(0, usize::MAX >> 1).await.map_err(wrong)?;
    let hashes: Vec<B256> = entries.iter().map(|it| it.hash).collect();
    let same = before.iter().zip(&hashes).take_while(|(a, b)| a == b).count();
    tally.lost += before.len() - same;
    let issued: BTreeSet<String> = entries
        .iter()
        .filter_map(|it| match &it.record {
            Record::Issued { alert, .. } => Some(alert.id.to_string()),
            _ => None,
        })
        .collect();
    let taken = scene.sink.taken();
    tally.unknown += taken.iter().filter(|it| !issued.contains(&it.key)).count();
    Ok(hashes)
}

async fn open(scene: &Scene) -> Result<LocalJournal, StageError> {
    let journal = LocalJournal::open_read_only(&scene.launch.journal).await;
    journal.map_err(|it| StageError::Other(chain_of(&it)))
}

/// Whether a transaction succeeded, once the load's blocks took it; `None` if they did not.
async fn included(scene: &Scene, hash: B256) -> Result<Option<bool>, StageError> {
    let wait = async {
        loop {
            if let Some(it) = scene.stage.inclusion(hash).await? {
                return Ok::<_, StageError>(it.succeeded);
            }
            tokio::time::sleep(BLOCK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.ok().transpose()
}

/// Blocks with transactions of other people, for ever.
async fn mine_for_others(node: Arc<AnvilProcess>) {
    let accounts = node.ask("eth_accounts", json!([])).await.unwrap_or_default();
    let mut every = tokio::time::interval(BLOCK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        for _ in 0..LOAD_TXS {
            let tx = json!({ "from": accounts[0], "to": accounts[1], "value": "0x1" });
            // Load that the node refuses is load all the same.
            let _ = node.ask("eth_sendTransaction", json!([tx])).await;
        }
        if node.mine(now()).await.is_err() {
            return;
        }
    }
}

/// Repeatable random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, ms: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((it ^ (it >> 31)) % ms)
    }
}
