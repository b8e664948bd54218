//! Restoring the engine from its journal: from zero, or from the last snapshot and what follows.

use cofferdam_core::{Record, Timestamp, plan::Plan, record::Entry};
use cofferdam_detect::BuildError;

use crate::{
    Engine, Limits, OrderState, Release,
    apply::apply,
    state::{STATE_VERSION, State},
};

/// Why the engine could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The plan's rules cannot be built.
    #[error("the plan's rules cannot be built")]
    Plan(#[source] BuildError),
    /// The snapshot was written by another release.
    #[error("snapshot at entry {seq} has version {version}, this release reads {STATE_VERSION}")]
    Version {
        /// Where.
        seq: u64,
        /// The version found.
        version: u32,
    },
    /// The snapshot cannot be read.
    #[error("snapshot at entry {seq} cannot be read")]
    Snapshot {
        /// Where.
        seq: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Engine {
    /// Rebuilds the engine from `entries`: the whole journal, or any tail that begins with a snapshot.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn restore(
        plan: Plan,
        limits: Limits,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, RestoreError> {
        Self::new(plan, limits).map_err(RestoreError::Plan)?.after(entries)
    }

    /// This engine, new as it is, after `entries`: see [`Engine::restore`].
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn after(self, entries: impl IntoIterator<Item = Entry>) -> Result<Self, RestoreError> {
        let mut engine = self;
        for entry in entries {
            if let Record::Snapshot { version, state } = &entry.record {
                let seq = entry.seq;
                if *version != STATE_VERSION {
                    return Err(RestoreError::Version { seq, version: *version });
                }
                engine.state = serde_json::from_value(state.clone())
                    .map_err(|source| RestoreError::Snapshot { seq, source })?;
                engine.state.records_since_snapshot = 0;
                continue;
            }
            apply(&mut engine.state, &engine.plan, &engine.limits, entry.at, &entry.record);
        }
        engine.recall_rules();
        engine.restored = true;
        let sent = |it: &&OrderState| {
            it.outcome.is_none() && matches!(it.release, Release::Now | Release::Approved(_))
        };
        engine.unsure = engine.state.orders.values().filter(sent).map(|it| it.order.key).collect();
        Ok(engine)
    }

    /// The snapshot record of the present state.
    ///
    /// # Errors
    /// If a rule's memo cannot be written as JSON.
    pub fn snapshot(&self) -> Result<Record, serde_json::Error> {
        let state =
            serde_json::to_value(State { records_since_snapshot: 0, ..self.state.clone() })?;
        Ok(Record::Snapshot { version: STATE_VERSION, state })
    }

    /// Records that the process starts with this plan.
    pub fn started(
        &mut self,
        now: Timestamp,
        plan_hash: alloy_primitives::B256,
        version: &str,
    ) -> Record {
        let record = Record::Started { plan: plan_hash, version: version.to_owned() };
        apply(&mut self.state, &self.plan, &self.limits, now, &record);
        record
    }

    fn recall_rules(&mut self) {
        for (chain, rules) in &mut self.rules {
            let Some(view) = self.state.chains.get(&chain.0) else { continue };
            for (rule, memo) in &view.memos {
                rules.recall(rule, Some(memo));
            }
        }
    }
}
