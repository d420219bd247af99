//! What a transport is made by.

use core::ops::RangeInclusive;
use core::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::error::OptionsError;
use crate::transport::HttpTransport;

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// What the server chooses by ALPN; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1: each request under way has a connection of its own.
    Http1,
    /// HTTP/2, without TLS too, where the server must expect it: requests share a connection.
    Http2,
}

/// Makes an [`HttpTransport`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) protocol: Protocol,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_idle: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) ping: (Duration, Duration),
    pub(crate) max_header_bytes: u32,
    pub(crate) max_headers: u32,
    pub(crate) max_body: Option<u64>,
    roots: Vec<Vec<u8>>,
    public_roots: bool,
}

/// hyper reads up to 8 KiB at once. A header takes 32 bytes at least on HTTP/2, and a map of them
/// holds no more than 24,576.
const HEADER_BYTES: RangeInclusive<u32> = 8_192..=524_288;

/// A place is made ready for each of them.
const HEADERS: RangeInclusive<u32> = 1..=16_384;

impl Default for Builder {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            max_connections: None,
            max_idle: 32,
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            ping: (Duration::from_secs(30), Duration::from_secs(20)),
            max_header_bytes: 65_536,
            max_headers: 256,
            max_body: None,
            roots: Vec::new(),
            public_roots: true,
        }
    }
}

impl Builder {
    /// Sets which HTTP is spoken. The default is [`Protocol::Auto`].
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets how many connections may be open to one origin. Without it there are as many as the
    /// requests under way need, of which the pool of a provider has a limit of its own.
    ///
    /// A request that finds none free waits for one as long as for a connection that is made, then
    /// fails with [`Error::Connections`](crate::Error::Connections).
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = Some(most);
        self
    }

    /// Sets how many connections without a request are kept for each origin; none at 0. The default
    /// is 32.
    pub const fn max_idle(mut self, most: usize) -> Self {
        self.max_idle = most;
        self
    }

    /// Sets how long a connection without a request is kept. The default is 60 s: it should be less
    /// than what the server has, as it may close one at the moment at which it is used again.
    pub const fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout = time;
        self
    }

    /// Sets how long it may take to find a server's addresses and connect to one. The default is
    /// 10 s.
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Sets how long TLS may take on a connection that is made. The default is 10 s.
    pub const fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// Sets how long a connection of HTTP/2 with requests may be quiet before it is asked whether it
    /// is alive, and within what time it must answer. Else it is lost with all its requests: one
    /// that is dead would be given to their next attempts too. The default is 30 s and 20 s; an
    /// interval of [`Duration::MAX`] never asks.
    pub const fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.ping = (interval, timeout);
        self
    }

    /// Sets how large the headers of an answer may be together, in bytes, from 8,192 to
    /// 524,288. The default is 65,536. Larger ones are
    /// [`Error::HeadersTooLarge`](crate::Error::HeadersTooLarge) on HTTP/1.1; on HTTP/2 they end
    /// the connection with [`Error::Headers`](crate::Error::Headers), in whose source the reason is.
    pub const fn max_header_bytes(mut self, most: u32) -> Self {
        self.max_header_bytes = most;
        self
    }

    /// Sets how many headers an answer may have, on HTTP/1.1, from 1 to 16,384; HTTP/2 has but the
    /// bound in bytes. The default is 256.
    pub const fn max_headers(mut self, most: u32) -> Self {
        self.max_headers = most;
        self
    }

    /// Sets how long the body of an answer may be, in bytes; one that is longer is broken off with
    /// [`Error::BodyTooLarge`](crate::Error::BodyTooLarge). There is no default: a body is read no
    /// faster than it is asked for, so that none takes memory.
    pub const fn max_body(mut self, most: u64) -> Self {
        self.max_body = Some(most);
        self
    }

    /// Trusts a root certificate, X.509 in DER, such as that of a company's own authority.
    pub fn root_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(der.into());
        self
    }

    /// Trusts only what [`root_certificate`](Self::root_certificate) names, and none of the public
    /// authorities.
    pub const fn without_public_roots(mut self) -> Self {
        self.public_roots = false;
        self
    }

    /// Makes the transport. It opens no connection yet.
    ///
    /// # Errors
    ///
    /// Tells which option does not fit.
    pub fn build(self) -> Result<HttpTransport, OptionsError> {
        self.check()?;
        let roots = self.trusted()?;
        Ok(HttpTransport::new(&self, roots))
    }

    fn check(&self) -> Result<(), OptionsError> {
        let (interval, timeout) = self.ping;
        for (name, zero) in [
            ("max_connections", self.max_connections == Some(0)),
            ("idle_timeout", self.idle_timeout.is_zero()),
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("handshake_timeout", self.handshake_timeout.is_zero()),
            ("ping", interval.is_zero() || timeout.is_zero()),
        ] {
            if zero {
                return Err(OptionsError::Zero(name));
            }
        }
        for (name, value, range) in [
            ("max_header_bytes", self.max_header_bytes, HEADER_BYTES),
            ("max_headers", self.max_headers, HEADERS),
        ] {
            if !range.contains(&value) {
                return Err(OptionsError::Range(name, range));
            }
        }
        Ok(())
    }

    fn trusted(&self) -> Result<RootCertStore, OptionsError> {
        let mut roots = RootCertStore::empty();
        if self.public_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for der in &self.roots {
            let certificate = CertificateDer::from(&der[..]);
            roots.add(certificate).map_err(|_| OptionsError::RootCertificate)?;
        }
        Ok(roots)
    }
}
