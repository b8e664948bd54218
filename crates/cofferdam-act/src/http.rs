//! One HTTP POST: bounded in time and size, without redirects.
//!
//! **Invariant:** no error holds a URL, a header or a body, because each may hold a key.

use std::{future::Future, time::Duration};

use crate::rpc::refusal::Redactor;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer read, in bytes; the rest is cut.
const ANSWER_BYTES_MAX: usize = 65_536;
/// Longest wait that a receiver may ask for, in seconds: an hour.
const RETRY_AFTER_SECS_MAX: u64 = 3_600;

/// A place to post to.
pub(crate) struct Http {
    client: reqwest::Client,
    url: reqwest::Url,
    redactor: Redactor,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// What `Retry-After` asks for, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
}

/// Why a place cannot be posted to. No variant holds its URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The plan must be corrected.
    #[error("url is not http://, https:// or env:<name>")]
    Shape,
    /// The operator must set the variable.
    #[error("environment variable {name} with the url is not set")]
    EnvMissing {
        /// Its name.
        name: String,
    },
    /// The machine's TLS set-up is broken.
    #[error("no http client can be made")]
    NoClient,
}

impl Http {
    /// Reads `url` as written in the plan: `env:NAME` is looked up.
    pub(crate) fn open(
        url: &str,
        env: crate::signer::Env<'_>,
        timeout: Duration,
    ) -> Result<Self, UrlError> {
        let url = match url.strip_prefix("env:") {
            Some(name) => {
                env(name).ok_or_else(|| UrlError::EnvMissing { name: name.to_owned() })?
            }
            None => url.to_owned(),
        };
        let url = url.trim();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(UrlError::Shape);
        }
        let redactor = Redactor::of(url);
        let url = reqwest::Url::parse(url).map_err(|_| UrlError::Shape)?;
        // With ring and another provider both linked, rustls does not choose by itself.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none());
        let client = builder.build().map_err(|_| UrlError::NoClient)?;
        Ok(Self { client, url, redactor })
    }

    /// With `path` appended to the URL's.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.url = self.below(path);
        self
    }

    /// With one more parameter in the query.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With one more word that must not get out.
    pub(crate) fn hiding(mut self, secret: &str) -> Self {
        self.redactor.add(secret);
        self
    }

    /// Posts `body`.
    pub(crate) fn post(
        &self,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> impl Future<Output = Result<Reply, &'static str>> + Send + 'static {
        self.send_to(reqwest::Method::POST, "", headers, body)
    }

    /// Sends `body` to the URL with `path` appended.
    pub(crate) fn send_to(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> impl Future<Output = Result<Reply, &'static str>> + Send + 'static {
        let mut request = self.client.request(method, self.below(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        async move {
            let mut answer = request.send().await.map_err(|it| kind(&it))?;
            let status = answer.status().as_u16();
            let after = answer.headers().get("retry-after").and_then(|it| it.to_str().ok());
            let after = after.and_then(|it| it.trim().parse::<u64>().ok());
            let retry_after_ms = after.map(|it| it.min(RETRY_AFTER_SECS_MAX) * 1_000);
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|it| kind(&it))? {
                let room = ANSWER_BYTES_MAX - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() >= ANSWER_BYTES_MAX {
                    break;
                }
            }
            Ok(Reply { status, body, retry_after_ms })
        }
    }

    /// `text` without what the URL holds, cut and printable.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.redactor.clean(text)
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    fn below(&self, path: &str) -> reqwest::Url {
        let mut url = self.url.clone();
        if !path.is_empty() {
            // What is percent-encoded stays so.
            let whole = format!("{}{path}", url.path().trim_end_matches('/'));
            url.set_path(&whole);
        }
        url
    }
}

fn kind(error: &reqwest::Error) -> &'static str {
    match () {
        () if error.is_timeout() => "no answer in time",
        () if error.is_connect() => "no connection",
        () if error.is_body() || error.is_decode() => "answer broke off",
        () => "connection failed",
    }
}
