//! Rows about the machine itself: disk, clock, and a process that is stopped.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use cofferdam_core::ports::Journal as _;
use cofferdam_record::LocalJournal;

use super::{
    super::{StageError, defender::Defender},
    FaultOptions, Row, Seen,
    scene::{PATIENCE, Scene, Setting},
};
use crate::runtime::chain_of;

/// Size of the small disk: room for the journal's first segment, of which a mebibyte is set aside before
/// it is needed, and for no second one.
const DISK: &str = "size=2m";
/// Blocks made until what was set aside is used up and a full disk must have been noticed.
const BLOCKS_MAX: u32 = 6_000;
/// Wait after each of them.
const BLOCK_WAIT: Duration = Duration::from_millis(1);
/// Where Debian keeps libfaketime.
const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "disk-full",
        fault: "the journal's disk is full while the exploit is mined",
        expected: "paged without the journal, health red, nothing acknowledged; afterwards the alert",
        quick: false,
        run: |options, name| Box::pin(disk_full(options, name)),
    },
    Row {
        name: "disk-read-only",
        fault: "the journal's disk is read-only after a restart",
        expected: "refuses to start and says why; afterwards the alert",
        quick: false,
        run: |options, name| Box::pin(disk_read_only(options, name)),
    },
    Row {
        name: "clock-jump",
        fault: "the wall clock jumps 2 h back, then 5 h forward",
        expected: "alerts as ever, not blind, none under two keys",
        quick: false,
        run: |options, name| Box::pin(clock_jump(options, name)),
    },
    Row {
        name: "sigstop",
        fault: "the process is stopped for 60 s while the exploit is mined",
        expected: "alert once it goes on, nothing skipped",
        quick: true,
        run: |options, name| Box::pin(stopped(options, name)),
    },
];

/// A small file system in memory. Unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Result<Self, StageError> {
        let wrong = |it: String| {
            StageError::Other(format!("a small disk needs the right to mount one: {it}"))
        };
        std::fs::create_dir_all(at).map_err(|it| wrong(it.to_string()))?;
        let disk = Self(at.to_path_buf());
        disk.run(&["-t", "tmpfs", "-o", DISK, "tmpfs"]).map_err(wrong)?;
        Ok(disk)
    }

    fn remount(&self, how: &str) -> Result<(), StageError> {
        let done = self.run(&["-o", &format!("remount,{how}")]);
        done.map_err(|it| StageError::Other(format!("remount the disk: {it}")))
    }

    fn run(&self, args: &[&str]) -> Result<(), String> {
        let done = Command::new("mount").args(args).arg(&self.0).output();
        let done = done.map_err(|it| it.to_string())?;
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if done.status.success() { Ok(()) } else { Err(said) }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Writes until nothing fits any more.
    fn fill(&self) -> Result<(), StageError> {
        use std::io::Write as _;
        let wrong = |it: std::io::Error| StageError::Other(format!("fill the disk: {it}"));
        let mut file = std::fs::File::create(self.filler()).map_err(wrong)?;
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    fn empty(&self) -> Result<(), StageError> {
        let gone = std::fs::remove_file(self.filler());
        gone.map_err(|it| StageError::Other(format!("empty the disk: {it}")))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, so that a process that still ends does not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

async fn disk_full(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let disk = Disk::mount(&scene.launch.folder.join("disk"))?;
    scene.launch.journal = disk.0.join("journal");
    let defence = scene.defend().await?;
    disk.fill()?;
    let begun = Instant::now();
    let mut paged = false;
    for _ in 0..BLOCKS_MAX {
        scene.mine().await?;
        paged = scene.sink.until(BLOCK_WAIT, |it| it.iter().any(|it| it.dedup == "journal")).await;
        if paged {
            break;
        }
    }
    let filled = paged.then(|| begun.elapsed());
    seen.came("paged without the journal", filled, PATIENCE * 2);
    scene.exploit(0).await?;
    let height = scene.mine().await?;
    let health = defence.health().await?;
    seen.check(!health.healthy && health.blind.contains_key("journal"), "health red");
    seen.check(health.heads.values().all(|it| *it < height), "cursor held");
    disk.empty()?;
    let healed = Instant::now();
    seen.came("alert once there is room", scene.alerted(0, healed).await, PATIENCE);
    defence.saw(height).await?;
    seen.check(defence.until(PATIENCE, |it| it.healthy).await, "health green");
    seen.check(scene.alerts_of(0) == 1, "one alert");
    verify(&mut seen, &scene.launch.journal).await;
    Ok(seen)
}

async fn disk_read_only(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let disk = Disk::mount(&scene.launch.folder.join("disk"))?;
    scene.launch.journal = disk.0.join("journal");
    let defence = scene.defend().await?;
    defence.kill().await?;
    disk.remount("ro")?;
    scene.exploit(0).await?;
    scene.mine().await?;
    match Defender::start(&scene.launch).await {
        Ok(_) => seen.check(false, "refused to start"),
        Err(error) => {
            let said = chain_of(&error);
            seen.check(said.contains("journal cannot be used"), "refused to start");
            seen.check(said.contains("read-only"), "says what to look at");
        }
    }
    disk.remount("rw")?;
    let started = Instant::now();
    let _again = scene.defend().await?;
    seen.came("alert after a restart", scene.alerted(0, started).await, PATIENCE);
    seen.check(scene.alerts_of(0) == 1, "one alert");
    verify(&mut seen, &scene.launch.journal).await;
    Ok(seen)
}

async fn clock_jump(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let library = FAKETIME.iter().find(|it| Path::new(it).is_file());
    let library = library.ok_or_else(|| {
        StageError::Other("libfaketime is not installed (Debian package `faketime`)".into())
    })?;
    let offset = scene.launch.folder.join("offset");
    let jump = |to: &str| {
        let written = std::fs::write(&offset, format!("{to}\n"));
        written.map_err(|it| StageError::Other(format!("move the clock: {it}")))
    };
    jump("+0")?;
    let mut set = |name: &str, value: OsString| scene.launch.env.push((name.to_owned(), value));
    set("LD_PRELOAD", library.into());
    set("FAKETIME_TIMESTAMP_FILE", offset.clone().into());
    set("FAKETIME_NO_CACHE", "1".into());
    // The monotonic clock of a real machine does not jump either.
    set("DONT_FAKE_MONOTONIC", "1".into());
    let defence = scene.defend().await?;
    for (number, to, what) in [(0, "-2h", "alert 2 h earlier"), (1, "+3h", "alert 5 h later")] {
        jump(to)?;
        scene.exploit(number).await?;
        let mined = Instant::now();
        let height = scene.mine().await?;
        seen.came(what, scene.alerted(number, mined).await, PATIENCE);
        defence.saw(height).await?;
    }
    let journal = LocalJournal::open_read_only(&scene.launch.journal).await;
    let journal = journal.map_err(|it| StageError::Other(chain_of(&it)))?;
    let entries = journal.read(0, usize::MAX >> 1).await;
    let entries = entries.map_err(|it| StageError::Other(chain_of(&it)))?;
    let times = entries.iter().map(|it| it.at.0);
    let span = times.clone().max().unwrap_or_default() - times.min().unwrap_or_default();
    seen.check(span > 4 * 3_600_000, format!("journal spans {} min", span / 60_000));
    seen.check(defence.health().await?.healthy, "health green");
    let blind = scene.sink.taken().iter().any(|it| it.dedup.starts_with("blind/"));
    seen.check(!blind, "never blind");
    seen.check(scene.sink.shown_twice() == 0, "none under two keys");
    Ok(seen)
}

async fn stopped(options: &FaultOptions, name: &str) -> Result<Seen, StageError> {
    let mut scene = Scene::set(options, name, Setting::default()).await?;
    let mut seen = Seen::default();
    let defence = scene.defend().await?;
    let long = Duration::from_secs(if options.quick { 5 } else { 60 });
    defence.signal("STOP").await?;
    scene.exploit(0).await?;
    let height = scene.mine().await?;
    for _ in 0..5 {
        scene.mine().await?;
    }
    tokio::time::sleep(long).await;
    seen.check(scene.alerts_of(0) == 0, format!("stopped for {} s", long.as_secs()));
    defence.signal("CONT").await?;
    let gone_on = Instant::now();
    seen.came("alert", scene.alerted(0, gone_on).await, PATIENCE);
    defence.saw(height + 5).await?;
    seen.check(defence.until(PATIENCE, |it| it.healthy).await, "health green");
    seen.check(scene.alerts_of(0) == 1, "one alert");
    Ok(seen)
}

/// The journal must verify from its first entry to its last.
async fn verify(seen: &mut Seen, path: &Path) {
    let verified = match LocalJournal::open_read_only(path).await {
        Ok(journal) => journal.verify().await,
        Err(error) => Err(error),
    };
    match verified {
        Ok(entries) => seen.check(true, format!("journal of {entries} entries verifies")),
        Err(error) => seen.check(false, format!("journal verifies ({})", chain_of(&error))),
    }
}
