//! What people do: they look at the screen, approve, veto, and accept branches.

use cofferdam_core::ChainId;
use cofferdam_engine::{Command, Input, Release};

use super::{Sometimes, world::World};

const NAMES: [&str; 2] = ["alice", "bob"];

impl World<'_> {
    pub(crate) fn people(&mut self) {
        let Some(engine) = &self.engine else { return };
        let state = engine.state();
        let mut commands = Vec::new();
        let by = NAMES.get(self.rng.below(2) as usize).copied().unwrap_or("alice").to_owned();
        let waiting = state.orders.values().filter(|it| it.outcome.is_none() && it.attempts == 0);
        for it in waiting {
            let key = it.order.key;
            match it.release {
                Release::OnApproval => {
                    commands.push(Command::Approve { key, by: by.clone() });
                }
                Release::After(_) if self.t < 60_000 && self.rng.chance(60) => {
                    let (by, reason) = (by.clone(), "it is planned".to_owned());
                    commands.push(Command::Veto { key, by, reason });
                }
                _ => {}
            }
        }
        let deep = |it: &str| it.contains("a person must accept it");
        let chains: Vec<ChainId> =
            state.blind().filter(|(_, it)| deep(&it.because)).map(|(chain, _)| chain).collect();
        for chain in chains {
            if self.rng.chance(500) {
                commands.push(Command::AcceptFork { chain, by: by.clone() });
            }
        }
        for command in commands {
            match &command {
                Command::Approve { .. } => self.note(Sometimes::Approved),
                Command::Veto { .. } => self.note(Sometimes::Vetoed),
                Command::AcceptFork { .. } => self.note(Sometimes::ForkAccepted),
                Command::Close { .. } => {}
            }
            self.feed(Input::Command(command));
        }
    }
}
