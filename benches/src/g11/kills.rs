//! `kill -9` at random points: what was acknowledged must be there, and the journal must verify.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use cofferdam_core::{Record, ports::Journal};
use cofferdam_record::FileJournal;
use tokio::runtime::Runtime;

use super::{NOW, record};
use crate::{
    Failure,
    report::{Report, Row},
};

const KILLS: u64 = 200;

/// Appends until it is killed, and prints how many entries were acknowledged.
pub(crate) fn child(path: &str) -> Result<(), Failure> {
    Runtime::new()?.block_on(async {
        let journal = FileJournal::open(path).await?;
        let mut out = std::io::stdout().lock();
        for number in 0.. {
            let records: Vec<Record> = (0..=number % 7).map(|it| record(it, 200)).collect();
            let entries = journal.append(NOW, &records).await?;
            let last = entries.last().map_or(0, |it| it.seq + 1);
            writeln!(out, "{last}")?;
            out.flush()?;
        }
        Ok(())
    })
}

/// Kills a child at random points and checks what it left.
pub(super) fn run(runtime: &Runtime, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let path = folder.join("killed");
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let (mut sound, mut acknowledged) = (0u64, 0u64);
    for _ in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        acknowledged = acknowledged.max(kill(&path, random)?);
        let kept = runtime.block_on(async {
            let journal = FileJournal::open_read_only(&path).await?;
            Ok::<_, Failure>(journal.verify().await?)
        });
        sound += u64::from(kept.is_ok_and(|it| it >= acknowledged));
    }
    report.note(format!("{acknowledged} records were acknowledged to the killed writers"));
    let row = Row::rate("kill -9: nothing acknowledged lost", "of 200", sound as f64);
    report.row(row.beside("all", KILLS as f64).at_least(1.0));
    Ok(())
}

/// Lets a child append for a random while; returns how many entries it saw acknowledged.
fn kill(path: &Path, random: u64) -> Result<u64, Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("g11-child")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("the child has no output")?;
    let mut lines = BufReader::new(out);
    let (mut line, mut last) = (String::new(), 0);
    for _ in 0..random % 40 {
        line.clear();
        lines.read_line(&mut line)?;
        last = line.trim().parse().unwrap_or(last);
    }
    std::thread::sleep(Duration::from_micros((random >> 32) % 2_000));
    child.kill()?;
    child.wait()?;
    line.clear();
    while lines.read_line(&mut line)? > 0 {
        // The last line may be cut off.
        if let (true, Ok(it)) = (line.ends_with('\n'), line.trim().parse()) {
            last = it;
        }
        line.clear();
    }
    Ok(last)
}
