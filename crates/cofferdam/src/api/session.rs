//! Who is signed in: nonces that count once, and sessions with an end.
//!
//! **Invariant:** a session is known by the hash of its cookie alone, begins with a sign-in and never before it, and
//! ends when it is not used, when its time is over, or when its person is gone from the plan. A nonce that is out costs no
//! memory, so that strangers who ask for many lock nobody out. Time and randomness are arguments.

use std::collections::BTreeMap;

use alloy_primitives::{B256, hex};
use cofferdam_core::Timestamp;
use ring::hmac;
use sha2::{Digest, Sha256};

/// How long a nonce counts, in milliseconds.
pub(crate) const NONCE_MS: u64 = 300_000;
/// Bytes of a nonce: when it was given, what makes it different, and the proof that it is ours.
const NONCE_BYTES: [usize; 3] = [8, 16, 16];
/// Nonces spent within the time that they count; only people of the plan spend any.
const SPENT_MAX: usize = 4_096;
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
pub(crate) struct Sessions {
    lasts: Lasts,
    /// Proves that a nonce is ours. Another run of the program has another.
    key: hmac::Key,
    spent: BTreeMap<String, Timestamp>,
    open: BTreeMap<B256, Session>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Sessions {
    pub(crate) fn new(lasts: Lasts, secret: &Entropy) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { lasts, key, spent: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// A nonce that counts from now on.
    pub(crate) fn nonce(&self, now: Timestamp, entropy: &Entropy) -> String {
        let [_, random, proof] = NONCE_BYTES;
        let mut out = now.0.to_be_bytes().to_vec();
        out.extend_from_slice(&entropy[..random]);
        let tag = hmac::sign(&self.key, &out);
        out.extend_from_slice(&tag.as_ref()[..proof]);
        hex::encode(out)
    }

    /// Whether `nonce` is ours, counts now and was not spent.
    pub(crate) fn counts(&self, now: Timestamp, nonce: &str) -> bool {
        let [time, random, proof] = NONCE_BYTES;
        let canonical = nonce.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let bytes = hex::decode(nonce).unwrap_or_default();
        if !canonical || bytes.len() != time + random + proof {
            return false;
        }
        let (told, tag) = bytes.split_at(time + random);
        let ours = hmac::sign(&self.key, told);
        let differ = ours.as_ref().iter().zip(tag).fold(0, |all, (a, b)| all | (a ^ b));
        let at = told.iter().take(time).fold(0u64, |all, it| all << 8 | u64::from(*it));
        let fresh = now.0 >= at && now.since_ms(Timestamp(at)) < NONCE_MS;
        std::hint::black_box(differ) == 0 && fresh && !self.spent.contains_key(nonce)
    }

    /// Spends a nonce: whether it counted until now, and does no more.
    pub(crate) fn spend(&mut self, now: Timestamp, nonce: &str) -> bool {
        self.spent.retain(|_, until| *until > now);
        if !self.counts(now, nonce) || self.spent.len() >= SPENT_MAX {
            return false;
        }
        self.spent.insert(nonce.to_owned(), now.plus_ms(NONCE_MS));
        true
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
        let mut it = Sessions::new(LASTS, &[7; 32]);
        let nonce = it.nonce(Timestamp(0), &[1; 32]);
        assert!(it.spend(Timestamp(1), &nonce));
        assert!(!it.spend(Timestamp(1), &nonce), "once");
        assert!(!it.counts(Timestamp(1), &nonce.to_uppercase()), "nor in other letters");
        let nonce = it.nonce(Timestamp(5), &[2; 32]);
        assert!(!it.counts(Timestamp(5 + NONCE_MS), &nonce), "too late");
        assert!(!it.counts(Timestamp(4), &nonce), "too early");
        let mut forged = nonce.clone().into_bytes();
        for at in 0..forged.len() {
            let was = forged[at];
            forged[at] = if was == b'0' { b'1' } else { b'0' };
            assert!(!it.counts(Timestamp(6), &String::from_utf8_lossy(&forged)), "{at}");
            forged[at] = was;
        }
        assert!(!Sessions::new(LASTS, &[8; 32]).counts(Timestamp(6), &nonce), "another program's");
        for bad in ["", "00000000", "zz", &nonce[1..]] {
            assert!(!it.counts(Timestamp(6), bad), "{bad}");
        }
        // However many are given out, the first still counts.
        for _ in 0..10_000u32 {
            it.nonce(Timestamp(6), &[3; 32]);
        }
        assert!(it.spend(Timestamp(7), &nonce));
    }

    #[test]
    fn a_session_ends_by_silence_by_age_and_by_hand() {
        let mut it = Sessions::new(LASTS, &[7; 32]);
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
        let mut it = Sessions::new(LASTS, &[7; 32]);
        let first = it.open(Timestamp(0), "alice", (&[0; 32], &[0; 32]));
        for n in 1..=SESSIONS_OF_ONE_MAX {
            let byte = u8::try_from(n).unwrap_or(255);
            it.open(Timestamp(1), "alice", (&[byte; 32], &[byte; 32]));
        }
        assert!(it.find(Timestamp(2), &first).is_none(), "the oldest went");
    }
}
