//! EIP-4361 messages: logging in with a wallet.
//!
//! **Invariant:** a message is accepted only in the form that writing it again gives, byte for byte; whoever signs one for
//! another site, another chain, another nonce or another time is nobody here.

use std::fmt::Write as _;

use alloy_primitives::{Address, Signature, eip191_hash_message};
use cofferdam_core::{ChainId, Timestamp};

use crate::time;

/// Longest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 8_192;
/// Shortest nonce, in characters (EIP-4361).
const NONCE_MIN: usize = 8;
/// Most resources.
const RESOURCES_MAX: usize = 32;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Scheme of the origin, if stated.
    pub scheme: Option<String>,
    /// Who asks: host and port.
    pub domain: String,
    /// Who signs.
    pub address: Address,
    /// What is stated, one line.
    pub statement: Option<String>,
    /// What it is for.
    pub uri: String,
    /// The chain of the account.
    pub chain: ChainId,
    /// Against repetition.
    pub nonce: String,
    /// When it was written, as text of RFC 3339.
    pub issued_at: String,
    /// When it ends.
    pub expiration_time: Option<String>,
    /// When it begins.
    pub not_before: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// URIs it is about.
    pub resources: Option<Vec<String>>,
}

/// What a message must say to be accepted.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Our host and port.
    pub domain: &'a str,
    /// Our URI.
    pub uri: &'a str,
    /// Our chain.
    pub chain: ChainId,
    /// The nonce we gave out, which the caller must not accept twice.
    pub nonce: &'a str,
    /// The time.
    pub now: Timestamp,
    /// How old a message may be, in milliseconds.
    pub age_max_ms: u64,
}

/// Why a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiweError {
    /// The text is no such message.
    #[error("it is no EIP-4361 message: {0}")]
    Grammar(&'static str),
    /// A part says something else than it must.
    #[error("its {0} is another one")]
    Other(&'static str),
    /// It is too early, too late or too old.
    #[error("it {0}")]
    Time(&'static str),
    /// It was not signed by the account it names.
    #[error("it was not signed by the account it names")]
    Signature,
}

const ASKS: &str = " wants you to sign in with your Ethereum account:";

/// Scheme, if there is one, and domain.
fn origin(text: &str) -> (Option<String>, String) {
    match text.split_once("://") {
        Some((scheme, domain)) => (Some(scheme.to_owned()), domain.to_owned()),
        None => (None, text.to_owned()),
    }
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`SiweError::Grammar`].
    pub fn parse(text: &str) -> Result<Self, SiweError> {
        let bad = SiweError::Grammar;
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        let mut lines = text.split('\n').peekable();
        let first = lines.next().and_then(|it| it.strip_suffix(ASKS));
        let (scheme, domain) = origin(first.ok_or(bad("its first line is another one"))?);
        let address = lines.next().unwrap_or_default();
        let address = Address::parse_checksummed(address, None)
            .map_err(|_| bad("its account has no right checksum"))?;
        if lines.next() != Some("") {
            return Err(bad("an empty line is missing"));
        }
        let statement = match lines.next() {
            Some("") => None,
            Some(it) if lines.next() == Some("") => Some(it.to_owned()),
            _ => return Err(bad("an empty line is missing")),
        };
        let mut field = |name: &str| {
            let value = lines.peek().and_then(|it| it.strip_prefix(name)).map(str::to_owned);
            if value.is_some() {
                lines.next();
            }
            value
        };
        let uri = field("URI: ").ok_or(bad("its URI is missing"))?;
        if field("Version: ").as_deref() != Some("1") {
            return Err(bad("its version is not 1"));
        }
        let chain = field("Chain ID: ").and_then(|it| it.parse().ok());
        let chain = ChainId(chain.ok_or(bad("its chain id is missing"))?);
        let nonce = field("Nonce: ").ok_or(bad("its nonce is missing"))?;
        let issued_at = field("Issued At: ").ok_or(bad("its time is missing"))?;
        let expiration_time = field("Expiration Time: ");
        let not_before = field("Not Before: ");
        let request_id = field("Request ID: ");
        let resources = field("Resources:").map(|it| (it, Vec::new()));
        let resources = match resources {
            None => None,
            Some((rest, _)) if !rest.is_empty() => return Err(bad("its resources are malformed")),
            Some((_, mut list)) => {
                for line in lines.by_ref().take(RESOURCES_MAX) {
                    let it = line.strip_prefix("- ").ok_or(bad("its resources are malformed"))?;
                    list.push(it.to_owned());
                }
                Some(list)
            }
        };
        let message = Self {
            scheme,
            domain,
            address,
            statement,
            uri,
            chain,
            nonce,
            issued_at,
            expiration_time,
            not_before,
            request_id,
            resources,
        };
        message.check()?;
        if message.text() != text {
            return Err(bad("it is not written as the standard says"));
        }
        Ok(message)
    }

    fn check(&self) -> Result<(), SiweError> {
        let bad = SiweError::Grammar;
        let of_domain = |it: u8| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it);
        if self.domain.is_empty() || !self.domain.bytes().all(of_domain) {
            return Err(bad("its domain is none"));
        }
        let alphanumeric = self.nonce.bytes().all(|it| it.is_ascii_alphanumeric());
        if self.nonce.len() < NONCE_MIN || !alphanumeric {
            return Err(bad("its nonce is shorter than 8 letters and digits"));
        }
        let graphic = |it: &String| !it.is_empty() && it.bytes().all(|it| it.is_ascii_graphic());
        let mut uris = std::iter::once(&self.uri).chain(self.resources.iter().flatten());
        if !uris.all(|it| graphic(it) && it.contains(':')) {
            return Err(bad("a URI is none"));
        }
        let printable = |it: &String| it.bytes().all(|it| it.is_ascii_graphic() || it == b' ');
        if !self.statement.iter().chain(&self.request_id).all(printable) {
            return Err(bad("its text holds characters that it must not"));
        }
        let times =
            [Some(&self.issued_at), self.expiration_time.as_ref(), self.not_before.as_ref()];
        if times.into_iter().flatten().any(|it| time::parse(it).is_none()) {
            return Err(bad("a time is none of RFC 3339"));
        }
        Ok(())
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        let scheme = self.scheme.as_ref().map(|it| format!("{it}://")).unwrap_or_default();
        let mut out = format!("{scheme}{}{ASKS}\n{}\n\n", self.domain, self.address);
        if let Some(it) = &self.statement {
            let _ = writeln!(out, "{it}");
        }
        let _ = write!(
            out,
            "\nURI: {}\nVersion: 1\nChain ID: {}\nNonce: {}\nIssued At: {}",
            self.uri, self.chain.0, self.nonce, self.issued_at
        );
        let optional = [
            ("Expiration Time", &self.expiration_time),
            ("Not Before", &self.not_before),
            ("Request ID", &self.request_id),
        ];
        for (name, value) in optional {
            if let Some(it) = value {
                let _ = write!(out, "\n{name}: {it}");
            }
        }
        if let Some(list) = &self.resources {
            out.push_str("\nResources:");
            list.iter().for_each(|it| {
                let _ = write!(out, "\n- {it}");
            });
        }
        out
    }

    /// Checks what it says, its time, and that the account it names has signed it with a key.
    ///
    /// # Errors
    /// [`SiweError`].
    pub fn verify(&self, signature: &Signature, expected: &Expected<'_>) -> Result<(), SiweError> {
        let parts = [
            ("domain", self.domain == expected.domain),
            ("URI", self.uri == expected.uri),
            ("chain", self.chain == expected.chain),
            ("nonce", self.nonce == expected.nonce),
        ];
        if let Some((name, _)) = parts.into_iter().find(|it| !it.1) {
            return Err(SiweError::Other(name));
        }
        let now = expected.now;
        let at =
            |it: &String| time::parse(it).ok_or(SiweError::Grammar("a time is none of RFC 3339"));
        let issued = at(&self.issued_at)?;
        // A minute for clocks that differ.
        if issued.0 > now.0.saturating_add(60_000) {
            return Err(SiweError::Time("was written in the future"));
        }
        if now.0.saturating_sub(issued.0) > expected.age_max_ms {
            return Err(SiweError::Time("is too old"));
        }
        if let Some(it) = &self.expiration_time
            && now >= at(it)?
        {
            return Err(SiweError::Time("has expired"));
        }
        if let Some(it) = &self.not_before
            && now < at(it)?
        {
            return Err(SiweError::Time("does not count yet"));
        }
        let hash = eip191_hash_message(self.text());
        let signer = signature.recover_address_from_prehash(&hash);
        let low = signature.normalize_s().is_none();
        if signer.ok() == Some(self.address) && low { Ok(()) } else { Err(SiweError::Signature) }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Signature, eip191_hash_message};
    use cofferdam_core::{ChainId, Timestamp};
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::{Expected, Message, SiweError};

    fn message() -> Message {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        Message {
            scheme: None,
            domain: "cofferdam.example:8443".into(),
            address: Address::from_public_key(key.verifying_key()),
            statement: Some("Open the war room.".into()),
            uri: "https://cofferdam.example:8443/login".into(),
            chain: ChainId(1),
            nonce: "32891756".into(),
            issued_at: "2026-09-21T13:20:00Z".into(),
            expiration_time: Some("2026-09-21T13:30:00Z".into()),
            not_before: None,
            request_id: None,
            resources: Some(vec!["https://cofferdam.example/incidents/1".into()]),
        }
    }

    fn sign(text: &str) -> Signature {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let hash = eip191_hash_message(text);
        let (signature, parity) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        Signature::from_signature_and_parity(signature, parity.is_y_odd())
    }

    fn expected() -> Expected<'static> {
        Expected {
            domain: "cofferdam.example:8443",
            uri: "https://cofferdam.example:8443/login",
            chain: ChainId(1),
            nonce: "32891756",
            now: Timestamp::from_secs(1_789_997_000),
            age_max_ms: 600_000,
        }
    }

    #[test]
    fn a_message_is_read_as_written_and_verified() {
        let variants = [
            message(),
            Message { statement: None, ..message() },
            Message { scheme: Some("https".into()), resources: None, ..message() },
            Message { request_id: Some("r 1".into()), resources: Some(Vec::new()), ..message() },
        ];
        for it in variants {
            let read = Message::parse(&it.text()).unwrap();
            assert_eq!(read, it);
            assert_eq!(read.verify(&sign(&it.text()), &expected()), Ok(()));
        }
    }

    #[test]
    fn what_was_signed_for_somebody_else_or_another_time_is_refused() {
        let good = message();
        let signature = sign(&good.text());
        let refused = |change: fn(&mut Expected<'_>)| {
            let mut it = expected();
            change(&mut it);
            good.verify(&signature, &it)
        };
        assert_eq!(refused(|it| it.domain = "evil.example"), Err(SiweError::Other("domain")));
        assert_eq!(refused(|it| it.uri = "https://evil.example"), Err(SiweError::Other("URI")));
        assert_eq!(refused(|it| it.chain = ChainId(10)), Err(SiweError::Other("chain")));
        assert_eq!(refused(|it| it.nonce = "12345678"), Err(SiweError::Other("nonce")));
        assert!(matches!(refused(|it| it.now.0 += 600_000), Err(SiweError::Time(_))));
        assert!(matches!(refused(|it| it.now.0 -= 600_000), Err(SiweError::Time(_))));
        let other = Message { address: Address::repeat_byte(1), ..message() };
        assert_eq!(other.verify(&sign(&other.text()), &expected()), Err(SiweError::Signature));
    }

    #[test]
    fn texts_that_differ_in_a_byte_from_the_standard_are_refused() {
        let text = message().text();
        let address = message().address.to_string();
        for (from, to) in [
            (" wants you", " Wants you"),
            (address.as_str(), &address.to_lowercase()),
            ("Version: 1", "Version: 2"),
            ("Chain ID: 1", "Chain ID: 01"),
            ("Nonce: 32891756", "Nonce: 3289"),
            ("Nonce: 32891756", "Nonce: 32891756!"),
            ("13:20:00Z", "25:20:00Z"),
            ("\n\nURI", "\nURI"),
            ("URI: https", "URI:  https"),
            ("war room.", "war\troom."),
            ("Resources:\n", "Resources: \n"),
        ] {
            assert!(text.contains(from), "{from}");
            let changed = text.replacen(from, to, 1);
            assert!(Message::parse(&changed).is_err(), "{from} → {to}");
        }
        assert!(Message::parse(&format!("{text}\n")).is_err());
        assert!(Message::parse(&text.replace('\n', "\r\n")).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,200}") {
            let _ = Message::parse(&text);
        }
    }
}
