//! What a simulated life saw: counters that prove that each misfortune did occur.

/// Counters of one life, or of many added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Sometimes::ALL.len()]);

/// Things that must happen sometimes, or the simulation proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sometimes {
    /// A block was evaluated.
    Evaluated,
    /// A block was delivered twice.
    DeliveredTwice,
    /// A block was not delivered at first.
    Gap,
    /// A block came after a later one.
    OutOfOrder,
    /// An endpoint hung.
    Hung,
    /// An endpoint served a block that never was, with an attack in it.
    Lie,
    /// A branch was reorganised out.
    Reorged,
    /// A branch deeper than the limit was.
    DeepReorg,
    /// A person accepted a branch.
    ForkAccepted,
    /// An attack was seen before it was in a block.
    SeenPending,
    /// An attack took money.
    Attacked,
    /// A finding was retracted.
    Retracted,
    /// An order was decided.
    Ordered,
    /// An order went out beside its journal write.
    Hot,
    /// An order went out after its journal write.
    Cold,
    /// An order went out again.
    DispatchedAgain,
    /// What was out followed the attacker's bid.
    Outbid,
    /// Nobody learnt whether an order went out.
    DispatchLost,
    /// An order could not be sent.
    DispatchFailed,
    /// An order waited for a stage or for endpoints.
    Held,
    /// A person approved an order.
    Approved,
    /// A person vetoed an order.
    Vetoed,
    /// An effect was reorganised out.
    Reopened,
    /// An attack was contained.
    Contained,
    /// An attack was said to be beyond us.
    SaidBeyond,
    /// The process died.
    Died,
    /// The process died between dispatch and journal write.
    DiedHot,
    /// The process was restored from a snapshot.
    FromSnapshot,
    /// The journal refused a write.
    Refused,
    /// The journal kept only the beginning of a write.
    Torn,
    /// The clock jumped ahead.
    ClockAhead,
    /// The clock jumped back.
    ClockBack,
    /// We were blind.
    Blind,
    /// Blindness paged somebody.
    BlindPaged,
    /// An alert was taken.
    Taken,
    /// An alert was taken a second time, under the same id.
    TakenAgain,
    /// A receiver refused an alert for now.
    RefusedForNow,
    /// A receiver refused an alert for good.
    RefusedForGood,
    /// A receiver never answered.
    NoAnswer,
    /// A receiver took an alert and the answer was lost.
    AnswerLost,
    /// An answer came twice.
    AnsweredTwice,
    /// A repeat was throttled.
    Throttled,
}

impl Sometimes {
    /// All of them, in order.
    pub const ALL: [Self; 42] = [
        Self::Evaluated,
        Self::DeliveredTwice,
        Self::Gap,
        Self::OutOfOrder,
        Self::Hung,
        Self::Lie,
        Self::Reorged,
        Self::DeepReorg,
        Self::ForkAccepted,
        Self::SeenPending,
        Self::Attacked,
        Self::Retracted,
        Self::Ordered,
        Self::Hot,
        Self::Cold,
        Self::DispatchedAgain,
        Self::Outbid,
        Self::DispatchLost,
        Self::DispatchFailed,
        Self::Held,
        Self::Approved,
        Self::Vetoed,
        Self::Reopened,
        Self::Contained,
        Self::SaidBeyond,
        Self::Died,
        Self::DiedHot,
        Self::FromSnapshot,
        Self::Refused,
        Self::Torn,
        Self::ClockAhead,
        Self::ClockBack,
        Self::Blind,
        Self::BlindPaged,
        Self::Taken,
        Self::TakenAgain,
        Self::RefusedForNow,
        Self::RefusedForGood,
        Self::NoAnswer,
        Self::AnswerLost,
        Self::AnsweredTwice,
        Self::Throttled,
    ];
}

impl Default for Counters {
    fn default() -> Self {
        Self([0; Sometimes::ALL.len()])
    }
}

impl Counters {
    /// How often it happened.
    pub fn count(&self, what: Sometimes) -> u64 {
        self.0.get(what as usize).copied().unwrap_or(0)
    }

    /// What never happened.
    pub fn never(&self) -> Vec<Sometimes> {
        Sometimes::ALL.into_iter().filter(|it| self.count(*it) == 0).collect()
    }

    /// Adds those of another life.
    pub fn add(&mut self, other: &Self) {
        for (sum, it) in self.0.iter_mut().zip(other.0) {
            *sum += it;
        }
    }

    pub(crate) fn note(&mut self, what: Sometimes) {
        if let Some(it) = self.0.get_mut(what as usize) {
            *it += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sometimes;

    #[test]
    fn every_counter_has_its_own_place() {
        assert!(Sometimes::ALL.iter().enumerate().all(|(at, it)| *it as usize == at));
    }
}
