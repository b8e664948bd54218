//! Checks of texts that could hold a secret or reach outside of the plan. A message never repeats
//! such a text: it ends up in terminals and CI logs.

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
    /// Whether the line must not be shown.
    pub(super) secret: bool,
}

/// Longest endpoint, in bytes.
const ENDPOINT_BYTES_MAX: usize = 2_048;
/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1_024;
/// Longest name of an environment variable, in bytes.
const VARIABLE_BYTES_MAX: usize = 128;
/// A path segment of so many letters and digits is an access key, not a route.
const KEY_CHARS_MIN: usize = 16;
/// As above for segments of letters alone.
const KEY_LETTERS_MIN: usize = 24;

const IN_ENV: &str = "put the URL into an environment variable and write `env:NAME`";

/// Checks an endpoint: a known scheme, a host, and nothing that gives access.
pub(super) fn endpoint(text: &str) -> Result<(), Fault> {
    let known = "`ws://`, `wss://`, `http://`, `https://`, `ipc:/path` or `env:NAME`";
    let odd = |it: char| it.is_whitespace() || it.is_control();
    if text.len() > ENDPOINT_BYTES_MAX || text.contains(odd) {
        return Err(hidden("an endpoint is one word of at most 2048 bytes", known));
    }
    if let Some(name) = text.strip_prefix("env:") {
        return variable(name);
    }
    if let Some(path) = text.strip_prefix("ipc:") {
        let message = "the path of the socket is missing";
        return if path.is_empty() {
            Err(shown(message, "e.g. `ipc:/run/node.ipc`"))
        } else {
            Ok(())
        };
    }
    let schemes = ["ws://", "wss://", "http://", "https://"];
    match schemes.iter().find_map(|it| text.strip_prefix(it)) {
        Some(rest) => url(rest),
        None => Err(hidden("this endpoint has no scheme that is known", known)),
    }
}

/// Checks what follows the scheme.
fn url(rest: &str) -> Result<(), Fault> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if authority.contains('@') {
        return Err(hidden("this URL holds a user name or password", IN_ENV));
    }
    if !is_authority(authority) {
        return Err(hidden("this URL has no proper host", "e.g. `https://node.example:8545`"));
    }
    if rest.contains(['?', '#', '%']) {
        return Err(hidden("this URL has a query, where access keys stand", IN_ENV));
    }
    if rest.split('/').any(is_key) {
        return Err(hidden("the path of this URL holds what looks like an access key", IN_ENV));
    }
    Ok(())
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let six = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._".contains(&it);
    let host = match six {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    host && port.is_none_or(|it| it.parse::<u16>().is_ok_and(|it| it > 0))
}

fn is_key(segment: &str) -> bool {
    let letters = segment.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let mixed = letters > 0 && digits > 0 && letters + digits >= KEY_CHARS_MIN;
    mixed || letters + digits >= KEY_LETTERS_MIN
}

/// Checks the name of an environment variable. A key pasted in its place is the usual accident.
pub(super) fn variable(text: &str) -> Result<(), Fault> {
    let hint = "name the variable, e.g. `RELAYER_KEY`; the plan holds no secret";
    let hex = text.strip_prefix("0x").unwrap_or(text);
    if hex.len() >= 32 && hex.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(hidden("this looks like a key, not like the name of a variable", hint));
    }
    let plain = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    let first = text.bytes().next().is_some_and(|it| !it.is_ascii_digit());
    if first && text.bytes().all(plain) && text.len() <= VARIABLE_BYTES_MAX {
        return Ok(());
    }
    Err(hidden("this is not the name of an environment variable", hint))
}

/// Checks a path inside of the plan's folder.
pub(super) fn relative_path(text: &str) -> Result<(), Fault> {
    let hint = "a path relative to the plan, with `/`, e.g. `authorisations/pause-vault`";
    let inside = |it: &str| !it.is_empty() && it != ".." && it != ".";
    let rest = text.strip_prefix("./").unwrap_or(text);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let odd = |it: char| it.is_control() || it == '\\' || it == ':';
    if text.len() <= PATH_BYTES_MAX && !text.contains(odd) && rest.split('/').all(inside) {
        return Ok(());
    }
    Err(shown("this path does not stay inside of the plan's folder", hint))
}

fn shown(message: &'static str, hint: &'static str) -> Fault {
    Fault { message, hint, secret: false }
}

fn hidden(message: &'static str, hint: &'static str) -> Fault {
    Fault { message, hint, secret: true }
}

#[cfg(test)]
mod tests {
    use super::{endpoint, relative_path, variable};

    #[test]
    fn plain_endpoints_pass() {
        for text in [
            "ws://127.0.0.1:8546",
            "wss://node.example/ws",
            "http://[::1]:8545",
            "https://eth.example.org/rpc/v1/mainnet",
            "https://ethereum-rpc.publicnode.com",
            "ipc:/var/lib/geth/geth.ipc",
            "env:NODE_URL",
        ] {
            assert_eq!(endpoint(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn endpoints_with_a_secret_are_refused_and_not_shown() {
        for text in [
            "https://user:hunter2@node.example",
            "https://token@node.example",
            "wss://mainnet.example.io/ws/v3/9aa3d95b3bc440fa88ea12eaa4456161",
            "https://eth.example.com/v2/AbCdEfGh1JkLmN0pQrStUvWxYz012345",
            "https://node.example/?apikey=x",
            "https://node.example/rpc?key",
            "https://node.example/#key",
            "https://node.example/%61",
            "https://node.example/abcdefghijklmnopqrstuvwxyz",
            "env:0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
        ] {
            assert!(endpoint(text).is_err_and(|it| it.secret), "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "",
            "node",
            "ftp://node.example",
            "https://",
            "https:///x",
            "https://node.example:0",
            "https://node.example:99999",
            "https://no de.example",
            "env:",
            "env:A B",
            "ipc:",
            "http://[::g]:1",
            "HTTPS://node.example",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_in_place_of_a_variable_is_refused_and_not_shown() {
        assert_eq!(variable("RELAYER_KEY"), Ok(()));
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        assert!(variable(key).is_err_and(|it| it.secret));
        assert!(variable("my key").is_err_and(|it| it.secret));
        assert!(variable("1A").is_err());
    }

    #[test]
    fn paths_stay_inside_of_the_plan() {
        for text in ["authorisations", "./keys/a.json", "a/b/", "a-b_c.d"] {
            assert_eq!(relative_path(text), Ok(()), "{text}");
        }
        for text in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "C:\\x", "a\0b", ".", "a/."] {
            assert!(relative_path(text).is_err(), "{text}");
        }
    }
}
