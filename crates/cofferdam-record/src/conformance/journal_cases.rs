//! The journal's contract.

use std::{collections::BTreeMap, sync::Arc, task::Poll};

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Boxed, Journal},
    record::Entry,
};

use super::{
    Outcome, holds, same,
    samples::{every_variant, numbered, snapshot},
    told,
};
use crate::chain::{self, entry_hash};

type Shared = Arc<dyn Journal>;
type Case = fn(Shared) -> Boxed<'static, Outcome>;

/// Every case with its name.
pub(super) const CASES: &[(&str, Case)] = &[
    ("an empty journal is empty", |it| Box::pin(empty(it))),
    ("entries count from zero and are chained", |it| Box::pin(chained(it))),
    ("every variant comes back as it went in", |it| Box::pin(every_variant_returns(it))),
    ("a read is the window asked for", |it| Box::pin(windows(it))),
    ("what was answered is seen at once", |it| Box::pin(read_your_writes(it))),
    ("concurrent appends interleave but are not torn", |it| Box::pin(concurrent(it))),
    ("an append of nothing changes nothing", |it| Box::pin(nothing(it))),
    ("the last snapshot is the newest", |it| Box::pin(snapshots(it))),
    ("a large append is one append", |it| Box::pin(large_append(it))),
    ("a large record is stored whole", |it| Box::pin(large_record(it))),
    ("time is stored, not judged", |it| Box::pin(any_time(it))),
    ("an append that nobody waits for tears nothing", |it| Box::pin(abandoned(it))),
];

const NOW: Timestamp = Timestamp(1_790_000_000_000);

async fn append(journal: &Shared, records: &[Record]) -> Result<Vec<Entry>, String> {
    journal.append(NOW, records).await.map_err(told)
}

async fn read_all(journal: &Shared) -> Result<Vec<Entry>, String> {
    journal.read(0, usize::MAX).await.map_err(told)
}

async fn verified(journal: &Shared, want: u64) -> Outcome {
    same("entries verified", &journal.verify().await.map_err(told)?, &want)
}

async fn empty(journal: Shared) -> Outcome {
    same("head", &journal.head().await.map_err(told)?, &None)?;
    same("last snapshot", &journal.last_snapshot().await.map_err(told)?, &None)?;
    same("entries", &read_all(&journal).await?, &Vec::new())?;
    verified(&journal, 0).await
}

async fn chained(journal: Shared) -> Outcome {
    let mut entries = Vec::new();
    for batch in [vec![numbered(0)], vec![numbered(1), numbered(2), snapshot(3)], vec![numbered(4)]]
    {
        entries.extend(append(&journal, &batch).await?);
    }
    let mut prev = B256::ZERO;
    for (want, entry) in (0u64..).zip(&entries) {
        same("seq", &entry.seq, &want)?;
        same("at", &entry.at, &NOW)?;
        same("prev", &entry.prev, &prev)?;
        let [stored] = &chain::encode(std::slice::from_ref(&entry.record)).map_err(told)?[..]
        else {
            return Err("a record is not encoded as one".to_owned());
        };
        same("hash", &entry.hash, &entry_hash(want, NOW, prev, &stored.bytes))?;
        prev = entry.hash;
    }
    same("entries read", &read_all(&journal).await?, &entries)?;
    same("head", &journal.head().await.map_err(told)?, &Some((4, prev)))?;
    verified(&journal, 5).await
}

async fn every_variant_returns(journal: Shared) -> Outcome {
    let records = every_variant();
    append(&journal, &records).await?;
    let back: Vec<Record> = read_all(&journal).await?.into_iter().map(|it| it.record).collect();
    for (got, want) in back.iter().zip(&records) {
        same("record", got, want)?;
    }
    verified(&journal, records.len() as u64).await
}

async fn windows(journal: Shared) -> Outcome {
    let records: Vec<Record> = (0..20).map(numbered).collect();
    let entries = append(&journal, &records).await?;
    for (from, limit) in [(0, 5), (7, 5), (18, 5), (20, 5), (0, 0), (u64::MAX, 5), (3, usize::MAX)]
    {
        let got = journal.read(from, limit).await.map_err(told)?;
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let want: Vec<Entry> = entries.iter().skip(skip).take(limit).cloned().collect();
        same(&format!("read({from}, {limit})"), &got, &want)?;
    }
    Ok(())
}

async fn read_your_writes(journal: Shared) -> Outcome {
    for number in 0..50 {
        let entries = append(&journal, &[numbered(number)]).await?;
        let [entry] = &entries[..] else { return Err("not one entry for one record".to_owned()) };
        let head = journal.head().await.map_err(told)?;
        same("head", &head, &Some((entry.seq, entry.hash)))?;
        same("read", &journal.read(entry.seq, 1).await.map_err(told)?, &entries)?;
    }
    Ok(())
}

async fn concurrent(journal: Shared) -> Outcome {
    const TASKS: u64 = 16;
    const APPENDS: u64 = 20;
    const BATCH: u64 = 3;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let mut placed = Vec::new();
            for number in 0..APPENDS {
                let name = task * APPENDS + number;
                let batch: Vec<Record> = (0..BATCH).map(|it| numbered(name * BATCH + it)).collect();
                placed.extend(append(&journal, &batch).await?);
            }
            Ok::<_, String>(placed)
        });
    }
    let mut answered = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let placed = done.map_err(told)??;
        let rising = placed.windows(2).all(|it| matches!(it, [a, b] if a.seq < b.seq));
        holds("one task's appends keep their order", rising)?;
        let whole = |it: &[Entry]| matches!((it.first(), it.last()), (Some(a), Some(b)) if b.seq - a.seq == BATCH - 1);
        holds("an append is contiguous", placed.chunks(BATCH as usize).all(whole))?;
        answered.extend(placed.into_iter().map(|it| (it.seq, it)));
    }
    let answered: Vec<Entry> = answered.into_values().collect();
    same("what was answered is what stands", &read_all(&journal).await?, &answered)?;
    verified(&journal, TASKS * APPENDS * BATCH).await
}

async fn nothing(journal: Shared) -> Outcome {
    same("entries", &append(&journal, &[]).await?, &Vec::new())?;
    append(&journal, &[numbered(0)]).await?;
    let head = journal.head().await.map_err(told)?;
    same("entries", &append(&journal, &[]).await?, &Vec::new())?;
    same("head", &journal.head().await.map_err(told)?, &head)?;
    verified(&journal, 1).await
}

async fn snapshots(journal: Shared) -> Outcome {
    append(&journal, &[numbered(0)]).await?;
    same("none yet", &journal.last_snapshot().await.map_err(told)?, &None)?;
    append(&journal, &[snapshot(1), numbered(2), snapshot(3), numbered(4)]).await?;
    same("newest", &journal.last_snapshot().await.map_err(told)?, &Some(3))?;
    append(&journal, &[snapshot(5)]).await?;
    same("newer", &journal.last_snapshot().await.map_err(told)?, &Some(5))
}

async fn large_append(journal: Shared) -> Outcome {
    const RECORDS: u64 = 5_000;
    append(&journal, &[numbered(0)]).await?;
    let records: Vec<Record> = (0..RECORDS).map(numbered).collect();
    let entries = append(&journal, &records).await?;
    same("entries", &entries.len(), &records.len())?;
    same("read back", &journal.read(1, usize::MAX).await.map_err(told)?, &entries)?;
    verified(&journal, RECORDS + 1).await
}

async fn large_record(journal: Shared) -> Outcome {
    let state = serde_json::Value::String("é\\\"\n".repeat(1 << 20));
    let record = Record::Snapshot { version: 1, state };
    append(&journal, &[numbered(0), record.clone(), numbered(2)]).await?;
    let back = journal.read(1, 1).await.map_err(told)?;
    holds("the record came back", back.first().is_some_and(|it| it.record == record))?;
    verified(&journal, 3).await
}

async fn any_time(journal: Shared) -> Outcome {
    let times = [5, 3, 0, u64::MAX, 1 << 63, 4].map(Timestamp);
    for at in times {
        journal.append(at, &[numbered(at.0)]).await.map_err(told)?;
    }
    let back: Vec<Timestamp> = read_all(&journal).await?.into_iter().map(|it| it.at).collect();
    same("times", &back, &times.to_vec())?;
    verified(&journal, times.len() as u64).await
}

async fn abandoned(journal: Shared) -> Outcome {
    for number in 0..20 {
        let batch = [numbered(number), numbered(number), numbered(number)];
        let mut append = journal.append(NOW, &batch);
        std::future::poll_fn(|context| {
            let _ = append.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    let entries = append(&journal, &[numbered(99)]).await?;
    let all = read_all(&journal).await?;
    same("the answered append is the last", &all.last(), &entries.last())?;
    let others = all.len().saturating_sub(1);
    holds("an abandoned append is there whole or not at all", others.is_multiple_of(3))?;
    verified(&journal, all.len() as u64).await
}
