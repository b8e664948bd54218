//! Who is signed in: nonces that count once, and sessions with an end.
//!
//! **Invariant:** a session is known by the hash of its cookie alone, begins with a sign-in and never before it, and
//! ends when it is not used, when its time is over, or when its person is gone from the plan. Time and randomness are
//! arguments.

use std::collections::BTreeMap;

use alloy_primitives::{B256, hex};
use cofferdam_core::Timestamp;
use sha2::{Digest, Sha256};

/// How long a nonce counts, in milliseconds.
pub(crate) const NONCE_MS: u64 = 300_000;
/// Nonces that are out at a time.
const NONCES_MAX: usize = 1_024;
/// Sessions at a time, in all and of one person. The one that was not used longest goes.
const SESSIONS_MAX: usize = 1_000;
const SESSIONS_OF_ONE_MAX: usize = 8;

/// Fresh and secret bytes.
pub(crate) type Entropy = [u8; 32];

/// How long sessions last, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasts {
    /// Without use.
    pub(crate) idle_ms: u64,
    /// At most.
    pub(crate) whole_ms: u64,
}

/// A session.
#[derive(Clone)]
pub(crate) struct Session {
    /// Whose.
    pub(crate) person: String,
    /// What a change has to be sent with.
    pub(crate) csrf: String,
    /// When it ends at the latest.
    pub(crate) until: Timestamp,
    used: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("person", &self.person).finish_non_exhaustive()
    }
}

/// Nonces and sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    lasts: Lasts,
    nonces: BTreeMap<String, Timestamp>,
    open: BTreeMap<B256, Session>,
}

impl Sessions {
    pub(crate) fn new(lasts: Lasts) -> Self {
        Self { lasts, nonces: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// A nonce, or nothing while too many are out.
    pub(crate) fn nonce(&mut self, now: Timestamp, entropy: &Entropy) -> Option<String> {
        self.nonces.retain(|_, until| *until > now);
        if self.nonces.len() >= NONCES_MAX {
            return None;
        }
        let nonce = hex::encode(&entropy[..16]);
        self.nonces.insert(nonce.clone(), now.plus_ms(NONCE_MS));
        Some(nonce)
    }

    /// Whether `nonce` is out. It is not any more.
    pub(crate) fn spend(&mut self, now: Timestamp, nonce: &str) -> bool {
        self.nonces.remove(nonce).is_some_and(|until| until > now)
    }

    /// Opens a session and gives its cookie.
    pub(crate) fn open(
        &mut self,
        now: Timestamp,
        person: &str,
        (cookie, csrf): (&Entropy, &Entropy),
    ) -> String {
        let lasts = self.lasts;
        self.open.retain(|_, it| it.is_alive(now, lasts));
        while self.count(person) >= SESSIONS_OF_ONE_MAX {
            self.drop_oldest(|it| it.person == person);
        }
        while self.open.len() >= SESSIONS_MAX {
            self.drop_oldest(|_| true);
        }
        let cookie = hex::encode(cookie);
        let session = Session {
            person: person.to_owned(),
            csrf: hex::encode(csrf),
            until: now.plus_ms(lasts.whole_ms),
            used: now,
        };
        self.open.insert(key(&cookie), session);
        cookie
    }

    fn count(&self, person: &str) -> usize {
        self.open.values().filter(|it| it.person == person).count()
    }

    fn drop_oldest(&mut self, which: impl Fn(&Session) -> bool) {
        let oldest = self.open.iter().filter(|it| which(it.1)).min_by_key(|it| it.1.used);
        if let Some(key) = oldest.map(|it| *it.0) {
            self.open.remove(&key);
        }
    }

    /// The session of a cookie, which is in use now.
    pub(crate) fn find(&mut self, now: Timestamp, cookie: &str) -> Option<Session> {
        let key = key(cookie);
        let session = self.open.get_mut(&key)?;
        if !session.is_alive(now, self.lasts) {
            self.open.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Whether a cookie's session goes on. Asking is no use of it.
    pub(crate) fn goes_on(&self, now: Timestamp, cookie: &str) -> bool {
        self.open.get(&key(cookie)).is_some_and(|it| it.is_alive(now, self.lasts))
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, cookie: &str) {
        self.open.remove(&key(cookie));
    }
}

impl Session {
    fn is_alive(&self, now: Timestamp, lasts: Lasts) -> bool {
        now < self.until && now.since_ms(self.used) < lasts.idle_ms
    }
}

fn key(cookie: &str) -> B256 {
    B256::from_slice(&Sha256::digest(cookie))
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Timestamp;

    use super::{Lasts, NONCE_MS, SESSIONS_OF_ONE_MAX, Sessions};

    const LASTS: Lasts = Lasts { idle_ms: 100, whole_ms: 1_000 };

    #[test]
    fn a_nonce_counts_once_and_in_time() {
        let mut it = Sessions::new(LASTS);
        let nonce = it.nonce(Timestamp(0), &[1; 32]).unwrap_or_default();
        assert!(it.spend(Timestamp(1), &nonce));
        assert!(!it.spend(Timestamp(1), &nonce), "once");
        let nonce = it.nonce(Timestamp(0), &[2; 32]).unwrap_or_default();
        assert!(!it.spend(Timestamp(NONCE_MS), &nonce), "too late");
        assert!(!it.spend(Timestamp(1), "00000000"));
        let out = (0..2_000u32).filter_map(|n| {
            let mut entropy = [9; 32];
            entropy[..4].copy_from_slice(&n.to_be_bytes());
            it.nonce(Timestamp(NONCE_MS * 2), &entropy)
        });
        assert_eq!(out.count(), 1_024, "so many and no more");
    }

    #[test]
    fn a_session_ends_by_silence_by_age_and_by_hand() {
        let mut it = Sessions::new(LASTS);
        let one = it.open(Timestamp(0), "alice", (&[1; 32], &[2; 32]));
        assert!(it.find(Timestamp(90), &one).is_some_and(|it| it.person == "alice"));
        assert!(it.find(Timestamp(180), &one).is_some(), "it was used");
        assert!(it.goes_on(Timestamp(279), &one) && !it.goes_on(Timestamp(280), &one));
        assert!(it.find(Timestamp(280), &one).is_none(), "silent for too long");
        let two = it.open(Timestamp(0), "alice", (&[3; 32], &[4; 32]));
        for at in (0..1_000).step_by(50) {
            assert!(it.find(Timestamp(at), &two).is_some());
        }
        assert!(it.find(Timestamp(1_000), &two).is_none(), "too old, though in use");
        let three = it.open(Timestamp(0), "alice", (&[5; 32], &[6; 32]));
        it.close(&three);
        assert!(it.find(Timestamp(1), &three).is_none());
        assert!(!format!("{it:?}").contains(&three));
    }

    #[test]
    fn one_person_has_so_many_sessions() {
        let mut it = Sessions::new(LASTS);
        let first = it.open(Timestamp(0), "alice", (&[0; 32], &[0; 32]));
        for n in 1..=SESSIONS_OF_ONE_MAX {
            let byte = u8::try_from(n).unwrap_or(255);
            it.open(Timestamp(1), "alice", (&[byte; 32], &[byte; 32]));
        }
        assert!(it.find(Timestamp(2), &first).is_none(), "the oldest went");
    }
}
