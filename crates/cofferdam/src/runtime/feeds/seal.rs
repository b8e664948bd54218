//! Whether a message comes from who shares the secret.
//!
//! **Invariant:** nothing of a message is looked at before its seal was found good, and every
//! comparison with something secret takes the same time wherever they differ.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cofferdam_core::{Timestamp, plan::Signed, secret::Secret};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// Least length of a secret, in bytes (Standard Webhooks: 24 to 64).
const SECRET_BYTES_MIN: usize = 24;
/// How far the clock of a sender may be off (Standard Webhooks recommends five minutes).
const CLOCK_OFF_MAX_SECS: u64 = 300;
/// Signatures in one header; a sender that rotates its secret sends two.
const SIGNATURES_MAX: usize = 8;

/// A shared secret and how it is used.
#[derive(Debug)]
pub struct Seal {
    signed: Signed,
    secret: Secret,
}

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is none.
    #[error("its secret is not set")]
    Missing,
    /// It could be guessed, or is not what its prefix says.
    #[error("its secret is shorter than {SECRET_BYTES_MIN} bytes or not proper base64")]
    Weak,
}

impl Seal {
    /// # Errors
    /// [`SealError`] if the secret is absent or weak.
    pub fn new(signed: Signed, secret: Option<Secret>) -> Result<Self, SealError> {
        let secret = secret.ok_or(SealError::Missing)?;
        let secret = match (&signed, secret.expose().strip_prefix(b"whsec_")) {
            (Signed::Standard, Some(coded)) => {
                Secret::new(STANDARD.decode(coded).map_err(|_| SealError::Weak)?)
            }
            _ => secret,
        };
        match secret.expose().len() >= SECRET_BYTES_MIN {
            true => Ok(Self { signed, secret }),
            false => Err(SealError::Weak),
        }
    }

    /// Whether `body` was sealed with our secret; `header` finds a header by its name in lower case.
    pub fn holds<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Timestamp,
    ) -> bool {
        match &self.signed {
            Signed::Standard => self.standard(header, body, now).is_some(),
            Signed::HmacSha256 { header: name } => {
                let told = header(&name.to_ascii_lowercase()).unwrap_or_default();
                let hex = told.strip_prefix("sha256=").unwrap_or(told);
                let tag = alloy_primitives::hex::decode(hex).unwrap_or_default();
                self.is_tag(&[body], &tag)
            }
            Signed::Token { header: name } => {
                let told = header(&name.to_ascii_lowercase()).unwrap_or_default();
                let told = told.strip_prefix("Bearer ").unwrap_or(told);
                // Of equal length and unpredictable: where they differ tells nothing.
                Sha256::digest(told) == Sha256::digest(self.secret.expose())
            }
        }
    }

    fn standard<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Timestamp,
    ) -> Option<()> {
        let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
        let sent = time.parse::<u64>().ok()?;
        if (now.0 / 1_000).abs_diff(sent) > CLOCK_OFF_MAX_SECS {
            return None;
        }
        let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
        let told = header("webhook-signature")?.split(' ').take(SIGNATURES_MAX);
        let mut tags = told.filter_map(|it| STANDARD.decode(it.strip_prefix("v1,")?).ok());
        tags.any(|tag| self.is_tag(&parts, &tag)).then_some(())
    }

    fn is_tag(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.expose()) else {
            return false;
        };
        parts.iter().for_each(|it| mac.update(it));
        mac.verify_slice(tag).is_ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use cofferdam_act::notify::signature;
    use cofferdam_core::{Timestamp, plan::Signed, secret::Secret};

    use super::{Seal, SealError};

    const SECRET: &str = "a secret of more than 24 bytes";
    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn seal(signed: Signed) -> Seal {
        Seal::new(signed, Some(Secret::new(SECRET))).unwrap()
    }

    #[test]
    fn our_own_signature_is_taken_and_nothing_else() {
        let (seal, body) = (seal(Signed::Standard), b"{}".as_slice());
        let good = signature(&Secret::new(SECRET), "one", NOW.0 / 1_000, body);
        let holds = |id: &str, time: u64, told: &str, body: &[u8], now| {
            let time = time.to_string();
            let header = |it: &str| match it {
                "webhook-id" => Some(id),
                "webhook-timestamp" => Some(time.as_str()),
                "webhook-signature" => Some(told),
                _ => None,
            };
            seal.holds(header, body, now)
        };
        let at = NOW.0 / 1_000;
        assert!(holds("one", at, &good, body, NOW));
        assert!(holds("one", at, &format!("v1,AAAA {good}"), body, NOW), "a rotated secret");
        assert!(!holds("two", at, &good, body, NOW));
        assert!(!holds("one", at + 1, &good, body, NOW));
        assert!(!holds("one", at, &good, b"{ }", NOW));
        assert!(!holds("one", at, "v1,", body, NOW));
        assert!(!holds("one", at, &good, body, Timestamp(NOW.0 + 301_000)), "replayed later");
    }

    #[test]
    fn a_plain_hmac_and_a_token_are_taken() {
        let hmac = seal(Signed::HmacSha256 { header: "X-Hub-Signature-256".into() });
        // python3: hmac.new(secret, b'{}', 'sha256').hexdigest()
        let good = "sha256=66fc351fc60985d76cbe9df7b08b17939e6945b36325701bcb95a241cdfaf018";
        let told =
            |it: &'static str| move |name: &str| (name == "x-hub-signature-256").then_some(it);
        assert!(hmac.holds(told(good), b"{}", NOW));
        assert!(!hmac.holds(told("sha256="), b"{}", NOW));
        assert!(!hmac.holds(|_| None, b"{}", NOW));
        let token = seal(Signed::Token { header: "Authorization".into() });
        let bearer = format!("Bearer {SECRET}");
        assert!(token.holds(|it| (it == "authorization").then_some(bearer.as_str()), b"", NOW));
        assert!(!token.holds(|it| (it == "authorization").then_some("Bearer x"), b"", NOW));
        assert!(!token.holds(|_| None, b"", NOW));
    }

    #[test]
    fn a_weak_secret_is_refused() {
        let short = Seal::new(Signed::Standard, Some(Secret::new("short")));
        assert!(matches!(short, Err(SealError::Weak)));
        assert!(matches!(Seal::new(Signed::Standard, None), Err(SealError::Missing)));
    }
}
