//! What people may do with a case: commands become events, or are refused with a reason.
//!
//! **Invariant:** a command changes nothing by itself; its events do once they are in the journal.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use cofferdam_core::{IncidentId, Timestamp};

use crate::{
    CaseEvent, CaseId, CaseState, Cases, Csf, Priority, Role, TaskState, cases::next_task,
    hand_over,
};

/// Longest text of a command, in bytes.
const TEXT_BYTES_MAX: usize = 8_192;
/// Most tasks of a case.
const TASKS_MAX: u32 = 1_000;

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To say that they saw it.
    Acknowledge,
    /// To have it go on.
    Move {
        /// Where to.
        to: CaseState,
        /// Why.
        because: String,
    },
    /// To have it more or less urgent.
    Prioritise {
        /// How urgent.
        to: Priority,
        /// Why.
        because: String,
    },
    /// To give somebody a role.
    Assign {
        /// Which.
        role: Role,
        /// Who.
        person: String,
    },
    /// To take a role from somebody.
    Release {
        /// Which.
        role: Role,
        /// Who.
        person: String,
    },
    /// To hand their own role to another person, who saw the summary of now.
    HandOver {
        /// Which.
        role: Role,
        /// To whom.
        to: String,
    },
    /// To record a decision.
    Decide {
        /// What.
        what: String,
        /// Why.
        because: String,
    },
    /// To record what no program saw.
    Note {
        /// When it happened.
        at: Timestamp,
        /// What.
        text: String,
        /// What it is evidence of.
        csf: Option<Csf>,
    },
    /// To have something done.
    AddTask {
        /// What.
        title: String,
        /// Who is to do it.
        owner: Option<String>,
        /// By when.
        due: Option<Timestamp>,
        /// What doing it is evidence of.
        csf: Option<Csf>,
    },
    /// To take a task.
    TakeTask(u32),
    /// To say that a task is done.
    FinishTask(u32),
    /// To have a task not done.
    DropTask {
        /// Which.
        number: u32,
        /// Why.
        because: String,
    },
    /// To have a playbook's run in it.
    LinkRun {
        /// The run.
        run: B256,
        /// Name of the playbook.
        playbook: String,
    },
    /// To make it part of another case.
    Merge {
        /// Which.
        into: CaseId,
        /// Why.
        because: String,
    },
    /// To make some of its incidents a case of their own.
    Split {
        /// What that is about.
        title: String,
        /// Which incidents.
        incidents: BTreeSet<IncidentId>,
        /// Why.
        because: String,
    },
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such case.
    #[error("there is no such case")]
    NoCase,
    /// It is part of another case.
    #[error("it was merged into {0:?}")]
    Merged(CaseId),
    /// A case does not go there from where it stands.
    #[error("a case that is {} does not become {}", .from.word(), .to.word())]
    NoWay {
        /// Where it stands.
        from: CaseState,
        /// Where it should go.
        to: CaseState,
    },
    /// It cannot be closed with tasks open.
    #[error("{0} tasks are open: finish or drop them first")]
    TasksOpen(usize),
    /// There is no such task, or it is not open.
    #[error("there is no open task {0}")]
    NoTask(u32),
    /// The person does not have the role.
    #[error("{person} is not {}", .role.word())]
    NotTheirs {
        /// Who.
        person: String,
        /// Which.
        role: Role,
    },
    /// A text is missing or too long, or nobody is named.
    #[error("{0}")]
    Text(&'static str),
    /// What is to be split or merged makes no sense.
    #[error("{0}")]
    Shape(&'static str),
    /// Something cannot have happened yet.
    #[error("{0} is in the future")]
    Future(Timestamp),
}

impl Cases {
    /// What `by` wants of case `id` at `now`, as events for the journal.
    ///
    /// # Errors
    ///
    /// Why it cannot be.
    pub fn command(
        &self,
        now: Timestamp,
        id: CaseId,
        by: &str,
        command: Command,
    ) -> Result<Vec<CaseEvent>, Refusal> {
        let case = self.get(&id).ok_or(Refusal::NoCase)?;
        if let Some(into) = case.merged_into {
            return Err(Refusal::Merged(into));
        }
        let by = text(by, "nobody is named")?;
        Ok(vec![match command {
            Command::Acknowledge => CaseEvent::Acknowledged { by },
            Command::Move { to, because } => {
                if !case.state.may_become(to) {
                    return Err(Refusal::NoWay { from: case.state, to });
                }
                let open = case.open_tasks().count();
                if to == CaseState::Closed && open > 0 {
                    return Err(Refusal::TasksOpen(open));
                }
                CaseEvent::Moved { to, by, because: text(&because, "a reason is missing")? }
            }
            Command::Prioritise { to, because } => {
                CaseEvent::Prioritised { to, by, because: text(&because, "a reason is missing")? }
            }
            Command::Assign { role, person } => {
                CaseEvent::Assigned { role, person: text(&person, "nobody is named")?, by }
            }
            Command::Release { role, person } => {
                has(case.roles.get(&role), &person, role)?;
                CaseEvent::Released { role, person, by }
            }
            Command::HandOver { role, to } => {
                has(case.roles.get(&role), &by, role)?;
                let summary = alloy_primitives::keccak256(hand_over(case, now));
                CaseEvent::HandedOver { role, from: by, to: text(&to, "nobody is named")?, summary }
            }
            Command::Decide { what, because } => CaseEvent::Decided {
                what: text(&what, "the decision is missing")?,
                because: text(&because, "a reason is missing")?,
                by,
            },
            Command::Note { at, text: note, csf } => {
                if at > now {
                    return Err(Refusal::Future(at));
                }
                CaseEvent::Noted { at, text: text(&note, "the text is missing")?, by, csf }
            }
            task @ (Command::AddTask { .. }
            | Command::TakeTask(_)
            | Command::FinishTask(_)
            | Command::DropTask { .. }) => self.task_event(id, by, task)?,
            Command::LinkRun { run, playbook } => CaseEvent::RunLinked { run, playbook, by },
            Command::Merge { into, because } => {
                self.merge_target(id, into)?;
                CaseEvent::Merged { into, by, because: text(&because, "a reason is missing")? }
            }
            Command::Split { title, incidents, because } => {
                self.split_event(id, by, title, incidents, &because)?
            }
        }])
    }

    fn task_event(&self, id: CaseId, by: String, command: Command) -> Result<CaseEvent, Refusal> {
        let case = self.get(&id).ok_or(Refusal::NoCase)?;
        Ok(match command {
            Command::AddTask { title, owner, due, csf } => {
                let number = next_task(case);
                if number > TASKS_MAX {
                    return Err(Refusal::Shape("there are too many tasks"));
                }
                let title = text(&title, "the text is missing")?;
                CaseEvent::TaskAdded { number, title, owner, due, csf, by }
            }
            Command::TakeTask(number) => {
                self.open_task(id, number)?;
                CaseEvent::TaskTaken { number, by }
            }
            Command::FinishTask(number) => {
                self.open_task(id, number)?;
                CaseEvent::TaskDone { number, by }
            }
            Command::DropTask { number, because } => {
                self.open_task(id, number)?;
                let because = text(&because, "a reason is missing")?;
                CaseEvent::TaskDropped { number, by, because }
            }
            _ => return Err(Refusal::Shape("this is not about a task")),
        })
    }

    fn open_task(&self, id: CaseId, number: u32) -> Result<(), Refusal> {
        let task = self.get(&id).and_then(|it| it.tasks.get(&number));
        let open = task.is_some_and(|it| it.state == TaskState::Open);
        if open { Ok(()) } else { Err(Refusal::NoTask(number)) }
    }

    fn merge_target(&self, id: CaseId, into: CaseId) -> Result<(), Refusal> {
        let to = self.get(&into).ok_or(Refusal::NoCase)?;
        match to.merged_into {
            _ if id == into => Err(Refusal::Shape("a case cannot be merged into itself")),
            Some(further) => Err(Refusal::Merged(further)),
            None => Ok(()),
        }
    }

    fn split_event(
        &self,
        id: CaseId,
        by: String,
        title: String,
        incidents: BTreeSet<IncidentId>,
        because: &str,
    ) -> Result<CaseEvent, Refusal> {
        let case = self.get(&id).ok_or(Refusal::NoCase)?;
        if incidents.is_empty() || !incidents.is_subset(&case.incidents) {
            return Err(Refusal::Shape("only incidents of the case can be split off"));
        }
        if incidents == case.incidents {
            return Err(Refusal::Shape("at least one incident has to stay"));
        }
        let numbers = 1..=u32::MAX;
        let into = numbers
            .map(|it| CaseId::split(&id, it))
            .find(|it| self.get(it).is_none())
            .ok_or(Refusal::NoCase)?;
        let title = text(&title, "the text is missing")?;
        let because = text(because, "a reason is missing")?;
        Ok(CaseEvent::Split { into, title, incidents, by, because })
    }
}

fn has(people: Option<&BTreeSet<String>>, person: &str, role: Role) -> Result<(), Refusal> {
    match people {
        Some(it) if it.contains(person) => Ok(()),
        _ => Err(Refusal::NotTheirs { person: person.to_owned(), role }),
    }
}

fn text(it: &str, missing: &'static str) -> Result<String, Refusal> {
    let trimmed = it.trim();
    if trimmed.is_empty() {
        return Err(Refusal::Text(missing));
    }
    if trimmed.len() > TEXT_BYTES_MAX {
        return Err(Refusal::Text("a text is too long"));
    }
    Ok(trimmed.to_owned())
}
