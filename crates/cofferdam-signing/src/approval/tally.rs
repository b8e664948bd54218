//! Counting: what the votes come to at a given time.
//!
//! **Invariant:** the count is a function of question, rules, votes and time; the order in which votes arrive does not
//! matter, only when they were given. A vote that does not count is told, not dropped.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use cofferdam_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Question, Rules, VOTES_MAX, Verdict, Vote};

/// What votes come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// More approvals are needed.
    Open {
        /// Places that nobody fills: `role` or `another person`.
        missing: Vec<String>,
    },
    /// Enough agree; vetoes are waited for until this time.
    Waiting {
        /// Milliseconds.
        until: Timestamp,
    },
    /// It may be done, since this time.
    Approved {
        /// Milliseconds.
        since: Timestamp,
    },
    /// Enough have refused.
    Denied,
    /// Somebody who may has vetoed.
    Vetoed,
    /// Time is over, and it was not approved.
    Expired,
}

/// A count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tally {
    /// The result.
    pub state: State,
    /// Who approves, by name.
    pub approving: BTreeSet<String>,
    /// Who refuses or vetoes, by name.
    pub refusing: BTreeSet<String>,
    /// Votes that do not count, each with its reason.
    pub refused: Vec<String>,
}

/// Counts the votes as of `now`.
pub fn tally(question: &Question, rules: &Rules, votes: &[Vote], now: Timestamp) -> Tally {
    let mut refused = Vec::new();
    let digest = match rules.check().and_then(|()| rules.digest().map_err(|it| it.to_string())) {
        Ok(it) => it,
        Err(why) => {
            let state = State::Open { missing: vec![format!("rules that can be followed: {why}")] };
            return Tally { state, approving: BTreeSet::new(), refusing: BTreeSet::new(), refused };
        }
    };
    let good = counted(question, rules, digest, votes, now, &mut refused);
    let mut moments: BTreeSet<u64> = good.iter().map(|it| it.at.0).collect();
    moments.extend(good.iter().map(|it| it.expires.0).filter(|it| *it <= now.0));
    moments.insert(now.0);
    let end = now.0.min(question.closes.0.saturating_sub(1));
    let mut reached: Option<u64> = None;
    let mut outcome = None;
    for moment in moments.into_iter().filter(|it| *it <= end) {
        // A window that ended before this moment has decided.
        if let Some(since) = reached.map(|it| it.saturating_add(rules.veto_window_ms))
            && since <= moment
            && since < question.closes.0
        {
            outcome = Some(State::Approved { since: Timestamp(since) });
            break;
        }
        let view = View::at(question, rules, &good, Timestamp(moment));
        if view.vetoed {
            outcome = Some(State::Vetoed);
            break;
        }
        if rules.denials_max > 0 && view.denying.len() >= rules.denials_max {
            outcome = Some(State::Denied);
            break;
        }
        reached = if view.missing.is_empty() { reached.or(Some(moment)) } else { None };
    }
    let view = View::at(question, rules, &good, Timestamp(end));
    let state = outcome.unwrap_or_else(|| {
        let due = reached.map(|it| it.saturating_add(rules.veto_window_ms));
        match due {
            Some(since) if since <= now.0 && since < question.closes.0 => {
                State::Approved { since: Timestamp(since) }
            }
            _ if now >= question.closes => State::Expired,
            Some(until) => State::Waiting { until: Timestamp(until) },
            None => State::Open { missing: view.missing.clone() },
        }
    });
    let names = |it: &BTreeSet<&str>| it.iter().map(|it| (*it).to_owned()).collect();
    Tally { state, approving: names(&view.approving), refusing: names(&view.denying), refused }
}

fn counted<'a>(
    question: &Question,
    rules: &Rules,
    digest: B256,
    votes: &'a [Vote],
    now: Timestamp,
    refused: &mut Vec<String>,
) -> Vec<&'a Vote> {
    if votes.len() > VOTES_MAX {
        refused.push(format!("there are {} votes, only {VOTES_MAX} were read", votes.len()));
    }
    let mut good = Vec::new();
    for vote in votes.iter().take(VOTES_MAX) {
        let checked = question.verify(rules, digest, vote);
        let in_time = if vote.at > now { Err("it is from the future") } else { Ok(()) };
        match checked.and(in_time) {
            Ok(()) => good.push(vote),
            Err(why) => refused.push(format!("{}: {why}", vote.voter)),
        }
    }
    good
}

/// What everybody says at one moment.
struct View<'a> {
    approving: BTreeSet<&'a str>,
    denying: BTreeSet<&'a str>,
    vetoed: bool,
    missing: Vec<String>,
}

impl<'a> View<'a> {
    fn at(question: &Question, rules: &'a Rules, votes: &[&Vote], now: Timestamp) -> Self {
        // The last word of each person; of two at once, the stricter.
        let mut last: BTreeMap<&str, (Timestamp, Verdict)> = BTreeMap::new();
        for vote in votes.iter().filter(|it| it.at <= now && it.expires > now) {
            let Some(person) = rules.person(vote.voter) else { continue };
            let word = (vote.at, vote.verdict);
            let entry = last.entry(&person.name).or_insert(word);
            *entry = (*entry).max(word);
        }
        let may_veto = |name: &str| rules.people.iter().any(|it| it.name == name && it.veto);
        let vetoed = last.iter().any(|(name, it)| it.1 == Verdict::Veto && may_veto(name));
        let of = |approves: bool| {
            let said = last.iter().filter(move |it| (it.1.1 == Verdict::Approve) == approves);
            said.map(|it| *it.0).collect::<BTreeSet<&str>>()
        };
        let mut approving = of(true);
        if rules.proposer_excluded {
            approving.retain(|it| question.proposer.as_deref() != Some(it));
        }
        let missing = missing(rules, &approving);
        Self { approving, denying: of(false), vetoed, missing }
    }
}

/// Places that the approving persons cannot fill, one person in one place: a maximum matching by augmenting paths.
fn missing(rules: &Rules, approving: &BTreeSet<&str>) -> Vec<String> {
    let places: Vec<&str> = rules
        .roles
        .iter()
        .flat_map(|it| std::iter::repeat_n(it.name.as_str(), it.quorum))
        .collect();
    let able: Vec<Vec<&str>> = places
        .iter()
        .map(|place| {
            let people = rules.people.iter().filter(|it| approving.contains(it.name.as_str()));
            let able = people.filter(|it| it.roles.iter().any(|role| role == place));
            able.map(|it| it.name.as_str()).collect()
        })
        .collect();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for (index, place) in places.iter().enumerate() {
        if !fill(index, &able, &mut taken, &mut BTreeSet::new()) {
            out.push((*place).to_owned());
        }
    }
    let short = rules.persons_min.saturating_sub(approving.len().max(taken.len() + out.len()));
    out.extend(std::iter::repeat_n("another person".to_owned(), short));
    out
}

fn fill<'a>(
    place: usize,
    able: &[Vec<&'a str>],
    taken: &mut BTreeMap<&'a str, usize>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    for person in able.get(place).map(Vec::as_slice).unwrap_or_default() {
        if !tried.insert(person) {
            continue;
        }
        let free = match taken.get(person).copied() {
            None => true,
            Some(other) => fill(other, able, taken, tried),
        };
        if free {
            taken.insert(person, place);
            return true;
        }
    }
    false
}

/// Everything needed to check a decision without us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Export {
    /// What was asked.
    pub question: Question,
    /// By which rules.
    pub rules: Rules,
    /// Every vote, those that do not count included.
    pub votes: Vec<Vote>,
    /// When it was counted, in milliseconds.
    pub at: Timestamp,
    /// What it came to.
    pub state: State,
}

/// Why an export is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Counting again gives another result.
    #[error("it claims {claimed:?}, its votes come to {counted:?}")]
    Count {
        /// What it claims.
        claimed: State,
        /// What its votes come to.
        counted: State,
    },
    /// The rules are others than the ones agreed on.
    #[error("its rules are not those that were agreed on")]
    Rules,
}

impl Export {
    /// Counts again. `agreed` is the digest of the rules as the reader knows them.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn verify(&self, agreed: B256) -> Result<Tally, ExportError> {
        if self.rules.digest().ok() != Some(agreed) {
            return Err(ExportError::Rules);
        }
        let counted = tally(&self.question, &self.rules, &self.votes, self.at);
        if counted.state != self.state {
            let (claimed, counted) = (self.state.clone(), counted.state);
            return Err(ExportError::Count { claimed, counted });
        }
        Ok(counted)
    }
}
