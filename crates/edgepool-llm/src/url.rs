//! Addresses of requests: a path goes below the base, and nothing leaves its origin.
//!
//! What WHATWG's URL standard would repair (backslashes, blanks, names in other scripts, numbers in
//! other notations for hosts) is refused here: an address that two parsers read differently is one
//! that a key may leave by.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not taken. It does not repeat it, as it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It is not an `http` or `https` URL.
    Scheme,
    /// It has a user or a password.
    UserInfo,
    /// Its host is missing, or not a plain name or address.
    Host,
    /// Its port is not a number up to 65,535.
    Port,
    /// A base has a query or a fragment.
    Extra,
    /// A character stands in it that must be percent-encoded, or a backslash.
    Character,
    /// Its path has a segment `.` or `..`.
    Dots,
    /// It is longer than [`MAX_URL`].
    Long,
    /// It is of another origin than the base.
    Origin {
        /// Where it goes.
        theirs: String,
        /// Where it may go.
        base: String,
    },
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "it takes an http or https URL",
            Self::UserInfo => "it takes a URL without a user or password",
            Self::Host => "its host must be a name in ASCII, or an address",
            Self::Port => "its port must be a number from 0 to 65535",
            Self::Extra => "it takes a URL without a query or fragment",
            Self::Character => "it has a character that must be percent-encoded",
            Self::Dots => "its path must not have the segments . or ..",
            Self::Long => "it is too long",
            Self::Origin { theirs, base } => {
                return write!(f, "{theirs} is not the provider's origin, {base}");
            }
        })
    }
}

impl core::error::Error for UrlError {}

/// The longest address, in bytes.
pub const MAX_URL: usize = 8_192;

/// The base of a provider's addresses, in canonical form: scheme and host in lower case, no default
/// port, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUrl {
    origin: String,
    path: String,
}

impl BaseUrl {
    /// Reads an `http` or `https` URL without user, password, query and fragment.
    ///
    /// # Errors
    ///
    /// Tells what is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (origin, rest) = split_origin(text)?;
        if rest.contains(['?', '#']) {
            return Err(UrlError::Extra);
        }
        check_path(rest)?;
        Ok(Self { origin, path: rest.trim_end_matches('/').to_owned() })
    }

    /// Returns scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the path that other paths go below; empty, or it begins with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the host, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.origin.split_once("://").map_or("", |(_, host)| host);
        let end = host.rfind(':').filter(|at| !host[*at..].contains(']'));
        &host[..end.unwrap_or(host.len())]
    }

    /// Tells whether it is on this machine or its own network: a loopback or private address,
    /// `localhost`, a name that ends with `.localhost`, `.local` or `.internal`, or one without a
    /// dot.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(IpAddr::V4(v4)) => is_local_v4(v4),
            Ok(IpAddr::V6(v6)) => is_local_v6(v6),
            Err(_) => {
                let ends = [".localhost", ".local", ".internal"];
                !host.contains('.') || ends.iter().any(|end| host.ends_with(end))
            }
        }
    }

    /// Finds the address for a request. A path goes below the base, with one `/v1` where both have
    /// it; an absolute URL must be of its origin, as a key must not go anywhere else. A fragment is
    /// left out.
    ///
    /// # Errors
    ///
    /// Tells what is wrong with it, or which origin it has.
    pub fn join(&self, input: &str) -> Result<String, UrlError> {
        if input.len() > MAX_URL {
            return Err(UrlError::Long);
        }
        if !input.starts_with('/') && has_scheme(input) {
            let (origin, rest) = split_origin(input)?;
            if origin != self.origin {
                return Err(UrlError::Origin { theirs: origin, base: self.origin.clone() });
            }
            return Ok(origin + &check_reference(rest)?);
        }
        let slash = if input.starts_with('/') { "" } else { "/" };
        let path = check_reference(&format!("{slash}{input}"))?;
        let twice = self.path.ends_with("/v1")
            && path
                .strip_prefix("/v1")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let path = if twice { &path[3..] } else { &path[..] };
        Ok([&self.origin[..], &self.path, path].concat())
    }

    /// Splits an absolute URL of its origin: what follows the base, and that it is below it, or what
    /// follows the origin.
    pub(crate) fn split(&self, url: &str) -> Option<(String, bool)> {
        let (origin, rest) = split_origin(url).ok().filter(|_| has_scheme(url))?;
        if origin != self.origin {
            return None;
        }
        let below = rest
            .strip_prefix(&self.path[..])
            .filter(|path| path.is_empty() || path.starts_with(['/', '?', '#']));
        Some((below.unwrap_or(rest).to_owned(), below.is_some()))
    }

    /// Finds the address of a path that is not below the base but of its origin.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_origin(&self, path: &str) -> Result<String, UrlError> {
        Self { origin: self.origin.clone(), path: String::new() }.join(path)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        f.write_str(&self.path)
    }
}

fn is_local_v4(v4: Ipv4Addr) -> bool {
    v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
}

fn is_local_v6(v6: Ipv6Addr) -> bool {
    let mapped = v6.to_ipv4_mapped().is_some_and(is_local_v4);
    // fc00::/7 and fe80::/10.
    let network = v6.segments()[0];
    let own = network & 0xfe00 == 0xfc00 || network & 0xffc0 == 0xfe80;
    v6.is_loopback() || v6.is_unspecified() || mapped || own
}

/// Tells whether a text begins with a scheme and a colon.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Splits an absolute URL into its canonical origin and what follows it.
fn split_origin(text: &str) -> Result<(String, &str), UrlError> {
    if text.len() > MAX_URL {
        return Err(UrlError::Long);
    }
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
    let scheme = scheme.to_ascii_lowercase();
    let usual = match &scheme[..] {
        "http" => 80,
        "https" => 443,
        _ => return Err(UrlError::Scheme),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = split_port(authority)?;
    let host = canonical_host(host)?;
    let port = match port {
        Some(port) if port != usual => format!(":{port}"),
        _ => String::new(),
    };
    Ok((format!("{scheme}://{host}{port}"), rest))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let bracket = authority.rfind(']').unwrap_or(0);
    let Some(colon) = authority[bracket..].find(':') else { return Ok((authority, None)) };
    let (host, port) = authority.split_at(bracket + colon);
    let port = &port[1..];
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or(UrlError::Port)?;
    Ok((host, Some(port)))
}

fn canonical_host(host: &str) -> Result<String, UrlError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(UrlError::Host)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| UrlError::Host)?;
        return Ok(format!("[{address}]"));
    }
    let host = host.to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) || host.contains("..") {
        return Err(UrlError::Host);
    }
    // What ends with a number is an IPv4 address to browsers, in notations such as `0x7f.1` too.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(UrlError::Host);
    }
    Ok(host)
}

/// Checks a path with a query, and takes its fragment off.
fn check_reference(text: &str) -> Result<String, UrlError> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let (path, query) = text.split_once('?').map_or((text, ""), |(path, query)| (path, query));
    check_path(path)?;
    check_characters(query)?;
    Ok(text.to_owned())
}

fn check_path(path: &str) -> Result<(), UrlError> {
    check_characters(path)?;
    let is_dots = |segment: &str| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    };
    if path.split('/').any(is_dots) { Err(UrlError::Dots) } else { Ok(()) }
}

fn check_characters(text: &str) -> Result<(), UrlError> {
    let fine = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>`{}^|".contains(&byte);
    if text.bytes().all(fine) { Ok(()) } else { Err(UrlError::Character) }
}

#[cfg(test)]
mod tests {
    use super::{BaseUrl, MAX_URL, UrlError};

    fn base(text: &str) -> BaseUrl {
        BaseUrl::parse(text).unwrap()
    }

    #[test]
    fn canonical_forms_are_equal() {
        for (text, canonical) in [
            ("HTTPS://API.Example.com:443/v1/", "https://api.example.com/v1"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://127.0.0.1:8080//", "http://127.0.0.1:8080"),
            ("http://[0:0:0:0:0:0:0:1]:11434", "http://[::1]:11434"),
            ("https://example.com:80/a/b", "https://example.com:80/a/b"),
        ] {
            assert_eq!(base(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn a_wrong_base_is_refused_by_its_reason() {
        for (text, reason) in [
            ("", UrlError::Scheme),
            ("api.example.com", UrlError::Scheme),
            ("ftp://example.com", UrlError::Scheme),
            ("http:///v1", UrlError::Host),
            ("https://user:pass@example.com", UrlError::UserInfo),
            ("https://example.com?key=1", UrlError::Extra),
            ("https://example.com/#a", UrlError::Extra),
            ("https://example.com:99999", UrlError::Port),
            ("https://example.com:+80", UrlError::Port),
            ("https://exämple.com", UrlError::Host),
            ("https://a..b", UrlError::Host),
            ("https://0x7f.1/", UrlError::Host),
            ("https://127.1/", UrlError::Host),
            ("https://2130706433/", UrlError::Host),
            ("https://[::1/", UrlError::Port),
            ("https://[fe80::1%25eth0]/", UrlError::Host),
            ("https://example.com/a b", UrlError::Character),
            ("https://example.com\\@evil.example", UrlError::UserInfo),
            ("https://example.com\\evil", UrlError::Host),
            ("https://example.com/a/../b", UrlError::Dots),
            ("https://example.com/%2e%2E/b", UrlError::Dots),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(reason), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL));
        assert_eq!(BaseUrl::parse(&long), Err(UrlError::Long));
    }

    #[test]
    fn paths_go_below_the_base() {
        for (over, path, whole) in [
            ("https://e.com/v1", "/v1/models", "https://e.com/v1/models"),
            ("https://e.com/v1", "models", "https://e.com/v1/models"),
            ("https://e.com/v1", "/v1", "https://e.com/v1"),
            ("https://e.com/v1", "/v1?a=1", "https://e.com/v1?a=1"),
            ("https://e.com/v1", "/v10/models", "https://e.com/v1/v10/models"),
            ("https://e.com", "/v1/models", "https://e.com/v1/models"),
            ("https://e.com/a", "//evil.com/x", "https://e.com/a//evil.com/x"),
            ("https://e.com/a", "x?u=http://f.com/../y#z", "https://e.com/a/x?u=http://f.com/../y"),
            ("https://e.com/a", "HTTPS://E.com:443/b?c", "https://e.com/b?c"),
            ("https://e.com/a", "", "https://e.com/a/"),
        ] {
            assert_eq!(base(over).join(path).as_deref(), Ok(whole), "{over} {path}");
        }
    }

    #[test]
    fn nothing_leaves_the_origin() {
        let base = base("https://e.com/a");
        for path in [
            "http://e.com/a",
            "https://e.com:8443/a",
            "https://f.com",
            "https://e.com.f.com/",
            "https://e.com@f.com/",
            "data:text/plain,x",
            "localhost:80/x",
            "../b",
            "/a/../../b",
            "/a/%2E./b",
            "\\\\f.com",
            "/\\f.com",
            "/a\r\nHost: f.com",
            "/ü",
        ] {
            assert!(base.join(path).is_err(), "{path}");
        }
        assert_eq!(base.join_origin("/health").as_deref(), Ok("https://e.com/health"));
    }

    #[test]
    fn local_addresses_are_told() {
        for host in [
            "127.0.0.1",
            "127.8.8.8",
            "localhost",
            "a.localhost",
            "[::1]",
            "10.1.2.3",
            "ollama",
            "192.168.0.2:8080",
            "[fd00::1]",
            "[::ffff:127.0.0.1]:80",
            "0.0.0.0",
            "box.local",
        ] {
            assert!(base(&format!("http://{host}/v1")).is_local(), "{host}");
        }
        for host in ["8.8.8.8", "api.example.com", "[2001:db8::1]", "localhost.example.com"] {
            assert!(!base(&format!("http://{host}/v1")).is_local(), "{host}");
        }
    }
}
