//! The endpoints of one chain: asked with a hedge, told all at once.
//!
//! **Invariant:** no endpoint delays another. A question goes to the next one as soon as the first is
//! slow; a transaction goes to all at once, each in a task of its own that outlives the answer of the
//! first.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::primitives::{B256, Bytes};
use cofferdam_core::ports::{BroadcastError, Broadcaster, Inclusion, Offer, PrivateRelay};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::tally::{EndpointStatus, Tallies, words};

/// Longest wait for an answer to a transaction.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for an answer to a question.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// After so long the next endpoint is asked too.
const HEDGE: Duration = Duration::from_millis(150);
/// How long the others may still answer after one did.
const GRACE: Duration = Duration::from_millis(250);

/// Who is told of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Nodes and builders.
    Everybody,
    /// Builders alone.
    Builders,
}

/// What all of them said in one, best first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Accepted,
    NonceTooLow,
    Underpriced,
    Broke,
    Refused(String),
    Unknown(String),
}

/// The endpoints.
pub(super) struct Reach {
    pub(super) networks: Vec<Arc<dyn Broadcaster>>,
    pub(super) relays: Vec<Arc<dyn PrivateRelay>>,
    tallies: Arc<Tallies>,
}

impl Reach {
    pub(super) fn new(networks: Vec<Arc<dyn Broadcaster>>) -> Self {
        let tallies = Arc::new(Tallies::default());
        (0..networks.len()).for_each(|it| tallies.add(format!("network {it}"), false));
        Self { networks, relays: Vec::new(), tallies }
    }

    pub(super) fn add_relays(&mut self, relays: Vec<Arc<dyn PrivateRelay>>) {
        relays.iter().for_each(|it| self.tallies.add(it.name().to_owned(), true));
        self.relays.extend(relays);
    }

    pub(super) fn statuses(&self) -> Vec<EndpointStatus> {
        self.tallies.all()
    }

    /// Asks the networks in their order, the next one when the one before is slow or failed; the first
    /// answer that is not `again` decides.
    pub(super) async fn first<'a, T, E, F>(
        &'a self,
        ask: impl Fn(&'a Arc<dyn Broadcaster>) -> F,
        again: impl Fn(&E) -> bool,
        late: impl Fn() -> E,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + 'a,
    {
        let mut rest = self.networks.iter();
        let mut asked = FuturesUnordered::new();
        let mut failure = late();
        loop {
            if let Some(network) = rest.next() {
                let asking = ask(network);
                asked.push(async { tokio::time::timeout(ASK_TIMEOUT, asking).await });
            } else if asked.is_empty() {
                return Err(failure);
            }
            let patience = if rest.len() > 0 { HEDGE } else { ASK_TIMEOUT };
            let Ok(answer) = tokio::time::timeout(patience, asked.next()).await else { continue };
            match answer.map(|it| it.unwrap_or_else(|_| Err(late()))) {
                Some(Err(error)) if again(&error) => failure = error,
                Some(decided) => return decided,
                None => {}
            }
        }
    }

    /// Asks every network at once. Ends when all answered, when `enough` says so, or a moment after
    /// the first answer. Answers are in the order of the networks; those that are late are errors.
    pub(super) async fn all<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Arc<dyn Broadcaster>) -> F,
        enough: impl Fn(&[Result<T, BroadcastError>]) -> bool,
    ) -> Vec<Result<T, BroadcastError>>
    where
        F: Future<Output = Result<T, BroadcastError>> + 'a,
    {
        let late = || Err(unavailable("no answer in time"));
        let mut answers: Vec<_> = self.networks.iter().map(|_| late()).collect();
        let numbered = |(index, network)| {
            let asking = ask(network);
            async move { (index, asking.await) }
        };
        let mut asked: FuturesUnordered<_> =
            self.networks.iter().enumerate().map(numbered).collect();
        let mut until = tokio::time::Instant::now() + ASK_TIMEOUT;
        while let Ok(Some((index, answer))) = tokio::time::timeout_at(until, asked.next()).await {
            if answer.is_ok() {
                until = until.min(tokio::time::Instant::now() + GRACE);
            }
            if let Some(it) = answers.get_mut(index) {
                *it = answer;
            }
            if enough(&answers) {
                break;
            }
        }
        answers
    }

    /// The inclusion of any of `hashes`, from any network.
    ///
    /// # Errors
    /// The last failure, if no network answered.
    pub(super) async fn inclusion(
        &self,
        hashes: &[B256],
    ) -> Result<Option<(B256, Inclusion)>, BroadcastError> {
        type Found = Option<(B256, Inclusion)>;
        let found =
            |it: &[Result<Found, BroadcastError>]| it.iter().any(|it| matches!(it, Ok(Some(_))));
        let answers = self.all(|network| look(network, hashes), found).await;
        let mut told = Err(unavailable("there is no network"));
        for answer in answers {
            match answer {
                Ok(Some(it)) => return Ok(Some(it)),
                Ok(None) => told = Ok(None),
                Err(error) if told.is_err() => told = Err(error),
                Err(_) => {}
            }
        }
        told
    }

    /// Tells everybody on the route at once and returns with the first yes of a network; the others go
    /// on. A builder's yes only means that it listens: it counts if no network says otherwise.
    pub(super) async fn fan_out(&self, raw: &Bytes, route: Route, next_block: u64) -> Verdict {
        let (tell, mut answers) =
            tokio::sync::mpsc::channel(self.networks.len() + self.relays.len() + 1);
        if route == Route::Everybody {
            for (index, network) in self.networks.iter().enumerate() {
                let (network, raw) = (Arc::clone(network), raw.clone());
                let sending = async move { network.send(raw).await.map(drop) };
                self.hand(index, sending, false, &tell);
            }
        }
        let offer = Offer {
            raw: raw.clone(),
            first_block: next_block,
            last_block: next_block + super::OFFER_BLOCKS - 1,
        };
        for (index, relay) in self.relays.iter().enumerate() {
            let (relay, offer) = (Arc::clone(relay), offer.clone());
            let sending = async move { relay.offer(&offer).await };
            self.hand(self.networks.len() + index, sending, true, &tell);
        }
        drop(tell);
        judge(&mut answers, route).await
    }

    fn hand(
        &self,
        index: usize,
        sending: impl Future<Output = Result<(), BroadcastError>> + Send + 'static,
        private: bool,
        tell: &tokio::sync::mpsc::Sender<(bool, Verdict)>,
    ) {
        let (tallies, tell) = (Arc::clone(&self.tallies), tell.clone());
        tokio::spawn(async move {
            let start = Instant::now();
            let late = |_| unavailable("no answer in time");
            let answer = tokio::time::timeout(SEND_TIMEOUT, sending).await.map_err(late);
            let answer = answer.and_then(|it| it);
            let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            tallies.note(index, took, &answer);
            // Nobody listens any more once another one took it.
            let _ = tell.send((private, verdict(answer))).await;
        });
    }
}

async fn judge(
    answers: &mut tokio::sync::mpsc::Receiver<(bool, Verdict)>,
    route: Route,
) -> Verdict {
    let (mut worst, mut heard): (Option<Verdict>, bool) = (None, false);
    loop {
        let decided = heard || worst.as_ref().is_some_and(|it| !matches!(it, Verdict::Unknown(_)));
        let patience = if decided { GRACE } else { SEND_TIMEOUT * 2 };
        match tokio::time::timeout(patience, answers.recv()).await {
            Ok(Some((private, Verdict::Accepted))) => {
                if !private || route == Route::Builders {
                    return Verdict::Accepted;
                }
                heard = true;
            }
            // What a builder dislikes is no verdict while the public may still have it.
            Ok(Some((true, answer))) if route == Route::Everybody => drop(answer),
            Ok(Some((_, answer))) => {
                worst = Some(match worst {
                    Some(it) => it.min(answer),
                    None => answer,
                });
            }
            Ok(None) | Err(_) => {
                return match worst {
                    Some(Verdict::Unknown(_)) | None if heard => Verdict::Accepted,
                    Some(it) => it,
                    None => Verdict::Unknown("nobody answered".into()),
                };
            }
        }
    }
}

async fn look(
    network: &Arc<dyn Broadcaster>,
    hashes: &[B256],
) -> Result<Option<(B256, Inclusion)>, BroadcastError> {
    for hash in hashes.iter().rev() {
        if let Some(inclusion) = network.inclusion(*hash).await? {
            return Ok(Some((*hash, inclusion)));
        }
    }
    Ok(None)
}

fn verdict(answer: Result<(), BroadcastError>) -> Verdict {
    match answer {
        Ok(()) | Err(BroadcastError::AlreadyKnown) => Verdict::Accepted,
        Err(BroadcastError::NonceTooLow) => Verdict::NonceTooLow,
        Err(BroadcastError::Underpriced) => Verdict::Underpriced,
        Err(BroadcastError::InsufficientFunds) => Verdict::Broke,
        Err(error @ BroadcastError::Unavailable(_)) => Verdict::Unknown(words(&error)),
        Err(error) => Verdict::Refused(error.to_string()),
    }
}

pub(super) fn unavailable(why: &'static str) -> BroadcastError {
    BroadcastError::Unavailable(why.into())
}
