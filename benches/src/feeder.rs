//! The program's engine and journal without a chain: blocks in, records out.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use alloy_primitives::B256;
use cofferdam::runtime::{Carried, Hands, Notifiers, Shell};
use cofferdam_act::Authorisations;
use cofferdam_core::{Observation, Timestamp, plan::Plan, ports::Journal};
use cofferdam_engine::{Engine, Input, Limits};
use cofferdam_record::FileJournal;

use crate::Failure;

/// Engine and journal, put together as the program does.
pub(crate) struct Feeder {
    pub(crate) shell: Shell,
    pub(crate) journal: Arc<FileJournal>,
    /// How many records it made.
    pub(crate) records: u64,
    /// How many of them are findings.
    pub(crate) findings: u64,
}

impl Feeder {
    /// A fresh journal in `folder` and an engine under `plan`.
    pub(crate) async fn start(plan: Plan, folder: &Path, now: Timestamp) -> Result<Self, Failure> {
        let journal = Arc::new(FileJournal::open(folder).await?);
        let engine = Engine::new(plan, Limits::default())?;
        // There is no executor: orders are refused, as on a chain that the plan gives no relayer for.
        let hands = Hands::new(BTreeMap::new(), Authorisations::default(), Arc::new(move || now));
        let shared: Arc<dyn Journal> = journal.clone();
        let mut shell = Shell::new(engine, shared, Arc::new(hands), Notifiers::new());
        shell.start(now, B256::ZERO).await?;
        Ok(Self { shell, journal, records: 1, findings: 0 })
    }

    /// Feeds a block and waits for the journal.
    pub(crate) async fn block(&mut self, block: Observation) -> Result<(), Failure> {
        let (at, now) = (block.block, block.block.time);
        let carried = self.shell.feed_through(now, Input::Block(block)).await?;
        self.count(&carried);
        let head = self.shell.engine().state().head(at.chain);
        if head.is_none_or(|it| it.hash != at.hash) {
            return Err(format!("block {} was not taken", at.number).into());
        }
        Ok(())
    }

    fn count(&mut self, carried: &Carried) {
        use cofferdam_core::Record;
        self.records += carried.records.len() as u64;
        let found = |it: &&Record| matches!(it, Record::Found { .. });
        self.findings += carried.records.iter().filter(found).count() as u64;
    }

    /// Checks that everything that was counted is in the journal, and that it verifies.
    pub(crate) async fn check(&self) -> Result<u64, Failure> {
        let stored = self.journal.verify().await?;
        if stored != self.records {
            return Err(format!("{} records were made, {stored} are stored", self.records).into());
        }
        Ok(stored)
    }
}
