//! How sending and reading fail.

use core::error::Error as StdError;
use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::sync::Arc;

use edgepool_llm::{Class, Failure};

/// What lies below an error. It is shared, as hyper hands out only a look at what a connection
/// failed by.
pub type Source = Arc<dyn StdError + Send + Sync>;

/// How a request was not sent, or its answer not read. None of them shows a header's value, a body
/// or what follows an address's host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be sent as it is.
    Request(&'static str),
    /// The future was not polled within a tokio runtime with its timers and sockets on.
    Runtime,
    /// As many connections are open to the origin as may be, and none became free in time.
    Connections(usize),
    /// No connection could be made.
    Connect(Source),
    /// No connection was made in time.
    ConnectTimeout(Duration),
    /// TLS was not agreed upon, such as for a certificate that is not trusted.
    Handshake(Source),
    /// TLS was not agreed upon in time.
    HandshakeTimeout(Duration),
    /// The connection was lost before the headers of the answer.
    Headers(Source),
    /// The headers of the answer are larger, or more, than they may be.
    HeadersTooLarge(Source),
    /// What answers does not speak HTTP.
    Malformed(Source),
    /// The connection was lost within the body of the answer.
    Body(Source),
    /// The body of the answer is longer than this many bytes.
    BodyTooLarge(u64),
}

impl Error {
    /// Tells what to make of it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Request(_) => Class::Invalid,
            Self::Runtime | Self::Connections(_) => Class::Refused,
            Self::Connect(_)
            | Self::ConnectTimeout(_)
            | Self::Handshake(_)
            | Self::HandshakeTimeout(_)
            | Self::Headers(_)
            | Self::Body(_) => Class::Network,
            Self::HeadersTooLarge(_) | Self::BodyTooLarge(_) => Class::TooLarge,
            Self::Malformed(_) => Class::Malformed,
        }
    }

    /// Sorts what hyper's client failed by before the headers came.
    pub(crate) fn before_headers(error: hyper_util::client::legacy::Error) -> Self {
        let mut below: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(cause) = below {
            if let Some(own) = cause.downcast_ref::<Self>() {
                return own.clone();
            }
            if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
                if hyper.is_parse_too_large() {
                    return Self::HeadersTooLarge(Arc::new(error));
                }
                if hyper.is_parse() {
                    return Self::Malformed(Arc::new(error));
                }
            }
            below = cause.source();
        }
        if error.is_connect() {
            Self::Connect(Arc::new(error))
        } else {
            Self::Headers(Arc::new(error))
        }
    }

    /// Sorts what hyper failed by within a body.
    pub(crate) fn within_body(error: hyper::Error) -> Self {
        // Such as a chunk whose length is no number.
        if error.is_parse() {
            Self::Malformed(Arc::new(error))
        } else {
            Self::Body(Arc::new(error))
        }
    }

    fn below(&self) -> Option<&Source> {
        match self {
            Self::Connect(source)
            | Self::Handshake(source)
            | Self::Headers(source)
            | Self::HeadersTooLarge(source)
            | Self::Malformed(source)
            | Self::Body(source) => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(what) => what,
            Self::Runtime => "requests are sent within a tokio runtime with its time and IO on",
            Self::Connections(most) => {
                return write!(f, "all {most} connections to the origin are in use");
            }
            Self::Connect(_) => "no connection could be made",
            Self::ConnectTimeout(time) => {
                return write!(f, "no connection was made within {time:?}");
            }
            Self::Handshake(_) => "TLS was not agreed upon",
            Self::HandshakeTimeout(time) => {
                return write!(f, "TLS was not agreed upon within {time:?}");
            }
            Self::Headers(_) => "the connection was lost before the answer",
            Self::HeadersTooLarge(_) => "the headers of the answer are too large",
            Self::Malformed(_) => "the answer is not HTTP",
            Self::Body(_) => "the connection was lost within the answer",
            Self::BodyTooLarge(most) => {
                return write!(f, "the answer is longer than {most} bytes");
            }
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.below().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<Error> for Failure {
    /// Its message is the error's with what lies at the bottom of it, such as "connection refused".
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut below = StdError::source(&error);
        let mut deepest = None;
        while let Some(cause) = below {
            deepest = Some(cause);
            below = cause.source();
        }
        if let Some(cause) = deepest {
            message = format!("{message}: {cause}");
        }
        Self::new(error.class(), message)
    }
}

/// Which option does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// This one takes a number, or a time, over zero.
    Zero(&'static str),
    /// This one takes a number of this range.
    Range(&'static str, RangeInclusive<u32>),
    /// A root certificate could not be read.
    RootCertificate,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(name) => write!(f, "{name} must be over zero"),
            Self::Range(name, range) => {
                write!(f, "{name} must be from {} to {}", range.start(), range.end())
            }
            Self::RootCertificate => f.write_str("a root certificate is not X.509 in DER"),
        }
    }
}

impl StdError for OptionsError {}
