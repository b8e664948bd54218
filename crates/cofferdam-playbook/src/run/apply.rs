//! The fold: what a record does to a run.
//!
//! **Invariant:** applying needs the state and the record only, and never fails. A record that does
//! not fit (no such strand or job) changes nothing.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;

use super::{Job, JobId, JobState, Phase, Raised, Run, RunRecord, StepResult, Strand};

impl Run {
    /// The run that `record` begins; `None` unless it is [`RunRecord::Started`].
    pub(super) fn begun(at: Timestamp, record: &RunRecord) -> Option<Self> {
        let RunRecord::Started { run, playbook, digest, by, parent, variables, .. } = record else {
            return None;
        };
        Some(Self {
            id: *run,
            playbook: playbook.clone(),
            digest: *digest,
            by: by.clone(),
            started: at,
            parent: *parent,
            variables: variables.clone(),
            strands: BTreeMap::new(),
            jobs: BTreeMap::new(),
            raised: None,
            held: None,
            ended: None,
            visits: BTreeMap::new(),
            next_strand: 0,
            steps: 0,
            root_failed: None,
        })
    }

    /// Applies `record`; jobs that it withdraws.
    pub(super) fn apply(&mut self, at: Timestamp, record: &RunRecord) -> Vec<JobId> {
        match record {
            RunRecord::Started { .. } | RunRecord::Late { .. } => {}
            RunRecord::Entered { .. } => self.entered(at, record),
            RunRecord::Offered { .. } => self.offered(at, record),
            RunRecord::Taken { job, worker, until } => {
                let state = JobState::Taken { worker: worker.clone(), until: *until };
                self.set_job(job, state);
            }
            RunRecord::Kept { job, until } => {
                if let Some(Job { state: JobState::Taken { until: held, .. }, .. }) =
                    self.jobs.get_mut(job)
                {
                    *held = *until;
                }
            }
            RunRecord::Unknown { job, because } => {
                self.set_job(job, JobState::Unknown { since: at, because: because.clone() });
            }
            RunRecord::Agreed { job, by, .. } => {
                if let Some(it) = self.jobs.get_mut(job) {
                    it.agreed.insert(by.clone());
                }
            }
            RunRecord::Answered { job, result, variables, .. } => {
                self.answered(job, result, variables);
            }
            RunRecord::Branched { strand, round, branches } => {
                let last = branches.iter().map(|it| it.0 + 1).max().unwrap_or(0);
                self.next_strand = self.next_strand.max(last);
                if let Some(it) = self.strands.get_mut(strand) {
                    it.phase = Phase::Branching {
                        waiting: branches.iter().cloned().collect(),
                        open: Default::default(),
                        failed: None,
                        round: *round,
                    };
                }
            }
            RunRecord::Done { strand, result, .. } => {
                let withdrawn = self.withdraw_below(*strand);
                if let Some(it) = self.strands.get_mut(strand) {
                    it.phase = Phase::Done(result.clone());
                }
                return withdrawn;
            }
            RunRecord::Raised { step, because } => {
                let raised = Raised { step: step.clone(), because: because.clone(), begun: false };
                self.raised = Some(raised);
            }
            RunRecord::Closed { strand, failed } => return self.closed(*strand, failed.as_ref()),
            RunRecord::Held { by } => self.held = Some((by.clone(), at)),
            RunRecord::Resumed { .. } => self.resumed(at),
            RunRecord::Ended { outcome } => {
                let strands: Vec<u32> = self.strands.keys().copied().collect();
                let withdrawn =
                    strands.into_iter().flat_map(|it| self.withdraw_below(it)).collect();
                self.strands.clear();
                self.ended = Some(outcome.clone());
                return withdrawn;
            }
        }
        Vec::new()
    }

    fn entered(&mut self, at: Timestamp, record: &RunRecord) {
        let RunRecord::Entered {
            strand,
            parent,
            step,
            visit,
            not_before,
            due,
            variables,
            exception,
        } = record
        else {
            return;
        };
        let fresh = Strand {
            parent: *parent,
            step: step.clone(),
            visit: *visit,
            since: at,
            not_before: *not_before,
            due: *due,
            variables: variables.clone(),
            phase: Phase::Ready,
        };
        self.strands.insert(*strand, fresh);
        self.visits.insert(step.clone(), *visit);
        self.next_strand = self.next_strand.max(strand + 1);
        self.steps = self.steps.saturating_add(1);
        if *exception && let Some(it) = &mut self.raised {
            it.begun = true;
        }
        let above = parent.and_then(|it| self.strands.get_mut(&it));
        if let Some(Strand { phase: Phase::Branching { waiting, open, .. }, .. }) = above
            && waiting.remove(strand).is_some()
        {
            open.insert(*strand);
        }
    }

    fn offered(&mut self, at: Timestamp, record: &RunRecord) {
        let RunRecord::Offered { job, strand, index, attempt, work, due } = record else { return };
        let Some(it) = self.strands.get_mut(strand) else { return };
        it.phase = Phase::Working { index: *index, job: *job };
        it.due = Some(*due);
        let agreed = self.jobs.get(job).map(|it| it.agreed.clone()).unwrap_or_default();
        let fresh = Job {
            strand: *strand,
            step: it.step.clone(),
            work: work.clone(),
            attempt: *attempt,
            at,
            agreed,
            state: JobState::Offered,
        };
        self.jobs.insert(*job, fresh);
    }

    fn answered(&mut self, id: &JobId, result: &StepResult, set: &BTreeMap<String, String>) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.state = JobState::Answered(result.clone());
        let strand = job.strand;
        for (name, value) in set {
            let local = self.strands.get_mut(&strand).and_then(|it| it.variables.get_mut(name));
            if let Some(it) = local.or_else(|| self.variables.get_mut(name)) {
                it.value = Some(value.clone());
            }
        }
    }

    fn closed(&mut self, strand: u32, failed: Option<&String>) -> Vec<JobId> {
        let withdrawn = self.withdraw_below(strand);
        let Some(gone) = self.strands.remove(&strand) else { return withdrawn };
        let Some(above) = gone.parent else {
            // The exception path does not make up for what raised it, nor does it add to it.
            if strand == 0 {
                self.root_failed = failed.cloned();
            }
            return withdrawn;
        };
        if let Some(Strand { phase: Phase::Branching { open, failed: first, .. }, .. }) =
            self.strands.get_mut(&above)
        {
            open.remove(&strand);
            *first = first.take().or_else(|| failed.cloned());
        }
        withdrawn
    }

    /// Deadlines move by as long as the run was held.
    fn resumed(&mut self, at: Timestamp) {
        let Some((_, since)) = self.held.take() else { return };
        let ms = at.since_ms(since);
        for it in self.strands.values_mut() {
            it.not_before = it.not_before.plus_ms(ms);
            it.due = it.due.map(|it| it.plus_ms(ms));
        }
        for it in self.jobs.values_mut() {
            match &mut it.state {
                JobState::Unknown { since, .. } => *since = since.plus_ms(ms),
                JobState::Taken { until, .. } => *until = until.plus_ms(ms),
                _ => {}
            }
        }
    }

    fn set_job(&mut self, job: &JobId, state: JobState) {
        if let Some(it) = self.jobs.get_mut(job) {
            it.state = state;
        }
    }

    /// Withdraws the open jobs of `strand` and of all its branches, and removes the branches.
    fn withdraw_below(&mut self, strand: u32) -> Vec<JobId> {
        let mut family = vec![strand];
        let mut at = 0;
        while let Some(id) = family.get(at).copied() {
            family.extend(self.strands.iter().filter(|it| it.1.parent == Some(id)).map(|it| *it.0));
            at += 1;
        }
        family.iter().skip(1).for_each(|it| {
            self.strands.remove(it);
        });
        let mut out = Vec::new();
        for (id, job) in &mut self.jobs {
            if family.contains(&job.strand) && job.state.is_open() {
                job.state = JobState::Withdrawn;
                out.push(*id);
            }
        }
        out
    }
}
